//! A model checker's locks and threads behind the interfaces of `parking_lot` and `std`.
//!
//! loom and shuttle both mirror `std`, so one file serves both.

use std::ops::{Deref, DerefMut};
use std::sync::PoisonError;
use std::time::Duration;

#[cfg(unstuck_loom)]
use loom as checker;
#[cfg(unstuck_shuttle)]
use shuttle as checker;

pub use checker::hint;

pub use crate::modelled_thread_local as thread_local;

/// Atomic types and fences.
pub mod atomic {
    pub use super::checker::sync::atomic::{
        AtomicBool, AtomicPtr, AtomicU32, AtomicU64, AtomicUsize, Ordering, fence,
    };
}

/// Threads.
pub mod thread {
    pub use super::checker::thread::*;

    /// A model has no clock: a timed sleep may always end at once, after everybody else had a chance to run.
    pub fn park_timeout(_: std::time::Duration) {
        yield_now();
    }
}

/// A moment on a clock that does as it likes: no time has passed, or a lot.
#[derive(Clone, Copy, Debug)]
pub struct Instant(());

impl Instant {
    /// This moment.
    #[must_use]
    pub fn now() -> Self {
        Self(())
    }

    /// The time since then.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        Self::now().duration_since(*self)
    }

    /// The time from `_earlier` to this moment.
    #[must_use]
    pub fn duration_since(&self, _earlier: Self) -> Duration {
        #[cfg(unstuck_shuttle)]
        if shuttle::rand::Rng::gen_bool(&mut shuttle::rand::thread_rng(), 0.5) {
            return Duration::from_secs(1);
        }
        Duration::ZERO
    }
}

/// `thread_local!` for modelled threads, which share one real thread. Takes the `const` form that our own use.
#[doc(hidden)]
#[macro_export]
macro_rules! modelled_thread_local {
    ($($(#[$attribute:meta])* $vis:vis static $name:ident: $type:ty = const $init:block;)*) => {
        $($crate::sync::checker_thread_local! { $(#[$attribute])* $vis static $name: $type = $init; })*
    };
}

#[cfg(unstuck_loom)]
#[doc(hidden)]
pub use loom::thread_local as checker_thread_local;
#[cfg(unstuck_shuttle)]
#[doc(hidden)]
pub use shuttle::thread_local as checker_thread_local;

/// How often to look again before giving up: each look is a step to permute, so few.
#[must_use]
pub const fn patience(looks: u32) -> u32 {
    if looks < 8 { looks } else { 8 }
}

/// As `mutex.lock()`.
pub fn lock_soon<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock()
}

/// A mutex without poisoning.
#[derive(Debug)]
pub struct Mutex<T>(checker::sync::Mutex<T>);

/// Holds a [`Mutex`]; empty only while it waits for a [`Condvar`].
#[derive(Debug)]
pub struct MutexGuard<'a, T> {
    held: Option<checker::sync::MutexGuard<'a, T>>,
    mutex: &'a Mutex<T>,
}

impl<T> Mutex<T> {
    /// A new unlocked mutex.
    pub fn new(value: T) -> Self {
        Self(checker::sync::Mutex::new(value))
    }

    /// Locks.
    pub fn lock(&self) -> MutexGuard<'_, T> {
        MutexGuard { held: Some(self.0.lock().unwrap_or_else(PoisonError::into_inner)), mutex: self }
    }

    /// Locks if nobody else holds the lock.
    pub fn try_lock(&self) -> Option<MutexGuard<'_, T>> {
        Some(MutexGuard { held: Some(self.0.try_lock().ok()?), mutex: self })
    }
}

impl<T: Default> Default for Mutex<T> {
    fn default() -> Self {
        Self::new(T::default())
    }
}

impl<T> Deref for MutexGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.held.as_ref().expect("held outside of wait")
    }
}

impl<T> DerefMut for MutexGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        self.held.as_mut().expect("held outside of wait")
    }
}

/// A condition variable whose guards stay with their owners.
#[derive(Debug)]
pub struct Condvar(checker::sync::Condvar);

impl Condvar {
    /// A new condition variable.
    pub fn new() -> Self {
        Self(checker::sync::Condvar::new())
    }

    /// Waits until notified.
    pub fn wait<T>(&self, guard: &mut MutexGuard<'_, T>) {
        guard.held = guard.held.take().map(|held| self.0.wait(held).unwrap_or_else(PoisonError::into_inner));
    }

    /// Wakes one waiter.
    pub fn notify_one(&self) -> bool {
        self.0.notify_one();
        true
    }

    /// Wakes all waiters.
    pub fn notify_all(&self) -> usize {
        self.0.notify_all();
        0
    }
}

impl Default for Condvar {
    fn default() -> Self {
        Self::new()
    }
}

/// A model has no clock: a timed wait may always end at once, after everybody else had a chance to run.
pub fn wait_for<T>(_: &Condvar, guard: &mut MutexGuard<'_, T>, _: Duration) {
    guard.held = None;
    thread::yield_now();
    guard.held = guard.mutex.lock().held;
}
