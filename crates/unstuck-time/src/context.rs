//! Which timer a thread uses: one thread-local, set by [`enter`] once a thread, never per poll.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::marker::PhantomData;

use crate::fresh;
use crate::handle::TimeHandle;
use crate::shared::Home;

/// The timer of the runtime a thread is in, and the shard it arms its timers in.
pub(crate) struct Current {
    pub(crate) handle: TimeHandle,
    pub(crate) shard: u16,
}

/// The same, as far as it is needed to make a timer: small and without a destructor, so that it is read in two steps.
#[derive(Clone, Copy)]
pub(crate) struct Here {
    /// The runtime's number.
    pub(crate) id: u64,
    pub(crate) shard: u16,
    /// On the real clock.
    pub(crate) real: bool,
}

thread_local! {
    static CURRENT: RefCell<Option<Current>> = const { RefCell::new(None) };
    static HERE: Cell<Option<Here>> = const { Cell::new(None) };
}

impl Current {
    fn here(&self) -> Here {
        Here { id: self.handle.shared.id, shard: self.shard, real: !self.handle.clock().is_paused() }
    }
}

impl Here {
    #[inline]
    pub(crate) fn home(self) -> Home {
        Home { id: self.id, shard: self.shard }
    }
}

/// Where this thread is.
#[inline]
pub(crate) fn here() -> Option<Here> {
    HERE.with(Cell::get)
}

/// Makes `handle` this thread's timer until the guard is dropped; new timers go to the given shard.
///
/// Worker `n` enters with shard `n`, so that workers do not share locks. A number beyond the last shard starts over at
/// the first. Guards nest, and must be dropped in the reverse order; for threads that are no workers use
/// [`TimeHandle::enter`].
pub fn enter(handle: &TimeHandle, shard: usize) -> EnterGuard {
    let current = Current { handle: handle.clone(), shard: handle.shard_number(shard) };
    fresh::leave();
    HERE.set(Some(current.here()));
    let previous = CURRENT.with(|slot| slot.borrow_mut().replace(current));
    EnterGuard { previous, not_send: PhantomData }
}

/// Restores the thread's previous timer when dropped.
#[must_use = "the timer is entered only as long as this guard lives"]
pub struct EnterGuard {
    previous: Option<Current>,
    /// It belongs to the thread that entered.
    not_send: PhantomData<*const ()>,
}

impl Drop for EnterGuard {
    fn drop(&mut self) {
        fresh::leave();
        let previous = self.previous.take();
        HERE.set(previous.as_ref().map(Current::here));
        // A thread that is ending has no slot to restore. What is replaced is dropped outside of the borrow.
        let _ended = CURRENT.try_with(|slot| slot.replace(previous));
    }
}

/// Calls `f` with this thread's timer. `f` must not run foreign code: the slot is borrowed.
#[inline]
pub(crate) fn with_current<R>(f: impl FnOnce(&Current) -> R) -> Option<R> {
    CURRENT.try_with(|slot| slot.borrow().as_ref().map(f)).ok().flatten()
}

impl fmt::Debug for EnterGuard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EnterGuard").finish_non_exhaustive()
    }
}
