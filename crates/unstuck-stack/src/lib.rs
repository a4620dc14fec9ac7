//! Where is that thread stuck? The backtrace of another thread, taken while it is busy or blocked.
//!
//! A thread that hangs cannot say where. This crate asks it by a signal, for the length of one copy (about a
//! microsecond), and works out the rest on the asking thread:
//!
//! ```
//! use std::sync::mpsc;
//! use std::time::Duration;
//! use unstuck_stack::{capture, register, render, symbolise};
//!
//! #[inline(never)]
//! fn waits_for_an_answer(answer: &mpsc::Receiver<()>) {
//!     let _ = answer.recv();
//! }
//!
//! let (hello, token) = mpsc::channel();
//! let (answer, never) = mpsc::channel();
//! let stuck = std::thread::spawn(move || {
//!     let registered = register().unwrap();
//!     hello.send(registered.thread()).unwrap();
//!     waits_for_an_answer(&never);
//! });
//!
//! match capture(token.recv().unwrap(), Duration::from_millis(50)) {
//!     Ok(capture) => println!("{}", render(&symbolise(&capture.unwind()))),
//!     Err(why) => println!("no backtrace: {why}"),
//! }
//! # drop(answer);
//! # stuck.join().unwrap();
//! ```
//!
//! It is what the stall guard of `unstuck` uses for its reports, and knows nothing of that runtime but its name.
//!
//! # What it does, and does not
//!
//! * Linux on x86_64 and aarch64. Elsewhere the same functions say that it is not available.
//! * One signal for each [`capture`], SIGURG, to that one thread. Most system calls go on afterwards by themselves
//!   (`SA_RESTART`). Some do not, and return `EINTR` to the stuck thread: `poll`, `select`, `epoll_wait`, `nanosleep`,
//!   `usleep`, `semop`, and sockets with a timeout. std's own functions try again; so should all code, but not all does. Who cannot
//!   have that must not call [`capture`].
//! * If the program has a handler for SIGURG, before or after, nothing is asked and nothing is replaced.
//! * With glibc. With musl it is safe, but hardly useful: its functions have no unwind tables, so a backtrace ends in them.
//! * At most 64 KiB of stack. Of deeper ones the outermost frames are missing.
//! * No unwinding inside the signal handler, which is what crashes in other profilers. README.md tells why, and how each
//!   step is safe.
//! * A library that contains this crate must not be unloaded (`dlclose`) after the first [`capture`].

// The README is the story for readers of the code; its snippets are tests all the same.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

mod error;
mod render;

#[cfg_attr(
    all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64"), not(unstuck_loom)),
    path = "linux/mod.rs"
)]
#[cfg_attr(
    not(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64"), not(unstuck_loom))),
    path = "elsewhere.rs"
)]
mod system;

#[cfg(all(test, unstuck_loom))]
mod models;
#[cfg(all(test, unstuck_loom))]
#[path = "linux/slot.rs"]
mod slot;

/// Compiled by the tests of this system, too, so that it does not rot.
#[cfg(test)]
mod elsewhere;

use std::io;
use std::time::Duration;

pub use error::Unavailable;
pub use render::{Frame, render};

/// Lets the calling thread be asked for its stack, until the result is dropped or the thread ends.
///
/// Call it where a thread begins. Calling it again is fine: the thread stays registered until the last one is dropped.
///
/// # Errors
///
/// The C library does not know where the stack lies. On the main thread it needs `/proc`.
pub fn register() -> io::Result<Registered> {
    system::register().map(Registered)
}

/// The calling thread may be asked for its stack. Made by [`register`]; belongs to its thread.
#[derive(Debug)]
#[must_use = "dropping it unregisters the thread"]
pub struct Registered(system::Mine);

impl Registered {
    /// The name by which other threads ask for this one.
    #[must_use]
    pub fn thread(&self) -> Token {
        Token(self.0.thread)
    }
}

/// Names a registered thread, also when it is gone: never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Token(u64);

/// Copies the stack of `thread`, and waits at most `limit` for it to answer.
///
/// A thread that runs answers in microseconds; one that sleeps has to be woken, which takes some fifty. On a busy machine
/// it takes until the thread gets a processor: 20 ms is a good limit. Several callers take turns.
///
/// The other thread loses about a microsecond. See the crate's documentation for what the signal may do to it.
///
/// # Errors
///
/// There are many reasons, and each says itself in one sentence: print it in place of the backtrace.
pub fn capture(thread: Token, limit: Duration) -> Result<Capture, Unavailable> {
    system::capture(thread.0, limit).map(Capture)
}

/// The copied stack of a thread, as it was at one moment.
#[derive(Clone, Debug)]
pub struct Capture(system::Capture);

impl Capture {
    /// Finds the calls on the stack. Takes some tens of microseconds, the first time milliseconds.
    #[must_use]
    pub fn unwind(&self) -> Addresses {
        Addresses(self.0.unwind())
    }
}

/// Where each call on a stack is, the innermost first. Equal ones are the same stall: count them, report one.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Addresses(Vec<usize>);

impl Addresses {
    /// The addresses, each within the instruction that runs or calls.
    #[must_use]
    pub fn as_slice(&self) -> &[usize] {
        &self.0
    }
}

/// Finds functions and lines. Slow: call it on a thread that nobody waits for.
///
/// The first call reads the debug information, a tenth of a second and tens of megabytes for a middle-sized program. What
/// it found is kept by address.
///
/// Functions that were inlined get frames of their own, so there can be more frames than addresses. How much is known
/// depends on the profile: with `debug = true` all of it, with `debug = "line-tables-only"` lines but names without their
/// path (`checkout` for `shop::checkout`), without debug information no lines and no inlined functions.
#[must_use]
pub fn symbolise(addresses: &Addresses) -> Vec<Frame> {
    system::symbolise(&addresses.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elsewhere_the_same_calls_say_why_there_is_nothing() {
        let registered = elsewhere::register().unwrap();
        let error = elsewhere::capture(registered.thread, Duration::ZERO).unwrap_err();
        assert!(error.is_permanent());
        assert!(error.to_string().contains("only on Linux"), "{error}");
        assert!(elsewhere::symbolise(&[1]).is_empty());
    }
}
