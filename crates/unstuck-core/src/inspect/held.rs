//! Which task holds which lock, listed while notes are taken.

use std::collections::BTreeMap;

use crate::context;
use crate::sync::Mutex;
use crate::task::TaskId;

/// By the lock's number. One list for the process: locks join runtimes.
static HOLDERS: Mutex<BTreeMap<usize, TaskId>> = Mutex::new(BTreeMap::new());

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
        HOLDERS.lock().remove(&lock);
    }
}

#[cold]
fn list(lock: usize) {
    match context::current_task() {
        Some(task) => HOLDERS.lock().insert(lock, task.id()),
        None => HOLDERS.lock().remove(&lock), // somebody who is no task
    };
}

pub(super) fn holder(lock: usize) -> Option<TaskId> {
    HOLDERS.lock().get(&lock).copied()
}
