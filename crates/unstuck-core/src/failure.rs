//! Failures that nobody would see otherwise: asyncio's exception handler.
//!
//! A task that panics keeps its panic for whoever awaits it. If its last chance to be looked at goes by (the handle is
//! dropped, or was dropped before), the failure is told here, once. So are calls that panic, which nobody can await, and
//! tasks that are destroyed while they are pending.
//!
//! The task remembers where to tell it when it fails, while its home is certainly alive; the handle may outlive both.

use std::any::Any;
use std::fmt;
use std::panic::Location;
use std::sync::Arc;

use crate::error::{JoinError, Origin};
use crate::job::{contain, say};
use crate::task::TaskRef;

/// Where failures are told.
pub type FailureSink = Arc<dyn Fn(&Failure) + Send + Sync>;

/// A failure that nobody would see otherwise. Its text says what failed, where it came from, and what to do.
pub struct Failure {
    kind: FailureKind,
    task: Option<TaskRef>,
    error: JoinError,
}

/// How it comes that nobody saw it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FailureKind {
    /// A task panicked, and its handle is gone: nobody looked at the result, and nobody can any more.
    Unseen,
    /// As `Unseen`, but it panicked while its runtime was ending, perhaps because it was cancelled.
    Leftover,
    /// A plain function called by the loop (`call_soon`, `call_later`, `call_at`, a done callback) panicked.
    Call,
    /// A loop was closed while the task was pending.
    Destroyed,
}

impl Failure {
    /// `task` failed with `error`.
    pub(crate) fn of_task(kind: FailureKind, task: TaskRef, error: JoinError) -> Self {
        Self { kind, task: Some(task), error }
    }

    /// A plain function that was called on behalf of `place` panicked with `payload`; it is called `name`.
    #[doc(hidden)]
    pub fn of_call(name: Arc<str>, place: &'static Location<'static>, payload: Box<dyn Any + Send>) -> Self {
        let origin = Origin::new("call", place).with_name(Some(name));
        Self { kind: FailureKind::Call, task: None, error: JoinError::panicked(origin, payload) }
    }

    /// `task` is about to be destroyed while it is pending.
    #[doc(hidden)]
    pub fn destroyed(task: TaskRef) -> Self {
        let error = JoinError::cancelled(task.origin());
        Self { kind: FailureKind::Destroyed, task: Some(task), error }
    }

    /// How it comes that nobody saw it.
    pub fn kind(&self) -> FailureKind {
        self.kind
    }

    /// The task, if it was one.
    pub fn task(&self) -> Option<&TaskRef> {
        self.task.as_ref()
    }

    /// What awaiting it would have given.
    pub fn error(&self) -> &JoinError {
        &self.error
    }

    /// The panic's message, if it was a panic with a text.
    pub fn message(&self) -> Option<&str> {
        self.error.panic_message()
    }

    /// The place in the source that spawned the task or asked for the call.
    pub fn place(&self) -> &'static Location<'static> {
        self.error.place()
    }

    /// Tells `sink`, or stderr if there is none. A panic of the sink is said on stderr and survived.
    pub fn tell(&self, sink: Option<&FailureSink>) {
        match sink {
            Some(sink) => drop(contain("the exception handler", || sink(self))),
            None => say(format_args!("{self}")),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            FailureKind::Unseen => {
                write!(f, "{}, and nobody looked at its result: await it, or ask try_result()", self.error)
            }
            FailureKind::Leftover => write!(f, "{} while its runtime ended", self.error),
            FailureKind::Call => self.error.fmt(f),
            FailureKind::Destroyed => write!(
                f,
                "{} was destroyed while it was pending: await it, cancel it, or use run_single(..), which does both",
                self.error.origin()
            ),
        }
    }
}

impl fmt::Debug for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Failure")
            .field("kind", &self.kind)
            .field("error", &self.error)
            .finish_non_exhaustive()
    }
}
