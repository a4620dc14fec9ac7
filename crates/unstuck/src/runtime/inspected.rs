//! What a builder does for those who want to look.

use std::io;

use super::{Builder, Handle};
use crate::debug::serve::{self, Served};

impl Builder {
    /// May the runtime be looked at from outside?
    pub(super) fn is_inspected(&self) -> bool {
        self.inspect.unwrap_or_else(serve::in_environment)
    }

    /// Has notes taken, if somebody wants to see them.
    pub(super) fn look(&self) {
        if self.introspection || self.is_inspected() || self.is_debug() {
            unstuck_core::inspect::switch_on();
        }
    }

    /// Lets the runtime be looked at from outside, if that is wanted.
    pub(super) fn listen(&self, handle: &Handle) -> io::Result<Option<Served>> {
        match self.is_inspected().then(|| serve::serve(&self.thread_name, handle)).transpose() {
            // What the environment asks for must not keep a program from running.
            Err(error) if self.inspect.is_none() => {
                eprintln!("unstuck: UNSTUCK_INSPECT is set, but nobody can ask this process: {error}");
                Ok(None)
            }
            Err(error) => Err(io::Error::new(error.kind(), format!("inspect(true): {error}"))),
            served => served,
        }
    }
}
