//! Why a [`Deferred`](super::Deferred) gave no value, or did not take one.

use std::error::Error;
use std::fmt;
use std::sync::Arc;

/// Why a [`Deferred`](crate::Deferred) gave no value, or did not take one.
#[derive(Clone)]
pub struct DeferredError(pub(super) Kind);

#[derive(Clone)]
pub(super) enum Kind {
    NotReady,
    AlreadySet,
    Cancelled,
    Failed(Arc<dyn Error + Send + Sync>),
}

impl DeferredError {
    /// It has no value yet.
    #[must_use]
    pub fn is_not_ready(&self) -> bool {
        matches!(self.0, Kind::NotReady)
    }

    /// It had a value, an error or a cancellation before.
    #[must_use]
    pub fn is_already_set(&self) -> bool {
        matches!(self.0, Kind::AlreadySet)
    }

    /// It was cancelled.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        matches!(self.0, Kind::Cancelled)
    }
}

impl fmt::Display for DeferredError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::NotReady => {
                f.write_str("the deferred value is not set yet: await it, or ask is_done() first")
            }
            Kind::AlreadySet => {
                f.write_str("the deferred value was set or cancelled before: it can be set once")
            }
            Kind::Cancelled => f.write_str("the deferred value was cancelled"),
            Kind::Failed(error) => write!(f, "the deferred value is an error: {error}"),
        }
    }
}

impl fmt::Debug for DeferredError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DeferredError({self})")
    }
}

impl Error for DeferredError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match &self.0 {
            Kind::Failed(error) => Some(&**error),
            _ => None,
        }
    }
}
