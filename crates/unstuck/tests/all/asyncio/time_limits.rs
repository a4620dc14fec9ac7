//! `TimeLimit`: timeouts that are moved, and asked afterwards.

use std::error::Error;
use std::fmt;
use std::future::pending;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use unstuck::{Elapsed, Instant, Task, TimeLimit, catch_cancel, finally, sleep, spawn, timeout, yield_now};

use super::Log;

const SECOND: Duration = Duration::from_secs(1);

fn within(seconds: u64) -> Instant {
    Instant::now() + Duration::from_secs(seconds)
}

both! {
    async fn reschedule_moves_the_deadline_in_both_directions() {
        let limit = TimeLimit::after(SECOND);
        let outcome = limit.run(async {
            limit.reschedule(within(10)).unwrap();
            sleep(5 * SECOND).await;
            limit.reschedule(within(2)).unwrap();
            pending::<()>().await;
        });
        assert!(outcome.await.is_err() && limit.expired());
        assert_eq!(unstuck::time(), 7 * SECOND);
    }
}

both! {
    async fn another_task_may_move_the_deadline_too() {
        let limit = TimeLimit::after(10 * SECOND);
        let mover = limit.clone();
        let moves: Task<_> = spawn(async move {
            sleep(SECOND).await;
            mover.reschedule(within(1))
        });
        assert!(limit.run(pending::<()>()).await.is_err());
        assert!(moves.await.unwrap().is_ok());
        assert_eq!(unstuck::time(), 2 * SECOND);
    }
}

both! {
    async fn reschedule_to_none_disables_the_deadline_and_a_deadline_may_come_later() {
        let limit = TimeLimit::after(SECOND);
        let year = 365 * 24 * 3600 * SECOND;
        let outcome = limit.run(async {
            limit.reschedule(None).unwrap();
            assert_eq!(limit.when(), None);
            sleep(year).await;
            limit.reschedule(within(1)).unwrap();
            pending::<()>().await;
        });
        assert!(outcome.await.is_err());
        assert_eq!(unstuck::time(), year + SECOND);
    }
}

both! {
    async fn a_limit_says_when_it_ends() {
        assert_eq!(TimeLimit::none().when(), None);
        assert_eq!(TimeLimit::after(Duration::MAX).when(), None);
        let limit = TimeLimit::at(within(3));
        assert_eq!(limit.when(), Some(within(3)));
        let moved = limit.run(async {
            limit.reschedule(within(5)).unwrap();
            limit.when()
        });
        assert_eq!(moved.await, Ok(Some(within(5))));
        assert_eq!(limit.when(), Some(within(5)));
    }
}

both! {
    async fn a_limit_that_was_not_entered_cannot_be_rescheduled() {
        let limit = TimeLimit::after(SECOND);
        let error = limit.reschedule(within(1)).unwrap_err();
        assert!(error.is_not_entered() && error.to_string().contains("has not been entered"), "{error}");
        let not_awaited = limit.run(pending::<()>());
        assert!(limit.reschedule(None).unwrap_err().is_not_entered());
        drop(not_awaited);
        assert!(limit.reschedule(None).unwrap_err().is_finished());
        assert!(!limit.expired());
    }
}

both! {
    async fn a_finished_limit_cannot_be_rescheduled() {
        let limit = TimeLimit::after(SECOND);
        assert_eq!(limit.run(async { 42 }).await, Ok(42));
        let error = limit.reschedule(within(1)).unwrap_err();
        assert!(error.is_finished() && error.to_string().contains("has ended"), "{error}");
        assert!(!limit.expired());
    }
}

both! {
    async fn an_expiring_limit_and_an_expired_one_cannot_be_rescheduled() {
        let limit = TimeLimit::after(SECOND);
        let seen = Arc::new(Mutex::new(None));
        let (sees, asks) = (seen.clone(), limit.clone());
        let body = finally(pending::<()>(), async move {
            sleep(SECOND).await; // cleanup takes its time
            *sees.lock().unwrap() = Some((asks.expired(), asks.reschedule(within(5))));
        });
        assert!(limit.run(body).await.is_err());
        let (expired, refused) = seen.lock().unwrap().take().unwrap();
        let error = refused.unwrap_err();
        assert!(expired && error.is_expired() && error.to_string().contains("expiring"), "{error}");
        let error = limit.reschedule(within(5)).unwrap_err();
        assert!(limit.expired() && error.is_expired() && error.to_string().contains("has expired"), "{error}");
        assert_eq!(unstuck::time(), 2 * SECOND);
    }
}

#[unstuck::test(flavor = "single", paused)]
#[should_panic(expected = "a TimeLimit serves one run(..)")]
async fn a_limit_serves_once() {
    let limit = TimeLimit::after(SECOND);
    limit.run(async {}).await.unwrap();
    limit.run(async {}).await.unwrap();
}

#[unstuck::test(flavor = "single", paused)]
async fn of_two_nested_limits_with_the_same_deadline_only_the_outer_one_raises_and_both_say_expired() {
    let log = Log::new();
    let deadline = within(1);
    let (outer, inner) = (TimeLimit::at(deadline), TimeLimit::at(deadline));
    let body = finally(pending::<()>(), async { log.say("the body is cancelled") });
    let middle = async {
        let outcome = inner.run(body).await;
        log.say(format!("the inner limit raises: {}", outcome.is_err()));
    };
    let outcome = outer.run(finally(middle, async { log.say("the middle is cancelled") })).await;
    log.say(format!("the outer limit raises: {}", outcome.is_err()));
    assert_eq!(
        log.lines(),
        ["the body is cancelled", "the middle is cancelled", "the outer limit raises: true"]
    );
    assert!(outer.expired() && inner.expired());
}

both! {
    async fn two_nested_limits_with_the_same_deadline_both_say_expired() {
        let deadline = within(1);
        let (outer, inner) = (TimeLimit::at(deadline), TimeLimit::at(deadline));
        let middle = async {
            let outcome = inner.run(pending::<()>()).await;
            panic!("only the outer limit raises, and not the inner one: {outcome:?}");
        };
        let outcome: Result<(), Elapsed> = outer.run(middle).await;
        assert!(outcome.is_err() && outer.expired() && inner.expired());
    }
}

both! {
    async fn a_cancel_from_outside_in_an_unexpired_limit_is_cancelled_and_not_expired() {
        let limit = TimeLimit::after(10 * SECOND);
        let inside = limit.clone();
        let task = spawn(async move { inside.run(pending::<()>()).await });
        sleep(SECOND).await;
        assert!(task.cancel());
        assert!(task.await.unwrap_err().is_cancelled());
        assert!(!limit.expired());
        assert!(limit.reschedule(within(1)).unwrap_err().is_finished());
    }
}

both! {
    async fn a_cancel_from_outside_while_the_limit_expires_goes_on_and_it_says_expired() {
        let limit = TimeLimit::after(SECOND);
        let inside = limit.clone();
        let task = spawn(async move { inside.run(finally(pending::<()>(), sleep(10 * SECOND))).await });
        sleep(2 * SECOND).await;
        assert!(limit.expired());
        task.cancel();
        assert!(task.await.unwrap_err().is_cancelled());
        assert!(limit.expired());
        assert_eq!(unstuck::time(), 2 * SECOND);
    }
}

both! {
    async fn a_limit_of_zero_or_in_the_past_fires_at_the_first_await_even_if_that_only_yields() {
        let past = Instant::now();
        for limit in [TimeLimit::after(Duration::ZERO), TimeLimit::at(past - SECOND)] {
            let reached = Arc::new(Mutex::new(0));
            let reaches = reached.clone();
            let body = async move {
                *reaches.lock().unwrap() += 1;
                yield_now().await;
                *reaches.lock().unwrap() += 1;
            };
            assert!(limit.run(body).await.is_err() && limit.expired());
            assert_eq!(*reached.lock().unwrap(), 1);
        }
        let asleep = TimeLimit::after(Duration::ZERO);
        assert!(asleep.run(sleep(Duration::ZERO).with(42)).await.is_err());
        let ready = TimeLimit::after(Duration::ZERO);
        assert_eq!(ready.run(async { 42 }).await, Ok(42));
        assert!(!ready.expired());
    }
}

both! {
    async fn rescheduled_into_the_past_it_fires_at_the_next_await_even_if_that_only_yields() {
        let limit = TimeLimit::none();
        let outcome = limit.run(async {
            sleep(SECOND).await;
            limit.reschedule(Instant::now() - SECOND).unwrap();
            assert!(!limit.expired(), "the code up to the next await still runs");
            yield_now().await;
            unreachable!("that await was cancelled");
        });
        let outcome: Result<(), _> = outcome.await;
        assert!(outcome.is_err() && limit.expired());
        assert_eq!(unstuck::time(), SECOND);
    }
}

both! {
    async fn a_limit_of_zero_may_still_be_moved_before_the_first_await() {
        let limit = TimeLimit::after(Duration::ZERO);
        let outcome = limit.run(async {
            limit.reschedule(within(5)).unwrap();
            sleep(SECOND).await;
            42
        });
        assert_eq!(outcome.await, Ok(42));
        assert!(!limit.expired());
    }
}

both! {
    async fn a_limit_in_the_cleanup_of_cancelled_code_works_on_its_own() {
        let limit = TimeLimit::after(2 * SECOND);
        let inside = limit.clone();
        let task = spawn(async move {
            let Err(cancelled) = catch_cancel(pending::<()>()).await else { return };
            assert!(inside.run(pending::<()>()).await.is_err() && inside.expired());
            let moved = TimeLimit::after(SECOND);
            let value = moved.run(async {
                moved.reschedule(within(5)).unwrap();
                sleep(2 * SECOND).await;
                42
            });
            assert_eq!(value.await, Ok(42));
            cancelled.resume::<()>().await;
        });
        sleep(SECOND).await;
        task.cancel();
        assert!(task.await.unwrap_err().is_cancelled());
        assert_eq!(unstuck::time(), 4 * SECOND);
    }
}

both! {
    async fn who_catches_the_cancel_of_a_limit_and_gives_a_value_was_in_time_and_it_says_expired() {
        let limit = TimeLimit::after(SECOND);
        let body = async { if catch_cancel(pending::<()>()).await.is_err() { 42 } else { 0 } };
        assert_eq!(limit.run(body).await, Ok(42));
        assert!(limit.expired());
    }
}

/// An error that remembers the timeout it was raised because of: Python's `__context__`.
#[derive(Debug)]
struct Undone {
    because: Option<Elapsed>,
}

impl fmt::Display for Undone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("half of the work is done")
    }
}

impl Error for Undone {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.because.as_ref().map(|elapsed| elapsed as &dyn Error)
    }
}

async fn work() -> Result<(), Undone> {
    match catch_cancel(pending::<()>()).await {
        Ok(()) => Ok(()),
        Err(cancelled) => {
            let reason = cancelled.reason();
            Err(Undone { because: reason.and_then(|reason| reason.downcast_ref().copied()) })
        }
    }
}

both! {
    async fn an_unrelated_error_inside_a_timeout_passes_unchanged() {
        let limit = TimeLimit::after(SECOND);
        let failed = limit.run(async { Err::<(), _>(Undone { because: None }) }).await.unwrap().unwrap_err();
        assert!(failed.source().is_none() && !limit.expired());
        let failed = limit_of_a_second(async { Err::<(), _>(Undone { because: None }) }).await;
        assert!(failed.source().is_none());
    }
}

/// The same by `timeout`.
async fn limit_of_a_second(work: impl Future<Output = Result<(), Undone>>) -> Undone {
    timeout(SECOND, work).await.unwrap().unwrap_err()
}

both! {
    async fn an_error_raised_because_of_a_timeout_keeps_the_timeout_as_its_context() {
        let limit = TimeLimit::after(SECOND);
        let undone = limit.run(work()).await.unwrap().unwrap_err();
        assert!(undone.source().unwrap().is::<Elapsed>() && limit.expired());
        assert!(limit_of_a_second(work()).await.source().unwrap().is::<Elapsed>());
        let inner = async { spawn(work()).await.unwrap() };
        assert!(limit_of_a_second(inner).await.source().unwrap().is::<Elapsed>(), "also from a task inside");
    }
}

both! {
    async fn an_error_raised_because_of_another_cancel_has_no_timeout_as_its_context() {
        let task = spawn(async { timeout(10 * SECOND, work()).await.unwrap().unwrap_err() });
        sleep(SECOND).await;
        task.cancel();
        assert!(task.await.unwrap().source().is_none());
    }
}
