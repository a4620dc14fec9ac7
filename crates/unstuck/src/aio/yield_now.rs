//! One trip through the ready queue.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

/// Lets the other tasks that are ready have their turn: asyncio's `sleep(0)`.
///
/// The task goes to the back of the queue, once. It is a point at which the task can be cancelled.
///
/// ```
/// # unstuck::run(async {
/// for chunk in 0..10 {
///     // … a little work on `chunk` …
///     unstuck::yield_now().await;
/// }
/// # });
/// ```
///
/// Not a way to wait for something: a loop around it keeps a CPU busy. And long computations belong on
/// [`cpu`](crate::cpu()).
pub fn yield_now() -> YieldNow {
    YieldNow { yielded: false }
}

/// The future of [`yield_now`].
#[derive(Debug)]
#[must_use = "futures do nothing unless you `.await` or spawn them"]
pub struct YieldNow {
    yielded: bool,
}

impl Future for YieldNow {
    type Output = ();

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if std::mem::replace(&mut self.yielded, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}
