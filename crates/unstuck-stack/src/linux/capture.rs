//! Asks a thread for its stack: the steps, from the asking thread's side.
//!
//! 1. One asker at a time: the lock `ASKING`, held until the end.
//! 2. The signal is ours, or free to take (`signal::claim`). Otherwise decline; nobody's handler is replaced.
//! 3. Under the registry's lock: the thread is registered, the question is put, the signal is sent. A thread leaves the
//!    registry before it ends, so there is no moment at which the signal could hit a stranger.
//! 4. Wait for the answer, at most as long as the caller allows.
//! 5. Take it out, or give up. What comes later finds no question.

use std::hint;
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::slot::{Copied, GivenUp, Progress, Slot};
use super::{registry, signal, unwind};
use crate::error::{Reason, Unavailable};

/// 64 KiB: the frames of a poll and what it calls, with room. The pages are touched only as far as they are needed.
const WORDS: usize = 8 * 1024;

/// The one slot. It is static because a late handler may come at any time.
pub(super) static SLOT: Slot<WORDS> = Slot::new();

static ASKING: Mutex<()> = Mutex::new(());

/// The copy of a stack.
#[derive(Clone, Debug)]
pub(crate) struct Capture(Copied);

pub(crate) fn capture(thread: u64, limit: Duration) -> Result<Capture, Unavailable> {
    let _turn = ASKING.lock().unwrap_or_else(PoisonError::into_inner);
    signal::claim()?;
    let question = registry::ask(thread)?;
    let started = Instant::now();
    let mut looks = 0;
    loop {
        match SLOT.look(question) {
            Progress::Ready => return Ok(Capture(SLOT.copied(question))),
            Progress::Withdrawn => return Err(Reason::Gone.into()),
            Progress::Waiting if started.elapsed() < limit => pause(&mut looks),
            Progress::Waiting => break,
        }
    }
    match SLOT.give_up(question) {
        GivenUp::Ready => Ok(Capture(SLOT.copied(question))),
        GivenUp::Withdrawn => Err(Reason::Gone.into()),
        GivenUp::Unanswered | GivenUp::WhileCopying => Err(Reason::Silent(limit).into()),
    }
}

/// A running thread answers within a few microseconds, one that sleeps within some fifty: it has to be woken first.
///
/// Sleeping between looks rather than on a futex keeps the handler free of system calls.
fn pause(looks: &mut u32) {
    *looks += 1;
    if *looks < 100 {
        hint::spin_loop();
    } else {
        thread::sleep(Duration::from_micros(20));
    }
}

impl Capture {
    pub(crate) fn unwind(&self) -> Vec<usize> {
        unwind::unwind(&self.0)
    }
}
