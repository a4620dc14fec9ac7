//! No signals here: Ctrl-C does what it does without us.

use std::io;

/// What the thread can hear.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Byte {
    Knock,
}

pub(super) fn install() -> io::Result<()> {
    Err(io::Error::new(io::ErrorKind::Unsupported, "Ctrl-C can be awaited on Unix only"))
}

pub(super) fn is_taken() -> bool {
    true
}

pub(super) fn leave_to_default(_: bool) {}

pub(super) fn end_at_once(_: bool) {}

pub(super) fn knock() {}

pub(super) fn next() -> Option<Byte> {
    None
}
