//! A child of a group: what the group holds of it, and what its spawner gets.
//!
//! The group keeps the child's handle, and so knows of a failure before anyone who awaits the child can trip over it. The
//! value takes a way of its own: the child leaves it in a drawer that its spawner has the other end of, and the group says
//! when that may be opened. So what the group holds does not depend on the type of the value, which need not be `Send`.

use std::error::Error;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};

use unstuck_core::job::contain;
use unstuck_core::proxy::{self, ProxyJoin};
use unstuck_core::sync::Mutex;
use unstuck_core::{Task, TaskRef};

use super::GroupFailure;

/// Runs a child's future, and leaves its value in the drawer.
pub(super) async fn run<T, E>(
    future: impl Future<Output = Result<T, E>>,
    drawer: Arc<Drawer<T>>,
) -> Result<(), E> {
    let value = future.await?;
    *drawer.0.lock() = Some(value);
    Ok(())
}

/// Where a child leaves its value.
pub(super) struct Drawer<T>(Mutex<Option<T>>);

impl<T> Drawer<T> {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self(Mutex::new(None)))
    }
}

/// Both ends of a child.
pub(super) fn new<T, E>(task: Task<Result<(), E>>, drawer: Arc<Drawer<T>>) -> (Held<E>, Child<T>) {
    let end = Arc::new(End::default());
    let child = Child {
        joined: Some(Joined { task: task.watch(), end: end.clone(), drawer }),
        state: Mutex::default(),
    };
    (Held { task, end: Some(Ender(end)) }, child)
}

/// The group's end of a child: a future of how it ended.
pub(super) struct Held<E> {
    pub(super) task: Task<Result<(), E>>,
    /// None once it has ended.
    end: Option<Ender>,
}

/// A child has ended. Dropping `end` tells whoever awaits it.
pub(super) struct Ended<E> {
    pub(super) failure: Option<GroupFailure<E>>,
    pub(super) end: Option<Ender>,
}

impl<E> Unpin for Held<E> {}

impl<E> Future for Held<E> {
    type Output = Ended<E>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        // By reference: cancelling the group's own task is the group's business, and not a request to this child.
        let ended = ready!(Pin::new(&mut &mut self.task).poll(cx));
        let end = self.end.take();
        let failure = match ended {
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some(GroupFailure::Error(error)),
            Err(panic) if !panic.is_cancelled() => Some(GroupFailure::Panic(panic)),
            Err(cancelled) => {
                if let Some(Ender(end)) = end.as_ref().filter(|_| cancelled.is_rejected()) {
                    end.0.lock().refused = true; // by the runtime, which ends
                }
                None
            }
        };
        Poll::Ready(Ended { failure, end })
    }
}

/// A child of a [task group](crate::task_group). Awaiting it gives its value.
///
/// Dropping it changes nothing: the child is the group's.
///
/// # Cancellation
/// As with a [`Task`]: when whoever awaits it *by value* is cancelled, the child is cancelled and its end awaited.
/// `(&mut child).await` leaves the child alone, and so does whoever just drops the wait. [`cancel`](Self::cancel) asks the
/// child to end.
///
/// # Errors
/// [`NoValue`] if the child was cancelled, failed (the group's error tells how) or was refused.
///
/// # Panics
/// When polled again after it gave its result.
pub struct Child<T> {
    /// None if it was refused.
    joined: Option<Joined<T>>,
    /// Behind a lock that nobody else wants: a future that is not `Unpin` gives safe code no `&mut`.
    state: Mutex<Awaited>,
}

/// What a child's result comes from.
struct Joined<T> {
    task: TaskRef,
    end: Arc<End>,
    drawer: Arc<Drawer<T>>,
}

#[derive(Default)]
struct Awaited {
    join: ProxyJoin,
    taken: bool,
}

impl<T> Child<T> {
    pub(super) fn refused() -> Self {
        Self { joined: None, state: Mutex::default() }
    }

    /// Asks the child to end; false if it had ended already or was refused. For the group this is no failure.
    #[allow(clippy::must_use_candidate)] // asking is what people do it for
    pub fn cancel(&self) -> bool {
        self.task().is_some_and(TaskRef::cancel)
    }

    /// The child's task, to name it or watch it. `None` if the group refused it.
    #[must_use]
    pub fn task(&self) -> Option<&TaskRef> {
        self.joined.as_ref().map(|joined| &joined.task)
    }

    /// The value, or why there is none.
    fn result(&self, taken: &mut bool, cx: &mut Context<'_>) -> Poll<Result<T, NoValue>> {
        assert!(!*taken, "a child of a task group was polled again after it had given its result");
        let value = match &self.joined {
            None => Err(NoValue { refused: true }),
            Some(Joined { task, end, drawer }) => {
                let refused = ready!(end.poll(cx));
                let value = drawer.0.lock().take();
                // Who cancels itself and then gives a value is cancelled.
                value.filter(|_| !task.is_cancelled()).ok_or(NoValue { refused })
            }
        };
        *taken = true;
        Poll::Ready(value)
    }
}

/// By value: a cancellation of whoever awaits goes to the child.
impl<T> Future for Child<T> {
    type Output = Result<T, NoValue>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Awaited { join, taken } = &mut *self.state.lock();
        match self.task() {
            Some(task) => join.poll(task, cx, |cx| self.result(taken, cx)),
            None => self.result(taken, cx),
        }
    }
}

/// By reference: the child is left alone.
impl<T> Future for &mut Child<T> {
    type Output = Result<T, NoValue>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let polled = self.result(&mut self.state.lock().taken, cx);
        if let Some(task) = self.task().filter(|_| polled.is_pending()) {
            proxy::note(task, cx);
        }
        polled
    }
}

// Never true, as for a `Task`: it lets `&mut Child` have a Future of its own.
impl<T> Unpin for Child<T> where Child<T>: never::Never {}

mod never {
    #[diagnostic::on_unimplemented(
        message = "a Child is not Unpin",
        note = "give `&mut child` to wait for it and leave it alone when the wait is cancelled, or `Box::pin(child)` to \
                take it along"
    )]
    pub trait Never {}
}

impl<T> fmt::Debug for Child<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Child").field("task", &self.task()).finish_non_exhaustive()
    }
}

/// Whether the group has seen the child's end.
#[derive(Default)]
struct End(Mutex<EndState>);

#[derive(Default)]
struct EndState {
    over: bool,
    /// The runtime refused the task.
    refused: bool,
    waker: Option<Waker>,
}

impl End {
    /// Ready when it has: true if the child was refused.
    fn poll(&self, cx: &Context<'_>) -> Poll<bool> {
        let waker = cx.waker().clone(); // the user's code, as its destructor: not under the lock
        let mut state = self.0.lock();
        if state.over {
            return Poll::Ready(state.refused);
        }
        let old = state.waker.replace(waker);
        drop(state);
        drop(old);
        Poll::Pending
    }
}

/// Says that a child has ended when it is dropped: also when the group has gone and waits for nobody.
pub(super) struct Ender(Arc<End>);

impl Drop for Ender {
    fn drop(&mut self) {
        let mut state = self.0.0.lock();
        state.over = true;
        let waker = state.waker.take();
        drop(state);
        if let Some(waker) = waker {
            contain("a waker", || waker.wake());
        }
    }
}

/// A [`Child`] gave no value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoValue {
    refused: bool,
}

impl NoValue {
    /// True if the child never ran: its group was aborting, or had ended, or its runtime takes no more tasks.
    #[must_use]
    pub fn is_refused(&self) -> bool {
        self.refused
    }
}

impl fmt::Display for NoValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.refused {
            "the task group takes no more tasks: it is aborting or has ended (then spawn before its end, or use unstuck::spawn), or \
             its runtime has (then gather futures: a cleanup may await, but not spawn)"
        } else {
            "the child was cancelled or failed: if it failed, the error of its task group tells how"
        })
    }
}

impl Error for NoValue {}
