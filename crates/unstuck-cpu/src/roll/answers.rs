//! What goes into a roll and what comes out of it: the words in which it speaks with those who start shifts.

/// What does not change during a roll's life.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rules {
    /// So many jobs are worked on at the same time.
    pub(crate) threads: usize,
    /// So many threads may be added for those that wait.
    pub(crate) max_extra: usize,
}

/// Where a shift is to be started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "a shift that was counted as called must be started"]
pub(crate) enum Call {
    /// Nowhere: enough are at work or on their way.
    Nobody,
    /// On a thread of the pool.
    Main,
    /// On a thread added for one that waits. If it cannot be made, say so with [`Roll::no_extra`].
    Extra,
}

/// Where a shift runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Kind {
    pub(crate) extra: bool,
    /// A shift or a job is going on beneath it on the same thread.
    pub(crate) guest: bool,
}

/// How many do what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) queued: usize,
    pub(crate) running: usize,
    pub(crate) done: u64,
    pub(crate) arriving: usize,
    pub(crate) able: usize,
}
