#![allow(unsafe_code)] // Handles are counted references to the task's one allocation.
//! What people hold of a task: [`Task`], which owns its result, and [`TaskRef`], which does not.

use std::any::Any;
use std::fmt;
use std::marker::PhantomData;
use std::mem::ManuallyDrop;
use std::panic::Location;
use std::ptr::NonNull;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use super::extra::Extra;
#[cfg(doc)]
use super::frames::catch_cancel;
use super::header::{Header, discard_outcome, drop_last_refs, take_outcome};
use super::join::Joining;
use super::state::{Cancel, Let};
use super::waker::submit;
use crate::error::{JoinError, Origin};
use crate::job::contain;
use crate::{block_on, vars};
use crate::{guard, inspect};

/// A spawned task. Awaiting it gives its result.
///
/// The task runs whether or not it is awaited. Dropping the handle detaches the task: it goes on, and its result is
/// dropped when it ends. A panic that nobody looks at before the handle is gone is [reported](crate::Failure), once.
///
/// # Cancellation
/// [`Task::cancel`] asks the task to end: a [frame](catch_cancel) in it may catch that and clean up; otherwise its future is
/// dropped at the await point where it stands (or right after the poll it is in), and its destructors run. Awaiting the
/// handle then gives an error that [is_cancelled](JoinError::is_cancelled).
///
/// When the task *that awaits it* is cancelled, or a timeout around the wait is over:
/// * `task.await`, by value, takes the task along: it is cancelled too, and the cancellation of the waiter goes on when it
///   has ended. If it catches the cancellation and gives a value, the waiter gets that and goes on.
/// * `(&mut task).await` leaves it alone, as asyncio's `shield` does.
///
/// Dropping a future that awaits the task, outside of any cancellation, does not touch the task.
///
/// # Errors
/// Awaiting it gives [`JoinError`] when the task was cancelled, panicked, or was refused because its runtime has shut
/// down; and when a task awaits itself, which would wait for ever.
///
/// # Panics
/// Polling it again after it gave its result panics.
#[must_use = "dropping a Task detaches it; `.detach()` says so"]
pub struct Task<T> {
    /// Given up by `drop`, with HANDLE in one step if possible.
    pub(super) raw: ManuallyDrop<TaskRef>,
    /// How it takes part in cancellations while it is awaited by value; boxed, so that a handle is two words and stays in
    /// registers on its way to whoever spawned it.
    pub(super) joining: Option<Box<Joining<T>>>,
    output: PhantomData<T>,
}

// SAFETY: the handle gives out a `T`; everything else about it is atomic.
unsafe impl<T: Send> Send for Task<T> {}
// SAFETY: through a shared handle one reads the header only, never the result.
unsafe impl<T: Send> Sync for Task<T> {}

impl<T> Task<T> {
    /// # Safety
    /// The caller owns the handle's reference and HANDLE is set; `T` is the output of the task's future.
    pub(super) unsafe fn from_raw(header: NonNull<Header>) -> Self {
        // SAFETY: the caller's promise.
        let raw = unsafe { TaskRef::from_raw(header) };
        Self { raw: ManuallyDrop::new(raw), joining: None, output: PhantomData }
    }

    pub(super) fn raw(&self) -> &TaskRef {
        &self.raw
    }

    /// Lets the task go on by itself, as dropping the handle does, but visibly on purpose.
    pub fn detach(self) {
        drop(self);
    }

    /// Asks the task to end; false if it had ended already.
    ///
    /// The request is delivered at the await point where the task stands; code that runs at this moment goes on to
    /// its next await. If the task finishes first, its value wins. Await the task to wait for its real end.
    ///
    /// Who cancels a task that has failed has seen that it ended: the failure is not [reported](crate::Failure) then.
    #[allow(clippy::must_use_candidate)] // asking is what people do it for
    pub fn cancel(&self) -> bool {
        self.raw.cancel()
    }

    /// As [`cancel`](Self::cancel), and says why: whoever [catches](catch_cancel) it or awaits the task gets to
    /// [see the reason](JoinError::reason).
    #[allow(clippy::must_use_candidate)]
    pub fn cancel_with<R: Any + Send + Sync>(&self, reason: R) -> bool {
        self.raw.cancel_with(reason)
    }

    /// How many requests to cancel it have come, less those [taken back](TaskRef::uncancel).
    #[must_use]
    pub fn cancelling(&self) -> u32 {
        self.raw.cancelling()
    }

    /// Takes a request back. See [`TaskRef::uncancel`].
    #[allow(clippy::must_use_candidate)]
    pub fn uncancel(&self) -> u32 {
        self.raw.uncancel()
    }

    /// True once it has ended: by giving a value, by a panic or by cancellation.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.raw.is_done()
    }

    /// True if it ended by cancellation: awaiting it gives (or gave) an error that
    /// [is_cancelled](JoinError::is_cancelled).
    ///
    /// False while it runs, also when a cancellation is on its way, and false for a task that gave a value all the same.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.raw.is_cancelled()
    }

    /// Blocks this thread until the task has ended, and gives its result. For plain threads: in a task, await it.
    ///
    /// A single-threaded loop runs nothing while nobody runs it: on its own thread this would wait for ever.
    ///
    /// # Errors
    /// As awaiting it.
    ///
    /// # Panics
    /// Panics inside async code, which it would stall, and when the result was taken before.
    #[track_caller]
    pub fn wait(self) -> Result<T, JoinError> {
        block_on::wait("wait", self)
    }

    /// The result if the task has ended, without waiting.
    ///
    /// # Panics
    /// Panics when the result was taken before.
    pub fn try_result(&mut self) -> Option<Result<T, JoinError>> {
        if !self.is_done() {
            return None;
        }
        let mut outcome = Poll::Pending;
        // SAFETY: complete, we are its handle, and `T` is its output type (`from_raw`).
        unsafe { take_outcome(self.raw.0, &mut outcome) };
        match outcome {
            Poll::Ready(result) => Some(result),
            Poll::Pending => None,
        }
    }

    /// The task's number, unique in this process.
    #[must_use]
    pub fn id(&self) -> TaskId {
        self.raw.id()
    }

    /// The task's name: the one it was given, or `task-` and its number.
    #[must_use]
    pub fn name(&self) -> Arc<str> {
        self.raw.name()
    }

    /// Names the task, for reports and errors.
    pub fn set_name(&self, name: impl Into<Arc<str>>) {
        self.raw.set_name(name);
    }

    /// A reference to the task that does not own its result: to cancel or watch it from elsewhere.
    #[must_use]
    pub fn watch(&self) -> TaskRef {
        self.raw().clone()
    }
}

impl<T> Drop for Task<T> {
    #[inline]
    fn drop(&mut self) {
        if self.raw.header().state.has_waiter() {
            inspect::gone(self.key());
        }
        // SAFETY: we are the handle, and go away; `raw` is not used again.
        unsafe { drop_handle(ManuallyDrop::take(&mut self.raw)) };
    }
}

impl<T> fmt::Debug for Task<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Task").field(self.raw()).finish()
    }
}

/// # Safety
/// The caller is the handle, and never touches the outcome or the waiter again.
#[inline]
unsafe fn drop_handle(task: TaskRef) {
    match task.header().state.drop_handle() {
        Let::Gone => std::mem::forget(task), // with our reference
        Let::Waiter => {
            // SAFETY: `drop_handle` took WAITER away before the task completed: the field is ours (rule 3).
            let waker = unsafe { task.header().take_waiter() };
            contain("a waker", || drop(waker));
        }
        // SAFETY: complete, and the handle owns the outcome (rule 2).
        Let::Finished => unsafe { discard_outcome(task.0) },
    }
}

/// A reference to a task that does not own its result: to watch it, name it or cancel it.
pub struct TaskRef(NonNull<Header>);

// SAFETY: a counted reference to a header, which is made to be shared by threads; the future is out of reach.
unsafe impl Send for TaskRef {}
// SAFETY: as above.
unsafe impl Sync for TaskRef {}

/// A task's number, unique in this process.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TaskId(pub(super) u64);

impl TaskId {
    /// The task with this number.
    pub(crate) fn new(number: u64) -> Self {
        Self(number)
    }
}

impl TaskRef {
    /// It is a call that the runtime runs on a worker, and nobody's task.
    pub(crate) fn is_call(&self) -> bool {
        self.header().id.is_call()
    }

    /// # Safety
    /// The caller owns a reference, which goes to the result.
    pub(super) unsafe fn from_raw(header: NonNull<Header>) -> Self {
        Self(header)
    }

    /// A reference to the task being polled.
    ///
    /// # Safety
    /// `header` is alive.
    pub(crate) unsafe fn to_running(header: NonNull<Header>) -> Self {
        // SAFETY: alive, says the caller.
        unsafe { header.as_ref().state.add_ref() };
        Self(header)
    }

    #[inline]
    pub(super) fn header(&self) -> &Header {
        // SAFETY: we hold a reference.
        unsafe { self.0.as_ref() }
    }

    /// Sets the request in the task's word, and sees to it that somebody comes to deliver it.
    pub(super) fn cancel_in_word(&self) -> Cancel {
        let cancel = self.header().state.cancel();
        if cancel == Cancel::Submit {
            // SAFETY: `cancel` moved the state to SCHEDULED and made a reference for the runnable.
            unsafe { submit(self.0) };
        }
        cancel
    }

    pub(crate) fn as_raw(&self) -> NonNull<Header> {
        self.0
    }

    pub(crate) fn origin(&self) -> Origin {
        self.header().origin()
    }

    /// True once it has ended.
    #[must_use]
    #[inline]
    pub fn is_done(&self) -> bool {
        self.header().state.is_complete()
    }

    /// True if it ended by cancellation. See [`Task::is_cancelled`].
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.header().state.is_cancelled()
    }

    /// True while a cancellation is requested and not yet delivered.
    #[must_use]
    pub fn is_cancelling(&self) -> bool {
        self.header().state.is_cancelling()
    }

    /// True while a thread is polling it.
    #[must_use]
    pub fn is_running(&self) -> bool {
        !self.is_done() && self.header().id.is_polled()
    }

    /// The task's number, unique in this process.
    #[must_use]
    pub fn id(&self) -> TaskId {
        TaskId(self.header().id.get())
    }

    /// The task's name: the one it was given, or `task-` and its number.
    #[must_use]
    pub fn name(&self) -> Arc<str> {
        self.header().name().unwrap_or_else(|| format!("task-{}", self.header().id.get()).into())
    }

    /// Names the task, for reports and errors.
    pub fn set_name(&self, name: impl Into<Arc<str>>) {
        self.header().extra.get_or_make().set_name(name.into());
    }

    /// One step of the task may take so long before it is reported, whatever the runtime's rule is: asyncio's
    /// `slow_callback_duration`, for one task. What waits behind the step is rescued as ever.
    pub fn set_slow_step(&self, time: Duration) {
        self.header().extra.get_or_make().set_slow_step(time);
        guard::somebody_is_special();
    }

    /// What was set for this task by [`set_slow_step`](Self::set_slow_step).
    pub fn slow_step(&self) -> Option<Duration> {
        self.header().extra.get().and_then(Extra::slow_step)
    }

    /// Gives `f` the task's context variables. It runs no user code.
    pub(crate) fn with_context<R>(&self, f: impl FnOnce(&mut vars::Context) -> R) -> R {
        match self.header().extra.get() {
            Some(extra) => f(&mut extra.context.lock()),
            None => self.with_first_context(f),
        }
    }

    /// The same for a task that had none: a place for it is made only if something was put into it.
    #[cold]
    fn with_first_context<R>(&self, f: impl FnOnce(&mut vars::Context) -> R) -> R {
        let mut context = vars::Context::new();
        let value = f(&mut context);
        if !context.is_new() {
            *self.header().extra.get_or_make().context.lock() = context;
        }
        value
    }

    /// The place in the source that spawned it.
    #[must_use]
    pub fn place(&self) -> &'static Location<'static> {
        self.header().place
    }
}

impl Clone for TaskRef {
    fn clone(&self) -> Self {
        self.header().state.add_ref();
        Self(self.0)
    }
}

impl Drop for TaskRef {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: the reference is ours.
        unsafe { drop_last_refs(self.0, 1) };
    }
}

impl PartialEq for TaskRef {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}

impl Eq for TaskRef {}

impl fmt::Debug for TaskRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match (self.is_done(), self.is_running(), self.is_cancelling()) {
            (true, _, _) => "done",
            (_, true, _) => "running",
            (_, _, true) => "cancelling",
            _ => "waiting",
        };
        f.debug_struct("Task")
            .field("id", &self.header().id.get())
            .field("name", &self.name())
            .field("state", &state)
            .field("spawned_at", &format_args!("{}:{}", self.place().file(), self.place().line()))
            .finish()
    }
}

impl fmt::Display for TaskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for TaskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TaskId({})", self.0)
    }
}
