#![allow(unsafe_code)] // Futures that are not Send: rule 5 of task/README.md.
//! The single-threaded loop: asyncio's model, stalls visibly.
//!
//! One thread, one queue, strictly first in first out. A turn of the loop runs what was ready when the turn began,
//! then asks the driver for timers and sockets, and sleeps there if nothing is ready: `asyncio.BaseEventLoop._run_once`,
//! step by step, so that programs interleave in the same order. The main future takes its turn in the queue like any
//! task.
//!
//! A task that blocks here blocks everything. That is the lesson; the multi-threaded scheduler is the answer. A loop that
//! is [watched](LocalLoop::watch) says which step was slow, and where it came from: asyncio's debug mode.

mod main;
mod spawn;

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::fmt;
use std::future::Future;
use std::io;
use std::marker::PhantomData;
use std::panic::Location;
use std::pin::pin;
use std::ptr::NonNull;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use crate::block_on::{refuse_inside, uncancelled};
use crate::context;
use crate::driver::{Driver, Park, Unpark};
use crate::failure::FailureSink;
use crate::guard::{Behind, GuardConfig, Lookout, NO_TASK, Reason, Told};
use crate::handle::Handle;
use crate::job::contain;
use crate::metrics::Statistics;
use crate::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use crate::sync::{Mutex, thread};
use crate::task::{self, Cancelled, Canceller, Home, Registry, Runnable, Spawn, Spawned, Task, TaskRef};

use self::main::{Main, Run};
pub use self::spawn::{spawn_local, spawn_local_as};

/// A single-threaded loop. It stays on the thread that made it, and so may run futures that are not `Send`.
pub struct LocalLoop {
    shared: Arc<Shared>,
    ready: RefCell<VecDeque<Entry>>,
    driver: RefCell<Box<dyn Driver>>,
    turns: Cell<u64>,
    polls: Cell<u64>,
    /// Entries that earlier main futures have left in the queue.
    left: Cell<usize>,
    lookout: Option<Lookout>,
    stays: PhantomData<*const ()>,
}

/// What waits for its turn: a task, or the main future.
enum Entry {
    Task(Runnable),
    Main,
}

/// A queue with room for so many keeps it.
const SHORT: usize = 1024;

/// Gives back half of the room of a queue that fills no more than a quarter of it.
#[inline]
fn ease(queue: &mut VecDeque<Entry>) {
    let room = queue.capacity();
    if room > SHORT && queue.len() < room / 4 {
        queue.shrink_to(room / 2);
    }
}

/// What other threads see of the loop. It is the home of its tasks.
struct Shared {
    registry: Registry,
    /// What other threads have made ready.
    remote: Mutex<VecDeque<Entry>>,
    unparker: Arc<dyn Unpark>,
    on_failure: Option<FailureSink>,
    stop: AtomicBool,
    /// What was ready when the present step began, if the loop is watched.
    behind: AtomicUsize,
    /// Threads that are just handing us a task (task/README, rule 1).
    submitting: AtomicUsize,
}

/// Ends [`LocalLoop::run_forever`] from anywhere.
#[derive(Clone)]
pub struct Stopper(Arc<Shared>);

impl LocalLoop {
    /// A loop that sleeps in `driver`.
    pub fn new(driver: Box<dyn Driver>) -> Self {
        Self::telling(driver, None)
    }

    /// The same; failures that nobody looks at are told to `sink`, or said on stderr.
    pub fn telling(driver: Box<dyn Driver>, sink: Option<FailureSink>) -> Self {
        let shared = Arc::new(Shared {
            on_failure: sink,
            registry: Registry::new(1),
            remote: Mutex::new(VecDeque::new()),
            unparker: driver.unparker(),
            stop: AtomicBool::new(false),
            behind: AtomicUsize::new(0),
            submitting: AtomicUsize::new(0),
        });
        Self {
            shared,
            ready: RefCell::new(VecDeque::new()),
            driver: RefCell::new(driver),
            turns: Cell::new(0),
            polls: Cell::new(0),
            left: Cell::new(0),
            lookout: None,
            stays: PhantomData,
        }
    }

    /// Watches the loop from a thread of its own: a step that takes longer than `config`'s threshold is told to its sink while it
    /// lasts, and counted.
    ///
    /// Only told: its tasks cannot move to another thread. A step costs two stores and a fence more.
    ///
    /// # Errors
    /// The system's, when the thread cannot be made.
    pub fn watch(&mut self, name: &str, config: &GuardConfig) -> io::Result<()> {
        let shared = self.shared.clone();
        let tell = Box::new(move |task: Option<u64>| {
            let task = task.and_then(|task| shared.registry.find(task));
            let tasks = shared.behind.load(Ordering::Relaxed) + shared.remote.lock().len(); // for display
            let behind = Behind { tasks, timers_waited: true };
            let slow_step = task.as_ref().and_then(TaskRef::slow_step);
            Told { name: task.map(|it| it.name()), slow_step, behind }
        });
        self.lookout = Some(Lookout::telling(name, config, Reason::SingleThreaded, tell)?);
        Ok(())
    }

    /// Reaches this loop from anywhere; what is spawned through it must be `Send`.
    pub fn handle(&self) -> Handle {
        Handle::new(self.shared.clone())
    }

    /// Spawns a future that need not be `Send`.
    #[track_caller]
    pub fn spawn_local<F: Future + 'static>(&self, future: F) -> Task<F::Output> {
        self.spawn_local_at(future, Spawn { name: None, place: Location::caller(), is_call: false }).task()
    }

    fn spawn_local_at<F: Future + 'static>(&self, future: F, how: Spawn) -> Spawned<F::Output> {
        // SAFETY: a `LocalLoop` stays on its thread, which is this one, and runs its tasks there alone.
        unsafe { self.handle().spawn_unchecked(future, how) }
    }

    fn spawn_local_eager<F: Future + 'static>(&self, future: F, how: Spawn) -> Task<F::Output> {
        let home: Arc<dyn Home> = self.shared.clone();
        // SAFETY: as in `spawn_local_at`; this thread runs the loop, says `with_local`.
        unsafe { task::spawn_eager(NonNull::from(&*home), future, how) }
    }

    /// Runs the loop until `future` is ready, and gives its value. Other tasks stay as they are then.
    ///
    /// # Panics
    /// Panics inside async code: it would stall the thread that runs it. A panic of `future` goes through.
    #[track_caller]
    pub fn block_on<F: Future>(&self, future: F) -> F::Output {
        self.block_on_from(Location::caller(), future)
    }

    /// As [`block_on`](Self::block_on), on behalf of a caller at `place`.
    #[doc(hidden)]
    #[track_caller]
    pub fn block_on_from<F: Future>(&self, place: &'static Location<'static>, future: F) -> F::Output {
        uncancelled(self.block_on_with(place, &Canceller::new(), future))
    }

    /// As [`block_on_from`](Self::block_on_from), and `canceller` can cancel the future from anywhere: a frame in it may catch
    /// that; otherwise the future is dropped where it stands.
    ///
    /// # Errors
    /// [`Cancelled`] when it was cancelled and gave no value.
    ///
    /// # Panics
    /// As [`block_on`](Self::block_on).
    #[doc(hidden)]
    #[track_caller]
    pub fn block_on_with<F: Future>(
        &self,
        place: &'static Location<'static>,
        canceller: &Canceller,
        future: F,
    ) -> Result<F::Output, Cancelled> {
        refuse_inside("block_on");
        let mut future = pin!(Some(future));
        let main = Main::new(self.shared.clone());
        let waker = Waker::from(main.clone());
        let seen = self.shared.registry.outsiders().list(place, &waker);
        let mut value = None;
        let mut poll_main = || {
            main.begins();
            let mut poll = || canceller.main().poll(future.as_mut(), &mut Context::from_waker(&waker));
            let polled = self.step((NO_TASK, place), || match &seen {
                None => poll(),
                Some(seen) => seen.around(poll),
            });
            match polled {
                Poll::Ready(ready) => value = Some(ready),
                Poll::Pending => return false,
            }
            true
        };
        self.inside(|| {
            let _run = Run(self, &main);
            // First in, first out: what was made ready before takes its turn before the main future.
            self.ready.borrow_mut().append(&mut self.shared.remote.lock());
            waker.wake_by_ref();
            while !self.turn(&mut poll_main) {
                self.park();
            }
        });
        value.unwrap_or_else(|| unreachable!("a turn says true when the main future is ready"))
    }

    /// Runs the loop until somebody [stops](Stopper::stop) it: it finishes the turn it is in.
    ///
    /// # Panics
    /// Panics inside async code: it would stall the thread that runs it.
    #[track_caller]
    pub fn run_forever(&self) {
        refuse_inside("run_forever");
        self.inside(|| {
            loop {
                self.turn(&mut || false);
                // Acquire: pairs with the Release in `stop`.
                if self.shared.stop.swap(false, Ordering::Acquire) {
                    return;
                }
                self.park();
            }
        });
    }

    /// Ends [`run_forever`](Self::run_forever).
    pub fn stopper(&self) -> Stopper {
        Stopper(self.shared.clone())
    }

    /// Cancels all tasks, and turns the loop until they have ended, their cleanup too. Refuses new ones from now on.
    pub fn shutdown(&self) {
        self.end(TaskRef::cancel_at_the_end);
    }

    /// Drops all tasks where they stand: no cleanup but their destructors. Refuses new ones from now on.
    pub fn close(&self) {
        self.end(TaskRef::destroy);
    }

    fn end(&self, tell: fn(&TaskRef)) {
        self.shared.registry.close();
        self.shared.registry.snapshot().iter().for_each(tell);
        self.inside(|| {
            while !self.shared.registry.is_empty() {
                self.turn(&mut || false);
                if !self.shared.registry.is_empty() {
                    self.park();
                }
            }
        });
    }

    /// How many tasks have been polled: does the present poll still go on?
    pub(crate) fn polls(&self) -> u64 {
        self.polls.get()
    }

    /// Counters and sizes at this moment.
    pub fn statistics(&self) -> Statistics {
        Statistics {
            workers: 1,
            tasks: self.shared.registry.len(),
            injected: self.shared.remote.lock().len(),
            queued: self.ready.borrow().len(),
            polls: self.polls.get(),
            parks: self.turns.get(),
            stalls: self.lookout.as_ref().map_or(0, Lookout::stalls),
            ..Statistics::default()
        }
    }

    /// Runs `f` with this loop as the current one.
    fn inside<R>(&self, f: impl FnOnce() -> R) -> R {
        let _entered = self.handle().enter();
        context::as_local(self, f)
    }

    /// One turn: everything that was ready when it began. `main` is called when it is the main future's turn; true
    /// if it said that it is done.
    fn turn(&self, main: &mut dyn FnMut() -> bool) -> bool {
        self.turns.set(self.turns.get() + 1);
        let batch = self.begin_turn();
        for _ in 0..batch {
            let entry = self.ready.borrow_mut().pop_front();
            match entry {
                Some(Entry::Task(task)) => {
                    self.polls.set(self.polls.get() + 1);
                    if let Some(again) = self.step(task.whose(), || task.run()) {
                        self.ready.borrow_mut().push_back(Entry::Task(again));
                    }
                }
                Some(Entry::Main) if self.is_left_over() => {}
                Some(Entry::Main) if main() => return true,
                Some(Entry::Main) => {}
                None => break,
            }
        }
        false
    }

    /// Takes in what came from other threads; gives how many are ready.
    fn begin_turn(&self) -> usize {
        let (mut ready, mut remote) = (self.ready.borrow_mut(), self.shared.remote.lock());
        ease(&mut ready);
        ease(&mut remote);
        ready.append(&mut remote);
        ready.len()
    }

    /// One poll, which the monitor sees if there is one.
    #[inline]
    fn step<R>(&self, (task, place): (u64, &'static Location<'static>), poll: impl FnOnce() -> R) -> R {
        let Some(lookout) = &self.lookout else { return poll() };
        self.shared.behind.store(self.ready.borrow().len(), Ordering::Relaxed); // for display
        lookout.around(task, place, poll)
    }

    /// Delivers events; sleeps if nothing is ready.
    fn park(&self) {
        // A push from outside after this look leaves its token with the driver, which then returns at once.
        let idle = self.ready.borrow().is_empty() && self.shared.remote.lock().is_empty();
        let park = if idle { Park { limit: None, quiescent: true } } else { Park::POLL };
        contain("the driver", || self.driver.borrow_mut().park(park));
    }
}

impl Drop for LocalLoop {
    fn drop(&mut self) {
        self.close();
    }
}

impl fmt::Debug for LocalLoop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("LocalLoop").field(&self.statistics()).finish()
    }
}

impl Stopper {
    /// The loop ends its turn and returns from `run_forever`, now or when it is run the next time.
    pub fn stop(&self) {
        // Release: pairs with the Acquire in `run_forever`.
        self.0.stop.store(true, Ordering::Release);
        self.0.unparker.unpark();
    }
}

impl fmt::Debug for Stopper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stopper").finish_non_exhaustive()
    }
}

impl Shared {
    fn push(self: &Shared, entry: Entry) {
        context::with_local(|local| match local {
            Some(local) if std::ptr::eq(&*local.shared, self) => local.ready.borrow_mut().push_back(entry),
            _ => {
                // As in the scheduler's `submit`: the count keeps `self` alive after the push.
                self.submitting.fetch_add(1, Ordering::Relaxed); // ordered before the push by the lock
                self.remote.lock().push_back(entry);
                self.unparker.unpark();
                // Release: pairs with the Acquire in `Drop`.
                self.submitting.fetch_sub(1, Ordering::Release);
            }
        });
    }
}

impl Home for Shared {
    fn statistics(&self) -> Statistics {
        context::with_local(|local| local.filter(|_| self.runs_here()).map(LocalLoop::statistics))
            .unwrap_or_else(|| Statistics { workers: 1, tasks: self.registry.len(), ..Statistics::default() })
    }

    fn runs_here(&self) -> bool {
        context::with_local(|local| local.is_some_and(|local| std::ptr::eq(&*local.shared, self)))
    }

    fn submit(&self, task: Runnable) {
        self.push(Entry::Task(task));
    }

    fn registry(&self) -> &Registry {
        &self.registry
    }

    fn failure_sink(&self) -> Option<FailureSink> {
        self.on_failure.clone()
    }

    fn drained(&self) {} // tasks end on the loop's own thread, which looks for itself
}

impl Drop for Shared {
    fn drop(&mut self) {
        // Someone may still be on the way out of `push`, a few instructions from its end.
        // Acquire: pairs with the Release there, after which it touches nothing of ours.
        while self.submitting.load(Ordering::Acquire) != 0 {
            thread::yield_now();
        }
    }
}
