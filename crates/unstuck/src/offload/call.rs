//! A call with settings: a name, a limit, a thread of its own.

use std::fmt;
use std::sync::Arc;

use unstuck_blocking::{Limiter, Route, ThreadPool};
use unstuck_core::job::{Job, JobHandle, Options};

use crate::runtime::stack;

/// A call that waits, with settings: the long form of [`to_thread`](crate::to_thread).
///
/// ```
/// use unstuck::offload::{self, Limiter};
///
/// # unstuck::run(async {
/// let database = Limiter::new("database", 4); // however many tasks ask it, four calls at a time
/// let query = offload::call().name("query").limiter(&database).spawn(|| "42 rows");
/// assert_eq!(query.await.unwrap(), "42 rows");
/// # });
/// ```
#[track_caller]
pub fn call() -> Call<'static> {
    Call { options: Options::new(), route: Route::new(), pool: None }
}

/// Collects the settings of a call: see [`call`].
#[derive(Clone)]
#[must_use = "nothing happens before spawn()"]
pub struct Call<'p> {
    options: Options,
    route: Route,
    pool: Option<&'p ThreadPool>,
}

impl<'p> Call<'p> {
    /// A name that errors and reports show.
    pub fn name(mut self, name: impl Into<Arc<str>>) -> Self {
        self.options = self.options.name(name);
        self
    }

    /// Counts against this limit, and waits for it in line, without a thread.
    pub fn limiter(mut self, limiter: &Limiter) -> Self {
        self.route = self.route.limiter(limiter);
        self
    }

    /// On a thread made for this call alone, which ends with it and counts against no limit of the pool. For calls that
    /// last: a listener, a watcher of files.
    pub fn own_thread(mut self) -> Self {
        self.route = self.route.own_thread();
        self
    }

    /// Dropping the handle cancels the call, as [`JobHandle::cancel`] does; without this it goes on by itself. So a task
    /// that is cancelled while it awaits the call takes the call with it.
    pub fn cancel_on_drop(mut self) -> Self {
        self.options = self.options.cancel_on_drop();
        self
    }

    /// In this pool instead of the runtime's.
    pub fn on<'q>(self, pool: &'q ThreadPool) -> Call<'q> {
        Call { options: self.options, route: self.route, pool: Some(pool) }
    }

    /// Starts the call, and gives a future of its result. Always on a thread of the pool (or its own), however short it
    /// is.
    ///
    /// # Cancellation
    /// As for [`to_thread`](crate::to_thread), but see [`cancel_on_drop`](Self::cancel_on_drop).
    ///
    /// # Errors
    /// As for [`to_thread`](crate::to_thread).
    ///
    /// # Panics
    /// Panics outside a runtime, unless it is given a pool.
    #[track_caller]
    pub fn spawn<J: Job>(self, job: J) -> JobHandle<J::Output> {
        let Call { options, route, pool } = self;
        let started = stack::with_current(|handle| match (pool, handle) {
            (Some(pool), None) => Some(pool.submit_in(job, options, &route)),
            (Some(pool), Some(handle)) => Some(pool.submit_in(job, handle.stack().held(options), &route)),
            (None, Some(handle)) => {
                let stack = handle.stack();
                Some(stack.blocking.submit_in(job, stack.held(options), &route))
            }
            (None, None) => None,
        });
        started.unwrap_or_else(|| super::no_runtime("offload::call().spawn"))
    }
}

impl fmt::Debug for Call<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Call")
            .field("options", &self.options)
            .field("route", &self.route)
            .field("pool", &self.pool)
            .finish()
    }
}
