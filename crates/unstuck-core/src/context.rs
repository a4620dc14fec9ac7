#![allow(unsafe_code)] // Scoped pointers: set by a guard, cleared by its drop, never seen by another thread.
//! "Which runtime am I in?": one thread-local, set by guards once per thread, never per poll.
//!
//! Three questions are answered here. *Where does a free `spawn()` go?* To the home that was entered last. *Is this
//! thread a worker of that home?* Then its own queue is one pointer away. *Which task is being polled?* One store
//! before and one after each poll.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::marker::PhantomData;
use std::panic::Location;
use std::ptr::NonNull;

use crate::handle::Handle;
use crate::local::LocalLoop;
use crate::sched::Worker;
use crate::sync::thread_local;
use crate::task::{Header, Orphan, TaskRef};

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
    /// That task has woken itself, on this thread, during this poll.
    woken: Cell<bool>,
    /// Async code is being run here: blocking this thread would stall it.
    inside: Cell<bool>,
}

thread_local! {
    /// The home that free functions use.
    static HOME: RefCell<Option<Handle>> = const { RefCell::new(None) };

    /// The tasks that futures being dropped were awaiting, while somebody wants to know.
    static ORPHANS: RefCell<Option<Vec<Orphan>>> = const { RefCell::new(None) };

    static CONTEXT: Context = const {
        Context {
            worker: Cell::new(None),
            lent: Cell::new(None),
            local: Cell::new(None),
            task: Cell::new(None),
            woken: Cell::new(false),
            inside: Cell::new(false),
        }
    };
}

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
    CONTEXT.with(|context| Running {
        task: context.task.replace(Some(task)),
        woken: context.woken.replace(false),
    })
}

/// The task being polled before this one (in a nested loop), to be restored.
pub(crate) struct Running {
    task: Option<NonNull<Header>>,
    woken: bool,
}

impl Running {
    /// True if the task has woken itself since it was entered.
    #[inline]
    pub(crate) fn has_woken_itself(&self) -> bool {
        CONTEXT.with(|context| context.woken.get())
    }
}

impl Drop for Running {
    #[inline]
    fn drop(&mut self) {
        CONTEXT.with(|context| {
            context.task.set(self.task);
            context.woken.set(self.woken);
        });
    }
}

/// If `task` is the one being polled on this thread, notes that it woke itself.
#[inline]
pub(crate) fn wake_running(task: NonNull<Header>) -> bool {
    CONTEXT.with(|context| {
        let running = context.task.get() == Some(task);
        if running {
            context.woken.set(true);
        }
        running
    })
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

/// Runs `f`, and gives what [`adopt`] collected meanwhile.
pub(crate) fn adopting(f: impl FnOnce()) -> Vec<Orphan> {
    struct Restore(Option<Vec<Orphan>>);
    impl Drop for Restore {
        fn drop(&mut self) {
            ORPHANS.with(|orphans| orphans.replace(self.0.take()));
        }
    }
    let _restore = Restore(ORPHANS.with(|orphans| orphans.replace(Some(Vec::new()))));
    f();
    ORPHANS.with(|orphans| orphans.replace(None)).unwrap_or_default()
}

/// If somebody on this thread collects orphans, gives them one; true if so.
#[inline]
pub(crate) fn adopt(orphan: impl FnOnce() -> Orphan) -> bool {
    ORPHANS
        .try_with(|orphans| orphans.borrow_mut().as_mut().map(|orphans| orphans.push(orphan())).is_some())
        .unwrap_or(false)
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
    let worker = CONTEXT.with(|context| context.worker.get());
    let _lent = Restore::set(|context| &context.lent, worker);
    let _worker = Restore::set(|context| &context.worker, None);
    let _local = Restore::set(|context| &context.local, None);
    let _task = Restore::set(|context| &context.task, None);
    let _woken = Restore::set(|context| &context.woken, false);
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
