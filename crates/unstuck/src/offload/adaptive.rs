//! Adaptive offload: a call that has shown to be short does not leave its worker.
//!
//! Waking another thread and being woken by it costs microseconds, often tens of them; many closures given to
//! `to_thread` take a fraction of one: a file that the kernel has in memory, a lock that is free. The kernel's own name for
//! the idea is "optimistic": do it here, be ready to be wrong.
//!
//! ```text
//!   to_thread(f) ── is the site short? (sites.rs) ── no, or unknown ───────────────────▶ the pool, and its time is taken
//!                        │ yes, and a task calls                                            ▲
//!                        ▼                                                                  │ no
//!                   a task with the job, on this worker ── its turn ── still short? ────────┘
//!                                                                       │ yes
//!                                                                       ▼
//!                                                          runs here, and its time is taken
//! ```
//!
//! **The net.** A closure that is slow after all holds its worker like any task that blocks: the stall guard serves what
//! waits behind it after its threshold, and names the call site in its report. The site is long from then on, for those that
//! wait behind it in the queue too.
//!
//! **As in the pool.** The closure sees no worker and no task (`as_pool_thread`): it may block, call `Handle::block_on` and
//! `JobHandle::wait`, and what it spawns goes where others find it. It starts after the poll that made the call, not
//! within: the caller may hold a lock that the closure wants. What differs is the thread: its name, its thread-locals.
//!
//! **Ends.** The task is nobody's: `all_tasks()` does not list it, so that who cancels those cancels no call. The end of the
//! runtime finds the calls that run by their workers' desks (desks.rs), asks them to stop and names them; those that have
//! not begun go to the pool when their tasks are cancelled, and take its end. Once the pool is closed by hand no call
//! becomes a task any more.
//!
//! Dropped: running it when the handle is polled first. That saves a task (some 60 ns of 200), and runs the closure
//! under the caller's frames, where a combinator may hold a lock; and a handle that is never polled would never run it.

use std::future::Future;
use std::panic::Location;
use std::pin::Pin;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};

use unstuck_core::JobHandle;
use unstuck_core::job::{Options, QueuedJob, job};

use super::desks;
use super::sites::Site;
use crate::runtime::stack::{self, Stack};

/// Submits `f`, which was given to `to_thread` at `place`: to a task here if it is short, else to the pool.
#[inline]
pub(super) fn submit<F, T>(
    stack: &Stack,
    options: Options,
    place: &'static Location<'static>,
    f: F,
) -> JobHandle<T>
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    // Relaxed: a switch. A call that is made while it is turned is on one side or the other.
    let site = if stack.adaptive.load(Ordering::Relaxed) { Site::of::<F>(place) } else { None };
    let Some(site) = site else {
        return stack.blocking.submit(f, stack.held(options));
    };
    if site.is_short() && stack.core.is_on_worker() {
        // Around the closure alone: whoever awaits it is woken as a worker wakes, into its own queue.
        let (queued, handle) = job(move || unstuck_core::as_pool_thread(f), options);
        stack.core.spawn_call(place, Short { job: Some(queued), site });
        return handle;
    }
    let timed = move || {
        let _run = site.begin_in_pool();
        f()
    };
    stack.blocking.submit(timed, options)
}

/// A job that is expected to be short, as a task.
struct Short {
    job: Option<QueuedJob>,
    site: &'static Site,
}

impl Future for Short {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
        if let Some(job) = self.job.take() {
            match self.site.begin() {
                Some(run) => {
                    desks::begins(&job, run.since());
                    job.run();
                    run.end();
                }
                None => turns_away(job),
            }
        }
        Poll::Ready(())
    }
}

impl Drop for Short {
    /// The runtime ends, and has cancelled this task before its turn. A call in a pool would not be gone for that.
    fn drop(&mut self) {
        if let Some(job) = self.job.take() {
            to_pool(job);
        }
    }
}

/// The site has become long since the call: the pool takes it over. If that was closed by hand meanwhile, the call, which was
/// accepted before, ends where it is.
#[cold]
fn turns_away(job: QueuedJob) {
    if stack::with_current(|handle| handle.is_some_and(|handle| handle.stack().blocking.is_closed())) {
        job.run();
    } else {
        to_pool(job);
    }
}

/// The pool takes it, or says that it is closed. Dropping the job, if there is no runtime here any more, cancels it.
#[cold]
fn to_pool(job: QueuedJob) {
    stack::with_current(|handle| {
        if let Some(handle) = handle {
            handle.stack().blocking.handle().submit_queued(job);
        }
    });
}
