//! What a roster is told once, and what its visits answer.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use crate::seat::Seat;

/// What does not change during a roster's life.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rules {
    /// No more users' jobs at once than this.
    pub(crate) max_threads: usize,
    /// So many of the runtime's own jobs beside them.
    pub(crate) reserved: usize,
    /// So many threads more, in the places of those whose jobs wait.
    pub(crate) max_lent: usize,
    /// No more threads at a time than this are started by those who submit; the others are started by those.
    pub(crate) starters: usize,
    /// No more users' jobs than this wait for a thread.
    pub(crate) bound: usize,
    /// Tell when so many jobs are queued, and at each doubling.
    pub(crate) high_water: usize,
    /// How long the oldest idle thread waits before it leaves.
    pub(crate) keep_alive: Duration,
    /// The longest spin before parking; zero never spins.
    pub(crate) spin: Duration,
}

/// What the submitter has to do now that the lock is free.
#[must_use = "a thread that was counted as called must be woken or started"]
pub(crate) enum Call {
    /// Nothing: enough threads are on their way, or all are busy.
    Nobody,
    /// Unpark this one.
    Wake(Arc<Seat>),
    /// Start a thread; if that fails, say so with [`Roster::start_failed`].
    Start,
}

/// A job was taken in.
pub(crate) struct Submitted {
    pub(crate) call: Call,
    /// The queue has just reached this remarkable length.
    pub(crate) tell: Option<usize>,
}

/// A job was not taken in.
#[derive(Debug)]
pub(crate) enum Refused<T> {
    /// The roster is closed.
    Closed(T),
    /// The queue is as long as it may be.
    Full(T),
}

/// What is to be done about a thread that could not be started.
#[must_use]
pub(crate) enum Failed<T> {
    /// Other threads will take the jobs; call this one, if any.
    Others(Call),
    /// There is no thread at all: nobody will ever run these.
    Alone(VecDeque<T>),
}

/// What is left to do when a roster closes.
#[must_use]
pub(crate) struct Closed<T> {
    /// The jobs that no thread will run.
    pub(crate) pending: VecDeque<T>,
    /// Threads to unpark: they leave when the queue is empty.
    pub(crate) idle: Vec<Arc<Seat>>,
}

/// How many do what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) threads: usize,
    pub(crate) idle: usize,
    pub(crate) arriving: usize,
    pub(crate) queued: usize,
    pub(crate) at_the_door: usize,
    pub(crate) running: usize,
    pub(crate) absent: usize,
    pub(crate) longest: usize,
}
