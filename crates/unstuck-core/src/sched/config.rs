//! How a scheduler is made.

use std::fmt;
use std::sync::Arc;

use crate::failure::FailureSink;
use crate::guard::GuardConfig;

/// A function called on each worker thread.
pub type Hook = Arc<dyn Fn() + Send + Sync>;

/// A function around each worker thread's life: it is given the worker's number, and calls its argument once, inside
/// the guards it holds.
pub type Around = Arc<dyn Fn(usize, &mut dyn FnMut()) + Send + Sync>;

/// How a [`Scheduler`](super::Scheduler) is made.
#[derive(Clone)]
pub struct Config {
    /// Worker threads, at least one.
    pub workers: usize,
    /// Thread names are this, a dash and a number.
    pub name: String,
    /// Stack size of the worker threads in bytes; `None` is the platform's default.
    pub stack_size: Option<usize>,
    /// Called on each worker thread before its first task.
    pub on_start: Option<Hook>,
    /// Called on each worker thread after its last task.
    pub on_stop: Option<Hook>,
    /// Called around each worker thread's work.
    pub around: Option<Around>,
    /// What happens when a poll does not come back.
    pub guard: GuardConfig,
    /// Where failures are told that nobody looks at; stderr if nowhere.
    pub on_failure: Option<FailureSink>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            workers: 1,
            name: "unstuck".into(),
            stack_size: None,
            on_start: None,
            on_stop: None,
            around: None,
            guard: GuardConfig::default(),
            on_failure: None,
        }
    }
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config")
            .field("workers", &self.workers)
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}
