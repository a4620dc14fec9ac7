//! Plain functions called by the loop: `call_soon`, `call_later`, `call_at`.
//!
//! A call is a small task, so it takes its turn in the same queue as every task, first in first out on the
//! single-threaded loop, and a panic in it stops nothing else.

use unstuck_core::{Task, TaskId};
use unstuck_time::{Instant, sleep_until};

use crate::runtime::Handle;

/// A call that was scheduled: asyncio's `Handle`. Dropping it changes nothing; the call comes.
#[derive(Debug)]
pub struct CallHandle(Task<()>);

impl CallHandle {
    /// Takes the call back; false if it has been made (or is being made) already.
    #[allow(clippy::must_use_candidate)] // taking it back is what people do it for
    pub fn cancel(&self) -> bool {
        self.0.cancel()
    }

    /// True once the call has been made or taken back.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.0.is_done()
    }

    /// The number of the task that makes the call.
    #[must_use]
    pub fn id(&self) -> TaskId {
        self.0.id()
    }
}

#[track_caller]
pub(crate) fn soon(handle: &Handle, f: impl FnOnce() + Send + 'static) -> CallHandle {
    CallHandle(handle.spawn_named(Some("call_soon".into()), async move { f() }))
}

#[track_caller]
pub(crate) fn at(handle: &Handle, when: Instant, f: impl FnOnce() + Send + 'static) -> CallHandle {
    CallHandle(handle.spawn_named(Some("call_at".into()), async move {
        sleep_until(when).await;
        f();
    }))
}
