//! Threads for calls that compute, on rayon.
//!
//! A task that computes for milliseconds holds its worker, and a hundred threads that compute at once only take the
//! cores from each other. So computing has its own pool, as large as the machine, and a queue in front of it. It is
//! what Python needs a `ProcessPoolExecutor` for: Rust's threads compute at the same time as they are.
//!
//! ```
//! use unstuck_cpu::CpuPool;
//!
//! let pool = CpuPool::builder().threads(2).build()?;
//! let sum = pool.spawn(|| (1..=1_000_000_u64).sum::<u64>());
//! // In a task: sum.await
//! assert_eq!(sum.wait().unwrap(), 500_000_500_000);
//! # Ok::<(), std::io::Error>(())
//! ```
//!
//! # Map
//! * [`CpuPool`], [`Handle`] (pool.rs), [`Builder`] (builder.rs): submit jobs, [`install`](CpuPool::install) a parallel
//!   iterator.
//! * [`Map`] (map.rs): apply a function to many items, results in order, a bounded number ahead.
//! * roll.rs: who works on the queue: start reading there. engine.rs: how that becomes closures on rayon's threads.
//!   crew.rs: the threads' lives. permits.rs: how many of them compute while others need CPUs.
//! * [`enter`], [`current`] (context.rs): the current pool of a thread.
//!
//! A plain `rayon::ThreadPool` runs jobs too: it implements [`Executor`](unstuck_core::Executor).
//!
//! # Does not
//! * Stop a job that runs: a thread cannot be killed. Work that must be killable belongs in a process of its own.
//! * Give leaked memory back: threads can be replaced after so many jobs
//!   ([`max_jobs_per_thread`](Builder::max_jobs_per_thread), Python's `max_tasks_per_child`), and new ones have new
//!   thread-locals. But all threads share one heap: what leaks there only a process gives back when it ends.
//! * Make waiting cheap: a job that waits for another one ([`JobHandle::wait`](unstuck_core::JobHandle::wait)) gets a
//!   thread added in its place, up to 64, and after that an error that names both. Inside a job rayon's `join` and
//!   `par_iter` work while they wait, and in a task `.await` does.

#![forbid(unsafe_code)]

mod builder;
mod context;
mod crew;
mod engine;
mod map;
mod permits;
mod pool;
mod roll;

pub use builder::Builder;
pub use context::{EnterGuard, current, enter, try_current};
pub use map::Map;
pub use pool::{CpuPool, Handle, Statistics};
pub use unstuck_core::job::{RunningJob, Shutdown, ShutdownReport};

#[cfg(all(test, unstuck_loom))]
mod models;
#[cfg(all(test, not(unstuck_loom)))]
mod tests;
