//! Stands in for `crossbeam_deque`, which a model checker cannot see into: the same interface on a locked queue.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::sync::Mutex;

type Queue<T> = Arc<Mutex<VecDeque<T>>>;

pub(super) struct Worker<T>(Queue<T>);

pub(super) struct Stealer<T>(Queue<T>);

pub(super) enum Steal<T> {
    Empty,
    Success(T),
    Retry,
}

impl<T> Worker<T> {
    pub(super) fn new_fifo() -> Self {
        Self(Queue::default())
    }

    pub(super) fn stealer(&self) -> Stealer<T> {
        Stealer(self.0.clone())
    }

    pub(super) fn push(&self, task: T) {
        self.0.lock().push_back(task);
    }

    pub(super) fn pop(&self) -> Option<T> {
        self.0.lock().pop_front()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.lock().is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.0.lock().len()
    }
}

impl<T> Stealer<T> {
    pub(super) fn steal(&self) -> Steal<T> {
        match self.0.try_lock().map(|mut queue| queue.pop_front()) {
            Some(Some(task)) => Steal::Success(task),
            Some(None) => Steal::Empty,
            None => Steal::Retry,
        }
    }

    pub(super) fn steal_batch_with_limit_and_pop(&self, to: &Worker<T>, limit: usize) -> Steal<T> {
        steal(&self.0, to, limit)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.lock().is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.0.lock().len()
    }
}

/// In the original: a thread that reads buffers. Here nobody has to wait before they are freed.
pub(super) struct Pinned;

pub(super) fn pin() -> Pinned {
    Pinned
}

impl Pinned {
    pub(super) fn defer<R>(&self, f: impl FnOnce() -> R) {
        f();
    }

    pub(super) fn flush(&self) {}
}

/// Half of the queue, and one for the thief. A queue that somebody holds is a race lost, as in the original.
fn steal<T>(from: &Queue<T>, to: &Worker<T>, limit: usize) -> Steal<T> {
    let Some(mut queue) = from.try_lock() else { return Steal::Retry };
    let Some(first) = queue.pop_front() else { return Steal::Empty };
    let half = (queue.len() / 2).min(limit - 1);
    let batch: Vec<T> = queue.drain(..half).collect();
    drop(queue);
    to.0.lock().extend(batch);
    Steal::Success(first)
}
