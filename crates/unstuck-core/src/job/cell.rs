//! The allocation that a pool and a caller share: the closure, then its result, and who waits for it.
//!
//! One lock, held for a few instructions and never while user code runs. `take_work` is the step that decides between
//! running and giving up; whoever wins it calls `finish`, once.

use std::any::Any;
use std::borrow::Cow;
use std::panic::{self, AssertUnwindSafe};
use std::sync::Arc;
use std::task::{Poll, Waker};

use super::{CancelToken, Job, Options, contain};
use crate::JoinError;
use crate::sync::Mutex;
use crate::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use crate::vars::{self, Context};

/// The allocation that both sides share.
pub(super) struct JobCell<J: Job> {
    options: Options,
    /// Somebody wants it to stop. Only ever raised, and only looked at by the closure and by reports.
    cancelled: AtomicBool,
    /// The key of the pool that alone can run it; 0 if nobody said so.
    pool: AtomicUsize,
    /// Locked for a few instructions at a time, never while user code runs.
    inside: Mutex<Inside<J>>,
}

struct Inside<J: Job> {
    stage: Stage<J>,
    /// Who awaits the handle.
    waker: Option<Waker>,
    /// The handle is gone; nobody wants the value.
    detached: bool,
    /// Whoever stops awaiting it takes it back.
    waited_for: bool,
    /// The context variables it runs with, until it runs.
    context: Option<Context>,
    /// Dropped when the job is over and its awaiter has been woken.
    keep: Option<Arc<dyn Any + Send + Sync>>,
}

enum Stage<J: Job> {
    Queued(J),
    Running,
    Done(Result<J::Output, JoinError>),
    Taken,
}

/// What the pool may do with a job, whatever its type.
pub(super) trait Queued: Send + Sync {
    fn run(&self) -> bool;
    /// Ends a job that has not started: cancelled, or rejected with a reason.
    fn give_up(&self, why: Option<Cow<'static, str>>) -> bool;
    fn is_queued(&self) -> bool;
    /// It has a result, or had one.
    fn is_over(&self) -> bool;
    /// Only the pool with this key will run it.
    fn belongs_to(&self, _pool: usize) {}
    /// The key of that pool; 0 if nobody said so.
    fn pool(&self) -> usize {
        0
    }
    /// A handle that was polled and is dropped takes the job back from now on.
    fn belongs_to_its_waiter(&self);
    /// Raises the flag that a running closure may look at.
    fn request_cancel(&self);
    fn is_cancel_requested(&self) -> bool;
    fn options(&self) -> &Options;
}

/// What the caller may do with a job that gives a `T`.
pub(super) trait Awaited<T>: Send + Sync {
    fn poll(&self, cx: &mut std::task::Context<'_>) -> Poll<Result<T, JoinError>>;
    fn cancel(&self) -> bool;
    fn is_done(&self) -> bool;
    fn detach(&self);
    fn options(&self) -> &Options;
    fn token(self: Arc<Self>) -> CancelToken;
}

impl<J: Job> JobCell<J> {
    pub(super) fn new(work: J, mut options: Options) -> Arc<Self> {
        let keep = options.keep.take();
        let context = vars::inherited();
        let inside = Inside {
            stage: Stage::Queued(work),
            waker: None,
            detached: false,
            waited_for: false,
            context,
            keep,
        };
        Arc::new(JobCell {
            options,
            cancelled: AtomicBool::new(false),
            pool: AtomicUsize::new(0),
            inside: Mutex::new(inside),
        })
    }

    /// Takes the closure out, if nobody did so before: the one step that decides between running and cancelling.
    fn take_work(&self) -> Option<(J, Option<Context>)> {
        let mut inside = self.inside.lock();
        if !matches!(inside.stage, Stage::Queued(_)) {
            return None;
        }
        match std::mem::replace(&mut inside.stage, Stage::Running) {
            Stage::Queued(work) => Some((work, inside.context.take())),
            _ => None,
        }
    }

    /// Stores the result for the handle, or drops it if there is none, then wakes.
    fn finish(&self, result: Result<J::Output, JoinError>) {
        let mut inside = self.inside.lock();
        let waker = inside.waker.take();
        let keep = inside.keep.take();
        if inside.detached {
            inside.stage = Stage::Taken;
            drop(inside);
            contain("a destructor", || drop(result));
        } else {
            inside.stage = Stage::Done(result);
            drop(inside);
        }
        if let Some(waker) = waker {
            contain("a waker", || waker.wake());
        }
        drop(keep);
    }
}

impl<J: Job> Queued for JobCell<J> {
    fn run(&self) -> bool {
        let Some((work, context)) = self.take_work() else { return false };
        // The thread's own context may hold what an earlier job has set.
        let mut context = context.unwrap_or_default();
        let result = panic::catch_unwind(AssertUnwindSafe(|| context.run(|| work.run())));
        contain("a context variable", || drop(context));
        self.finish(result.map_err(|payload| JoinError::panicked(self.options.origin(), payload)));
        true
    }

    fn give_up(&self, why: Option<Cow<'static, str>>) -> bool {
        let Some(work) = self.take_work() else { return false };
        contain("a destructor", || drop(work)); // and its context
        self.finish(Err(match why {
            None => JoinError::cancelled(self.options.origin()),
            Some(why) => JoinError::rejected(self.options.origin(), why),
        }));
        true
    }

    fn is_queued(&self) -> bool {
        matches!(self.inside.lock().stage, Stage::Queued(_))
    }

    fn is_over(&self) -> bool {
        self.is_done()
    }

    fn belongs_to(&self, pool: usize) {
        self.pool.store(pool, Ordering::Relaxed); // it guards nothing, and who reads 0 is only less sure
    }

    fn pool(&self) -> usize {
        self.pool.load(Ordering::Relaxed) // as above
    }

    fn belongs_to_its_waiter(&self) {
        self.inside.lock().waited_for = true;
    }

    fn request_cancel(&self) {
        // Release: pairs with the Acquire in `is_cancel_requested`: who sees the flag sees what came before it.
        self.cancelled.store(true, Ordering::Release);
    }

    fn is_cancel_requested(&self) -> bool {
        // Acquire: pairs with the Release in `request_cancel`.
        self.cancelled.load(Ordering::Acquire)
    }

    fn options(&self) -> &Options {
        &self.options
    }
}

impl<J: Job> Awaited<J::Output> for JobCell<J> {
    fn poll(&self, cx: &mut std::task::Context<'_>) -> Poll<Result<J::Output, JoinError>> {
        poll_inside(&self.inside, cx, take_result, |inside| &mut inside.waker)
    }

    fn cancel(&self) -> bool {
        // The flag first: a closure that begins in between sees it.
        self.request_cancel();
        self.give_up(None)
    }

    fn is_done(&self) -> bool {
        matches!(self.inside.lock().stage, Stage::Done(_) | Stage::Taken)
    }

    fn detach(&self) {
        let mut inside = self.inside.lock();
        inside.detached = true;
        let waker = inside.waker.take();
        let result = match inside.stage {
            Stage::Done(_) => take_result(&mut inside),
            _ => None,
        };
        let given_up = inside.waited_for && waker.is_some();
        drop(inside);
        if result.is_some() {
            contain("a destructor", || drop(result));
        }
        if given_up {
            self.give_up(None);
        }
        drop(waker);
    }

    fn options(&self) -> &Options {
        &self.options
    }

    fn token(self: Arc<Self>) -> CancelToken {
        CancelToken::new(self)
    }
}

/// Polls for what `take` finds under the lock; where it finds nothing, leaves the waker in its `place`.
pub(super) fn poll_inside<I, R>(
    inside: &Mutex<I>,
    cx: &std::task::Context<'_>,
    take: impl Fn(&mut I) -> Option<R>,
    place: impl Fn(&mut I) -> &mut Option<Waker>,
) -> Poll<R> {
    let mut locked = inside.lock();
    if let Some(result) = take(&mut locked) {
        return Poll::Ready(result);
    }
    if place(&mut locked).as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
        return Poll::Pending;
    }
    drop(locked);

    // Wakers are user code: clone the new one and drop the old one (its task may hold this handle) unlocked.
    let new = cx.waker().clone();
    let mut locked = inside.lock();
    if let Some(result) = take(&mut locked) {
        drop(locked);
        return Poll::Ready(result);
    }
    let old = place(&mut locked).replace(new);
    drop(locked);
    drop(old);
    Poll::Pending
}

fn take_result<J: Job>(inside: &mut Inside<J>) -> Option<Result<J::Output, JoinError>> {
    match inside.stage {
        Stage::Queued(_) | Stage::Running => None,
        Stage::Taken => panic!("a JobHandle was polled again after it gave its result"),
        Stage::Done(_) => match std::mem::replace(&mut inside.stage, Stage::Taken) {
            Stage::Done(result) => Some(result),
            _ => None,
        },
    }
}
