//! Why there is no backtrace, in one sentence.

use std::fmt;
use std::io;
use std::time::Duration;

/// Why the stack of a thread could not be had. Its text is one sentence for a report.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
///
/// let token = std::thread::spawn(|| unstuck_stack::register().unwrap().thread()).join().unwrap();
/// let error = unstuck_stack::capture(token, Duration::from_millis(10)).unwrap_err();
/// println!("no backtrace: {error}"); // no backtrace: the thread has ended, or is not registered any more
/// ```
#[derive(Debug)]
pub struct Unavailable(Reason);

#[derive(Debug)]
#[allow(dead_code, reason = "each system has its own reasons")]
pub(crate) enum Reason {
    Unsupported,
    Gone,
    Taken,
    Busy,
    OtherStack,
    Silent(Duration),
    Denied(io::Error),
    NoHandler(io::Error),
}

impl Unavailable {
    /// Whether the thread has ended or unregistered.
    #[must_use]
    pub fn is_gone(&self) -> bool {
        matches!(self.0, Reason::Gone)
    }

    /// Whether the thread did not answer in time. Later it may.
    #[must_use]
    pub fn is_timeout(&self) -> bool {
        matches!(self.0, Reason::Silent(_))
    }

    /// Whether asking again is pointless: not on this system, or not allowed to this process.
    #[must_use]
    pub fn is_permanent(&self) -> bool {
        matches!(self.0, Reason::Unsupported | Reason::Denied(_) | Reason::NoHandler(_))
    }
}

impl fmt::Display for Unavailable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Reason::Unsupported => {
                f.write_str("stacks of other threads can be read only on Linux, on x86_64 and aarch64")
            }
            Reason::Gone => f.write_str("the thread has ended, or is not registered any more"),
            Reason::Taken => f.write_str(
                "this program has a handler of its own for SIGURG, the signal by which a thread is asked for its stack",
            ),
            Reason::Busy => {
                f.write_str("a thread that was asked before is still copying its stack: ask again later")
            }
            Reason::OtherStack => f.write_str(
                "the thread is not on its own stack (but in a coroutine, or in a signal handler), or at its very end",
            ),
            Reason::Silent(limit) => write!(
                f,
                "the thread did not answer within {limit:?}: it blocks SIGURG, waits in the kernel where no signal \
                 reaches it, or got no processor",
            ),
            Reason::Denied(error) => {
                write!(f, "the kernel refused to signal the thread (a seccomp filter against tgkill?): {error}")
            }
            Reason::NoHandler(error) => write!(f, "no handler can be installed for SIGURG: {error}"),
        }
    }
}

impl std::error::Error for Unavailable {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.0 {
            Reason::Denied(error) | Reason::NoHandler(error) => Some(error),
            _ => None,
        }
    }
}

impl From<Reason> for Unavailable {
    fn from(reason: Reason) -> Self {
        Unavailable(reason)
    }
}
