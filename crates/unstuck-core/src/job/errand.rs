//! A job that is done somewhere else: the pool holds no closure to run, only the promise to bring back a result.
//!
//! ```text
//!             begin()                finish(result)
//!   Queued ────────────▶ Running ─────────────────▶ Done ──▶ Taken
//!      │                    │                        ▲   poll, wait
//!      │                    └─ cancel: stop() ─ ─ ─ ─┤   (whoever does it ends it, and says so with finish)
//!      └── cancel, reject, errand dropped ───────────┘
//! ```
//! The same promises as for other jobs, and one more: a *running* errand can be stopped, if whoever does it said how.

use std::any::Any;
use std::borrow::Cow;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use super::cell::{Awaited, Queued, poll_inside};
use super::{CancelToken, JobHandle, Options, contain};
use crate::sync::{Mutex, MutexGuard};
use crate::{JoinError, Origin};

/// Stops the errand that runs. Called at most once, by whoever cancels it, with no lock held.
pub type Stop = Arc<dyn Fn() + Send + Sync>;

/// Makes an errand that gives a `T`: the pool's side of it and the caller's.
pub fn errand<T: Send + 'static>(mut options: Options) -> (Errand<T>, JobHandle<T>) {
    let keep = options.keep.take();
    let inside = Inside { stage: Stage::Queued, cancelled: false, waker: None, detached: false, keep };
    let cell = Arc::new(Cell { options, inside: Mutex::new(inside) });
    (Errand { cell: cell.clone() }, JobHandle { cell, taken: false })
}

/// The pool's side of an errand. Dropping it cancels it.
#[must_use = "dropping an errand cancels it"]
pub struct Errand<T: Send + 'static> {
    cell: Arc<Cell<T>>,
}

struct Cell<T> {
    options: Options,
    /// Locked for a few instructions at a time, never while user code runs.
    inside: Mutex<Inside<T>>,
}

struct Inside<T> {
    stage: Stage<T>,
    /// Somebody wants it to stop.
    cancelled: bool,
    /// Who awaits the handle.
    waker: Option<Waker>,
    /// The handle is gone; nobody wants the value.
    detached: bool,
    /// Dropped when the errand is over and its awaiter has been woken.
    keep: Option<Arc<dyn Any + Send + Sync>>,
}

enum Stage<T> {
    Queued,
    /// The way to stop it, until somebody took it.
    Running(Option<Stop>),
    Done(Result<T, JoinError>),
    Taken,
}

impl<T: Send + 'static> Errand<T> {
    /// Says that the work begins now, and how it can be stopped. False if it was cancelled before.
    pub fn begin(&self, stop: Stop) -> bool {
        let mut inside = self.cell.inside.lock();
        let queued = matches!(inside.stage, Stage::Queued);
        if queued {
            inside.stage = Stage::Running(Some(stop));
        }
        queued
    }

    /// Brings the result, and wakes whoever awaits it.
    pub fn finish(self, result: Result<T, JoinError>) {
        self.cell.finish(result);
    }

    /// Ends it with "rejected: `why`". `why` says what to do instead.
    pub fn reject(self, why: impl Into<Cow<'static, str>>) {
        let error = JoinError::rejected(self.origin(), why);
        self.cell.finish(Err(error));
    }

    /// True if there is nothing left to do.
    pub fn is_cancelled(&self) -> bool {
        matches!(self.cell.inside.lock().stage, Stage::Done(_) | Stage::Taken)
    }

    /// What names it in reports, and cancels it.
    pub fn token(&self) -> CancelToken {
        CancelToken::new(self.cell.clone())
    }

    /// For its errors.
    pub fn origin(&self) -> Origin {
        self.cell.options.origin()
    }
}

impl<T: Send + 'static> Drop for Errand<T> {
    fn drop(&mut self) {
        if !self.is_cancelled() {
            self.cell.finish(Err(JoinError::cancelled(self.cell.options.origin())));
        }
    }
}

impl<T: Send + 'static> Cell<T> {
    /// Stores the result, unless there is one already, then wakes.
    fn finish(&self, result: Result<T, JoinError>) {
        self.end(self.inside.lock(), result);
    }

    fn end(&self, mut inside: MutexGuard<'_, Inside<T>>, result: Result<T, JoinError>) {
        if matches!(inside.stage, Stage::Done(_) | Stage::Taken) {
            drop(inside);
            return contain_drop(result);
        }
        let waker = inside.waker.take();
        let keep = inside.keep.take();
        let (stage, unwanted) =
            if inside.detached { (Stage::Taken, Some(result)) } else { (Stage::Done(result), None) };
        let before = std::mem::replace(&mut inside.stage, stage);
        drop(inside);
        drop(before);
        contain_drop(unwanted);
        if let Some(waker) = waker {
            contain("a waker", || waker.wake());
        }
        drop(keep);
    }
}

fn contain_drop<V>(value: V) {
    contain("a destructor", || drop(value));
}

impl<T: Send + 'static> Awaited<T> for Cell<T> {
    fn poll(&self, cx: &mut Context<'_>) -> Poll<Result<T, JoinError>> {
        poll_inside(&self.inside, cx, take_result, |inside| &mut inside.waker)
    }

    fn cancel(&self) -> bool {
        let mut inside = self.inside.lock();
        inside.cancelled = true;
        match &mut inside.stage {
            Stage::Queued => {
                self.end(inside, Err(JoinError::cancelled(self.options.origin())));
                true
            }
            Stage::Running(stop) => {
                let stop = stop.take();
                drop(inside);
                stop.map(|stop| stop()).is_some()
            }
            Stage::Done(_) | Stage::Taken => false,
        }
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
        drop(inside);
        contain_drop(result);
        drop(waker);
    }

    fn options(&self) -> &Options {
        &self.options
    }

    fn token(self: Arc<Self>) -> CancelToken {
        CancelToken::new(self)
    }
}

/// What reports and tokens ask of it. There is no closure here that could be run or given up.
impl<T: Send + 'static> Queued for Cell<T> {
    fn run(&self) -> bool {
        false
    }

    fn give_up(&self, why: Option<Cow<'static, str>>) -> bool {
        let inside = self.inside.lock();
        let queued = matches!(inside.stage, Stage::Queued);
        if queued {
            let origin = self.options.origin();
            self.end(
                inside,
                Err(match why {
                    None => JoinError::cancelled(origin),
                    Some(why) => JoinError::rejected(origin, why),
                }),
            );
        }
        queued
    }

    fn is_queued(&self) -> bool {
        matches!(self.inside.lock().stage, Stage::Queued)
    }

    fn is_over(&self) -> bool {
        self.is_done()
    }

    fn belongs_to_its_waiter(&self) {}

    fn request_cancel(&self) {
        self.cancel();
    }

    fn is_cancel_requested(&self) -> bool {
        self.inside.lock().cancelled
    }

    fn options(&self) -> &Options {
        &self.options
    }
}

fn take_result<T>(inside: &mut Inside<T>) -> Option<Result<T, JoinError>> {
    match inside.stage {
        Stage::Queued | Stage::Running(_) => None,
        Stage::Taken => panic!("a JobHandle was polled again after it gave its result"),
        Stage::Done(_) => match std::mem::replace(&mut inside.stage, Stage::Taken) {
            Stage::Done(result) => Some(result),
            _ => None,
        },
    }
}

#[cfg(test)]
#[cfg(not(any(unstuck_loom, unstuck_shuttle)))]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    fn stopper() -> (Arc<AtomicUsize>, Stop) {
        let stopped = Arc::new(AtomicUsize::new(0));
        let counter = stopped.clone();
        (stopped, Arc::new(move || _ = counter.fetch_add(1, Ordering::SeqCst)))
    }

    #[test]
    fn an_errand_brings_its_result_to_another_thread() {
        let (errand, handle) = errand(Options::new());
        assert!(errand.begin(stopper().1));
        let waits = std::thread::spawn(move || handle.wait());
        errand.finish(Ok(42));
        assert_eq!(waits.join().unwrap().unwrap(), 42);
    }

    #[test]
    fn an_errand_cancelled_while_queued_does_not_begin() {
        let (errand, handle) = errand::<u32>(Options::new());
        assert!(handle.cancel() && !handle.cancel());
        assert!(errand.is_cancelled() && !errand.begin(stopper().1));
        assert!(handle.wait().unwrap_err().is_cancelled());
    }

    #[test]
    fn a_running_errand_is_stopped_once_and_ends_when_it_says_so() {
        let (errand, handle) = errand::<u32>(Options::new());
        let (stopped, stop) = stopper();
        assert!(errand.begin(stop));
        assert!(handle.cancel() && !handle.cancel());
        assert_eq!(stopped.load(Ordering::SeqCst), 1);
        assert!(!handle.is_done());
        drop(errand);
        assert!(handle.wait().unwrap_err().is_cancelled());
    }

    #[test]
    fn a_dropped_handle_stops_the_errand_only_where_that_was_asked_for() {
        for (options, times) in [(Options::new(), 0), (Options::new().cancel_on_drop(), 1)] {
            let (errand, handle) = errand(options);
            let (stopped, stop) = stopper();
            assert!(errand.begin(stop));
            drop(handle);
            assert_eq!(stopped.load(Ordering::SeqCst), times);
            errand.finish(Ok(1));
        }
    }

    #[test]
    fn a_value_that_nobody_wants_is_dropped_and_its_panic_contained() {
        struct Loud;
        impl Drop for Loud {
            fn drop(&mut self) {
                panic!("loud");
            }
        }
        let (errand, handle) = errand(Options::new());
        drop(handle);
        errand.finish(Ok(Loud));
    }
}
