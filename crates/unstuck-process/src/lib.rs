//! Child processes for jobs that must be isolated, or killed.
//!
//! # The problem
//! A thread cannot be killed. Code that never comes back holds its thread for ever; code that crashes takes the whole
//! program along; code that leaks, leaks into your heap. Python has `ProcessPoolExecutor` for such work (and for computing,
//! which Rust's threads do without it), but there one killed child breaks the pool for good, and a job that has begun
//! cannot be stopped.
//!
//! # The promise
//! * A job that crashes, exits, is killed or runs for too long fails **alone**, with an error that tells how its process
//!   ended, and the end of its stderr. The pool goes on with another process.
//! * A job is never done twice, and none is lost: its handle always resolves.
//! * [`JobHandle::cancel`](unstuck_core::JobHandle::cancel) takes back a queued job, and kills one that runs.
//! * No process is left behind: not by the pool's end, not when this program is killed. No zombies.
//! * Idle children leave after the keep-alive; while everything is idle, nothing wakes up.
//!
//! ```
//! use std::time::Duration;
//! use unstuck::process::ProcessPool;
//!
//! #[unstuck::job]
//! fn parse(text: String) -> usize {
//!     if text.contains("boom") {
//!         std::process::abort() // as a C library might
//!     }
//!     text.len()
//! }
//!
//! #[unstuck::main]
//! async fn main() {
//!     let pool = ProcessPool::builder().max_children(2).timeout(Duration::from_secs(5)).build().unwrap();
//!     let (good, bad) = (pool.spawn(parse::job("fine".into())), pool.spawn(parse::job("boom".into())));
//!     assert_eq!(good.await.unwrap(), 4);
//!     let error = bad.await.unwrap_err();
//!     assert_eq!(error.signal(), Some(6), "{error}"); // … was lost: its worker process 4711 was killed by signal 6
//! }
//! ```
//!
//! # The life of a child
//! 1. **Started** when a job finds no idle child and there may be one more: this program again, one end of a socket pair
//!    as its stdin ([`serve_if_child`], inside.rs). Milliseconds, most of them the program's own start.
//! 2. **Greeted**: it hears its limits, sets them, and says ready, with a fingerprint of the jobs it knows. Then the
//!    initializer, if there is one.
//! 3. **Works**: one job at a time; name and arguments go there, output or panic message come back (wire.rs). It stays
//!    warm, so that the next job costs tens of microseconds.
//! 4. **Leaves** when it has been idle for the keep-alive, or has had its number of jobs: its socket is closed, and it
//!    exits in order.
//! 5. Or **dies**: by itself, by a cancel, by its timeout, or with its parent (`PR_SET_PDEATHSIG`). The job that it had
//!    begun fails. What the job has started dies too: they are one process group.
//!
//! # Map
//! * [`ProcessPool`], [`Handle`] (pool.rs), [`Builder`] (builder.rs), [`Map`] (map.rs): what users touch.
//! * [`PortableJob`] (portable.rs): jobs that another process knows by name. parcel.rs: one on its way.
//! * keeper.rs: the thread that looks after one child. **Start reading there.** worker.rs: the child as it sees it.
//!   seat.rs: what others may do to it. roster.rs: which job goes to whom. stderr.rs: last words.
//! * inside.rs: the child's own program. wire.rs: what goes over the socket. os.rs: what the system is asked for.
//!
//! # Rejected
//! * *`fork` without `exec`*: the child of a program with threads may call next to nothing.
//! * *A server process that forks warm children*: the same, once removed.
//! * *One thread that looks after all children*: the kernel sends the parent-death signal when the *thread* that
//!   started the child ends. A thread for each child is simple, and sleeps in `poll`.
//! * *An acknowledgement when a job begins*, to know what may be sent again: the kernel tells it for nothing (keeper.rs).
//! * *Shared memory for large arguments*: a megabyte takes about a millisecond through the socket; a file is the better
//!   way for more.
//!
//! # Does not
//! * Run closures: they cannot travel. `#[unstuck::job]` makes a named job of a function.
//! * Sandbox. A child may do whatever this program may.
//! * Look into results for their depth: they are read by recursion, as serde does, on the stack of a thread here
//!   ([`Builder::stack_size`]).
//! * Work without Unix. On Linux all of it is tested; elsewhere there is no parent-death signal on some systems, and a
//!   child outlives a killed parent until its job has ended.

#![forbid(unsafe_code)]

mod builder;
mod inside;
mod keeper;
mod map;
mod os;
mod parcel;
mod pool;
mod portable;
mod roster;
mod seat;
mod stderr;
mod wire;
mod worker;

pub use builder::Builder;
pub use inside::serve_if_child;
pub use map::Map;
pub use pool::{Handle, ProcessPool, Statistics};
pub use portable::PortableJob;
/// Bytes that travel as they are: for large arguments and results inside of other types. A plain `Vec<u8>` as an argument
/// or as the result of a [`#[unstuck::job]`](https://docs.rs/unstuck/latest/unstuck/attr.job.html) does so by itself.
pub use serde_bytes::ByteBuf;
pub use unstuck_core::job::{Options, RunningJob, Shutdown, ShutdownReport};

/// What the macros expand to. Not for use by hand.
#[doc(hidden)]
pub mod __private {
    pub use crate::inside::TestEntry;
    pub use crate::portable::Entry;
    pub use inventory;
    pub use postcard;
    pub use serde::{Deserialize, Deserializer, Serialize, Serializer};
    pub use serde_bytes::{ByteBuf, Bytes};
    pub use unstuck_core::Job;
}
