//! A value that somebody will set: asyncio's `Future()`.

use std::error::Error;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use unstuck_core::job::contain;
use unstuck_core::sync::Mutex;

/// A value to come, set once by one and awaited by many: asyncio's `Future()`.
///
/// Clones share the value. It needs no runtime: any thread may set it, any task of any runtime may await it.
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
    /// This clone's place among the waiters.
    place: Option<usize>,
}

struct State<T> {
    outcome: Option<Result<T, DeferredError>>,
    /// A place for each clone that has been polled; empty places are used again.
    waiters: Vec<Option<Waker>>,
}

/// Why a [`Deferred`] gave no value, or did not take one.
#[derive(Clone)]
pub struct DeferredError(Kind);

#[derive(Clone)]
enum Kind {
    NotReady,
    AlreadySet,
    Cancelled,
    Failed(Arc<dyn Error + Send + Sync>),
}

impl<T> Deferred<T> {
    /// One that has not been set.
    #[must_use]
    pub fn new() -> Self {
        Self { shared: Arc::new(Mutex::new(State { outcome: None, waiters: Vec::new() })), place: None }
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

    fn settle(&self, outcome: Result<T, DeferredError>) -> Result<(), DeferredError> {
        let mut state = self.shared.lock();
        if state.outcome.is_some() {
            drop(state);
            drop(outcome); // its destructor is the user's: not under the lock
            return Err(DeferredError(Kind::AlreadySet));
        }
        state.outcome = Some(outcome);
        let waiters = std::mem::take(&mut state.waiters);
        drop(state);
        for waker in waiters.into_iter().flatten() {
            contain("a waker", || waker.wake()); // one that panics must not keep the others asleep
        }
        Ok(())
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
        let waker = cx.waker().clone(); // the user's code: not under the lock
        let this = &mut *self;
        let mut state = this.shared.lock();
        if let Some(outcome) = &state.outcome {
            return Poll::Ready(outcome.clone());
        }
        let place = *this.place.get_or_insert_with(|| {
            state.waiters.iter().position(Option::is_none).unwrap_or_else(|| {
                state.waiters.push(None);
                state.waiters.len() - 1
            })
        });
        let old = state.waiters[place].replace(waker);
        drop(state);
        drop(old);
        Poll::Pending
    }
}

impl<T> Clone for Deferred<T> {
    fn clone(&self) -> Self {
        Self { shared: self.shared.clone(), place: None }
    }
}

impl<T> Drop for Deferred<T> {
    fn drop(&mut self) {
        let Some(place) = self.place else { return };
        let mut state = self.shared.lock();
        let waker = state.waiters.get_mut(place).and_then(Option::take);
        drop(state);
        drop(waker);
    }
}

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

impl DeferredError {
    /// It has no value yet.
    #[must_use]
    pub fn is_not_ready(&self) -> bool {
        matches!(self.0, Kind::NotReady)
    }

    /// It had a value, an error or a cancellation before.
    #[must_use]
    pub fn is_already_set(&self) -> bool {
        matches!(self.0, Kind::AlreadySet)
    }

    /// It was cancelled.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        matches!(self.0, Kind::Cancelled)
    }
}

impl fmt::Display for DeferredError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::NotReady => {
                f.write_str("the deferred value is not set yet: await it, or ask is_done() first")
            }
            Kind::AlreadySet => {
                f.write_str("the deferred value was set or cancelled before: it can be set once")
            }
            Kind::Cancelled => f.write_str("the deferred value was cancelled"),
            Kind::Failed(error) => write!(f, "the deferred value is an error: {error}"),
        }
    }
}

impl fmt::Debug for DeferredError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DeferredError({self})")
    }
}

impl Error for DeferredError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match &self.0 {
            Kind::Failed(error) => Some(&**error),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_used_again_when_its_waiter_has_gone() {
        let deferred = Deferred::<u32>::new();
        let mut cx = Context::from_waker(Waker::noop());
        for _ in 0..100 {
            let mut waiter = deferred.clone();
            assert!(Pin::new(&mut waiter).poll(&mut cx).is_pending());
        }
        assert_eq!(deferred.shared.lock().waiters.len(), 1);
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
