//! The child's program: say ready, run what is asked for, answer, until the parent closes the socket.
//!
//! # How a process knows that it is a child
//! The parent starts this very program again, with one end of a socket pair as its stdin and its own process number in
//! an environment variable. The variable alone proves nothing, because whatever a job starts inherits it. So the kernel
//! is asked who made the socket on stdin: only if that was the process in the variable, this is its child. Afterwards
//! stdin is /dev/null, and whoever comes later, in this process or below it, finds no such socket.
//!
//! # Why nothing starts itself for ever
//! A program that forgets [`serve_if_child`] would, as a child, run its `main` and make a pool, whose child would run its
//! `main` … But the socket is still on stdin then, which [`unserved`] sees: making a pool fails, with an error that
//! says what is missing. And a child that does not say ready in time is killed.
//!
//! # Rejected
//! Code before `main` (a constructor of the linker's): nobody would have to call anything, but Rust's runtime is not set
//! up there, and everybody who links the crate would pay. A flag on the command line: it would have to be kept from
//! the program's own.

use std::any::Any;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::panic::{self, AssertUnwindSafe};
use std::process;

use unstuck_core::job::contain;

use crate::os;
use crate::portable::Registry;
use crate::wire::{self, Hello, Inbox, Kind, Ready};

/// Holds the number of the parent.
pub(crate) const VARIABLE: &str = "UNSTUCK_PROCESS_PARENT";

/// The code of a child that cannot go on, for reasons that have nothing to do with its jobs.
const BROKEN: i32 = 70;

/// Call this first thing in `main`: in a child of a process pool it runs jobs, and never returns; in any other process
/// it returns at once.
///
/// `#[unstuck::main]` does it for you (with the feature `process`). What stands before the call in `main` happens in every
/// child, too.
///
/// ```
/// use unstuck::process::ProcessPool;
///
/// fn main() -> std::io::Result<()> {
///     unstuck::process::serve_if_child();
///     let pool = ProcessPool::builder().build()?; // … the program
///     # drop(pool);
///     Ok(())
/// }
/// ```
///
/// In tests the harness has the `main`: write [`serve_in_tests!()`](crate::serve_in_tests) once in each test binary.
pub fn serve_if_child() {
    if let Some(parent) = parent() {
        let Err(error) = begin(parent).and_then(serve);
        eprintln!("unstuck: a worker process gives up: {error}");
        process::exit(BROKEN);
    }
}

/// True in a child that has not called [`serve_if_child`].
pub(crate) fn unserved() -> bool {
    parent().is_some()
}

/// The process whose child this is, until the socket has been taken from stdin.
fn parent() -> Option<u32> {
    let parent = std::env::var(VARIABLE).ok()?.parse().ok()?;
    os::is_from(io::stdin().as_fd(), parent).then_some(parent)
}

fn begin(parent: u32) -> io::Result<UnixStream> {
    if !os::die_with_parent(parent) {
        process::exit(0);
    }
    os::name_process();
    os::take_stdin()
}

/// What never is: this function only ends with the process, or with an error.
enum Never {}

fn serve(mut socket: UnixStream) -> io::Result<Never> {
    let mut inbox = Inbox::default();
    loop {
        let Some((kind, body)) = inbox.next()? else {
            if inbox.fill(&mut socket)? == 0 {
                process::exit(0);
            }
            continue;
        };
        let answer = match kind {
            Kind::Hello => hello(body)?,
            Kind::Run => run(body),
            other => return Err(io::Error::other(format!("{other:?} is not for children"))),
        };
        inbox.pop();
        // What a job printed is not to wait for the next one.
        let _ = io::stdout().flush();
        socket.write_all(&answer)?;
    }
}

fn hello(body: &[u8]) -> io::Result<Vec<u8>> {
    let hello: Hello = postcard::from_bytes(body).map_err(io::Error::other)?;
    if let Some(bytes) = hello.memory {
        os::limit_memory(bytes)?;
    }
    let ready = Ready { fingerprint: Registry::get().fingerprint() };
    wire::frame(Kind::Ready, &ready).map_err(io::Error::other)
}

fn run(body: &[u8]) -> Vec<u8> {
    let Ok((name, arguments)) = postcard::take_from_bytes::<&str>(body) else {
        return short(Kind::Garbled, "its name cannot be read");
    };
    let Some(entry) = Registry::get().find(name) else { return short(Kind::Unknown, name) };
    let done = panic::catch_unwind(AssertUnwindSafe(|| (entry.run)(arguments, wire::begin(Kind::Done))));
    match done {
        Ok(Ok(frame)) => wire::seal(frame).unwrap_or_else(|why| short(Kind::Garbled, &why)),
        Ok(Err(why)) => short(Kind::Garbled, &why),
        Err(payload) => panicked(payload),
    }
}

fn panicked(payload: Box<dyn Any + Send>) -> Vec<u8> {
    let text = unstuck_core::panic_message(payload.as_ref());
    let frame = wire::frame(Kind::Panicked, &text);
    contain("the destructor of a panic's payload", || drop(payload));
    frame.unwrap_or_else(|why| short(Kind::Garbled, &why))
}

/// A frame with a sentence in it, which always fits.
fn short(kind: Kind, text: &str) -> Vec<u8> {
    wire::frame(kind, &text).unwrap_or_else(|_| wire::begin(kind))
}

/// Lets child processes serve when the program is a test binary. Write it once, anywhere in the binary.
///
/// A test binary's `main` belongs to the harness, which runs tests. This adds one: in an ordinary run it passes at once;
/// a child process is told to run this one alone, and serves there.
///
/// ```
/// #[cfg(test)]
/// mod tests {
///     unstuck::process::serve_in_tests!();
///
///     #[unstuck::job]
///     fn double(n: u32) -> u32 {
///         2 * n
///     }
///
///     #[unstuck::test]
///     async fn doubling() {
///         let pool = unstuck::process::ProcessPool::builder().build().unwrap();
///         assert_eq!(pool.spawn(double::job(21)).await.unwrap(), 42);
///     }
/// }
/// ```
///
/// With `harness = false` the `main` is yours: call [`serve_if_child`] there.
#[macro_export]
macro_rules! serve_in_tests {
    () => {
        #[cfg(test)]
        mod unstuck_process_child {
            #[test]
            fn serve() {
                $crate::serve_if_child();
            }

            $crate::__private::inventory::submit! {
                $crate::__private::TestEntry { path: concat!(module_path!(), "::serve") }
            }
        }
    };
}

/// Where [`serve_in_tests!`](crate::serve_in_tests) was written.
pub struct TestEntry {
    /// The path of its test, crate name first.
    pub path: &'static str,
}

inventory::collect!(TestEntry);

/// What a child of this program needs on its command line: nothing, or, in a test binary, the name of the test that
/// serves.
pub(crate) fn arguments() -> Vec<&'static str> {
    let entry = inventory::iter::<TestEntry>.into_iter().next();
    let test = entry.and_then(|entry| entry.path.split_once("::")).map(|(_crate, path)| path);
    test.map_or_else(Vec::new, |test| vec![test, "--exact", "--nocapture", "--quiet", "--test-threads=1"])
}
