//! Who is on duty: one word per seat, so that the number of workers at work stays what it was asked to be.
//!
//! ```text
//!            occupy (a thread is made)          mark_lost (a replacement has started)
//!   EMPTY ─────────────────────────► WORKING ─────────────────────────► LOST
//!     ▲                                 ▲                                │
//!     │ vacate                   recall │                                │ retire (it came back)
//!     │                                 │                                │
//!   LEAVING ◄──────────────────────── SPARE ◄────────────────────────────┘
//!             leave (keep-alive over)
//! ```
//!
//! Only the monitor occupies, recalls and marks; only the seat's own worker retires, leaves and vacates. Promise: *as
//! many seats are WORKING as the runtime has workers, give or take one for a moment.* A worker is marked lost only when
//! another seat has started to work in its place, and a lost worker that comes back stops working.
//!
//! The race that needs no closing: a worker comes back at the very moment it is marked. Then it retires although it is
//! not stuck any more, and its replacement works in its place: the count is the same. (When the scheduler ends, workers
//! vacate their seats from wherever they are, and whoever is marked or sits down in that moment leaves, too.) Tasks are not touched here: what
//! lies in a lost worker's queue anyone may steal, and what it still finds there it hands over before it retires.

use crate::sync::atomic::{AtomicU32, Ordering, fence};

const EMPTY: u32 = 0;
const WORKING: u32 = 1;
const LOST: u32 = 2;
const SPARE: u32 = 3;
const LEAVING: u32 = 4;

/// The duty of one seat.
#[derive(Debug)]
pub(crate) struct Duty(AtomicU32);

impl Duty {
    pub(crate) fn new(working: bool) -> Self {
        Self(AtomicU32::new(if working { WORKING } else { EMPTY }))
    }

    /// The worker asks after each poll: have I been replaced?
    #[inline]
    pub(crate) fn is_lost(&self) -> bool {
        self.0.load(Ordering::Relaxed) == LOST // a hint; `retire` decides
    }

    /// The monitor: this worker is stuck, and another works in its place. Afterwards it looks whether the worker has come back
    /// meanwhile, and if so calls it in its bed.
    #[must_use]
    pub(crate) fn mark_lost(&self) -> bool {
        let marked = self.step(WORKING, LOST);
        fence(Ordering::SeqCst); // pairs with S2 of `idle`: we see that it has come back, or it sees the mark before it lies down
        marked
    }

    /// The worker: back from a long poll, and another does my work.
    pub(crate) fn retire(&self) {
        let retired = self.step(LOST, SPARE);
        debug_assert!(retired, "only its worker takes a seat out of LOST");
    }

    /// The monitor: a spare shall work again. It must be woken then.
    #[must_use]
    pub(crate) fn recall(&self) -> bool {
        self.step(SPARE, WORKING)
    }

    /// The spare: am I at work again? The monitor: has this seat not been replaced yet?
    pub(crate) fn is_working(&self) -> bool {
        self.0.load(Ordering::Acquire) == WORKING // pairs with the Release in `recall`
    }

    /// The spare: nobody needed me for long. False if it was recalled at this moment.
    #[must_use]
    pub(crate) fn leave(&self) -> bool {
        self.step(SPARE, LEAVING)
    }

    /// The thread has gone, or could not be made: the seat is free.
    pub(crate) fn vacate(&self) {
        self.0.store(EMPTY, Ordering::Release); // pairs with the Acquire in `occupy`
    }

    /// The monitor: a new thread will sit here.
    #[must_use]
    pub(crate) fn occupy(&self) -> bool {
        self.step(EMPTY, WORKING)
    }

    fn step(&self, from: u32, to: u32) -> bool {
        // AcqRel: each step publishes what its side did before to the other side's next step.
        self.0.compare_exchange(from, to, Ordering::AcqRel, Ordering::Relaxed).is_ok()
    }
}
