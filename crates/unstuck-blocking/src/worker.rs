//! The life of one pool thread: wrapped, greeted, working, seen off.
//!
//! Everything here that is the user's (the wrapper, the hooks) may panic or misbehave; the thread is counted out in any
//! case, because [`Leaving`] does it on drop.

use std::cell::Cell;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;

use unstuck_core::job::{QueuedJob, contain, say, wrapped};

use crate::builder::Body;
use crate::census::Desk;
use crate::pool::Shared;
use crate::roster::{Call, Failed};
use crate::seat::Seat;

const NO_THREAD: &str = "no thread could be made for it, and the pool has none (the system's limit on threads or memory \
                         is reached): run fewer threads, or raise the limit";

thread_local! {
    /// The address of the pool that this thread works for; 0 outside all pools.
    static POOL: Cell<usize> = const { Cell::new(0) };
}

/// True on a thread of this pool.
pub(crate) fn works_for(shared: &Arc<Shared>) -> bool {
    POOL.try_with(Cell::get) == Ok(address(shared))
}

fn address(shared: &Arc<Shared>) -> usize {
    Arc::as_ptr(shared).addr()
}

/// Does what the roster decided, with the lock free.
pub(crate) fn answer(shared: &Arc<Shared>, call: Call) {
    match call {
        Call::Nobody => {}
        Call::Wake(seat) => seat.unpark(),
        Call::Start => {
            if let Err(error) = start(shared) {
                failed(shared, &error);
            }
        }
    }
}

fn start(shared: &Arc<Shared>) -> io::Result<()> {
    let id = shared.census.expect();
    let recipe = &shared.recipe;
    let mut builder = thread::Builder::new().name(format!("{}-{id}", recipe.name));
    if let Some(size) = recipe.stack_size {
        builder = builder.stack_size(size);
    }
    let body: Body = {
        let shared = shared.clone();
        Box::new(move || live(&shared, id))
    };
    match (recipe.spawner)(builder, body) {
        Ok(handle) => {
            shared.census.keep(id, handle);
            Ok(())
        }
        Err(error) => {
            shared.census.not_started(id);
            Err(error)
        }
    }
}

fn failed(shared: &Arc<Shared>, error: &io::Error) {
    // Relaxed: a statistic, and a once-flag that guards nothing.
    shared.spawn_failures.fetch_add(1, Ordering::Relaxed);
    match shared.roster.start_failed() {
        Failed::Others(call) => {
            if !shared.warned.swap(true, Ordering::Relaxed) {
                say(format_args!(
                    "no more threads for '{}' ({error}): jobs wait for those it has",
                    shared.recipe.name
                ));
            }
            answer(shared, call);
        }
        Failed::Alone(jobs) => {
            for job in jobs {
                job.reject(NO_THREAD);
            }
        }
    }
}

fn live(shared: &Arc<Shared>, id: u64) {
    let _leaving = Leaving { shared, id };
    POOL.set(address(shared));
    wrapped(shared.recipe.around.as_deref(), || work(shared, id));
}

fn work(shared: &Arc<Shared>, id: u64) {
    let seat = Seat::new();
    let desk = Arc::new(Desk::default());
    shared.census.arrived(id, &desk);
    if let Some(hook) = &shared.recipe.on_start {
        contain("the start hook of a pool thread", || hook());
    }
    let run = |job: QueuedJob| {
        desk.begin(&job);
        if job.run() {
            // Relaxed: a statistic.
            shared.done.fetch_add(1, Ordering::Relaxed);
        }
        desk.end();
    };
    shared.roster.work(&seat, run);
    if let Some(hook) = &shared.recipe.on_stop {
        contain("the stop hook of a pool thread", || hook());
    }
}

/// Counts the thread out when it ends, however it ends.
struct Leaving<'a> {
    shared: &'a Arc<Shared>,
    id: u64,
}

impl Drop for Leaving<'_> {
    fn drop(&mut self) {
        self.shared.census.left(self.id);
    }
}
