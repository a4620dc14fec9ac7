//! Waiting for a task's end without owning its result: any number may.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use super::TaskRef;
use crate::job::contain;

/// Ready when the task has ended. See [`TaskRef::ended`].
pub(crate) struct Ended<'a> {
    task: &'a TaskRef,
    /// The waker that was left last.
    left: Option<Waker>,
}

impl TaskRef {
    /// A future that is ready when the task has ended, however it ends.
    pub(crate) fn ended(&self) -> Ended<'_> {
        Ended { task: self, left: None }
    }

    /// The task has ended: wakes everyone who waits for that.
    pub(super) fn wake_watchers(&self) {
        let wakers = std::mem::take(&mut *self.header().extra.get_or_make().watchers.lock());
        for waker in wakers {
            contain("a waker", || waker.wake());
        }
    }
}

impl Future for Ended<'_> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if self.task.is_done() {
            return Poll::Ready(());
        }
        if self.left.as_ref().is_some_and(|left| left.will_wake(cx.waker())) {
            return Poll::Pending;
        }
        // Cloned here, where nothing is locked: the user's code. It lies there until the end, as callbacks do (rule 6).
        self.left = Some(cx.waker().clone());
        let waker = cx.waker().clone();
        self.task.header().extra.get_or_make().watchers.lock().push(waker);
        if self.task.header().state.watch() {
            return Poll::Pending;
        }
        self.task.wake_watchers(); // too late for whoever completed it
        Poll::Ready(())
    }
}
