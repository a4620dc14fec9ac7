//! With the feature `backtrace`: `unstuck-stack` asks.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

/// How long a thread may take to answer. One that sleeps or runs needs 0.1 ms; on a busy machine it first has to get a CPU.
const LIMIT: Duration = Duration::from_millis(20);

/// The calling thread is registered, until this is dropped.
pub(super) struct Registered(unstuck_stack::Registered);

#[derive(Clone, Copy, Debug)]
pub(super) struct Token(unstuck_stack::Token);

/// The calls on a stack, without their names.
#[derive(Clone)]
pub(super) struct Stack(Arc<unstuck_stack::Addresses>);

impl Registered {
    pub(super) fn new() -> Result<Self, Cow<'static, str>> {
        unstuck_stack::register().map(Self).map_err(|error| format!("its stack is not known: {error}").into())
    }

    pub(super) fn token(&self) -> Token {
        Token(self.0.thread())
    }
}

impl Token {
    pub(super) fn ask(&self) -> Result<Stack, Cow<'static, str>> {
        let capture = unstuck_stack::capture(self.0, LIMIT).map_err(|why| why.to_string())?;
        Ok(Stack(Arc::new(capture.unwind())))
    }
}

impl Stack {
    pub(super) fn text(&self) -> String {
        let mut frames = unstuck_stack::symbolise(&self.0);
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
