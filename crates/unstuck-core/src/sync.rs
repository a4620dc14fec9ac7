//! The one door to atomics, locks and threads.
//!
//! Every other file of the runtime takes its atomics, locks and cells from here. In an ordinary build they are the
//! real ones (`std`, `parking_lot`). Under `--cfg unstuck_loom` they are [loom]'s and under `--cfg unstuck_shuttle`
//! [shuttle]'s, so that a model checker can run the very same protocol code through the interleavings it chooses.
//! CHECKING.md tells which one proves what.
//!
//! [loom]: https://docs.rs/loom
//! [shuttle]: https://docs.rs/shuttle

#[cfg(not(any(unstuck_loom, unstuck_shuttle)))]
pub use real::*;

#[cfg(any(unstuck_loom, unstuck_shuttle))]
pub use modelled::*;

mod lopsided;
pub(crate) use lopsided::Lopsided;

#[cfg(any(unstuck_loom, unstuck_shuttle))]
mod modelled;

#[cfg(unstuck_loom)]
pub use loom::cell::UnsafeCell;

#[cfg(not(any(unstuck_loom, unstuck_shuttle)))]
mod real {
    pub use parking_lot::{Condvar, Mutex, MutexGuard};
    pub use std::hint;
    pub use std::thread;
    pub use std::thread_local;
    pub use std::time::Instant;

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

    /// As `mutex.lock()`, for locks that others hold for some hundred nanoseconds. parking_lot gives way after 0.2 µs of looking,
    /// and whoever gives way goes behind all others who want this CPU: beside busy workers that is milliseconds. Here it is
    /// some microseconds of looking first.
    #[inline]
    pub fn lock_soon<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
        #[cold]
        fn look<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
            for _ in 0..200 {
                hint::spin_loop();
                if let Some(guard) = mutex.try_lock() {
                    return guard;
                }
            }
            mutex.lock()
        }
        mutex.try_lock().unwrap_or_else(|| look(mutex))
    }

    /// How often to look again before giving up: `looks`. A model takes few, since it permutes each of them.
    #[must_use]
    pub const fn patience(looks: u32) -> u32 {
        looks
    }
}

/// A cell whose accesses a model checker can see; free of cost in an ordinary build.
#[cfg(not(unstuck_loom))]
#[derive(Debug)]
pub struct UnsafeCell<T>(std::cell::UnsafeCell<T>);

#[cfg(not(unstuck_loom))]
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
