//! Why a task or a job gave no value.

mod away;

use std::any::Any;
use std::borrow::Cow;
use std::error::Error;
use std::fmt;
use std::panic::Location;
use std::sync::Arc;

use crate::task::{Reason, TaskRef};
#[doc(hidden)]
pub use away::{Away, Loss};

/// Why a task or an offloaded job gave no value.
///
/// Opaque on purpose: ask [`is_cancelled`](Self::is_cancelled), [`is_panic`](Self::is_panic) or
/// [`is_rejected`](Self::is_rejected); of a job in another process also [`is_worker_death`](Self::is_worker_death) and
/// [`is_timeout`](Self::is_timeout). The text names the task or job and the place in the source that started it.
///
/// Two words, so that a result that holds one stays in registers on its way to whoever awaits it.
pub struct JoinError(Repr);

enum Repr {
    /// A task was cancelled about which there is no more to say than itself knows. It is kept for that, with its future gone:
    /// a hundred thousand of these need no allocation each.
    Cancelled(TaskRef),
    Told(Box<Told>),
}

struct Told {
    kind: Kind,
    origin: Origin,
}

enum Kind {
    Cancelled(Option<Reason>),
    Panicked(Box<dyn Any + Send + 'static>),
    Rejected(Cow<'static, str>),
    /// A task awaited itself.
    Endless,
    /// Lost in another process.
    Away(Box<Away>),
}

/// Who an error speaks of: what it was called and where it was started.
#[derive(Clone)]
pub struct Origin {
    what: &'static str,
    id: Option<u64>,
    name: Option<Arc<str>>,
    place: &'static Location<'static>,
}

impl Origin {
    /// `what` is the noun used in messages: "task", "job".
    pub fn new(what: &'static str, place: &'static Location<'static>) -> Self {
        Self { what, id: None, name: None, place }
    }

    /// Adds the number it goes by.
    #[must_use]
    pub fn with_id(mut self, id: u64) -> Self {
        self.id = Some(id);
        self
    }

    /// Adds the name it was given.
    #[must_use]
    pub fn with_name(mut self, name: Option<Arc<str>>) -> Self {
        self.name = name;
        self
    }
}

impl JoinError {
    fn told(kind: Kind, origin: Origin) -> Self {
        Self(Repr::Told(Box::new(Told { kind, origin })))
    }

    /// It was cancelled before it gave a value.
    #[doc(hidden)]
    pub fn cancelled(origin: Origin) -> Self {
        Self::told(Kind::Cancelled(None), origin)
    }

    /// The same, and perhaps somebody said why.
    pub(crate) fn cancelled_for(origin: Origin, reason: Option<Reason>) -> Self {
        Self::told(Kind::Cancelled(reason), origin)
    }

    /// This task was cancelled, which has no name, and nobody said why. The error keeps all that is left of it.
    pub(crate) fn cancelled_task(task: TaskRef) -> Self {
        Self(Repr::Cancelled(task))
    }

    /// It panicked with `payload`.
    #[doc(hidden)]
    pub fn panicked(origin: Origin, payload: Box<dyn Any + Send + 'static>) -> Self {
        Self::told(Kind::Panicked(payload), origin)
    }

    /// It was never accepted; `why` completes the sentence "rejected: …" and says what to do instead.
    #[doc(hidden)]
    pub fn rejected(origin: Origin, why: impl Into<Cow<'static, str>>) -> Self {
        Self::told(Kind::Rejected(why.into()), origin)
    }

    /// It was awaited by itself.
    pub(crate) fn endless(origin: Origin) -> Self {
        Self::told(Kind::Endless, origin)
    }

    /// It was lost in another process, in the way that `away` tells.
    #[doc(hidden)]
    pub fn lost(origin: Origin, away: Away) -> Self {
        Self::told(Kind::Away(Box::new(away)), origin)
    }

    /// True if it was cancelled, or refused by a runtime or pool that has shut down.
    pub fn is_cancelled(&self) -> bool {
        matches!(self.kind(), None | Some(Kind::Cancelled(_) | Kind::Rejected(_)))
    }

    /// True if it panicked.
    pub fn is_panic(&self) -> bool {
        match self.kind() {
            Some(Kind::Panicked(_)) => true,
            Some(Kind::Away(away)) => away.is_panic(),
            None | Some(Kind::Cancelled(_) | Kind::Rejected(_) | Kind::Endless) => false,
        }
    }

    /// True if it was refused before it could start: the runtime or pool had shut down, or a bounded queue was full.
    pub fn is_rejected(&self) -> bool {
        matches!(self.kind(), Some(Kind::Rejected(_)))
    }

    /// True if a task awaited itself, which would have waited for ever. The task goes on.
    pub fn is_deadlock(&self) -> bool {
        matches!(self.kind(), Some(Kind::Endless))
    }

    /// Why it was cancelled, if whoever cancelled it [said so](crate::TaskRef::cancel_with).
    pub fn reason(&self) -> Option<&Reason> {
        match self.kind() {
            Some(Kind::Cancelled(reason)) => reason.as_ref(),
            _ => None,
        }
    }

    /// The panic's payload, to hand to [`std::panic::resume_unwind`].
    ///
    /// # Errors
    /// Gives the error back when it is not a panic.
    pub fn try_into_panic(self) -> Result<Box<dyn Any + Send + 'static>, Self> {
        let Repr::Told(told) = self.0 else { return Err(self) };
        let Told { kind, origin } = *told;
        match kind {
            Kind::Panicked(payload) => Ok(payload),
            Kind::Away(away) => away.into_panic().map_err(|away| Self::told(Kind::Away(away), origin)),
            kind => Err(Self::told(kind, origin)),
        }
    }

    /// The panic's message, when the payload is text.
    pub fn panic_message(&self) -> Option<&str> {
        match self.kind() {
            Some(Kind::Panicked(payload)) => message(payload.as_ref()),
            Some(Kind::Away(away)) => away.panic_message(),
            _ => None,
        }
    }

    /// None: cancelled, and nobody said why.
    fn kind(&self) -> Option<&Kind> {
        match &self.0 {
            Repr::Cancelled(_) => None,
            Repr::Told(told) => Some(&told.kind),
        }
    }

    /// Who it speaks of.
    pub(crate) fn origin(&self) -> Cow<'_, Origin> {
        match &self.0 {
            // No name: one that it was given since is not its name in this error.
            Repr::Cancelled(task) => Cow::Owned(Origin { name: None, ..task.origin() }),
            Repr::Told(told) => Cow::Borrowed(&told.origin),
        }
    }

    /// The name it was given, if any.
    pub fn name(&self) -> Option<&str> {
        match &self.0 {
            Repr::Cancelled(_) => None,
            Repr::Told(told) => told.origin.name.as_deref(),
        }
    }

    /// The place in the source that spawned the task or submitted the job.
    pub fn place(&self) -> &'static Location<'static> {
        match &self.0 {
            Repr::Cancelled(task) => task.place(),
            Repr::Told(told) => told.origin.place,
        }
    }
}

/// A panic payload's text, when it has one.
pub fn message(payload: &(dyn Any + Send)) -> Option<&str> {
    payload
        .downcast_ref::<&'static str>()
        .copied()
        .or_else(|| payload.downcast_ref::<String>().map(String::as_str))
}

/// The most bytes of a panic message that `Display` shows; payloads of a megabyte do exist.
const SHOWN: usize = 1024;

impl fmt::Display for JoinError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.origin())?;
        match self.kind().unwrap_or(&Kind::Cancelled(None)) {
            Kind::Cancelled(reason) => match reason.as_ref().and_then(Reason::text) {
                Some(text) => write!(f, " was cancelled: {text}"),
                None => f.write_str(" was cancelled"),
            },
            Kind::Rejected(why) => write!(f, " was rejected: {why}"),
            Kind::Panicked(payload) => write_panic(f, payload.as_ref()),
            Kind::Endless => {
                f.write_str(" awaits itself, and would wait for ever: let another task await it")
            }
            Kind::Away(away) => write!(f, "{away}"),
        }
    }
}

fn write_panic(f: &mut fmt::Formatter<'_>, payload: &(dyn Any + Send)) -> fmt::Result {
    match message(payload) {
        None => f.write_str(" panicked (its payload is not text)"),
        Some(text) if text.len() <= SHOWN => write!(f, " panicked: {text}"),
        Some(text) => {
            let end = (0..=SHOWN).rev().find(|&i| text.is_char_boundary(i)).unwrap_or(0);
            write!(f, " panicked: {}… ({} bytes in all)", &text[..end], text.len())
        }
    }
}

impl fmt::Debug for JoinError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = self.kind().unwrap_or(&Kind::Cancelled(None));
        f.debug_struct("JoinError").field("kind", kind).field("origin", &self.origin()).finish()
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.what)?;
        if let Some(id) = self.id {
            write!(f, " {id}")?;
        }
        if let Some(name) = &self.name {
            write!(f, " '{name}'")?;
        }
        write!(f, " (from {}:{})", self.place.file(), self.place.line())
    }
}

impl fmt::Debug for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl fmt::Debug for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Kind::Cancelled(reason) => f.debug_tuple("Cancelled").field(reason).finish(),
            Kind::Rejected(why) => write!(f, "Rejected({why:?})"),
            Kind::Endless => f.write_str("Endless"),
            Kind::Panicked(payload) => write!(f, "Panicked({:?})", message(payload.as_ref()).unwrap_or("..")),
            Kind::Away(away) => away.fmt(f),
        }
    }
}

impl Error for JoinError {}

#[cfg(test)]
mod tests {
    use super::*;

    fn origin() -> Origin {
        Origin::new("task", Location::caller()).with_id(7).with_name(Some("reader".into()))
    }

    #[test]
    fn the_text_names_task_and_place() {
        let text = JoinError::panicked(origin(), Box::new("boom")).to_string();
        assert!(text.starts_with("task 7 'reader' (from "), "{text}");
        assert!(text.ends_with("panicked: boom"), "{text}");
    }

    #[test]
    fn a_message_of_a_megabyte_is_cut() {
        let text = JoinError::panicked(origin(), Box::new("ä".repeat(500_000))).to_string();
        assert!(text.len() < 2 * SHOWN, "{} bytes", text.len());
        assert!(text.contains("1000000 bytes in all"));
    }

    #[test]
    fn a_payload_that_is_no_text_is_said() {
        let error = JoinError::panicked(origin(), Box::new(42_u32));
        assert!(error.to_string().contains("not text"));
        assert_eq!(*error.try_into_panic().unwrap().downcast::<u32>().unwrap(), 42);
    }

    #[test]
    fn a_cancellation_is_no_panic() {
        let error = JoinError::cancelled(origin());
        assert!(error.is_cancelled() && !error.is_panic());
        assert!(error.try_into_panic().is_err());
    }
}
