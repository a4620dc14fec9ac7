//! `wait_for`, `timeout` and `shield`.

use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use unstuck::{catch_cancel, finally, shield, sleep, spawn, timeout, wait_for, yield_now};

use crate::support::OnDrop;

const SECOND: Duration = Duration::from_secs(1);

both! {
    async fn wait_for_cancels_a_task_that_takes_too_long_and_waits_for_its_real_end() {
        let cleaned = Arc::new(AtomicBool::new(false));
        let cleans = cleaned.clone();
        let task = spawn(async move {
            let _finally = OnDrop(|| cleans.store(true, Ordering::SeqCst));
            sleep(10 * SECOND).await;
        });
        let watch = task.watch();
        assert!(wait_for(task, SECOND / 10).await.is_err());
        assert!(watch.is_done() && cleaned.load(Ordering::SeqCst));
        assert_eq!(unstuck::time(), SECOND / 10);
    }
}

both! {
    async fn wait_for_takes_a_plain_future_too_and_drops_it() {
        let dropped = Arc::new(AtomicBool::new(false));
        let drops = dropped.clone();
        let slow = async move {
            let _finally = OnDrop(|| drops.store(true, Ordering::SeqCst));
            sleep(10 * SECOND).await;
        };
        assert!(wait_for(slow, SECOND).await.is_err());
        assert!(dropped.load(Ordering::SeqCst));
        assert_eq!(wait_for(async { 42 }, SECOND).await, Ok(42));
    }
}

both! {
    async fn a_timeout_goes_inward_through_the_futures_that_await_a_task() {
        let task = spawn(sleep(10 * SECOND));
        let watch = task.watch();
        let outer = async move {
            let inner = async move {
                unstuck::yield_now().await;
                task.await
            };
            inner.await
        };
        assert!(wait_for(outer, SECOND).await.is_err());
        assert!(watch.is_done());
    }
}

both! {
    async fn the_value_and_the_error_of_what_is_in_time_pass_through() {
        let value = wait_for(spawn(async { 42 }), SECOND).await.unwrap();
        assert_eq!(value.unwrap(), 42);
        let failed = wait_for(spawn(async { panic!("E") }), SECOND).await.unwrap();
        assert_eq!(failed.map(|(): ()| ()).unwrap_err().panic_message(), Some("E"));
        let error: Result<Result<(), &str>, _> = timeout(SECOND, async { Err("unrelated") }).await;
        assert_eq!(error, Ok(Err("unrelated")));
    }
}

both! {
    async fn a_shielded_task_goes_on_and_can_be_awaited_again() {
        let mut task = spawn(async {
            sleep(10 * SECOND).await;
            42
        });
        assert!(wait_for(shield(&mut task), SECOND).await.is_err());
        assert!(!task.is_done() && !task.watch().is_cancelling());
        assert!(wait_for(&mut task, SECOND).await.is_err());
        assert_eq!(task.await.unwrap(), 42);
        assert_eq!(unstuck::time(), 10 * SECOND);
    }
}

both! {
    async fn a_shield_passes_the_inner_cancellation_on_to_its_waiter() {
        let mut task = spawn(sleep(10 * SECOND));
        let watch = task.watch();
        let canceller = spawn(async move {
            sleep(SECOND).await;
            watch.cancel()
        });
        assert!(shield(&mut task).await.unwrap_err().is_cancelled());
        assert!(canceller.await.unwrap());
        assert_eq!(unstuck::time(), SECOND);
    }
}

both! {
    async fn the_waiter_of_a_shield_may_be_cancelled_and_the_inner_finishes() {
        let mut inner = spawn(async {
            sleep(10 * SECOND).await;
            42
        });
        let watch = inner.watch();
        let (give, take) = std::sync::mpsc::channel();
        let waiter = spawn(async move {
            shield(&mut inner).await.unwrap();
            give.send(()).unwrap();
        });
        sleep(SECOND).await;
        waiter.cancel();
        assert!(waiter.await.unwrap_err().is_cancelled());
        assert!(take.try_recv().is_err() && !watch.is_done() && !watch.is_cancelling());
        sleep(10 * SECOND).await;
        assert!(watch.is_done());
    }
}

both! {
    async fn a_timeout_takes_a_task_along_that_is_given_by_value_and_leaves_one_given_by_reference() {
        let mut task = spawn(sleep(10 * SECOND));
        assert!(timeout(SECOND, &mut task).await.is_err());
        assert!(!task.is_done() && task.cancelling() == 0);
        let watch = task.watch();
        assert!(timeout(SECOND, task).await.is_err());
        assert!(watch.is_cancelled());
        assert_eq!(unstuck::time(), 2 * SECOND);
    }
}

both! {
    async fn a_timeout_of_zero_fires_at_the_first_await() {
        let sleeps = async {
            sleep(Duration::ZERO).await;
            sleep(Duration::ZERO).await;
            sleep(Duration::ZERO).await;
        };
        assert!(timeout(Duration::ZERO, sleeps).await.is_err());
        assert!(timeout(Duration::ZERO, async { 42 }).await.is_ok(), "ready at its first poll");
        assert!(wait_for(std::future::pending::<()>(), Duration::ZERO).await.is_err());
        assert_eq!(unstuck::time(), Duration::ZERO);
    }
}

both! {
    async fn the_inner_of_two_nested_timeouts_fires_if_it_is_shorter_and_the_outer_if_that_is() {
        let inner = timeout(SECOND, std::future::pending::<()>());
        assert!(matches!(timeout(2 * SECOND, inner).await, Ok(Err(_))));
        assert_eq!(unstuck::time(), SECOND);
        let inner = timeout(2 * SECOND, std::future::pending::<()>());
        assert!(timeout(SECOND, inner).await.is_err());
        assert_eq!(unstuck::time(), 2 * SECOND);
    }
}

both! {
    async fn who_catches_the_cancel_of_a_timeout_and_gives_a_value_was_in_time() {
        let task = spawn(async {
            assert!(catch_cancel(pending::<()>()).await.is_err());
            42
        });
        assert_eq!(wait_for(task, SECOND).await.unwrap().unwrap(), 42);
        let plain = async { if catch_cancel(pending::<()>()).await.is_err() { 42 } else { 0 } };
        assert_eq!(timeout(SECOND, plain).await, Ok(42));
    }
}

both! {
    async fn a_timeout_of_max_waits_for_as_long_as_it_takes() {
        let year = 365 * 24 * 3600 * SECOND;
        let waiting = timeout(Duration::MAX, sleep(year).with("a year later"));
        assert!(waiting.deadline().is_none());
        assert_eq!(waiting.await, Ok("a year later"));
        assert_eq!(unstuck::time(), year);
    }
}

both! {
    async fn a_cancelled_waiter_of_wait_for_takes_the_inner_task_along() {
        let cleaned = Arc::new(AtomicBool::new(false));
        let cleans = cleaned.clone();
        let inner = spawn(finally(pending::<()>(), async move {
            sleep(SECOND).await;
            cleans.store(true, Ordering::SeqCst);
        }));
        let watch = inner.watch();
        let waiter = spawn(wait_for(inner, 10 * SECOND));
        sleep(SECOND).await;
        assert!(waiter.cancel());
        assert!(waiter.await.unwrap_err().is_cancelled());
        assert!(watch.is_cancelled() && cleaned.load(Ordering::SeqCst));
        assert_eq!(unstuck::time(), 2 * SECOND);
    }
}

both! {
    async fn of_two_nested_timeouts_with_the_same_deadline_only_the_outer_one_answers() {
        let told = Arc::new(AtomicBool::new(false));
        let tells = told.clone();
        let body = finally(pending::<()>(), async move { tells.store(true, Ordering::SeqCst) });
        let passed = Arc::new(AtomicBool::new(false));
        let passes = passed.clone();
        let middle = async move {
            _ = timeout(SECOND, body).await;
            passes.store(true, Ordering::SeqCst);
        };
        assert!(timeout(SECOND, middle).await.is_err());
        assert!(told.load(Ordering::SeqCst), "the body was cancelled");
        assert!(!passed.load(Ordering::SeqCst), "the inner timeout did not answer");
    }
}

both! {
    async fn a_cancel_from_outside_is_no_timeout() {
        let task = spawn(async {
            let outcome = catch_cancel(timeout(10 * SECOND, pending::<()>())).await;
            outcome.is_err() // the cancellation, and not an `Elapsed`
        });
        sleep(SECOND).await;
        task.cancel();
        assert!(task.await.unwrap());
        assert_eq!(unstuck::time(), SECOND);
    }
}

both! {
    async fn a_deadline_of_zero_fires_even_if_the_first_await_only_yields() {
        assert!(timeout(Duration::ZERO, yield_now()).await.is_err());
        assert!(unstuck::timeout_at(unstuck::Instant::now(), yield_now()).await.is_err());
    }
}

both! {
    async fn a_timeout_in_the_cleanup_of_cancelled_code_works_on_its_own() {
        let task = spawn(async {
            let Err(cancelled) = catch_cancel(pending::<()>()).await else { return };
            assert!(timeout(SECOND, pending::<()>()).await.is_err());
            assert_eq!(timeout(SECOND, async { 42 }).await, Ok(42));
            cancelled.resume::<()>().await;
        });
        yield_now().await;
        sleep(SECOND).await;
        task.cancel();
        assert!(task.await.unwrap_err().is_cancelled());
        assert_eq!(unstuck::time(), 2 * SECOND);
    }
}

both! {
    async fn a_cancelled_waiter_interrupts_a_task_that_cleans_up_after_its_own_timeout() {
        let inner = spawn(timeout(SECOND, finally(pending::<()>(), sleep(10 * SECOND))));
        let (watch, waiter) = (inner.watch(), spawn(inner));
        sleep(2 * SECOND).await; // the time is over, and the cleanup goes on until 11
        assert!(!watch.is_done() && waiter.cancel());
        assert!(waiter.await.unwrap_err().is_cancelled());
        assert!(watch.is_cancelled());
        assert_eq!(unstuck::time(), 2 * SECOND);
    }
}

both! {
    async fn an_outer_timeout_ends_the_cleanup_after_the_timeout_of_a_task_inside() {
        let inner = spawn(timeout(SECOND, finally(pending::<()>(), sleep(10 * SECOND))));
        assert!(timeout(2 * SECOND, inner).await.is_err());
        assert_eq!(unstuck::time(), 2 * SECOND);
    }
}

both! {
    async fn of_two_nested_timeouts_of_zero_only_the_outer_one_answers() {
        let inner_answered = Arc::new(AtomicBool::new(false));
        let answers = inner_answered.clone();
        let inner = async move {
            let _ = timeout(Duration::ZERO, sleep(SECOND)).await;
            answers.store(true, Ordering::SeqCst);
        };
        assert!(timeout(Duration::ZERO, inner).await.is_err());
        assert!(!inner_answered.load(Ordering::SeqCst));
        // And a value at the first poll wins, as ever.
        assert_eq!(timeout(Duration::ZERO, timeout(Duration::ZERO, async { 1 })).await, Ok(Ok(1)));
    }
}

#[test]
fn the_end_of_a_runtime_does_not_interrupt_a_cleanup_after_a_timeout_although_its_waiter_ends() {
    for single in [true, false] {
        let cleaned = Arc::new(AtomicBool::new(false));
        let cleans = cleaned.clone();
        let main = async move {
            let cleanup = async move {
                sleep(10 * SECOND).await;
                cleans.store(true, Ordering::SeqCst);
            };
            let inner = spawn(timeout(SECOND, finally(pending::<()>(), cleanup)));
            spawn(async { drop(inner.await) }).detach();
            sleep(2 * SECOND).await;
        };
        let builder = unstuck::Runtime::builder().start_paused(true);
        if single {
            builder.build_single().unwrap().run(main);
        } else {
            builder.worker_threads(2).build().unwrap().run(main);
        }
        assert!(cleaned.load(Ordering::SeqCst));
    }
}
