//! What a scheduler or loop says about itself.

/// Counters and sizes of a scheduler or a single-threaded loop at one moment.
///
/// Each number is read by itself while the workers go on: they need not add up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Statistics {
    /// Worker threads.
    pub workers: usize,
    /// Workers that sleep because there is nothing to do.
    pub sleeping_workers: usize,
    /// Unfinished tasks.
    pub tasks: usize,
    /// Runnable tasks that came from outside and have not reached a worker yet.
    pub injected: usize,
    /// Runnable tasks in the workers' own queues.
    pub queued: usize,
    /// Polls begun since the start.
    pub polls: u64,
    /// Successful steals from another worker's queue since the start (each moves up to half of the queue).
    pub steals: u64,
    /// Times a worker went to sleep since the start; for the single-threaded loop, its turns.
    pub parks: u64,
    /// Polls since the start that the stall guard found stuck.
    pub stalls: u64,
    /// Times the stall guard let another thread work in a stuck worker's place.
    pub rescues: u64,
    /// Tasks that the stall guard moved out from behind a stuck poll.
    pub rescued_tasks: u64,
}
