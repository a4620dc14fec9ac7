//! Somebody always lies in the driver, and what it delivers is served.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Poll, Waker};

use super::super::Scheduler;
use super::stuck::guarded;
use super::{dawdle, explore};
use crate::driver::{Driver, Park, ThreadDriver, Unpark};
use crate::guard::{Replacement, Watched};
use crate::sync::atomic::{AtomicUsize, Ordering};
use crate::sync::{Mutex, thread};

/// A driver with one event, which only somebody who lies in it hears.
struct Mailbox {
    inner: ThreadDriver,
    letter: Arc<Letter>,
}

#[derive(Default)]
struct Letter {
    is_there: AtomicUsize,
    waiting: Mutex<Option<Waker>>,
}

impl Driver for Mailbox {
    fn park(&mut self, park: Park) {
        self.inner.park(park);
        dawdle(); // whoever it delivers to may take its time
        if self.letter.is_there.load(Ordering::Acquire) == 1 {
            let waker = self.letter.waiting.lock().take();
            waker.into_iter().for_each(Waker::wake);
        }
    }

    fn unparker(&self) -> Arc<dyn Unpark> {
        self.inner.unparker()
    }
}

/// A task that waits for a letter, which comes at some moment of `meanwhile`, is woken.
fn expect_a_letter(workers: usize, meanwhile: impl FnOnce(&Scheduler)) {
    let letter = Arc::new(Letter::default());
    let mailbox = Mailbox { inner: ThreadDriver::new(), letter: letter.clone() };
    let postman = mailbox.unparker();
    let scheduler = guarded(workers, Box::new(mailbox));
    let reader = scheduler.handle().spawn({
        let letter = letter.clone();
        poll_fn(move |cx| {
            *letter.waiting.lock() = Some(cx.waker().clone());
            if letter.is_there.load(Ordering::Acquire) == 1 { Poll::Ready(()) } else { Poll::Pending }
        })
    });
    let delivery = thread::spawn(move || {
        dawdle();
        letter.is_there.store(1, Ordering::Release);
        postman.unpark();
    });
    meanwhile(&scheduler);
    scheduler.block_on(reader).unwrap();
    delivery.join().unwrap();
    assert!(scheduler.shutdown(None));
}

#[test]
fn somebody_lies_in_the_driver_though_the_monitor_held_its_seat() {
    explore(|| {
        expect_a_letter(1, |scheduler| {
            scheduler.handle().spawn(async { dawdle() }).detach();
            let shared = scheduler.shared.clone();
            // For a while only: a later look of the monitor would deliver the letter itself.
            thread::spawn(move || {
                for _ in 0..3 {
                    if shared.sight(0).is_some() {
                        shared.tend_driver();
                    }
                    dawdle();
                }
            });
        });
    });
}

#[test]
fn somebody_lies_in_the_driver_though_who_lay_there_was_replaced() {
    explore(|| {
        expect_a_letter(1, |scheduler| {
            dawdle();
            let first_poll = 1;
            // As the monitor does that found the first poll stuck, which may have come to its end just now.
            assert_eq!(scheduler.shared.replace(0, first_poll), Replacement::AtWork);
        });
    });
}

#[test]
fn who_is_woken_by_a_driver_in_which_a_worker_naps_runs_at_once() {
    explore(|| {
        expect_a_letter(2, |scheduler| {
            // So short that it does not pay to fetch them.
            for _ in 0..6 {
                scheduler.handle().spawn(async {}).detach();
            }
        });
    });
}
