//! Why a queue took nothing, or gave nothing.

use std::error::Error;
use std::fmt;

/// Why a queue did not take an item, which is inside.
#[derive(Clone, PartialEq, Eq)]
pub struct PutError<T> {
    item: T,
    full: bool,
}

/// Why a queue gave no item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GetError {
    empty: bool,
}

/// [`task_done`](super::QueueOf::task_done) was called more often than items were put in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooManyDone(pub(super) ());

impl<T> PutError<T> {
    pub(super) fn full(item: T) -> Self {
        Self { item, full: true }
    }

    pub(super) fn shut_down(item: T) -> Self {
        Self { item, full: false }
    }

    /// It was full, or others waited for its next place: asyncio's `QueueFull`.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.full
    }

    /// It has been shut down: asyncio's `QueueShutDown`.
    #[must_use]
    pub fn is_shut_down(&self) -> bool {
        !self.full
    }

    /// The item that was not taken.
    #[must_use]
    pub fn into_inner(self) -> T {
        self.item
    }
}

impl GetError {
    pub(super) fn empty() -> Self {
        Self { empty: true }
    }

    pub(super) fn shut_down() -> Self {
        Self { empty: false }
    }

    /// It was empty, or others waited for what is in it: asyncio's `QueueEmpty`.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.empty
    }

    /// It has been shut down and is empty: asyncio's `QueueShutDown`.
    #[must_use]
    pub fn is_shut_down(&self) -> bool {
        !self.empty
    }
}

impl<T> fmt::Display for PutError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.full {
            "the queue is full: use put(..), which waits, or try again later"
        } else {
            "the queue has been shut down and takes nothing any more"
        })
    }
}

impl<T> fmt::Debug for PutError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PutError({self})")
    }
}

impl fmt::Display for GetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.empty {
            "the queue has nothing to give now: use get(), which waits, or try again later"
        } else {
            "the queue has been shut down and is empty"
        })
    }
}

impl fmt::Display for TooManyDone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("task_done() was called more often than items were put in: call it once for each item")
    }
}

impl<T> Error for PutError<T> {}
impl Error for GetError {}
impl Error for TooManyDone {}
