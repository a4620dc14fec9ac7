//! What a task tells of its end: a cancellation to its handle, and a failure, which it remembers until somebody looks
//! (`failure.rs`).

use std::any::Any;

use super::TaskRef;
use super::header::Header;
use super::home::Home;
use crate::error::{JoinError, Origin};
use crate::failure::{Failure, FailureKind, FailureSink};
use crate::job::contain;

/// How to tell the failure of a task.
pub(super) struct Unseen {
    kind: FailureKind,
    sink: Option<FailureSink>,
}

impl Header {
    pub(super) fn origin(&self) -> Origin {
        Origin::new("task", self.place).with_id(self.id.get()).with_name(self.name())
    }

    /// The task has panicked, and its home is certainly alive, which the handle may outlive.
    #[cold]
    pub(super) fn note_failure(&self, home: &dyn Home) {
        let kind = if home.registry().is_closed() { FailureKind::Leftover } else { FailureKind::Unseen };
        let unseen = Unseen { kind, sink: home.failure_sink() };
        *self.extra.get_or_make().unseen.lock() = Some(unseen);
    }

    /// If it has failed, nobody needs to be told any more.
    pub(super) fn look_away(&self) {
        let unseen = self.extra.get().and_then(|extra| extra.unseen.lock().take());
        contain("the exception handler's destructor", || drop(unseen));
    }
}

/// The error of a cancelled task that is no larger than this keeps the task.
const SMALL: usize = 256;

impl TaskRef {
    /// The task was cancelled, which takes `size` bytes: what its handle is told.
    ///
    /// An error may be kept for long. So it keeps nothing of the user's that the task has by now (a name, the values of context
    /// variables), nor much more room than it would need itself.
    #[cold]
    pub(super) fn cancellation(self, size: usize) -> JoinError {
        match self.header().extra.get() {
            None if size <= SMALL => JoinError::cancelled_task(self),
            extra => {
                let reason = extra.and_then(|extra| extra.frames().take_reason());
                JoinError::cancelled_for(self.origin(), reason)
            }
        }
    }

    /// Nobody looked at the task's failure, and nobody can any more.
    #[cold]
    pub(super) fn tell_failure(self, payload: Box<dyn Any + Send>) {
        if let Some(Unseen { kind, sink }) =
            self.header().extra.get().and_then(|extra| extra.unseen.lock().take())
        {
            let error = JoinError::panicked(self.origin(), payload);
            Failure::of_task(kind, self, error).tell(sink.as_ref());
        }
    }
}
