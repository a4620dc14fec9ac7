#![allow(unsafe_code)] // An intrusive list: the links lie in the tasks themselves, so that a task is one allocation.
//! All unfinished tasks of a home: to list them, to cancel them at the end, and to know when the last has gone.
//!
//! Doubly linked lists through the task headers, in several shards so that workers do not fight over one lock. The
//! shard follows from the task's number, numbers are dealt to threads in blocks, and so the tasks of one thread
//! share a shard.

use std::ptr::NonNull;

use crossbeam_utils::CachePadded;

use super::TaskRef;
use super::header::{Header, ID_BLOCK};
use crate::sync::Mutex;

/// A task's neighbours.
#[derive(Default)]
pub(super) struct Links {
    prev: Option<NonNull<Header>>,
    next: Option<NonNull<Header>>,
}

/// All unfinished tasks of a home.
pub(crate) struct Registry {
    shards: Box<[CachePadded<Mutex<Shard>>]>,
}

#[derive(Default)]
struct Shard {
    head: Option<NonNull<Header>>,
    len: usize,
    closed: bool,
}

// SAFETY: the pointers are to tasks that the registry holds a reference on; headers are made to be shared by threads.
unsafe impl Send for Registry {}
// SAFETY: as above; the lists are behind their shards' locks.
unsafe impl Sync for Registry {}

impl Registry {
    /// A registry for about `threads` threads that spawn at the same time.
    pub(crate) fn new(threads: usize) -> Self {
        let shards = (threads * 4).next_power_of_two();
        Self { shards: (0..shards).map(|_| CachePadded::new(Mutex::new(Shard::default()))).collect() }
    }

    #[inline]
    fn shard(&self, task: NonNull<Header>) -> &Mutex<Shard> {
        // SAFETY: every caller holds a reference.
        let block = unsafe { task.as_ref().id } / ID_BLOCK;
        // The mask keeps the index below the length, a power of two.
        &self.shards[block as usize & (self.shards.len() - 1)]
    }

    /// Takes a new task in, together with the reference made for the registry; false if the home has closed.
    #[inline]
    pub(super) fn insert(&self, task: NonNull<Header>) -> bool {
        let mut shard = self.shard(task).lock();
        if shard.closed {
            return false;
        }
        let next = shard.head.replace(task);
        // SAFETY: links are read and written under the shard's lock only (rule 4); `next` is in the list, so alive.
        unsafe {
            task.as_ref().links.with_mut(|links| *links = Links { prev: None, next });
            if let Some(next) = next {
                next.as_ref().links.with_mut(|links| (*links).prev = Some(task));
            }
        }
        shard.len += 1;
        true
    }

    /// Lets a finished task go; its reference goes back to the caller. True if the home has closed and this was the
    /// last task.
    #[inline]
    pub(super) fn remove(&self, task: NonNull<Header>) -> bool {
        let mut shard = self.shard(task).lock();
        // SAFETY: as in `insert`; neighbours are in the list, so alive.
        unsafe {
            let Links { prev, next } = task.as_ref().links.with_mut(|links| std::mem::take(&mut *links));
            match prev {
                Some(prev) => prev.as_ref().links.with_mut(|links| (*links).next = next),
                None => shard.head = next,
            }
            if let Some(next) = next {
                next.as_ref().links.with_mut(|links| (*links).prev = prev);
            }
        }
        shard.len -= 1;
        // Two last tasks may leave two shards at once. Each looks at all shards after it has left its own, so the one
        // that looks later (the locks put them in an order) finds all of them empty.
        let closed = shard.closed;
        drop(shard);
        closed && self.is_empty()
    }

    /// Refuses tasks from now on.
    pub(crate) fn close(&self) {
        for shard in &self.shards {
            shard.lock().closed = true;
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.shards.iter().all(|shard| shard.lock().len == 0)
    }

    pub(crate) fn len(&self) -> usize {
        self.shards.iter().map(|shard| shard.lock().len).sum()
    }

    /// The tasks in it now, newest first within a shard. Each shard is consistent in itself.
    pub(crate) fn snapshot(&self) -> Vec<TaskRef> {
        let mut tasks = Vec::new();
        for shard in &self.shards {
            let shard = shard.lock();
            let mut next = shard.head;
            while let Some(task) = next {
                // SAFETY: in the list under its lock, so alive and its links stand still; a new reference is made.
                unsafe {
                    task.as_ref().state.add_ref();
                    tasks.push(TaskRef::from_raw(task));
                    next = task.as_ref().links.with(|links| (*links).next);
                }
            }
        }
        tasks
    }
}
