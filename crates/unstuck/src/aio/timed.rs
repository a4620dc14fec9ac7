//! Prints how long a future took: asyncio's `@async_timed()`.
//!
//! ```text
//! starting add_one with args (1,)
//! finished add_one in 1.0023 second(s)
//! ```
//!
//! One line when the future is first polled, one when it ends, however it ends: with a value (an `Err` is one too),
//! by a panic, or because it was dropped half-way. A future that was never polled never started, and prints nothing.
//! Time is the runtime's: on a paused clock the seconds are virtual.
//!
//! [`Timed`] is for any future; [`#[timed]`](macro@crate::timed) for an `async fn`, whose arguments it prints. An
//! argument without `Debug` must not break the build, so it is shown by its type: [`ByDebug`] and [`ByType`] both
//! offer `show`, and method lookup prefers the one that needs one reference less (the trick is David Tolnay's
//! "autoref specialization").

use std::fmt;
use std::future::Future;
use std::io::Write as _;
use std::pin::Pin;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;

use crate::Instant;

/// Adds [`timed`](Self::timed) to every future.
pub trait Timed: Future + Sized {
    /// Prints when this future starts and, when it ends, how many seconds it took.
    ///
    /// ```
    /// use std::time::Duration;
    /// use unstuck::Timed;
    ///
    /// unstuck::run(async {
    ///     // starting nap
    ///     // finished nap in 0.0101 second(s)
    ///     unstuck::sleep(Duration::from_millis(10)).timed("nap").await;
    /// });
    /// ```
    ///
    /// # Cancellation
    /// Dropping it half-way drops the inner future and prints `cancelled nap after 0.0042 second(s)`.
    ///
    /// # Panics
    /// When the inner future does; `panicked in nap after ..` is printed first.
    fn timed(self, name: &'static str) -> TimedFuture<Self> {
        TimedFuture { future: self, report: Report { name, arguments: None, state: State::Waiting } }
    }
}

impl<F: Future> Timed for F {}

/// What `#[timed]` expands to: [`Timed::timed`] with the function's arguments.
pub fn timed<F: Future>(name: &'static str, arguments: String, future: F) -> TimedFuture<F> {
    TimedFuture { future, report: Report { name, arguments: Some(arguments), state: State::Waiting } }
}

pin_project! {
    /// The future of [`Timed::timed`].
    #[derive(Debug)]
    #[must_use = "futures do nothing unless you `.await` or spawn them"]
    pub struct TimedFuture<F> {
        // Declared first: the inner future is dropped, and may print its own end, before ours is printed.
        #[pin]
        future: F,
        report: Report,
    }
}

impl<F: Future> Future for TimedFuture<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        let start = this.report.enter();
        // If this panics, the state stays `Inside` and tells the drop what happened.
        let poll = this.future.poll(cx);
        this.report.leave(start, poll.is_ready());
        poll
    }
}

/// The printing half: knows where in its life the future is.
#[derive(Debug)]
struct Report {
    name: &'static str,
    arguments: Option<String>,
    state: State,
}

#[derive(Clone, Copy, Debug)]
enum State {
    /// Never polled.
    Waiting,
    /// In a poll, which may panic.
    Inside(Instant),
    /// Between two polls.
    Pending(Instant),
    Done,
}

impl Report {
    /// A poll begins: says so if it is the first, and gives the time of the first.
    fn enter(&mut self) -> Instant {
        let start = match self.state {
            State::Inside(start) | State::Pending(start) => start,
            State::Waiting | State::Done => {
                say(&self.starting());
                Instant::now()
            }
        };
        self.state = State::Inside(start);
        start
    }

    /// The poll returned.
    fn leave(&mut self, start: Instant, ready: bool) {
        self.state = State::Pending(start);
        if ready {
            say(&format!("finished {} in {}", self.name, seconds_since(start)));
            self.state = State::Done;
        }
    }

    fn starting(&self) -> String {
        match &self.arguments {
            Some(arguments) => format!("starting {} with args {arguments}", self.name),
            None => format!("starting {}", self.name),
        }
    }
}

impl Drop for Report {
    fn drop(&mut self) {
        match self.state {
            State::Waiting | State::Done => {}
            State::Inside(start) => say(&format!("panicked in {} after {}", self.name, seconds_since(start))),
            State::Pending(start) => say(&format!("cancelled {} after {}", self.name, seconds_since(start))),
        }
    }
}

fn seconds_since(start: Instant) -> String {
    format!("{:.4} second(s)", start.elapsed().as_secs_f64())
}

/// A closed stdout is no reason to panic, least of all in a destructor.
fn say(line: &str) {
    drop(writeln!(std::io::stdout(), "{line}"));
}

/// Arguments as Python shows a tuple: `()`, `(1,)`, `(1, "two")`.
pub fn arguments(shown: &[String]) -> String {
    match shown {
        [only] => format!("({only},)"),
        several => format!("({})", several.join(", ")),
    }
}

/// One argument to show.
pub struct Arg<'a, T: ?Sized>(pub &'a T);

impl<T: ?Sized> fmt::Debug for Arg<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Arg")
    }
}

/// Shows an argument that has `Debug`.
pub trait ByDebug {
    /// The argument's `Debug` form.
    fn show(&self) -> String;
}

impl<T: fmt::Debug + ?Sized> ByDebug for Arg<'_, T> {
    fn show(&self) -> String {
        format!("{:?}", self.0)
    }
}

/// Shows any argument, by its type.
pub trait ByType {
    /// The argument's type in angle brackets.
    fn show(&self) -> String;
}

impl<T: ?Sized> ByType for &Arg<'_, T> {
    fn show(&self) -> String {
        format!("<{}>", std::any::type_name::<T>())
    }
}

/// Gives a type to an async block, in a `return` that never runs.
///
/// # Panics
/// Always; it is never called.
pub fn never<T>() -> T {
    unreachable!("only ever written after `if false`")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_look_like_a_tuple() {
        assert_eq!(arguments(&[]), "()");
        assert_eq!(arguments(&["1".into()]), "(1,)");
        assert_eq!(arguments(&["1".into(), "\"two\"".into()]), "(1, \"two\")");
    }

    #[test]
    fn an_argument_without_debug_is_shown_by_its_type() {
        struct Opaque;
        assert_eq!(Arg(&"text").show(), "\"text\"");
        assert!((&Arg(&Opaque)).show().ends_with("Opaque>"));
    }

    #[test]
    fn the_starting_line_has_arguments_only_if_there_are_some_to_tell() {
        let bare = Report { name: "nap", arguments: None, state: State::Waiting };
        assert_eq!(bare.starting(), "starting nap");
        let full = Report { name: "add_one", arguments: Some("(1,)".into()), state: State::Waiting };
        assert_eq!(full.starting(), "starting add_one with args (1,)");
    }

    #[test]
    fn a_poll_that_panics_leaves_its_mark() {
        let mut future = Box::pin(std::future::poll_fn(|_| -> Poll<()> { panic!("boom") }).timed("bomb"));
        let poll = std::panic::AssertUnwindSafe(|| {
            future.as_mut().poll(&mut Context::from_waker(std::task::Waker::noop()))
        });
        assert!(std::panic::catch_unwind(poll).is_err());
        assert!(matches!(future.report.state, State::Inside(_)));
    }
}
