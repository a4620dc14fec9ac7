//! A child of a group: what the group holds of it, and what its spawner gets.
//!
//! The group takes the child's result and hands the value on, so that a failure is known to the group before anyone who
//! awaits the child can trip over it.

use std::error::Error;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use unstuck_core::job::contain;
use unstuck_core::sync::Mutex;
use unstuck_core::{Task, TaskRef};

use super::GroupFailure;

/// The group's end of a child: a future of how it ended.
pub(super) struct Held<E> {
    pub(super) task: TaskRef,
    end: Pin<Box<dyn Future<Output = Ended<E>> + Send>>,
}

/// A child has ended. `gives` hands its value, or that there is none, to whoever awaits it.
pub(super) struct Ended<E> {
    pub(super) failure: Option<GroupFailure<E>>,
    pub(super) gives: Box<dyn FnOnce() + Send>,
}

impl<E> Future for Held<E> {
    type Output = Ended<E>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.end.as_mut().poll(cx)
    }
}

/// Both ends of a child.
pub(super) fn new<T, E>(mut task: Task<Result<T, E>>) -> (Held<E>, Child<T>)
where
    T: Send + 'static,
    E: Send + 'static,
{
    let watch = task.watch();
    let child = Child { task: Some(watch.clone()), slot: Slot::new(State::Open(None)) };
    let giver = Giver(child.slot.clone());
    let end = async move {
        // By reference: cancelling the group's own task is the group's business, and not a request to this child.
        let (value, failure) = match (&mut task).await {
            Ok(Ok(value)) => (Some(value), None),
            Ok(Err(error)) => (None, Some(GroupFailure::Error(error))),
            Err(panic) if !panic.is_cancelled() => (None, Some(GroupFailure::Panic(panic))),
            Err(_cancelled) => (None, None),
        };
        let gives = Box::new(move || giver.give(value));
        Ended { failure, gives: gives as Box<dyn FnOnce() + Send> }
    };
    (Held { task: watch, end: Box::pin(end) }, child)
}

/// A child of a [task group](crate::task_group). Awaiting it gives its value.
///
/// Dropping it changes nothing: the child is the group's.
///
/// # Cancellation
/// Dropping it, or cancelling who awaits it, leaves the child alone; [`cancel`](Self::cancel) asks it to end.
///
/// # Errors
/// [`NoValue`] if the child was cancelled, failed (the group's error tells how) or was refused.
///
/// # Panics
/// When polled again after it gave its result.
#[derive(Debug)]
pub struct Child<T> {
    /// None if it was refused.
    task: Option<TaskRef>,
    slot: Arc<Slot<T>>,
}

impl<T> Child<T> {
    pub(super) fn refused() -> Self {
        Self { task: None, slot: Slot::new(State::Given(None)) }
    }

    /// Asks the child to end; false if it had ended already or was refused. For the group this is no failure.
    #[allow(clippy::must_use_candidate)] // asking is what people do it for
    pub fn cancel(&self) -> bool {
        self.task.as_ref().is_some_and(TaskRef::cancel)
    }

    /// The child's task, to name it or watch it. `None` if the group refused it.
    #[must_use]
    pub fn task(&self) -> Option<&TaskRef> {
        self.task.as_ref()
    }
}

impl<T> Future for Child<T> {
    type Output = Result<T, NoValue>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let waker = cx.waker().clone();
        let mut state = self.slot.0.lock();
        match std::mem::replace(&mut *state, State::Taken) {
            State::Open(old) => {
                *state = State::Open(Some(waker));
                drop(state);
                drop(old);
                Poll::Pending
            }
            State::Given(value) => Poll::Ready(value.ok_or(NoValue { refused: self.task.is_none() })),
            State::Taken => {
                drop(state);
                panic!("a child of a task group was polled again after it had given its result")
            }
        }
    }
}

struct Slot<T>(Mutex<State<T>>);

enum State<T> {
    Open(Option<Waker>),
    Given(Option<T>),
    Taken,
}

impl<T> Slot<T> {
    fn new(state: State<T>) -> Arc<Self> {
        Arc::new(Self(Mutex::new(state)))
    }
}

impl<T> fmt::Debug for Slot<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("..")
    }
}

/// Fills the slot: with a value, or when it is dropped with the news that there is none.
struct Giver<T>(Arc<Slot<T>>);

impl<T> Giver<T> {
    fn give(&self, value: Option<T>) {
        let mut state = self.0.0.lock();
        let State::Open(waker) = &mut *state else { return };
        let waker = waker.take();
        *state = State::Given(value);
        drop(state);
        if let Some(waker) = waker {
            contain("a waker", || waker.wake());
        }
    }
}

impl<T> Drop for Giver<T> {
    fn drop(&mut self) {
        self.give(None);
    }
}

/// A [`Child`] gave no value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoValue {
    refused: bool,
}

impl NoValue {
    /// True if the child never ran: its group was aborting, or had ended.
    #[must_use]
    pub fn is_refused(&self) -> bool {
        self.refused
    }
}

impl fmt::Display for NoValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.refused {
            "the task group takes no more tasks: it is aborting or has ended; spawn before its end, or use unstuck::spawn"
        } else {
            "the child was cancelled or failed: if it failed, the error of its task group tells how"
        })
    }
}

impl Error for NoValue {}
