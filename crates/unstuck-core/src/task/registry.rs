#![allow(unsafe_code)] // Lists tasks by pointer; a slot's lock bit keeps a task alive while it is looked at.
//! All unfinished tasks of a home: to list them, to cancel them at the end, and to know when the last has gone.
//!
//! # How it is built
//!
//! A task's place in the registry is a *slot*, a pointer in a *block* of 62. Blocks are filled once, from front to
//! back, and freed when the last of their tasks has ended. Each thread files its tasks in a *shard*, which knows the
//! block being filled and all blocks that are still in use.
//!
//! ```text
//!  shard (lock) ──► filling ──► block: live …
//!               └─► blocks       slots: task · task · (ended) · …
//! ```
//!
//! * **Insert** takes the shard's lock, which no other thread is likely to want: task numbers are dealt to threads in
//!   ranges, and the shard follows from the number.
//! * **Remove** takes no lock: it empties the slot and counts the block down. Only who empties a block takes the lock.
//! * **Snapshot** takes each shard's lock, and for each slot in turn sets the pointer's lowest bit while it makes a
//!   reference. A remove that finds the bit waits these few instructions.
//!
//! # Why not a linked list through the tasks
//!
//! We had one. Removing a task then writes to its neighbours, and takes the lock that the spawning thread needs: with
//! tasks that are spawned on one core and run on another, these cache lines (537 ns there and back) cost more than
//! the task. A slot costs one line for eight tasks.

use std::ptr::{self, NonNull};

use crossbeam_utils::CachePadded;

use super::TaskRef;
use super::header::Header;
use super::numbers::ID_BLOCK;
use crate::inspect::Outsiders;
use crate::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};
use crate::sync::{Mutex, hint};

/// Slots in a block, which with its two counters fills eight cache lines. Larger ones cost fewer allocations; smaller
/// ones waste less when one task outlives the others.
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

/// The lowest bit of a slot's pointer: somebody is making a reference.
const LOCKED: usize = 1;

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
    closed: bool,
}

#[repr(align(64))] // room for a slot's number in the low bits of a pointer to it, see `Filed`
struct Block {
    slots: [AtomicPtr<Header>; SLOTS],
    /// Slots not yet emptied. Those not yet filled count, so that a block being filled is never dead.
    live: AtomicUsize,
    /// Its index in the shard's list; under the shard's lock.
    at: AtomicUsize,
}

/// Where a task is filed: its block, and in the low six bits its slot.
#[derive(Clone, Copy)]
pub(super) struct Filed(*const Block);

const _: () =
    assert!(SLOTS <= 64, "a slot's number must fit the bits that the block's alignment leaves free");

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
// SAFETY: as above; the blocks' lists are behind the shards' locks.
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
        // The mask keeps the index below the length, a power of two.
        &self.shards[((id - 1) / ID_BLOCK) as usize & (self.shards.len() - 1)]
    }

    /// Takes a new task in, together with the reference made for the registry; false if the home has closed.
    ///
    /// # Safety
    /// The task is new: only the caller knows it, and holds its runnable.
    #[inline]
    pub(super) unsafe fn insert(&self, task: NonNull<Header>) -> bool {
        // SAFETY: the caller holds a reference.
        let header = unsafe { task.as_ref() };
        let mut shard = self.shard(header.id.get()).lock();
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
        // SAFETY: a block being filled is alive (`live` counts its empty slots).
        let slots = unsafe { &block.as_ref().slots };
        slots[slot].store(task.as_ptr(), Ordering::Release); // pairs with the Acquire in `look`
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
        // SAFETY: a block lives as long as one of its slots is filled, and ours is.
        let Block { slots, live, .. } = unsafe { &*block };
        // Acquire: pairs with the Release in `look` (the reference it made comes before we give ours up).
        while slots[slot]
            .compare_exchange_weak(task.as_ptr(), ptr::null_mut(), Ordering::Acquire, Ordering::Relaxed)
            .is_err()
        {
            hint::spin_loop(); // somebody makes a reference: a few instructions
        }
        // Release: our use of the block comes before it is freed. Acquire: so does everybody else's, if we free it.
        live.fetch_sub(1, Ordering::AcqRel) == 1 && self.free_block(id, block)
    }

    #[cold]
    fn free_block(&self, id: u64, block: *const Block) -> bool {
        let mut shard = self.shard(id).lock();
        // SAFETY: still on the list, so alive.
        shard.unlist(unsafe { &*block });
        let closed = shard.closed;
        drop(shard);
        // SAFETY: `live` is zero: every slot was filled and emptied, or given up by `close`; it is off the list, so no
        // snapshot sees it; made by `new_block` from a box.
        drop(unsafe { Box::from_raw(block.cast_mut()) });
        // Two last tasks may leave two shards at once. Each looks at all shards after it has left its own, so the one
        // that looks later (the locks put them in an order) finds all of them empty.
        closed && self.is_empty()
    }

    /// Refuses tasks from now on.
    pub(crate) fn close(&self) {
        for shard in &self.shards {
            let mut guard = shard.lock();
            guard.closed = true;
            let Some(block) = guard.filling.take() else { continue };
            let unused = SLOTS - guard.used;
            // SAFETY: a block being filled is alive. Orderings as in `remove`.
            if unsafe { block.as_ref().live.fetch_sub(unused, Ordering::AcqRel) } == unused {
                // SAFETY: as above.
                guard.unlist(unsafe { block.as_ref() });
                // SAFETY: as in `free_block`.
                drop(unsafe { Box::from_raw(block.as_ptr()) });
            }
        }
    }

    /// True once it refuses tasks.
    pub(crate) fn is_closed(&self) -> bool {
        self.shards.iter().all(|shard| shard.lock().closed)
    }

    /// True if there is no task in it. Meant for a closed registry; before, a block being filled counts.
    pub(crate) fn is_empty(&self) -> bool {
        self.shards.iter().all(|shard| shard.lock().blocks.is_empty())
    }

    /// How many tasks are in it.
    pub(crate) fn len(&self) -> usize {
        let count = |shard: &CachePadded<Mutex<Shard>>| -> usize {
            let shard = shard.lock();
            // SAFETY: blocks on the list are alive under its lock.
            shard.blocks.iter().map(|block| unsafe { block.as_ref().len() }).sum()
        };
        self.shards.iter().map(count).sum()
    }

    /// The task with this number, if it is in it.
    pub(crate) fn find(&self, id: u64) -> Option<TaskRef> {
        let shard = self.shard(id).lock();
        let slots = shard.blocks.iter().flat_map(|block| {
            // SAFETY: blocks on the list are alive under its lock.
            unsafe { block.as_ref() }.slots.iter()
        });
        slots.filter_map(look).find(|task| task.header().id.get() == id)
    }

    pub(crate) fn outsiders(&self) -> &Outsiders {
        &self.outsiders
    }

    /// The tasks in it now. Each shard is looked at by itself.
    pub(crate) fn snapshot(&self) -> Vec<TaskRef> {
        let mut tasks = Vec::new();
        for shard in &self.shards {
            let shard = shard.lock();
            for block in &shard.blocks {
                // SAFETY: blocks on the list are alive under its lock.
                unsafe { tasks.extend(block.as_ref().slots.iter().filter_map(look)) };
            }
        }
        tasks
    }
}

impl Shard {
    #[cold]
    fn new_block(&mut self) -> NonNull<Block> {
        let block = NonNull::from(Box::leak(Box::new(Block {
            slots: std::array::from_fn(|_| AtomicPtr::new(ptr::null_mut())),
            live: AtomicUsize::new(SLOTS),
            at: AtomicUsize::new(self.blocks.len()),
        })));
        self.filling = Some(block);
        self.used = 0;
        self.blocks.push(block);
        block
    }
}

impl Shard {
    /// Takes a block off the list; the last one moves to its place.
    fn unlist(&mut self, block: &Block) {
        let at = block.at.load(Ordering::Relaxed); // under the lock, as below
        self.blocks.swap_remove(at);
        if let Some(moved) = self.blocks.get(at) {
            // SAFETY: on the list, so alive.
            unsafe { moved.as_ref() }.at.store(at, Ordering::Relaxed);
        }
    }
}

impl Block {
    fn len(&self) -> usize {
        self.slots.iter().filter(|slot| !slot.load(Ordering::Relaxed).is_null()).count() // display only
    }
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

/// Makes a reference to the task in a slot, if there is one.
fn look(slot: &AtomicPtr<Header>) -> Option<TaskRef> {
    let task = NonNull::new(slot.load(Ordering::Relaxed))?; // the exchange decides
    let locked = task.as_ptr().map_addr(|address| address | LOCKED);
    // Acquire: pairs with the Release in `insert`. Only one thread looks at a time (the shard's lock), so a failure
    // means that the task has been removed.
    slot.compare_exchange(task.as_ptr(), locked, Ordering::Acquire, Ordering::Relaxed).ok()?;
    // SAFETY: while the bit is set the task's remover waits, and with it the registry's reference stays.
    let reference = unsafe { TaskRef::to_running(task) };
    slot.store(task.as_ptr(), Ordering::Release); // pairs with the Acquire in `remove`
    Some(reference)
}
