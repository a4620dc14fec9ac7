//! Jobs that wait, on the threads that they hold meanwhile.

use std::cell::Cell;
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::thread::{self, ThreadId};
use std::time::Duration;

use unstuck_core::job::{Awaits, CancelToken, Host, say};
use unstuck_core::sync::Mutex;

use super::{BUSY, Busy, Engine, Entry, MAX_EXTRA};
use crate::roll::{Allowed, Goes};

/// So long after the last thread of a pool has begun to wait it looks whether the pool stands still.
const PATIENCE: Duration = Duration::from_secs(1);

/// Where a job that is about to sleep says so.
pub(super) struct Post {
    engine: Weak<Engine>,
    /// What the threads that wait wait for.
    waits: Mutex<HashMap<ThreadId, Awaits>>,
    /// A standstill has been reported.
    told: AtomicBool,
}

thread_local! {
    /// Only a job of its pool can end the wait of this thread.
    static BOUND: Cell<bool> = const { Cell::new(false) };
    /// What the roll has said when it was asked last, and when to ask again.
    static ASKED: Cell<(u64, Duration)> = const { Cell::new((0, PATIENCE)) };
}

impl Post {
    pub(super) fn new(engine: Weak<Engine>) -> Self {
        Self { engine, waits: Mutex::default(), told: AtomicBool::new(false) }
    }

    /// Why this thread must not wait, if nothing that the threads of its pool wait for can ever happen.
    fn circle(&self, engine: &Arc<Engine>) -> Option<String> {
        let key = engine.key();
        let waits = self.waits.lock();
        let is_bound =
            |awaits: &Awaits| matches!(awaits, Awaits::Jobs(jobs) if jobs.iter().all(|job| job.is_for(key)));
        if !waits.values().all(is_bound) {
            return None;
        }
        let awaited = match waits.get(&thread::current().id()) {
            Some(Awaits::Jobs(jobs)) => jobs.first().map(ToString::to_string),
            _ => None,
        };
        let (name, threads) = (&engine.recipe.name, engine.recipe.threads);
        Some(format!(
            "{} would wait for {} on the last thread of '{name}' that does not wait for its jobs already ({threads} and \
             {MAX_EXTRA} added): await it in a task, or use rayon's join",
            me(),
            awaited.unwrap_or_default(),
        ))
    }

    fn forget(&self) {
        let gone = self.waits.lock().remove(&thread::current().id());
        drop(gone); // not under the lock
    }

    /// All threads wait, jobs are queued, and nothing has happened for a while. Said once: it may be as it should.
    #[cold]
    fn tell(&self, engine: &Engine, first: &str, queued: usize) {
        // Relaxed: a once-flag that guards nothing.
        if self.told.swap(true, Ordering::Relaxed) {
            return;
        }
        say(format_args!(
            "'{}' stands still: all its threads wait ({} and {MAX_EXTRA} added), as {} does, and {queued} jobs are queued, the \
             first one is {first}. They run when one of the waits ends. If that one waits for these, none ever does: \
             await in tasks instead of blocking in jobs",
            engine.recipe.name,
            engine.recipe.threads,
            me(),
        ));
    }
}

fn me() -> String {
    CancelToken::current().map_or("a closure".into(), |job| job.to_string())
}

fn patience(turns: u64, patience: Duration) -> Option<Duration> {
    ASKED.set((turns, patience));
    Some(patience)
}

impl Host for Post {
    fn waits(&self, awaits: Awaits) -> Result<Option<Duration>, String> {
        let Some(engine) = self.engine.upgrade() else { return Ok(None) };
        let bound = matches!(&awaits, Awaits::Jobs(jobs) if jobs.iter().all(|job| job.is_for(engine.key())));
        self.waits.lock().insert(thread::current().id(), awaits);
        let circle = || self.circle(&engine);
        let waits = engine.roll.waits(BUSY.get() == Busy::InShift, bound, circle);
        let Allowed { call, last, turns } = waits.inspect_err(|_| self.forget())?;
        BOUND.set(bound);
        engine.permits.lend();
        engine.send(call);
        Ok(if last { patience(turns, PATIENCE) } else { None })
    }

    fn still_waits(&self) -> Result<Option<Duration>, String> {
        let Some(engine) = self.engine.upgrade() else { return Ok(None) };
        let (turns, before) = ASKED.get();
        let name = |first: &Entry, queued| (first.job.token().to_string(), queued);
        let Some(Goes { turns, nowhere }) = engine.roll.stands_still(turns, || self.circle(&engine), name)?
        else {
            return Ok(None);
        };
        if let Some((first, queued)) = nowhere {
            self.tell(&engine, &first, queued);
        }
        Ok(patience(turns, before.saturating_mul(2)))
    }

    fn goes_on(&self) {
        if let Some(engine) = self.engine.upgrade() {
            engine.permits.take_back();
            let call = engine.roll.goes_on(BUSY.get() == Busy::InShift, BOUND.get());
            engine.send(call);
        }
        // Afterwards: who is counted as waiting is listed.
        self.forget();
    }
}
