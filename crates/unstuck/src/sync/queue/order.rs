//! Which item comes out next.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

/// In which order a [`QueueOf`](super::QueueOf) gives its items: [`Fifo`], [`Lifo`] or [`Smallest`].
pub trait Order<T>: sealed::Sealed {
    /// Where the items lie.
    #[doc(hidden)]
    type Store: Default;

    #[doc(hidden)]
    fn push(store: &mut Self::Store, item: T);

    #[doc(hidden)]
    fn pop(store: &mut Self::Store) -> Option<T>;

    #[doc(hidden)]
    fn len(store: &Self::Store) -> usize;
}

/// First in, first out.
#[derive(Clone, Copy, Debug)]
pub struct Fifo;

/// Last in, first out.
#[derive(Clone, Copy, Debug)]
pub struct Lifo;

/// The smallest first; equal ones first in, first out.
#[derive(Clone, Copy, Debug)]
pub struct Smallest;

mod sealed {
    pub trait Sealed {}
    impl Sealed for super::Fifo {}
    impl Sealed for super::Lifo {}
    impl Sealed for super::Smallest {}
}

impl<T> Order<T> for Fifo {
    type Store = VecDeque<T>;

    fn push(store: &mut VecDeque<T>, item: T) {
        store.push_back(item);
    }

    fn pop(store: &mut VecDeque<T>) -> Option<T> {
        store.pop_front()
    }

    fn len(store: &VecDeque<T>) -> usize {
        store.len()
    }
}

impl<T> Order<T> for Lifo {
    type Store = Vec<T>;

    fn push(store: &mut Vec<T>, item: T) {
        store.push(item);
    }

    fn pop(store: &mut Vec<T>) -> Option<T> {
        store.pop()
    }

    fn len(store: &Vec<T>) -> usize {
        store.len()
    }
}

/// A heap, and a count that tells equal items apart.
#[derive(Debug)]
pub struct Heap<T> {
    heap: BinaryHeap<Reverse<(T, u64)>>,
    pushed: u64,
}

impl<T: Ord> Default for Heap<T> {
    fn default() -> Self {
        Self { heap: BinaryHeap::new(), pushed: 0 }
    }
}

impl<T: Ord> Order<T> for Smallest {
    type Store = Heap<T>;

    fn push(store: &mut Heap<T>, item: T) {
        store.pushed += 1;
        store.heap.push(Reverse((item, store.pushed)));
    }

    fn pop(store: &mut Heap<T>) -> Option<T> {
        store.heap.pop().map(|Reverse((item, _))| item)
    }

    fn len(store: &Heap<T>) -> usize {
        store.heap.len()
    }
}
