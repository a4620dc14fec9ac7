//! What went wrong in a group, all of it.

use std::error::Error;
use std::fmt;

use unstuck_core::JoinError;

/// All failures of a [task group](crate::task_group): asyncio's `ExceptionGroup`.
///
/// They stand in the order in which they came, that of the body last. There is at least one.
#[derive(Debug)]
pub struct GroupError<E> {
    failures: Vec<GroupFailure<E>>,
}

/// How one child, or the body, failed.
#[derive(Debug)]
pub enum GroupFailure<E> {
    /// It gave this error.
    Error(E),
    /// A child panicked.
    Panic(JoinError),
}

impl<E> GroupError<E> {
    pub(super) fn new(failures: Vec<GroupFailure<E>>) -> Self {
        Self { failures }
    }

    /// The failures, the one that aborted the group first.
    #[must_use]
    pub fn failures(&self) -> &[GroupFailure<E>] {
        &self.failures
    }

    /// The failures, to keep.
    #[must_use]
    pub fn into_failures(self) -> Vec<GroupFailure<E>> {
        self.failures
    }

    /// The errors that were given, without the panics.
    pub fn errors(&self) -> impl Iterator<Item = &E> {
        self.failures.iter().filter_map(|failure| match failure {
            GroupFailure::Error(error) => Some(error),
            GroupFailure::Panic(_) => None,
        })
    }
}

impl<E: fmt::Display> fmt::Display for GroupError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.failures.len() {
            1 => f.write_str("a failure in a task group")?,
            count => write!(f, "{count} failures in a task group")?,
        }
        for (at, failure) in self.failures.iter().enumerate() {
            write!(f, "{} {failure}", if at == 0 { ":" } else { ";" })?;
        }
        Ok(())
    }
}

impl<E: fmt::Display> fmt::Display for GroupFailure<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Error(error) => error.fmt(f),
            Self::Panic(error) => error.fmt(f),
        }
    }
}

impl<E: fmt::Debug + fmt::Display> Error for GroupError<E> {}
impl<E: fmt::Debug + fmt::Display> Error for GroupFailure<E> {}
