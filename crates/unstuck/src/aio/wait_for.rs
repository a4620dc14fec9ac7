//! Waiting with a limit, and waiting without taking part: `wait_for` and `shield`.

use std::future::{Future, IntoFuture};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use unstuck_core::{JoinError, Task};
use unstuck_time::{Timeout, timeout};

/// Waits for `awaitable`, but no longer than `limit`: asyncio's `wait_for`.
///
/// When the time is over, what was awaited is cancelled, *and its end is awaited*, before the error comes. A [`Task`] given
/// by value, also one that a future was awaiting, is cancelled and has really ended; if it catches that and gives a
/// value, so does this. Give `&mut task` (or [`shield`] it) to let the task go on.
///
/// ```
/// use std::time::Duration;
///
/// # unstuck::run(async {
/// let slow = unstuck::spawn(async { unstuck::sleep(Duration::from_secs(3600)).await });
/// let watch = slow.watch();
/// assert!(unstuck::wait_for(slow, Duration::from_millis(1)).await.is_err());
/// assert!(watch.is_done());
/// # });
/// ```
///
/// It is [`timeout`](crate::timeout()) with asyncio's order of arguments. `Duration::MAX` is asyncio's `None`.
///
/// # Cancellation
/// A cancellation of the task that waits goes to what is awaited, and passes on when that has ended. Dropping it drops
/// what it waits for; a task given by value is detached.
///
/// # Errors
/// [`Elapsed`](crate::Elapsed) when the time was over first.
pub fn wait_for<A: IntoFuture>(awaitable: A, limit: Duration) -> Timeout<A::IntoFuture> {
    timeout(limit, awaitable)
}

/// Waits for a task without owning it: asyncio's `shield`.
///
/// Whatever happens to the wait, the task goes on and can be awaited again.
///
/// ```
/// use std::time::Duration;
/// use unstuck::{shield, sleep, spawn, wait_for};
///
/// # unstuck::Runtime::builder().start_paused(true).build().unwrap().run(async {
/// let mut task = spawn(async { sleep(Duration::from_millis(50)).await; "done" });
/// assert!(wait_for(shield(&mut task), Duration::from_millis(1)).await.is_err());
/// assert_eq!(task.await.unwrap(), "done"); // it went on
/// # });
/// ```
///
/// `(&mut task).await` does the same; `shield` says why.
///
/// # Cancellation
/// Dropping it leaves the task alone.
///
/// # Errors
/// Those of awaiting the [`Task`].
pub fn shield<T>(task: &mut Task<T>) -> Shield<'_, T> {
    Shield(task)
}

/// The future of [`shield`].
#[derive(Debug)]
#[must_use = "futures do nothing unless you `.await` or spawn them"]
pub struct Shield<'a, T>(&'a mut Task<T>);

impl<T> Future for Shield<'_, T> {
    type Output = Result<T, JoinError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let polled = Pin::new(&mut &mut *self.0).poll(cx);
        if polled.is_pending() {
            self.0.note_shielded(cx);
        }
        polled
    }
}

impl<T> Drop for Shield<'_, T> {
    fn drop(&mut self) {
        self.0.note_given_up();
    }
}
