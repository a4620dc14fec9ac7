//! Task numbers: unique in the process, and made without a shared counter on the way.

use std::cell::Cell;

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
    use std::sync::atomic::AtomicU64; // not a protocol, and a model cannot have it in a static
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
