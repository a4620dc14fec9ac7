//! Keys that are given out in advance (invariant 5).
//!
//! ```text
//!              reserve               hang                        cancel, or it fires
//!    nothing ──────────► loose ────────────────► hanging ───────────────────────────► nothing
//!       ▲                │  ▲ ▲ │                    │
//!       └────────────────┘  │ │ │ cancel, displace   │
//!             release       │ │ └──► noted ──┐       │
//!                           │ └──────────────┘ hang  │
//!                           └────────────────────────┘
//!                              loosen: a new number
//! ```

use std::task::Waker;

use super::{Found, Wheel};
use crate::instant::NEVER;
use crate::slab::NIL;
use crate::timer::{CANCELLED, Key, LOOSE, MOVED, Tag, Timer};

/// What became of a loose timer that was to be hung.
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hung {
    /// It hangs, and is due then.
    Until(u64),
    /// Somebody has cancelled it. Its key is loose as before, and may be used again.
    Cancelled,
}

/// What became of a timer that was to be moved.
#[must_use]
#[derive(Debug)]
pub(crate) enum Moved {
    /// It was taken out: here is its waker.
    Out(Waker),
    /// It is loose, and will be hung for the new deadline.
    Noted,
    /// It has fired.
    Gone,
}

impl Wheel {
    /// Gives a key out in advance; its timer is loose.
    pub(crate) fn reserve(&mut self) -> Key {
        let number = self.new_number();
        let tag = Tag::new(number, LOOSE);
        self.loose += 1;
        let timer = Timer { deadline: NEVER, seq: 0, waker: None, prev: NIL, next: NIL, tag };
        Key { number, index: self.timers.insert(timer) }
    }

    /// Takes a key back whose timer is loose.
    pub(crate) fn release(&mut self, key: Key) {
        let timer = self.timers.remove(key.index);
        debug_assert!(timer.waker.is_none() && timer.tag.number() == key.number, "this timer is not loose");
        self.loose -= 1;
    }

    /// Hangs a loose timer in, the `nth` of several after which [`hung`](Self::hung) is called.
    #[inline]
    pub(crate) fn hang(&mut self, key: Key, deadline: u64, nth: u64, waker: &Waker) -> Hung {
        let Some(timer) = self.timers.get_mut(key.index) else {
            unreachable!("a loose timer keeps its place")
        };
        debug_assert!(timer.waker.is_none() && timer.tag.number() == key.number, "this timer is not loose");
        let deadline = match timer.tag.slot() {
            CANCELLED => {
                timer.tag = Tag::new(key.number, LOOSE);
                return Hung::Cancelled;
            }
            MOVED => timer.deadline,
            _ => deadline,
        };
        let (slot, seq) = (self.slot_of(deadline), self.last_seq + nth);
        let next = self.head(slot);
        if let Some(timer) = self.timers.get_mut(key.index) {
            let tag = Tag::new(key.number, slot);
            *timer = Timer { deadline, seq, waker: Some(waker.clone()), prev: NIL, next, tag };
        }
        self.lead(key.index, slot, next);
        self.loose -= 1;
        self.not_later_than(deadline);
        Hung::Until(deadline)
    }

    /// So many were hung: who is armed from now on comes after them.
    pub(crate) fn hung(&mut self, count: u64) {
        self.last_seq += count;
    }

    /// Takes a timer out, as [`cancel`](Self::cancel) does, and gives its place out under a new key, loose.
    #[inline]
    pub(crate) fn loosen(&mut self, key: Key) -> Option<(Waker, Key)> {
        let Found::Hanging(_) = self.find(key) else {
            self.cancel(key);
            return None;
        };
        self.unlink(key.index);
        let new = Key { number: self.new_number(), ..key };
        self.loose += 1;
        let timer = self.timers.get_mut(key.index)?;
        timer.tag = Tag::new(new.number, LOOSE);
        let (deadline, waker) = (timer.deadline, timer.waker.take()?);
        self.not_before(deadline);
        Some((waker, new))
    }

    /// Takes a timer out that shall have another deadline.
    pub(crate) fn displace(&mut self, key: Key, deadline: u64) -> Moved {
        match self.find(key) {
            Found::Hanging(_) => self.cancel(key).map_or(Moved::Gone, Moved::Out),
            Found::Loose => {
                if let Some(timer) = self.timers.get_mut(key.index) {
                    (timer.deadline, timer.tag) = (deadline, Tag::new(key.number, MOVED));
                }
                Moved::Noted
            }
            Found::Gone => Moved::Gone,
        }
    }
}
