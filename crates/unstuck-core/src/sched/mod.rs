//! The multi-threaded scheduler: how a task finds a thread.
//!
//! The README in this folder tells the way of a task from a wake to a worker, and which designs we dropped.

mod idle;
mod park;
mod queue;
mod worker;

#[cfg(all(test, unstuck_loom))]
mod models;
#[cfg(all(test, unstuck_shuttle))]
mod schedules;
#[cfg(test)]
mod tests;

use std::fmt;
use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_utils::CachePadded;

use self::idle::Idle;
use self::park::{DriverSeat, Parker};
use self::queue::{Injector, Local, Slot, Stealer};
pub(crate) use self::worker::Worker;
use crate::context;
use crate::driver::Driver;
use crate::handle::Handle;
use crate::metrics::Statistics;
use crate::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use crate::sync::{Condvar, Mutex, thread};
use crate::task::{Home, Registry, Runnable, contained};

/// A function called on each worker thread.
pub type Hook = Arc<dyn Fn() + Send + Sync>;

/// A function around each worker thread's life: it is given the worker's number, and calls its argument once, inside
/// the guards it holds.
pub type Around = Arc<dyn Fn(usize, &mut dyn FnMut()) + Send + Sync>;

/// How a [`Scheduler`] is made.
#[derive(Clone)]
pub struct Config {
    /// Worker threads, at least one.
    pub workers: usize,
    /// Thread names are this, a dash and a number.
    pub name: String,
    /// Stack size of the worker threads in bytes; `None` is the platform's default.
    pub stack_size: Option<usize>,
    /// Called on each worker thread before its first task.
    pub on_start: Option<Hook>,
    /// Called on each worker thread after its last task.
    pub on_stop: Option<Hook>,
    /// Called around each worker thread's work.
    pub around: Option<Around>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            workers: 1,
            name: "unstuck".into(),
            stack_size: None,
            on_start: None,
            on_stop: None,
            around: None,
        }
    }
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config")
            .field("workers", &self.workers)
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// Worker threads that run tasks and steal from each other.
pub struct Scheduler {
    shared: Arc<Shared>,
    /// The workers' own queues, until their threads start.
    locals: Mutex<Vec<Local>>,
    threads: Mutex<Vec<thread::JoinHandle<()>>>,
}

/// What all workers share. It is the home of their tasks.
struct Shared {
    remotes: Box<[CachePadded<Remote>]>,
    injector: Injector,
    idle: Idle,
    driver: DriverSeat,
    registry: Registry,
    /// Set once; afterwards workers leave when the registry is empty.
    closing: AtomicBool,
    /// Threads that are no workers of ours and are just handing us a task (task/README, rule 1).
    submitting: CachePadded<AtomicUsize>,
    /// Threads outside that run a future of ours and are awake.
    outside: AtomicUsize,
    /// Worker threads that are not over yet.
    alive: Mutex<usize>,
    ended: Condvar,
}

/// The part of a worker that others see.
struct Remote {
    /// What others read when they look for work.
    stealer: Stealer,
    parker: Parker,
    /// What the worker writes all the time, on a line of its own: a thief that looks at the queue should not take it
    /// away from its owner.
    pulse: CachePadded<Pulse>,
}

/// How a worker is getting on.
struct Pulse {
    slot: Slot,
    /// Polls begun: moves with every poll, so that others see whether the worker is getting on.
    polls: AtomicU64,
    steals: AtomicU64,
    parks: AtomicU64,
}

impl Scheduler {
    /// A scheduler whose workers will sleep in `driver`. Nothing runs before [`start`](Self::start).
    ///
    /// # Panics
    /// Panics when `config.workers` is zero.
    pub fn new(config: &Config, driver: Box<dyn Driver>) -> Self {
        assert!(config.workers > 0, "a runtime needs at least one worker thread: worker_threads(1) or more");
        let locals: Vec<Local> = (0..config.workers).map(|_| Local::new()).collect();
        let remotes = locals.iter().map(|local| CachePadded::new(Remote::new(local.stealer()))).collect();
        let shared = Arc::new(Shared {
            remotes,
            injector: Injector::new(),
            idle: Idle::new(config.workers),
            driver: DriverSeat::new(driver),
            registry: Registry::new(config.workers),
            closing: AtomicBool::new(false),
            submitting: CachePadded::new(AtomicUsize::new(0)),
            outside: AtomicUsize::new(0),
            alive: Mutex::new(0),
            ended: Condvar::new(),
        });
        Self { shared, locals: Mutex::new(locals), threads: Mutex::new(Vec::new()) }
    }

    /// Starts the worker threads.
    ///
    /// # Errors
    /// Gives the system's error when a thread cannot be made; those made before have ended then.
    pub fn start(&self, config: &Config) -> io::Result<()> {
        let locals = std::mem::take(&mut *self.locals.lock());
        for (index, local) in locals.into_iter().enumerate() {
            if let Err(error) = self.start_worker(config, index, local) {
                self.shutdown(None);
                return Err(error);
            }
        }
        Ok(())
    }

    fn start_worker(&self, config: &Config, index: usize, local: Local) -> io::Result<()> {
        let mut builder = thread::Builder::new().name(format!("{}-{index}", config.name));
        if let Some(bytes) = config.stack_size {
            builder = builder.stack_size(bytes);
        }
        let shared = self.shared.clone();
        let config = config.clone();
        let local = Mutex::new(Some(local)); // taken once by the closure below, which must be callable by reference
        *self.shared.alive.lock() += 1;
        let spawned = builder.spawn(move || {
            let _gone = Gone(shared.clone());
            let _entered = context::enter(Handle::new(shared.clone()));
            let mut body = || {
                if let Some(local) = local.lock().take() {
                    hook(config.on_start.as_ref(), "on_thread_start");
                    Worker::new(shared.clone(), index, local).work();
                    hook(config.on_stop.as_ref(), "on_thread_stop");
                }
            };
            match &config.around {
                Some(around) => around(index, &mut body),
                None => body(),
            }
        });
        match spawned {
            Ok(thread) => {
                self.threads.lock().push(thread);
                Ok(())
            }
            Err(error) => {
                *self.shared.alive.lock() -= 1;
                Err(error)
            }
        }
    }

    /// Reaches this scheduler from anywhere.
    pub fn handle(&self) -> Handle {
        Handle::new(self.shared.clone())
    }

    /// Runs `future` to its end on this thread, while its tasks run on the workers.
    ///
    /// # Panics
    /// Panics inside async code.
    #[track_caller]
    pub fn block_on<F: Future>(&self, future: F) -> F::Output {
        self.handle().block_on(future)
    }

    /// Refuses new tasks and asks all others to end. Returns at once.
    pub fn close(&self) {
        self.shared.registry.close();
        for task in self.shared.registry.snapshot() {
            task.cancel();
        }
        // Release: pairs with the Acquire in `is_drained`.
        self.shared.closing.store(true, Ordering::Release);
        self.shared.wake_everyone();
    }

    /// Closes, and waits until every task has ended and every worker thread is over, for at most `limit`. True if
    /// they are.
    ///
    /// Called on one of its own workers it only closes: a thread cannot wait for its own end.
    pub fn shutdown(&self, limit: Option<Duration>) -> bool {
        self.close();
        if context::with_worker(|worker| worker.is_some_and(|worker| worker.belongs_to(&self.shared))) {
            return false;
        }
        let mut alive = self.shared.alive.lock();
        match limit.map(|limit| Instant::now().checked_add(limit)) {
            Some(Some(deadline)) => {
                while *alive > 0 {
                    let left = deadline.saturating_duration_since(Instant::now());
                    if left.is_zero() {
                        return false;
                    }
                    crate::sync::wait_for(&self.shared.ended, &mut alive, left);
                }
            }
            _ => {
                while *alive > 0 {
                    self.shared.ended.wait(&mut alive);
                }
            }
        }
        drop(alive);
        for thread in self.threads.lock().drain(..) {
            let _ = thread.join();
        }
        true
    }

    /// Counters and sizes at this moment.
    pub fn statistics(&self) -> Statistics {
        let shared = &self.shared;
        let sum = |counter: fn(&Pulse) -> &AtomicU64| {
            shared.remotes.iter().map(|remote| counter(&remote.pulse).load(Ordering::Relaxed)).sum() // display only
        };
        Statistics {
            workers: shared.remotes.len(),
            sleeping_workers: shared.idle.asleep(),
            tasks: shared.registry.len(),
            injected: shared.injector.len(),
            queued: shared.remotes.iter().map(|remote| remote.stealer.len()).sum(),
            polls: sum(|pulse| &pulse.polls),
            steals: sum(|pulse| &pulse.steals),
            parks: sum(|pulse| &pulse.parks),
        }
    }
}

impl fmt::Debug for Scheduler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Scheduler").field(&self.statistics()).finish()
    }
}

impl Remote {
    fn new(stealer: Stealer) -> Self {
        Self {
            stealer,
            parker: Parker::new(),
            pulse: CachePadded::new(Pulse {
                slot: Slot::new(),
                polls: AtomicU64::new(0),
                steals: AtomicU64::new(0),
                parks: AtomicU64::new(0),
            }),
        }
    }
}

impl Shared {
    /// After a push: wakes a sleeper if nobody searches.
    #[inline]
    fn wake_one(&self) {
        if let Some(worker) = self.idle.wake_one() {
            self.remotes[worker].parker.unpark(&self.driver);
        }
    }

    fn wake_everyone(&self) {
        for worker in self.idle.wake_all() {
            self.remotes[worker].parker.unpark(&self.driver);
        }
    }

    /// True if a task waits in a queue that others may take from. Slots do not count: their workers are awake.
    fn has_work(&self) -> bool {
        !self.injector.is_empty() || self.remotes.iter().any(|remote| !remote.stealer.is_empty())
    }

    /// True once the scheduler has closed and its last task has ended.
    fn is_drained(&self) -> bool {
        // Acquire: pairs with the Release in `close`.
        self.closing.load(Ordering::Acquire) && self.registry.is_empty()
    }

    /// True if no thread outside is awake with a future of ours.
    fn nobody_outside(&self) -> bool {
        // SeqCst: in one order with `outside_sleeps`, `outside_wakes` and the counts of `idle`: whoever falls asleep
        // last, worker or outsider, sees that the others have.
        self.outside.load(Ordering::SeqCst) == 0
    }
}

impl Home for Shared {
    #[inline]
    fn submit(&self, task: Runnable) {
        context::with_worker(|worker| match worker {
            Some(worker) if worker.belongs_to(self) => worker.push(task),
            _ => {
                // Until the task is pushed it is unfinished, so the workers keep `self` alive; after that the count
                // does (`Drop`).
                self.submitting.fetch_add(1, Ordering::Relaxed); // ordered before the push, which the last worker sees
                self.injector.push(task);
                self.wake_one();
                // Release: pairs with the Acquire in `Drop`. Nothing of `self` is touched afterwards.
                self.submitting.fetch_sub(1, Ordering::Release);
            }
        });
    }

    fn registry(&self) -> &Registry {
        &self.registry
    }

    fn drained(&self) {
        self.wake_everyone();
    }

    fn outside_sleeps(&self) {
        // SeqCst: see `nobody_outside`.
        if self.outside.fetch_sub(1, Ordering::SeqCst) == 1 && self.idle.all_asleep() {
            self.driver.announce_quiescence();
        }
    }

    fn outside_wakes(&self) {
        self.outside.fetch_add(1, Ordering::SeqCst); // see `nobody_outside`
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        // Someone may still be on the way out of `submit`, a few instructions from its end.
        while self.submitting.load(Ordering::Acquire) != 0 {
            thread::yield_now();
        }
    }
}

impl Drop for Scheduler {
    fn drop(&mut self) {
        self.close();
    }
}

/// Counts a worker thread out, however it ends.
struct Gone(Arc<Shared>);

impl Drop for Gone {
    fn drop(&mut self) {
        *self.0.alive.lock() -= 1;
        self.0.ended.notify_all();
    }
}

/// A hook's panic is reported and goes no further.
fn hook(hook: Option<&Hook>, name: &str) {
    if let Some(hook) = hook {
        contained(name, || hook());
    }
}
