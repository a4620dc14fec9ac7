//! Who is told of failures that nobody would see otherwise: asyncio's exception handler.

use std::sync::Arc;

use unstuck_core::sync::Mutex;
use unstuck_core::{Failure, FailureSink};

/// The handler of one runtime, which may be changed while it runs. Without one, stderr.
#[derive(Clone, Default)]
pub(crate) struct Failures(Arc<Mutex<Option<FailureSink>>>);

impl Failures {
    pub(crate) fn new(handler: Option<FailureSink>) -> Self {
        Self(Arc::new(Mutex::new(handler)))
    }

    pub(crate) fn set(&self, handler: FailureSink) {
        let old = self.0.lock().replace(handler);
        drop(old); // its destructor is the user's: not under the lock
    }

    pub(crate) fn tell(&self, failure: &Failure) {
        let handler = self.0.lock().clone();
        failure.tell(handler.as_ref());
    }

    /// For the core, which knows no more than where to tell.
    pub(crate) fn sink(&self) -> FailureSink {
        let failures = self.clone();
        Arc::new(move |failure| failures.tell(failure))
    }
}
