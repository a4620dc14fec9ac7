//! Where is the stuck thread? Its backtrace, for a report.
//!
//! Promise: *a backtrace shows the very poll that the report is about, or says in one sentence why it is missing.* The
//! thread is asked once for each stall (a signal, which a raw `poll` or `usleep` sees as `EINTR`), by the reporter's thread:
//! rescue comes first, and waits for nothing here. Only while that thread is busy with an earlier report, whose names may take
//! longer than this poll, the monitor asks after the rescue, and waits for a millisecond at most. The heartbeat is looked at before and after, so that the stack of a
//! later poll is never shown. A later report of the same stall shows the same backtrace, and says how old it is. Names are looked up only when somebody reads the report, because that costs a tenth of a
//! second and tens of megabytes the first time.
//!
//! How a stack is had without harm is told in `unstuck-stack`, an optional dependency (the feature `backtrace`). Without
//! it `absent.rs` stands in for `taken.rs`, and every report says so.

#[cfg_attr(feature = "backtrace", path = "stack/taken.rs")]
#[cfg_attr(not(feature = "backtrace"), path = "stack/absent.rs")]
mod system;

#[cfg(all(test, not(any(unstuck_loom, unstuck_shuttle))))]
mod tests;

use std::borrow::Cow;
use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use system::{Registered, Stack, Token};

/// Where a stuck thread was, or why nobody knows.
///
/// `Display` lists the functions, the innermost first, or gives the reason in one sentence. Names are looked up when it is
/// displayed for the first time, which takes a tenth of a second: not in a place where others wait.
#[derive(Clone)]
pub struct Backtrace {
    inner: Inner,
    /// How long the poll had lasted when the thread was asked.
    after: Option<Duration>,
}

#[derive(Clone)]
enum Inner {
    Taken(Stack, Arc<OnceLock<String>>),
    Missing(Cow<'static, str>),
}

impl Backtrace {
    /// No backtrace, for this reason.
    pub(crate) fn missing(why: impl Into<Cow<'static, str>>) -> Self {
        Self::from(Inner::Missing(why.into()))
    }

    /// The same, of a poll that had `lasted` so long when its thread was asked.
    pub(crate) fn after(self, lasted: Duration) -> Self {
        Self { after: Some(lasted), ..self }
    }

    /// How long the poll had lasted when this was taken, if that is less than now.
    pub(crate) fn earlier_than(&self, now: Duration) -> Option<Duration> {
        self.after.filter(|&after| after < now)
    }

    /// Whether there is one.
    #[must_use]
    pub fn is_taken(&self) -> bool {
        matches!(self.inner, Inner::Taken(..))
    }
}

impl From<Inner> for Backtrace {
    fn from(inner: Inner) -> Self {
        Self { inner, after: None }
    }
}

impl fmt::Display for Backtrace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.inner {
            Inner::Taken(stack, text) => f.write_str(text.get_or_init(|| stack.text())),
            Inner::Missing(why) => f.write_str(why),
        }
    }
}

impl fmt::Debug for Backtrace {
    /// Short: who wants to read the functions displays it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.inner {
            Inner::Taken(..) => f.write_str("Backtrace(taken)"),
            Inner::Missing(why) => write!(f, "Backtrace(missing: {why})"),
        }
    }
}

/// Whom to ask for a thread's stack. The thread itself makes it; others keep it.
#[derive(Clone, Debug)]
pub(crate) struct Address(Result<Token, Cow<'static, str>>);

/// The calling thread can be asked, until this is dropped.
pub(crate) struct Asked(Result<Registered, Cow<'static, str>>);

impl Asked {
    /// Lets the calling thread be asked for its stack, if that is `wanted`.
    pub(crate) fn from_now_on(wanted: bool) -> Self {
        Self(if wanted { Registered::new() } else { Err("it is turned off (stall_backtrace)".into()) })
    }

    pub(crate) fn address(&self) -> Address {
        Address(self.0.as_ref().map(Registered::token).map_err(Clone::clone))
    }
}

impl Address {
    /// Nobody sits there.
    pub(crate) fn nobody() -> Self {
        Self(Err("its thread is not there (any more)".into()))
    }

    /// Asks the thread, which shall be in the poll of which `goes_on` says whether it goes on. Waits no longer than `limit`.
    pub(crate) fn ask(&self, limit: Duration, goes_on: impl Fn() -> bool) -> Backtrace {
        const OVER: &str = "the poll came back before its stack could be read";
        let token = match &self.0 {
            Ok(token) => token,
            Err(why) => return Backtrace::missing(why.clone()),
        };
        if !goes_on() {
            return Backtrace::missing(OVER);
        }
        match token.ask(limit) {
            // The same poll before and after: it is this one's stack.
            Ok(stack) if goes_on() => Inner::Taken(stack, Arc::default()).into(),
            Ok(_) => Backtrace::missing(OVER),
            Err(why) => Backtrace::missing(why),
        }
    }
}
