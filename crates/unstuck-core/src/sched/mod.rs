//! The multi-threaded scheduler: how a task finds a thread.
//!
//! The README in this folder tells the way of a task from a wake to a worker, and which designs we dropped.

mod ages;
mod config;
pub(crate) mod idle;
mod park;
mod queue;
mod seats;
mod slot;
mod turns;
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

pub use self::config::{Around, Config, Hook};
use self::idle::Idle;
use self::park::{DriverSeat, Parker};
use self::queue::{Injector, Local, Stealer, Waste};
use self::slot::Slot;
pub(crate) use self::worker::Worker;
use crate::context;
use crate::driver::Driver;
use crate::failure::FailureSink;
use crate::guard::{Address, Beat, Duty, Guard, StallPolicy, ThreadProbe};
use crate::handle::Handle;
use crate::metrics::Statistics;
use crate::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use crate::sync::{Condvar, Mutex, thread};
use crate::task::{Home, Registry, Runnable};

/// Worker threads that run tasks and steal from each other.
pub struct Scheduler {
    shared: Arc<Shared>,
    threads: Mutex<Vec<thread::JoinHandle<()>>>,
}

/// What all workers share. It is the home of their tasks.
struct Shared {
    config: Config,
    /// A seat for each worker, and behind them seats for workers that the guard adds.
    remotes: Box<[Arc<CachePadded<Remote>>]>,
    /// Seats that have ever been occupied: those after them need no look.
    seats: AtomicUsize,
    guard: Guard,
    injector: Injector,
    /// Tasks like some that stalled lately, moved here by the guard: served when there is nothing else to do.
    suspects: Injector,
    waste: Waste,
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
    duty: Duty,
    /// The seat's own queue, while no thread sits here.
    local: Mutex<Option<Local>>,
    /// The thread that sits here, as the kernel knows it.
    probe: Mutex<Option<ThreadProbe>>,
    /// Whom to ask for that thread's stack.
    address: Mutex<Address>,
    /// What the worker writes all the time, on a line of its own: a thief that looks at the queue should not take it
    /// away from its owner.
    pulse: CachePadded<Pulse>,
}

/// How a worker is getting on.
struct Pulse {
    slot: Slot,
    /// Who has returned pending, and is likely to be woken by the next poll (worker/linger.rs).
    lingering: Slot,
    /// Moves with every poll, so that others see whether the worker is getting on.
    beat: Beat,
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
        let seats = config.workers + config.guard.spare_seats(config.workers);
        let remote = |seat| Arc::new(CachePadded::new(Remote::new(seat < config.workers)));
        let remotes = (0..seats).map(remote).collect();
        let shared = Arc::new(Shared {
            config: config.clone(),
            remotes,
            seats: AtomicUsize::new(config.workers),
            guard: Guard::new(),
            injector: Injector::new(),
            suspects: Injector::new(),
            waste: Waste::new(),
            idle: Idle::new(config.workers),
            driver: DriverSeat::new(driver),
            registry: Registry::new(config.workers),
            closing: AtomicBool::new(false),
            submitting: CachePadded::new(AtomicUsize::new(0)),
            outside: AtomicUsize::new(0),
            alive: Mutex::new(0),
            ended: Condvar::new(),
        });
        Self { shared, threads: Mutex::new(Vec::new()) }
    }

    /// Starts the worker threads, and the guard's monitor.
    ///
    /// # Errors
    /// Gives the system's error when a thread cannot be made; those made before have ended then.
    pub fn start(&self) -> io::Result<()> {
        let made = (0..self.shared.config.workers).try_for_each(|seat| {
            self.threads.lock().push(seats::start(&self.shared, seat)?);
            Ok(())
        });
        let made = made.and_then(|()| {
            self.threads.lock().extend(seats::start_monitor(&self.shared)?);
            Ok(())
        });
        if made.is_err() {
            self.shutdown(None);
        }
        made
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

    /// Refuses new tasks and asks all others to end. Returns at once. They are asked once, however often this is called.
    pub fn close(&self) {
        if !self.shared.registry.close() {
            return;
        }
        for task in self.shared.registry.snapshot() {
            task.cancel_at_the_end();
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
        if context::with_thread_of(|worker| worker.is_some_and(|worker| worker.belongs_to(&self.shared))) {
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
        self.shared.statistics()
    }
}

impl fmt::Debug for Scheduler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Scheduler").field(&self.statistics()).finish()
    }
}

impl Pulse {
    /// For thieves, when the worker does not come back: takes what lies in its slot. Who lingers is parked, or taken as well if
    /// it was woken meanwhile.
    fn steal(&self) -> Option<Runnable> {
        self.slot.steal().or_else(|| self.lingering.steal().and_then(Runnable::park))
    }
}

impl Remote {
    fn new(working: bool) -> Self {
        let local = Local::new();
        Self {
            stealer: local.stealer(),
            parker: Parker::new(),
            duty: Duty::new(working),
            local: Mutex::new(Some(local)),
            probe: Mutex::new(None),
            address: Mutex::new(Address::nobody()),
            pulse: CachePadded::new(Pulse {
                slot: Slot::new(),
                lingering: Slot::new(),
                beat: Beat::new(),
                steals: AtomicU64::new(0),
                parks: AtomicU64::new(0),
            }),
        }
    }
}

impl Shared {
    /// The seats that a thread sits at, or has sat at.
    #[inline]
    fn occupied(&self) -> &[Arc<CachePadded<Remote>>] {
        // Acquire: pairs with the Release in `seats::add`. An empty seat more or less does no harm.
        &self.remotes[..self.seats.load(Ordering::Acquire)]
    }

    /// A monitor watches the workers.
    #[inline]
    fn is_guarded(&self) -> bool {
        self.config.guard.policy != StallPolicy::Off
    }

    /// After a push: wakes a sleeper if nobody searches.
    #[inline]
    fn wake_one(&self) {
        if let Some(worker) = self.idle.wake_one() {
            self.remotes[worker].parker.unpark(&self.driver);
        }
    }

    /// After a worker's push to its own queue: as `wake_one`, but who only naps is left alone.
    #[inline]
    fn wake_one_for_worker(&self) {
        if let Some(worker) = self.idle.wake_one_for_worker() {
            self.remotes[worker].parker.unpark(&self.driver);
        }
    }

    /// A thread that has held the driver's seat for a moment will not lie down there itself. Whoever wanted to
    /// meanwhile found the seat taken and sleeps elsewhere. If all do, nobody watches the time: one is woken, finds
    /// nothing to do, and takes the seat.
    fn left_driver(&self) {
        if let Some(worker) = self.idle.wake_one_of_all() {
            self.remotes[worker].parker.unpark(&self.driver);
        }
    }

    /// At the end: wakes whoever sleeps, spares and the monitor too.
    fn wake_everyone(&self) {
        let _ = self.idle.wake_all();
        for remote in &self.remotes {
            remote.parker.unpark(&self.driver);
        }
        self.guard.end();
    }

    /// True if a task waits in a queue that others may take from. Slots do not count: their workers are awake, or were asleep in
    /// the driver and are about to find out what it has put there.
    fn has_work(&self) -> bool {
        !self.injector.is_empty()
            || !self.suspects.is_empty()
            || self.occupied().iter().any(|remote| !remote.stealer.is_empty())
    }

    /// True once the scheduler has closed and its last task has ended.
    fn is_drained(&self) -> bool {
        // Acquire: pairs with the Release in `close`.
        self.closing.load(Ordering::Acquire) && self.registry.is_empty()
    }

    /// True if nothing can run before the driver delivers something: for who has found itself the last one to lie down, and has
    /// the driver's seat. The worker that had it before is still counted asleep, and has perhaps a task in its slot.
    fn is_quiescent(&self) -> bool {
        // In this order. A worker that has taken its task out of the slot was counted awake before, under the lock that
        // `all_asleep_for_sure` takes: who does not see the task any more sees the worker.
        let nothing_left = !self.has_work() && self.occupied().iter().all(|it| it.pulse.slot.is_empty());
        nothing_left && self.idle.all_asleep_for_sure() && self.nobody_outside()
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

    #[inline]
    fn submit_new(&self, task: Runnable) {
        context::with_worker(|worker| match worker {
            Some(worker) if worker.belongs_to(self) => worker.push_new(task),
            _ => {
                self.injector.push(task);
                self.wake_one();
            }
        });
    }

    fn registry(&self) -> &Registry {
        &self.registry
    }

    fn failure_sink(&self) -> Option<FailureSink> {
        self.config.on_failure.clone()
    }

    fn busy(&self) -> usize {
        self.idle.busy()
    }

    fn statistics(&self) -> Statistics {
        let sum = |counter: fn(&Pulse) -> &AtomicU64| {
            self.occupied().iter().map(|remote| counter(&remote.pulse).load(Ordering::Relaxed)).sum() // display only
        };
        Statistics {
            workers: self.config.workers,
            sleeping_workers: self.idle.asleep(),
            tasks: self.registry.len(),
            injected: self.injector.len() + self.suspects.len(),
            queued: self.occupied().iter().map(|remote| remote.stealer.len()).sum(),
            polls: self.occupied().iter().map(|remote| remote.pulse.beat.polls()).sum(),
            steals: sum(|pulse| &pulse.steals),
            parks: sum(|pulse| &pulse.parks),
            stalls: self.guard.stalls.load(Ordering::Relaxed), // display only, as the next two
            rescues: self.guard.rescues.load(Ordering::Relaxed),
            rescued_tasks: self.guard.moved.load(Ordering::Relaxed),
        }
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
        // Acquire: pairs with the Release there, after which it touches nothing of ours.
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
