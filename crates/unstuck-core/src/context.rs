#![allow(unsafe_code)] // Scoped pointers: set by a guard, cleared by its drop, never seen by another thread.
//! "Which runtime am I in?": one thread-local, set by guards once per thread, never per poll.
//!
//! Three questions are answered here. *Where does a free `spawn()` go?* To the home that was entered last. *Is this
//! thread a worker of that home?* Then its own queue is one pointer away. *Which task is being polled?* One store
//! before and one after each poll.

mod cancelling;
pub mod debts;

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::marker::PhantomData;
use std::panic::Location;
use std::ptr::NonNull;
use std::sync::Arc;
use std::task::Waker;

pub(crate) use cancelling::{
    cancels_itself, has_hidden_joins, hide_join, note_held, put_hidden_joins, set_thrown_aside,
    take_hidden_joins, throw, thrown, withdraw,
};

use crate::handle::Handle;
use crate::local::LocalLoop;
use crate::sched::Worker;
use crate::sync::thread_local;
use crate::task::frames::{Frames, Main, MainRef, Owner};
use crate::task::{Header, Left, TaskRef, borrowed_waker, is_waker_of};

/// Pointers and flags only: a thread-local without a destructor is one addition away, without a look whether it is
/// still alive. It is asked at every wake and every poll.
struct Context {
    /// The worker that this thread is.
    worker: Cell<Option<NonNull<Worker>>>,
    /// The worker whose thread plain code has borrowed: see [`as_pool_thread`].
    lent: Cell<Option<NonNull<Worker>>>,
    /// The single-threaded loop that runs on this thread.
    local: Cell<Option<NonNull<LocalLoop>>>,
    /// The task being polled.
    task: Cell<Option<NonNull<Header>>>,
    /// The task that was polled before, and has not been parked yet (sched/worker/linger.rs).
    lingering: Cell<Option<NonNull<Header>>>,
    /// The main future being polled, if it is not a task.
    main: Cell<Option<NonNull<Main>>>,
    /// The waker that its poll was given.
    main_waker: Cell<Option<NonNull<Waker>>>,
    /// What happened during this poll, on this thread.
    notes: Cell<u8>,
    /// Who is called at the end of a poll that owes something.
    creditor: Cell<Option<fn(&Waker)>>,
    /// Async code is being run here: blocking this thread would stall it.
    inside: Cell<bool>,
}

thread_local! {
    /// The home that free functions use.
    static HOME: RefCell<Option<Handle>> = const { RefCell::new(None) };

    static CONTEXT: Context = const {
        Context {
            worker: Cell::new(None),
            lent: Cell::new(None),
            local: Cell::new(None),
            task: Cell::new(None),
            lingering: Cell::new(None),
            main: Cell::new(None),
            main_waker: Cell::new(None),
            notes: Cell::new(0),
            creditor: Cell::new(None),
            inside: Cell::new(false),
        }
    };
}

/// The task has woken itself.
const WOKEN: u8 = 1;
/// The task has asked for its own cancellation.
const CANCELLED_ITSELF: u8 = 1 << 1;
/// A cancellation was thrown, and no frame has taken it yet.
const THROWN: u8 = 1 << 2;
/// A join has returned pending that is no frame yet.
const HIDDEN: u8 = 1 << 3;
/// A cancellation was thrown, and waits for siblings of who threw it.
const HELD: u8 = 1 << 4;
/// The task has ended, and those who wait for it are being woken: they go to the back of the queue (`Worker::push` in
/// sched/worker.rs says why).
const ENDED: u8 = 1 << 5;
/// Something is to be done when this poll ends.
const OWES: u8 = 1 << 6;
/// The task has ended, and nobody would do it any more.
const CLOSED: u8 = 1 << 7;

/// Restores what was there before it was made. Stays on its thread.
#[must_use = "the runtime is left when the guard is dropped"]
pub struct EnterGuard {
    previous: Option<Handle>,
    stays: PhantomData<*const ()>,
}

impl std::fmt::Debug for EnterGuard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EnterGuard").finish_non_exhaustive()
    }
}

/// Makes `handle`'s home the one that free functions use, until the guard is dropped.
pub(crate) fn enter(handle: Handle) -> EnterGuard {
    let previous = HOME.with(|home| home.replace(Some(handle)));
    EnterGuard { previous, stays: PhantomData }
}

impl Drop for EnterGuard {
    fn drop(&mut self) {
        // At the end of a thread the thread-local may be gone before a guard that the user keeps in another one.
        let _ = HOME.try_with(|home| home.replace(self.previous.take()));
    }
}

/// Gives `f` the home of this thread.
#[inline]
pub(crate) fn with_home<R>(f: impl FnOnce(Option<&Handle>) -> R) -> R {
    HOME.with(|home| f(home.borrow().as_ref()))
}

/// The home of this thread.
pub(crate) fn home() -> Option<Handle> {
    HOME.with(|home| home.borrow().clone())
}

/// Gives `f` the worker that this thread is, if it is one.
#[inline]
pub(crate) fn with_worker<R>(f: impl FnOnce(Option<&Worker>) -> R) -> R {
    let worker = CONTEXT.with(|context| context.worker.get());
    // SAFETY: set by `as_worker`, which borrows the worker until it clears the pointer, on this thread.
    f(worker.map(|worker| unsafe { worker.as_ref() }))
}

/// Gives `f` the worker whose thread this is, also while plain code has borrowed it.
pub(crate) fn with_thread_of<R>(f: impl FnOnce(Option<&Worker>) -> R) -> R {
    let worker = CONTEXT.with(|context| context.worker.get().or(context.lent.get()));
    // SAFETY: as in `with_worker`; `lent` holds the same pointer, for a part of the same time.
    f(worker.map(|worker| unsafe { worker.as_ref() }))
}

/// Gives `f` the single-threaded loop that runs on this thread, if one does.
#[inline]
pub(crate) fn with_local<R>(f: impl FnOnce(Option<&LocalLoop>) -> R) -> R {
    let local = CONTEXT.with(|context| context.local.get());
    // SAFETY: set by `as_local`, which borrows the loop until it restores the pointer, on this thread.
    f(local.map(|local| unsafe { local.as_ref() }))
}

/// Runs `f` with `worker` as this thread's worker.
pub(crate) fn as_worker<R>(worker: &Worker, f: impl FnOnce() -> R) -> R {
    let _restore = Restore::set(|context| &context.worker, Some(NonNull::from(worker)));
    let _inside = Restore::set(|context| &context.inside, true);
    f()
}

/// Runs `f` with `local` as this thread's loop.
pub(crate) fn as_local<R>(local: &LocalLoop, f: impl FnOnce() -> R) -> R {
    let _restore = Restore::set(|context| &context.local, Some(NonNull::from(local)));
    let _inside = Restore::set(|context| &context.inside, true);
    f()
}

/// Marks this thread as running async code from outside a worker, until the guard is dropped.
pub(crate) fn as_outside() -> impl Drop {
    Restore::set(|context| &context.inside, true)
}

/// True while this thread runs async code, which a blocking call would stall.
pub fn is_inside() -> bool {
    CONTEXT.with(|context| context.inside.get())
}

/// Notes which task is being polled, until the guard is dropped.
#[inline]
pub(crate) fn enter_task(task: NonNull<Header>) -> Running {
    debts::settle();
    CONTEXT
        .with(|context| Running { task: context.task.replace(Some(task)), notes: context.notes.replace(0) })
}

/// Notes that a main future is being polled, until the guard is dropped.
pub(crate) fn enter_main<'a>(main: &'a Arc<Main>, waker: &'a Waker) -> impl Drop + use<'a> {
    struct Leave<'a> {
        _main: Restore<Option<NonNull<Main>>>,
        _waker: Restore<Option<NonNull<Waker>>>,
        _task: Restore<Option<NonNull<Header>>>,
        _notes: Restore<u8>,
        _alive: PhantomData<(&'a Main, &'a Waker)>,
    }
    impl Drop for Leave<'_> {
        fn drop(&mut self) {
            debts::settle(); // its fields do the rest
        }
    }
    debts::settle();
    Leave {
        // From the Arc and not from what it points to: `owner` makes another Arc of it.
        _main: Restore::set(|context| &context.main, NonNull::new(Arc::as_ptr(main).cast_mut())),
        _waker: Restore::set(|context| &context.main_waker, Some(NonNull::from(waker))),
        _task: Restore::set(|context| &context.task, None),
        _notes: Restore::set(|context| &context.notes, 0),
        _alive: PhantomData,
    }
}

/// The task being polled before this one (in a nested loop), to be restored.
pub(crate) struct Running {
    task: Option<NonNull<Header>>,
    notes: u8,
}

impl Running {
    /// True if the task has woken itself during the poll.
    #[inline]
    pub(crate) fn has_woken_itself(&self) -> bool {
        noted(WOKEN)
    }

    /// True if nothing has happened during the poll that its end must know.
    #[inline]
    pub(crate) fn is_quiet(&self) -> bool {
        CONTEXT.with(|context| context.notes.get() == 0)
    }

    /// True if the task has asked for its own cancellation during the poll.
    #[inline]
    pub(crate) fn has_cancelled_itself(&self) -> bool {
        noted(CANCELLED_ITSELF)
    }

    /// What the next poll has to know.
    #[inline]
    pub(crate) fn left(&self) -> Left {
        Left { hidden: noted(HIDDEN), held: noted(HELD) }
    }

    /// True if a cancellation was thrown and no frame took it.
    #[inline]
    pub(crate) fn has_thrown(&self) -> bool {
        noted(THROWN)
    }
}

impl Drop for Running {
    #[inline]
    fn drop(&mut self) {
        CONTEXT.with(|context| {
            context.task.set(self.task);
            context.notes.set(self.notes);
        });
    }
}

/// If `task` is the one being polled on this thread, notes that it woke itself.
#[inline]
pub(crate) fn wake_running(task: NonNull<Header>) -> bool {
    CONTEXT.with(|context| {
        let running = context.task.get() == Some(task);
        if running {
            context.notes.set(context.notes.get() | WOKEN);
        }
        running
    })
}

/// Which task lingers on this worker. Only to be compared: a thief may have parked it meanwhile, and it may have ended.
#[inline]
pub(crate) fn set_lingering(task: Option<NonNull<Header>>) {
    CONTEXT.with(|context| context.lingering.set(task));
}

/// If `task` lingers on this thread, schedules it again.
#[inline]
pub(crate) fn wake_lingering(task: NonNull<Header>) -> bool {
    CONTEXT.with(|context| context.lingering.get()) == Some(task)
        && with_worker(|worker| worker.is_some_and(Worker::wake_lingering))
}

/// True if `task` is the one being polled on this thread.
#[inline]
pub(crate) fn is_running(task: NonNull<Header>) -> bool {
    CONTEXT.with(|context| context.task.get() == Some(task))
}

/// The task being polled on this thread.
pub fn current_task() -> Option<TaskRef> {
    let task = CONTEXT.with(|context| context.task.get())?;
    // SAFETY: set by `enter_task` for the time of a poll, during which the runnable's reference is held.
    Some(unsafe { TaskRef::to_running(task) })
}

struct Restore<T: Copy + 'static> {
    cell: fn(&Context) -> &Cell<T>,
    previous: T,
    stays: PhantomData<*const ()>,
}

impl<T: Copy + 'static> Restore<T> {
    #[inline]
    fn set(cell: fn(&Context) -> &Cell<T>, value: T) -> Self {
        let previous = CONTEXT.with(|context| cell(context).replace(value));
        Self { cell, previous, stays: PhantomData }
    }
}

impl<T: Copy + 'static> Drop for Restore<T> {
    #[inline]
    fn drop(&mut self) {
        CONTEXT.with(|context| (self.cell)(context).set(self.previous));
    }
}

/// Something was delivered, and a poll follows: what was noted meanwhile is answered by that.
pub(crate) fn forget_notes() {
    CONTEXT.with(|context| context.notes.set(context.notes.get() & (HELD | OWES | CLOSED)));
}

#[inline]
fn noted(note: u8) -> bool {
    CONTEXT.with(|context| context.notes.get() & note != 0)
}

fn note(note: u8, on: bool) {
    CONTEXT.with(|context| {
        let notes = context.notes.get() & !note;
        context.notes.set(if on { notes | note } else { notes });
    });
}

/// The task that was polled has ended: who is woken from now on has waited for that.
pub(crate) fn note_end() {
    note(ENDED, true);
}

/// True while those are woken who have waited for the end of a task.
#[inline]
pub(crate) fn is_ending() -> bool {
    noted(ENDED)
}

/// True if that is the waker with which the task or main future is being polled on this thread.
#[inline]
fn is_own_waker(waker: &Waker) -> bool {
    let (task, main) = CONTEXT.with(|context| (context.task.get(), context.main_waker.get()));
    match (task, main) {
        (Some(task), _) => is_waker_of(waker, task),
        // SAFETY: set by `enter_main`, whose guard borrows it.
        (None, Some(main)) => waker.will_wake(unsafe { main.as_ref() }),
        (None, None) => false,
    }
}

/// Gives `f` the waker with which the task or main future is being polled on this thread, if one is.
fn with_own_waker(f: impl FnOnce(&Waker)) {
    match CONTEXT.with(|context| (context.task.get(), context.main_waker.get())) {
        // SAFETY: set by `enter_task` for the time of a poll, during which the runnable's reference is held.
        (Some(task), _) => f(&*unsafe { borrowed_waker(task) }),
        // SAFETY: set by `enter_main`, whose guard borrows it.
        (None, Some(main)) => f(unsafe { main.as_ref() }),
        (None, None) => {}
    }
}

/// Gives `f` the frames of the task or main future being polled on this thread, if it has any.
#[inline]
pub(crate) fn with_frames<R>(f: impl FnOnce(Option<&Frames>) -> R) -> R {
    let (task, main) = CONTEXT.with(|context| (context.task.get(), context.main.get()));
    match (task, main) {
        // SAFETY: set by `enter_task` for the time of a poll, during which the runnable's reference is held.
        (Some(task), _) => f(unsafe { task.as_ref() }.frames()),
        // SAFETY: set by `enter_main`, whose guard borrows it.
        (None, Some(main)) => f(Some(unsafe { main.as_ref() }.frames())),
        (None, None) => f(None),
    }
}

/// The task or main future being polled on this thread.
pub(crate) fn owner() -> Option<Owner> {
    if let Some(task) = current_task() {
        return Some(Owner::Task(task));
    }
    let main = CONTEXT.with(|context| context.main.get())?;
    // SAFETY: `enter_main` made the pointer from an Arc, which its guard borrows; the count is ours to raise.
    let main = unsafe {
        Arc::increment_strong_count(main.as_ptr());
        Arc::from_raw(main.as_ptr())
    };
    Some(Owner::Main(MainRef(main)))
}

/// True if that is `owner`.
pub(crate) fn is_current(owner: &Owner) -> bool {
    let (task, main) = CONTEXT.with(|context| (context.task.get(), context.main.get()));
    match owner {
        Owner::Task(running) => task == Some(running.as_raw()),
        Owner::Main(running) => task.is_none() && main == Some(NonNull::from(&*running.0)),
    }
}

/// Runs `f` as plain code: inside it this thread may block, as a thread of a pool may.
pub fn outside<R>(f: impl FnOnce() -> R) -> R {
    let _inside = Restore::set(|context| &context.inside, false);
    f()
}

/// Runs `f` as if this were a thread of a pool: a plain call that may block, with no worker, no loop and no task around
/// it. What it spawns or wakes goes to the runtime's injector, where others find it however long `f` takes.
///
/// Only who asks whether this *thread* will come back soon (a shutdown that would wait for it) still sees the worker.
pub fn as_pool_thread<R>(f: impl FnOnce() -> R) -> R {
    debts::settle();
    with_worker(|worker| worker.into_iter().for_each(Worker::park_lingering)); // `f` may take long
    let worker = CONTEXT.with(|context| context.worker.get());
    let _lent = Restore::set(|context| &context.lent, worker);
    let _worker = Restore::set(|context| &context.worker, None);
    let _local = Restore::set(|context| &context.local, None);
    let _task = Restore::set(|context| &context.task, None);
    let _main = Restore::set(|context| &context.main, None);
    let _waker = Restore::set(|context| &context.main_waker, None);
    let _notes = Restore::set(|context| &context.notes, 0);
    outside(f)
}

/// Spawns on the home of this thread.
#[track_caller]
pub fn spawn<F>(future: F) -> crate::Task<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    // Outside the closure: inside, the caller would be this file.
    let place = Location::caller();
    match with_home(|home| home.map(|home| home.spawn_at(place, None, future))) {
        Some(spawned) => spawned.task(),
        None => no_runtime("spawn"),
    }
}

#[cold]
#[track_caller]
pub(crate) fn no_runtime(call: &str) -> ! {
    panic!(
        "no runtime on this thread: call {call}() inside unstuck::run(..), or hold a Runtime::enter() guard"
    )
}
