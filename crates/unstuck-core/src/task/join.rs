#![allow(unsafe_code)] // A pinned Task is taken apart, and its handle leaves a waker.
//! Awaiting a task: by value, which takes the task along when the waiter is cancelled, and by reference, which does not.
//!
//! `task.await` polls a `Task`, `(&mut task).await` a `&mut Task`. Both are futures of their own, because a `Task` is not
//! `Unpin`: otherwise the standard library's future for `&mut F` would be the second one, and could not differ.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use super::Task;
use super::frames::{Link, Resume};
use crate::context;
use crate::error::JoinError;
use crate::{guard, inspect};

/// By value: a frame. A cancellation of whoever awaits goes to the task, and its end is awaited.
impl<T> Future for Task<T> {
    type Output = Result<T, JoinError>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        // SAFETY: nothing in a Task relies on its place. It is not Unpin so that `&mut Task` can be awaited differently.
        let this = unsafe { self.get_unchecked_mut() };
        match this.joining.as_deref_mut() {
            None => {}
            Some(Joining::Frame(link)) if link.is_current() => {}
            Some(Joining::Frame(_)) => this.joining = None, // moved to another task
            Some(Joining::Throwing(resume)) => return Pin::new(resume).poll(cx),
        }
        match this.poll_result(cx) {
            Poll::Ready(result) if this.joining.is_none() => Poll::Ready(result),
            Poll::Ready(result) => this.joined(result, cx),
            Poll::Pending => {
                if this.joining.is_none() && !context::hide_join(cx.waker()) {
                    this.joining = Link::join(&this.raw).map(|link| Box::new(Joining::Frame(link)));
                }
                Poll::Pending
            }
        }
    }
}

/// By reference: no frame. A cancellation of whoever awaits leaves the task alone, as `asyncio.shield` does.
impl<T> Future for &mut Task<T> {
    type Output = Result<T, JoinError>;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.poll_result(cx)
    }
}

// Never true. Written so that the compiler knows: only then may `&mut Task` have a Future of its own.
impl<T> Unpin for Task<T> where Task<T>: never::Never {}

mod never {
    #[diagnostic::on_unimplemented(
        message = "a Task is not Unpin",
        note = "give `&mut task` to wait for it and leave it alone when the wait is cancelled, or `Box::pin(task)` to take \
                it along"
    )]
    pub trait Never {}
}

// On the way from `spawn` to whoever awaits, handles and results are moved several times. Two words stay in registers; four
// were written and read back in other sizes at each step, which processors do slowly: it was a quarter of spawn-and-join.
#[cfg(test)]
const _: () = {
    let two_words = 2 * size_of::<usize>();
    assert!(size_of::<Task<u64>>() == two_words);
    assert!(size_of::<Poll<Result<(), JoinError>>>() == two_words);
    assert!(size_of::<Poll<Result<u64, JoinError>>>() == two_words);
};

/// How a task that is awaited by value takes part in cancellations.
pub(super) enum Joining<T> {
    /// It has returned pending, and is a frame of whoever awaits it.
    Frame(Link),
    /// A request went inward and the task has ended by it: now it goes outward.
    Throwing(Resume<Result<T, JoinError>>),
}

impl<T> Task<T> {
    #[inline]
    fn poll_result(&mut self, cx: &mut Context<'_>) -> Poll<Result<T, JoinError>> {
        let header = self.raw.header();
        if !header.state.is_complete() {
            if context::is_running(self.raw.as_raw()) {
                return Poll::Ready(Err(JoinError::endless(header.origin())));
            }
            // SAFETY: we are the handle.
            if unsafe { header.set_waiter(cx.waker()) } {
                inspect::pending(cx, self.key(), || self.wait_for_it(false));
                return Poll::Pending;
            }
            debug_assert!(header.state.is_complete());
        }
        ready!(guard::proceed(cx)); // the result stays
        self.try_result().map_or(Poll::Pending, Poll::Ready)
    }

    /// The task has ended, was awaited by value, and is a frame.
    #[cold]
    fn joined(&mut self, result: Result<T, JoinError>, cx: &mut Context<'_>) -> Poll<Result<T, JoinError>> {
        let Some(Joining::Frame(link)) = self.joining.take().map(|joining| *joining) else {
            return Poll::Ready(result);
        };
        let untold = link.is_untold();
        let Some(request) = link.remove() else { return Poll::Ready(result) };
        if result.as_ref().is_err_and(JoinError::is_cancelled) {
            let mut resume = request.resume();
            let pending = Pin::new(&mut resume).poll(cx);
            self.joining = Some(Box::new(Joining::Throwing(resume)));
            return pending;
        }
        if untold || self.raw.header().state.missed_cancel() {
            link.give_back(request); // it never saw the request, so it has not caught it either
        }
        Poll::Ready(result)
    }
}
