//! [`catch_cancel`] and [`finally`]: asyncio's `except CancelledError` and `finally`.

use std::future::{Future, IntoFuture, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::{Pin, pin};
use std::task::{Context, Poll};

use pin_project_lite::pin_project;

use super::{Cancelled, Frame, Step};

/// Runs `future`, and catches a cancellation of the task: asyncio's `try … except CancelledError`.
///
/// The cancellation drops `future` at its await point, and then gives you an error *to deal with*: clean up, which may
/// await, and [`resume`](Cancelled::resume) it; or drop it and go on as if nothing had happened.
///
/// ```
/// # use unstuck_core as unstuck;
/// # use unstuck_core::{LocalLoop, driver::ThreadDriver};
/// # async fn yield_now() { spawn(async {}).await.unwrap() }
/// # async fn goodbye() { yield_now().await }
/// use std::future::pending;
/// use unstuck::{catch_cancel, spawn};
///
/// # LocalLoop::new(Box::new(ThreadDriver::new())).block_on(async {
/// let task = spawn(async {
///     match catch_cancel(pending::<()>()).await {
///         Ok(()) => "it came",
///         Err(cancelled) => {
///             goodbye().await; // nobody drops us here
///             cancelled.resume().await
///         }
///     }
/// });
/// yield_now().await;
/// assert!(task.cancel());
/// assert!(task.await.unwrap_err().is_cancelled());
/// # });
/// ```
///
/// Each cancellation lands once, in the innermost of these frames that is pending. Cleanup is not inside of it any more:
/// a second `cancel()` during the cleanup lands in the next one outwards, or drops the task. For cleanup alone
/// [`finally`] is shorter.
///
/// It catches the cancellation of the task it runs in, or of a scope around it (a timeout, a task group), and nothing else:
/// a future that is simply dropped, by `select!` for example, is not asked.
///
/// # Cancellation
/// It is what this is for. Dropping it drops `future`.
///
/// # Errors
/// [`Cancelled`] if a cancellation landed here.
pub fn catch_cancel<F: IntoFuture>(future: F) -> CatchCancel<F::IntoFuture> {
    CatchCancel { future: Some(future.into_future()), frame: Frame::new() }
}

pin_project! {
    /// The future of [`catch_cancel`].
    #[derive(Debug)]
    #[must_use = "futures do nothing unless you `.await` or spawn them"]
    pub struct CatchCancel<F> {
        #[pin]
        future: Option<F>,
        // Behind the future: dropped after what is inside it.
        frame: Frame,
    }
}

impl<F: Future> Future for CatchCancel<F> {
    type Output = Result<F::Output, Cancelled>;

    /// # Panics
    /// When polled again after it gave its result.
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let Some(future) = this.future.as_mut().as_pin_mut() else {
            panic!("catch_cancel was polled again after it had given its result")
        };
        let outcome = match this.frame.poll(cx, |cx| future.poll(cx)) {
            Step::Pending => return Poll::Pending,
            Step::Ready(value) => Ok(value),
            Step::Cancelled(cancelled) => Err(cancelled),
        };
        this.future.set(None);
        *this.frame = Frame::new(); // what comes next is not inside
        Poll::Ready(outcome)
    }
}

/// Runs `future`, then `cleanup`, which may await: asyncio's `try … finally`.
///
/// `cleanup` runs once, however `future` ends: with a value, by a panic, or because the task (or a timeout or group
/// around this) is cancelled. Then the value, the panic or the cancellation goes on.
///
/// ```
/// # use unstuck_core as unstuck;
/// # use unstuck_core::{LocalLoop, driver::ThreadDriver};
/// # async fn yield_now() { spawn(async {}).await.unwrap() }
/// # async fn say_goodbye() { yield_now().await }
/// use std::future::pending;
/// use unstuck::{finally, spawn};
///
/// # LocalLoop::new(Box::new(ThreadDriver::new())).block_on(async {
/// let task = spawn(finally(pending::<()>(), async {
///     say_goodbye().await;
///     println!("the connection is closed");
/// }));
/// yield_now().await;
/// task.cancel();
/// assert!(task.await.unwrap_err().is_cancelled()); // comes when the cleanup is over
/// # });
/// ```
///
/// # Cancellation
/// A second cancellation during the cleanup ends the cleanup where it stands, as in asyncio. When this future is simply
/// dropped, the cleanup does not run: there is nobody to run it.
///
/// # Panics
/// Those of `future`, after the cleanup; those of `cleanup`.
pub async fn finally<F: IntoFuture, C: IntoFuture>(future: F, cleanup: C) -> F::Output {
    let outcome = {
        let mut future = pin!(future.into_future());
        catch_cancel(poll_fn(move |cx| match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(cx))) {
            Ok(poll) => poll.map(Ok),
            Err(panic) => Poll::Ready(Err(panic)),
        }))
        .await
    };
    cleanup.await;
    match outcome {
        Ok(Ok(value)) => value,
        Ok(Err(panic)) => resume_unwind(panic),
        Err(cancelled) => cancelled.resume().await,
    }
}
