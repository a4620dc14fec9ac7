//! Queues, locks and other meeting points of tasks: asyncio's `Queue`, `Lock`, `Event`, `Condition`, `Semaphore`,
//! `Barrier`.
//!
//! | I want to … | |
//! |---|---|
//! | hand work from some to others, with a limit and with an end | [`Queue`], [`LifoQueue`], [`PriorityQueue`] |
//! | keep something for one at a time, over awaits | [`Lock`] |
//! | … for so many at a time | [`Semaphore`] |
//! | tell everybody that it has happened | [`Event`] |
//! | wait until shared data is as I need it | [`Condition`] |
//! | wait until all have come | [`Barrier`] |
//! | hand over one value, once | [`Deferred`](crate::Deferred) |
//!
//! ```
//! use unstuck::sync::Queue;
//!
//! unstuck::run(async {
//!     let jobs = Queue::bounded(2);
//!     let worker = unstuck::spawn({
//!         let jobs = jobs.clone();
//!         async move {
//!             let mut sum = 0;
//!             while let Ok(job) = jobs.get().await {
//!                 sum += job;
//!             }
//!             sum // after the shutdown, when the queue is empty
//!         }
//!     });
//!     for job in 1..=10 {
//!         jobs.put(job).await.unwrap(); // waits while two are there
//!     }
//!     jobs.shutdown();
//!     assert_eq!(worker.await.unwrap(), 55);
//! });
//! ```
//!
//! All of them are *handles*: a clone is the same queue, the same lock. They need no runtime, and join tasks of several
//! runtimes and plain threads: each wait has a blocking twin (`get_blocking`, `lock_blocking`, …) for threads.
//!
//! # Promises
//! 1. **First come, first served.** Who waits longer is served first, and nobody who comes later overtakes, not even with
//!    `try_…` in the moment between the choice and the run of the chosen one.
//! 2. **A cancelled wait costs nothing.** Whoever stops waiting, also one that has been chosen already, leaves the turn
//!    to the next: no item is lost, nobody waits for ever.
//! 3. **Nobody is kept from their turn by a loop that never has to wait.** A task whose waits are all ready at once gives way
//!    after a thousand of them, and sooner when they have taken long (see [`task::budgeted`](crate::task::budgeted)). It does so
//!    *before* it lines up or takes anything, so there is nothing to be lost, and nothing is held meanwhile.
//! 4. **Waking runs nobody's code.** Whoever releases, puts or sets goes on; those who are woken take their turns later.
//!
//! # Built with what?
//! The well-kept crates were put through tests of these promises:
//!
//! | | overtaking is refused | a chosen waiter may leave | and |
//! |---|---|---|---|
//! | `tokio::sync::Mutex`, `Semaphore` | yes | yes | need no runtime with the feature `sync` alone |
//! | `async_lock::Mutex`, `Semaphore` | no | yes | fast when nobody waits; a newcomer may win |
//! | `async_channel` | no | yes | no `join`, no other order than first in, first out |
//! | `tokio::sync::Barrier`, `async_lock::Barrier` | | no: who left still counts | |
//! | `tokio::sync::Notify` as a condition | yes | yes | keeps a notification for the future when nobody waits |
//!
//! So [`Lock`] and [`Semaphore`] are tokio's in our clothes, and [`Queue`] is a store between two of tokio's semaphores,
//! one for items and one for free places. [`Event`], [`Condition`] and [`Barrier`] are short and our own, made of
//! [`Deferred`](crate::Deferred)s the way asyncio makes them of its futures.
//!
//! They are in the feature `sync`, which is on by default and costs three quarters of a second to compile.
//!
//! # When not to use them
//! To protect data for some instructions without an await in between, `std::sync::Mutex` or `parking_lot` is right, also in
//! async code. A channel with one sender and one receiver at its hottest: any channel crate that needs no runtime works
//! here.

mod barrier;
mod budget;
mod condition;
mod event;
mod lock;
mod noted;
mod queue;
mod semaphore;

pub use barrier::{Barrier, BrokenBarrier};
pub use condition::Condition;
pub use event::Event;
pub use lock::{Lock, LockGuard};
pub use queue::{
    Fifo, GetError, Lifo, LifoQueue, Order, PriorityQueue, PutError, Queue, QueueOf, Smallest, TooManyDone,
};
pub use semaphore::{Permit, Semaphore};
