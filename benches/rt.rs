//! The seam: what a workload may ask of a runtime, and nothing else.
//!
//! Everything dispatches statically. The trait's futures are the runtimes' own types, or a wrapper around them that
//! unwraps a `Result` and compiles to nothing.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

mod rayon_lane;
mod smol;
mod tokio;
mod unstuck;

pub use self::smol::{Smol, SmolSingle};
pub use self::tokio::{Tokio, TokioSingle};
pub use self::unstuck::{Unstuck, UnstuckSingle};

/// A runtime under test.
///
/// The functions without `self` are what code *inside* the runtime calls: in a task, or in the future of `block_on`.
pub trait Rt: Sized + 'static {
    /// The name in every table.
    const NAME: &'static str;

    /// The handle of a task. Awaiting it gives the task's output, and panics if the task was cancelled.
    type Task<T: Send + 'static>: Future<Output = T> + Send + 'static;

    /// Starts the runtime with this many worker threads. (The single-threaded ones run on the caller of `block_on`.)
    fn start(workers: usize) -> Self;

    /// Runs a future on this thread until it is done, beside the workers.
    fn block_on<F: Future>(&self, fut: F) -> F::Output;

    /// Spawns from a thread that is not part of the runtime.
    #[track_caller]
    fn spawn_outside<F>(&self, fut: F) -> Self::Task<F::Output>
    where
        F: Future<Output: Send + 'static> + Send + 'static;

    /// Spawns from inside.
    #[track_caller]
    fn spawn<F>(fut: F) -> Self::Task<F::Output>
    where
        F: Future<Output: Send + 'static> + Send + 'static;

    /// Asks a task to end early, and does not wait until it has.
    fn cancel<T: Send + 'static>(task: Self::Task<T>);

    /// Lets a task run on without its handle.
    fn detach<T: Send + 'static>(task: Self::Task<T>);

    /// Lets other tasks run: the runtime's own way of saying so.
    fn yield_now() -> impl Future<Output = ()> + Send;

    /// Sleeps by the runtime's own timer.
    fn sleep(time: Duration) -> impl Future<Output = ()> + Send + 'static;

    /// Bounds a future by a time limit; `None` when the limit was reached.
    fn timeout<F: Future + Send>(limit: Duration, fut: F) -> impl Future<Output = Option<F::Output>> + Send
    where
        F::Output: Send;

    /// Runs a closure that may block on the runtime's pool for such.
    #[track_caller]
    fn to_thread<T, F>(job: F) -> impl Future<Output = T> + Send + 'static
    where
        T: Send + 'static,
        F: FnOnce() -> T + Send + 'static;

    /// As [`to_thread`](Self::to_thread), but always on a thread of the pool: unstuck would keep short calls on the worker.
    #[track_caller]
    fn in_pool<T, F>(job: F) -> impl Future<Output = T> + Send + 'static
    where
        T: Send + 'static,
        F: FnOnce() -> T + Send + 'static,
    {
        Self::to_thread(job)
    }

    /// As [`in_pool`](Self::in_pool), from a thread that is not part of the runtime.
    #[track_caller]
    fn in_pool_outside<T, F>(&self, job: F) -> impl Future<Output = T> + Send + 'static
    where
        T: Send + 'static,
        F: FnOnce() -> T + Send + 'static;

    /// Runs a closure that computes on the runtime's CPU pool; on rayon and a oneshot channel where it has none.
    #[track_caller]
    fn cpu<T, F>(job: F) -> impl Future<Output = T> + Send + 'static
    where
        T: Send + 'static,
        F: FnOnce() -> T + Send + 'static;
}

/// Runs a future as a spawned task, so on a worker thread, and waits for it on this one.
#[track_caller]
pub fn in_task<R: Rt, F>(rt: &R, fut: F) -> F::Output
where
    F: Future<Output: Send + 'static> + Send + 'static,
{
    let task = rt.spawn_outside(fut);
    rt.block_on(task)
}

pin_project_lite::pin_project! {
    /// The handle of a runtime whose tasks end in a `Result`: awaits the handle and unwraps.
    pub struct Unwrapped<H> {
        #[pin]
        handle: H,
    }
}

impl<H> Unwrapped<H> {
    fn new(handle: H) -> Self {
        Self { handle }
    }
}

impl<H, T, E> Future for Unwrapped<H>
where
    H: Future<Output = Result<T, E>>,
    E: std::fmt::Debug,
{
    type Output = T;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        self.project()
            .handle
            .poll(cx)
            .map(|done| done.expect("a task of a bench neither panics nor is cancelled"))
    }
}
