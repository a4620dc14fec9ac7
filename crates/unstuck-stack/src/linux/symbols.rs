//! From addresses to names and lines.
//!
//! Reading the debug information takes a tenth of a second and tens of megabytes the first time (README.md has figures),
//! hence a step of its own, for a thread that may be slow. What was found is kept by address, so a stall that is
//! reported again costs nothing.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use super::modules::{self, Changes};
use crate::Frame;
use crate::render::NAMELESS;

/// A program stalls in few places. If it has more than this, start over.
const MOST_ADDRESSES: usize = 4096;

#[derive(Default)]
struct Known {
    changes: Changes,
    frames: HashMap<usize, Vec<Frame>>,
}

static KNOWN: Mutex<Option<Known>> = Mutex::new(None);

pub(crate) fn symbolise(addresses: &[usize]) -> Vec<Frame> {
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    let known = known.get_or_insert_default();
    let changes = modules::changes();
    if known.changes != changes || known.frames.len() > MOST_ADDRESSES {
        *known = Known { changes, frames: HashMap::new() };
    }
    let mut frames = Vec::new();
    for &address in addresses {
        frames.extend_from_slice(known.frames.entry(address).or_insert_with(|| frames_at(address)));
    }
    frames
}

/// The function at `address`, and those that were inlined into it, the innermost first.
fn frames_at(address: usize) -> Vec<Frame> {
    let mut frames = Vec::new();
    // `resolve` expects a return address and looks one byte before it.
    let returns_to = std::ptr::without_provenance_mut(address.wrapping_add(1));
    backtrace::resolve(returns_to, |symbol| {
        let Some(name) = symbol.name() else { return };
        frames.push(Frame {
            function: format!("{name:#}"), // without the hash
            file: symbol.filename().map(|path| path.display().to_string()),
            line: symbol.lineno(),
        });
    });
    if frames.is_empty() {
        frames.push(Frame { function: format!("{NAMELESS}{address:#x}"), file: None, line: None });
    }
    frames
}
