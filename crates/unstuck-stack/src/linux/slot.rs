//! The slot through which one thread asks and another thread's signal handler answers.
//!
//! Promise: an answer is one thread's registers and stack, copied in one go for the question that was asked; and a
//! handler that comes late, twice, or on the wrong thread changes nothing.
//!
//! ```text
//!            ask (1)              answer (2)             answer (3)             copied (4)
//!   idle ──────────────► asked ──────────────► copying ──────────────► ready ──────────────► idle
//!                          │                      │
//!                          │ give_up (5)          │ give_up (6)           answer (7)
//!                          ├────────────► idle    └────────────► left ──────────────► idle
//!                          │ withdraw (8), or answer on another stack (9)
//!                          └────────────► withdrawn, declined  (as good as idle)
//! ```
//!
//! The state is one word: the question's number, and the phase in the lowest three bits. Every step out of `asked` and
//! `copying` is a compare-and-exchange of the whole word, so exactly one side wins, and a step that was meant for an
//! earlier question fails.
//!
//! * **Who may write what.** The thread's number and its stack's range are written by the asker while nothing is asked.
//!   Registers and words are written by the one handler that won step 2, until its step 3 or 7.
//! * **Late handler.** It finds no question, or a later one. If that names its own thread, it is a good answer; if not,
//!   it leaves it alone.
//! * **Another stack.** The thread runs a coroutine or a signal handler: it says so at once, as its signal is spent (9).
//! * **Asker gives up while the handler copies.** It does not wait for it: the slot is `left`, and refuses questions
//!   until the handler has put it back (7).
//! * **The thread ends.** It withdraws the question itself (8). From then on no memory of its stack is read.
//!
//! Everything shared is an atomic, the 64 KiB of stack too. A relaxed store costs what a plain one does, and there is
//! no data race to reason about, hence no `unsafe` in this file. models.rs runs it under loom.

use std::ops::Range;

#[cfg(unstuck_loom)]
use loom::sync::atomic::{AtomicU64, Ordering};
#[cfg(not(unstuck_loom))]
use std::sync::atomic::{AtomicU64, Ordering};

const IDLE: u64 = 0;
const ASKED: u64 = 1;
const COPYING: u64 = 2;
const READY: u64 = 3;
const LEFT: u64 = 4;
const WITHDRAWN: u64 = 5;
const DECLINED: u64 = 6;
const PHASE: u64 = 7;
const ONE_QUESTION: u64 = PHASE + 1;

const WORD: u64 = 8;
/// So much below the stack pointer may still hold a saved register: the x86_64 ABI's red zone.
const RED_ZONE: u64 = 128;
/// No system that we know has smaller pages.
const PAGE: u64 = 4096;

/// The registers from which unwinding starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Registers {
    pub(crate) pc: u64,
    pub(crate) sp: u64,
    pub(crate) fp: u64,
    /// The link register of aarch64; zero on x86_64.
    pub(crate) lr: u64,
}

/// A stack as it was at one moment: `words[0]` lay at address `start`.
#[derive(Clone, Debug)]
pub(crate) struct Copied {
    pub(crate) registers: Registers,
    pub(crate) start: u64,
    pub(crate) words: Vec<u64>,
}

/// The name of one question: its state word while it is `asked`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Question(u64);

/// A handler is still copying for an asker who has given up.
#[derive(Debug)]
pub(crate) struct StillCopying;

#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    Waiting,
    Ready,
    Withdrawn,
    Declined,
}

#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum GivenUp {
    Unanswered,
    WhileCopying,
    /// There was an answer after all: look.
    Answered,
}

#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    Given,
    Declined,
    NotAsked,
}

/// Room for one question and `N` words of stack. Askers take turns: the caller holds a lock.
pub(crate) struct Slot<const N: usize> {
    state: AtomicU64,
    thread: AtomicU64,
    low: AtomicU64,
    high: AtomicU64,
    registers: [AtomicU64; 4],
    start: AtomicU64,
    len: AtomicU64,
    words: [AtomicU64; N],
}

/// The asker's side.
impl<const N: usize> Slot<N> {
    /// Step 1: asks the thread with this number and this stack. Signal it after this.
    pub(crate) fn ask(&self, thread: u64, stack: Range<u64>) -> Result<Question, StillCopying> {
        // Acquire: pairs with the Release of steps 3 and 7, so a past handler's stores are over before ours begin.
        let state = self.state.load(Ordering::Acquire);
        if matches!(state & PHASE, COPYING | LEFT) {
            return Err(StillCopying);
        }
        self.thread.store(thread, Ordering::Relaxed);
        self.low.store(stack.start, Ordering::Relaxed);
        self.high.store(stack.end, Ordering::Relaxed);
        let asked = (state & !PHASE).wrapping_add(ONE_QUESTION) | ASKED;
        // Release: pairs with the Acquire in `answer`, which then sees the range.
        self.state.store(asked, Ordering::Release);
        Ok(Question(asked))
    }

    /// How far is it?
    pub(crate) fn look(&self, question: Question) -> Progress {
        // Acquire: pairs with the Release of step 3; `copied` then sees the whole copy.
        match self.state.load(Ordering::Acquire) {
            state if state == question.at(READY) => Progress::Ready,
            state if state == question.at(WITHDRAWN) => Progress::Withdrawn,
            state if state == question.at(DECLINED) => Progress::Declined,
            _ => Progress::Waiting,
        }
    }

    /// Steps 5 and 6: stops waiting.
    pub(crate) fn give_up(&self, question: Question) -> GivenUp {
        if self.step(question, ASKED, IDLE, Ordering::Relaxed) {
            // Relaxed: nobody has written anything for this question.
            return GivenUp::Unanswered;
        }
        if self.step(question, COPYING, LEFT, Ordering::Relaxed) {
            // Relaxed: the handler's stores are waited for by the Acquire in `ask`, after step 7.
            return GivenUp::WhileCopying;
        }
        GivenUp::Answered
    }

    /// Step 4: takes the answer out. Only after [`look`](Self::look) said that it is ready.
    pub(crate) fn copied(&self, question: Question) -> Copied {
        debug_assert_eq!(self.look(question), Progress::Ready);
        // Relaxed, all of them: the Acquire in `look` came first.
        let get = |value: &AtomicU64| value.load(Ordering::Relaxed);
        let [pc, sp, fp, lr] = self.registers.each_ref().map(get);
        let len = usize::try_from(get(&self.len)).unwrap_or(0);
        let words = self.words.iter().take(len).map(get).collect();
        let copied = Copied { registers: Registers { pc, sp, fp, lr }, start: get(&self.start), words };
        // Release: these reads are over before the next question's handler writes (it acquires our next `asked`).
        self.state.store(question.at(IDLE), Ordering::Release);
        copied
    }

    /// What `give_up` must not do; for a model that has to fail.
    #[cfg(unstuck_loom)]
    pub(crate) fn take_back_by_force(&self) {
        self.state.store(IDLE, Ordering::Release);
    }

    fn step(&self, question: Question, from: u64, to: u64, success: Ordering) -> bool {
        // Relaxed on failure: the caller then looks again, with Acquire.
        self.state.compare_exchange(question.at(from), question.at(to), success, Ordering::Relaxed).is_ok()
    }
}

/// The side of the thread that is asked.
impl<const N: usize> Slot<N> {
    /// Steps 2, and 3 or 7, or 9: copies this thread's stack, if it is asked and runs on it.
    ///
    /// Called by the signal handler: only atomics and the two functions that it brings; no allocation, no lock, no panic.
    /// `read` is called only if the question names this thread and the stack pointer lies on the stack that the question
    /// names. It gets addresses of whole words from there to the end of the stack, and of up to 128 bytes below the
    /// stack pointer on the same page.
    pub(crate) fn answer(
        &self,
        registers: Registers,
        this_thread: impl FnOnce() -> u64,
        read: impl Fn(u64) -> u64,
    ) -> Answer {
        // Acquire: pairs with the Release in `ask`.
        let state = self.state.load(Ordering::Acquire);
        let question = Question(state);
        if state & PHASE != ASKED {
            return Answer::NotAsked;
        }
        // Relaxed, all three: they are only written while nothing is asked. If the question changed meanwhile, steps 2
        // and 9 fail.
        if self.thread.load(Ordering::Relaxed) != this_thread() {
            return Answer::NotAsked;
        }
        let low = self.low.load(Ordering::Relaxed);
        let high = self.high.load(Ordering::Relaxed);
        let sp = registers.sp & !(WORD - 1);
        if sp < low || sp >= high {
            // Relaxed: nothing was written for this question.
            self.step(question, ASKED, DECLINED, Ordering::Relaxed);
            return Answer::Declined;
        }
        // Acquire: pairs with the Release in `ask`, behind which the previous answer was read.
        if !self.step(question, ASKED, COPYING, Ordering::Acquire) {
            return Answer::NotAsked;
        }
        let start = sp.saturating_sub(RED_ZONE).max(sp & !(PAGE - 1)).max(low);
        let len = ((high - start) / WORD).min(N as u64);
        // Relaxed, all of them: step 3 or 7 releases them.
        let mut at = start;
        for word in self.words.iter().take(len as usize) {
            word.store(read(at), Ordering::Relaxed);
            at = at.wrapping_add(WORD);
        }
        let Registers { pc, sp, fp, lr } = registers;
        for (kept, value) in self.registers.iter().zip([pc, sp, fp, lr]) {
            kept.store(value, Ordering::Relaxed);
        }
        self.start.store(start, Ordering::Relaxed);
        self.len.store(len, Ordering::Relaxed);
        // Release: pairs with the Acquire in `look`.
        if !self.step(question, COPYING, READY, Ordering::Release) {
            // The asker has left. Release: pairs with the Acquire in the next `ask`.
            self.state.store(question.at(IDLE), Ordering::Release);
        }
        Answer::Given
    }

    /// Step 8: the thread that is asked will end. Called by that thread, so its handler is not running.
    pub(crate) fn withdraw(&self, question: Question) {
        // Relaxed: nothing was written for this question; the asker only learns that nobody will answer.
        self.step(question, ASKED, WITHDRAWN, Ordering::Relaxed);
    }
}

impl<const N: usize> Slot<N> {
    /// An idle slot.
    #[cfg(not(unstuck_loom))]
    pub(crate) const fn new() -> Self {
        Slot {
            state: AtomicU64::new(IDLE),
            thread: AtomicU64::new(0),
            low: AtomicU64::new(0),
            high: AtomicU64::new(0),
            registers: [const { AtomicU64::new(0) }; 4],
            start: AtomicU64::new(0),
            len: AtomicU64::new(0),
            words: [const { AtomicU64::new(0) }; N],
        }
    }

    /// An idle slot that loom watches.
    #[cfg(unstuck_loom)]
    pub(crate) fn new() -> Self {
        Slot {
            state: AtomicU64::new(IDLE),
            thread: AtomicU64::new(0),
            low: AtomicU64::new(0),
            high: AtomicU64::new(0),
            registers: std::array::from_fn(|_| AtomicU64::new(0)),
            start: AtomicU64::new(0),
            len: AtomicU64::new(0),
            words: std::array::from_fn(|_| AtomicU64::new(0)),
        }
    }
}

impl Question {
    /// The state word of this question in another phase.
    const fn at(self, phase: u64) -> u64 {
        (self.0 & !PHASE) | phase
    }
}
