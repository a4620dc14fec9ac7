//! Task numbers: unique in the process, and made without a shared counter on the way.

use std::cell::Cell;
use std::sync::atomic::AtomicU64; // not a protocol, so a model need not see it

use crate::sync::atomic::Ordering;
use crate::sync::thread_local;

thread_local! {
    /// A block of task numbers of this thread's own: a global counter would be one more line to fight over.
    static IDS: Cell<u64> = const { Cell::new(0) };
}

/// Numbers in a block. The registry files a task under its block, so tasks of one thread share a shard.
pub(super) const ID_BLOCK: u64 = 1024;

/// A number no other task of this process has.
#[inline]
pub(super) fn next_id() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    IDS.with(|ids| {
        let mut id = ids.get();
        if id % ID_BLOCK == 0 {
            id = NEXT.fetch_add(1, Ordering::Relaxed) * ID_BLOCK; // only uniqueness matters
        }
        ids.set(id + 1);
        id + 1
    })
}

/// A task's number, and in its highest bit whether the task is being polled, for display: not in the task's word, where
/// each change would be a read-modify-write. Who holds the runnable writes it, everybody reads it. The bit below says that the
/// task is a call of the runtime's, and nobody's task.
pub(super) struct Number(AtomicU64);

/// No number gets there: at a billion tasks a second it would take 292 years.
const POLLED: u64 = 1 << 63;
const CALL: u64 = 1 << 62;

impl Number {
    pub(super) fn new(id: u64, is_call: bool) -> Self {
        Self(AtomicU64::new(if is_call { id | CALL } else { id }))
    }

    #[inline]
    pub(super) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed) & !(POLLED | CALL) // the number itself never changes
    }

    #[inline]
    pub(super) fn begin_poll(&self) {
        self.0.store(self.0.load(Ordering::Relaxed) | POLLED, Ordering::Relaxed); // display only, as below
    }

    #[inline]
    pub(super) fn end_poll(&self) {
        self.0.store(self.0.load(Ordering::Relaxed) & !POLLED, Ordering::Relaxed);
    }

    /// True if it is a call that the runtime has made a task of.
    pub(super) fn is_call(&self) -> bool {
        self.0.load(Ordering::Relaxed) & CALL != 0 // never changes
    }

    pub(super) fn is_polled(&self) -> bool {
        self.0.load(Ordering::Relaxed) & POLLED != 0
    }
}
