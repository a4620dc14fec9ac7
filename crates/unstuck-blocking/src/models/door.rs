//! A queue with a bound, and those who wait in front of it, in every interleaving. No model closes the pool before its end:
//! that would let everybody in.

use std::sync::Arc;

use unstuck_core::sync::thread;

use super::{Pool, SHORT, fails, rules};
use crate::lanes::Lane;
use crate::roster::{KEEPS_THE_DOOR_SHUT, Rules, SOUND};

impl<const FAULT: u8> Pool<FAULT> {
    /// A task's job, which waits in front of the queue if that is full.
    fn queue_outside(self: &Arc<Self>, job: u8) {
        match self.roster.submit_or_queue_outside(job, Lane::Users, |_| false) {
            Ok((submitted, swept)) => {
                assert!(swept.is_empty());
                self.answer(submitted.call);
            }
            Err(refused) => panic!("{refused:?}"),
        }
    }

    /// A thread's job, with which that waits.
    fn bring(self: &Arc<Self>, job: u8) {
        match self.roster.submit_when_shorter(job, Lane::Users) {
            Ok(submitted) => self.answer(submitted.call),
            Err(refused) => panic!("{refused:?}"),
        }
    }

    /// Joins the threads, which leave by themselves when they find nothing to do.
    fn ends_by_itself(self: &Arc<Self>, expected: &[u8]) {
        loop {
            let Some(thread) = self.threads.lock().pop() else { break };
            thread.join().unwrap();
        }
        assert_eq!(self.roster.counts().at_the_door, 0, "somebody is left at the door");
        self.is_empty();
        self.end(expected);
    }
}

/// Three jobs for one thread that leaves when it finds nothing, and a queue with room for `bound`.
fn three_jobs<const FAULT: u8>(bound: usize) {
    let pool = Pool::<FAULT>::with(Rules { bound, starters: usize::MAX, keep_alive: SHORT, ..rules() });
    pool.queue_outside(1);
    pool.queue_outside(2);
    pool.queue_outside(3);
    pool.ends_by_itself(&[1, 2, 3]);
}

#[test]
fn a_job_in_front_of_a_full_queue_is_not_left_behind() {
    loom::model(|| three_jobs::<SOUND>(0));
    loom::model(|| three_jobs::<SOUND>(1));
}

#[test]
fn a_thread_and_a_task_in_front_of_a_full_queue_both_get_in() {
    loom::model(|| {
        let pool =
            Pool::<SOUND>::with(Rules { bound: 0, starters: usize::MAX, keep_alive: SHORT, ..rules() });
        pool.submit(1);
        let other = pool.clone();
        let brings = thread::spawn(move || other.bring(2));
        pool.queue_outside(3);
        brings.join().unwrap();
        pool.ends_by_itself(&[1, 2, 3]);
    });
}

#[test]
fn a_job_that_waits_for_one_in_front_of_the_queue_lets_another_thread_run_it() {
    loom::model(|| {
        let pool = Pool::<SOUND>::with(Rules {
            bound: 0,
            max_lent: 1,
            starters: usize::MAX,
            keep_alive: SHORT,
            ..rules()
        });
        pool.submit(11);
        pool.queue_outside(1);
        pool.ends_by_itself(&[1, 11]);
    });
}

#[test]
fn the_models_notice_a_door_that_stays_shut() {
    assert!(fails("models::door::faulty_keeps_the_door_shut"));
}

#[test]
#[ignore = "must fail; run by the test above"]
fn faulty_keeps_the_door_shut() {
    loom::model(|| three_jobs::<KEEPS_THE_DOOR_SHUT>(1));
}
