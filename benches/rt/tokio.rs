//! tokio: the multi-threaded runtime, and the one on the current thread.
//!
//! Only the timer is enabled, not the I/O driver: workers then park on a condition variable instead of in epoll, which
//! is the cheaper of the two. [`Tokio::start_with_io`] has both, as a program with `#[tokio::main]` has.

use super::{Rt, Unwrapped, rayon_lane};
use std::future::Future;
use std::time::Duration;
use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinHandle;

/// tokio's multi-threaded runtime.
pub struct Tokio(Runtime);

/// tokio's runtime on the current thread.
pub struct TokioSingle(Runtime);

impl Tokio {
    /// Starts it with threads for blocking calls that leave when they have been idle for so long.
    pub fn start_with_keep_alive(workers: usize, keep_alive: Duration) -> Self {
        rayon_lane::start(workers);
        let mut builder = Builder::new_multi_thread();
        builder.worker_threads(workers).enable_time().thread_keep_alive(keep_alive);
        Self(builder.build().expect("tokio starts"))
    }

    /// Starts it with everything that tokio has.
    pub fn start_with_io(workers: usize) -> Self {
        rayon_lane::start(workers);
        Self(Builder::new_multi_thread().worker_threads(workers).enable_all().build().expect("tokio starts"))
    }
}

macro_rules! tokio_runtime {
    ($Name:ident, $name:literal, $builder:expr) => {
        impl Rt for $Name {
            const NAME: &'static str = $name;
            type Task<T: Send + 'static> = Unwrapped<JoinHandle<T>>;

            fn start(workers: usize) -> Self {
                rayon_lane::start(workers);
                let mut builder: Builder = $builder(workers);
                Self(builder.enable_time().build().expect("tokio starts"))
            }

            fn block_on<F: Future>(&self, fut: F) -> F::Output {
                self.0.block_on(fut)
            }

            fn spawn_outside<F>(&self, fut: F) -> Self::Task<F::Output>
            where
                F: Future<Output: Send + 'static> + Send + 'static,
            {
                Unwrapped::new(self.0.spawn(fut))
            }

            fn spawn<F>(fut: F) -> Self::Task<F::Output>
            where
                F: Future<Output: Send + 'static> + Send + 'static,
            {
                Unwrapped::new(tokio::spawn(fut))
            }

            fn cancel<T: Send + 'static>(task: Self::Task<T>) {
                task.handle.abort();
            }

            fn detach<T: Send + 'static>(task: Self::Task<T>) {
                drop(task);
            }

            fn yield_now() -> impl Future<Output = ()> + Send {
                tokio::task::yield_now()
            }

            fn sleep(time: Duration) -> impl Future<Output = ()> + Send + 'static {
                tokio::time::sleep(time)
            }

            fn timeout<F: Future + Send>(
                limit: Duration,
                fut: F,
            ) -> impl Future<Output = Option<F::Output>> + Send
            where
                F::Output: Send,
            {
                let bounded = tokio::time::timeout(limit, fut);
                async move { bounded.await.ok() }
            }

            fn to_thread<T, F>(job: F) -> impl Future<Output = T> + Send + 'static
            where
                T: Send + 'static,
                F: FnOnce() -> T + Send + 'static,
            {
                Unwrapped::new(tokio::task::spawn_blocking(job))
            }

            fn in_pool_outside<T, F>(&self, job: F) -> impl Future<Output = T> + Send + 'static
            where
                T: Send + 'static,
                F: FnOnce() -> T + Send + 'static,
            {
                Unwrapped::new(self.0.spawn_blocking(job))
            }

            fn cpu<T, F>(job: F) -> impl Future<Output = T> + Send + 'static
            where
                T: Send + 'static,
                F: FnOnce() -> T + Send + 'static,
            {
                rayon_lane::run(job)
            }
        }
    };
}

fn multi(workers: usize) -> Builder {
    let mut builder = Builder::new_multi_thread();
    builder.worker_threads(workers);
    builder
}

fn single(_workers: usize) -> Builder {
    Builder::new_current_thread()
}

tokio_runtime!(Tokio, "tokio", multi);
tokio_runtime!(TokioSingle, "tokio, single", single);
