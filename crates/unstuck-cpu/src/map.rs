//! A function applied to many items: parallel, in order, and never far ahead of whoever takes the results.
//!
//! ```text
//!   items ──▶ chunk ──▶ chunk ──▶ chunk │ not yet asked for
//!               │ job      │ job        │
//!   results ◀── first      second       └─ at most `lookahead` items beyond what was taken
//! ```
//! A chunk is one job. Inside, every item is caught on its own, so that an item's panic is the error at that item's
//! position, and its neighbours have values. Between two items the chunk looks whether it was cancelled: by whoever dropped
//! the map, or by the pool's shutdown.

use std::collections::VecDeque;
use std::fmt;
use std::future::{Future, poll_fn};
use std::iter::Fuse;
use std::panic::{self, AssertUnwindSafe, Location};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::vec;

use futures_core::Stream;
use unstuck_core::job::{CancelToken, Options};
use unstuck_core::{JobHandle, JoinError, Origin};

use crate::pool::Handle;

/// Chunks in flight for each thread unless [`Map::lookahead`] says otherwise: one that runs and some that wait, so that
/// the threads have work while the results are looked at.
const CHUNKS_PER_THREAD: usize = 4;

/// Results of a function applied to many items by a [`CpuPool`](crate::CpuPool), in the items' order.
///
/// A stream, with a [`next`](Self::next) of its own. Nothing happens before the first result is asked for. After that
/// at most [`lookahead`](Self::lookahead) items are taken from the iterator beyond the results taken, so it may be
/// endless.
///
/// ```
/// # use std::{future::Future, pin::pin, task::{Context, Poll, Waker}};
/// # fn block_on<T>(future: impl Future<Output = T>) -> T {
/// #     let mut future = pin!(future);
/// #     loop {
/// #         if let Poll::Ready(value) = future.as_mut().poll(&mut Context::from_waker(Waker::noop())) { return value }
/// #     }
/// # }
/// let pool = unstuck_cpu::CpuPool::builder().threads(2).build()?;
/// # block_on(async {
/// let mut squares = pool.map(1_u64.., |n| n * n).chunk(16);
/// assert_eq!(squares.next().await.unwrap().unwrap(), 1);
/// assert_eq!(squares.next().await.unwrap().unwrap(), 4);
///
/// let lengths: Vec<usize> = pool.map(["a", "bb", "ccc"], str::len).try_collect().await.unwrap();
/// assert_eq!(lengths, [1, 2, 3]);
/// # });
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// # Cancellation
/// Dropping it cancels the chunks that have not begun; a chunk that runs ends after its present item. Dropping the
/// future of [`next`](Self::next) loses nothing.
///
/// # Errors
/// An item whose call panics gives an error at its own position; the others are not affected. If the pool refuses a
/// chunk (it has shut down), each of its items gives that error. If the pool is shut down with a limit, the items that no
/// chunk has come to give cancelled errors.
#[must_use = "nothing happens until the first result is asked for"]
pub struct Map<I: Iterator, F, T> {
    pool: Handle,
    items: Fuse<I>,
    f: Arc<F>,
    place: &'static Location<'static>,
    chunk: usize,
    lookahead: Option<usize>,
    /// Submitted chunks, the next to be taken first.
    chunks: VecDeque<Chunk<T>>,
    /// What is left of the last chunk that was taken.
    ready: vec::IntoIter<Result<T, JoinError>>,
    /// Items taken from the iterator so far: the position of the next.
    taken: usize,
    /// Items taken from the iterator whose results have not been taken.
    ahead: usize,
    /// Goes around the options of each chunk.
    submit_with: Option<Wrap>,
}

/// What is done to the options of a job before it is submitted.
type Wrap = Arc<dyn Fn(Options) -> Options + Send + Sync>;

struct Chunk<T> {
    handle: JobHandle<Vec<Result<T, JoinError>>>,
    len: usize,
}

impl<I, F, T> Map<I, F, T>
where
    I: Iterator<Item: Send + 'static>,
    F: Fn(I::Item) -> T + Send + Sync + 'static,
    T: Send + 'static,
{
    pub(crate) fn new(pool: Handle, items: I, f: F, place: &'static Location<'static>) -> Self {
        Self {
            pool,
            items: items.fuse(),
            f: Arc::new(f),
            place,
            chunk: 1,
            lookahead: None,
            chunks: VecDeque::new(),
            ready: Vec::new().into_iter(),
            taken: 0,
            ahead: 0,
            submit_with: None,
        }
    }

    /// So many items make one job; 1 unless set. More is cheaper when the calls are short: a job costs microseconds.
    pub fn chunk(mut self, items: usize) -> Self {
        self.chunk = items.max(1);
        self
    }

    /// At most so many items are taken from the iterator beyond the results taken, but always a chunk. Four chunks a
    /// thread unless set.
    pub fn lookahead(mut self, items: usize) -> Self {
        self.lookahead = Some(items);
        self
    }

    /// Puts `wrap` around the options of each chunk.
    #[doc(hidden)]
    pub fn submit_with(mut self, wrap: impl Fn(Options) -> Options + Send + Sync + 'static) -> Self {
        self.submit_with = Some(Arc::new(wrap));
        self
    }

    /// The next result, or `None` after the last.
    pub async fn next(&mut self) -> Option<Result<T, JoinError>> {
        poll_fn(|cx| self.poll_result(cx)).await
    }

    /// All results: into a `Vec<Result<T, _>>`, or any other collection of them.
    pub async fn collect<C: FromIterator<Result<T, JoinError>>>(mut self) -> C {
        let mut results = Vec::new();
        while let Some(result) = self.next().await {
            results.push(result);
        }
        results.into_iter().collect()
    }

    /// All values, or the first error in the items' order; what has not begun by then never runs.
    ///
    /// # Errors
    /// If a call panics, or the pool refuses a chunk.
    pub async fn try_collect<C: FromIterator<T>>(mut self) -> Result<C, JoinError> {
        let mut values = Vec::new();
        while let Some(result) = self.next().await {
            values.push(result?);
        }
        Ok(values.into_iter().collect())
    }

    fn poll_result(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<T, JoinError>>> {
        self.submit_ahead();
        loop {
            if let Some(result) = self.ready.next() {
                self.ahead -= 1;
                return Poll::Ready(Some(result));
            }
            let Some(chunk) = self.chunks.front_mut() else { return Poll::Ready(None) };
            let results = ready!(Pin::new(&mut chunk.handle).poll(cx));
            let len = chunk.len;
            self.chunks.pop_front();
            let mut results = results.unwrap_or_else(|error| repeat(error, len, self.place));
            // A chunk that was cancelled has left the rest out.
            let first = self.taken - self.ahead;
            let cancelled = |nth| Err(JoinError::cancelled(item(first + nth, self.place)));
            results.extend((results.len()..len).map(cancelled));
            self.ready = results.into_iter();
        }
    }

    /// Submits chunks until the look-ahead is used up or the items are.
    fn submit_ahead(&mut self) {
        let chunks = CHUNKS_PER_THREAD.saturating_mul(self.pool.threads());
        let limit = self.lookahead.unwrap_or_else(|| chunks.saturating_mul(self.chunk));
        while self.ahead == 0 || self.ahead.saturating_add(self.chunk) <= limit {
            let items: Vec<_> = self.items.by_ref().take(self.chunk).collect();
            let len = items.len();
            if len == 0 {
                return;
            }
            let (f, place, first) = (self.f.clone(), self.place, self.taken);
            let work = move || {
                let chunk = CancelToken::current();
                let unwanted = || chunk.as_ref().is_some_and(CancelToken::is_cancelled);
                let wanted = items.into_iter().enumerate().take_while(|_| !unwanted());
                wanted.map(|(i, item)| call(&*f, item, first + i, place)).collect()
            };
            let options = Options::new().place(self.place);
            let options = match &self.submit_with {
                Some(wrap) => wrap(options),
                None => options,
            };
            let handle = self.pool.submit(work, options);
            self.chunks.push_back(Chunk { handle, len });
            self.taken += len;
            self.ahead += len;
        }
    }
}

/// One item's call, its panic caught.
fn call<A, T>(
    f: &impl Fn(A) -> T,
    argument: A,
    position: usize,
    place: &'static Location<'static>,
) -> Result<T, JoinError> {
    panic::catch_unwind(AssertUnwindSafe(|| f(argument)))
        .map_err(|payload| JoinError::panicked(item(position, place), payload))
}

/// An item's name in errors.
fn item(position: usize, place: &'static Location<'static>) -> Origin {
    Origin::new("item", place).with_id(position as u64)
}

/// The error of a chunk that did not run, once for each of its items.
fn repeat<T>(error: JoinError, len: usize, place: &'static Location<'static>) -> Vec<Result<T, JoinError>> {
    let rejected = error.is_rejected();
    let again = |_| {
        let origin = Origin::new("item", place);
        Err(if rejected {
            JoinError::rejected(origin, "its chunk was: see the first error of that")
        } else {
            JoinError::cancelled(origin)
        })
    };
    let rest: Vec<_> = (1..len).map(again).collect();
    [Err(error)].into_iter().chain(rest).collect()
}

impl<I, F, T> Stream for Map<I, F, T>
where
    I: Iterator<Item: Send + 'static>,
    F: Fn(I::Item) -> T + Send + Sync + 'static,
    T: Send + 'static,
{
    type Item = Result<T, JoinError>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.get_mut().poll_result(cx)
    }
}

/// Nothing in it is pinned: the items, the function and the results are moved around.
impl<I: Iterator, F, T> Unpin for Map<I, F, T> {}

impl<I: Iterator, F, T> Drop for Map<I, F, T> {
    fn drop(&mut self) {
        for chunk in &self.chunks {
            chunk.handle.cancel();
        }
    }
}

impl<I: Iterator, F, T> fmt::Debug for Map<I, F, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Map")
            .field("chunk", &self.chunk)
            .field("lookahead", &self.lookahead)
            .field("taken", &self.taken)
            .field("ahead", &self.ahead)
            .finish_non_exhaustive()
    }
}
