//! What monitor and workers tell each other, in every interleaving.

use std::panic::Location;
use std::sync::Arc;

use super::{Beat, Duty, Guard};
use crate::models::{Bell, model};
use crate::sched::idle::{Idle, Sleep};
use crate::sync::atomic::{AtomicUsize, Ordering};
use crate::sync::thread;

#[test]
fn the_monitor_does_not_sleep_on_while_a_worker_is_awake() {
    model(|| {
        let guard = Arc::new(Guard::new());
        let awake = Arc::new(AtomicUsize::new(0));
        let monitor = {
            let (guard, awake) = (guard.clone(), awake.clone());
            thread::spawn(move || {
                let _ = guard.monitor.set(thread::current());
                guard.fall_asleep(None, || awake.load(Ordering::Relaxed) == 0);
            })
        };
        awake.store(1, Ordering::Relaxed); // counted awake, and for good
        guard.worker_woke();
        monitor.join().unwrap();
    });
}

#[test]
fn what_the_monitor_sees_of_a_poll_belongs_together() {
    fn places() -> [&'static Location<'static>; 2] {
        let here = Location::caller;
        [
            here(), //
            here(),
        ]
    }
    static SEEN: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(0);
    model(|| {
        let beat = Arc::new(Beat::new());
        let [first, second] = places();
        assert_ne!(first, second);
        let monitor = {
            let beat = beat.clone();
            thread::spawn(move || {
                let sight = beat.look()?;
                let expected = if sight.epoch == 1 { (1, first) } else { (2, second) };
                assert_eq!((sight.task, sight.place), expected);
                Some(sight)
            })
        };
        for (task, place) in [(1, first), (2, second)] {
            beat.begin(task, place);
            beat.end();
        }
        if monitor.join().unwrap().is_some() {
            SEEN.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        }
    });
    assert!(SEEN.load(std::sync::atomic::Ordering::Relaxed) > 0, "some interleaving shows a poll");
}

/// Two seats, of which the second is a rescue's, and one worker's worth of work to be done.
struct Seats {
    duties: [Duty; 2],
    beat: Beat,
    /// The first worker's bed.
    bell: Bell,
    /// The replacement is at work.
    replacement: AtomicUsize,
}

impl Seats {
    /// `Watched::replace`, after `Watched::is_replaced`: true if it added a worker.
    fn replace(&self, epoch: u64) -> bool {
        if !self.duties[0].is_working() {
            return false;
        }
        let added = self.duties[0].recall() || self.duties[1].recall() || self.duties[1].occupy();
        assert!(added, "one of two seats is free");
        self.replacement.fetch_add(1, Ordering::Relaxed);
        assert!(self.duties[0].mark_lost(), "only the monitor marks, and once");
        if !self.beat.is_at(epoch) {
            self.bell.ring();
        }
        true
    }
}

#[test]
fn a_worker_that_comes_back_while_it_is_replaced_leaves_one_at_work_and_loses_no_seat() {
    model(|| {
        let place = Location::caller();
        let seats = Arc::new(Seats {
            duties: [Duty::new(true), Duty::new(false)],
            beat: Beat::new(),
            bell: Bell::default(),
            replacement: AtomicUsize::new(0),
        });
        seats.beat.begin(1, place);
        let worker = {
            let seats = seats.clone();
            thread::spawn(move || {
                // Back from the long poll. One more, which may be long as well, if it has not been replaced by then.
                seats.beat.end();
                if !seats.duties[0].is_lost() {
                    seats.beat.begin(2, place);
                    seats.beat.end();
                }
                if seats.duties[0].is_lost() {
                    seats.duties[0].retire();
                    assert_eq!(seats.replacement.load(Ordering::Relaxed), 1, "lost before another works");
                    assert!(!seats.duties[0].is_lost());
                }
            })
        };
        // Two ticks, each of which may find it stuck.
        let mut added = 0;
        for _ in 0..2 {
            if let Some(sight) = seats.beat.look() {
                added += usize::from(seats.replace(sight.epoch));
            }
        }
        worker.join().unwrap();
        // The worker may not have noticed yet; then it does after its next poll, or when it is called in its bed.
        if seats.duties[0].is_lost() {
            seats.duties[0].retire();
        }
        let working = seats.duties.iter().filter(|duty| duty.is_working()).count();
        assert_eq!((working, added <= 1), (1, true));
    });
}

#[test]
fn a_worker_that_comes_back_while_it_is_replaced_does_not_lie_down_unnoticed() {
    model(|| {
        let seat = Arc::new((Beat::new(), Duty::new(true), Idle::new(1)));
        seat.0.begin(1, Location::caller());
        let worker = {
            let seat = seat.clone();
            thread::spawn(move || {
                let (beat, duty, idle) = &*seat;
                beat.end();
                // As `Worker::sleep` does: entered among the sleepers, then a last look.
                idle.sleep(0, false, || false) == Sleep::Now { last: true } && !duty.is_lost()
            })
        };
        let (beat, duty, _) = &*seat;
        assert!(duty.mark_lost());
        let is_called = !beat.is_at(1);
        let lies = worker.join().unwrap();
        assert!(is_called || !lies, "one worker too many sleeps, and nobody counts on it");
    });
}

#[test]
fn a_spare_is_recalled_or_leaves_but_not_both() {
    model(|| {
        let duty = Arc::new(Duty::new(true));
        assert!(duty.mark_lost());
        duty.retire();
        let spare = {
            let duty = duty.clone();
            thread::spawn(move || {
                let left = duty.leave();
                if left {
                    duty.vacate();
                } else {
                    assert!(duty.is_working());
                }
                left
            })
        };
        let recalled = duty.recall();
        let taken = recalled || duty.occupy(); // what `seats::add` does: a spare, else an empty seat
        let left = spare.join().unwrap();
        assert!(recalled != left);
        assert!(taken || duty.occupy(), "the seat is free in the end");
        assert!(duty.is_working());
    });
}
