//! Waiting for some of many: asyncio's `wait`.
//!
//! # The problem
//! [`gather`](crate::gather()) waits for all and gives all. Sometimes the first one is enough, or the first failure, or
//! some time; and what is not done shall go on, in the hands of whoever waited.
//!
//! # How
//! [`wait`] is given awaitables and gives all of them back: as values those that are done, as themselves those that are
//! not. It cancels nothing and drops nothing. When to stop is a type ([`FIRST_COMPLETED`] …), so that "the first exception"
//! can only be asked of awaitables that may fail, and a closure can ask for anything else.

use std::error::Error;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::stream::{FuturesUnordered, Stream};
use unstuck_core::JoinError;
use unstuck_time::{Sleep, sleep};

use super::deferred::DeferredError;

/// Waits until one is done, or one has failed, or all are done, and sorts them: asyncio's `wait`.
///
/// Gives those that are done, in the order in which that was found, and those that are not, in the order in which they were
/// given. A [timeout](Wait::timeout) is no error: what is done by then is done.
///
/// ```
/// use std::time::Duration;
/// use unstuck::{ALL_COMPLETED, FIRST_COMPLETED, sleep, spawn, wait};
///
/// # unstuck::Runtime::builder().start_paused(true).build().unwrap().run(async {
/// let racers = ["tortoise", "hare"].map(|name| {
///     let nap = Duration::from_millis(if name == "hare" { 1 } else { 20 });
///     spawn(sleep(nap).with(name))
/// });
/// let (done, pending) = wait(racers, FIRST_COMPLETED).await.unwrap();
/// assert_eq!(*done[0].output.as_ref().unwrap(), "hare");
/// assert_eq!(done[0].index, 1); // its place in the arguments
///
/// let (done, pending) = wait(pending, ALL_COMPLETED).timeout(Duration::from_secs(5)).await.unwrap();
/// assert!(done.len() == 1 && pending.is_empty());
/// # });
/// ```
///
/// The second argument is [`FIRST_COMPLETED`], [`FIRST_EXCEPTION`], [`ALL_COMPLETED`], or a closure that looks at each
/// value and says "that is enough", such as `|end| matches!(end, Ok(Err(_)))` for tasks that give a `Result`.
///
/// For each result as it comes, use [`as_completed`](crate::as_completed()); for all of them, [`gather`](crate::gather()).
///
/// # Cancellation
/// Dropping it drops what it was given. A cancellation of whoever waits leaves the tasks alone, as asyncio does.
///
/// # Errors
/// [`NothingToWaitFor`] when there are no awaitables: it would wait for ever, or for nothing.
pub fn wait<I, W>(awaitables: I, until: W) -> Wait<I::Item, W>
where
    I: IntoIterator,
    I::Item: Future,
    for<'a> &'a mut I::Item: Future<Output = <I::Item as Future>::Output>,
    W: ReturnWhen<<I::Item as Future>::Output>,
{
    let futures: FuturesUnordered<_> =
        awaitables.into_iter().enumerate().map(|(index, future)| Placed { index, future }).collect();
    let nothing = futures.is_empty();
    Wait { futures, done: Vec::new(), until, enough: false, nothing, limit: None }
}

/// The future of [`wait`].
#[must_use = "futures do nothing unless you `.await` or spawn them"]
pub struct Wait<A: Future, W> {
    futures: FuturesUnordered<Placed<A>>,
    done: Vec<Done<A::Output>>,
    until: W,
    enough: bool,
    nothing: bool,
    limit: Option<Sleep>,
}

/// An awaitable that was done: its value and the place where it stood among the arguments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Done<T> {
    /// Its place among the arguments of [`wait`], from 0 on.
    pub index: usize,
    /// What awaiting it gave.
    pub output: T,
}

/// [`wait`] was given nothing to wait for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NothingToWaitFor;

/// When [`wait`] has waited enough.
pub trait ReturnWhen<T> {
    /// Is it enough that this one is done?
    fn enough(&mut self, output: &T) -> bool;
}

/// When one is done. See [`FIRST_COMPLETED`].
#[derive(Clone, Copy, Debug, Default)]
pub struct FirstCompleted;

/// When one has failed. See [`FIRST_EXCEPTION`].
#[derive(Clone, Copy, Debug, Default)]
pub struct FirstException;

/// When all are done. See [`ALL_COMPLETED`].
#[derive(Clone, Copy, Debug, Default)]
pub struct AllCompleted;

/// [`wait`] until one is done.
pub const FIRST_COMPLETED: FirstCompleted = FirstCompleted;

/// [`wait`] until one has failed, or all are done. A task fails by a panic; being cancelled is no failure, as in asyncio.
/// For a value that is an error of your own, give a closure instead.
pub const FIRST_EXCEPTION: FirstException = FirstException;

/// [`wait`] until all are done.
pub const ALL_COMPLETED: AllCompleted = AllCompleted;

impl<T> ReturnWhen<T> for FirstCompleted {
    fn enough(&mut self, _output: &T) -> bool {
        true
    }
}

impl<T> ReturnWhen<T> for AllCompleted {
    fn enough(&mut self, _output: &T) -> bool {
        false
    }
}

impl<T> ReturnWhen<Result<T, JoinError>> for FirstException {
    fn enough(&mut self, output: &Result<T, JoinError>) -> bool {
        output.as_ref().is_err_and(|error| !error.is_cancelled())
    }
}

impl<T> ReturnWhen<Result<T, DeferredError>> for FirstException {
    fn enough(&mut self, output: &Result<T, DeferredError>) -> bool {
        output.as_ref().is_err_and(|error| !error.is_cancelled())
    }
}

impl<T, F: FnMut(&T) -> bool> ReturnWhen<T> for F {
    fn enough(&mut self, output: &T) -> bool {
        self(output)
    }
}

impl<A: Future, W> Wait<A, W> {
    /// Waits no longer than `limit`, counted from now. When it is over, what is done by then is given, and the rest is
    /// pending: neither cancelled nor an error.
    pub fn timeout(mut self, limit: Duration) -> Self {
        self.limit = Some(sleep(limit));
        self
    }
}

impl<A, W> Future for Wait<A, W>
where
    A: Future,
    for<'a> &'a mut A: Future<Output = <A as Future>::Output>,
    W: ReturnWhen<A::Output>,
{
    type Output = Result<(Vec<Done<A::Output>>, Vec<A>), NothingToWaitFor>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        if this.nothing {
            return Poll::Ready(Err(NothingToWaitFor));
        }
        // All that are done by now, not only the one that is enough.
        while let Poll::Ready(next) = Pin::new(&mut this.futures).poll_next(cx) {
            let Some(done) = next else { return Poll::Ready(Ok(this.sorted())) };
            this.enough |= this.until.enough(&done.output);
            this.done.push(done);
        }
        let over = |limit: &mut Sleep| Pin::new(limit).poll(cx).is_ready();
        if this.enough || this.limit.as_mut().is_some_and(over) {
            return Poll::Ready(Ok(this.sorted()));
        }
        Poll::Pending
    }
}

impl<A: Future, W> Wait<A, W>
where
    for<'a> &'a mut A: Future<Output = <A as Future>::Output>,
{
    fn sorted(&mut self) -> (Vec<Done<A::Output>>, Vec<A>) {
        let mut pending: Vec<_> = std::mem::take(&mut self.futures).into_iter().collect();
        pending.sort_unstable_by_key(|placed| placed.index);
        let pending = pending.into_iter().map(|placed| placed.future).collect();
        (std::mem::take(&mut self.done), pending)
    }
}

/// Nothing is pinned in place: the futures lie in allocations of their own.
impl<A: Future, W> Unpin for Wait<A, W> {}

/// A future that knows its place. Polled by reference, which leaves a task alone when the wait is cancelled.
struct Placed<A> {
    index: usize,
    future: A,
}

/// Nothing is pinned: the future is only polled by reference.
impl<A> Unpin for Placed<A> {}

impl<A> Future for Placed<A>
where
    A: Future,
    for<'a> &'a mut A: Future<Output = <A as Future>::Output>,
{
    type Output = Done<<A as Future>::Output>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let index = self.index;
        Pin::new(&mut &mut self.future).poll(cx).map(|output| Done { index, output })
    }
}

impl<A: Future, W> fmt::Debug for Wait<A, W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Wait")
            .field("done", &self.done.len())
            .field("pending", &self.futures.len())
            .finish_non_exhaustive()
    }
}

impl fmt::Display for NothingToWaitFor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("wait() was given nothing to wait for: ask is_empty() before")
    }
}

impl Error for NothingToWaitFor {}
