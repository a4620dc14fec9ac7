//! A value that somebody will set: asyncio's `Future()`.

mod error;

use std::error::Error;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use unstuck_core::guard::proceed;
use unstuck_core::inspect::{self, Await, On};
use unstuck_core::job::contain;
use unstuck_core::sync::Mutex;
use unstuck_core::{Callback, CallbackId, Callbacks};

pub use error::DeferredError;
use error::Kind;

/// A value to come, set once by one and awaited by many: asyncio's `Future()`.
///
/// Clones share the value, and are equal. It needs no runtime: any thread may set it, any task of any runtime may await
/// it. Those who await it wake up in the order in which they began.
///
/// ```
/// use unstuck::Deferred;
///
/// # unstuck::run(async {
/// let deferred = Deferred::new();
/// let waiter = unstuck::spawn({
///     let deferred = deferred.clone();
///     async move { deferred.await }
/// });
/// assert!(!deferred.is_done());
/// assert!(deferred.result().is_err_and(|error| error.is_not_ready()));
/// deferred.set_result(42).unwrap();
/// assert_eq!(waiter.await.unwrap().unwrap(), 42);
/// assert!(deferred.set_result(43).is_err_and(|error| error.is_already_set()));
/// # });
/// ```
///
/// # Cancellation
/// Dropping an awaiting clone changes nothing for the others. [`cancel`](Self::cancel) ends the wait of all.
///
/// # Errors
/// Awaiting it gives [`DeferredError`] when it was cancelled or given an error.
pub struct Deferred<T> {
    shared: Arc<Mutex<State<T>>>,
    /// This clone's number among the waiters.
    ticket: Option<u64>,
}

struct State<T> {
    outcome: Option<Result<T, DeferredError>>,
    /// The clones that wait, by their tickets, which only grow: so they are sorted.
    waiters: Vec<(u64, Waker)>,
    next_ticket: u64,
    callbacks: Callbacks<Deferred<T>>,
    /// Has `callbacks` called: only code that knows `T` to cross threads can, and it leaves it here.
    schedule: Option<Schedule<T>>,
}

type Schedule<T> = fn(Callbacks<Deferred<T>>, Deferred<T>);

impl<T> Deferred<T> {
    /// One that has not been set.
    #[must_use]
    pub fn new() -> Self {
        let state = State {
            outcome: None,
            waiters: Vec::new(),
            next_ticket: 0,
            callbacks: Callbacks::default(),
            schedule: None,
        };
        Self { shared: Arc::new(Mutex::new(state)), ticket: None }
    }

    /// True once it has a value or an error, or was cancelled.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.shared.lock().outcome.is_some()
    }

    /// True if it was cancelled.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        matches!(&self.shared.lock().outcome, Some(Err(error)) if error.is_cancelled())
    }

    /// [`is_done`](Self::is_done) under asyncio's name.
    #[must_use]
    pub fn done(&self) -> bool {
        self.is_done()
    }

    /// [`is_cancelled`](Self::is_cancelled) under asyncio's name.
    #[must_use]
    pub fn cancelled(&self) -> bool {
        self.is_cancelled()
    }

    /// Gives it its value and wakes everyone who awaits it.
    ///
    /// # Errors
    /// It has been set or cancelled before; the value is dropped.
    pub fn set_result(&self, value: T) -> Result<(), DeferredError> {
        self.settle(Ok(value))
    }

    /// Gives it an error instead of a value: asyncio's `set_exception`.
    ///
    /// # Errors
    /// It has been set or cancelled before.
    pub fn set_error(&self, error: impl Into<Box<dyn Error + Send + Sync>>) -> Result<(), DeferredError> {
        self.settle(Err(DeferredError(Kind::Failed(Arc::from(error.into())))))
    }

    /// Ends the wait of everyone; false if it was done before.
    #[allow(clippy::must_use_candidate)]
    pub fn cancel(&self) -> bool {
        self.settle(Err(DeferredError(Kind::Cancelled))).is_ok()
    }

    /// Takes a callback back; gives how many were removed: one, or none if it has been called or removed before.
    #[allow(clippy::must_use_candidate)]
    pub fn remove_done_callback(&self, id: CallbackId) -> usize {
        let removed = self.shared.lock().callbacks.remove(id);
        let count = usize::from(removed.is_some());
        contain("a done-callback's destructor", || drop(removed));
        count
    }

    fn settle(&self, outcome: Result<T, DeferredError>) -> Result<(), DeferredError> {
        let mut state = self.shared.lock();
        if state.outcome.is_some() {
            drop(state);
            drop(outcome); // its destructor is the user's: not under the lock
            return Err(DeferredError(Kind::AlreadySet));
        }
        state.outcome = Some(outcome);
        let waiters = std::mem::take(&mut state.waiters);
        let (callbacks, schedule) = (std::mem::take(&mut state.callbacks), state.schedule);
        drop(state);
        if let Some(schedule) = schedule {
            schedule(callbacks, self.clone()); // first: who awaits it has mostly come later
        }
        for (_, waker) in waiters {
            contain("a waker", || waker.wake()); // one that panics must not keep the others asleep
        }
        Ok(())
    }
}

impl<T: Send + 'static> Deferred<T> {
    /// Has `f` called with a clone once it is done, however that comes: asyncio's `add_done_callback`.
    ///
    /// Never inside [`set_result`](Self::set_result): this thread's runtime calls it at a turn of its own, callbacks in the
    /// order in which they were added. One that is added afterwards is called too, by itself: on several workers in
    /// no particular order. A panic in one is told to the
    /// [exception handler](crate::Builder::exception_handler) and stops nothing else. It sees the context variables of the code that added it.
    ///
    /// ```
    /// # unstuck::run(async {
    /// let answer = unstuck::Deferred::new();
    /// answer.add_done_callback(|answer| println!("it is {}", answer.result().unwrap()));
    /// answer.set_result(42).unwrap(); // prints nothing yet
    /// # });
    /// ```
    ///
    /// # Panics
    /// Panics outside a runtime: nobody could call it. If that runtime has shut down meanwhile, `f` is dropped.
    #[track_caller]
    #[allow(clippy::must_use_candidate)] // the number is for those who may want to remove it
    pub fn add_done_callback(&self, f: impl FnOnce(&Self) + Send + 'static) -> CallbackId {
        let callback = Callback::new(f);
        let mut state = self.shared.lock();
        state.schedule = Some(Callbacks::schedule);
        let id = state.callbacks.push(callback);
        if state.outcome.is_some() {
            let late = std::mem::take(&mut state.callbacks);
            drop(state);
            late.schedule(self.clone());
        }
        id
    }
}

impl<T: Clone> Deferred<T> {
    /// The outcome if there is one, without waiting, as [`Task::try_result`](crate::Task::try_result). It stays.
    #[must_use]
    pub fn try_result(&self) -> Option<Result<T, DeferredError>> {
        self.shared.lock().outcome.clone()
    }

    /// The value, without waiting: asyncio's `result()`, for which "not yet" is an error as well.
    ///
    /// # Errors
    /// Not set yet (asyncio's `InvalidStateError`), cancelled, or given an error.
    pub fn result(&self) -> Result<T, DeferredError> {
        self.try_result().unwrap_or(Err(DeferredError(Kind::NotReady)))
    }
}

impl<T: Clone> Future for Deferred<T> {
    type Output = Result<T, DeferredError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.poll_as("deferred", cx)
    }
}

impl<T: Clone> Deferred<T> {
    /// Polls it; whoever looks is told that a `what` is awaited.
    pub(crate) fn poll_as(
        &mut self,
        what: &'static str,
        cx: &mut Context<'_>,
    ) -> Poll<Result<T, DeferredError>> {
        let waker = cx.waker().clone(); // the user's code: not under the lock
        let this = self;
        let mut state = this.shared.lock();
        if let Some(outcome) = &state.outcome {
            inspect::gone(std::ptr::from_ref(this).addr());
            let outcome = outcome.clone();
            drop(state);
            return proceed(cx).map(|()| outcome);
        }
        let ticket = *this.ticket.get_or_insert_with(|| {
            state.next_ticket += 1;
            state.next_ticket
        });
        let old = match state.waiters.binary_search_by_key(&ticket, |(ticket, _)| *ticket) {
            Ok(at) => Some(std::mem::replace(&mut state.waiters[at].1, waker)),
            Err(at) => {
                state.waiters.insert(at, (ticket, waker));
                None
            }
        };
        drop(state);
        drop(old);
        inspect::pending(cx, std::ptr::from_ref(this).addr(), || Await::new(what, On::Something));
        Poll::Pending
    }
}

impl<T> Clone for Deferred<T> {
    fn clone(&self) -> Self {
        Self { shared: self.shared.clone(), ticket: None }
    }
}

impl<T> Drop for Deferred<T> {
    fn drop(&mut self) {
        let Some(ticket) = self.ticket else { return };
        inspect::gone(std::ptr::from_ref(self).addr());
        let mut state = self.shared.lock();
        let place = state.waiters.binary_search_by_key(&ticket, |(ticket, _)| *ticket);
        let waiter = place.map(|at| state.waiters.remove(at));
        drop(state);
        drop(waiter);
    }
}

/// Clones of one are equal, whatever their value is.
impl<T> PartialEq for Deferred<T> {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.shared, &other.shared)
    }
}

impl<T> Eq for Deferred<T> {}

impl<T> Unpin for Deferred<T> {}

impl<T> Default for Deferred<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> fmt::Debug for Deferred<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Deferred").field("done", &self.is_done()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_waiter_that_has_gone_leaves_nothing_behind() {
        let deferred = Deferred::<u32>::new();
        let mut cx = Context::from_waker(Waker::noop());
        let mut patient = deferred.clone();
        for _ in 0..100 {
            let mut waiter = deferred.clone();
            assert!(Pin::new(&mut waiter).poll(&mut cx).is_pending());
            assert!(Pin::new(&mut patient).poll(&mut cx).is_pending());
            assert_eq!(deferred.shared.lock().waiters.len(), 2);
        }
        drop(patient);
        assert!(deferred.shared.lock().waiters.is_empty());
    }

    #[test]
    fn clones_of_one_are_equal_and_two_are_not() {
        let (one, other) = (Deferred::<u32>::new(), Deferred::new());
        assert!(one == one.clone() && one != other);
    }

    #[test]
    fn it_is_set_once() {
        let deferred = Deferred::new();
        assert!(!deferred.is_done() && !deferred.done() && deferred.try_result().is_none());
        assert!(deferred.result().unwrap_err().is_not_ready());
        deferred.set_result(1).unwrap();
        assert!(deferred.is_done() && deferred.done());
        assert!(deferred.set_result(2).unwrap_err().is_already_set());
        assert!(deferred.set_error("late").unwrap_err().is_already_set());
        assert!(!deferred.cancel());
        assert_eq!(deferred.result().unwrap(), 1);
        assert_eq!(deferred.try_result().unwrap().unwrap(), 1);
    }

    #[test]
    fn set_after_cancel_is_an_error() {
        let deferred = Deferred::<u32>::new();
        assert!(deferred.cancel());
        assert!(deferred.is_cancelled() && deferred.cancelled());
        assert!(deferred.set_result(1).unwrap_err().is_already_set());
        assert!(deferred.result().unwrap_err().is_cancelled());
    }

    #[test]
    fn an_error_reaches_every_awaiter_with_its_source() {
        let deferred = Deferred::<u32>::new();
        deferred.set_error("no such thing").unwrap();
        let error = deferred.result().unwrap_err();
        assert_eq!(error.source().unwrap().to_string(), "no such thing");
    }
}
