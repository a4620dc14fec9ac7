//! Sleeps and delayed calls, and what is left of those that were taken back.

use std::time::Duration;

use unstuck::{Handle, Instant, Runtime, gather, sleep, spawn, timeout};

use super::Log;
use crate::support::eventually;

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);

#[unstuck::test(flavor = "single", paused)]
async fn a_sleep_of_zero_runs_the_queued_callbacks_once_and_gives_its_result() {
    let log = Log::new();
    let handle = Handle::current();
    let (says, again) = (log.clone(), handle.clone());
    handle.call_soon(move || {
        says.say("first");
        let says = says.clone();
        again.call_soon(move || says.say("asked for by the first"));
    });
    let says = log.clone();
    handle.call_soon(move || says.say("second"));
    let result = sleep(Duration::ZERO).with("result").await;
    log.say(result);
    sleep(Duration::ZERO).await;
    assert_eq!(log.lines(), ["first", "second", "result", "asked for by the first"]);
    assert_eq!(unstuck::time(), Duration::ZERO);
}

both! {
    async fn a_sleep_gives_its_result_at_its_end() {
        assert_eq!(sleep(SECOND).with(42).await, 42);
        assert_eq!(timeout(SECOND, sleep(2 * SECOND).with(42)).await.ok(), None);
        assert_eq!(unstuck::time(), 2 * SECOND);
    }
}

#[unstuck::test(flavor = "single", paused)]
async fn negative_delays_are_deadlines_in_the_past_and_fire_at_once_in_the_order_of_their_times() {
    sleep(10 * SECOND).await;
    let (log, handle, now) = (Log::new(), Handle::current(), Instant::now());
    for seconds in [1, 3, 2] {
        let log = log.clone();
        handle.call_at(now - seconds * SECOND, move || log.say(format!("-{seconds}")));
    }
    unstuck::sleep_until(now - HOUR).await;
    sleep(Duration::ZERO).await;
    sleep(Duration::ZERO).await;
    assert_eq!(log.lines(), ["-3", "-2", "-1"]);
    assert_eq!(Instant::now(), now);
}

#[test]
fn a_delay_that_is_not_a_number_or_negative_is_an_error_where_it_is_made() {
    for delay in [f64::NAN, -1.0, f64::INFINITY] {
        assert!(Duration::try_from_secs_f64(delay).is_err());
    }
}

fn runtime() -> Runtime {
    Runtime::builder().worker_threads(2).start_paused(true).build().unwrap()
}

#[test]
fn delayed_calls_taken_back_never_come_and_their_timers_are_purged() {
    let runtime = runtime();
    let handle = runtime.handle();
    runtime.block_on(async {
        let calls: Vec<_> = (1..=100)
            .map(|hours| handle.call_later(hours * HOUR, || unreachable!("it was taken back")))
            .collect();
        eventually("all are armed", || runtime.statistics().timers.armed == 100).await;
        assert!(calls.iter().all(unstuck::CallHandle::cancel));
        eventually("all are taken back", || calls.iter().all(unstuck::CallHandle::is_done)).await;
        assert_eq!(runtime.statistics().timers.armed, 0);
        sleep(200 * HOUR).await;
    });
}

#[test]
fn cancelled_sleeps_and_timeouts_that_were_in_time_leave_no_timer() {
    let runtime = runtime();
    runtime.block_on(async {
        let naps: Vec<_> =
            (1..=100).map(|hours| spawn(timeout(2 * hours * HOUR, sleep(hours * HOUR)))).collect();
        eventually("all are armed", || runtime.statistics().timers.armed == 200).await;
        naps[..50].iter().for_each(|nap| assert!(nap.cancel()));
        let ends = gather(naps).await;
        assert_eq!(ends.iter().filter(|end| end.as_ref().is_ok_and(Result::is_ok)).count(), 50);
        assert_eq!(runtime.statistics().timers.armed, 0);
    });
}
