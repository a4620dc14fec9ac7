//! Where timers are armed: the shards.
//!
//! A sleep does not own its runtime. It keeps a [`Home`]: the runtime's number and its shard's. On a thread that is in
//! that runtime (nearly always) the number is compared with the thread's own and the shard is at hand; from elsewhere it
//! is looked up in a list of all runtimes. A shared pointer in each sleep would cost two counter updates on a line that all
//! threads would share: 16 ns, half of what creating, arming and cancelling take when the timer stays [fresh](crate::fresh).
//!
//! A timer that does come here, and goes again before it fires, costs two locks (four atomic read-modify-writes, 23 ns on a
//! virtual machine with two cores) and a waker's clone and drop (10 ns). To spare these two more ways were thought
//! through and dropped. *A wheel that only its worker touches* needs no lock, but when that worker is stuck nobody can fire its
//! timers, and firing them is the promise. *A lock biased to its worker* (plain stores for the owner, `membarrier` for
//! the others) keeps the promise and costs `unsafe` here, a system call a sweep, and a proof that no model checker can
//! repeat. What came of it is that only timers which concern nobody but the poll that is going on are kept by its thread.
//!
//! Looking whether a timer has fired, at each poll of a `timeout`, takes no lock: the shard says up to when it has fired,
//! and the sleep remembers whom it wakes.
//!
//! No foreign code (a waker's `clone` or `drop`) runs while a lock of this module is held: wakers are cloned before and
//! dropped after.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock, Weak};
use std::task::Waker;

use crossbeam_utils::CachePadded;
use unstuck_core::driver::Unpark;
use unstuck_core::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use unstuck_core::sync::{Mutex, MutexGuard};

use crate::alarm::{Alarm, Ring};
use crate::clock::Clock;
use crate::context;
use crate::instant::{Instant, NEVER};
use crate::wheel::{Found, Key, Moved, Wheel};

/// What the driver and all its handles share.
pub(crate) struct Shared {
    pub(crate) id: u64,
    pub(crate) clock: Clock,
    pub(crate) alarm: Alarm,
    pub(crate) shards: Box<[CachePadded<Shard>]>,
    /// The wrapped driver's.
    pub(crate) unparker: Arc<dyn Unpark>,
    /// Somebody unparked since the driver last returned; a paused clock must not jump before the scheduler has looked.
    pub(crate) disturbed: AtomicBool,
}

pub(crate) struct Shard {
    timers: Mutex<Timers>,
    /// No timer with a later deadline has been taken out of the wheel to be woken.
    fired: AtomicU64,
}

pub(crate) struct Timers {
    pub(crate) wheel: Wheel,
    /// False once the driver is gone.
    open: bool,
}

/// Where a sleep's timer lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Home {
    pub(crate) id: u64,
    pub(crate) shard: u16,
}

/// What became of the wish to arm a timer.
#[must_use]
pub(crate) enum Armed {
    Hung(Key),
    /// The driver has already passed that time.
    Due(Waker),
    ShutDown,
}

/// What has become of a timer since it was armed.
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Seen {
    /// Not due; it will wake the given waker.
    Waiting,
    /// Not due; it would wake another waker.
    OtherWaker,
    /// Not hung yet (fresh.rs): the poll in which it was armed still goes on.
    Loose,
    Fired,
    ShutDown,
}

impl Shard {
    pub(crate) fn new(now: u64) -> Self {
        let timers = Timers { wheel: Wheel::new(now), open: true };
        Self { timers: Mutex::new(timers), fired: AtomicU64::new(0) }
    }

    #[inline]
    pub(crate) fn lock(&self) -> MutexGuard<'_, Timers> {
        self.timers.lock()
    }

    /// To be called while the lock is held, before timers up to `until` that were taken out are woken.
    pub(crate) fn has_fired(&self, until: u64) {
        // Relaxed: who is polled because of such a wake-up reads it after that, whatever the waker synchronizes by; who
        // is polled for another reason may read the old value, and the wake-up will come.
        self.fired.store(until, Ordering::Relaxed);
    }

    /// The driver is gone: takes everything out.
    pub(crate) fn close(&self) -> Vec<Waker> {
        let mut timers = self.lock();
        timers.open = false;
        self.has_fired(NEVER);
        timers.wheel.drain()
    }
}

impl Shared {
    /// True if a timer that was armed for this deadline still hangs in its wheel, or its waker is about to be called.
    #[inline]
    pub(crate) fn still_waits(&self, shard: u16, deadline: u64) -> bool {
        deadline > self.shards[usize::from(shard)].fired.load(Ordering::Relaxed) // see `has_fired`
    }

    pub(crate) fn now(&self) -> u64 {
        self.clock.now().as_nanos()
    }

    /// Hangs a timer into a shard, and rings if the driver would oversleep it.
    #[inline]
    pub(crate) fn arm(&self, shard: u16, deadline: u64, looks: bool, waker: Waker) -> Armed {
        // A paused clock may have been advanced by hand since the sleep was made, and looking at it is free.
        if (looks || self.clock.is_paused()) && self.now() >= deadline {
            return Armed::Due(waker);
        }
        let mut guard = self.shards[usize::from(shard)].lock();
        if !guard.open {
            drop(guard); // before the waker, which is foreign code
            return Armed::ShutDown;
        }
        if deadline <= guard.wheel.now() {
            return Armed::Due(waker);
        }
        let key = guard.wheel.arm(deadline, waker);
        drop(guard);
        self.armed(deadline);
        Armed::Hung(key)
    }

    /// Calls `f` with a shard's wheel, and rings if the driver would oversleep the deadline that it gives. False if the driver is
    /// gone.
    pub(crate) fn with_wheel(&self, shard: u16, f: impl FnOnce(&mut Wheel) -> u64) -> bool {
        let mut guard = self.shards[usize::from(shard)].lock();
        if !guard.open {
            return false;
        }
        let earliest = f(&mut guard.wheel);
        drop(guard);
        self.armed(earliest);
        true
    }

    #[inline]
    fn armed(&self, deadline: u64) {
        if self.alarm.armed(deadline) == Ring::Yes {
            self.ring();
        }
    }

    /// Takes a timer out. The caller drops the waker, outside of every lock.
    #[inline]
    pub(crate) fn cancel(&self, shard: u16, key: Key) -> Option<Waker> {
        self.shards[usize::from(shard)].lock().wheel.cancel(key)
    }

    /// The same; its place is the caller's, under a new key.
    #[inline]
    pub(crate) fn loosen(&self, shard: u16, key: Key) -> Option<(Waker, Key)> {
        self.shards[usize::from(shard)].lock().wheel.loosen(key)
    }

    /// Takes a timer out that shall have another deadline.
    pub(crate) fn displace(&self, shard: u16, key: Key, deadline: u64) -> Moved {
        self.shards[usize::from(shard)].lock().wheel.displace(key, deadline)
    }

    pub(crate) fn look(&self, shard: u16, key: Key, deadline: u64, waker: &Waker) -> Seen {
        let Timers { wheel, open } = &mut *self.shards[usize::from(shard)].lock();
        let passed = deadline <= wheel.now();
        match wheel.find(key) {
            Found::Hanging(kept) if kept.will_wake(waker) => Seen::Waiting,
            Found::Hanging(_) => Seen::OtherWaker,
            Found::Loose if *open => Seen::Loose,
            _ if passed => Seen::Fired,
            _ => Seen::ShutDown,
        }
    }

    /// Replaces a timer's waker; gives back the one that is not needed.
    pub(crate) fn replace_waker(&self, shard: u16, key: Key, waker: Waker) -> Waker {
        match self.shards[usize::from(shard)].lock().wheel.find(key) {
            Found::Hanging(kept) => std::mem::replace(kept, waker),
            Found::Loose | Found::Gone => waker,
        }
    }

    /// Ends the driver's sleep.
    #[cold]
    pub(crate) fn ring(&self) {
        if self.clock.is_paused() {
            // Release: pairs with the AcqRel swap in the driver, which then returns to the scheduler instead of jumping.
            self.disturbed.store(true, Ordering::Release);
        }
        self.unparker.unpark();
    }
}

/// Every runtime that has timers, by number. Numbers are never used twice.
///
/// std's lock and not the modelled one: this is bookkeeping and no protocol, and a model cannot live in a static.
static RUNTIMES: RwLock<Runtimes> = RwLock::new(Runtimes { last: 0, alive: BTreeMap::new() });

struct Runtimes {
    last: u64,
    alive: BTreeMap<u64, Weak<Shared>>,
}

/// Gives `build` a number and registers what it builds.
pub(crate) fn register(build: impl FnOnce(u64) -> Arc<Shared>) -> Arc<Shared> {
    let mut runtimes = RUNTIMES.write().unwrap_or_else(PoisonError::into_inner);
    runtimes.last += 1;
    let id = runtimes.last;
    let shared = build(id);
    runtimes.alive.insert(id, Arc::downgrade(&shared));
    shared
}

pub(crate) fn unregister(id: u64) {
    RUNTIMES.write().unwrap_or_else(PoisonError::into_inner).alive.remove(&id);
}

impl Home {
    /// Outside of every runtime.
    pub(crate) const NOWHERE: Self = Self { id: 0, shard: 0 };

    /// The home of a timer created on this thread now, and the time there.
    #[inline]
    pub(crate) fn here() -> Option<(Self, Instant)> {
        let here = context::here()?;
        let now = if here.real { Instant::system_now() } else { Instant::now() };
        Some((Self { id: here.id, shard: here.shard }, now))
    }

    /// Calls `f` with this home's runtime; `None` if that has shut down. `f` must not run foreign code.
    #[inline]
    pub(crate) fn with<R>(self, f: impl FnOnce(&Shared) -> R) -> Option<R> {
        let mut f = Some(f);
        let here = context::with_current(|current| {
            let shared = &current.handle.shared;
            if shared.id == self.id { f.take().map(|f| f(shared)) } else { None }
        });
        match here {
            Some(Some(result)) => Some(result),
            _ => f.and_then(|f| self.look_up().map(|shared| f(&shared))),
        }
    }

    #[cold]
    fn look_up(self) -> Option<Arc<Shared>> {
        RUNTIMES.read().unwrap_or_else(PoisonError::into_inner).alive.get(&self.id)?.upgrade()
    }
}
