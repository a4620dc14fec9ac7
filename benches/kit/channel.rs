//! Two ways to wait that belong to no runtime: a one-slot [`Mailbox`] and a [`Latch`].
//!
//! As light as safe code can make them, since what is to be measured through them is the runtime's side of a wake-up.
//! With a lock around the slot, or a waker that is left and taken out each time, half of a ping-pong was the mailbox.

use atomic_waker::AtomicWaker;
use std::future::{Future, poll_fn};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering, fence};
use std::sync::{Arc, OnceLock};
use std::task::{Poll, Waker};

/// A slot for one number, with one sender and one receiving task.
///
/// The receiver leaves its waker once, and every number that is sent wakes it: no lock, and no fence once the waker is there. A
/// number that the receiver found by itself wakes it for nothing now and then.
#[derive(Clone)]
pub struct Mailbox(Arc<Slot>);

struct Slot {
    number: AtomicU64,
    receiver: OnceLock<Waker>,
}

/// What an empty mailbox holds.
const EMPTY: u64 = u64::MAX;

impl Default for Mailbox {
    fn default() -> Self {
        Self(Arc::new(Slot { number: AtomicU64::new(EMPTY), receiver: OnceLock::new() }))
    }
}

impl Mailbox {
    /// Puts a number in and wakes the receiver. The slot must be empty: one at a time.
    pub fn send(&self, number: u64) {
        debug_assert!(
            number != EMPTY && self.0.number.load(Ordering::Relaxed) == EMPTY,
            "one number at a time"
        );
        // Release: pairs with the Acquire in `take`.
        self.0.number.store(number, Ordering::Release);
        if self.0.receiver.get().is_none() {
            // Pairs with the fence in `receive`: either the receiver sees the number, or we see its waker.
            fence(Ordering::SeqCst);
        }
        if let Some(receiver) = self.0.receiver.get() {
            receiver.wake_by_ref();
        }
    }

    /// Waits for a number. Always in the same task.
    pub fn receive(&self) -> impl Future<Output = u64> + Send + '_ {
        poll_fn(|cx| {
            if let Some(number) = self.take() {
                return Poll::Ready(number);
            }
            if let Some(receiver) = self.0.receiver.get() {
                assert!(receiver.will_wake(cx.waker()), "a mailbox belongs to one task");
                return Poll::Pending;
            }
            self.0.receiver.get_or_init(|| cx.waker().clone());
            // Pairs with the fence in `send`.
            fence(Ordering::SeqCst);
            self.take().map_or(Poll::Pending, Poll::Ready)
        })
    }

    fn take(&self) -> Option<u64> {
        // Acquire: pairs with the Release in `send`.
        let number = self.0.number.load(Ordering::Acquire);
        if number == EMPTY {
            return None;
        }
        // Relaxed: the sender sends again only after the receiver has answered, through another mailbox.
        self.0.number.store(EMPTY, Ordering::Relaxed);
        Some(number)
    }
}

/// Opens when it has been counted down to zero. One waiter.
#[derive(Clone)]
pub struct Latch(Arc<Gate>);

struct Gate {
    left: AtomicUsize,
    waiter: AtomicWaker,
}

impl Latch {
    /// A latch that opens after `count` calls of [`count_down`](Self::count_down).
    pub fn new(count: usize) -> Self {
        Self(Arc::new(Gate { left: AtomicUsize::new(count), waiter: AtomicWaker::new() }))
    }

    /// One less to wait for.
    pub fn count_down(&self) {
        // AcqRel: what came before every count is seen by whoever sees the latch open (Acquire in `is_open`).
        if self.0.left.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.0.waiter.wake();
        }
    }

    /// Waits until the latch is open.
    pub fn wait(&self) -> impl Future<Output = ()> + Send + '_ {
        poll_fn(|cx| {
            if self.is_open() {
                return Poll::Ready(());
            }
            self.0.waiter.register(cx.waker());
            // Opened between the look and the registration? Then nobody was woken.
            if self.is_open() { Poll::Ready(()) } else { Poll::Pending }
        })
    }

    fn is_open(&self) -> bool {
        // Acquire: pairs with the Release in `count_down`.
        self.0.left.load(Ordering::Acquire) == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_lite::future::block_on;

    #[test]
    fn a_latch_opens_after_the_last_count() {
        let latch = Latch::new(2);
        let other = latch.clone();
        let thread = std::thread::spawn(move || {
            other.count_down();
            other.count_down();
        });
        block_on(latch.wait());
        thread.join().unwrap();
    }

    #[test]
    fn a_mailbox_hands_over_what_was_sent_before_and_after_the_wait() {
        let (ball, back) = (Mailbox::default(), Mailbox::default());
        let (other, answer) = (ball.clone(), back.clone());
        let thread = std::thread::spawn(move || {
            answer.send(1);
            block_on(async {
                for _ in 0..1_000 {
                    answer.send(other.receive().await);
                }
            });
        });
        block_on(async {
            assert_eq!(back.receive().await, 1);
            for turn in 0..1_000 {
                ball.send(turn);
                assert_eq!(back.receive().await, turn);
            }
        });
        thread.join().unwrap();
    }
}
