//! SIGINT: what the handler does, and how the thread hears of it. The handler itself is `signal-hook`'s.
//!
//! In a handler almost nothing is allowed. Ours looks at two flags and writes a byte into a socket; all else happens on
//! the thread that reads it.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use signal_hook::consts::SIGINT;
use signal_hook::{flag, low_level};

/// Installed once for the process; a handler cannot be taken away again without harming others'.
static INSTALLED: OnceLock<Installed> = OnceLock::new();

struct Installed {
    /// Do what the system does: end the process by the signal.
    by_default: Arc<AtomicBool>,
    /// End the process here and now, with the exit status of an interrupted program.
    at_once: Arc<AtomicBool>,
    reader: UnixStream,
    writer: UnixStream,
}

/// What the thread can hear.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Byte {
    Signal,
    Knock,
}

/// What a knock is; signals are another byte, of `signal-hook`'s.
const KNOCK: u8 = b'k';

/// Installs the handler unless it is there. Called under the desk's lock.
pub(super) fn install() -> io::Result<()> {
    if INSTALLED.get().is_some() {
        return Ok(());
    }
    let (reader, writer) = UnixStream::pair()?;
    // Who knocks holds the desk's lock, and the thread needs that to go on reading.
    writer.set_nonblocking(true)?;
    let by_default = Arc::new(AtomicBool::new(true));
    let at_once = Arc::new(AtomicBool::new(false));
    // They run in this order.
    flag::register_conditional_default(SIGINT, by_default.clone())?;
    flag::register_conditional_shutdown(SIGINT, super::INTERRUPTED, at_once.clone())?;
    low_level::pipe::register(SIGINT, writer.try_clone()?)?;
    let _ = INSTALLED.set(Installed { by_default, at_once, reader, writer });
    Ok(())
}

/// True if the program handles SIGINT itself, or was started with it ignored (`nohup`, a shell's background job).
pub(super) fn is_taken() -> bool {
    INSTALLED.get().is_none() && is_caught_or_ignored()
}

#[cfg(target_os = "linux")]
fn is_caught_or_ignored() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let has = |field: &str| {
        let mask = status.lines().find_map(|line| line.strip_prefix(field)).map(str::trim);
        let mask = mask.and_then(|mask| u64::from_str_radix(mask, 16).ok()).unwrap_or(0);
        mask & (1 << (SIGINT - 1)) != 0
    };
    has("SigCgt:") || has("SigIgn:")
}

#[cfg(not(target_os = "linux"))]
fn is_caught_or_ignored() -> bool {
    false // one cannot ask
}

/// Whether the next SIGINT is none of our business.
pub(super) fn leave_to_default(yes: bool) {
    if let Some(installed) = INSTALLED.get() {
        // SeqCst: the handler may run on any thread, and sees what was said last.
        installed.by_default.store(yes, Ordering::SeqCst);
    }
}

/// Whether the next SIGINT ends the process in the handler.
pub(super) fn end_at_once(yes: bool) {
    if let Some(installed) = INSTALLED.get() {
        installed.at_once.store(yes, Ordering::SeqCst); // as above
    }
}

/// Makes the thread look around. If there is no room for another knock, there are some that it has not heard yet.
pub(super) fn knock() {
    if let Some(installed) = INSTALLED.get() {
        let _ = (&installed.writer).write_all(&[KNOCK]);
    }
}

/// Waits for a signal or a knock.
pub(super) fn next() -> Option<Byte> {
    let mut byte = [0];
    match (&INSTALLED.get()?.reader).read_exact(&mut byte) {
        Ok(()) => Some(if byte[0] == KNOCK { Byte::Knock } else { Byte::Signal }),
        Err(_) => None,
    }
}
