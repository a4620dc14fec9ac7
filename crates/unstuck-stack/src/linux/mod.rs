//! Linux on x86_64 and aarch64: a signal, a copy, an unwinder. README.md tells the protocol.
//!
//! Reading order: `capture` (the steps) · `registry` (who may be asked) · `slot` (one question at a time) · `signal` (the
//! handler) · `peek` (one word of memory) · `bounds` (where a stack ends) · `modules` (unwind tables) · `unwind` ·
//! `symbols`.

mod bounds;
mod capture;
mod modules;
mod peek;
mod registry;
mod signal;
mod slot;
mod symbols;
mod unwind;

pub(crate) use capture::{Capture, capture};
pub(crate) use registry::{Mine, register};
pub(crate) use symbols::symbolise;
