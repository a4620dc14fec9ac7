//! A task that failed remembers how to tell it, until somebody looks: see `failure.rs`.

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

impl TaskRef {
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
