//! Awaiting a task by value when its result comes another way than through its handle: a child of a group, whose handle
//! the group keeps.
//!
//! ```text
//!            pending                   the task has ended, its result is on its way
//!   New ────────────► Join ───────────────────────────────► Over ── result ──► ready
//!                      │ a request landed: the task has it      │ a request landed
//!                      ▼                                        ▼
//!                     Join ───────────────────────────────► Asked ── result ──► ready; without a value: thrown
//! ```

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use super::TaskRef;
use super::frames::scope::value_first;
use super::frames::{Cancelled, Frame, Link, Resume, Step};
use crate::inspect::{self, Await, On};

/// A frame like the one that `task.await` is: a cancellation of whoever awaits goes to the task, and its end is awaited.
///
/// For one wait, and to be polled by whoever awaits. The result comes when the task has ended, or later.
#[derive(Default)]
pub struct ProxyJoin(Stage);

#[derive(Default)]
enum Stage {
    #[default]
    New,
    Join(Link),
    /// The task has ended, and its result has not come. A frame, since a request finds nobody to pass it on to.
    Over(Frame),
    /// It landed; the end of the task and its result are awaited. True if the task was told.
    Asked(Cancelled, bool),
    Throwing(Resume<()>),
}

impl ProxyJoin {
    /// Polls what gives the task's result. `inner` is not called any more once the cancellation goes outward.
    pub fn poll<T, E>(
        &mut self,
        task: &TaskRef,
        cx: &mut Context<'_>,
        inner: impl FnOnce(&mut Context<'_>) -> Poll<Result<T, E>>,
    ) -> Poll<Result<T, E>> {
        if matches!(&self.0, Stage::Join(link) if !link.is_current()) {
            self.0 = Stage::New; // moved to another task
        }
        if task.is_done() {
            self.over();
        }
        let result = match &mut self.0 {
            Stage::New | Stage::Join(_) | Stage::Asked(..) => inner(cx),
            Stage::Over(frame) => match frame.poll(cx, inner) {
                Step::Ready(result) => Poll::Ready(result),
                Step::Pending => Poll::Pending,
                Step::Cancelled(request) => {
                    self.0 = Stage::Asked(request, false);
                    cx.waker().wake_by_ref(); // `inner` was not asked
                    return Poll::Pending;
                }
            },
            Stage::Throwing(resume) => {
                let _ = Pin::new(resume).poll(cx);
                return Poll::Pending;
            }
        };
        match result {
            Poll::Ready(result) => self.ready(task, result, cx),
            Poll::Pending => {
                note(task, cx);
                if matches!(self.0, Stage::New) {
                    self.0 = Link::join(task).map_or(Stage::New, Stage::Join);
                }
                Poll::Pending
            }
        }
    }

    /// The task has ended.
    fn over(&mut self) {
        self.0 = match std::mem::take(&mut self.0) {
            Stage::New => Stage::Over(Frame::new()),
            Stage::Join(link) => {
                let told = !link.is_untold();
                link.remove().map_or_else(|| Stage::Over(Frame::new()), |request| Stage::Asked(request, told))
            }
            later => later,
        };
    }

    fn ready<T, E>(
        &mut self,
        task: &TaskRef,
        result: Result<T, E>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<T, E>> {
        let (request, told) = match std::mem::take(&mut self.0) {
            Stage::Asked(request, told) => (request, told),
            Stage::Join(link) => {
                let told = !link.is_untold();
                match link.remove() {
                    Some(request) => (request, told),
                    None => return Poll::Ready(result),
                }
            }
            _ => return Poll::Ready(result),
        };
        if result.is_err() {
            let mut resume = request.resume();
            let _ = Pin::new(&mut resume).poll(cx);
            self.0 = Stage::Throwing(resume);
            return Poll::Pending;
        }
        if !told || task.header().state.missed_cancel() {
            value_first(request); // it never saw the request, so it has not caught it either
        }
        Poll::Ready(result)
    }
}

/// Who awaits the task by reference says so here when it is about to say "pending".
pub fn note(task: &TaskRef, cx: &Context<'_>) {
    inspect::pending(cx, task.address().addr(), || {
        Await::new("task", On::Task { id: task.id(), shielded: false })
    });
}

impl fmt::Debug for ProxyJoin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProxyJoin").field("pending", &!matches!(self.0, Stage::New)).finish_non_exhaustive()
    }
}
