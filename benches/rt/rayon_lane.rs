//! The CPU lane of those who have none: `rayon::spawn` and a oneshot channel, what everybody writes by hand.
//!
//! One pool for all rivals, with as many threads as they have workers. It sleeps while the others run.

use std::future::Future;
use std::sync::OnceLock;

static POOL: OnceLock<rayon::ThreadPool> = OnceLock::new();

/// Makes the pool, once; the first caller's size stays.
pub(super) fn start(threads: usize) {
    POOL.get_or_init(|| rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("rayon starts"));
}

/// Runs a closure on the pool; the future gives its result.
pub(super) fn run<T, F>(job: F) -> impl Future<Output = T> + Send + 'static
where
    T: Send + 'static,
    F: FnOnce() -> T + Send + 'static,
{
    let pool = POOL.get().expect("the runtime's start() made the pool");
    let (sender, receiver) = oneshot::async_channel();
    pool.spawn(move || drop(sender.send(job())));
    async move { receiver.await.expect("rayon runs every job") }
}
