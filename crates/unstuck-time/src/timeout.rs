//! [`timeout()`]: waiting for something, but not for ever.

use std::error::Error;
use std::fmt;
use std::future::{Future, IntoFuture};
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use pin_project_lite::pin_project;

use crate::handle::Home;
use crate::instant::{Instant, NEVER};
use crate::sleep::Sleep;

/// Waits for `future`, at most for `duration`.
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
/// When the time is over, the future is not polled again; it is dropped with the `Timeout`, that is, at the end of the
/// statement that awaits it. To have its cleanup awaited, use `unstuck::wait_for`.
///
/// # Cancellation
/// Dropping it drops the future and removes the timer.
///
/// # Errors
/// [`Elapsed`] if the deadline passed before the future was ready.
///
/// # Panics
/// If it must wait on a thread that is in no runtime.
pub fn timeout<F: IntoFuture>(duration: Duration, future: F) -> Timeout<F::IntoFuture> {
    let here = Home::here();
    let sleep = match here {
        _ if duration == Duration::MAX => None,
        // Zero is no trip through the queue here, but a deadline that has passed.
        Some((home, now)) if duration.is_zero() => Some(Sleep::absolute(now, Some(home))),
        None if duration.is_zero() => Some(Sleep::absolute(Instant::from_nanos(0), None)),
        here => Some(Sleep::relative(duration, here)),
    };
    Timeout { future: future.into_future(), sleep }
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
    let sleep = (!never).then(|| Sleep::absolute(deadline, Home::here().map(|(home, _)| home)));
    Timeout { future: future.into_future(), sleep }
}

pin_project! {
    /// The future of [`timeout()`] and [`timeout_at`].
    #[derive(Debug)]
    #[must_use = "a timeout does nothing unless you .await it"]
    pub struct Timeout<F> {
        #[pin]
        future: F,
        sleep: Option<Sleep>,
    }
}

impl<F> Timeout<F> {
    /// The future inside.
    pub fn get_ref(&self) -> &F {
        &self.future
    }

    /// The future inside.
    pub fn get_mut(&mut self) -> &mut F {
        &mut self.future
    }

    /// Gives the future back, without its deadline.
    pub fn into_inner(self) -> F {
        self.future
    }

    /// When the time is over; `None` if never.
    pub fn deadline(&self) -> Option<Instant> {
        self.sleep.as_ref().map(Sleep::deadline)
    }
}

impl<F: Future> Future for Timeout<F> {
    type Output = Result<F::Output, Elapsed>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        if let Poll::Ready(value) = this.future.poll(cx) {
            return Poll::Ready(Ok(value));
        }
        let Some(sleep) = this.sleep else { return Poll::Pending };
        Pin::new(sleep).poll(cx).map(|()| Err(Elapsed(())))
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
