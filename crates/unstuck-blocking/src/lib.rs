//! Threads for calls that wait.
//!
//! A task that calls something blocking (reads a file, looks up a name, enters a C library) would hold its worker
//! thread while it waits. So it hands the call to a pool of other threads and awaits the result. The pool's business is
//! to have enough threads when many calls wait, few when few do, none when none does, and to cost little more than the
//! two thread switches that cannot be avoided.
//!
//! ```
//! use unstuck_blocking::ThreadPool;
//!
//! let pool = ThreadPool::builder().build()?;
//! let name = pool.spawn(|| std::fs::read_to_string("/etc/hostname"));
//! // In a task: name.await
//! let _ = name.wait();
//! # Ok::<(), std::io::Error>(())
//! ```
//!
//! # Map
//! * [`ThreadPool`], [`Handle`] (pool.rs), [`Builder`] (builder.rs): what users touch.
//! * roster.rs: who works and who waits, modelled in models.rs. Start reading there. lanes.rs: which job may begin, and
//!   which is next.
//! * seat.rs: where one thread waits. worker.rs: the life of one thread. desk.rs: what it does, and what happens when
//!   that waits. census.rs: which threads exist.
//! * [`Limiter`] (limiter.rs, gate.rs): limits of their own over the same threads.
//! * [`enter`], [`current`] (context.rs): the current pool of a thread.
//!
//! Promises: an idle thread is reused before one is made · no job begins beyond the limit · back to no threads after the
//! keep-alive · no wake-ups while idle, except one per keep-alive and leaving thread · a panic is the job's error, and
//! the thread lives on · a job is never lost: its handle always resolves · a pool never waits for itself: a job that
//! waits for another lets another thread work, or gets an error that names both.

#![forbid(unsafe_code)]

mod builder;
mod census;
mod context;
mod desk;
mod ending;
mod gate;
mod lanes;
mod limiter;
mod pool;
mod roster;
mod seat;
mod worker;

pub use builder::{Builder, Overflow};
pub use context::{EnterGuard, current, enter, try_current};
pub use limiter::{Limiter, LimiterStatistics};
pub use pool::{Handle, Route, Statistics, ThreadPool};
pub use unstuck_core::job::{RunningJob, Shutdown, ShutdownReport};

#[cfg(all(test, unstuck_loom))]
mod models;
#[cfg(all(test, not(unstuck_loom)))]
mod tests;
