//! One timer as it lies in the wheel: 48 bytes, also as an entry of the slab.

use std::num::NonZeroU64;
use std::task::Waker;

/// 48 bytes, also as an entry of the slab.
pub(crate) struct Timer {
    pub(crate) deadline: u64,
    /// Its place in the order of arming.
    pub(crate) seq: u64,
    pub(crate) waker: Option<Waker>,
    pub(crate) prev: u32,
    pub(crate) next: u32,
    pub(crate) tag: Tag,
}

/// A timer's name, as long as it hangs or is loose. A number is never given out twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Key {
    pub(crate) number: u64,
    pub(crate) index: u32,
}

/// A timer that fired. Sorting these brings them into the order in which they are to be woken.
pub(crate) struct Due {
    pub(crate) deadline: u64,
    pub(crate) seq: u64,
    pub(crate) waker: Waker,
}

pub(crate) const DIGIT: u32 = 6;
pub(crate) const SLOTS: usize = 1 << DIGIT;
/// (64 - 10) / 6: every deadline has a level.
pub(crate) const LEVELS: usize = 9;
/// For a deadline that never comes (invariant 4 of wheel.rs).
pub(crate) const HOOK: Slot = Slot((LEVELS * SLOTS) as u16);
/// Invariant 5: not slots, but what is known of a timer that is loose.
pub(crate) const LOOSE: Slot = Slot(HOOK.0 + 1);
pub(crate) const CANCELLED: Slot = Slot(HOOK.0 + 2);
pub(crate) const MOVED: Slot = Slot(HOOK.0 + 3);
/// Level and place in one number.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Slot(pub(crate) u16);

/// A key's number and the timer's slot: 54 and 10 bits. At ten million timers a second the numbers last for fifty years.
#[derive(Clone, Copy)]
pub(crate) struct Tag(NonZeroU64);

impl Slot {
    pub(crate) fn new(level: usize, place: usize) -> Self {
        Self((level * SLOTS + place) as u16)
    }

    pub(crate) fn level(self) -> usize {
        self.0 as usize / SLOTS
    }

    pub(crate) fn place(self) -> usize {
        self.0 as usize % SLOTS
    }

    pub(crate) fn bit(self) -> u64 {
        1 << self.place()
    }
}

impl Tag {
    const SLOT_BITS: u32 = 10;

    #[inline]
    pub(crate) fn new(number: u64, slot: Slot) -> Self {
        match NonZeroU64::new(number << Self::SLOT_BITS | u64::from(slot.0)) {
            Some(tag) => Self(tag),
            None => unreachable!("keys are numbered from one"),
        }
    }

    #[inline]
    pub(crate) fn number(self) -> u64 {
        self.0.get() >> Self::SLOT_BITS
    }

    #[inline]
    pub(crate) fn slot(self) -> Slot {
        Slot((self.0.get() & ((1 << Self::SLOT_BITS) - 1)) as u16)
    }
}

impl Timer {
    pub(crate) fn due(self) -> Option<Due> {
        let Self { deadline, seq, waker, .. } = self;
        waker.map(|waker| Due { deadline, seq, waker })
    }
}

#[cfg(test)]
#[cfg(not(unstuck_loom))]
mod tests {
    use super::*;

    #[test]
    fn a_timer_takes_48_bytes() {
        assert_eq!(size_of::<Timer>(), 48);
    }

    #[test]
    fn a_tag_keeps_its_number_and_its_slot_apart() {
        for slot in [Slot(0), HOOK, LOOSE, CANCELLED, MOVED] {
            let tag = Tag::new(0x3f_ffff_ffff_ffff, slot);
            assert!(tag.number() == 0x3f_ffff_ffff_ffff && tag.slot() == slot);
        }
    }
}
