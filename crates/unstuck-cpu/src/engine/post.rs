//! Jobs that wait, on the threads that they hold meanwhile.

use std::sync::Weak;

use unstuck_core::job::{CancelToken, Host};

use super::{BUSY, Busy, Engine, Entry, MAX_EXTRA};

/// Where a job that is about to sleep says so.
pub(super) struct Post(pub(super) Weak<Engine>);

impl Host for Post {
    fn waits(&self) -> Result<(), String> {
        let Some(engine) = self.0.upgrade() else { return Ok(()) };
        let tell = |first: &Entry| {
            let me = CancelToken::current().map_or("a closure".into(), |job| job.to_string());
            let (name, threads) = (&engine.recipe.name, engine.recipe.threads);
            format!(
                "{me} would wait on the last thread of '{name}' that does not wait already ({threads} and {MAX_EXTRA} \
                 added), and {} is queued behind it: await it in a task, or use rayon's join",
                first.job.token(),
            )
        };
        let call = engine.roll.waits(BUSY.get() == Busy::InShift, tell)?;
        engine.permits.lend();
        engine.send(call);
        Ok(())
    }

    fn goes_on(&self) {
        if let Some(engine) = self.0.upgrade() {
            engine.permits.take_back();
            engine.roll.goes_on(BUSY.get() == Busy::InShift);
        }
    }
}
