//! Who may be asked.
//!
//! Promise: a thread that is in here is alive, its stack is where it says, and a question to it is withdrawn before it
//! ends. A thread enters and leaves only by itself.
//!
//! A guard alone could not promise that, since guards can be forgotten. So a thread-local holds the entry, and its
//! destructor runs when the thread ends, whatever became of the guards.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::io;
use std::marker::PhantomData;
use std::ops::Range;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::capture::SLOT;
use super::slot::Question;
use super::{bounds, signal};
use crate::error::{Reason, Unavailable};

struct Registry {
    next: u64,
    threads: BTreeMap<u64, Thread>,
    /// The question put last, and to whom.
    asked: Option<(u64, Question)>,
}

struct Thread {
    tid: libc::pid_t,
    stack: Range<u64>,
}

static REGISTRY: Mutex<Registry> = Mutex::new(Registry { next: 0, threads: BTreeMap::new(), asked: None });

fn registry() -> MutexGuard<'static, Registry> {
    REGISTRY.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Puts a question to `thread` and signals it. None: the slot is not free yet.
pub(super) fn ask(thread: u64) -> Result<Option<Question>, Unavailable> {
    // The lock is held until the signal is sent: the thread cannot leave in between.
    let mut registry = registry();
    let Some(Thread { tid, stack }) = registry.threads.get(&thread) else {
        return Err(Reason::Gone.into());
    };
    let tid = *tid;
    let Ok(question) = SLOT.ask(number(tid), stack.clone()) else { return Ok(None) };
    registry.asked = Some((thread, question));
    match signal::send(tid) {
        Ok(()) => Ok(Some(question)),
        Err(why) => {
            let _ = SLOT.give_up(question);
            Err(why)
        }
    }
}

/// How the slot keeps a thread's number.
pub(super) fn number(tid: libc::pid_t) -> u64 {
    u64::from(tid.unsigned_abs())
}

/// One reason for which the calling thread is registered. Not `Send`: it belongs to the thread.
#[derive(Debug)]
pub(crate) struct Mine {
    pub(crate) thread: u64,
    here: PhantomData<*const ()>,
}

pub(crate) fn register() -> io::Result<Mine> {
    ENTRY
        .try_with(|entry| {
            let (thread, uses) = match entry.0.get() {
                Some((thread, uses)) => (thread, uses + 1),
                None => (enter()?, 1),
            };
            entry.0.set(Some((thread, uses)));
            Ok(Mine { thread, here: PhantomData })
        })
        .unwrap_or_else(|_| Err(io::Error::other("this thread is ending: register it earlier")))
}

impl Drop for Mine {
    fn drop(&mut self) {
        // If the thread-local is gone, so is the entry.
        let _ = ENTRY.try_with(|entry| match entry.0.get() {
            Some((thread, 1)) => {
                leave(thread);
                entry.0.set(None);
            }
            Some((thread, uses)) => entry.0.set(Some((thread, uses - 1))),
            None => {}
        });
    }
}

thread_local! {
    static ENTRY: Entry = const { Entry(Cell::new(None)) };
}

/// This thread's number, and how many guards keep it.
struct Entry(Cell<Option<(u64, u32)>>);

impl Drop for Entry {
    fn drop(&mut self) {
        if let Some((thread, _)) = self.0.get() {
            leave(thread);
        }
    }
}

fn enter() -> io::Result<u64> {
    let entry = Thread { tid: signal::this_thread(), stack: bounds::of_this_thread()? };
    let mut registry = registry();
    let thread = registry.next;
    registry.next += 1;
    registry.threads.insert(thread, entry);
    Ok(thread)
}

fn leave(thread: u64) {
    let mut registry = registry();
    registry.threads.remove(&thread);
    if let Some((asked, question)) = registry.asked {
        if asked == thread {
            SLOT.withdraw(question);
        }
    }
}
