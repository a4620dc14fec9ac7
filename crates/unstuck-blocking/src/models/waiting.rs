//! Jobs that wait, in every interleaving.

use super::{FOREVER, NEVER, OUTSIDE, Pool, REFUSED, WAITS_OUTSIDE, fails, rules};
use crate::roster::{LETS_ALL_WAIT, REFUSES_AT_A_STANDSTILL, Rules, SOUND, WAITS_WITHOUT_CALLING};

/// Job 11 waits for job 1, which is submitted before or after it begins to wait, to a pool of one thread.
fn a_job_waits_for_one_behind_it<const FAULT: u8>(max_lent: usize, expected: &'static [&'static [u8]]) {
    loom::model(move || {
        let pool = Pool::<FAULT>::with(Rules { max_lent, ..rules() });
        pool.submit(11);
        pool.submit(1);
        let closed = pool.roster.close(false);
        closed.idle.iter().for_each(|seat| seat.unpark());
        loop {
            let Some(thread) = pool.threads.lock().pop() else { break };
            thread.join().unwrap();
        }
        let mut done = pool.done.lock().clone();
        done.sort_unstable();
        assert!(expected.contains(&&done[..]), "{done:?}");
        pool.is_empty();
    });
}

#[test]
fn a_job_that_waits_for_one_behind_it_lets_another_thread_run_it() {
    a_job_waits_for_one_behind_it::<SOUND>(1, &[&[1, 11]]);
}

#[test]
fn where_no_thread_may_be_added_the_wait_is_refused_and_nothing_hangs() {
    a_job_waits_for_one_behind_it::<SOUND>(0, &[&[1, 11], &[1, REFUSED]]);
}

/// A job waits on the only thread for something that needs none, while another one is queued.
fn a_standstill_that_ends_by_itself<const FAULT: u8>() {
    loom::model(|| {
        let pool = Pool::<FAULT>::new(1, FOREVER, NEVER);
        pool.submit(WAITS_OUTSIDE);
        pool.submit(1);
        pool.done.lock().push(OUTSIDE);
        pool.changed.notify_all();
        pool.end(&[1, OUTSIDE, WAITS_OUTSIDE]);
    });
}

#[test]
fn a_wait_for_something_outside_is_not_refused_whoever_is_queued() {
    a_standstill_that_ends_by_itself::<SOUND>();
}

/// Two threads, a job on each. One waits for a job that the other one runs or that is queued; whoever is last may have been
/// woken and not gone on.
#[test]
fn a_wait_is_refused_only_if_nothing_that_is_waited_for_has_happened() {
    loom::model(|| {
        let pool = Pool::<SOUND>::with(Rules { max_threads: 2, starters: usize::MAX, ..rules() });
        pool.submit(11);
        pool.submit(1);
        pool.submit(21); // waits for the first
        pool.end(&[1, 11, 21]);
    });
}

#[test]
fn the_models_notice_a_roster_whose_waiting_jobs_call_nobody_or_all_wait() {
    assert!(fails("models::waiting::faulty_waits_without_calling"));
    assert!(fails("models::waiting::faulty_lets_all_wait"));
}

#[test]
fn the_models_notice_a_roster_that_refuses_a_wait_for_something_outside() {
    assert!(fails("models::waiting::faulty_refuses_at_a_standstill"));
}

#[test]
#[ignore = "must fail; run by the test above"]
fn faulty_refuses_at_a_standstill() {
    a_standstill_that_ends_by_itself::<REFUSES_AT_A_STANDSTILL>();
}

#[test]
#[ignore = "must fail; run by the test above"]
fn faulty_waits_without_calling() {
    a_job_waits_for_one_behind_it::<WAITS_WITHOUT_CALLING>(1, &[&[1, 11]]);
}

#[test]
#[ignore = "must fail; run by the test above"]
fn faulty_lets_all_wait() {
    a_job_waits_for_one_behind_it::<LETS_ALL_WAIT>(0, &[&[1, 11], &[1, REFUSED]]);
}
