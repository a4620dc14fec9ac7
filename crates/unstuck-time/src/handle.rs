//! [`TimeHandle`]: reaches a runtime's timers from any thread.

use std::cell::Cell;
use std::error::Error;
use std::fmt;
use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};
use std::sync::Arc;
use std::time::Duration;

use crate::clock::Clock;
use crate::context::{self, EnterGuard};
use crate::fresh;
use crate::instant::Instant;
use crate::shared::{Home, Shared};
use crate::sleep::Sleep;

/// Arms timers in one runtime, from any thread. Clones are the same timer.
#[derive(Clone)]
pub struct TimeHandle {
    pub(crate) shared: Arc<Shared>,
}

impl TimeHandle {
    /// The timer of the runtime this thread is in.
    ///
    /// # Panics
    /// If the thread is in no runtime.
    #[track_caller]
    pub fn current() -> Self {
        match Self::try_current() {
            Ok(handle) => handle,
            Err(error) => panic!("{error}"),
        }
    }

    /// The timer of the runtime this thread is in.
    ///
    /// # Errors
    /// If the thread is in no runtime.
    pub fn try_current() -> Result<Self, NoTimer> {
        context::with_current(|current| current.handle.clone()).ok_or(NoTimer(()))
    }

    /// Makes this the timer of the current thread until the guard is dropped. Workers use [`context::enter`], which names
    /// their shard.
    pub fn enter(&self) -> EnterGuard {
        context::enter(self, usize::from(self.own_shard()))
    }

    /// What time it is in this runtime.
    #[inline]
    pub fn now(&self) -> Instant {
        self.shared.clock.now()
    }

    /// The clock of this runtime.
    pub fn clock(&self) -> &Clock {
        &self.shared.clock
    }

    /// Waits for `duration` on this runtime's clock; see [`sleep`](crate::sleep()).
    pub fn sleep(&self, duration: Duration) -> Sleep {
        Sleep::relative(duration, Some((self.home(), self.now())))
    }

    /// Waits until `deadline` on this runtime's clock; see [`sleep_until`](crate::sleep_until).
    pub fn sleep_until(&self, deadline: Instant) -> Sleep {
        Sleep::absolute(deadline, Some(self.home()))
    }

    /// Counts this runtime's timers. Takes every shard's lock in turn: for reports and tests, not for decisions.
    ///
    /// Timers that a poll on another thread has just armed are counted when that poll ends.
    pub fn statistics(&self) -> Statistics {
        let mut statistics = Statistics { armed: fresh::armed(self.shared.id), capacity: 0 };
        for shard in &self.shared.shards {
            let timers = shard.lock();
            statistics.armed += timers.wheel.len();
            statistics.capacity += timers.wheel.capacity();
        }
        statistics
    }

    pub(crate) fn shard_number(&self, wanted: usize) -> u16 {
        (wanted % self.shared.shards.len()) as u16
    }

    fn home(&self) -> Home {
        Home { id: self.shared.id, shard: self.own_shard() }
    }

    /// The shard this thread entered with, if it is in this runtime; otherwise one picked by the thread's id.
    fn own_shard(&self) -> u16 {
        context::with_current(|current| (current.handle.shared.id == self.shared.id).then_some(current.shard))
            .flatten()
            .unwrap_or_else(|| self.shard_number(thread_hash() as usize))
    }
}

/// How many timers a runtime has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Statistics {
    /// Timers that are armed.
    pub armed: usize,
    /// Timers there is memory for.
    pub capacity: usize,
}

/// A number that differs from thread to thread, to spread them over the shards.
fn thread_hash() -> u64 {
    thread_local! {
        static HASH: Cell<Option<u64>> = const { Cell::new(None) };
    }
    HASH.with(|hash| match hash.get() {
        Some(number) => number,
        None => {
            let id = std::thread::current().id();
            let number = BuildHasherDefault::<DefaultHasher>::default().hash_one(id);
            hash.set(Some(number));
            number
        }
    })
}

/// This thread is in no runtime that has timers.
#[derive(Debug)]
pub struct NoTimer(pub(crate) ());

impl fmt::Display for NoTimer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "no timer on this thread: call sleep() inside unstuck::run(..), or hold a Runtime::enter() guard",
        )
    }
}

impl Error for NoTimer {}

impl fmt::Debug for TimeHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TimeHandle").field("clock", self.clock()).finish_non_exhaustive()
    }
}
