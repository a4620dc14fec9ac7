//! Asking a task to end, and what can be asked about that.

use std::any::Any;

use super::{Frames, Reason};
use crate::context;
use crate::task::TaskRef;
use crate::task::state::Cancel;

impl TaskRef {
    /// Asks the task to end; false if it had ended already. See [`Task::cancel`](crate::Task::cancel).
    #[allow(clippy::must_use_candidate)]
    pub fn cancel(&self) -> bool {
        self.ask(None)
    }

    /// As [`cancel`](Self::cancel), and says why. See [`Task::cancel_with`](crate::Task::cancel_with).
    #[allow(clippy::must_use_candidate)]
    pub fn cancel_with<R: Any + Send + Sync>(&self, reason: R) -> bool {
        self.ask(Some(Reason::new(reason)))
    }

    fn ask(&self, reason: Option<Reason>) -> bool {
        context::cancels_itself(self.as_raw(), true);
        let unfinished = self.request(reason);
        if !unfinished {
            self.header().look_away(); // whoever cancels it knows that it has failed, or does not care
        }
        unfinished
    }

    /// How many requests to cancel it have come, less those taken back: asyncio's `cancelling()`. Another thread may find one
    /// missing for the moment in which a worker delivers it.
    #[must_use]
    pub fn cancelling(&self) -> u32 {
        let landed = self.header().frames().map_or(0, Frames::requests);
        landed + u32::from(self.header().state.is_cancelling())
    }

    /// Takes a request back, and gives how many are left: asyncio's `uncancel()`, for code that has caught a
    /// cancellation and means to go on. The last one takes back a request that has not been delivered yet, too.
    #[allow(clippy::must_use_candidate)]
    pub fn uncancel(&self) -> u32 {
        let header = self.header();
        let counted = header.frames().is_some_and(Frames::uncount);
        if !counted {
            if header.state.take_cancel() {
                drop(header.frames().and_then(Frames::take_reason)); // or the next request would have it
            }
            context::cancels_itself(self.as_raw(), false);
        }
        self.cancelling()
    }

    /// Leaves a request with the task.
    pub(in crate::task) fn request(&self, reason: Option<Reason>) -> bool {
        if let Some(reason) = reason.filter(|_| !self.is_done()) {
            self.frames().set_reason(reason);
        }
        match self.cancel_in_word() {
            Cancel::Submit | Cancel::Requested => true,
            Cancel::Joined => {
                self.frames().count();
                true
            }
            Cancel::Finished => false,
        }
    }

    /// Asks the task to end, because its runtime does. One that cleans up after another cancellation is not interrupted;
    /// it is asked if it swallows that one.
    pub(crate) fn cancel_at_the_end(&self) {
        if !self.header().frames().is_some_and(|frames| frames.cancel_if_swallowed(self)) {
            self.request(None);
        }
    }

    /// Asks the task to end, and nothing in it can catch that.
    pub(crate) fn destroy(&self) {
        self.header().doom();
        self.request(None);
    }

    /// True while a request is on its way, or has landed and is being dealt with.
    pub(in crate::task) fn is_unwinding(&self) -> bool {
        self.is_cancelling() || self.header().frames().is_some_and(Frames::are_unwinding)
    }

    /// As [`is_unwinding`](Self::is_unwinding), for a request from outside alone, and not for what a scope inside asks for.
    pub(in crate::task) fn has_heard_of_a_request(&self) -> bool {
        self.is_cancelling() || self.header().frames().is_some_and(Frames::deal_with_a_request)
    }

    /// The tasks that it awaits by value.
    pub(in crate::task) fn joined(&self) -> Vec<TaskRef> {
        self.header().frames().map(Frames::joined).unwrap_or_default()
    }

    pub(in crate::task) fn frames(&self) -> &Frames {
        self.header().extra.get_or_make().frames()
    }
}
