//! Is debug mode on? asyncio's order: what the program says beats the environment, which beats "off".
//!
//! Debug mode reports on stderr what is legal but probably a mistake: a coroutine that was never awaited, a poll that
//! does not come back, on a single-threaded loop a step of 100 ms ([`Builder::slow_step`](crate::Builder::slow_step)). It is a property of the process: a report may come from a future that no runtime has ever seen. A
//! runtime asks once, when it is built, where its stall guard's reports go.

use std::sync::OnceLock;
// Not `unstuck_core::sync`: a switch nobody waits for, and it must live in a `static`, which loom's atomics cannot.
use std::sync::atomic::{AtomicU8, Ordering};

const UNSET: u8 = 0;
const OFF: u8 = 1;
const ON: u8 = 2;

/// What the program said.
static OVERRIDE: AtomicU8 = AtomicU8::new(UNSET);

/// True in debug mode: switched on by [`set_enabled`], or by `UNSTUCK_DEBUG` in the environment.
///
/// An empty `UNSTUCK_DEBUG` and `0` mean off, everything else means on. The environment is read once.
///
/// ```
/// unstuck::debug::set_enabled(Some(true));
/// assert!(unstuck::debug::enabled());
/// ```
pub fn enabled() -> bool {
    // Relaxed: the switch carries no data, a report a moment early or late harms nobody.
    match OVERRIDE.load(Ordering::Relaxed) {
        ON => true,
        OFF => false,
        _ => in_environment(),
    }
}

/// Switches debug mode on or off for the whole process; `None` goes back to what the environment says.
pub fn set_enabled(on: Option<bool>) {
    let value = match on {
        None => UNSET,
        Some(false) => OFF,
        Some(true) => ON,
    };
    // Relaxed: see `enabled`.
    OVERRIDE.store(value, Ordering::Relaxed);
}

fn in_environment() -> bool {
    static FOUND: OnceLock<bool> = OnceLock::new();
    *FOUND.get_or_init(|| {
        std::env::var_os("UNSTUCK_DEBUG").is_some_and(|value| !value.is_empty() && value != "0")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_program_says_beats_the_environment() {
        set_enabled(Some(true));
        assert!(enabled());
        set_enabled(Some(false));
        assert!(!enabled());
        set_enabled(None);
        assert_eq!(enabled(), in_environment());
    }
}
