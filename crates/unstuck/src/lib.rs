//! A multi-threaded async runtime in which one task that blocks or computes does not stall the others, with asyncio's
//! vocabulary.
//!
//! ```
//! use std::time::Duration;
//! use unstuck::{cpu, gather, sleep, spawn, to_thread};
//!
//! unstuck::run(async {
//!     let heartbeat = spawn(async {
//!         loop {
//!             sleep(Duration::from_millis(10)).await; // keeps beating, whatever happens below
//!         }
//!     });
//!     let (file, sum) = gather!(
//!         to_thread(|| std::fs::read_to_string("Cargo.toml")), // waits
//!         cpu(|| (1..=1_000_000_u64).sum::<u64>()),            // computes
//!     )
//!     .await;
//!     println!("{} bytes, sum {}", file.unwrap().unwrap().len(), sum.unwrap());
//!     heartbeat.cancel();
//! });
//! ```
//!
//! # Map
//!
//! | I want to … | |
//! |---|---|
//! | run async code | [`run`](run()), [`#[unstuck::main]`](macro@main), [`Runtime`] |
//! | … several times in one runtime | [`Runner`] |
//! | … on one thread, as asyncio does | [`run_single`], [`EventLoop`] |
//! | start something beside | [`spawn`], [`create_task`], [`spawn_local`] |
//! | wait for several things | [`gather!`](macro@gather), [`gather`](gather()), [`try_gather`](try_gather()) |
//! | start tasks that end together, whatever happens | [`task_group`](task_group()) |
//! | wait for the first, or for each as it comes | [`wait`](wait()), [`as_completed`](as_completed()) |
//! | wait for some time, or no longer than that | [`sleep`], [`interval`], [`wait_for`], [`timeout`](timeout()) |
//! | move a time limit while it runs | [`TimeLimit`] |
//! | call something that waits | [`to_thread`] (or [`spawn_blocking`]) |
//! | call something that computes | [`cpu`](cpu()), for many items [`par_map`] |
//! | … in a pool of my own, under a limit, with a name | [`run_in_executor`], [`offload`], [`offload::call`] |
//! | read a file, look up a name | [`fs`], [`net::lookup`] |
//! | call something that may crash, or must be killed | `process::ProcessPool` (feature `process`) |
//! | hand a value from one to many | [`Deferred`] |
//! | hand work from task to task, share what takes turns | [`sync`]: queues and locks |
//! | have a function called when a task has ended | [`Task::add_done_callback`] |
//! | call a plain function soon, later, at a time | [`Handle::call_soon`], [`Handle::call_later`], [`Handle::call_at`] |
//! | know whom I work for, without being told | [`ContextVar`](contextvars) |
//! | see what is going on | [`debug::graph`], [`Builder::inspect`] and `unstuck-ps`, [`all_tasks`], [`Runtime::statistics`], [`Timed::timed`] |
//! | know which task holds up the others | `UNSTUCK_DEBUG=1`, [`Builder::on_stall`], [`StallReport`] |
//! | hear of failures that nobody awaits | [`Builder::exception_handler`], [`Failure`] |
//! | say what becomes of tasks at the end | [`OnExit`] |
//! | do something at Ctrl-C | [`signal`] |
//! | test code that sleeps | `#[unstuck::test(start_paused = true)]` |
//! | fail a test that blocks its thread | `#[unstuck::test(no_stalls)]` |
//!
//! # CPU-bound tasks and blocking code
//!
//! A task runs until its next `.await`. In between, its worker thread serves nobody else. On workers a *stall guard*
//! notices a poll that does not come back, lets another thread serve the tasks and timers behind it, and can tell you
//! who it was ([`Builder::stall_guard`], on unless you switch it off). That takes some milliseconds each time, and cannot
//! help the futures in the same task, nor a single-threaded loop. So:
//!
//! * **It waits** (a file, DNS, a C library, a blocking client): [`to_thread`].
//! * **It computes** for longer than about 100 µs: [`cpu`](cpu()).
//! * **A long loop** that has to stay in the task: [`checkpoint`](checkpoint()) in each round.
//!
//! `cargo run --release --example contrast` in the repository shows the difference on a real HTTP service.
//!
//! # Not here (yet)
//!
//! Sockets: `async-io` and `async-net` work on this runtime as they are. Libraries that need tokio's runtime do not.
//! What is there and what is not, the repository's README says; the book (`docs/src` there) tells more about everything
//! here.

#![forbid(unsafe_code)]

mod aio;
#[cfg(doctest)]
mod book;
pub mod contextvars;
pub mod debug;
pub mod fs;
pub mod guard;
pub mod net;
pub mod offload;
mod runtime;
pub mod signal;
#[cfg(feature = "sync")]
pub mod sync;
pub mod task;

pub use aio::as_completed::{AsCompleted, AsCompletedWithin, as_completed};
pub use aio::call::CallHandle;
pub use aio::checkpoint::{Checkpoint, checkpoint};
pub use aio::coroutine::Coroutine;
pub use aio::deferred::{Deferred, DeferredError};
pub use aio::gather::{gather, try_gather};
pub use aio::run::{run, run_single};
pub use aio::task_group::{Child, GroupError, GroupFailure, NoValue, TaskGroup, task_group};
pub use aio::timed::{Timed, TimedFuture};
pub use aio::wait::{
    ALL_COMPLETED, AllCompleted, Done, FIRST_COMPLETED, FIRST_EXCEPTION, FirstCompleted, FirstException,
    NothingToWaitFor, ReturnWhen, Wait, wait,
};
pub use aio::wait_for::{Shield, shield, wait_for};
pub use aio::yield_now::{YieldNow, yield_now};
pub use contextvars::ContextVar;
pub use offload::{Executor, JobHandle, cpu, par_map, run_in_executor, spawn_blocking, to_thread};
pub use runtime::{Builder, EnterGuard, EventLoop, Handle, OnExit, RunError, Runner, Runtime, Statistics};
pub use task::{Task, TaskId, TaskRef, all_tasks, create_task, spawn, spawn_local};
pub use unstuck_core::guard::{StallPolicy, StallReport};
pub use unstuck_core::{CallbackId, Failure, FailureKind};
#[doc(inline)]
pub use unstuck_core::{Cancelled, Canceller, CatchCancel, JoinError, Reason, Resume, catch_cancel, finally};
#[cfg(feature = "process")]
pub use unstuck_macros::job;
pub use unstuck_macros::{coroutine, main, test, timed};
#[cfg(feature = "process")]
pub use unstuck_process as process;
pub use unstuck_time::{
    CannotReschedule, Elapsed, Instant, Interval, Limited, MissedTick, Sleep, SleepWith, TimeLimit, Timeout,
    interval, interval_at, sleep, sleep_until, timeout, timeout_at,
};

/// The time since this thread's runtime was made: asyncio's `loop.time()`.
///
/// # Panics
/// Panics outside a runtime.
#[track_caller]
#[must_use]
pub fn time() -> std::time::Duration {
    Handle::current().time()
}

/// What the macros expand to. Not for use by hand.
#[doc(hidden)]
pub mod __private {
    pub use crate::aio::coroutine::coroutine;
    pub use crate::aio::gather::{Several, SeveralFallible};
    pub use crate::aio::no_stalls::{no_stalls, no_stalls_single};
    pub use crate::aio::timed::*;
    pub use crate::runtime::runner::{main, main_single};
    #[cfg(feature = "process")]
    pub use unstuck_process::serve_if_child;

    /// Without the feature `process` there are no child processes.
    #[cfg(not(feature = "process"))]
    pub fn serve_if_child() {}
}
