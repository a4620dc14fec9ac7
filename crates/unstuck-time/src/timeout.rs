//! [`timeout()`]: waiting for something, but not for ever.
//!
//! How it ends what is inside is told in `within.rs`.

use std::error::Error;
use std::fmt;
use std::future::{Future, IntoFuture};
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use pin_project_lite::pin_project;

use crate::instant::{Instant, NEVER};
use crate::shared::Home;
use crate::sleep::Sleep;
use crate::within::Within;

/// Waits for `future`, at most for `duration`: asyncio's `timeout` and `wait_for`.
///
/// The future is polled first: a value that is ready wins over a deadline that has passed, and a future that is ready at
/// its first poll costs no timer. A duration of zero lets the future run to its first wait. `Duration::MAX` waits for
/// as long as it takes.
///
/// ```no_run
/// # use std::time::Duration;
/// # use unstuck_time::timeout;
/// # async fn answer() -> u32 { 42 }
/// # async fn example() {
/// match timeout(Duration::from_secs(5), answer()).await {
///     Ok(answer) => println!("{answer}"),
///     Err(elapsed) => println!("gave up: {elapsed}"),
/// }
/// # }
/// ```
///
/// When the time is over, what is inside is cancelled, *and its end is awaited*: a plain future is dropped; a task
/// that it awaits by value is cancelled and has really ended; `catch_cancel` and `finally` in it run their cleanup. If
/// the code inside catches the cancellation and gives a value, that is what you get.
///
/// # Cancellation
/// Dropping it drops the future and removes the timer. A cancellation of the task passes through: it never looks like
/// [`Elapsed`], also if it came when the time was over already. One that the code inside has swallowed still counts, unless
/// that code took it back (`uncancel()`): when the time is over the task is cancelled, as in asyncio.
///
/// # Errors
/// [`Elapsed`] if the deadline passed before the future was ready.
///
/// # Panics
/// If it must wait on a thread that is in no runtime.
#[inline]
pub fn timeout<F: IntoFuture>(duration: Duration, future: F) -> Timeout<F::IntoFuture> {
    let here = Home::here();
    let sleep = match here {
        _ if duration == Duration::MAX => None,
        // Zero is no trip through the queue here, but a deadline that has passed.
        Some((home, now)) if duration.is_zero() => Some(Sleep::absolute(now, Some(home))),
        None if duration.is_zero() => Some(Sleep::absolute(Instant::from_nanos(0), None)),
        here => Some(Sleep::relative(duration, here)),
    };
    Timeout::new(future.into_future(), sleep, duration.is_zero())
}

/// Waits for `future`, at most until `deadline`; see [`timeout()`].
///
/// # Errors
/// [`Elapsed`] if the deadline passed before the future was ready.
///
/// # Panics
/// If it must wait on a thread that is in no runtime.
pub fn timeout_at<F: IntoFuture>(deadline: Instant, future: F) -> Timeout<F::IntoFuture> {
    let never = deadline.as_nanos() == NEVER;
    let here = Home::here();
    let passed = here.is_some_and(|(_, now)| deadline <= now);
    let sleep = (!never).then(|| Sleep::absolute(deadline, here.map(|(home, _)| home)));
    Timeout::new(future.into_future(), sleep, passed)
}

pin_project! {
    /// The future of [`timeout()`] and [`timeout_at`].
    #[derive(Debug)]
    #[must_use = "a timeout does nothing unless you .await it"]
    pub struct Timeout<F> {
        #[pin]
        within: Within<F, Option<Sleep>>,
    }
}

impl<F> Timeout<F> {
    fn new(future: F, sleep: Option<Sleep>, over: bool) -> Self {
        Self { within: Within::new(future, sleep, over) }
    }

    /// The future inside.
    ///
    /// # Panics
    /// When the time is over.
    pub fn get_ref(&self) -> &F {
        self.within.get_ref().expect("the time is over: the future was dropped")
    }

    /// The future inside.
    ///
    /// # Panics
    /// When the time is over.
    pub fn get_mut(&mut self) -> &mut F {
        self.within.get_mut().expect("the time is over: the future was dropped")
    }

    /// Gives the future back, without its deadline.
    ///
    /// # Panics
    /// When the time is over.
    pub fn into_inner(self) -> F {
        self.within.into_inner().expect("the time is over: the future was dropped")
    }

    /// When the time is over; `None` if never.
    pub fn deadline(&self) -> Option<Instant> {
        self.within.limit().as_ref().map(Sleep::deadline)
    }
}

impl<F: Future> Future for Timeout<F> {
    type Output = Result<F::Output, Elapsed>;

    /// # Panics
    /// When polled again after it gave its result.
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.project().within.poll(cx)
    }
}

/// The deadline passed before the future was ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Elapsed(());

impl Elapsed {
    /// For helpers that keep a deadline by other means than [`timeout()`].
    #[doc(hidden)]
    pub fn new() -> Self {
        Self(())
    }
}

impl Default for Elapsed {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Display for Elapsed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("timed out: the deadline passed before the future was ready")
    }
}

impl Error for Elapsed {}

impl From<Elapsed> for io::Error {
    fn from(elapsed: Elapsed) -> Self {
        Self::new(io::ErrorKind::TimedOut, elapsed)
    }
}
