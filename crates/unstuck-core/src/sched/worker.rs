//! What a worker does all day: run tasks, look for more, sleep.
//!
//! ```text
//! loop {  the slot → the own queue → (now and then: the injector first, and the driver)
//!         nothing there?  search: the injector, the others' queues, at last an aged slot
//!         nothing there?  sleep in the driver or on the thread }
//! ```

mod haul;
mod linger;
mod search;

use std::cell::Cell;
use std::sync::Arc;

use crossbeam_utils::CachePadded;

use self::haul::{Batch, Haul};
use super::queue::{Injector, Local};
use super::turns::Turns;
use super::{Pulse, Remote, Shared};
use crate::context;
use crate::sync::Instant;
use crate::task::{Ran, Runnable};

/// So many tasks from outside a fairness turn takes at least, however long the own queue is.
const OUTSIDERS: usize = 16;

/// Every so many fairness turns a suspect (guard/monitor.rs) goes first, so that it is not starved by other work.
const SUSPECTS: u32 = 8;

/// One worker thread's own state.
pub(crate) struct Worker {
    shared: Arc<Shared>,
    index: usize,
    /// What others see of it: found at `index`, but asked for several times a poll.
    remote: Arc<CachePadded<Remote>>,
    local: Local,
    /// When it looks outside next.
    turns: Turns,
    turn: Cell<u32>,
    /// So many tasks in a row came out of the slot.
    streak: Cell<u32>,
    /// The last poll was an outsider's, in a fairness turn.
    outsider_ran: Cell<bool>,
    /// A guard sees to it that nobody lingers behind a poll that does not come back.
    lets_linger: bool,
    random: Cell<u32>,
    /// The queue was long, and its room has not been given back.
    was_long: Cell<bool>,
    /// So many tasks were pushed to the queue, and so far a glance had to do to see whether somebody should be woken for them.
    unseen: Cell<usize>,
    /// How often in a row it has looked around when it ran out of work, and found nothing.
    in_vain: Cell<u32>,
    /// What it has fetched from elsewhere, until that has been judged.
    haul: Cell<Haul>,
    /// The last of it that came from outside.
    batch: Cell<Option<Batch>>,
}

impl Worker {
    pub(super) fn new(shared: Arc<Shared>, index: usize, local: Local) -> Self {
        Self {
            remote: shared.remotes[index].clone(),
            outsider_ran: Cell::new(false),
            lets_linger: shared.config.guard.policy.rescues(),
            shared,
            index,
            local,
            turns: Turns::new(),
            turn: Cell::new(0),
            streak: Cell::new(0),
            random: Cell::new(index as u32 * 2 + 1),
            was_long: Cell::new(false),
            unseen: Cell::new(0),
            in_vain: Cell::new(0),
            haul: Cell::new(Haul::default()),
            batch: Cell::new(None),
        }
    }

    /// Works until the scheduler has closed and its last task has ended, or until nobody needs this worker any more.
    /// Gives its queue back.
    pub(super) fn work(self) -> Local {
        context::as_worker(&self, || {
            loop {
                while let Some(task) = self.next() {
                    self.run(task);
                    if self.remote().duty.is_lost() {
                        break;
                    }
                }
                self.park_lingering(); // a thief may have come for the next one
                if self.remote().duty.is_lost() {
                    if !self.retire() {
                        return;
                    }
                } else if self.shared.is_drained() {
                    return;
                } else if let Some(task) = self.search() {
                    self.run(task);
                }
            }
        });
        self.local
    }

    /// Back from a long poll, and another works in our place: hands over what is here, and waits to be needed. False
    /// if that never came.
    fn retire(&self) -> bool {
        let mut moved = false;
        while let Some(task) = self.local.pop().or_else(|| self.pulse().slot.take()) {
            self.shared.injector.push(task);
            moved = true;
        }
        if moved {
            self.shared.wake_one();
        }
        self.shared.left_driver(); // it may have lain there when it was marked
        self.tidy();
        let Remote { duty, parker, .. } = self.remote();
        duty.retire();
        let since = Instant::now();
        loop {
            if duty.is_working() {
                return true;
            }
            if self.shared.is_drained() {
                return false;
            }
            let left = self.shared.config.guard.keep_alive.saturating_sub(since.elapsed());
            if left.is_zero() && duty.leave() {
                return false;
            }
            parker.stand_by(left);
        }
    }

    /// True if this worker belongs to `shared`.
    #[inline]
    pub(super) fn belongs_to(&self, shared: &Shared) -> bool {
        std::ptr::eq(&*self.shared, shared)
    }

    /// True if this worker's home lies at that address.
    #[inline]
    pub(crate) fn lives_at(&self, home: *const ()) -> bool {
        std::ptr::addr_eq(&raw const *self.shared, home)
    }

    /// Should the present poll let others have a turn? None if nobody watches, and the worker cannot know.
    #[inline]
    pub(crate) fn is_overdue(&self) -> Option<bool> {
        self.shared.is_guarded().then(|| self.pulse().beat.is_overdue())
    }

    /// Has the guard asked the present poll to let others have a turn? Never, if there is no guard.
    #[inline]
    pub(crate) fn is_hurried(&self) -> bool {
        self.pulse().beat.is_overdue()
    }

    /// How many polls have begun: does the present one still go on?
    #[inline]
    pub(crate) fn polls(&self) -> u64 {
        self.pulse().beat.polls()
    }

    /// What the seats that have a worker, or had one, show to others.
    pub(super) fn seats(&self) -> &[Arc<CachePadded<Remote>>] {
        self.shared.occupied()
    }

    #[inline]
    fn remote(&self) -> &Remote {
        &self.remote
    }

    #[inline]
    fn pulse(&self) -> &Pulse {
        &self.remote().pulse
    }

    /// A task became ready on this thread: it runs next. If it has waited for the end of another one, it goes to the back of the
    /// queue: who awaits ten tasks would otherwise be polled ten times, and find nine times that the next has not yet run.
    #[inline]
    pub(super) fn push(&self, task: Runnable) {
        let slot = &self.pulse().slot;
        let queue_up = context::is_ending() && !(slot.is_empty() && self.local.is_empty());
        self.pushed(if queue_up { Some(task) } else { slot.put(task) });
    }

    /// A new task. It runs next if nothing else does: of several that one poll spawns, the first. (A task that was woken
    /// would displace what is there; here that would only turn the order of the new ones, by an exchange for each.)
    #[inline]
    pub(super) fn push_new(&self, task: Runnable) {
        self.pushed(self.pulse().slot.offer(task));
    }

    /// Something was put into the slot, and what found no room there goes to the queue.
    ///
    /// The fence of `wake_one_for_worker` costs as much as the push, so there is one for all pushes of a poll, at its end.
    /// Until then a glance will do: it overlooks a sleeper only if that one lay down in the same few nanoseconds.
    #[inline]
    fn pushed(&self, left: Option<Runnable>) {
        if let Some(task) = left {
            self.local.push(task);
            self.unseen.set(self.unseen.get() + 1);
            if self.shared.idle.seems_lazy() {
                self.shared.wake_one_for_worker();
            }
        } else if self.shared.guard.may_wake_for_slot()
            && self.shared.idle.seems_lazy()
            && self.pulse().beat.is_polling()
        {
            self.wake_for_slot();
        }
    }

    /// The task in the slot runs next, unless the present poll does not come back: now and then somebody is woken to see.
    /// What a timer wakes, in the driver, has no such poll before it.
    #[cold]
    fn wake_for_slot(&self) {
        if self.shared.guard.use_permission() {
            self.shared.wake_one();
        }
    }

    /// Runs a task; if it woke itself it goes to the back of the queue.
    #[inline]
    fn run(&self, task: Runnable) {
        let beat = &self.pulse().beat;
        let (id, place) = task.whose();
        beat.begin(id, place);
        let ran = task.run_once();
        beat.end();
        self.park_lingering(); // who was polled before this task
        let unseen = self.unseen.get();
        if unseen > 0 {
            self.unseen.set(0);
            self.note_length(unseen);
            self.shared.wake_one_for_worker();
        }
        match ran {
            Ran::Over => {}
            Ran::Again(task) => self.queue_again(task),
            Ran::Quiet(task) => self.put_aside(task),
        }
    }

    /// Somebody was woken while it was looked after here: it goes to the back of the queue.
    fn queue_again(&self, task: Runnable) {
        // Alone in the queue it is served here at once; behind others it may be worth another worker's while. We are
        // awake and see to both, so a glance at the counts will do where a push from outside needs a fence.
        let crowded = !self.local.is_empty();
        self.local.push(task);
        if crowded && self.shared.idle.seems_lazy() {
            self.shared.wake_one();
        }
    }

    /// So many were pushed in a row; thieves may have taken them already.
    #[inline]
    fn note_length(&self, pushed: usize) {
        if pushed.max(self.local.len()) > Local::LONG {
            self.was_long.set(true);
        }
    }

    /// The next task of this worker's own.
    #[inline]
    fn next(&self) -> Option<Runnable> {
        if self.turns.is_due(self.shared.guard.ticks()) {
            if let Some(task) = self.take_outsider() {
                return Some(task);
            }
        }
        self.outsider_ran.set(false);
        // Two tasks that wake each other for ever would starve the queue: it has a turn as often as who is outside.
        let slot = &self.pulse().slot;
        if self.streak.get() < self.turns.polls_in_a_row() {
            if let Some(task) = slot.take() {
                self.streak.set(self.streak.get() + 1);
                return Some(task);
            }
        }
        self.streak.set(0);
        self.local.pop().or_else(|| slot.take())
    }

    /// A fairness turn, after which somebody from outside goes first. Where polls take a millisecond every one of them is
    /// due for a turn: then the own tasks have theirs in between, and with them who waited for a timer.
    #[cold]
    fn take_outsider(&self) -> Option<Runnable> {
        let has_own = !self.local.is_empty();
        let task = self.look_outside()?;
        if self.outsider_ran.replace(true) && (has_own || !self.pulse().slot.is_empty()) {
            self.local.push(task);
            return None;
        }
        Some(task)
    }

    /// The fairness turn: delivers timers that are due, and takes from the injector.
    fn look_outside(&self) -> Option<Runnable> {
        if self.turns.begin() {
            self.shared.driver.poll();
        }
        let turn = self.turn.get().wrapping_add(1);
        self.turn.set(turn);
        if turn % SUSPECTS == 0 {
            if let Some(task) = self.shared.suspects.steal() {
                return Some(task);
            }
        }
        // What is taken goes behind the own tasks. A short queue is filled up: as long as there is a crowd outside, its tasks
        // and the own ones take turns. A long one gets its share all the same.
        let limit = Injector::BATCH.saturating_sub(self.local.len()).max(OUTSIDERS);
        self.shared.injector.steal_into(&self.local, limit)
    }
}
