//! The core of [unstuck](https://docs.rs/unstuck): tasks, a work-stealing scheduler with a stall guard, and the
//! single-threaded loop.
//!
//! It *runs futures* and knows nothing else: timers, sockets and pools are petals around it that never import each
//! other, and the crate `unstuck` gives them all asyncio's names. Use that one; this one is for those who build on
//! the mechanisms.
//!
//! | room | what happens there |
//! |---|---|
//! | `task` | a future, its outcome and who holds them |
//! | `sched` | how a task finds a thread: queues, stealing, who sleeps and who wakes |
//! | [`guard`] | a poll does not come back: who it is, and who serves the others meanwhile |
//! | [`LocalLoop`] | the single-threaded loop, asyncio's model |
//! | [`driver`] | where a worker sleeps: the seam to timers and sockets |
//! | [`job`] | what the pools run: a closure, its result, its handle |
//! | [`inspect`] | who waits for whom, while somebody wants to see |
//! | `context` | which runtime am I in? what does this poll leave to its end? |
//! | `precedence` | which threads go first on a crowded machine |
//! | `vars` | context variables: what a task knows without being told |

#[doc(hidden)]
pub mod sync;

mod block_on;
mod callbacks;
mod context;
pub mod driver;
mod error;
mod failure;
pub mod guard;
mod handle;
pub mod inspect;
pub mod job;
mod local;
mod metrics;
mod precedence;
mod sched;
mod task;
mod vars;

#[cfg(all(test, unstuck_loom))]
mod models;

#[doc(hidden)]
pub use block_on::{refuse_inside, wait as wait_here};
pub use callbacks::CallbackId;
#[doc(hidden)]
pub use callbacks::{Callback, Callbacks};
#[doc(hidden)]
pub use context::debts;
pub use context::{EnterGuard, as_pool_thread, current_task, is_inside, outside, spawn};
#[doc(hidden)]
pub use error::message as panic_message;
#[doc(hidden)]
pub use error::{Away, Loss};
pub use error::{JoinError, Origin};
pub use failure::{Failure, FailureKind, FailureSink};
pub use guard::{Checkpoint, checkpoint};
pub use handle::Handle;
pub use job::{Executor, Job, JobHandle};
pub use local::{LocalLoop, Stopper, spawn_local, spawn_local_as};
pub use metrics::Statistics;
#[doc(hidden)]
pub use precedence::{LONG as LONG_SLICE, step_back};
pub use sched::{Around, Config, Hook, Scheduler};
pub use task::{
    Cancelled, Canceller, CatchCancel, Frame, Inside, Reason, Resume, Step, Task, TaskId, TaskRef,
    catch_cancel, finally,
};
#[doc(hidden)]
pub use task::{proxy, scope};
pub use vars::{Context, ContextVar, Token, WrongToken};
