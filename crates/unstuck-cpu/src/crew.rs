//! The threads of a compute pool: how they are made, how they live, how they are joined.
//!
//! # Who goes first?
//! Workers and compute threads together are more than there are CPUs. When both have work, tasks should go first: they
//! ask for microseconds, and somebody waits for them. So compute threads *step back*: they are nicer, and ask for long slices,
//! so that a worker that wakes takes the CPU from them at once (`precedence.rs` in the core tells how, and has the
//! figures). It costs a batch of jobs next to nothing, unless tasks compute without end: then these get half as much again,
//! and the batch waits, as it should.
//!
//! The other way is *one budget of permits* (permits.rs): while workers stay busy, fewer compute threads take jobs at all. It
//! can be switched on. It is off because it brings nothing beyond that: the kernel shares CPUs in time, and permits leave one
//! idle whenever a worker that counts as busy sleeps. It is for systems without priorities, and for workers that compute
//! all the time. `compare -- "cpu, heartbeat"` prints both.

use std::cell::Cell;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rayon::{ThreadBuilder, ThreadPool, ThreadPoolBuilder};
use unstuck_core::job::{Host, contain, report, serve, wrapped};
use unstuck_core::sync::Mutex;

use crate::builder::{Body, Recipe};

/// The threads of one engine. They hold this, and not the engine: that one ends by dropping the pools they belong to.
pub(crate) struct Crew {
    handles: Mutex<Vec<JoinHandle<()>>>,
    /// The initializer panicked on one of them.
    broken: AtomicBool,
    host: Arc<dyn Host>,
}

thread_local! {
    /// The address of the crew that this thread is one of; 0 outside all pools.
    static CREW: Cell<usize> = const { Cell::new(0) };
    /// Which generation of its crew this thread belongs to, and how many jobs it has run.
    static GENERATION: Cell<u64> = const { Cell::new(0) };
    static JOBS: Cell<u64> = const { Cell::new(0) };
}

impl Crew {
    pub(crate) fn new(host: Arc<dyn Host>) -> Self {
        Self { handles: Mutex::default(), broken: AtomicBool::new(false), host }
    }

    /// Makes a rayon pool with threads of this crew and generation; `suffix` is put between their name and their number.
    pub(crate) fn hire(
        self: &Arc<Self>,
        recipe: &Recipe,
        threads: usize,
        suffix: &str,
        generation: u64,
    ) -> io::Result<ThreadPool> {
        let mut kind = io::ErrorKind::Other;
        let mut made = Vec::new();
        let spawn = |rayon: ThreadBuilder| {
            let name = match suffix {
                "" => format!("{}-{}", recipe.name, rayon.index()),
                _ => format!("{}{suffix}", recipe.name),
            };
            let mut builder = thread::Builder::new().name(name);
            if let Some(size) = recipe.stack_size {
                builder = builder.stack_size(size);
            }
            let (recipe, crew) = (recipe.clone(), self.clone());
            let spawner = recipe.spawner.clone();
            let body: Body = Box::new(move || {
                GENERATION.set(generation);
                crew.live(&recipe, rayon);
            });
            made.push(spawner(builder, body).inspect_err(|error| kind = error.kind())?);
            Ok(())
        };
        let built = ThreadPoolBuilder::new()
            .num_threads(threads)
            .panic_handler(|payload| report("a closure given to rayon::spawn", payload))
            .spawn_handler(spawn)
            .build();
        if built.is_ok() {
            let mut handles = self.handles.lock();
            handles.retain(|handle| !handle.is_finished());
            handles.append(&mut made);
        }
        built.map_err(|error| {
            // rayon tells those that did start to end.
            made.into_iter().for_each(|handle| _ = handle.join());
            let name = &recipe.name;
            io::Error::new(
                kind,
                format!("the {threads} threads of '{name}' could not be made: {error}: ask for fewer"),
            )
        })
    }

    /// The life of one compute thread.
    fn live(self: &Arc<Self>, recipe: &Recipe, rayon: ThreadBuilder) {
        CREW.set(self.address());
        if recipe.low_priority {
            unstuck_core::step_back(crate::builder::NICENESS);
        }
        wrapped(recipe.around.as_deref(), || {
            if let Some(initializer) = &recipe.initializer {
                if !contain("the initializer of a compute thread", || initializer()) {
                    // Relaxed: the flag carries nothing; a job that slips past it is checked again before it runs.
                    self.broken.store(true, Ordering::Relaxed);
                }
            }
            serve(self.host.clone(), || rayon.run());
        });
    }

    /// True if the initializer panicked.
    pub(crate) fn is_broken(&self) -> bool {
        self.broken.load(Ordering::Relaxed) // see `live`
    }

    /// True on one of these threads.
    pub(crate) fn is_mine(self: &Arc<Self>) -> bool {
        CREW.try_with(Cell::get) == Ok(self.address())
    }

    /// The generation that this thread belongs to.
    pub(crate) fn generation() -> u64 {
        GENERATION.get()
    }

    /// This thread has run a job: how many they are now.
    pub(crate) fn count_job() -> u64 {
        JOBS.set(JOBS.get() + 1);
        JOBS.get()
    }

    /// Counts this thread's jobs anew.
    pub(crate) fn forget_jobs() {
        JOBS.set(0);
    }

    /// How many threads live.
    pub(crate) fn len(&self) -> usize {
        self.handles.lock().iter().filter(|handle| !handle.is_finished()).count()
    }

    fn address(self: &Arc<Self>) -> usize {
        Arc::as_ptr(self).addr()
    }

    /// Joins the threads, which have been told to end. Those that have not done so within `limit` stay listed.
    pub(crate) fn join(&self, limit: Option<Duration>) {
        let start = Instant::now();
        let handles = std::mem::take(&mut *self.handles.lock());
        for handle in handles {
            let late = || limit.is_some_and(|limit| start.elapsed() >= limit);
            while limit.is_some() && !handle.is_finished() && !late() {
                thread::sleep(Duration::from_micros(100));
            }
            if limit.is_none() || handle.is_finished() {
                let _ = handle.join();
            } else {
                self.handles.lock().push(handle);
            }
        }
    }
}
