//! The life of one pool thread: wrapped, greeted, working, seen off.
//!
//! Everything here that is the user's (the wrapper, the hooks) may panic or misbehave; the thread is counted out in any
//! case, because [`Leaving`] does it on drop.

use std::cell::Cell;
use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;

use unstuck_core::job::{Awaits, contain, say, serve, while_waiting, wrapped};
use unstuck_core::sync::Mutex;

use crate::builder::{Body, Overflow};
use crate::desk::{Desk, Place};
use crate::lanes::Lane;
use crate::pool::{Entry, Shared};
use crate::roster::{Call, Failed, Refused, Submitted};
use crate::seat::Seat;

const CLOSED: &str = "its thread pool has shut down: submit jobs before the shutdown, or to another pool";
const FULL: &str = "the queue of its thread pool is full: submit fewer jobs at a time, or try again later";

const NO_THREAD: &str = "no thread could be made for it, and the pool has none (the system's limit on threads or memory \
                         is reached): run fewer threads, or raise the limit";

thread_local! {
    /// The address of the pool that this thread works for; 0 outside all pools.
    static POOL: Cell<usize> = const { Cell::new(0) };
}

/// True on a thread of this pool.
pub(crate) fn works_for(shared: &Arc<Shared>) -> bool {
    POOL.try_with(Cell::get) == Ok(key(shared))
}

/// What tells this pool from others; not 0.
pub(crate) fn key(shared: &Arc<Shared>) -> usize {
    Arc::as_ptr(shared).addr()
}

/// Takes a new job in, or refuses it as the pool's rules say.
pub(crate) fn submit(shared: &Arc<Shared>, entry: Entry) {
    if entry.own_thread {
        return own_thread(shared, entry, false);
    }
    let lane = entry.lane();
    match shared.roster.submit(entry, lane) {
        Ok(submitted) => accept(shared, submitted),
        // Who gave up must not take the room of others.
        Err(Refused::Full(entry)) if swept(shared) > 0 => again(shared, entry),
        Err(Refused::Full(entry)) => overflow(shared, entry),
        Err(refused) => refuse(shared, refused),
    }
}

fn accept(shared: &Arc<Shared>, Submitted { call, tell }: Submitted) {
    answer(shared, call);
    if let Some(length) = tell {
        if swept(shared) >= length / 2 {
            return;
        }
        let (name, limits) = (&shared.recipe.name, shared.limits());
        say(format_args!(
            "{length} jobs wait for the threads of '{name}' ({limits}): submit fewer at a time, or bound its queue \
             with queue(bound, Overflow::..)"
        ));
    }
}

/// Sweeps out what was cancelled, and says how much that was.
#[cold]
fn swept(shared: &Shared) -> usize {
    shared.roster.sweep(|entry| entry.job.is_cancelled()).len()
}

/// Submits once more.
#[cold]
fn again(shared: &Arc<Shared>, entry: Entry) {
    let lane = entry.lane();
    match shared.roster.submit(entry, lane) {
        Ok(submitted) => accept(shared, submitted),
        Err(Refused::Full(entry)) => overflow(shared, entry),
        Err(refused) => refuse(shared, refused),
    }
}

/// The queue is full.
#[cold]
fn overflow(shared: &Arc<Shared>, entry: Entry) {
    let lane = entry.lane();
    match shared.overflow {
        Overflow::Reject => refuse(shared, Refused::Full(entry)),
        // In async code nothing may block: the job waits at the door, and whoever awaits it waits with it.
        Overflow::Wait if unstuck_core::is_inside() => {
            entry.job.belongs_to_its_waiter();
            let gone = |entry: &Entry| entry.job.is_cancelled();
            match shared.roster.submit_or_queue_outside(entry, lane, gone) {
                Ok((submitted, swept)) => {
                    accept(shared, submitted);
                    drop(swept);
                }
                Err(refused) => refuse(shared, refused),
            }
        }
        Overflow::Wait => {
            let mut waits = Some(entry);
            let submitted = while_waiting(Awaits::Room(key(shared)), || {
                waits.take().map(|entry| shared.roster.submit_when_shorter(entry, lane))
            });
            match (submitted, waits) {
                (Ok(Some(Ok(submitted))), _) => accept(shared, submitted),
                (Ok(Some(Err(refused))), _) => refuse(shared, refused),
                (Err(why), Some(entry)) => entry.job.reject(why),
                _ => {}
            }
        }
        Overflow::CallerRuns => {
            let Entry { job, permit, .. } = entry;
            if unstuck_core::outside(|| job.run()) {
                // Relaxed: a statistic.
                shared.done.fetch_add(1, Ordering::Relaxed);
            }
            drop(permit);
        }
    }
}

pub(crate) fn refuse(shared: &Arc<Shared>, refused: Refused<Entry>) {
    // Relaxed: a statistic.
    shared.refused.fetch_add(1, Ordering::Relaxed);
    match refused {
        Refused::Closed(entry) => entry.job.reject(CLOSED),
        Refused::Full(entry) => entry.job.reject(FULL),
    }
}

/// Takes a job in that was accepted before: however long the queue is, and after the closing too, unless that has
/// cancelled what was queued.
pub(crate) fn admit(shared: &Arc<Shared>, entry: Entry) {
    if entry.own_thread {
        return own_thread(shared, entry, true);
    }
    let lane = entry.lane();
    match shared.roster.admit(entry, lane) {
        Ok(call) => answer(shared, call),
        Err(entry) => drop(entry),
    }
}

/// Does what the roster decided, with the lock free.
pub(crate) fn answer(shared: &Arc<Shared>, call: Call) {
    match call {
        Call::Nobody => {}
        Call::Wake(seat) => seat.unpark(),
        Call::Start => {
            let id = shared.census.expect();
            let body = {
                let shared = shared.clone();
                move || {
                    shared.roster.begins().into_iter().for_each(|call| answer(&shared, call));
                    live(&shared, id, |desk| work(&shared, desk));
                }
            };
            if let Err(error) = start(shared, id, Box::new(body)) {
                failed(shared, &error);
            }
        }
    }
}

/// Runs one job on a thread made for it, which counts for nobody.
fn own_thread(shared: &Arc<Shared>, entry: Entry, accepted: bool) {
    // Counted before the look whether the pool is closed: a shutdown after that look waits for it.
    let id = shared.census.expect();
    if !accepted && shared.roster.is_closed() {
        shared.census.not_started(id);
        return refuse(shared, Refused::Closed(entry));
    }
    // The thread takes the job out; if there is no thread, we do.
    let entry = Arc::new(Mutex::new(Some(entry)));
    let body = {
        let (shared, entry) = (shared.clone(), entry.clone());
        move || {
            live(&shared, id, |desk| {
                let entry = entry.lock().take();
                if let Some(entry) = entry {
                    run(&shared, desk, entry, None);
                }
            });
        }
    };
    // Relaxed: a statistic, like the others of this name.
    shared.on_own_thread.fetch_add(1, Ordering::Relaxed);
    if start(shared, id, Box::new(body)).is_err() {
        shared.on_own_thread.fetch_sub(1, Ordering::Relaxed);
        shared.spawn_failures.fetch_add(1, Ordering::Relaxed);
        let entry = entry.lock().take();
        refuse_all(entry.into_iter().collect());
    }
}

fn start(shared: &Arc<Shared>, id: u64, body: Body) -> io::Result<()> {
    let recipe = &shared.recipe;
    let mut builder = thread::Builder::new().name(format!("{}-{id}", recipe.name));
    if let Some(size) = recipe.stack_size {
        builder = builder.stack_size(size);
    }
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
        Failed::Alone(entries) => refuse_all(entries),
    }
}

/// Says that there is no thread for these.
#[cold]
fn refuse_all(entries: VecDeque<Entry>) {
    entries.into_iter().for_each(|entry| entry.job.reject(NO_THREAD));
}

fn live(shared: &Arc<Shared>, id: u64, body: impl FnOnce(&Arc<Desk>)) {
    let _leaving = Leaving { shared, id };
    POOL.set(key(shared));
    let desk = Arc::new(Desk::default());
    shared.census.arrived(id, &desk);
    let place = Arc::new(Place { shared: shared.clone(), desk: desk.clone() });
    serve(place, || {
        wrapped(shared.recipe.around.as_deref(), || {
            if let Some(hook) = &shared.recipe.on_start {
                contain("the start hook of a pool thread", || hook());
            }
            body(&desk);
            if let Some(hook) = &shared.recipe.on_stop {
                contain("the stop hook of a pool thread", || hook());
            }
        });
    });
}

fn work(shared: &Arc<Shared>, desk: &Arc<Desk>) {
    let seat = Seat::new();
    shared.roster.work(
        &seat,
        |call| answer(shared, call),
        |entry, lane| run(shared, desk, entry, Some(lane)),
    );
}

/// Runs one job. Its permit comes back when everything else is done.
fn run(shared: &Arc<Shared>, desk: &Desk, entry: Entry, lane: Option<Lane>) {
    desk.begin(&entry, lane);
    let Entry { job, permit, .. } = entry;
    // Relaxed: the desk's lock orders it. A shutdown raises it and then reads the desks, we the other way round.
    if shared.cancelling.load(Ordering::Relaxed) {
        job.token().cancel();
    }
    if job.run() {
        // Relaxed: a statistic.
        shared.done.fetch_add(1, Ordering::Relaxed);
    }
    desk.end();
    drop(permit);
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
