//! smol: `async-executor`'s `StaticExecutor` (its fastest), `async-io`'s timers, the `blocking` pool.
//!
//! smol's parts are static by design, so each flavour has one executor for the whole process. Its threads run it as
//! those of `smol::spawn` do, `async_io::block_on(executor.run(pending()))`, and like those they never end.

use super::{Rt, rayon_lane};
use async_executor::{StaticExecutor, Task};
use std::future::{Future, pending};
use std::sync::Once;
use std::time::Duration;

static MULTI: StaticExecutor = StaticExecutor::new();
static SINGLE: StaticExecutor = StaticExecutor::new();

/// smol's executor, run by worker threads.
pub struct Smol;

/// smol's executor, run by whoever calls `block_on`.
pub struct SmolSingle;

fn start_multi(workers: usize) -> Smol {
    static STARTED: Once = Once::new();
    STARTED.call_once(|| {
        for nth in 0..workers {
            // Named, so that a profile tells whose thread it was.
            let thread = std::thread::Builder::new().name(format!("smol-{nth}"));
            thread.spawn(|| async_io::block_on(MULTI.run(pending::<()>()))).expect("smol's threads start");
        }
    });
    Smol
}

async fn either_way<F: Future>(limit: Duration, fut: F) -> Option<F::Output> {
    let value = async { Some(fut.await) };
    let late = async {
        async_io::Timer::after(limit).await;
        None
    };
    futures_lite::future::or(value, late).await
}

macro_rules! smol_runtime {
    ($Name:ident, $name:literal, $EXECUTOR:ident, $start:expr, $block_on:expr) => {
        impl Rt for $Name {
            const NAME: &'static str = $name;
            type Task<T: Send + 'static> = Task<T>;

            fn start(workers: usize) -> Self {
                rayon_lane::start(workers);
                $start(workers)
            }

            fn block_on<F: Future>(&self, fut: F) -> F::Output {
                $block_on(fut)
            }

            fn spawn_outside<F>(&self, fut: F) -> Self::Task<F::Output>
            where
                F: Future<Output: Send + 'static> + Send + 'static,
            {
                $EXECUTOR.spawn(fut)
            }

            fn spawn<F>(fut: F) -> Self::Task<F::Output>
            where
                F: Future<Output: Send + 'static> + Send + 'static,
            {
                $EXECUTOR.spawn(fut)
            }

            fn cancel<T: Send + 'static>(task: Self::Task<T>) {
                drop(task);
            }

            fn detach<T: Send + 'static>(task: Self::Task<T>) {
                task.detach();
            }

            fn yield_now() -> impl Future<Output = ()> + Send {
                futures_lite::future::yield_now()
            }

            fn sleep(time: Duration) -> impl Future<Output = ()> + Send + 'static {
                let timer = async_io::Timer::after(time);
                async move {
                    timer.await;
                }
            }

            fn timeout<F: Future + Send>(
                limit: Duration,
                fut: F,
            ) -> impl Future<Output = Option<F::Output>> + Send
            where
                F::Output: Send,
            {
                either_way(limit, fut)
            }

            fn to_thread<T, F>(job: F) -> impl Future<Output = T> + Send + 'static
            where
                T: Send + 'static,
                F: FnOnce() -> T + Send + 'static,
            {
                blocking::unblock(job)
            }

            fn in_pool_outside<T, F>(&self, job: F) -> impl Future<Output = T> + Send + 'static
            where
                T: Send + 'static,
                F: FnOnce() -> T + Send + 'static,
            {
                blocking::unblock(job)
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

smol_runtime!(Smol, "smol", MULTI, start_multi, async_io::block_on);
smol_runtime!(SmolSingle, "smol, single", SINGLE, |_| SmolSingle, |fut| async_io::block_on(SINGLE.run(fut)));
