//! A worker without work: it looks elsewhere, naps when that does not pay, and sleeps.
//!
//! 0. *Let it gather*: nap first if a stream of petty tasks comes from outside, and not much of it is there (below).
//! 1. *Fetch* a batch from the injector.
//! 2. Nothing there? *Nap* first, if the last haul was petty (below).
//! 3. *Look around*: the injector, others' queues, the suspects, aged slots. For 20 µs, because waking a sleeper takes longer,
//!    and once more if there is a slot whose task has not aged yet; who has looked in vain several times only glances.
//! 4. *Sleep*. Who is called looks around again.
//!
//! If half of the workers search already, 2 and 3 are left out.
//!
//! # Hauls, and naps
//! A *haul* is what a worker has fetched, from the injector and from others' queues, until it came to 2. If it kept its worker
//! busy for less than fetching costs both sides it was *petty* (`haul.rs`). Then a nap of 50 µs lets more come together. Whoever
//! pushes on a worker leaves a napper alone, for it runs its own small tasks faster than anyone could fetch them; a push from
//! outside wakes it (`idle.rs`, "Naps").
//!
//! A worker that is as fast as a thread outside that feeds it never comes to 2: it always finds a few tasks more, right behind
//! that thread, and both wait for each other's cache lines all the time. So it looks at each *batch* from outside, too, before it
//! fetches the next. If that was petty, and more has come meanwhile, but not much, it lets the others run ahead for the length of a
//! nap. It counts as busy then: nobody wakes it for the next of those tasks.

use std::time::Duration;

use super::super::ages::{Ages, FIRST_LOOK};
use super::super::idle::Sleep;
use super::super::queue::Injector;
use super::Worker;
use super::haul::{Batch, FROM_OUTSIDE, Haul, STOLEN};
use crate::sync::atomic::Ordering;
use crate::sync::{Instant, hint, patience};
use crate::task::Runnable;

/// How long a worker looks around before it sleeps: waking a sleeper takes 40 µs and costs the waker 4–17 µs, so a short
/// look pays when work comes in bursts. By the clock, because a pause takes 15 ns on one server and 40 ns on the next.
const SEARCH: Duration = Duration::from_micros(20);

/// A look in which nearly nothing can come: for a worker whose last looks were all in vain.
const GLANCE: Duration = Duration::from_micros(1);

/// So many looks in a row must have been in vain for that…
const IN_VAIN: u32 = 3;

/// … and every so many are long all the same: things may have changed.
const PROBE: u32 = 16;

/// Rounds of a look at most, for the case that the clock stands.
const SEARCH_ROUNDS: u32 = patience(1_000);

/// Pauses between two rounds.
const SEARCH_PAUSES: u32 = patience(10);

/// Pauses between two looks at the slots, at least: some microseconds.
const AGEING_PAUSES: u32 = patience(100);

/// How long a worker naps when what it fetched was not worth it. Long enough to be cheap, short enough for what lies
/// behind a poll that blocks (the kernel adds up to 50 µs).
const NAP: Duration = Duration::from_micros(50);

impl Worker {
    /// No work here: looks elsewhere, and sleeps in between. Gives a task, or nothing if there is work here now or
    /// nothing is left to do.
    pub(super) fn search(&self) -> Option<Runnable> {
        if self.batch.take().is_some_and(|batch| batch.is_of_a_trickle(self.shared.injector.len())) {
            self.remote().parker.nap(&self.shared.driver, NAP);
            // As after any nap; here it takes more chance than a model has to go to sleep with a full slot.
            if self.is_needed_here(false) {
                return None;
            }
        }
        if let Some(task) = self.fetch() {
            return Some(task);
        }
        let mut searching = self.shared.idle.start_searching();
        if searching && self.was_petty_haul() {
            searching = self.nap();
            if self.is_needed_here(searching) {
                return None;
            }
        }
        if searching {
            let in_vain = self.in_vain.get();
            let long = in_vain < IN_VAIN || in_vain % PROBE == 0;
            let found = self.look_around(if long { SEARCH } else { GLANCE });
            self.in_vain.set(if found.is_some() { 0 } else { in_vain.wrapping_add(1) });
            if found.is_some() {
                return found;
            }
        }
        loop {
            searching = self.sleep(searching);
            if self.is_needed_here(searching) {
                return None;
            }
            // Somebody woke us for something.
            if searching {
                if let Some(task) = self.look_around(SEARCH) {
                    return Some(task);
                }
            }
        }
    }

    /// After a sleep or a nap, whose end swallows a call that came meanwhile: true if the driver has put something into the own
    /// queue or slot, or if this worker's time is over. The searcher's duty passes on then.
    fn is_needed_here(&self, searching: bool) -> bool {
        let needed = !self.local.is_empty()
            || !self.pulse().slot.is_empty()
            || self.shared.is_drained()
            || self.remote().duty.is_lost();
        if needed && searching {
            self.found();
        }
        needed
    }

    /// There is nothing left of what was fetched lately. True if it kept this worker for too short a time to be worth it.
    fn was_petty_haul(&self) -> bool {
        let (left, petty) = self.haul.get().used_up();
        self.haul.set(left);
        petty
    }

    /// Sleeps if there is really nothing to do. True if the worker counts as searching afterwards.
    fn sleep(&self, searching: bool) -> bool {
        self.tidy();
        let searching = match self.shared.idle.sleep(self.index, searching, || self.shared.has_work()) {
            Sleep::Stay => true,
            Sleep::Now { last } => {
                // The mark of the guard: it sees that our poll is over, or we see that we have been replaced.
                if !self.remote().duty.is_lost() {
                    self.count(&self.pulse().parks);
                    let is_quiescent = || last && self.shared.is_quiescent();
                    self.remote().parker.park(&self.shared.driver, is_quiescent);
                    self.turns.forget();
                    self.haul.set(Haul::default()); // what comes after a sleep is no stream
                }
                self.shared.idle.wake_up(self.index)
            }
        };
        // Also if we only lay down for a moment: the monitor may have seen us there.
        self.shared.guard.worker_woke();
        searching
    }

    /// There is nothing to do: gives back what a long queue took.
    pub(super) fn tidy(&self) {
        if self.local.is_empty() {
            self.note_length(self.unseen.take()); // the driver's
            if self.was_long.take() {
                self.local.give_back_room(&self.shared.waste);
            }
        }
        self.shared.injector.tidy();
        self.shared.waste.collect();
    }

    /// Sleeps for a moment although there may be work. True if the worker counts as searching afterwards.
    fn nap(&self) -> bool {
        self.shared.idle.nap(self.index);
        self.remote().parker.nap(&self.shared.driver, NAP);
        let searching = self.shared.idle.end_nap(self.index);
        self.shared.guard.worker_woke();
        searching || self.shared.idle.start_searching()
    }

    /// Searches until something turns up (then this worker no longer counts as searching) or its time is over (then it still
    /// does).
    ///
    /// Whoever puts a task into its slot meanwhile wakes nobody, for somebody searches. If that poll is young, it takes one more
    /// search to see whether it comes back.
    fn look_around(&self, limit: Duration) -> Option<Runnable> {
        let mut ages = Ages::new();
        let mut found = self.look(limit, &mut ages);
        if found.is_none() && limit > GLANCE && ages.seem_young(self) {
            ages.look(self);
            found = self.look(limit, &mut ages);
        }
        if found.is_some() {
            self.found();
        }
        found
    }

    /// One search.
    fn look(&self, limit: Duration, ages: &mut Ages) -> Option<Runnable> {
        let start = Instant::now();
        for round in 0..SEARCH_ROUNDS {
            if let Some(task) = self.steal() {
                return Some(task);
            }
            if start.elapsed() >= limit {
                break;
            }
            if round == FIRST_LOOK {
                ages.look(self);
            }
            for _ in 0..SEARCH_PAUSES {
                hint::spin_loop();
            }
        }
        if limit > GLANCE && !ages.have_begun() {
            ages.look(self); // the rounds were slow: many look at the same queues, or this thread was interrupted
            for _ in 0..AGEING_PAUSES {
                hint::spin_loop();
            }
        }
        ages.aged(self)
    }

    /// This searcher found work, or gives up searching: the last one passes the duty on.
    fn found(&self) {
        if self.shared.idle.stop_searching() && self.shared.has_work() {
            self.shared.wake_one();
        }
    }

    /// Takes what lies outside. Does not say first that it searches: the counts are on a line that whoever pushes from
    /// outside reads each time.
    fn fetch(&self) -> Option<Runnable> {
        let task = self.shared.injector.steal_into(&self.local, Injector::BATCH)?;
        self.note_haul(FROM_OUTSIDE);
        self.batch.set(Some(Batch::fetched(self.local.len() + 1, self.shared.injector.len())));
        Some(task)
    }

    /// One task was fetched, and with it those that lie in the own queue now, which was empty.
    fn note_haul(&self, worth: Duration) {
        self.haul.set(self.haul.get().add(self.local.len() + 1, worth));
    }

    fn steal(&self) -> Option<Runnable> {
        if let Some(task) = self.fetch() {
            return Some(task);
        }
        let remotes = self.shared.occupied();
        let start = self.random() as usize;
        for offset in 0..remotes.len() {
            let victim = (start + offset) % remotes.len();
            if victim != self.index && !remotes[victim].stealer.is_empty() {
                if let Some(task) = remotes[victim].stealer.steal_into(&self.local) {
                    self.count(&self.pulse().steals);
                    self.note_haul(STOLEN);
                    return Some(task);
                }
            }
        }
        self.shared.suspects.steal()
    }

    /// Marsaglia's xorshift (2003): so that thieves do not all try the same victim first.
    fn random(&self) -> u32 {
        let mut x = self.random.get();
        x ^= x << 13;
        x ^= x >> 17;
        x ^= x << 5;
        self.random.set(x);
        x
    }

    fn count(&self, counter: &crate::sync::atomic::AtomicU64) {
        counter.store(counter.load(Ordering::Relaxed) + 1, Ordering::Relaxed); // as in `run`
    }
}
