//! Ctrl-C, as asyncio does it.
//!
//! [`run`](crate::run()), [`run_single`](crate::run_single), [`#[unstuck::main]`](macro@crate::main) and [`Runner`](crate::Runner)
//! listen for Ctrl-C (SIGINT) while they run:
//!
//! 1. The first one cancels the main future: its await is cancelled, its cleanup runs. Then leftovers are cancelled and
//!    awaited, as at every end of a run, and the program ends with the exit status 130, as shells expect it of a program
//!    that was interrupted. [`Runner::run`](crate::Runner::run) gives an error instead.
//! 2. The second one ends the process at once.
//!
//! While nothing runs, Ctrl-C does what it does in every program.
//!
//! Whoever wants to do something else awaits [`ctrl_c`]: as long as somebody waits there, the main future is left alone.
//! If the program has installed a handler of its own before the run, or was started with SIGINT ignored (as shells start what
//! runs in the background of a script), nothing is changed (Linux only: elsewhere one cannot ask). If it does so later, through the crate `signal-hook` or one that builds on it, both are told: switch ours off
//! with [`Builder::ctrl_c(false)`](crate::Builder::ctrl_c) or `#[unstuck::main(ctrl_c = false)]`.
//!
//! # Cost
//! One thread that sleeps in a `read` while something runs, and nothing that wakes it but Ctrl-C. Only on Unix; elsewhere
//! Ctrl-C ends the process, and [`ctrl_c`] gives an error.

mod desk;
#[cfg(not(unix))]
#[path = "signal/elsewhere.rs"]
mod system;
#[cfg(unix)]
#[path = "signal/unix.rs"]
mod system;

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

pub(crate) use desk::{Interrupts, is_interrupt};

/// The exit status of a program that was interrupted: 128 and the number of the signal.
pub const INTERRUPTED: i32 = 130;

/// Waits for the next Ctrl-C: from this call on, until it is awaited to the end or dropped, Ctrl-C does nothing else.
///
/// ```no_run
/// # unstuck::run(async {
/// let server = unstuck::spawn(async { /* serve */ });
/// unstuck::signal::ctrl_c().await.unwrap();
/// println!("closing");
/// server.cancel();
/// # });
/// ```
///
/// Every [`CtrlC`] that waits is told. After that the next Ctrl-C cancels the main future again, so await the next one
/// before you begin a long good-bye that should not be cut short.
///
/// # Cancellation
/// Dropping it is giving Ctrl-C back.
///
/// # Errors
/// The system's, when the handler or the thread that listens cannot be made.
pub fn ctrl_c() -> CtrlC {
    CtrlC { waiting: desk::wait() }
}

/// The future of [`ctrl_c`].
#[derive(Debug)]
#[must_use = "futures do nothing unless you `.await` or spawn them"]
pub struct CtrlC {
    waiting: io::Result<desk::Waiting>,
}

impl Future for CtrlC {
    type Output = io::Result<()>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.waiting {
            Ok(waiting) => waiting.poll(cx).map(Ok),
            Err(error) => Poll::Ready(Err(io::Error::new(error.kind(), error.to_string()))),
        }
    }
}
