#![allow(unsafe_code)] // Spawning is unsafe: the models' homes outlive their tasks.
//! The life of a task in every interleaving.
//!
//! A lost wake or a join that hangs shows as a deadlock; two polls at once, or an outcome read too early, as a race on
//! a cell; something dropped twice or not at all, in the counts at the end.
//!
//! Here is what the models share: a home, and a future to watch. They are told in the order of a task's life: it is woken,
//! it ends, and meanwhile it is in the registry.

mod ending;
mod registry;
mod waking;

use std::collections::VecDeque;
use std::future::Future;
use std::panic::Location;
use std::pin::Pin;
use std::ptr::NonNull;
use std::sync::{Arc, Mutex as Unseen};
use std::task::{Context, Poll, Waker};

use super::registry::Registry;
use super::{Home, Runnable, Spawn, Task};
use crate::sync::atomic::{AtomicUsize, Ordering};
use crate::sync::{Condvar, Mutex, UnsafeCell, thread};

/// A home with one queue, from which any thread may run tasks.
pub(crate) struct House {
    registry: Registry,
    queue: Mutex<VecDeque<Runnable>>,
    changed: Condvar,
    closed: AtomicUsize,
    drained: AtomicUsize,
}

impl Home for House {
    fn submit(&self, task: Runnable) {
        self.queue.lock().push_back(task);
        self.changed.notify_all();
    }

    fn registry(&self) -> &Registry {
        &self.registry
    }

    fn drained(&self) {
        self.drained.fetch_add(1, Ordering::Relaxed);
    }
}

impl House {
    pub(crate) fn new(shards: usize) -> Arc<Self> {
        Arc::new(Self {
            registry: Registry::with_shards(shards),
            queue: Mutex::default(),
            changed: Condvar::new(),
            closed: AtomicUsize::new(0),
            drained: AtomicUsize::new(0),
        })
    }

    pub(crate) fn spawn<F: Future + 'static>(&self, future: F, name: &Arc<str>) -> Task<F::Output> {
        let how = Spawn { name: Some(name.clone()), place: Location::caller(), is_call: false };
        // SAFETY: each model keeps its house until the registry is empty; futures are `Send` in spirit.
        unsafe { super::spawn(NonNull::from(self as &dyn Home), future, how) }.task()
    }

    /// Runs one task once; false if none is ready.
    pub(crate) fn run_one(&self) -> bool {
        let Some(task) = self.take() else { return false };
        if let Some(again) = task.run() {
            self.submit(again);
        }
        true
    }

    pub(crate) fn take(&self) -> Option<Runnable> {
        self.queue.lock().pop_front()
    }

    /// Runs tasks until the house is closed.
    fn run(&self) {
        loop {
            let mut queue = self.queue.lock();
            while queue.is_empty() {
                if self.closed.load(Ordering::Relaxed) == 1 {
                    return;
                }
                self.changed.wait(&mut queue);
            }
            drop(queue);
            self.run_one();
        }
    }

    pub(crate) fn runner(self: &Arc<Self>) -> thread::JoinHandle<()> {
        let house = self.clone();
        thread::spawn(move || house.run())
    }

    /// Lets the runners go home.
    pub(crate) fn close(&self) {
        let queue = self.queue.lock();
        self.closed.store(1, Ordering::Relaxed); // read under the same lock
        drop(queue);
        self.changed.notify_all();
    }
}

/// A name of which each task holds a clone: it counts the allocations that have not been freed.
pub(crate) fn name() -> Arc<str> {
    Arc::from("task")
}

pub(crate) fn assert_freed(name: &Arc<str>) {
    assert_eq!(Arc::strong_count(name), 1, "every task has been freed, once");
}

/// Counts its drops, and remembers the thread of the last one.
#[derive(Clone, Default)]
struct Drops(Arc<Unseen<Vec<thread::ThreadId>>>);

struct Dropping(Drops);

impl Drops {
    fn count(&self) -> usize {
        self.0.lock().unwrap().len()
    }
}

impl Drop for Dropping {
    fn drop(&mut self) {
        self.0.0.lock().unwrap().push(thread::current().id());
    }
}

/// Ready when it has been hit so often. Everything it reads is relaxed: what the wakers wrote must be seen because
/// they called wake. Keeps its first waker for the model to take.
struct Hits {
    needed: usize,
    hits: Arc<AtomicUsize>,
    waker: Arc<Unseen<Option<Waker>>>,
    polled: bool,
    /// Two polls at once would race here.
    inside: UnsafeCell<usize>,
    _future: Option<Dropping>,
    output: Option<Dropping>,
}

impl Hits {
    fn needs(needed: usize) -> Self {
        Self {
            needed,
            hits: Arc::new(AtomicUsize::new(0)),
            waker: Arc::default(),
            polled: false,
            inside: UnsafeCell::new(0),
            _future: None,
            output: None,
        }
    }
}

impl Future for Hits {
    type Output = Option<Dropping>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        // SAFETY: loom reports a race if another poll is here at the same time.
        self.inside.with_mut(|polls| unsafe { *polls += 1 });
        if !std::mem::replace(&mut self.polled, true) {
            *self.waker.lock().unwrap() = Some(cx.waker().clone());
        }
        if self.hits.load(Ordering::Relaxed) < self.needed {
            return Poll::Pending;
        }
        Poll::Ready(self.output.take())
    }
}

/// Hits the task and wakes it.
fn hit(hits: &AtomicUsize, waker: &Waker) {
    hits.fetch_add(1, Ordering::Relaxed);
    waker.wake_by_ref();
}
