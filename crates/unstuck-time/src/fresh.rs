//! Timers that do not outlive the poll they were armed in never reach the wheel.
//!
//! Nearly every timer is made, armed and dropped within one poll: `select` of a sleep and a message that is there, a race
//! whose other branch is ready. To hang it into the wheel and to take it out again costs two locks and a clone of the waker,
//! more than all the rest together. So a timer is *fresh* at first: a note in a place of this thread, without a lock. Who
//! drops it in the same poll strikes the note out. At the end of the poll (`debts` in the core calls us) what is left is
//! hung, all of it under one lock.
//!
//! ```text
//!                     armed                     the poll ends
//!    vacant ───────────────────────► used ───────────────────────► empty: the key went with the timer into the wheel
//!      ▲  ▲         dropped           │                              │
//!      │  └───────────────────────────┘                              │
//!      └─────────────────────────────────────────────────────────────┘
//!             a new key, while the lock is held anyway: when others are hung, or this one is taken out
//! ```
//!
//! # Why it is safe
//! *No timer is overslept.* Only a timer that is armed with the waker of the present poll may be fresh. As long as it is, that
//! poll goes on, and waking it would change nothing. If the poll never comes back (the guard has to help) nobody else is
//! held up: a timer that wakes anybody else is hung at once.
//!
//! *A sleep may be moved.* It knows its timer's [`Key`], and the key must not change when the timer is hung, for then the
//! sleep may be anywhere. So keys are given out in advance: a place holds one that the wheel keeps for it, *loose*. A sleep
//! that was sent to another thread within the poll finds its timer loose there, under the shard's lock, and leaves a note in it
//! (cancelled, or moved to another deadline), which whoever hangs it finds. A key whose timer was dropped on this
//! thread may be used again at once: nobody else has it.
//!
//! *Order.* Of timers with the same deadline the one that was armed first fires first, as ever. Fresh ones are numbered, and who
//! arms a timer with another waker has the fresh ones hung before his own.
//!
//! # What it costs
//! 1 KiB a thread. Between polls a thread keeps at most eight keys (48 bytes each in the shard's slab), during one at most
//! 32; then all are hung, and the poll goes on with new ones. Who leaves the runtime gives his keys back.

use std::cell::Cell;
use std::task::Waker;

use unstuck_core::debts;
use unstuck_core::sync::thread_local;

use crate::context;
use crate::instant::{Instant, NEVER};
use crate::shared::{Home, Shared};
use crate::wheel::{Hung, Key, Wheel};

/// So many fresh timers a thread can have; as many as a word has bits.
const PLACES: u32 = u32::BITS;

/// So many keys it keeps from one poll to the next: more than most polls need, and few enough to hold back little memory.
const KEEP: u32 = 8;

/// A sleep's part of a fresh timer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ticket {
    pub(crate) key: Key,
    pub(crate) place: u8,
}

/// One thread's fresh timers.
struct Fresh {
    /// Whose keys these are. All fresh timers belong to this shard.
    home: Cell<Home>,
    /// On the real clock.
    real: Cell<bool>,
    /// A bit for each place that holds a key.
    vacant: Cell<u32>,
    /// A bit for each place that holds a timer.
    used: Cell<u32>,
    /// How many were armed since the last were hung.
    count: Cell<u64>,
    places: [Place; PLACES as usize],
}

struct Place {
    number: Cell<u64>,
    index: Cell<u32>,
    deadline: Cell<u64>,
    /// Its place in the order of arming.
    nth: Cell<u64>,
}

thread_local! {
    static FRESH: Fresh = const { Fresh::new() };
}

/// Arms a timer that is to wake `waker`, if that is the one of the present poll. Otherwise, and if it may be due, it is for the
/// wheel. `looks`: nobody has compared the deadline with the clock yet.
#[inline]
pub(crate) fn arm(home: Home, deadline: u64, looks: bool, waker: &Waker) -> Option<Ticket> {
    FRESH.with(|fresh| {
        let ready = fresh.home.get() == home && fresh.vacant.get() != 0;
        if !ready && !fresh.prepare(home, waker) {
            return None;
        }
        if (looks || !fresh.real.get()) && fresh.now() >= deadline || !debts::owe(waker) {
            return None;
        }
        Some(fresh.take(deadline))
    })
}

/// Drops a fresh timer; false if it is none, or another thread's.
#[inline]
pub(crate) fn cancel(home: Home, ticket: Ticket) -> bool {
    with_fresh(home, ticket, |fresh, bit| {
        fresh.used.set(fresh.used.get() & !bit);
        fresh.vacant.set(fresh.vacant.get() | bit);
    })
}

/// Takes a timer out of the wheel. If this thread has given keys away it keeps that one: what is armed and dropped poll after
/// poll goes from place to wheel and back.
#[inline]
pub(crate) fn take_out(home: Home, key: Key) -> Option<Waker> {
    let empty = FRESH.try_with(|fresh| {
        let keys = fresh.used.get() | fresh.vacant.get();
        (fresh.home.get() == home && keys.count_ones() < KEEP).then(|| keys.trailing_ones())
    });
    let Ok(Some(empty)) = empty else { return home.with(|shared| shared.cancel(home.shard, key)).flatten() };
    let (waker, key) = home.with(|shared| shared.loosen(home.shard, key)).flatten()?;
    FRESH.with(|fresh| {
        fresh.places[empty as usize].put(key);
        fresh.vacant.set(fresh.vacant.get() | 1 << empty);
    });
    Some(waker)
}

/// Gives a fresh timer another deadline; false if it is none, or another thread's.
pub(crate) fn displace(home: Home, ticket: Ticket, deadline: u64) -> bool {
    with_fresh(home, ticket, |fresh, _| fresh.set(&fresh.places[usize::from(ticket.place)], deadline))
}

/// Hangs what is fresh on this thread: somebody is about to arm a timer that comes after it.
pub(crate) fn make_way() {
    if FRESH.with(|fresh| fresh.used.get() != 0) {
        debts::settle();
    }
}

/// The thread enters or leaves a runtime: its keys go back, if there is no poll that uses them.
pub(crate) fn leave() {
    // At the end of a thread there is nothing left to give back.
    let _ended = FRESH.try_with(|fresh| {
        if fresh.home.get() != Home::NOWHERE && fresh.used.get() == 0 {
            fresh.settle(Waker::noop(), 0);
        }
    });
}

/// How many timers of the runtime with this number are fresh on this thread.
pub(crate) fn armed(id: u64) -> usize {
    FRESH.with(|fresh| if fresh.home.get().id == id { fresh.used.get().count_ones() as usize } else { 0 })
}

/// Calls `f` with the bit of a ticket's place, if its timer is fresh on this thread.
#[inline]
fn with_fresh(home: Home, ticket: Ticket, f: impl FnOnce(&Fresh, u32)) -> bool {
    let found = FRESH.try_with(|fresh| {
        let bit = 1 << (u32::from(ticket.place) % PLACES);
        let found = fresh.used.get() & bit != 0
            && fresh.places[usize::from(ticket.place) % PLACES as usize].number.get() == ticket.key.number
            && fresh.home.get() == home;
        if found {
            f(fresh, bit);
        }
        found
    });
    found.unwrap_or(false)
}

/// The end of a poll that has armed timers.
fn at_the_end(waker: &Waker) {
    FRESH.with(|fresh| {
        if fresh.used.get() != 0 || fresh.vacant.get().count_ones() > KEEP {
            let stays = context::here().is_some_and(|here| here.home() == fresh.home.get());
            fresh.settle(waker, if stays { KEEP } else { 0 });
        }
    });
}

impl Fresh {
    const fn new() -> Self {
        Self {
            home: Cell::new(Home::NOWHERE),
            real: Cell::new(false),
            vacant: Cell::new(0),
            used: Cell::new(0),
            count: Cell::new(0),
            places: [const { Place::new() }; PLACES as usize],
        }
    }

    fn now(&self) -> u64 {
        if self.real.get() {
            return Instant::system_now().as_nanos();
        }
        self.home.get().with(Shared::now).unwrap_or(0)
    }

    /// Sees to it that there is a vacant place for a timer of this home. False if it is for the wheel.
    #[cold]
    fn prepare(&self, home: Home, waker: &Waker) -> bool {
        if !debts::lend(at_the_end) || !debts::owe(waker) {
            return false;
        }
        if self.home.get() == home {
            // All places are used; or all keys are in the wheel, since a poll has just ended: not here.
            self.settle(waker, PLACES);
        } else {
            let Some(here) = context::here().filter(|here| here.home() == home) else { return false };
            if self.used.get() != 0 {
                return false; // this poll has timers of another runtime
            }
            leave();
            self.home.set(home);
            self.real.set(here.real);
            self.settle(waker, KEEP);
        }
        self.vacant.get() != 0
    }

    /// Arms a timer in a vacant place.
    #[inline]
    fn take(&self, deadline: u64) -> Ticket {
        let vacant = self.vacant.get();
        let place = vacant.trailing_zeros() % PLACES;
        let bit = 1 << place;
        self.vacant.set(vacant & !bit);
        self.used.set(self.used.get() | bit);
        let at = &self.places[place as usize];
        self.set(at, deadline);
        Ticket { key: at.key(), place: place as u8 }
    }

    #[inline]
    fn set(&self, place: &Place, deadline: u64) {
        let nth = self.count.get() + 1;
        self.count.set(nth);
        place.nth.set(nth);
        place.deadline.set(deadline);
    }

    /// Hangs all fresh timers, which wake `waker`, and sees to it that the thread has `stock` keys afterwards.
    #[cold]
    fn settle(&self, waker: &Waker, stock: u32) {
        let home = self.home.get();
        let hang = |wheel: &mut Wheel| {
            let earliest = self.hang(wheel, waker);
            self.stock(wheel, stock);
            earliest
        };
        let open = home.with(|shared| shared.with_wheel(home.shard, hang)) == Some(true);
        let lost = self.used.get() != 0; // the runtime has shut down: who waits shall see that
        if !open || stock == 0 {
            self.home.set(Home::NOWHERE);
            self.used.set(0);
            self.vacant.set(0);
        }
        if lost {
            waker.wake_by_ref();
        }
    }

    /// Hangs all fresh timers; the earliest deadline of them.
    ///
    /// Wakers are cloned under the wheel's lock. That is no foreign code: they are the core's own.
    fn hang(&self, wheel: &mut Wheel, waker: &Waker) -> u64 {
        let mut earliest = NEVER;
        let mut used = self.used.replace(0);
        while used != 0 {
            let bit = used & used.wrapping_neg();
            used &= !bit;
            let place = &self.places[bit.trailing_zeros() as usize];
            match wheel.hang(place.key(), place.deadline.get(), place.nth.get(), waker) {
                Hung::Until(deadline) => earliest = earliest.min(deadline),
                Hung::Cancelled => self.vacant.set(self.vacant.get() | bit),
            }
        }
        wheel.hung(self.count.replace(0));
        earliest
    }

    /// Takes keys out of the wheel until there are as many as wanted, if there are few; or gives some back. No timer is fresh.
    fn stock(&self, wheel: &mut Wheel, wanted: u32) {
        let mut vacant = self.vacant.get();
        let few = vacant.count_ones() < wanted / 2; // not for one: that one may soon be taken out of the wheel again
        while few && vacant.count_ones() < wanted {
            let empty = vacant.trailing_ones();
            self.places[empty as usize].put(wheel.reserve());
            vacant |= 1 << empty;
        }
        while vacant.count_ones() > wanted {
            let last = u32::BITS - 1 - vacant.leading_zeros();
            wheel.release(self.places[last as usize].key());
            vacant &= !(1 << last);
        }
        self.vacant.set(vacant);
    }
}

impl Place {
    const fn new() -> Self {
        Self { number: Cell::new(0), index: Cell::new(0), deadline: Cell::new(0), nth: Cell::new(0) }
    }

    #[inline]
    fn key(&self) -> Key {
        Key { number: self.number.get(), index: self.index.get() }
    }

    fn put(&self, key: Key) {
        self.number.set(key.number);
        self.index.set(key.index);
    }
}

#[cfg(test)]
#[cfg(not(unstuck_loom))]
mod tests {
    use std::future::{Future, poll_fn};
    use std::pin::Pin;
    use std::task::Poll;
    use std::time::Duration;

    use unstuck_core::LocalLoop;
    use unstuck_core::driver::ThreadDriver;

    use super::KEEP;
    use crate::clock::Clock;
    use crate::driver::TimeDriver;
    use crate::handle::TimeHandle;
    use crate::{context, sleep};

    /// Arms so many timers in one poll, and drops every other one in it.
    fn arm_and_drop(event_loop: &LocalLoop, count: usize) {
        let mut naps: Vec<_> = (0..count).map(|_| sleep(Duration::from_secs(1))).collect();
        event_loop.block_on(poll_fn(|cx| {
            assert!(naps.iter_mut().all(|nap| Pin::new(nap).poll(cx).is_pending()));
            naps.truncate(count / 2);
            Poll::Ready(())
        }));
    }

    #[test]
    fn a_thread_keeps_at_most_eight_keys_between_two_polls_and_none_when_it_leaves_the_runtime() {
        let driver = TimeDriver::new(ThreadDriver::new(), Clock::paused(), 2);
        let time = driver.handle();
        let keys = |time: &TimeHandle, shard: usize| time.shared.shards[shard].lock().wheel.loose();
        let event_loop = LocalLoop::new(Box::new(driver));
        let entered = context::enter(&time, 1);
        assert_eq!(keys(&time, 1), 0);
        for count in [1, 2, 8, 30, 32, 100, 1] {
            arm_and_drop(&event_loop, count);
            let keys = keys(&time, 1);
            assert!((1..=KEEP as usize).contains(&keys), "{keys} after {count} timers in one poll");
        }
        let again = context::enter(&time, 0);
        assert_eq!(keys(&time, 1), 0);
        arm_and_drop(&event_loop, 3);
        assert_eq!(keys(&time, 0), KEEP as usize);
        // A timer that hangs and is taken out leaves its place to this thread, which has enough.
        let mut naps: Vec<_> = (0..20).map(|_| sleep(Duration::from_secs(1))).collect();
        event_loop.block_on(poll_fn(|cx| {
            assert!(naps.iter_mut().all(|nap| Pin::new(nap).poll(cx).is_pending()));
            Poll::Ready(())
        }));
        drop(naps);
        assert_eq!(keys(&time, 0), KEEP as usize);
        drop(again);
        drop(entered);
        assert_eq!((keys(&time, 0), keys(&time, 1)), (0, 0));
        assert_eq!(time.statistics().armed, 0);
    }
}
