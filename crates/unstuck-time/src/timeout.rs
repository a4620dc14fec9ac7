//! [`timeout()`]: waiting for something, but not for ever.
//!
//! A timeout is a *scope*: when its time is over it cancels what is inside, waits until that has ended, and then answers.
//!
//! ```text
//!               value ─────────────────────────────────────────────► Ok
//!   Running ──► time over, nothing inside can catch a cancellation ► dropped ─► Elapsed
//!          └──► time over ──► Ending ── its own cancellation comes out ──────► Elapsed
//!                               ├────── a value all the same ────────────────► Ok
//!                               └────── another cancellation comes out ──────► Throwing: goes on outwards
//! ```
//!
//! What can catch a cancellation is a frame: `catch_cancel`, a task awaited by value, a task group. Without one inside
//! this is a future and a timer: no lock, no allocation.
//!
//! Of nested timeouts whose time is over at once only the outermost answers, as in asyncio. So the timer is looked at
//! before the future is polled, and the future is polled all the same: a value that is ready wins.

use std::error::Error;
use std::fmt;
use std::future::{Future, IntoFuture};
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use pin_project_lite::pin_project;
use unstuck_core::{Cancelled, Frame, Inside, Resume, Step, scope};

use crate::handle::Home;
use crate::instant::{Instant, NEVER};
use crate::sleep::Sleep;

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
/// [`Elapsed`].
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
        future: Option<F>,
        // Behind the future: dropped after what is inside it.
        frame: Frame,
        sleep: Option<Sleep>,
        phase: Phase,
    }
}

#[derive(Debug)]
enum Phase {
    /// Not polled yet. `over`: the deadline had passed before.
    New {
        over: bool,
    },
    Running,
    /// The time is over, and what is inside has been told so under this origin, or is to be.
    Ending {
        origin: u64,
        told: bool,
    },
    /// A cancellation goes on outwards.
    Throwing(Resume<()>),
}

impl<F> Timeout<F> {
    fn new(future: F, sleep: Option<Sleep>, over: bool) -> Self {
        Self { future: Some(future), frame: Frame::transparent(), sleep, phase: Phase::New { over } }
    }

    /// The future inside.
    ///
    /// # Panics
    /// When the time is over.
    pub fn get_ref(&self) -> &F {
        self.future.as_ref().expect("the time is over: the future was dropped")
    }

    /// The future inside.
    ///
    /// # Panics
    /// When the time is over.
    pub fn get_mut(&mut self) -> &mut F {
        self.future.as_mut().expect("the time is over: the future was dropped")
    }

    /// Gives the future back, without its deadline.
    ///
    /// # Panics
    /// When the time is over.
    pub fn into_inner(self) -> F {
        self.future.expect("the time is over: the future was dropped")
    }

    /// When the time is over; `None` if never.
    pub fn deadline(&self) -> Option<Instant> {
        self.sleep.as_ref().map(Sleep::deadline)
    }
}

impl<F: Future> Future for Timeout<F> {
    type Output = Result<F::Output, Elapsed>;

    /// # Panics
    /// When polled again after it gave its result.
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let mut tick = |cx: &mut Context<'_>| {
            this.sleep.as_mut().is_some_and(|sleep| Pin::new(sleep).poll(cx).is_ready())
        };
        let mut new = false;
        match this.phase {
            Phase::New { over: true } => *this.phase = Phase::begin_ending(),
            Phase::New { over: false } => (new, *this.phase) = (true, Phase::Running),
            Phase::Running if tick(cx) => *this.phase = Phase::begin_ending(),
            _ => {}
        }
        loop {
            let Some(future) = this.future.as_mut().as_pin_mut() else { return this.phase.throw_on(cx) };
            let inner = |cx: &mut Context<'_>| match *this.phase {
                Phase::Ending { origin, .. } => scope::inside_over(origin, || future.poll(cx)),
                _ => future.poll(cx),
            };
            let cancelled = match this.frame.poll(cx, inner) {
                Step::Ready(value) => return Poll::Ready(Ok(value)),
                Step::Cancelled(cancelled) => Some(cancelled),
                Step::Pending => {
                    if std::mem::take(&mut new) && tick(cx) {
                        *this.phase = Phase::begin_ending();
                        continue;
                    }
                    let Phase::Ending { origin, told: told @ false } = this.phase else {
                        return Poll::Pending;
                    };
                    match this.frame.cancel_inside(*origin, None) {
                        Inside::Landed => {
                            *told = true;
                            continue;
                        }
                        Inside::Later => continue,
                        Inside::Empty => None,
                    }
                }
            };
            this.future.set(None);
            *this.frame = Frame::transparent(); // nothing is inside any more: nothing may land here
            match this.phase.answer(cancelled) {
                None => return Poll::Ready(Err(Elapsed(()))),
                Some(cancelled) => *this.phase = Phase::Throwing(cancelled.resume()),
            }
        }
    }
}

impl Phase {
    fn begin_ending() -> Self {
        Phase::Ending { origin: scope::new_origin(), told: false }
    }

    /// What is inside has ended by this cancellation, or was dropped: what goes on outwards, if we do not answer.
    fn answer(&self, cancelled: Option<Cancelled>) -> Option<Cancelled> {
        match (self, cancelled) {
            (Phase::Ending { origin, .. }, Some(other)) if other.origin() != *origin => Some(other),
            (Phase::Ending { .. }, _) => scope::over_around().map(scope::cancelled_by),
            (_, other) => other,
        }
    }

    fn throw_on<T>(&mut self, cx: &mut Context<'_>) -> Poll<T> {
        match self {
            Phase::Throwing(resume) => {
                Pin::new(resume).poll(cx).map(|()| unreachable!("it never gives a value"))
            }
            _ => panic!("a timeout was polled again after it had given its result"),
        }
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
