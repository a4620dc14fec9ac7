//! The one door to atomics, locks and threads.
//!
//! Every other file of the runtime takes its atomics, locks and cells from here. In an ordinary build they are the
//! real ones (`std`, `parking_lot`); under `--cfg unstuck_loom` they are [loom]'s, so that a model checker can run
//! the very same protocol code through every interleaving it allows.
//!
//! [loom]: https://docs.rs/loom

#[cfg(not(unstuck_loom))]
pub use real::*;

#[cfg(unstuck_loom)]
pub use modelled::*;

#[cfg(not(unstuck_loom))]
mod real {
    pub use parking_lot::{Condvar, Mutex, MutexGuard};
    pub use std::hint;
    pub use std::thread;

    /// Atomic types and fences.
    pub mod atomic {
        pub use std::sync::atomic::{
            AtomicBool, AtomicPtr, AtomicU32, AtomicU64, AtomicUsize, Ordering, fence,
        };
    }

    /// Waits until notified or until `limit` has passed.
    pub fn wait_for<T>(condvar: &Condvar, guard: &mut MutexGuard<'_, T>, limit: std::time::Duration) {
        condvar.wait_for(guard, limit);
    }

    /// A cell whose accesses a model checker can see; free of cost in an ordinary build.
    #[derive(Debug)]
    pub struct UnsafeCell<T>(std::cell::UnsafeCell<T>);

    impl<T> UnsafeCell<T> {
        /// Wraps `value`.
        pub const fn new(value: T) -> Self {
            Self(std::cell::UnsafeCell::new(value))
        }

        /// Calls `f` with a pointer for reading.
        #[inline(always)]
        pub fn with<R>(&self, f: impl FnOnce(*const T) -> R) -> R {
            f(self.0.get())
        }

        /// Calls `f` with a pointer for writing.
        #[inline(always)]
        pub fn with_mut<R>(&self, f: impl FnOnce(*mut T) -> R) -> R {
            f(self.0.get())
        }
    }
}

#[cfg(unstuck_loom)]
mod modelled {
    pub use loom::cell::UnsafeCell;
    pub use loom::hint;
    pub use loom::sync::MutexGuard;
    pub use loom::thread;

    /// Atomic types and fences.
    pub mod atomic {
        pub use loom::sync::atomic::{
            AtomicBool, AtomicPtr, AtomicU32, AtomicU64, AtomicUsize, Ordering, fence,
        };
    }

    /// loom's mutex behind the interface of `parking_lot`'s (no poisoning).
    #[derive(Debug)]
    pub struct Mutex<T>(loom::sync::Mutex<T>);

    impl<T> Mutex<T> {
        /// A new unlocked mutex.
        pub fn new(value: T) -> Self {
            Self(loom::sync::Mutex::new(value))
        }

        /// Locks.
        pub fn lock(&self) -> MutexGuard<'_, T> {
            self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
        }

        /// Locks if nobody else holds the lock.
        pub fn try_lock(&self) -> Option<MutexGuard<'_, T>> {
            self.0.try_lock().ok()
        }
    }

    impl<T: Default> Default for Mutex<T> {
        fn default() -> Self {
            Self::new(T::default())
        }
    }

    /// loom's condition variable behind the interface of `parking_lot`'s.
    #[derive(Debug)]
    pub struct Condvar(loom::sync::Condvar);

    impl Condvar {
        /// A new condition variable.
        pub fn new() -> Self {
            Self(loom::sync::Condvar::new())
        }

        /// Waits until notified.
        pub fn wait<T>(&self, guard: &mut MutexGuard<'_, T>) {
            replace_with(guard, |guard| {
                self.0.wait(guard).unwrap_or_else(std::sync::PoisonError::into_inner)
            });
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

    /// loom has no clock: a timed wait may always end at once.
    pub fn wait_for<T>(_: &Condvar, _: &mut MutexGuard<'_, T>, _: std::time::Duration) {
        loom::thread::yield_now();
    }

    /// loom's condvar consumes and returns the guard, parking_lot's borrows it: move it out and back.
    #[allow(unsafe_code)]
    fn replace_with<T>(slot: &mut T, f: impl FnOnce(T) -> T) {
        // SAFETY: the value is read out once and a new one written back before anyone can see the hole; loom
        // aborts the model when `f` panics, so the hole is never dropped twice.
        unsafe { std::ptr::write(slot, f(std::ptr::read(slot))) }
    }
}
