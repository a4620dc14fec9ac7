//! [`TimeLimit`]: a timeout whose deadline can be moved, and that can be asked afterwards.
//!
//! [`timeout()`](crate::timeout()) is a future and a timer, and knows nothing of anybody else. Here a small shared record
//! stands beside them:
//!
//! ```text
//!   Made ── first poll of run(..) ──► Entered ── time over, the inside is told ──► Expiring ──► Expired
//!                                      │  ▲                                              as the future ends
//!                                      │  └ reschedule: a new deadline, a new version
//!                                      └── the future ends ──► Finished
//! ```
//! The future compares the record's version with the one that its timer was armed for: before each poll, after each poll
//! that returned pending (whoever is inside may have moved the deadline), and in the step that decides to cancel. All
//! three happen under the record's lock, so a `reschedule` that says `Ok` counts. Between polls the record holds the
//! task's waker, for whoever moves the deadline from elsewhere.

use std::error::Error;
use std::fmt;
use std::future::{Future, IntoFuture};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use pin_project_lite::pin_project;
use unstuck_core::sync::{Mutex, MutexGuard};

use crate::instant::{Instant, NEVER};
use crate::sleep::{Sleep, sleep_until};
use crate::timeout::Elapsed;
use crate::within::{Limit, Within};

/// A time limit that can be moved while it runs, and asked afterwards: asyncio's `async with timeout(..) as limit`.
///
/// If the limit stays as it is, [`timeout`](crate::timeout()) is shorter and cheaper: this one costs an allocation.
///
/// ```no_run
/// # use std::time::Duration;
/// # use unstuck_time::{Instant, TimeLimit};
/// # async fn connect() {}
/// # async fn next_block() -> Option<u8> { None }
/// # async fn example() {
/// let limit = TimeLimit::after(Duration::from_secs(5));
/// let outcome = limit
///     .run(async {
///         connect().await;
///         while let Some(block) = next_block().await {
///             // It is alive: another five seconds for the next block.
///             limit.reschedule(Instant::now() + Duration::from_secs(5)).unwrap();
///         }
///     })
///     .await;
/// assert_eq!(outcome.is_err(), limit.expired());
/// # }
/// ```
///
/// Clones are the same limit: give one to another task that may move it.
#[derive(Clone)]
pub struct TimeLimit {
    shared: Arc<Shared>,
}

struct Shared {
    record: Mutex<Record>,
}

struct Record {
    stage: Stage,
    deadline: Option<Instant>,
    /// Grows when the deadline is moved.
    version: u64,
    /// Of the task that waits within the limit, between its polls.
    waker: Option<Waker>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Made,
    /// `run` was called; its future has not been polled.
    Taken,
    Entered,
    Expiring,
    Expired,
    Finished,
}

impl TimeLimit {
    /// Ends `duration` from now; `Duration::MAX` is [`none`](Self::none). Time counts from this call.
    #[must_use]
    pub fn after(duration: Duration) -> Self {
        Self::at(Instant::now() + duration)
    }

    /// Ends at `deadline`.
    #[must_use]
    pub fn at(deadline: Instant) -> Self {
        Self::new(Some(deadline))
    }

    /// Never ends, until it is [given a deadline](Self::reschedule).
    #[must_use]
    pub fn none() -> Self {
        Self::new(None)
    }

    fn new(deadline: Option<Instant>) -> Self {
        let record = Record { stage: Stage::Made, deadline: named(deadline), version: 0, waker: None };
        Self { shared: Arc::new(Shared { record: Mutex::new(record) }) }
    }

    /// Waits for `future`, no longer than this limit allows. A limit serves once.
    ///
    /// What happens when the time is over is told at [`timeout`](crate::timeout()): what is inside is cancelled, its end is
    /// awaited, and a value that it gives all the same is what you get.
    ///
    /// # Cancellation
    /// Dropping it drops the future. A cancellation of the task passes through: it never looks like [`Elapsed`], and leaves
    /// [`expired`](Self::expired) false unless the time was over as well.
    ///
    /// # Errors
    /// [`Elapsed`] if the deadline passed before the future was ready.
    ///
    /// # Panics
    /// If it is called a second time. The future, if it must wait on a thread that is in no runtime.
    #[track_caller]
    pub fn run<F: IntoFuture>(&self, future: F) -> Limited<F::IntoFuture> {
        let mut record = self.shared.record.lock();
        let (stage, deadline) = (record.stage, record.deadline);
        if stage == Stage::Made {
            record.stage = Stage::Taken;
        }
        drop(record);
        assert!(stage == Stage::Made, "a TimeLimit serves one run(..): make another one for this future");
        let movable = Movable { shared: self.shared.clone(), seen: 0, sleep: deadline.map(sleep_until) };
        let over = deadline.is_some_and(|deadline| deadline <= Instant::now());
        Limited { within: Within::new(future.into_future(), movable, over) }
    }

    /// Moves the deadline, or with `None` takes it away. A deadline that has passed cancels what is inside at its next
    /// await.
    ///
    /// # Errors
    /// If the limit does not run: it was not entered yet, has expired, or its future has ended. The error says which.
    pub fn reschedule(&self, deadline: impl Into<Option<Instant>>) -> Result<(), CannotReschedule> {
        let mut record = self.shared.record.lock();
        if record.stage != Stage::Entered {
            return Err(CannotReschedule(record.stage));
        }
        record.deadline = named(deadline.into());
        record.version += 1;
        let waker = record.waker.take();
        drop(record); // before the waker, which is foreign code
        if let Some(waker) = waker {
            waker.wake();
        }
        Ok(())
    }

    /// The deadline; `None` if there is none.
    #[must_use]
    pub fn when(&self) -> Option<Instant> {
        self.shared.record.lock().deadline
    }

    /// True once the time was over and what is inside was cancelled for it, also if that gave a value all the same.
    #[must_use]
    pub fn expired(&self) -> bool {
        matches!(self.shared.record.lock().stage, Stage::Expiring | Stage::Expired)
    }
}

/// The end of time is no deadline.
fn named(deadline: Option<Instant>) -> Option<Instant> {
    deadline.filter(|deadline| deadline.as_nanos() != NEVER)
}

pin_project! {
    /// The future of [`TimeLimit::run`].
    #[must_use = "a time limit does nothing unless you .await its run(..)"]
    pub struct Limited<F> {
        #[pin]
        within: Within<F, Movable>,
    }
}

impl<F: Future> Future for Limited<F> {
    type Output = Result<F::Output, Elapsed>;

    /// # Panics
    /// When polled again after it gave its result.
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut within = self.project().within;
        let polled = within.as_mut().poll(cx);
        if let Poll::Ready(outcome) = &polled {
            within.limit_mut().ends(outcome.is_err());
        }
        polled
    }
}

/// The side of a [`TimeLimit`] that the future keeps.
struct Movable {
    shared: Arc<Shared>,
    /// The version of the record that `sleep` was made for.
    seen: u64,
    sleep: Option<Sleep>,
}

impl Movable {
    fn record(&self) -> MutexGuard<'_, Record> {
        self.shared.record.lock()
    }

    fn ends(&mut self, elapsed: bool) {
        let mut record = self.record();
        record.stage = match record.stage {
            Stage::Expiring | Stage::Expired => Stage::Expired,
            Stage::Entered if elapsed => Stage::Expired,
            _ => Stage::Finished,
        };
        let waker = record.waker.take();
        drop(record);
        drop(waker);
    }
}

impl Limit for Movable {
    fn begins(&mut self) {
        self.record().stage = Stage::Entered;
    }

    fn is_over(&mut self, cx: &mut Context<'_>) -> bool {
        let record = self.record();
        let (deadline, version) = (record.deadline, record.version);
        drop(record);
        if version != self.seen {
            self.seen = version;
            match (&mut self.sleep, deadline) {
                (Some(sleep), Some(deadline)) => sleep.reset(deadline),
                (sleep, deadline) => *sleep = deadline.map(sleep_until),
            }
        }
        self.sleep.is_over(cx)
    }

    fn was_moved(&mut self, cx: &Context<'_>) -> bool {
        let mut waker = Some(cx.waker().clone());
        let mut record = self.record();
        let moved = record.version != self.seen;
        if !moved {
            std::mem::swap(&mut record.waker, &mut waker);
        }
        drop(record);
        drop(waker); // foreign code: not under the lock
        moved
    }

    fn expires(&mut self) -> bool {
        let mut record = self.record();
        let stays = record.version == self.seen;
        if stays {
            record.stage = Stage::Expiring;
        }
        stays
    }
}

/// The future was dropped: the limit ends without an answer.
impl Drop for Movable {
    fn drop(&mut self) {
        self.ends(false);
    }
}

/// The deadline cannot be moved: the limit does not run.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct CannotReschedule(Stage);

impl CannotReschedule {
    /// True if the time was over already.
    #[must_use]
    pub fn is_expired(&self) -> bool {
        matches!(self.0, Stage::Expiring | Stage::Expired)
    }

    /// True if nobody has awaited [`TimeLimit::run`] yet.
    #[must_use]
    pub fn is_not_entered(&self) -> bool {
        matches!(self.0, Stage::Made | Stage::Taken)
    }

    /// True if what was inside ended in time.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.0 == Stage::Finished
    }
}

impl fmt::Display for CannotReschedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("cannot reschedule this time limit: ")?;
        f.write_str(match self.0 {
            Stage::Expiring => "it is expiring, and what is inside is being cancelled",
            Stage::Expired => "it has expired: make another one to try again",
            Stage::Finished => "what was inside has ended",
            _ => "it has not been entered: call reschedule() while limit.run(..) is being awaited",
        })
    }
}

impl Error for CannotReschedule {}

impl fmt::Debug for CannotReschedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CannotReschedule({:?})", self.0)
    }
}

impl fmt::Debug for TimeLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let record = self.shared.record.lock();
        f.debug_struct("TimeLimit")
            .field("stage", &record.stage)
            .field("when", &record.deadline)
            .finish_non_exhaustive()
    }
}

impl<F> fmt::Debug for Limited<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let limit = TimeLimit { shared: self.within.limit().shared.clone() };
        f.debug_struct("Limited").field("limit", &limit).finish_non_exhaustive()
    }
}
