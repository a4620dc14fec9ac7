//! Calling user code that nobody waits for, without being hurt by it.

use std::any::Any;
use std::fmt;
use std::io::Write;
use std::panic::{self, AssertUnwindSafe};

/// Runs user code that nobody waits for (destructors, hooks); a panic becomes one line on stderr.
///
/// `what` is the subject of that line: "unstuck: `what` panicked: …". False if it panicked.
pub fn contain(what: &str, f: impl FnOnce()) -> bool {
    match panic::catch_unwind(AssertUnwindSafe(f)) {
        Ok(()) => true,
        Err(payload) => {
            report(what, payload);
            false
        }
    }
}

/// Says that `what` panicked, and drops the payload, which may panic in its turn.
pub fn report(what: &str, payload: Box<dyn Any + Send>) {
    let text = crate::panic_message(payload.as_ref()).unwrap_or("(its payload is not text)");
    say(format_args!("{what} panicked: {text}"));
    if let Err(second) = panic::catch_unwind(AssertUnwindSafe(|| drop(payload))) {
        // Whatever a payload's destructor throws is not worth a third try.
        std::mem::forget(second);
    }
}

/// Something that surrounds a thread's whole life: it enters contexts, calls its argument once, and leaves them.
pub type Wrapper = dyn Fn(&mut dyn FnMut()) + Send + Sync;

/// Runs `body`, inside of `around` if there is one, and in any case exactly once: also if the wrapper panics, forgets
/// its part or calls it twice.
pub fn wrapped(around: Option<&Wrapper>, body: impl FnOnce()) {
    let mut body = Some(body);
    let mut once = || {
        if let Some(body) = body.take() {
            body();
        }
    };
    if let Some(around) = around {
        contain("the wrapper around a pool thread", || around(&mut once));
    }
    once();
}

/// Writes one line to stderr, and does not mind if there is none.
pub fn say(line: fmt::Arguments<'_>) {
    let _ = writeln!(std::io::stderr().lock(), "unstuck: {line}");
}
