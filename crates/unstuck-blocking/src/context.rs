//! "Which pool am I on?": the current pool of a thread.
//!
//! A runtime enters its pool once on each of its threads; free functions such as `to_thread` then find it here.

use std::cell::{Cell, RefCell};
use std::marker::PhantomData;

use crate::pool::Handle;

thread_local! {
    /// The pools entered on this thread, the innermost last. Each guard knows its number, so guards may be dropped in
    /// any order.
    static ENTERED: RefCell<Vec<(u64, Handle)>> = const { RefCell::new(Vec::new()) };
    static NEXT: Cell<u64> = const { Cell::new(0) };
}

/// Makes `pool` the current one on this thread until the guard is dropped.
pub fn enter(pool: &Handle) -> EnterGuard {
    let number = NEXT.replace(NEXT.get() + 1);
    ENTERED.with_borrow_mut(|entered| entered.push((number, pool.clone())));
    EnterGuard { number, not_send: PhantomData }
}

/// The current pool of this thread.
///
/// # Panics
/// If there is none: outside a runtime's threads, with no guard of [`enter`] held.
#[track_caller]
pub fn current() -> Handle {
    try_current().expect(
        "no blocking pool on this thread: call to_thread() inside unstuck::run(..), or hold a Runtime::enter() guard",
    )
}

/// The current pool of this thread, if there is one.
pub fn try_current() -> Option<Handle> {
    ENTERED.try_with(|entered| entered.borrow().last().map(|(_, pool)| pool.clone())).ok().flatten()
}

/// Ends what [`enter`] began, on drop.
#[derive(Debug)]
#[must_use = "the pool is current only while the guard lives"]
pub struct EnterGuard {
    number: u64,
    not_send: PhantomData<*const ()>,
}

impl Drop for EnterGuard {
    fn drop(&mut self) {
        let mine = ENTERED.try_with(|entered| {
            let mut entered = entered.borrow_mut();
            let at = entered.iter().rposition(|(number, _)| *number == self.number)?;
            Some(entered.remove(at))
        });
        // Dropped here, with nothing borrowed: it may be the last of its pool.
        drop(mine);
    }
}
