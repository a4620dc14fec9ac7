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
//! * engine.rs: the queue, and rayon underneath. Start reading there.
//! * [`enter`], [`current`] (context.rs): the current pool of a thread.
//!
//! A plain `rayon::ThreadPool` runs jobs too: it implements [`Executor`](unstuck_core::Executor).
//!
//! # Does not
//! * Stop a job that runs: a thread cannot be killed. Work that must be killable belongs in a process of its own.
//! * Notice a job that waits for another job of the same full pool: inside a job use rayon's `join` and `par_iter`, which
//!   work while they wait.

#![forbid(unsafe_code)]

mod builder;
mod context;
mod engine;
mod map;
mod pool;

pub use builder::Builder;
pub use context::{EnterGuard, current, enter, try_current};
pub use map::Map;
pub use pool::{CpuPool, Handle, Statistics};
pub use unstuck_core::job::{RunningJob, Shutdown, ShutdownReport};

#[cfg(test)]
mod tests;
