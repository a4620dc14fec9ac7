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
    let mut patience = Patience::new(limit);
    let question = loop {
        match registry::ask(thread)? {
            Some(question) => break question,
            // An earlier asker gave up during the copying. That takes microseconds, unless the thread lost its processor.
            None if patience.pause() => {}
            None => return Err(Reason::Busy.into()),
        }
    };
    loop {
        match SLOT.look(question) {
            Progress::Ready => return Ok(Capture(SLOT.copied(question))),
            Progress::Withdrawn => return Err(Reason::Gone.into()),
            Progress::Declined => return Err(Reason::OtherStack.into()),
            Progress::Waiting if patience.pause() => {}
            Progress::Waiting => match SLOT.give_up(question) {
                GivenUp::Unanswered | GivenUp::WhileCopying => return Err(Reason::Silent(limit).into()),
                GivenUp::Answered => {}
            },
        }
    }
}

/// Looks for some 20 µs without a rest, in which a thread answers that runs or is woken at once. Then it naps between looks.
///
/// Sleeping between looks, rather than on a futex, spares the handler a system call that could fail.
struct Patience {
    since: Instant,
    limit: Duration,
    looks: u32,
}

impl Patience {
    fn new(limit: Duration) -> Self {
        Patience { since: Instant::now(), limit, looks: 0 }
    }

    /// Lets a moment pass. False: it was the last.
    fn pause(&mut self) -> bool {
        self.looks += 1;
        if self.looks < 400 {
            hint::spin_loop();
        } else {
            thread::sleep(Duration::from_micros(20));
        }
        self.since.elapsed() < self.limit
    }
}

impl Capture {
    pub(crate) fn unwind(&self) -> Vec<usize> {
        unwind::unwind(&self.0)
    }
}
