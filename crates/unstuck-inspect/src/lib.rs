//! Answers questions about a process on a thread of its own, to its owner only.
//!
//! # The problem
//! A program hangs. Its workers are stuck, so nothing that needs a worker can say what they are stuck in. Promise:
//! *whoever owns the process is answered within the time it takes to look, whatever the workers do*; nobody else is; and
//! while nobody asks, nothing wakes up.
//!
//! # How
//! [`Server`] binds a Unix socket and waits in `accept`, on a thread of its own. It knows nothing of tasks: it is given a
//! closure that answers a [`Request`]. One connection carries one request and one answer:
//!
//! ```text
//!  unstuck/1 ps⏎                          what is asked, behind the protocol's version
//!  {"version":1,"pid":4711,…}⏎            the answer: one line of JSON
//! ```
//!
//! so that people can ask without a program: `echo unstuck/1 ps | nc -U /run/user/1000/unstuck/4711.sock`.
//!
//! # Who may ask
//! * The socket lies in `$XDG_RUNTIME_DIR/unstuck`, else in `/tmp/unstuck-UID`: a folder that must be a real one, the
//!   owner's, and closed to all others (mode 0700), or the server does not start ([`place`]).
//! * The socket has mode 0600, and gets its name only when it has.
//! * The kernel says who connected (SO_PEERCRED). Everybody but the owner is sent away, root too: root becomes the owner
//!   (`sudo -u`) first, and that is then in root's log.
//!
//! # Rejected
//! * *A TCP port*: any user of the machine may connect to it, and any page in a browser.
//! * *Reading the process's memory from outside*, as CPython 3.14's `asyncio ps` does: needs the right to trace, and a
//!   layout that compilers do not promise. It needs no consent, though; ours has to be asked for.
//! * *A signal that dumps the tasks*: says things to whoever reads the log, and does not answer.
//!
//! Linux only; elsewhere [`Server::start`] gives an error that says so.

#![forbid(unsafe_code)]

#[cfg(target_os = "linux")]
mod client;
#[cfg(not(target_os = "linux"))]
mod elsewhere;
#[cfg(target_os = "linux")]
pub mod place;
mod request;
#[cfg(target_os = "linux")]
mod server;

#[cfg(target_os = "linux")]
pub use client::{Process, ask, processes, why_not};
#[cfg(not(target_os = "linux"))]
pub use elsewhere::{Process, Server, ask, processes, why_not};
pub use request::{Request, VERSION};
#[cfg(target_os = "linux")]
pub use server::Server;

/// Answers a request with a line of JSON, without a line break in it.
pub type Answer = std::sync::Arc<dyn Fn(&Request) -> String + Send + Sync>;
