//! Which task holds which lock, listed while notes are taken.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::context;
use crate::task::TaskId;

/// By the lock's number. One list for the process: locks join runtimes.
/// std's mutex: not a protocol, and a model cannot have its own in a static.
static HOLDERS: Mutex<BTreeMap<usize, TaskId>> = Mutex::new(BTreeMap::new());

fn holders() -> MutexGuard<'static, BTreeMap<usize, TaskId>> {
    HOLDERS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The task that is being polled has taken this lock.
#[inline]
pub fn holds(lock: usize) {
    if super::is_on() {
        list(lock);
    }
}

/// This lock is about to be released.
#[inline]
pub fn holds_no_more(lock: usize) {
    if super::is_on() {
        holders().remove(&lock);
    }
}

#[cold]
fn list(lock: usize) {
    match context::current_task() {
        Some(task) => holders().insert(lock, task.id()),
        None => holders().remove(&lock), // somebody who is no task
    };
}

pub(super) fn holder(lock: usize) -> Option<TaskId> {
    holders().get(&lock).copied()
}
