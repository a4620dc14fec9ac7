//! Several runs in one runtime: asyncio's `Runner`.
//!
//! [`run`](crate::run()) and `#[unstuck::main]` are a runner with one run. So what they promise is written here: who hears
//! of Ctrl-C, and what becomes of the tasks that are left at the end.

use std::error::Error;
use std::fmt;
use std::future::Future;
use std::io;
use std::panic::Location;

use unstuck_core::{Cancelled, Canceller, Context};

use super::ending::Ending;
use super::{Builder, EventLoop, Handle, Runtime};
use crate::signal::{self, Interrupts};

/// Runs several main futures one after the other, in one runtime and one context: asyncio's `Runner`.
///
/// Tasks go on from one run to the next, and so do [context variables](crate::contextvars) that a main future sets. The
/// end of the runner is the end of [`run`](crate::run()): what is left is cancelled and awaited, or what
/// [`Builder::on_exit`] says.
///
/// ```
/// use unstuck::Runner;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let mut runner = Runner::new()?; // Runner::single() for asyncio's model
/// let task = runner.run(async { unstuck::spawn(async { 42 }) })?;
/// assert_eq!(runner.run(task)??, 42);
/// runner.close();
/// # Ok(())
/// # }
/// ```
///
/// With settings of your own: `Runner::from(Runtime::builder().worker_threads(2).build()?)`.
///
/// # Ctrl-C
/// While it runs, the first Ctrl-C cancels the main future, and [`run`](Self::run) gives an error; the second one ends
/// the process. See [`signal`](crate::signal). [`Builder::ctrl_c`] switches it off.
pub struct Runner {
    /// Empty once it has been closed.
    inside: Option<Inside>,
    context: Context,
}

enum Inside {
    Multi(Runtime),
    Single(EventLoop),
}

/// Why a run gave no value.
pub struct RunError {
    cancelled: Cancelled,
    interrupted: bool,
}

impl Runner {
    /// A runner on a new multi-threaded runtime.
    ///
    /// # Errors
    /// The system's error when a thread cannot be made.
    pub fn new() -> io::Result<Self> {
        Runtime::new().map(Self::from)
    }

    /// A runner on a new single-threaded loop.
    ///
    /// # Errors
    /// As [`EventLoop::new`].
    pub fn single() -> io::Result<Self> {
        EventLoop::new().map(Self::from)
    }

    /// Runs `future` to its end and gives its value. Tasks that are left stay as they are.
    ///
    /// # Errors
    /// The future was cancelled and gave no value: by Ctrl-C ([`RunError::is_interrupted`]), or by somebody else.
    ///
    /// # Panics
    /// Panics inside async code, which it would stall: `.await` the future instead. And when `future` does; the runner
    /// can be used again.
    #[track_caller]
    pub fn run<F: Future>(&mut self, future: F) -> Result<F::Output, RunError> {
        self.run_with(&Canceller::new(), future)
    }

    /// As [`run`](Self::run), and `canceller` can cancel the future, too.
    ///
    /// # Errors
    /// As [`run`](Self::run).
    ///
    /// # Panics
    /// As [`run`](Self::run).
    #[track_caller]
    pub fn run_with<F: Future>(&mut self, canceller: &Canceller, future: F) -> Result<F::Output, RunError> {
        let listening = self.handle().stack().exit.ctrl_c.then(|| Interrupts::listen(canceller));
        let value = run_main(self.inside.as_ref(), &mut self.context, canceller, future);
        drop(listening);
        value
    }

    /// One run and the end: what `run` and `#[main]` do. An interrupted one ends the process.
    #[track_caller]
    pub(crate) fn run_to_the_end<F: Future>(mut self, future: F) -> F::Output {
        let canceller = Canceller::new();
        // Until after the end: who is impatient with the clean-up may press Ctrl-C again.
        let listening = self.handle().stack().exit.ctrl_c.then(|| Interrupts::listen(&canceller));
        let value = {
            let (inside, context) = (self.inside.as_ref(), &mut self.context);
            let ending = match inside {
                Some(Inside::Multi(runtime)) => Some(Ending::of(runtime)),
                _ => None, // one thread: there is nobody to let the clock jump
            };
            match &ending {
                Some(ending) => run_main(inside, context, &canceller, ending.after(future)),
                None => run_main(inside, context, &canceller, future),
            }
        };
        self.close();
        match value {
            Ok(value) => value,
            Err(error) if error.interrupted => std::process::exit(signal::INTERRUPTED),
            Err(error) => {
                drop(listening);
                panic!("{error}, and there is no value to return: use Runner::run(..), which gives an error")
            }
        }
    }

    /// Reaches the runtime from anywhere.
    #[must_use]
    pub fn handle(&self) -> Handle {
        match &self.inside {
            Some(Inside::Multi(runtime)) => runtime.handle(),
            Some(Inside::Single(event_loop)) => event_loop.handle(),
            None => unreachable!("only close() and drop() take it"),
        }
    }

    /// Ends it, as dropping it does, but visibly: what is left is cancelled and awaited, or what [`Builder::on_exit`]
    /// says.
    pub fn close(self) {
        drop(self);
    }
}

/// Runs `future` in the runner's own context.
#[track_caller]
fn run_main<F: Future>(
    inside: Option<&Inside>,
    context: &mut Context,
    canceller: &Canceller,
    future: F,
) -> Result<F::Output, RunError> {
    let place = Location::caller();
    let value = context.run(|| match inside {
        Some(Inside::Multi(runtime)) => runtime.handle.run_main(place, canceller, future),
        Some(Inside::Single(event_loop)) => event_loop.run_main(place, canceller, future),
        None => unreachable!("only close() and drop() take it"),
    });
    value.map_err(|cancelled| RunError { interrupted: signal::is_interrupt(&cancelled), cancelled })
}

impl From<Runtime> for Runner {
    fn from(runtime: Runtime) -> Self {
        Self { inside: Some(Inside::Multi(runtime)), context: Context::copy() }
    }
}

impl From<EventLoop> for Runner {
    fn from(event_loop: EventLoop) -> Self {
        Self { inside: Some(Inside::Single(event_loop)), context: Context::copy() }
    }
}

impl Drop for Runner {
    fn drop(&mut self) {
        match self.inside.take() {
            // After a panic nobody waits for ever.
            Some(Inside::Multi(runtime)) if std::thread::panicking() => drop(runtime),
            Some(Inside::Multi(runtime)) => runtime.leave(),
            Some(Inside::Single(event_loop)) => event_loop.leave(),
            None => {}
        }
    }
}

/// What `#[unstuck::main]` expands to.
///
/// # Panics
/// When `future` does, and when the runtime's threads cannot be made.
#[track_caller]
pub fn main<F: Future>(builder: Builder, future: F) -> F::Output {
    let runtime = builder.build().expect("the runtime could not be started");
    Runner::from(runtime).run_to_the_end(future)
}

/// What `#[unstuck::main(flavor = "single")]` expands to.
///
/// # Panics
/// As [`main`].
#[track_caller]
pub fn main_single<F: Future>(builder: Builder, future: F) -> F::Output {
    let event_loop = builder.build_single().expect("the loop could not be made");
    Runner::from(event_loop).run_to_the_end(future)
}

impl RunError {
    /// True if it was Ctrl-C; false if somebody else cancelled the main future first.
    #[must_use]
    pub fn is_interrupted(&self) -> bool {
        self.interrupted
    }

    /// True if somebody other than Ctrl-C cancelled the main future.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        !self.interrupted
    }
}

impl fmt::Display for RunError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.interrupted {
            return f.write_str("the main future was interrupted by Ctrl-C");
        }
        write!(f, "the main future was cancelled: {}", self.cancelled)
    }
}

impl fmt::Debug for RunError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RunError({self})")
    }
}

impl Error for RunError {}

impl fmt::Debug for Runner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Runner").field("handle", &self.handle()).finish_non_exhaustive()
    }
}
