//! The end of a run, up to the moment when the tasks that are left have been cancelled.
//!
//! A paused clock stands still meanwhile. Otherwise the workers, who find that everybody waits, would let it jump to what
//! those tasks sleep for, and they would go on instead of being cancelled.

use std::cell::Cell;
use std::future::Future;

use unstuck_time::HoldGuard;

use super::{OnExit, Runtime};

/// One run. When it is dropped, what is left has been cancelled, if that is what becomes of it.
pub(super) struct Ending<'a> {
    runtime: &'a Runtime,
    hold: Cell<Option<HoldGuard>>,
}

impl<'a> Ending<'a> {
    pub(super) fn of(runtime: &'a Runtime) -> Self {
        Self { runtime, hold: Cell::new(None) }
    }

    /// `future`; however it ends, the clock is held from then on. It ends in a poll, and so while this thread still counts
    /// as awake.
    pub(super) fn after<F: Future>(&self, future: F) -> impl Future<Output = F::Output> {
        let holds = Holds(self);
        async move {
            let _holds = holds;
            future.await
        }
    }
}

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        if self.runtime.handle.stack().exit.on_exit == OnExit::Cancel {
            self.runtime.scheduler.close();
        }
        drop(self.hold.take()); // cleanup may sleep
    }
}

struct Holds<'a>(&'a Ending<'a>);

impl Drop for Holds<'_> {
    fn drop(&mut self) {
        self.0.hold.set(Some(self.0.runtime.handle.stack().time.clock().hold()));
    }
}
