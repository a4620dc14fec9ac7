//! Which timer is due next: a hierarchical timing wheel.
//!
//! A heap costs O(log n) to arm and to cancel, and nearly every timer is a timeout that gets cancelled. A wheel costs
//! O(1) for both: time is cut into ticks of 1.024 µs, and a timer is hung into the list of its tick. Near ticks have a
//! list (a *slot*) each; farther ones share one, the farther the more. Level 0 has a slot for each of 64 ticks, level 1
//! a slot for each 64 times 64, and so on; nine levels cover every deadline a `u64` of nanoseconds can name. When time
//! reaches a slot of a higher level, its timers are *unfolded* into lower ones. The design is Varghese and Lauck's
//! ("Hashed and Hierarchical Timing Wheels", SOSP 1987).
//!
//! ```text
//!            tick (54 bits), six bits a level        now = …|000010|000101
//!   level 1  ·  ·  ▪  ·  ▪  ·  ·  …                 slot 4: ticks 256…319, unfolded when tick 256 begins
//!   level 0  ·  ·  ·  ·  ·  ▪  ·  ▪ …               slot 7: tick 135
//! ```
//!
//! # Promises
//! * Never early, to the nanosecond: a tick only sorts, the timer itself keeps its deadline.
//! * `next_deadline` is exact, unless more than 64 timers share the slot that comes first and it is not of level 0; then
//!   it is the time that slot begins. So a sleep is rarely cut in two by unfolding, and looking is a short walk, done
//!   once: the answer is kept.
//! * A key is never used twice, so that a cancel of a timer that fired long ago harms nobody.
//! * Memory is given back (slab.rs).
//!
//! # Invariants
//! 1. A timer's level is that of the highest six-bit digit in which its tick differs from the wheel's; its slot is that
//!    digit. So what lies on a level is due before everything on the levels above, and the first occupied slot of the
//!    lowest occupied level holds the next timer.
//! 2. The wheel's tick never passes the beginning of an occupied slot without emptying it. That keeps (1) true without
//!    touching any timer.
//! 3. A deadline that has passed hangs in the slot of the wheel's own tick.
//! 4. A deadline that never comes (`sleep(Duration::MAX)`) hangs on a hook beside the levels, where nobody looks for the
//!    next timer; it is kept to be cancelled, or told when the runtime ends.
//! 5. A timer has a waker as long as it hangs somewhere. Without one it is *loose*: its key has been given out in advance
//!    (fresh.rs), and it hangs nowhere yet. Who cancels or moves it meanwhile leaves a note in it, which is found when it
//!    is to be hung.

mod keys;

use std::task::Waker;

use crate::instant::NEVER;
use crate::slab::{NIL, Slab};
use crate::timer::{CANCELLED, DIGIT, HOOK, LEVELS, SLOTS, Slot, Tag, Timer};
pub(crate) use crate::timer::{Due, Key};
pub(crate) use keys::{Hung, Moved};

/// A tick is 2^10 ns: far below what a thread's sleep can resolve (some 50 µs), and a shift instead of a division.
const TICK_SHIFT: u32 = 10;
/// The longest list above level 0 that `next_deadline` walks for its exact minimum.
const WALK: usize = 64;

/// Timers and what time it was when somebody last looked. Knows neither clocks nor locks.
pub(crate) struct Wheel {
    timers: Slab<Timer>,
    /// The first timer of each slot's list.
    heads: Box<[u32; LEVELS * SLOTS + 1]>,
    /// One bit a slot: its list is not empty. The last word belongs to the hook.
    occupied: [u64; LEVELS + 1],
    /// The time up to which everything has fired; its tick places new timers.
    now: u64,
    tick: u64,
    /// A slot that `expire` stopped unfolding half-way.
    unfolding: Option<Slot>,
    /// The last answer of `next_deadline`, while it holds.
    next: Option<u64>,
    /// The place of the timer armed last in the order of arming.
    last_seq: u64,
    /// The number of the key given out last.
    last_number: u64,
    /// How many timers are loose.
    loose: usize,
}

/// What a key names.
pub(crate) enum Found<'a> {
    /// It would wake this one.
    Hanging(&'a mut Waker),
    Loose,
    Gone,
}

/// Whether [`Wheel::expire`] reached the present.
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    Done,
    /// The budget ran out: let others have the lock, then go on.
    More,
}

impl Wheel {
    pub(crate) fn new(now: u64) -> Self {
        Self {
            timers: Slab::new(),
            heads: Box::new([NIL; LEVELS * SLOTS + 1]),
            occupied: [0; LEVELS + 1],
            now,
            tick: now >> TICK_SHIFT,
            unfolding: None,
            next: Some(NEVER),
            last_seq: 0,
            last_number: 0,
            loose: 0,
        }
    }

    /// Hangs a timer in.
    #[inline]
    pub(crate) fn arm(&mut self, deadline: u64, waker: Waker) -> Key {
        self.last_seq += 1;
        let (seq, number) = (self.last_seq, self.new_number());
        let slot = self.slot_of(deadline);
        let next = self.head(slot);
        let tag = Tag::new(number, slot);
        let index = self.timers.insert(Timer { deadline, seq, waker: Some(waker), prev: NIL, next, tag });
        self.lead(index, slot, next);
        self.not_later_than(deadline);
        Key { number, index }
    }

    #[inline]
    fn new_number(&mut self) -> u64 {
        self.last_number += 1;
        self.last_number
    }

    /// Takes a timer out; `None` if it has fired, or is loose: then it will not be hung.
    #[inline]
    pub(crate) fn cancel(&mut self, key: Key) -> Option<Waker> {
        let timer = self.timers.get_mut(key.index).filter(|timer| timer.tag.number() == key.number)?;
        if timer.waker.is_none() {
            timer.tag = Tag::new(key.number, CANCELLED);
            return None;
        }
        let timer = self.unhang(key.index);
        self.not_before(timer.deadline);
        timer.waker
    }

    /// What a key names.
    pub(crate) fn find(&mut self, key: Key) -> Found<'_> {
        match self.timers.get_mut(key.index).filter(|timer| timer.tag.number() == key.number) {
            Some(Timer { waker: Some(waker), .. }) => Found::Hanging(waker),
            Some(_) => Found::Loose,
            None => Found::Gone,
        }
    }

    /// A timer for `deadline` was hung.
    #[inline]
    fn not_later_than(&mut self, deadline: u64) {
        if self.next.is_some_and(|next| deadline < next) {
            self.next = Some(deadline);
        }
    }

    /// A timer for `deadline` was taken out.
    #[inline]
    fn not_before(&mut self, deadline: u64) {
        if self.len() == 0 {
            self.next = Some(NEVER);
        } else if self.next == Some(deadline) {
            self.next = None;
        }
    }

    /// The time up to which everything has fired.
    pub(crate) fn now(&self) -> u64 {
        self.now
    }

    /// How many timers hang.
    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.timers.len() - self.loose
    }

    /// How many keys were given out in advance.
    #[cfg(test)]
    #[cfg(not(unstuck_loom))]
    pub(crate) fn loose(&self) -> usize {
        self.loose
    }

    /// How many timers there is memory for.
    pub(crate) fn capacity(&self) -> usize {
        self.timers.capacity()
    }

    /// A time at which to look again: the first deadline, or (many timers close together) a little before it.
    pub(crate) fn next_deadline(&mut self) -> u64 {
        if let Some(next) = self.next {
            return next;
        }
        let next = self.find_next();
        self.next = Some(next);
        next
    }

    /// Takes out what is due at `now`, at most `budget` timers of it (unfolding counts as well).
    pub(crate) fn expire(&mut self, now: u64, mut budget: usize, due: &mut Vec<Due>) -> Progress {
        self.now = self.now.max(now);
        let target = self.now >> TICK_SHIFT;
        while let Some(slot) = self.first() {
            let start = self.start_of(slot);
            if start > target {
                break;
            }
            self.next = None;
            self.tick = self.tick.max(start);
            let progress = match slot.level() {
                0 => self.fire(slot, &mut budget, due),
                _ => self.unfold(slot, &mut budget, due),
            };
            if progress == Progress::More {
                return Progress::More;
            }
            if slot.level() == 0 && start == target {
                break; // what is left in this slot is due later in the present tick
            }
        }
        self.tick = self.tick.max(target);
        Progress::Done
    }

    /// Takes everything out, due or not.
    pub(crate) fn drain(&mut self) -> Vec<Waker> {
        let mut wakers = Vec::with_capacity(self.len());
        for slot in (0..=HOOK.0).map(Slot) {
            while self.head(slot) != NIL {
                wakers.extend(self.unhang(self.head(slot)).waker);
            }
        }
        self.unfolding = None;
        self.next = Some(NEVER);
        wakers
    }

    /// The slot that holds the next timer.
    fn first(&self) -> Option<Slot> {
        self.unfolding.or_else(|| {
            let level = self.occupied[..LEVELS].iter().position(|&slots| slots != 0)?;
            Some(Slot::new(level, self.occupied[level].trailing_zeros() as usize))
        })
    }

    /// The tick at which a slot begins, seen from the wheel's tick.
    fn start_of(&self, slot: Slot) -> u64 {
        let shift = DIGIT * slot.level() as u32;
        let above = self.tick >> (shift + DIGIT) << (shift + DIGIT);
        above | (slot.place() as u64) << shift
    }

    /// Invariants 1, 3 and 4.
    #[inline]
    fn slot_of(&self, deadline: u64) -> Slot {
        if deadline == NEVER {
            return HOOK;
        }
        let tick = (deadline >> TICK_SHIFT).max(self.tick);
        let differs = (tick ^ self.tick) | (SLOTS as u64 - 1);
        let level = (u64::BITS - 1 - differs.leading_zeros()) / DIGIT;
        let place = tick >> (DIGIT * level) & (SLOTS as u64 - 1);
        Slot::new(level as usize, place as usize)
    }

    /// Walks the first slot for its minimum.
    #[cold]
    fn find_next(&self) -> u64 {
        let Some(slot) = self.first() else { return NEVER };
        let start = self.start_of(slot) << TICK_SHIFT;
        if self.unfolding.is_some() {
            return start;
        }
        // On level 0 to the end: there the beginning of the slot may have passed, and waiting for it would be spinning.
        let longest = if slot.level() == 0 { usize::MAX } else { WALK };
        let mut least = NEVER;
        let mut at = self.head(slot);
        for _ in 0..longest {
            let Some(timer) = self.timers.get(at) else { return least };
            least = least.min(timer.deadline);
            at = timer.next;
        }
        if at == NIL { least } else { start }
    }

    /// Takes the due timers out of a slot of level 0.
    fn fire(&mut self, slot: Slot, budget: &mut usize, due: &mut Vec<Due>) -> Progress {
        let mut at = self.head(slot);
        while let Some(&Timer { deadline, next, .. }) = self.timers.get(at) {
            if deadline <= self.now {
                if *budget == 0 {
                    return Progress::More;
                }
                *budget -= 1;
                due.extend(self.unhang(at).due());
            }
            at = next;
        }
        Progress::Done
    }

    /// Spreads a slot's timers over the levels below; takes out those that are due, so that they move only once.
    fn unfold(&mut self, slot: Slot, budget: &mut usize, due: &mut Vec<Due>) -> Progress {
        loop {
            let index = self.head(slot);
            let Some(&Timer { deadline, .. }) = self.timers.get(index) else { break };
            if *budget == 0 {
                self.unfolding = Some(slot);
                return Progress::More;
            }
            *budget -= 1;
            if deadline <= self.now {
                due.extend(self.unhang(index).due());
            } else {
                self.unlink(index);
                self.link(index, self.slot_of(deadline));
            }
        }
        self.unfolding = None;
        Progress::Done
    }

    fn head(&self, slot: Slot) -> u32 {
        self.heads[slot.0 as usize]
    }

    #[inline]
    fn unhang(&mut self, index: u32) -> Timer {
        self.unlink(index);
        self.timers.remove(index)
    }

    /// Puts a timer first in a slot's list.
    #[inline]
    fn link(&mut self, index: u32, slot: Slot) {
        let next = self.head(slot);
        if let Some(timer) = self.timers.get_mut(index) {
            (timer.prev, timer.next) = (NIL, next);
            timer.tag = Tag::new(timer.tag.number(), slot);
        }
        self.lead(index, slot, next);
    }

    /// A timer that knows its place leads a slot's list from now on, before the one that did.
    #[inline]
    fn lead(&mut self, index: u32, slot: Slot, next: u32) {
        self.heads[slot.0 as usize] = index;
        self.occupied[slot.level()] |= slot.bit();
        if let Some(timer) = self.timers.get_mut(next) {
            timer.prev = index;
        }
    }

    #[inline]
    fn unlink(&mut self, index: u32) {
        let Some(&Timer { prev, next, tag, .. }) = self.timers.get(index) else { return };
        let slot = tag.slot();
        match self.timers.get_mut(prev) {
            Some(before) => before.next = next,
            None => {
                self.heads[slot.0 as usize] = next;
                if next == NIL {
                    self.occupied[slot.level()] &= !slot.bit();
                }
            }
        }
        if let Some(after) = self.timers.get_mut(next) {
            after.prev = prev;
        }
    }
}

#[cfg(test)]
#[cfg(not(unstuck_loom))]
#[path = "wheel_tests.rs"]
mod tests;
