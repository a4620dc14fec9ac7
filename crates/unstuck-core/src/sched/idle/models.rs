//! The sleep and wake protocol in every interleaving.
//!
//! The models' scheduler has no tasks, only their number. A worker lies down when it finds none; if a task is ever
//! left behind, all threads sleep or wait for ever, and loom reports a deadlock.

use std::sync::Arc;

use super::{Idle, Sleep};
use crate::driver::{Driver, Park, ThreadDriver, Unpark};
use crate::models::{Bell, model};
use crate::sync::atomic::{AtomicUsize, Ordering};
use crate::sync::thread;

struct Office {
    idle: Idle,
    /// Tasks that wait. Relaxed all over: whatever order there is must come from the protocol.
    queue: AtomicUsize,
    ended: AtomicUsize,
    tasks: usize,
    beds: Vec<Arc<dyn Unpark>>,
    /// The pusher is a worker with work of its own, and not somebody from outside.
    busy_pusher: bool,
    /// Each task that runs beside another one waits here until both have begun.
    meeting: Option<Meeting>,
}

#[derive(Default)]
struct Meeting {
    begun: AtomicUsize,
    both: [Bell; 2],
}

/// What a worker does before it searches.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Habit {
    Searches,
    Naps,
}

impl Office {
    fn push(&self) {
        self.queue.fetch_add(1, Ordering::Relaxed); // P1
        if !self.busy_pusher {
            self.wake(self.idle.wake_one());
        } else if self.idle.seems_lazy() {
            self.wake(self.idle.wake_one_for_worker());
        }
    }

    /// `Worker::run`, after the poll: the fence for all pushes of it.
    fn end_poll(&self) {
        self.wake(self.idle.wake_one_for_worker());
    }

    fn wake(&self, worker: Option<usize>) {
        if let Some(worker) = worker {
            self.beds[worker].unpark();
        }
    }

    fn has_work(&self) -> bool {
        self.queue.load(Ordering::Relaxed) > 0
    }

    fn take(&self) -> bool {
        self.queue
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |waiting| waiting.checked_sub(1))
            .is_ok()
    }

    fn is_drained(&self) -> bool {
        self.ended.load(Ordering::Relaxed) == self.tasks
    }

    fn run(&self) {
        if let Some(Meeting { begun, both }) = &self.meeting {
            let me = begun.fetch_add(1, Ordering::Relaxed);
            both[1 - me].ring();
            both[me].wait();
        }
        if self.ended.fetch_add(1, Ordering::Relaxed) + 1 == self.tasks {
            for worker in self.idle.wake_all() {
                self.beds[worker].unpark();
            }
        }
    }

    fn found(&self) {
        if self.idle.stop_searching() && self.has_work() {
            self.wake(self.idle.wake_one());
        }
    }

    /// `Worker::work`, without queues of its own.
    fn work(&self, me: usize, bed: &mut ThreadDriver, habit: Habit) {
        while !self.is_drained() {
            let mut searching = self.idle.start_searching();
            if searching && habit == Habit::Naps {
                self.idle.nap(me);
                bed.park(Park { limit: Some(std::time::Duration::from_micros(1)), quiescent: false });
                searching = self.idle.end_nap(me) || self.idle.start_searching();
            }
            loop {
                if searching && self.take() {
                    self.found();
                    self.run();
                    break;
                }
                searching = match self.idle.sleep(me, searching, || self.has_work()) {
                    Sleep::Stay => true,
                    Sleep::Now { .. } => {
                        if !self.is_drained() {
                            bed.park(Park { limit: None, quiescent: false });
                        }
                        self.idle.wake_up(me)
                    }
                };
                if self.is_drained() {
                    if searching {
                        self.found();
                    }
                    return;
                }
            }
        }
    }
}

/// `workers` of which the last has a `habit`, and as many tasks, pushed by a thread that is none of them.
fn office(workers: usize, tasks: usize, habit: Habit, meeting: bool) {
    office_with(workers, tasks, habit, meeting, false);
}

fn office_with(workers: usize, tasks: usize, habit: Habit, meeting: bool, busy_pusher: bool) {
    model(move || {
        let mut beds: Vec<ThreadDriver> = (0..workers).map(|_| ThreadDriver::new()).collect();
        let office = Arc::new(Office {
            idle: Idle::new(workers + usize::from(busy_pusher)),
            busy_pusher,
            queue: AtomicUsize::new(0),
            ended: AtomicUsize::new(0),
            tasks,
            beds: beds.iter().map(ThreadDriver::unparker).collect(),
            meeting: meeting.then(Meeting::default),
        });
        let threads: Vec<_> = beds
            .drain(..)
            .enumerate()
            .map(|(me, mut bed)| {
                let office = office.clone();
                let habit = if me + 1 == workers { habit } else { Habit::Searches };
                thread::spawn(move || office.work(me, &mut bed, habit))
            })
            .collect();
        for _ in 0..tasks {
            office.push();
        }
        if busy_pusher {
            office.end_poll();
        }
        for thread in threads {
            thread.join().unwrap();
        }
        assert!(!office.has_work());
        assert_eq!(office.idle.counts.load(Ordering::Relaxed), 0, "nobody searches, sleeps or naps any more");
        assert!(office.idle.sleepers.lock().is_empty());
    });
}

#[test]
fn a_pushed_task_is_never_left_behind_while_the_only_worker_sleeps() {
    office(1, 2, Habit::Searches, false);
}

#[test]
fn a_pushed_task_is_never_left_behind_while_every_worker_sleeps() {
    office(2, 1, Habit::Searches, false);
    office(2, 2, Habit::Searches, false);
}

#[test]
fn the_duty_to_search_passes_on_to_another_worker() {
    // A task that blocks its worker until the second one runs: the worker that finds it must wake the other.
    office(2, 2, Habit::Searches, true);
}

#[test]
fn a_nap_hides_no_task() {
    office(1, 1, Habit::Naps, false);
    office(2, 1, Habit::Naps, false);
}

#[test]
fn after_a_poll_with_pushes_no_task_is_left_behind() {
    office_with(1, 1, Habit::Searches, false, true);
    office_with(2, 1, Habit::Searches, false, true);
}
