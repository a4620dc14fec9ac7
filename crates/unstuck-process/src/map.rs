//! A job made of every item: several at a time, results in order, and never far ahead of whoever takes them.
//!
//! ```text
//!   items ──▶ job ──▶ job ──▶ job │ not yet asked for
//!   results ◀── first, second …   └─ at most `lookahead` items beyond what was taken
//! ```

use std::collections::VecDeque;
use std::fmt;
use std::future::{Future, poll_fn};
use std::iter::Fuse;
use std::panic::Location;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_core::Stream;
use unstuck_core::job::Options;
use unstuck_core::{JobHandle, JoinError};

use crate::pool::Handle;
use crate::portable::PortableJob;

/// Jobs in flight for each child unless [`Map::lookahead`] says otherwise: one that runs, and one that is ready when it
/// has ended.
const JOBS_PER_CHILD: usize = 2;

/// Results of a job made of each of many items, in the items' order.
///
/// A stream, with a [`next`](Self::next) of its own. Nothing happens before the first result is asked for. After that at
/// most [`lookahead`](Self::lookahead) items are taken from the iterator beyond the results taken, so it may be endless.
///
/// ```
/// # fn main() {
/// #     unstuck::process::serve_if_child();
/// #     unstuck::run(async { run().await }).unwrap();
/// # }
/// # async fn run() -> std::io::Result<()> {
/// use unstuck::process::ProcessPool;
///
/// #[unstuck::job]
/// fn length(word: String) -> usize {
///     word.len()
/// }
///
/// let pool = ProcessPool::builder().max_children(2).build()?;
/// let lengths = pool.map(["a", "bb", "ccc"], |word| length::job(word.into()));
/// assert_eq!(lengths.try_collect::<Vec<_>>().await.unwrap(), [1, 2, 3]);
/// # Ok(())
/// # }
/// ```
///
/// # Cancellation
/// Dropping it takes back the jobs that have not begun, and kills the children of those that run. Dropping the future of
/// [`next`](Self::next) loses nothing.
///
/// # Errors
/// A job that fails gives its error at its own position; the others are not affected.
#[must_use = "nothing happens until the first result is asked for"]
pub struct Map<I: Iterator, F, J: PortableJob> {
    pool: Handle,
    items: Fuse<I>,
    f: F,
    place: &'static Location<'static>,
    lookahead: usize,
    /// Submitted jobs, the next to be taken first.
    jobs: VecDeque<JobHandle<J::Output>>,
}

impl<I, F, J> Map<I, F, J>
where
    I: Iterator,
    F: FnMut(I::Item) -> J,
    J: PortableJob,
{
    pub(crate) fn new(pool: Handle, items: I, f: F, place: &'static Location<'static>) -> Self {
        let lookahead = pool.max_children().saturating_mul(JOBS_PER_CHILD);
        Self { pool, items: items.fuse(), f, place, lookahead, jobs: VecDeque::new() }
    }

    /// At most so many items are taken from the iterator beyond the results taken, but always one. Two for each child
    /// unless set.
    pub fn lookahead(mut self, items: usize) -> Self {
        self.lookahead = items.max(1);
        self
    }

    /// The next result, or `None` after the last.
    pub async fn next(&mut self) -> Option<Result<J::Output, JoinError>> {
        poll_fn(|cx| self.poll_result(cx)).await
    }

    /// All results: into a `Vec<Result<T, _>>`, or any other collection of them.
    pub async fn collect<C: FromIterator<Result<J::Output, JoinError>>>(mut self) -> C {
        let mut results = Vec::new();
        while let Some(result) = self.next().await {
            results.push(result);
        }
        results.into_iter().collect()
    }

    /// All values, or the first error in the items' order; what has not ended by then is cancelled.
    ///
    /// # Errors
    /// If a job fails.
    pub async fn try_collect<C: FromIterator<J::Output>>(mut self) -> Result<C, JoinError> {
        let mut values = Vec::new();
        while let Some(result) = self.next().await {
            values.push(result?);
        }
        Ok(values.into_iter().collect())
    }

    fn poll_result(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<J::Output, JoinError>>> {
        while self.jobs.len() < self.lookahead {
            let Some(item) = self.items.next() else { break };
            let options = Options::new().place(self.place).cancel_on_drop();
            self.jobs.push_back(self.pool.submit((self.f)(item), options));
        }
        let Some(first) = self.jobs.front_mut() else { return Poll::Ready(None) };
        let result = ready!(Pin::new(first).poll(cx));
        self.jobs.pop_front();
        Poll::Ready(Some(result))
    }
}

impl<I, F, J> Stream for Map<I, F, J>
where
    I: Iterator,
    F: FnMut(I::Item) -> J,
    J: PortableJob,
{
    type Item = Result<J::Output, JoinError>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.get_mut().poll_result(cx)
    }
}

/// Nothing in it is pinned: the items, the function and the handles are moved around.
impl<I: Iterator, F, J: PortableJob> Unpin for Map<I, F, J> {}

impl<I: Iterator, F, J: PortableJob> fmt::Debug for Map<I, F, J> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Map")
            .field("lookahead", &self.lookahead)
            .field("in flight", &self.jobs.len())
            .finish_non_exhaustive()
    }
}
