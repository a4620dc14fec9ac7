#![allow(unsafe_code)] // A task is one allocation that many threads share: see the rules in README.md.
//! A task's one allocation: header, future, outcome.

use std::any::Any;
use std::future::Future;
use std::hint::black_box;
use std::panic::{AssertUnwindSafe, Location, catch_unwind};
use std::pin::Pin;
use std::ptr::NonNull;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use super::extra::{Extra, Extras};
use super::frames::{self, Frames};
use super::home::Home;
use super::numbers::Number;
use super::registry::Filed;
use super::state::{After, Pause, Start, State};
use super::waker;
use super::{Spawn, TaskRef};
use crate::context::{self, Running, debts};
use crate::error::JoinError;
use crate::job::{contain, report};
use crate::sync::UnsafeCell;

/// The part of a task that does not depend on the type of its future.
pub(crate) struct Header {
    pub(super) state: State,
    pub(super) vtable: &'static Vtable,
    home: NonNull<dyn Home>,
    pub(super) id: Number,
    pub(super) place: &'static Location<'static>,
    /// Its place in the registry (rule 4).
    pub(super) filed: UnsafeCell<Filed>,
    /// The waker that the handle left (rule 3).
    waiter: UnsafeCell<Option<Waker>>,
    /// What few tasks have: a name, for instance.
    pub(super) extra: Extras,
}

/// What to do with a task whose future type is forgotten.
pub(super) struct Vtable {
    /// Polls the future or delivers a cancellation. Consumes the runnable's reference if it says `Over`.
    pub(super) run: unsafe fn(NonNull<Header>) -> After,
    /// Drops the future unpolled: the runtime has shut down. Consumes the runnable's and the registry's references.
    pub(super) refuse: unsafe fn(NonNull<Header>),
    /// Moves the outcome into `*mut Poll<Result<T, JoinError>>`.
    take: unsafe fn(NonNull<Header>, *mut ()),
    /// Drops the outcome.
    discard: unsafe fn(NonNull<Header>),
    /// Frees the allocation.
    free: unsafe fn(NonNull<Header>),
}

#[repr(C)] // the header comes first, so that a pointer to it is a pointer to the whole
struct Cell<F: Future> {
    header: Header,
    /// The future, then its outcome (rule 2).
    stage: UnsafeCell<Stage<F>>,
}

enum Stage<F: Future> {
    Future(F),
    Value(F::Output),
    Panicked(Box<dyn Any + Send>),
    Cancelled,
    Refused,
    Taken,
}

/// Allocates a task that lives at `home`: held by the registry-to-be, its runnable and its handle.
pub(super) fn allocate<F: Future>(
    future: F,
    home: NonNull<dyn Home>,
    id: u64,
    Spawn { name, place, is_call }: Spawn,
) -> NonNull<Header> {
    let extra = Extras::default();
    if let Some(name) = name {
        extra.get_or_make().set_name(name);
    }
    // Allocated first, then filled in place.
    let mut cell = Box::<Cell<F>>::new_uninit();
    cell.write(Cell {
        header: Header {
            state: State::new(),
            vtable: &const {
                Vtable {
                    run: run::<F>,
                    refuse: refuse::<F>,
                    take: take::<F>,
                    discard: discard::<F>,
                    free: free::<F>,
                }
            },
            home,
            id: Number::new(id, is_call),
            place,
            filed: UnsafeCell::new(Filed::NOWHERE),
            waiter: UnsafeCell::new(None),
            extra,
        },
        stage: UnsafeCell::new(Stage::Future(future)),
    });
    NonNull::from(Box::leak(cell)).cast() // `MaybeUninit` is transparent, and what it holds is written
}

impl Header {
    pub(super) fn name(&self) -> Option<Arc<str>> {
        self.extra.get()?.name()
    }

    /// The task's frames, if it ever had any.
    pub(crate) fn frames(&self) -> Option<&Frames> {
        self.extra.get().map(Extra::frames)
    }

    /// From now on joins are frames as soon as they are pending.
    pub(super) fn expose(&self) {
        self.extra.get_or_make().frames().expose();
    }

    /// From now on a cancellation drops the future, whatever frames it has.
    pub(super) fn doom(&self) {
        self.extra.get_or_make().frames().doom();
    }

    /// The home, to hand it a runnable.
    ///
    /// # Safety
    /// The task must be unfinished and stay so: the caller holds its runnable, or polls it (rule 1).
    #[inline]
    pub(super) unsafe fn home<'a>(&self) -> &'a dyn Home {
        // SAFETY: the home outlives every unfinished task (rule 1).
        unsafe { self.home.as_ref() }
    }

    /// Leaves `waker` to be called on completion; gives false if the task has finished meanwhile.
    ///
    /// # Safety
    /// Only the handle calls this (rule 3).
    pub(super) unsafe fn set_waiter(&self, waker: &Waker) -> bool {
        if self.state.has_waiter() && !self.state.clear_waiter() {
            return false;
        }
        // SAFETY: WAITER is clear and the task was not complete when it was last clear, so the field is ours (rule 3).
        self.waiter.with_mut(|waiter| unsafe {
            match &mut *waiter {
                Some(old) => old.clone_from(waker), // clones only if they would wake different tasks
                none => *none = Some(waker.clone()),
            }
        });
        self.state.set_waiter()
    }

    /// Takes the waiter out.
    ///
    /// # Safety
    /// The field belongs to the caller (rule 3).
    pub(super) unsafe fn take_waiter(&self) -> Option<Waker> {
        // SAFETY: the caller's promise.
        self.waiter.with_mut(|waiter| unsafe { (*waiter).take() })
    }
}

/// Moves the outcome to `to`.
///
/// # Safety
/// `header` is complete, the caller is its handle, and `T` is the output type of its future.
pub(super) unsafe fn take_outcome<T>(header: NonNull<Header>, to: &mut Poll<Result<T, JoinError>>) {
    // SAFETY: the caller's promise.
    unsafe { (header.as_ref().vtable.take)(header, std::ptr::from_mut(to).cast()) }
}

/// Drops the outcome.
///
/// # Safety
/// `header` is complete and the caller owns the outcome (rule 2).
pub(super) unsafe fn discard_outcome(header: NonNull<Header>) {
    // SAFETY: the caller's promise.
    unsafe { (header.as_ref().vtable.discard)(header) }
}

/// As [`drop_refs`], for references that are likely to be the last ones.
///
/// # Safety
/// As there.
#[inline]
pub(super) unsafe fn drop_last_refs(header: NonNull<Header>, count: usize) {
    // SAFETY: the references are the caller's, so the header is alive until the step; then nobody else has one.
    unsafe {
        if header.as_ref().state.drop_last_refs(count) {
            (header.as_ref().vtable.free)(header);
        }
    }
}

/// Drops `count` references and frees the task with the last one.
///
/// # Safety
/// The caller owns as many and uses none of them again.
#[inline]
pub(super) unsafe fn drop_refs(header: NonNull<Header>, count: usize) {
    // SAFETY: the references are the caller's, so the header is alive until the step; then nobody else has one.
    unsafe {
        if header.as_ref().state.drop_refs(count) {
            (header.as_ref().vtable.free)(header);
        }
    }
}

/// # Safety
/// The caller holds the task's runnable, and gives it away if the answer is `Over`.
unsafe fn run<F: Future>(ptr: NonNull<Header>) -> After {
    // SAFETY: the pointer was made from a `Cell<F>` by `allocate::<F>`, and the runnable's reference keeps it alive.
    let cell = unsafe { ptr.cast::<Cell<F>>().as_ref() };
    let state = &cell.header.state;
    let running = context::enter_task(ptr);
    // SAFETY: the runnable's reference is held as long as it is used.
    let waker = unsafe { waker::borrowed(ptr) };
    let start = state.start();
    let outcome = if start == Start::Cancel && !frames::lands(&cell.header, false) {
        cell.drop_future()
    } else {
        loop {
            let mut polled = Poll::Pending;
            if let Err(payload) = cell.poll(&waker, &mut polled) {
                break Stage::Panicked(payload);
            }
            break match polled {
                Poll::Pending
                    if (start != Start::Poll || running.has_thrown())
                        && frames::ends_by_throw(&cell.header, &waker) =>
                {
                    cell.drop_future()
                }
                Poll::Pending if start == Start::Poll && running.is_quiet() && state.is_quiet() => {
                    return After::Quiet;
                }
                Poll::Pending => match state.pause(running.has_woken_itself(), running.left()) {
                    Pause::Parked => return After::Over,
                    Pause::Again => return After::Again,
                    Pause::Cancel if frames::exposes(&cell.header) => continue,
                    Pause::Cancel if frames::lands(&cell.header, true) => {
                        debts::settle(); // delivering runs foreign code
                        state.leave(running.left());
                        return After::Again;
                    }
                    Pause::Cancel => cell.drop_future(),
                },
                Poll::Ready(value) if running.has_cancelled_itself() => {
                    contain("a task's result", || drop(value));
                    cell.drop_future()
                }
                Poll::Ready(value) => Stage::Value(value),
            };
        }
    };
    if start != Start::Poll || running.left().held {
        frames::lets_go(&cell.header);
    }
    // SAFETY: we hold the runnable. Its reference and the registry's are ours: the latter came back in `finish`.
    unsafe {
        cell.finish(&outcome, &waker);
        publish::<F>(ptr, outcome, Some(running));
    }
    After::Over
}

/// # Safety
/// As for `run`; the task was never put into a registry.
unsafe fn refuse<F: Future>(ptr: NonNull<Header>) {
    // SAFETY: as in `run`.
    let cell = unsafe { ptr.cast::<Cell<F>>().as_ref() };
    let _ = cell.header.state.start(); // there was no poll, nor will there be one
    cell.drop_rest();
    // SAFETY: the runnable's reference is ours, and the one meant for the registry was never given to it.
    unsafe { publish::<F>(ptr, Stage::Refused, None) };
}

/// Stores the outcome, tells the handle, or drops what nobody will ask for; gives two references up. By pointer: the task
/// may be gone before this returns. What is dropped with it is the user's too, so it is not the running one any more then.
///
/// # Safety
/// The caller holds the runnable, the future has been dropped, and the two references are the caller's.
#[inline(always)] // as a call of its own it has the outcome copied twice on the way
unsafe fn publish<F: Future>(ptr: NonNull<Header>, mut outcome: Stage<F>, running: Option<Running>) {
    // SAFETY: as in `run`.
    let cell = unsafe { ptr.cast::<Cell<F>>().as_ref() };
    let cancelled = matches!(outcome, Stage::Cancelled | Stage::Refused);
    if matches!(outcome, Stage::Value(_) | Stage::Cancelled) && cell.header.state.is_forgotten() {
        contain("a task's result", || drop(outcome));
        if cell.header.state.is_forgotten() {
            drop(running);
            // SAFETY: both references are ours, and there is no other; nor is there an outcome in the stage.
            return unsafe { free::<F>(ptr) };
        }
        outcome = Stage::Taken; // the destructor has made a reference, as `current_task` does
    }
    // SAFETY: we hold the runnable (rule 2).
    cell.stage.with_mut(|stage| unsafe { std::ptr::write(stage, outcome) });
    let completed = cell.header.state.complete(cancelled);
    if completed.left {
        return; // with our references
    }
    if !completed.handle {
        // SAFETY: complete and without a handle: the outcome is ours (rule 2).
        unsafe { discard::<F>(ptr) };
    }
    if completed.waiter || completed.watched {
        context::note_end();
    }
    if completed.watched {
        // Before the waiter: in asyncio, whoever awaits the task in the end is the callback that was added last.
        // SAFETY: our references keep the header alive; this makes one more.
        unsafe { TaskRef::to_running(ptr) }.call_done();
    }
    if completed.waiter {
        // SAFETY: complete with WAITER set: the field is ours (rule 3).
        if let Some(waker) = unsafe { cell.header.take_waiter() } {
            contain("a waker", || waker.wake());
        }
    }
    drop(running);
    // SAFETY: ours, says the caller.
    unsafe { drop_last_refs(ptr, 2) };
}

unsafe fn take<F: Future>(ptr: NonNull<Header>, to: *mut ()) {
    // SAFETY: as in `run`; the handle's reference keeps the cell alive.
    let cell = unsafe { ptr.cast::<Cell<F>>().as_ref() };
    // SAFETY: the task is complete and the caller is its handle, so the stage is the caller's (rule 2).
    let stage = cell.stage.with_mut(|stage| unsafe { std::mem::replace(&mut *stage, Stage::Taken) });
    let outcome = match stage {
        Stage::Value(value) => Ok(value),
        Stage::Panicked(payload) => {
            cell.header.look_away();
            Err(JoinError::panicked(cell.header.origin(), payload))
        }
        Stage::Cancelled => {
            if !cell.header.state.has_waiter() {
                // SAFETY: complete, and WAITER was clear: the field is still the handle's (rule 3). A waker that was left too
                // late may lie there, and an error shall not keep it.
                contain("a waker", || drop(unsafe { cell.header.take_waiter() }));
            }
            // SAFETY: the handle's reference keeps the header alive; this makes one more.
            Err(unsafe { TaskRef::to_running(ptr) }.cancellation(size_of::<Cell<F>>()))
        }
        Stage::Refused => Err(JoinError::rejected(
            cell.header.origin(),
            "its runtime has shut down; spawn before the end of run(), or on a runtime that is still alive",
        )),
        Stage::Future(_) | Stage::Taken => panic!("a Task was polled again after it had given its result"),
    };
    // SAFETY: `to` points to a `Poll<Result<F::Output, JoinError>>`, says the caller of `take_outcome`.
    unsafe { *to.cast::<Poll<Result<F::Output, JoinError>>>() = Poll::Ready(outcome) };
}

unsafe fn discard<F: Future>(ptr: NonNull<Header>) {
    // SAFETY: as in `take`.
    let cell = unsafe { ptr.cast::<Cell<F>>().as_ref() };
    contain("a task's result", || {
        // SAFETY: the caller owns the outcome (rule 2).
        match cell.stage.with_mut(|stage| unsafe { std::mem::replace(&mut *stage, Stage::Taken) }) {
            // SAFETY: whoever owns the outcome holds a reference.
            Stage::Panicked(payload) => unsafe { TaskRef::to_running(ptr) }.tell_failure(payload),
            other => drop(other),
        }
    });
}

unsafe fn free<F: Future>(ptr: NonNull<Header>) {
    debug_assert!(!context::is_running(ptr), "nobody may find a task that is being freed");
    // SAFETY: made by `allocate::<F>` from a box, and no reference is left.
    let mut cell = unsafe { Box::from_raw(ptr.cast::<Cell<F>>().as_ptr()) };
    if let Some(extra) = cell.header.extra.take() {
        extra.fall_apart();
    }
    // A waker that was left too late may still lie here, and its destructor is the user's.
    contain("a waker", || drop(cell));
}

impl<F: Future> Cell<F> {
    /// Polls the future; a panic is caught. What it gives is written to `polled`, and not handed through the layers between.
    #[inline]
    fn poll(&self, waker: &Waker, polled: &mut Poll<F::Output>) -> Result<(), Box<dyn Any + Send>> {
        let mut cx = Context::from_waker(waker);
        self.header.id.begin_poll();
        let caught = catch_unwind(AssertUnwindSafe(|| {
            self.stage.with_mut(|stage| {
                // SAFETY: we hold the runnable, so the stage is ours (rule 2). The future never moves: the cell is boxed, and
                // it leaves the stage only by being dropped in place.
                match unsafe { &mut *stage } {
                    Stage::Future(future) => {
                        // SAFETY: as above.
                        let future = unsafe { Pin::new_unchecked(future) };
                        // Called as if nobody knew whom: then it stays a function of its own, and a backtrace can name
                        // it, in a release build too. Not measurable on the benches.
                        let poll: fn(Pin<&mut F>, &mut Context<'_>) -> Poll<F::Output> = F::poll;
                        *polled = black_box(poll)(future, &mut cx);
                    }
                    _ => unreachable!("a finished task has no runnable"),
                }
            });
        }));
        debts::settle_with(waker);
        self.header.id.end_poll();
        caught
    }

    /// Drops the future where it lies, as a cancellation does; a panic of its destructor becomes the outcome.
    fn drop_future(&self) -> Stage<F> {
        let dropped = catch_unwind(AssertUnwindSafe(|| {
            // SAFETY: we hold the runnable, so the stage is ours (rule 2).
            self.stage.with_mut(|stage| unsafe { *stage = Stage::Taken });
        }));
        match dropped {
            Ok(()) => Stage::Cancelled,
            Err(payload) => Stage::Panicked(payload),
        }
    }

    /// Drops the future if it is still there; a panic of its destructor is nobody's outcome.
    fn drop_rest(&self) {
        if let Stage::Panicked(payload) = self.drop_future() {
            report("a destructor", payload);
        }
    }

    /// Ends the task: the future is dropped, and the task leaves the registry. Then the outcome may be published.
    ///
    /// # Safety
    /// The caller holds the runnable.
    unsafe fn finish(&self, outcome: &Stage<F>, waker: &Waker) {
        self.drop_rest(); // after a poll that gave a value or a panic: that outlives a destructor's panic
        debts::close(waker); // what comes from here on has no poll any more
        // SAFETY: the caller runs the task, and only threads of its home do, which keep it alive (rule 1), and
        // `spawn_eager`, whose caller does.
        let home = unsafe { self.header.home() };
        if matches!(outcome, Stage::Panicked(_)) {
            self.header.note_failure(home);
        }
        // SAFETY: every task that runs is in its home's registry; we are finishing it.
        if unsafe { home.registry().remove(NonNull::from(&self.header)) } {
            home.drained();
        }
    }
}
