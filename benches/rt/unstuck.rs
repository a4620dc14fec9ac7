//! unstuck: the multi-threaded runtime, and the loop on the current thread.

use super::{Rt, Unwrapped};
use std::future::Future;
use std::time::Duration;
use unstuck::offload::DefaultExecutor;
use unstuck::{Builder, EventLoop, Runtime, Task};

/// unstuck's multi-threaded runtime.
pub struct Unstuck(Runtime);

/// unstuck's single-threaded loop.
pub struct UnstuckSingle(EventLoop);

fn builder(workers: usize) -> Builder {
    // As many threads as the rivals' pools may have: 512 that block (tokio's default), and one that computes a worker.
    Runtime::builder().worker_threads(workers).max_blocking_threads(512).cpu_threads(workers)
}

impl Unstuck {
    /// Starts it with other settings than the benches': another stall guard, say.
    pub fn start_with(workers: usize, set: impl FnOnce(Builder) -> Builder) -> Self {
        Self(set(builder(workers)).build().expect("unstuck starts"))
    }
}

macro_rules! unstuck_runtime {
    ($Name:ident, $name:literal, $build:ident, $block_on:ident, $($spawn:tt)+) => {
        impl Rt for $Name {
            const NAME: &'static str = $name;
            type Task<T: Send + 'static> = Unwrapped<Task<T>>;

            fn start(workers: usize) -> Self {
                Self(builder(workers).$build().expect("unstuck starts"))
            }

            fn block_on<F: Future>(&self, fut: F) -> F::Output {
                self.0.$block_on(fut)
            }

            fn spawn_outside<F>(&self, fut: F) -> Self::Task<F::Output>
            where
                F: Future<Output: Send + 'static> + Send + 'static,
            {
                Unwrapped::new(self.0$($spawn)+(fut))
            }

            fn spawn<F>(fut: F) -> Self::Task<F::Output>
            where
                F: Future<Output: Send + 'static> + Send + 'static,
            {
                Unwrapped::new(unstuck::spawn(fut))
            }

            fn cancel<T: Send + 'static>(task: Self::Task<T>) {
                task.handle.cancel();
            }

            fn detach<T: Send + 'static>(task: Self::Task<T>) {
                task.handle.detach();
            }

            fn yield_now() -> impl Future<Output = ()> + Send {
                unstuck::yield_now()
            }

            fn sleep(time: Duration) -> impl Future<Output = ()> + Send + 'static {
                unstuck::sleep(time)
            }

            fn timeout<F: Future + Send>(
                limit: Duration,
                fut: F,
            ) -> impl Future<Output = Option<F::Output>> + Send
            where
                F::Output: Send,
            {
                let bounded = unstuck::timeout(limit, fut);
                async move { bounded.await.ok() }
            }

            fn to_thread<T, F>(job: F) -> impl Future<Output = T> + Send + 'static
            where
                T: Send + 'static,
                F: FnOnce() -> T + Send + 'static,
            {
                Unwrapped::new(unstuck::to_thread(job))
            }

            fn in_pool<T, F>(job: F) -> impl Future<Output = T> + Send + 'static
            where
                T: Send + 'static,
                F: FnOnce() -> T + Send + 'static,
            {
                Unwrapped::new(unstuck::run_in_executor(&DefaultExecutor, job))
            }

            fn in_pool_outside<T, F>(&self, job: F) -> impl Future<Output = T> + Send + 'static
            where
                T: Send + 'static,
                F: FnOnce() -> T + Send + 'static,
            {
                Unwrapped::new(self.0.handle().spawn_blocking(job))
            }

            fn cpu<T, F>(job: F) -> impl Future<Output = T> + Send + 'static
            where
                T: Send + 'static,
                F: FnOnce() -> T + Send + 'static,
            {
                Unwrapped::new(unstuck::cpu(job))
            }
        }
    };
}

unstuck_runtime!(Unstuck, "unstuck", build, block_on, .spawn);
unstuck_runtime!(UnstuckSingle, "unstuck, single", build_single, run_until_complete, .handle().spawn);
