//! Hands items from some to others: asyncio's `Queue`, `LifoQueue`, `PriorityQueue`.
//!
//! # The problem
//! A getter is woken because an item came. Before it runs, somebody else may take the item; or the getter is cancelled,
//! and the item must not go with it.
//!
//! # How
//! Items lie in a store under a lock, and nobody is ever handed one. Two semaphores that serve in order and take back what
//! a chosen one leaves decide who may go to the store:
//!
//! ```text
//!            places (as many as are free)                 items (as many as are there)
//!   put ──► acquire one ──► push into the store ──────► release one
//!           release one ◄────── pop from the store ◄──── acquire one ◄── get
//! ```
//!
//! Between "acquired" and the store there is no await. So a wait that is cancelled, at whatever moment, has either not
//! touched the store, or is over. There is a permit in `items` for each item in the store or its way there.
//!
//! A shutdown closes both semaphores, which ends every wait. From then on getters go to the store without a permit, until
//! it is empty.
//!
//! # Why not …
//! * **A list of waiting getters that are handed the item** (as most channels do): a getter that is dropped with an item in
//!   its hands must put it back, at the right place, and wake the next.
//! * **asyncio's own way**, waking one getter and letting it look again: whoever comes in between overtakes.

mod errors;
mod order;

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;

use tokio::sync::Semaphore;
use unstuck_core::inspect::On;
use unstuck_core::sync::Mutex;

use super::noted::{awaited_as, noted};
pub use errors::{GetError, PutError, TooManyDone};
pub use order::{Fifo, Lifo, Order, Smallest};

use super::budget::may_go_on;
use crate::Deferred;

/// First in, first out: asyncio's `Queue`. See [`QueueOf`] for what it can do.
pub type Queue<T> = QueueOf<T, Fifo>;

/// Last in, first out: asyncio's `LifoQueue`. See [`QueueOf`] for what it can do.
pub type LifoQueue<T> = QueueOf<T, Lifo>;

/// The smallest first, and equal ones in the order in which they came: asyncio's `PriorityQueue`. See [`QueueOf`] for what
/// it can do.
///
/// ```
/// use std::cmp::Reverse;
/// use unstuck::sync::PriorityQueue;
///
/// let jobs = PriorityQueue::new();
/// for job in [(3, "sleep"), (1, "wake up"), (2, "work")] {
///     jobs.try_put(job).unwrap();
/// }
/// assert_eq!(jobs.try_get().unwrap(), (1, "wake up"));
///
/// let largest_first = PriorityQueue::new();
/// largest_first.try_put(Reverse(1)).unwrap();
/// ```
///
/// Items are compared while the queue is locked: a comparison must be quick, and must not use the queue.
pub type PriorityQueue<T> = QueueOf<T, Smallest>;

/// Hands items from some to others, in the order `O`: what [`Queue`], [`LifoQueue`] and [`PriorityQueue`] have in common.
///
/// Clones are the same queue. It needs no runtime; threads use [`put_blocking`](Self::put_blocking) and
/// [`get_blocking`](Self::get_blocking).
///
/// ```
/// use unstuck::sync::Queue;
///
/// # unstuck::run(async {
/// let queue = Queue::bounded(10);
/// for worker in 0..3 {
///     let queue = queue.clone();
///     unstuck::spawn(async move {
///         while let Ok(job) = queue.get().await {
///             println!("worker {worker} does {job}");
///             queue.task_done().unwrap();
///         }
///     })
///     .detach();
/// }
/// for job in 0..20 {
///     queue.put(job).await.unwrap();
/// }
/// queue.join().await; // all twenty have been done
/// queue.shutdown(); // and the workers end
/// # });
/// ```
///
/// # Promises
/// * Getters get items in the order in which they came, and putters places; `try_get` and `try_put` overtake nobody.
/// * A getter that is cancelled, also after it was woken, takes no item with it: the next one gets it.
///
/// # Cancellation
/// Dropping a `get` loses nothing. Dropping a `put` that waits drops its item, which has not been in the queue.
pub struct QueueOf<T, O: Order<T>>(Arc<Shared<T, O>>);

struct Shared<T, O: Order<T>> {
    inside: Mutex<Inside<T, O>>,
    items: Semaphore,
    places: Option<Places>,
}

struct Places {
    free: Semaphore,
    maxsize: usize,
}

struct Inside<T, O: Order<T>> {
    store: O::Store,
    /// Items that were put and not yet said to be done.
    unfinished: usize,
    shut_down: bool,
    /// Set when nothing is unfinished; those who join await clones of it.
    finished: Deferred<()>,
}

impl<T, O: Order<T>> QueueOf<T, O> {
    /// An empty queue without a limit.
    #[must_use]
    pub fn new() -> Self {
        Self::with(None)
    }

    /// An empty queue that holds at most `maxsize` items; [`put`](Self::put) waits while it is full.
    ///
    /// # Panics
    /// Panics when `maxsize` is zero: asyncio's "no limit" is [`new`](Self::new).
    #[track_caller]
    #[must_use]
    pub fn bounded(maxsize: usize) -> Self {
        assert!(
            maxsize > 0,
            "a queue for no items: give a limit of one or more, or use new(), which has none"
        );
        let free = Semaphore::new(maxsize.min(Semaphore::MAX_PERMITS));
        Self::with(Some(Places { free, maxsize }))
    }

    fn with(places: Option<Places>) -> Self {
        let inside =
            Inside { store: O::Store::default(), unfinished: 0, shut_down: false, finished: Deferred::new() };
        Self(Arc::new(Shared { inside: Mutex::new(inside), items: Semaphore::new(0), places }))
    }

    /// Puts an item in, and waits for a free place before if there is none.
    ///
    /// # Cancellation
    /// A `put` that is dropped while it waits drops its item. It has not been in the queue.
    ///
    /// # Errors
    /// The queue has been [shut down](Self::shutdown); the error gives the item back.
    pub async fn put(&self, item: T) -> Result<(), PutError<T>> {
        may_go_on().await;
        if let Some(places) = &self.0.places {
            match noted("queue put", On::Something, places.free.acquire()).await {
                Ok(place) => place.forget(),
                Err(_closed) => return Err(PutError::shut_down(item)),
            }
        }
        self.push(item)
    }

    /// Puts an item in without waiting: asyncio's `put_nowait`.
    ///
    /// # Errors
    /// The queue is full, or others wait for its next place, or it has been shut down. The error gives the item back.
    pub fn try_put(&self, item: T) -> Result<(), PutError<T>> {
        if let Some(places) = &self.0.places {
            match places.free.try_acquire() {
                Ok(place) => place.forget(),
                Err(_) if places.free.is_closed() => return Err(PutError::shut_down(item)),
                Err(_) => return Err(PutError::full(item)),
            }
        }
        self.push(item)
    }

    /// Puts an item in, on a plain thread, which waits if the queue is full.
    ///
    /// # Errors
    /// As [`put`](Self::put).
    ///
    /// # Panics
    /// Panics inside async code, which it would stall: use [`put`](Self::put).
    #[track_caller]
    pub fn put_blocking(&self, item: T) -> Result<(), PutError<T>> {
        unstuck_core::wait_here("put_blocking", self.put(item))
    }

    /// Takes an item out, and waits for one before if there is none.
    ///
    /// # Cancellation
    /// A `get` that is dropped takes no item with it, also if it was woken for one.
    ///
    /// # Errors
    /// The queue has been [shut down](Self::shutdown) and is empty.
    pub async fn get(&self) -> Result<T, GetError> {
        may_go_on().await;
        if let Ok(item) = noted("queue get", On::Something, self.0.items.acquire()).await {
            item.forget();
        } // else it is closed: what is left is for whoever comes
        self.pop()
    }

    /// Takes an item out without waiting: asyncio's `get_nowait`.
    ///
    /// # Errors
    /// The queue is empty, or others wait for what is in it, or it has been shut down and is empty.
    pub fn try_get(&self) -> Result<T, GetError> {
        match self.0.items.try_acquire() {
            Ok(item) => item.forget(),
            Err(_) if self.0.items.is_closed() => {}
            Err(_) => return Err(GetError::empty()),
        }
        self.pop()
    }

    /// Takes an item out, on a plain thread, which waits if there is none.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    ///
    /// # Panics
    /// Panics inside async code, which it would stall: use [`get`](Self::get).
    #[track_caller]
    pub fn get_blocking(&self) -> Result<T, GetError> {
        unstuck_core::wait_here("get_blocking", self.get())
    }

    /// Says that an item which was taken out has been worked off. [`join`](Self::join) counts.
    ///
    /// # Errors
    /// It was said more often than items were put in.
    pub fn task_done(&self) -> Result<(), TooManyDone> {
        let mut inside = self.0.inside.lock();
        if inside.unfinished == 0 {
            return Err(TooManyDone(()));
        }
        inside.unfinished -= 1;
        let finished = inside.take_finished();
        drop(inside);
        finish(finished);
        Ok(())
    }

    /// Waits until each item that was put in has been taken out and [said to be done](Self::task_done).
    pub async fn join(&self) {
        may_go_on().await;
        let finished = {
            let inside = self.0.inside.lock();
            if inside.unfinished == 0 {
                return;
            }
            inside.finished.clone()
        };
        let _ = awaited_as("queue join", finished).await; // nobody cancels it
    }

    /// [`join`](Self::join) on a plain thread.
    ///
    /// # Panics
    /// Panics inside async code, which it would stall: use [`join`](Self::join).
    #[track_caller]
    pub fn join_blocking(&self) {
        unstuck_core::wait_here("join_blocking", self.join());
    }

    /// Ends the queue: puts fail from now on, also those that wait. Gets give what is left, and fail then.
    pub fn shutdown(&self) {
        self.0.inside.lock().shut_down = true;
        self.close();
    }

    /// Ends the queue and throws away what is in it: puts and gets fail from now on, also those that wait.
    ///
    /// What is thrown away counts as done. [`join`](Self::join) goes on to wait for items that were taken out and are
    /// being worked on.
    pub fn shutdown_now(&self) {
        let mut inside = self.0.inside.lock();
        inside.shut_down = true;
        let thrown = std::mem::take(&mut inside.store);
        inside.unfinished -= O::len(&thrown).min(inside.unfinished);
        let finished = inside.take_finished();
        drop(inside);
        self.close();
        finish(finished);
        drop(thrown); // their destructors are the user's: not under the lock
    }

    fn close(&self) {
        self.0.items.close();
        if let Some(places) = &self.0.places {
            places.free.close();
        }
    }

    /// True once it was shut down.
    #[must_use]
    pub fn is_shut_down(&self) -> bool {
        self.0.inside.lock().shut_down
    }

    /// How many items are in it: asyncio's `qsize()`.
    #[must_use]
    pub fn len(&self) -> usize {
        O::len(&self.0.inside.lock().store)
    }

    /// True if nothing is in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// True if it holds as many as it may.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.maxsize().is_some_and(|maxsize| self.len() >= maxsize)
    }

    /// How many it may hold; `None` without a limit.
    #[must_use]
    pub fn maxsize(&self) -> Option<usize> {
        self.0.places.as_ref().map(|places| places.maxsize)
    }

    /// The item goes into the store: its place is ours.
    fn push(&self, item: T) -> Result<(), PutError<T>> {
        let mut inside = self.0.inside.lock();
        if inside.shut_down {
            return Err(PutError::shut_down(item));
        }
        // A comparison that panics leaves the item in the store: it has to be counted.
        let pushed = catch_unwind(AssertUnwindSafe(|| O::push(&mut inside.store, item)));
        inside.unfinished += 1;
        drop(inside);
        self.0.items.add_permits(1);
        pushed.map_err(|payload| resume_unwind(payload))
    }

    /// An item comes out of the store: we have the permit for it, or the queue is shut down.
    fn pop(&self) -> Result<T, GetError> {
        let mut inside = self.0.inside.lock();
        // A comparison that panics takes the item with it: its place is free.
        let popped = catch_unwind(AssertUnwindSafe(|| O::pop(&mut inside.store)));
        drop(inside);
        let item = match popped {
            Ok(None) => return Err(GetError::shut_down()),
            Ok(Some(item)) => Ok(item),
            Err(payload) => Err(payload),
        };
        if let Some(places) = &self.0.places {
            places.free.add_permits(1);
        }
        item.map_err(|payload| resume_unwind(payload))
    }
}

impl<T, O: Order<T>> Inside<T, O> {
    /// If nothing is unfinished: what those who join wait for.
    fn take_finished(&mut self) -> Option<Deferred<()>> {
        (self.unfinished == 0).then(|| std::mem::take(&mut self.finished))
    }
}

/// Wakes those who join, where nothing is locked.
fn finish(finished: Option<Deferred<()>>) {
    if let Some(finished) = finished {
        let _ = finished.set_result(()); // ours alone: it was not set before
    }
}

impl<T, O: Order<T>> Clone for QueueOf<T, O> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T, O: Order<T>> Default for QueueOf<T, O> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T, O: Order<T>> fmt::Debug for QueueOf<T, O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let inside = self.0.inside.lock();
        f.debug_struct("Queue")
            .field("len", &O::len(&inside.store))
            .field("maxsize", &self.maxsize())
            .field("unfinished", &inside.unfinished)
            .field("shut_down", &inside.shut_down)
            .finish()
    }
}
