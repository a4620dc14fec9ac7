//! Knows when: the clock, the timers, and [`sleep()`], [`timeout()`] and [`interval()`] on top of them.
//!
//! One petal of [unstuck](https://docs.rs/unstuck), which most programs use instead of this crate.
//!
//! # What happens to a timer
//! ```text
//!  sleep(d)                      a worker's thread, or any other
//!    │ first poll
//!    ├─► the waker of the poll that is going on: fresh.rs ──► dropped before that ends: gone
//!    ▼                                              │ still there
//!  shared.rs: shard ──lock──► wheel.rs: hung into its slot
//!    │                           │
//!    │ earliest of all?          │ due
//!    ▼                           ▼
//!  alarm.rs: ring ──unpark──► driver.rs: taken out of all wheels, sorted, woken outside every lock
//! ```
//! * [`TimeDriver`] wraps the driver a worker sleeps in, shortens the sleep to the next deadline, and wakes what is due.
//! * The timers are split over *shards*, one a worker, each with its own lock and its own wheel. A sleep stays with the
//!   shard of the thread that created it; other threads share them by the hash of their id.
//! * [`Clock`] says what time it is, really or virtually.
//!
//! # Promises
//! * Never early, to the nanosecond; late by no more than the thread that fires them is late.
//! * Timers that fall due together are woken in the order of their deadlines, whichever shard they lie in.
//! * Dropping a sleep removes its timer and its waker at once.
//! * A timer armed from any thread while the driver sleeps is not overslept (alarm.rs has the argument, `tests/loom.rs`
//!   the model).
//! * When a runtime ends, its pending timers are woken and say so; none waits for ever.
//!
//! # Rooms
//! `instant` · `monotonic` · `clock` · `slab` · `timer` · `wheel` · `alarm` · `shared` · `fresh` · `handle` · `driver` · `context` · `sleep` ·
//! `within` · `timeout` · `limit` · `interval`

#![forbid(unsafe_code)]

mod instant;

mod alarm;
mod clock;
pub mod context;
mod driver;
mod fresh;
mod handle;
mod interval;
mod limit;
mod monotonic;
mod shared;
mod slab;
mod slack;
mod sleep;
mod timeout;
mod timer;
mod wheel;
mod within;

#[doc(hidden)]
pub use alarm::{Alarm, Ring};
pub use clock::{Clock, HoldGuard};
pub use context::EnterGuard;
pub use driver::TimeDriver;
pub use handle::{NoTimer, Statistics, TimeHandle};
pub use instant::Instant;
pub use interval::{Interval, MissedTick, Tick, interval, interval_at};
pub use limit::{CannotReschedule, Limited, TimeLimit};
pub use slack::be_punctual;
pub use sleep::{Sleep, SleepWith, sleep, sleep_until};
pub use timeout::{Elapsed, Timeout, timeout, timeout_at};
