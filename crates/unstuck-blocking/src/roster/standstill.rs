//! What happens while jobs wait: rule 6 of the roster.
//!
//! A job that waits leaves its room, and lets another thread work in its place while threads may be added. When no more may
//! be, it waits all the same: the pool *stands still*, and goes on when one of the waits ends. Most do, by themselves.
//!
//! A *circle* never does: each thread waits for something that only a thread of this very pool can bring about. So each
//! wait says whether it is *bound* to this pool, and the last one to fall asleep, if all are, looks whether what they wait
//! for is still to come. If so its wait is refused. One refusal is enough: that thread goes on.
//!
//! # Why a refusal is never wrong
//! Asked under the roster's lock, with all threads absent: no job of the pool ends while we look, since that takes a thread
//! of the pool, which first has to come back. (Somebody outside may *cancel* a job that is waited for. Then the refusal was
//! one that a program with more luck would not have seen.)
//!
//! # Dropped
//! A refusal whenever all threads wait and jobs are queued: 300 closures that sleep in `block_on` on a pool of four failed
//! by the dozen, though nothing was wrong with them. A refusal after a second without progress: so does a pool stand that
//! waits for a slow server.

use super::{
    Call, Counts, Inner, LETS_ALL_WAIT, REFUSES_AT_A_STANDSTILL, Roster, Rules, WAITS_WITHOUT_CALLING,
};
use crate::lanes::Lane;

/// A wait that was allowed.
pub(crate) struct Allowed {
    pub(crate) call: Call,
    /// All threads wait, and no more may be added.
    pub(crate) last: bool,
    /// What [`Roster::stands_still`] is to be asked with.
    pub(crate) turns: u64,
}

/// What goes on in a pool in which somebody has waited for long.
pub(crate) enum Goes<D> {
    /// Other threads work, or may be added.
    On,
    /// Jobs have come and gone since, so many.
    Slowly(u64),
    /// Nothing has happened since, and jobs are queued; of the first one this was said.
    Nowhere(Option<D>),
}

impl<T, const FAULT: u8> Roster<T, FAULT> {
    /// The job of that lane on some thread is about to wait for something else: until it
    /// [`goes_on`](Self::goes_on) another thread may work in its place. `bound` says that only a thread of this pool can end
    /// the wait. If all threads wait so, it is refused with what `circle` gives, if that finds that nothing they wait for has
    /// happened.
    pub(crate) fn waits<D>(
        &self,
        lane: Lane,
        bound: bool,
        circle: impl FnOnce() -> Option<D>,
    ) -> Result<Allowed, D> {
        let mut inner = self.inner.lock();
        inner.absent += 1;
        inner.bound += usize::from(bound);
        inner.lanes.leaves(lane);
        let call =
            if FAULT == WAITS_WITHOUT_CALLING { Call::Nobody } else { inner.call_also_outside(&self.rules) };
        self.tell_bringers(&inner);
        let last = matches!(call, Call::Nobody) && inner.all_wait(&self.rules);
        let suspect = inner.all_are_bound() || FAULT == REFUSES_AT_A_STANDSTILL;
        if last && suspect && FAULT != LETS_ALL_WAIT {
            if let Some(why) = circle() {
                inner.comes_back(lane, bound);
                return Err(why);
            }
        }
        Ok(Allowed { call, last, turns: inner.turns })
    }

    /// A job that waited goes on.
    pub(crate) fn goes_on(&self, lane: Lane, bound: bool) {
        self.inner.lock().comes_back(lane, bound);
    }

    /// The last one to wait asks again, some time later: see [`waits`](Self::waits). `turns` is what it was told then.
    pub(crate) fn stands_still<D, E>(
        &self,
        turns: u64,
        circle: impl FnOnce() -> Option<D>,
        describe: impl FnOnce(&T) -> E,
    ) -> Result<Goes<E>, D> {
        let inner = self.inner.lock();
        if !inner.all_wait(&self.rules) {
            return Ok(Goes::On);
        }
        if inner.all_are_bound() {
            if let Some(why) = circle() {
                return Err(why);
            }
        }
        let first = inner.lanes.first().or(inner.door.first());
        Ok(if inner.turns == turns { Goes::Nowhere(first.map(describe)) } else { Goes::Slowly(inner.turns) })
    }

    pub(crate) fn counts(&self) -> Counts {
        let inner = self.inner.lock();
        Counts {
            threads: inner.threads,
            idle: inner.parked.len() + usize::from(inner.spinner.is_some()),
            arriving: inner.arriving,
            queued: inner.lanes.queued(),
            at_the_door: inner.door.len(),
            running: inner.lanes.running(),
            absent: inner.absent,
            longest: inner.longest,
        }
    }
}

impl<T> Inner<T> {
    /// Whoever could run a job waits, and nobody may be added.
    fn all_wait(&self, rules: &Rules) -> bool {
        self.absent > 0 && self.threads == self.absent && self.threads >= self.most(rules)
    }

    /// Every wait is for this pool, as far as the counts tell. Who was let in at the door, and has not noticed, is about to
    /// go on.
    fn all_are_bound(&self) -> bool {
        self.bound == self.absent && self.bringers == self.door.bringers()
    }

    fn comes_back(&mut self, lane: Lane, bound: bool) {
        self.absent -= 1;
        self.bound -= usize::from(bound);
        self.turns += 1;
        self.lanes.comes_back(lane);
    }
}
