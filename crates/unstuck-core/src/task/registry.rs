#![allow(unsafe_code)] // Lists tasks by pointer; a slot's lock bit keeps a task alive while it is looked at.
//! All unfinished tasks of a home: to list them, to cancel them at the end, and to know when the last has gone.
//!
//! # How it is built
//!
//! A task's place in the registry is a *slot*, a pointer in a *block* of 62. Blocks are filled once, from front to
//! back, and given back when the last of their tasks has ended. Each thread files its tasks in a *shard*, which knows the
//! block being filled and all blocks that are still in use.
//!
//! ```text
//!  shard (lock) ──► filling, used 3 ─► block: slots task · task · task · …
//!               └─► blocks                    live    1      0      1    1 …
//! ```
//!
//! * **Insert** takes the shard's lock, which no other thread is likely to want: task numbers are dealt to threads in
//!   ranges, and the shard follows from the number.
//! * **Remove** is one step, without a lock: it clears the slot's bit in the block's word. Only who clears the last one
//!   takes the lock, to free the block.
//! * **Snapshot** takes each shard's lock, and sets a bit in the word of each block in turn while it makes references to
//!   the block's tasks. A remove that finds this bit goes through the lock, and so waits until the references are made. It
//!   cannot wait for the bit itself: its task may have been the last, and the block be freed meanwhile.
//!
//! # Why not a linked list through the tasks
//!
//! We had one. Removing a task then writes to its neighbours, and takes the lock that the spawning thread needs: with
//! tasks that are spawned on one core and run on another, these cache lines (537 ns there and back) cost more than
//! the task. A block's word costs one line for sixty-two.

use std::cell::Cell;
use std::ptr::{self, NonNull};

use crossbeam_utils::CachePadded;

use super::TaskRef;
use super::header::Header;
use super::numbers::ID_BLOCK;
use crate::inspect::Outsiders;
use crate::sync::atomic::{AtomicU64, Ordering};
use crate::sync::{Mutex, lock_soon};

/// Slots in a block, which with its word and its index fills eight cache lines. Larger ones cost fewer allocations;
/// smaller ones waste less when one task outlives the others.
#[cfg(not(any(unstuck_loom, unstuck_shuttle)))]
const SLOTS: usize = 62;
/// A model wants to fill and free blocks within its few steps.
#[cfg(any(unstuck_loom, unstuck_shuttle))]
const SLOTS: usize = 2;

/// Shards for so many threads that spawn at the same time: they should seldom meet in one.
#[cfg(not(any(unstuck_loom, unstuck_shuttle)))]
fn shards(threads: usize) -> usize {
    (threads * 4).next_power_of_two()
}
/// A model must repeat itself: numbers, and with them shards, go on from one run to the next. So it has one.
#[cfg(any(unstuck_loom, unstuck_shuttle))]
fn shards(_: usize) -> usize {
    1
}

/// A list of so many blocks keeps its room when they are gone: they are those of 4,000 tasks.
const LIST: usize = 64;

/// A shard keeps so many blocks that are free, 8 KiB: enough where tasks end about as fast as they come.
const SPARES: usize = 16;

/// In a block's word: somebody is making references to its tasks.
const LOOK: u64 = 1 << 63;

/// All unfinished tasks of a home.
pub(crate) struct Registry {
    shards: Box<[CachePadded<Mutex<Shard>>]>,
    /// Futures that are polled outside of tasks, while somebody wants to see them.
    outsiders: Outsiders,
}

#[derive(Default)]
struct Shard {
    /// The block that takes new tasks.
    filling: Option<NonNull<Block>>,
    /// How many it has taken. Not in the block: there it would lie on a line that those who remove tasks write to.
    used: usize,
    /// All blocks with unfinished tasks, and the one that is being filled.
    blocks: Vec<NonNull<Block>>,
    /// Blocks that were freed last. With tasks that are spawned on one core and end on another, memory that comes back from
    /// there through the allocator costs more than the task (its arena's lock and lists change cores too).
    #[expect(clippy::vec_box, reason = "they go in and out as they are")]
    spares: Vec<Box<Block>>,
    closed: bool,
}

#[repr(align(64))] // room for a slot's number in the low bits of a pointer to it, see `Filed`
struct Block {
    /// Written and read under the shard's lock. A pointer stays when its task has gone.
    slots: [Cell<*mut Header>; SLOTS],
    /// A bit for each task that has not gone, and LOOK. Slots not yet filled count, so that a block being filled is never dead.
    word: AtomicU64,
    /// Its index in the shard's list; under the shard's lock.
    at: Cell<usize>,
}

/// Where a task is filed: its block, and in the low six bits its slot.
#[derive(Clone, Copy)]
pub(super) struct Filed(*const Block);

const _: () = assert!(
    SLOTS < 64,
    "a slot's number must fit the bits that the block's alignment leaves free, and its bit the word beside LOOK"
);

impl Filed {
    pub(super) const NOWHERE: Filed = Filed(ptr::null());

    fn new(block: NonNull<Block>, slot: usize) -> Self {
        Self(block.as_ptr().cast_const().map_addr(|address| address | slot))
    }

    fn block(self) -> *const Block {
        self.0.map_addr(|address| address & !63)
    }

    fn slot(self) -> usize {
        self.0.addr() & 63
    }
}

// SAFETY: the pointers are to blocks, which the registry owns, and to tasks, on which it holds references; both are
// made to be shared by threads.
unsafe impl Send for Registry {}
// SAFETY: as above; the blocks' lists and cells are behind the shards' locks.
unsafe impl Sync for Registry {}

impl Registry {
    /// A registry for about `threads` threads that spawn at the same time.
    pub(crate) fn new(threads: usize) -> Self {
        Self::with_shards(shards(threads))
    }

    pub(super) fn with_shards(shards: usize) -> Self {
        let shards = (0..shards).map(|_| CachePadded::new(Mutex::new(Shard::default()))).collect();
        Self { shards, outsiders: Outsiders::default() }
    }

    #[inline]
    fn shard(&self, id: u64) -> &Mutex<Shard> {
        // The mask keeps the index below the length, a power of two. 0 is no task's: who asks for it finds nothing.
        &self.shards[(id.wrapping_sub(1) / ID_BLOCK) as usize & (self.shards.len() - 1)]
    }

    /// Takes a new task in, together with the reference made for the registry; false if the home has closed.
    ///
    /// # Safety
    /// The task is new: only the caller knows it, and holds its runnable.
    #[inline]
    pub(super) unsafe fn insert(&self, task: NonNull<Header>) -> bool {
        // SAFETY: the caller holds a reference.
        let header = unsafe { task.as_ref() };
        let mut shard = lock_soon(self.shard(header.id.get()));
        if shard.closed {
            return false;
        }
        let block = match shard.filling {
            Some(block) => block,
            None => shard.new_block(),
        };
        let slot = shard.used;
        shard.used += 1;
        if shard.used == SLOTS {
            shard.filling = None;
        }
        // SAFETY: only the caller knows the task yet; later readers come through the queue it is about to enter.
        header.filed.with_mut(|filed| unsafe { *filed = Filed::new(block, slot) });
        // SAFETY: a block being filled is alive (the bits of its empty slots are set).
        unsafe { block.as_ref() }.slots[slot].set(task.as_ptr());
        true
    }

    /// Lets a finished task go; its reference goes back to the caller. True if the home has closed and this was the
    /// last task.
    ///
    /// # Safety
    /// The task is in this registry, and the caller is the thread that finishes it.
    #[inline]
    pub(super) unsafe fn remove(&self, task: NonNull<Header>) -> bool {
        // SAFETY: the caller holds references; `filed` was written before the task was first queued (rule 4).
        let (block, slot, id) = unsafe {
            let header = task.as_ref();
            let filed = header.filed.with(|filed| *filed);
            (filed.block(), filed.slot(), header.id.get())
        };
        let bit = 1 << slot;
        // SAFETY: a block lives as long as a bit is set, and ours is.
        let word = unsafe { &(*block).word };
        // Release: our use of the block comes before it is freed. Acquire: so does everybody else's, if we free it. And
        // pairs with the Release in `look`: references that were made come before we give ours up.
        let before = word.fetch_and(!bit, Ordering::AcqRel);
        if before & LOOK != 0 {
            drop(self.shard(id).lock()); // whoever makes references does it under this lock
        }
        before & !LOOK == bit && self.free_block(id, block)
    }

    #[cold]
    fn free_block(&self, id: u64, block: *const Block) -> bool {
        let mut shard = lock_soon(self.shard(id));
        // SAFETY: still on the list, so alive.
        shard.unlist(unsafe { &*block });
        let closed = shard.closed;
        // SAFETY: no bit is set: every slot was filled and emptied, or given up by `close`; it is off the list, so no
        // snapshot sees it; made by `new_block` from a box.
        let block = unsafe { Box::from_raw(block.cast_mut()) };
        let unneeded = if shard.spares.len() < SPARES {
            shard.spares.push(block);
            None
        } else {
            Some(block)
        };
        drop(shard);
        drop(unneeded);
        // Two last tasks may leave two shards at once. Each looks at all shards after it has left its own, so the one
        // that looks later (the locks put them in an order) finds all of them empty.
        closed && self.is_empty()
    }

    /// Refuses tasks from now on; false if it did before, or somebody else sees to it.
    pub(crate) fn close(&self) -> bool {
        for shard in &self.shards {
            let mut guard = shard.lock();
            // Of two who close at once, one is the first at the first shard.
            if std::mem::replace(&mut guard.closed, true) {
                return false;
            }
            let Some(block) = guard.filling.take() else { continue };
            // SAFETY: a block being filled is alive.
            let word = unsafe { &block.as_ref().word };
            let filled = bits(guard.used);
            // Orderings as in `remove`. Nobody looks at it: we have the lock.
            if word.fetch_and(filled, Ordering::AcqRel) & filled == 0 {
                // SAFETY: as above.
                guard.unlist(unsafe { block.as_ref() });
                // SAFETY: as in `free_block`.
                drop(unsafe { Box::from_raw(block.as_ptr()) });
            }
        }
        true
    }

    /// True once it refuses tasks.
    pub(crate) fn is_closed(&self) -> bool {
        self.shards.iter().all(|shard| shard.lock().closed)
    }

    /// True if there is no task in it. Meant for a closed registry; before, a block being filled counts.
    pub(crate) fn is_empty(&self) -> bool {
        self.shards.iter().all(|shard| shard.lock().blocks.is_empty())
    }

    /// True if there was no task at one moment. All shards are locked for it: nobody spawns meanwhile, so none is overlooked.
    pub(crate) fn has_none(&self) -> bool {
        let shards: Vec<_> = self.shards.iter().map(|shard| shard.lock()).collect();
        // Acquire: pairs with the Release in `remove`: what those did who have gone is seen.
        let empty = |(block, filled): (&Block, u64)| block.word.load(Ordering::Acquire) & filled == 0;
        shards.iter().all(|shard| shard.blocks().all(empty))
    }

    /// How many tasks are in it.
    pub(crate) fn len(&self) -> usize {
        let count = |shard: &CachePadded<Mutex<Shard>>| -> u32 {
            let shard = shard.lock();
            // Relaxed: display only.
            shard
                .blocks()
                .map(|(block, filled)| (block.word.load(Ordering::Relaxed) & filled).count_ones())
                .sum()
        };
        self.shards.iter().map(count).sum::<u32>() as usize
    }

    /// The task with this number, if it is in it.
    pub(crate) fn find(&self, id: u64) -> Option<TaskRef> {
        let shard = self.shard(id).lock();
        let mut found = None;
        for (block, filled) in shard.blocks() {
            block.look(filled, |task| {
                // SAFETY: alive while it is looked at.
                if unsafe { task.as_ref() }.id.get() == id {
                    // SAFETY: as above.
                    found = Some(unsafe { TaskRef::to_running(task) });
                }
            });
            if found.is_some() {
                break;
            }
        }
        found
    }

    pub(crate) fn outsiders(&self) -> &Outsiders {
        &self.outsiders
    }

    /// The tasks in it now. Each shard is looked at by itself.
    pub(crate) fn snapshot(&self) -> Vec<TaskRef> {
        let mut tasks = Vec::new();
        for shard in &self.shards {
            let shard = shard.lock();
            for (block, filled) in shard.blocks() {
                // SAFETY: alive while it is looked at.
                block.look(filled, |task| tasks.push(unsafe { TaskRef::to_running(task) }));
            }
        }
        tasks
    }
}

impl Shard {
    #[cold]
    fn new_block(&mut self) -> NonNull<Block> {
        let block = self.spares.pop().unwrap_or_default();
        // Relaxed: others learn of the block by way of the tasks in it, or under the lock.
        block.word.store(bits(SLOTS), Ordering::Relaxed);
        block.at.set(self.blocks.len());
        let block = NonNull::from(Box::leak(block));
        self.filling = Some(block);
        self.used = 0;
        self.blocks.push(block);
        block
    }

    /// Takes a block off the list; the last one moves to its place.
    fn unlist(&mut self, block: &Block) {
        let at = block.at.get();
        self.blocks.swap_remove(at);
        if let Some(moved) = self.blocks.get(at) {
            // SAFETY: on the list, so alive.
            unsafe { moved.as_ref() }.at.set(at);
        }
        if self.blocks.capacity() > LIST && self.blocks.len() < self.blocks.capacity() / 4 {
            self.blocks.shrink_to(self.blocks.capacity() / 2); // a quarter: so that it does not grow again at once
        }
    }

    /// The blocks, each with the bits of the slots that have been filled.
    fn blocks(&self) -> impl Iterator<Item = (&Block, u64)> {
        self.blocks.iter().map(|&block| {
            let filled = if self.filling == Some(block) { self.used } else { SLOTS };
            // SAFETY: blocks on the list are alive under its lock.
            (unsafe { block.as_ref() }, bits(filled))
        })
    }
}

impl Default for Block {
    fn default() -> Self {
        let slots = std::array::from_fn(|_| Cell::new(ptr::null_mut()));
        Self { slots, word: AtomicU64::new(0), at: Cell::new(0) }
    }
}

impl Block {
    /// Gives `f` each of its tasks, which stays alive meanwhile. Under the shard's lock; `f` runs no user code.
    fn look(&self, filled: u64, mut f: impl FnMut(NonNull<Header>)) {
        // Acquire: pairs with the Release in `remove`, for what has gone is not looked at. Release: pairs with the Acquire there.
        let mut left = self.word.fetch_or(LOOK, Ordering::AcqRel) & filled;
        while left != 0 {
            if let Some(task) = NonNull::new(self.slots[left.trailing_zeros() as usize].get()) {
                f(task);
            }
            left &= left - 1;
        }
        // Release: pairs with the Acquire in `remove`.
        self.word.fetch_and(!LOOK, Ordering::Release);
    }
}

/// The bits of the first `count` slots.
fn bits(count: usize) -> u64 {
    (1 << count) - 1
}

impl Drop for Registry {
    fn drop(&mut self) {
        for shard in &self.shards {
            let shard = shard.lock();
            for block in &shard.blocks {
                // SAFETY: made from a box; nobody else can reach the registry. Homes go away without tasks, so what is
                // left is at most a block that never was filled up.
                drop(unsafe { Box::from_raw(block.as_ptr()) });
            }
        }
    }
}
