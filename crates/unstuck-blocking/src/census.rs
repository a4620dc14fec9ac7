//! Knows every thread of a pool from before it starts until after it ended, and what each is busy with.
//!
//! The roster counts threads that can take jobs; the census counts threads that exist. A shutdown waits for the
//! census, so that afterwards no thread of the pool is left in the process, thread-local destructors included.
//!
//! A thread cannot join itself, so each leaver joins the one that left before it (tokio's blocking pool does the same)
//! and the last is joined by the shutdown.

use std::collections::HashMap;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use unstuck_core::job::RunningJob;
use unstuck_core::sync::{Condvar, Mutex, wait_for};

use crate::desk::Desk;

/// Every thread of one pool.
#[derive(Default)]
pub(crate) struct Census {
    inner: Mutex<Inner>,
    /// Notified when nobody is alive any more, and nobody is to come.
    empty: Condvar,
}

#[derive(Default)]
struct Inner {
    threads: HashMap<u64, Entry>,
    /// The thread that left last; whoever leaves next joins it.
    last: Option<JoinHandle<()>>,
    started: u64,
    ended: u64,
    /// Jobs that limiters keep for this pool: threads will come for them.
    held: usize,
}

impl Inner {
    fn is_over(&self) -> bool {
        self.started == self.ended && self.held == 0
    }
}

#[derive(Default)]
struct Entry {
    handle: Option<JoinHandle<()>>,
    desk: Option<Arc<Desk>>,
}

impl Census {
    /// A thread is about to be started; it goes by this number.
    pub(crate) fn expect(&self) -> u64 {
        let mut inner = self.inner.lock();
        let id = inner.started;
        inner.started += 1;
        inner.threads.insert(id, Entry::default());
        id
    }

    /// It was started.
    pub(crate) fn keep(&self, id: u64, handle: JoinHandle<()>) {
        // If the thread has left already there is no entry, and its handle is not needed.
        if let Some(entry) = self.inner.lock().threads.get_mut(&id) {
            entry.handle = Some(handle);
        }
    }

    /// It could not be started.
    pub(crate) fn not_started(&self, id: u64) {
        let mut inner = self.inner.lock();
        inner.threads.remove(&id);
        inner.started -= 1;
        self.tell(&inner);
    }

    /// It runs, and this is its desk.
    pub(crate) fn arrived(&self, id: u64, desk: &Arc<Desk>) {
        if let Some(entry) = self.inner.lock().threads.get_mut(&id) {
            entry.desk = Some(desk.clone());
        }
    }

    /// The calling thread, which goes by `id`, does nothing more after this.
    pub(crate) fn left(&self, id: u64) {
        let previous = {
            let mut inner = self.inner.lock();
            let own = inner.threads.remove(&id).and_then(|entry| entry.handle);
            match own {
                Some(own) => inner.last.replace(own),
                None => None,
            }
        };
        if let Some(previous) = previous {
            let _ = previous.join();
        }
        let mut inner = self.inner.lock();
        inner.ended += 1;
        self.tell(&inner);
    }

    /// A limiter keeps a job for this pool.
    pub(crate) fn hold(&self) {
        self.inner.lock().held += 1;
    }

    /// It does so no longer: the job is queued, or gone.
    pub(crate) fn let_go(&self) {
        let mut inner = self.inner.lock();
        inner.held -= 1;
        self.tell(&inner);
    }

    fn tell(&self, inner: &Inner) {
        if inner.is_over() {
            self.empty.notify_all();
        }
    }

    /// Waits until no thread is left and none is to come; false if `limit` passed before.
    pub(crate) fn wait_until_empty(&self, limit: Option<Duration>) -> bool {
        let start = Instant::now();
        let left = |limit: Duration| limit.saturating_sub(start.elapsed());
        let mut inner = self.inner.lock();
        while !inner.is_over() {
            match limit.map(left) {
                None => self.empty.wait(&mut inner),
                Some(Duration::ZERO) => return false,
                Some(left) => wait_for(&self.empty, &mut inner, left),
            }
        }
        let Some(last) = inner.last.take() else { return true };
        drop(inner);
        // The last thread has only its thread-local destructors left; only they could make this take long.
        while let (Some(limit), false) = (limit, last.is_finished()) {
            if left(limit).is_zero() {
                self.inner.lock().last = Some(last);
                return false;
            }
            thread::sleep(Duration::from_micros(100));
        }
        let _ = last.join();
        true
    }

    /// The jobs that run now.
    pub(crate) fn running(&self) -> Vec<RunningJob> {
        self.desks().iter().filter_map(|desk| desk.running()).collect()
    }

    /// Of all threads.
    pub(crate) fn desks(&self) -> Vec<Arc<Desk>> {
        self.inner.lock().threads.values().filter_map(|entry| entry.desk.clone()).collect()
    }

    /// Jobs that limiters keep for this pool.
    pub(crate) fn held(&self) -> usize {
        self.inner.lock().held
    }

    /// Threads started and ended so far.
    pub(crate) fn started_and_ended(&self) -> (u64, u64) {
        let inner = self.inner.lock();
        (inner.started, inner.ended)
    }
}
