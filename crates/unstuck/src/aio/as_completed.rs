//! One result after the other, as they come: asyncio's `as_completed`.
//!
//! [`as_completed`] runs what it is given side by side in the task that asks for the next result. It is a stream, so
//! everything that takes a `futures::Stream` takes it.

use std::fmt;
use std::future::{Future, IntoFuture, poll_fn};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::stream::{FuturesUnordered, Stream};
use unstuck_time::{Elapsed, Sleep, sleep};

/// Gives the results of many as they come, the quickest first: asyncio's `as_completed`.
///
/// ```
/// use std::time::Duration;
/// use unstuck::{as_completed, sleep, spawn};
///
/// # unstuck::Runtime::builder().start_paused(true).build().unwrap().run(async {
/// let tasks = [30, 1, 15].map(|ms| spawn(sleep(Duration::from_millis(ms)).with(ms)));
/// let mut results = as_completed(tasks);
/// while let Some(result) = results.next().await {
///     println!("{}", result.unwrap()); // 1, 15, 30
/// }
/// # });
/// ```
///
/// Futures run in the task that asks, as in [`gather`](crate::gather()): between two calls of `next` they stand still. Tasks
/// go on by themselves.
///
/// A task comes once: its handle cannot be given twice. asyncio removes duplicates; here the only ones possible are clones
/// of a [`Deferred`](crate::Deferred), which are equal and so can be found.
///
/// # Cancellation
/// Dropping a `next()` loses nothing. Dropping the whole drops the futures that are not done; tasks are detached and go on.
/// When whoever awaits is *cancelled*, or a timeout around a `next()` is over, tasks given by value are cancelled, too; give
/// `tasks.iter_mut()` to keep them out of that, as asyncio does.
pub fn as_completed<I>(awaitables: I) -> AsCompleted<<I::Item as IntoFuture>::IntoFuture>
where
    I: IntoIterator,
    I::Item: IntoFuture,
{
    AsCompleted { futures: awaitables.into_iter().map(IntoFuture::into_future).collect() }
}

/// The results of [`as_completed`], one after the other. Also a `Stream`.
#[must_use = "nothing runs before next().await"]
pub struct AsCompleted<F> {
    futures: FuturesUnordered<F>,
}

/// The results of [`as_completed`] within a [time](AsCompleted::timeout), one after the other. Also a `Stream`.
#[must_use = "nothing runs before next().await"]
pub struct AsCompletedWithin<F> {
    results: AsCompleted<F>,
    /// Gone once it has been said that the time is over.
    limit: Option<Sleep>,
}

impl<F: Future> AsCompleted<F> {
    /// The next result; `None` when there is none left.
    ///
    /// # Cancellation
    /// Dropping the wait loses nothing.
    pub async fn next(&mut self) -> Option<F::Output> {
        poll_fn(|cx| Pin::new(&mut *self).poll_next(cx)).await
    }

    /// Waits no longer than `limit` for all of them, counted from now. Then comes one [`Elapsed`], and it is over.
    ///
    /// ```
    /// use std::time::Duration;
    /// use unstuck::{as_completed, sleep};
    ///
    /// # unstuck::Runtime::builder().start_paused(true).build().unwrap().run(async {
    /// let naps = [1, 3_600_000].map(|ms| sleep(Duration::from_millis(ms)).with(ms));
    /// let mut results = as_completed(naps).timeout(Duration::from_millis(50));
    /// assert_eq!(results.next().await, Some(Ok(1)));
    /// assert!(results.next().await.unwrap().is_err());
    /// assert_eq!(results.next().await, None);
    /// assert_eq!(results.len(), 1); // one has not come
    /// # });
    /// ```
    pub fn timeout(self, limit: Duration) -> AsCompletedWithin<F> {
        AsCompletedWithin { results: self, limit: Some(sleep(limit)) }
    }
}

impl<F> AsCompleted<F> {
    /// How many have not come yet.
    #[must_use]
    pub fn len(&self) -> usize {
        self.futures.len()
    }

    /// True when all have come.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.futures.is_empty()
    }

    /// Those that have not come yet, in no particular order.
    #[must_use]
    pub fn into_pending(self) -> Vec<F>
    where
        F: Unpin,
    {
        self.futures.into_iter().collect()
    }
}

impl<F: Future> AsCompletedWithin<F> {
    /// The next result, or [`Elapsed`] once when the time is over; `None` after that, and when there is none left.
    ///
    /// # Cancellation
    /// Dropping the wait loses nothing.
    pub async fn next(&mut self) -> Option<Result<F::Output, Elapsed>> {
        poll_fn(|cx| Pin::new(&mut *self).poll_next(cx)).await
    }
}

impl<F> AsCompletedWithin<F> {
    /// How many have not come yet.
    #[must_use]
    pub fn len(&self) -> usize {
        self.results.len()
    }

    /// True when all have come.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.results.is_empty()
    }

    /// Those that have not come yet, in no particular order.
    #[must_use]
    pub fn into_pending(self) -> Vec<F>
    where
        F: Unpin,
    {
        self.results.into_pending()
    }
}

impl<F: Future> Stream for AsCompleted<F> {
    type Item = F::Output;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<F::Output>> {
        Pin::new(&mut self.futures).poll_next(cx)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.len(), Some(self.len()))
    }
}

impl<F: Future> Stream for AsCompletedWithin<F> {
    type Item = Result<F::Output, Elapsed>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        let Some(limit) = &mut this.limit else { return Poll::Ready(None) };
        if let Poll::Ready(next) = Pin::new(&mut this.results).poll_next(cx) {
            return Poll::Ready(next.map(Ok)); // what has come in time counts, also if we look late
        }
        if Pin::new(limit).poll(cx).is_pending() {
            return Poll::Pending;
        }
        this.limit = None;
        Poll::Ready(Some(Err(Elapsed::new())))
    }
}

impl<F> fmt::Debug for AsCompleted<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AsCompleted").field("pending", &self.len()).finish()
    }
}

impl<F> fmt::Debug for AsCompletedWithin<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AsCompletedWithin")
            .field("pending", &self.len())
            .field("over", &self.limit.is_none())
            .finish()
    }
}
