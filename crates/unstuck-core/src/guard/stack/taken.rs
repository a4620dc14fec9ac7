//! With the feature `backtrace`: `unstuck-stack` asks.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

/// The calling thread is registered, until this is dropped.
pub(super) struct Registered(unstuck_stack::Registered);

#[derive(Clone, Copy, Debug)]
pub(super) struct Token(unstuck_stack::Token);

/// A copy of the stack, not looked at yet.
#[derive(Clone)]
pub(super) struct Stack(Arc<unstuck_stack::Capture>);

impl Registered {
    pub(super) fn new() -> Result<Self, Cow<'static, str>> {
        unstuck_stack::register().map(Self).map_err(|error| format!("its stack is not known: {error}").into())
    }

    pub(super) fn token(&self) -> Token {
        Token(self.0.thread())
    }
}

impl Token {
    pub(super) fn ask(&self, limit: Duration) -> Result<Stack, Cow<'static, str>> {
        let capture = unstuck_stack::capture(self.0, limit).map_err(|why| why.to_string())?;
        Ok(Stack(Arc::new(capture)))
    }
}

impl Stack {
    pub(super) fn text(&self) -> String {
        let mut frames = unstuck_stack::symbolise(&self.0.unwind());
        // Who runs a loop on this thread is not the one who stalls it.
        if let Some(poll) = frames.iter().rposition(begins_the_poll) {
            frames.truncate(poll + 1);
        }
        unstuck_stack::render(&frames)
    }
}

/// `Lookout::around` is never inlined, so it is there in every profile. With line tables only, its name is bare.
fn begins_the_poll(frame: &unstuck_stack::Frame) -> bool {
    let its_file = frame.file.as_deref().is_some_and(|file| file.ends_with("guard/lookout.rs"));
    frame.function.contains("::Lookout") && frame.function.contains("around")
        || its_file && frame.function.starts_with("around")
}
