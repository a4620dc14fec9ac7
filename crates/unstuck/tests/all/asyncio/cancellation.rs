//! Cancellation: where it lands, what code may do about it, and what the waiter sees.

use std::future::pending;
use std::time::Duration;

use unstuck::{Cancelled, catch_cancel, finally, gather, sleep, spawn, task, yield_now};

use super::Log;

const SECOND: Duration = Duration::from_secs(1);

/// Waits for ever; says so when it is cancelled.
async fn waits(log: Log, name: &'static str) {
    finally(pending::<()>(), async { log.say(name) }).await;
}

/// Lets the others run until they wait.
async fn settle() {
    sleep(Duration::from_millis(1)).await;
}

both! {
    async fn a_sleeping_task_is_cancelled_at_its_await_and_a_second_cancel_comes_too_late() {
        let mut task = spawn(sleep(10 * SECOND));
        settle().await;
        assert!(task.cancel());
        assert!((&mut task).await.unwrap_err().is_cancelled());
        assert!(task.is_done() && task.is_cancelled());
        assert!(!task.cancel());
    }
}

both! {
    async fn right_after_cancel_it_is_not_cancelled_yet_but_cancelling() {
        let task = spawn(catch_cancel(pending::<()>()));
        settle().await;
        assert!(task.cancel());
        while task.cancelling() == 0 {
            yield_now().await; // another worker has it in its hands
        }
        assert!(task.cancelling() == 1);
        assert!(!task.is_cancelled());
        assert!(task.await.unwrap().is_err());
    }
}

#[unstuck::test(flavor = "single", paused)]
async fn cancelled_before_its_first_step_its_body_never_runs_and_the_waiter_gets_the_message() {
    let log = Log::new();
    let task = spawn(waits(log.clone(), "ran"));
    assert!(task.cancel_with("not today"));
    let error = task.await.unwrap_err();
    assert_eq!(error.reason().unwrap().text(), Some("not today"));
    assert!(error.to_string().ends_with("was cancelled: not today"), "{error}");
    assert!(log.lines().is_empty());
}

both! {
    async fn a_sleep_of_zero_is_a_cancellation_point() {
        let task = spawn(async {
            loop {
                sleep(Duration::ZERO).await;
            }
        });
        yield_now().await; // the clock stands still meanwhile: somebody is always ready
        assert!(task.cancel());
        assert!(task.await.map(|(): ()| ()).unwrap_err().is_cancelled());
    }
}

both! {
    async fn a_task_that_catches_the_cancel_and_returns_gives_its_value() {
        let mut task = spawn(async {
            assert!(catch_cancel(sleep(10 * SECOND)).await.is_err());
            42
        });
        settle().await;
        task.cancel();
        assert_eq!((&mut task).await.unwrap(), 42);
        assert!(!task.is_cancelled());
    }
}

both! {
    async fn a_swallowed_cancel_does_not_come_again_at_the_next_await() {
        let task = spawn(async {
            drop(catch_cancel(sleep(10 * SECOND)).await.unwrap_err());
            sleep(SECOND).await;
            yield_now().await;
            "slept on"
        });
        settle().await;
        task.cancel();
        assert_eq!(task.await.unwrap(), "slept on");
        assert!(unstuck::time() >= SECOND);
    }
}

both! {
    async fn who_cancels_itself_runs_to_its_next_await_and_is_cancelled_there() {
        let log = Log::new();
        let own = log.clone();
        let task = spawn(async move {
            assert!(task::current().unwrap().cancel());
            own.say("still running");
            let caught = catch_cancel(yield_now()).await;
            own.say(if caught.is_err() { "cancelled" } else { "not cancelled" });
        });
        task.await.unwrap();
        assert_eq!(log.lines(), ["still running", "cancelled"]);
    }
}

both! {
    async fn who_cancels_itself_and_then_returns_is_cancelled_and_its_value_lost() {
        let task = spawn(async {
            task::current().unwrap().cancel();
            12
        });
        assert!(task.await.unwrap_err().is_cancelled());
    }
}

both! {
    async fn who_takes_its_own_cancel_back_keeps_its_value() {
        let task = spawn(async {
            let me = task::current().unwrap();
            assert!(me.cancel());
            assert_eq!(me.uncancel(), 0);
            yield_now().await;
            12
        });
        assert_eq!(task.await.unwrap(), 12);
    }
}

both! {
    async fn along_a_chain_of_awaits_the_innermost_handler_runs_first() {
        let log = Log::new();
        let (own, inner) = (log.clone(), log.clone());
        let outer = spawn(async move {
            let middle = spawn(async move { spawn(waits(inner.clone(), "innermost")).await.unwrap() });
            finally(middle, async { own.say("outer") }).await.unwrap();
        });
        settle().await;
        outer.cancel();
        assert!(outer.await.unwrap_err().is_cancelled());
        assert_eq!(log.lines(), ["innermost", "outer"]);
    }
}

both! {
    async fn frames_inside_each_other_handle_it_from_the_inside_out() {
        let log = Log::new();
        let own = log.clone();
        let task = spawn(async move {
            let (first, second) = (own.clone(), own.clone());
            let inner = finally(pending::<()>(), async move {
                sleep(SECOND).await;
                first.say("inner");
            });
            finally(inner, async move {
                sleep(SECOND).await;
                second.say("outer");
            })
            .await;
        });
        settle().await;
        task.cancel();
        assert!(task.await.unwrap_err().is_cancelled());
        assert_eq!(log.lines(), ["inner", "outer"]);
        assert!(unstuck::time() >= 2 * SECOND);
    }
}

both! {
    async fn a_waiter_whose_inner_task_catches_the_cancel_goes_on_with_its_value() {
        let outer = spawn(async {
            let inner = spawn(async {
                let _ = catch_cancel(pending::<()>()).await;
                42
            });
            let value = inner.await.unwrap();
            sleep(SECOND).await; // not cancelled
            value
        });
        settle().await;
        outer.cancel();
        assert_eq!(outer.await.unwrap(), 42);
    }
}

both! {
    async fn awaited_by_reference_the_inner_task_is_left_alone() {
        let mut inner = spawn(async {
            sleep(SECOND).await;
            42
        });
        let watch = inner.watch();
        let outer = spawn(async move {
            let caught = catch_cancel(&mut inner).await;
            (caught.is_err(), inner)
        });
        settle().await;
        outer.cancel();
        let (caught, inner) = outer.await.unwrap();
        assert!(caught && watch.cancelling() == 0);
        assert_eq!(inner.await.unwrap(), 42);
    }
}

#[derive(Debug, PartialEq)]
struct Ticket(u32);

both! {
    async fn a_reason_arrives_unchanged_at_the_waiter_through_a_gather_as_well() {
        let child = || {
            spawn(async {
                let cancelled = catch_cancel(pending::<()>()).await.unwrap_err();
                assert_eq!(cancelled.reason().unwrap().downcast_ref(), Some(&Ticket(7)));
                cancelled.resume::<()>().await;
            })
        };
        let gathering = spawn(async move { gather!(child(), child()).await });
        settle().await;
        gathering.cancel_with(Ticket(7));
        let error = gathering.await.unwrap_err();
        assert_eq!(error.reason().unwrap().downcast_ref(), Some(&Ticket(7)));
    }
}

both! {
    async fn cleanup_that_fails_makes_the_task_failed_and_not_cancelled() {
        let mut task = spawn(finally(pending::<()>(), async { panic!("the disk is full") }));
        settle().await;
        task.cancel();
        let error = (&mut task).await.unwrap_err();
        assert!(error.is_panic() && !error.is_cancelled() && !task.is_cancelled());
        assert_eq!(error.panic_message(), Some("the disk is full"));
    }
}

both! {
    async fn a_cancelled_sleep_takes_its_timer_along() {
        let task = spawn(catch_cancel(sleep(100 * SECOND)));
        settle().await;
        task.cancel();
        assert!(task.await.unwrap().is_err());
        sleep(SECOND).await;
        assert!(unstuck::time() < 100 * SECOND);
    }
}

both! {
    async fn a_second_cancel_lands_in_the_middle_of_the_cleanup() {
        let log = Log::new();
        let own = log.clone();
        let task = spawn(async move {
            let during = own.clone();
            let first = catch_cancel(pending::<()>()).await.unwrap_err();
            own.say("cleaning up");
            let second = catch_cancel(pending::<()>()).await;
            during.say(if second.is_err() { "interrupted" } else { "cleaned up" });
            first.resume::<()>().await;
        });
        settle().await;
        task.cancel();
        settle().await;
        assert_eq!(task.cancelling(), 1);
        task.cancel();
        assert!(task.await.unwrap_err().is_cancelled());
        assert_eq!(log.lines(), ["cleaning up", "interrupted"]);
    }
}

both! {
    async fn siblings_in_one_task_each_get_the_request_once_and_none_is_dropped_in_its_cleanup() {
        let log = Log::new();
        let cleanup = |name: &'static str, time: Duration| {
            let log = log.clone();
            finally(pending::<()>(), async move {
                sleep(time).await;
                log.say(name);
            })
        };
        let (short, long) = (cleanup("short", SECOND), cleanup("long", 2 * SECOND));
        let task = spawn(async move { gather!(short, long).await });
        settle().await;
        task.cancel();
        assert!(task.await.unwrap_err().is_cancelled());
        assert_eq!(log.lines(), ["short", "long"]);
    }
}

both! {
    async fn a_sibling_that_opens_a_scope_while_another_cleans_up_has_its_cleanup_too() {
        let log = Log::new();
        let (early, late) = (log.clone(), log.clone());
        let task = spawn(async move {
            let first = finally(pending::<()>(), async move {
                sleep(2 * SECOND).await;
                early.say("early");
            });
            let second = async move {
                sleep(SECOND).await; // no scope: the request does not land here
                finally(pending::<()>(), async move {
                    sleep(SECOND).await;
                    late.say("late");
                })
                .await;
            };
            gather!(first, second).await
        });
        settle().await;
        task.cancel();
        assert!(task.await.unwrap_err().is_cancelled());
        assert_eq!(log.lines(), ["early", "late"]);
    }
}

both! {
    async fn a_cancelled_gather_cancels_all_its_tasks_and_waits_for_them() {
        let log = Log::new();
        let children: Vec<_> = (1..=40u32)
            .map(|n| {
                let log = log.clone();
                spawn(finally(pending::<()>(), async move {
                    sleep(n * SECOND).await;
                    log.say("cleaned up");
                }))
            })
            .collect();
        let task = spawn(async move { unstuck::gather(children).await.len() });
        settle().await;
        task.cancel();
        assert!(task.await.unwrap_err().is_cancelled());
        assert_eq!(log.lines().len(), 40);
    }
}

#[unstuck::test(flavor = "single", paused)]
async fn the_exact_order_of_a_cancel_the_cleanup_and_the_waiter() {
    let log = Log::new();
    let own = log.clone();
    let task = spawn(async move {
        own.say("task: start");
        match catch_cancel(sleep(SECOND)).await {
            Ok(()) => own.say("task: slept"),
            Err(cancelled) => {
                own.say("task: cleanup");
                yield_now().await;
                own.say("task: cleaned up");
                cancelled.resume::<()>().await;
            }
        }
    });
    yield_now().await;
    log.say("main: cancel");
    task.cancel();
    log.say("main: waits");
    assert!(task.await.unwrap_err().is_cancelled());
    log.say("main: done");
    assert_eq!(
        log.lines(),
        ["task: start", "main: cancel", "main: waits", "task: cleanup", "task: cleaned up", "main: done"]
    );
}

fn paused() -> unstuck::Builder {
    unstuck::Runtime::builder().worker_threads(2).start_paused(true)
}

#[test]
fn what_is_left_at_the_end_of_run_finishes_its_cleanup_first() {
    let log = Log::new();
    let leftover = |log: Log| async move {
        spawn(finally(pending::<()>(), async move {
            sleep(SECOND).await;
            log.say("cleaned up");
        }))
        .detach();
        settle().await;
        123
    };
    assert_eq!(paused().build().unwrap().run(leftover(log.clone())), 123);
    assert_eq!(paused().build_single().unwrap().run(leftover(log.clone())), 123);
    assert_eq!(log.lines(), ["cleaned up", "cleaned up"]);
}

#[test]
fn a_waiter_and_its_inner_task_that_are_both_left_at_the_end_are_cleaned_up_once() {
    let log = Log::new();
    paused().build_single().unwrap().run(async {
        let (own, inner) = (log.clone(), log.clone());
        spawn(async move {
            let inner = spawn(finally(pending::<()>(), async move {
                sleep(SECOND).await;
                inner.say("inner");
            }));
            finally(inner, async { own.say("outer") }).await.unwrap();
        })
        .detach();
        for _ in 0..5 {
            yield_now().await;
        }
    });
    assert_eq!(log.lines(), ["inner", "outer"]);
}

#[test]
fn a_cleanup_that_had_begun_is_not_interrupted_by_the_end_of_the_runtime() {
    let log = Log::new();
    paused().build_single().unwrap().run(async {
        let own = log.clone();
        let task = spawn(async move {
            let cancelled = catch_cancel(pending::<()>()).await.unwrap_err();
            sleep(SECOND).await;
            own.say("cleaned up");
            drop(cancelled);
            finally(pending::<()>(), async { own.say("asked again, since it went on") }).await;
        });
        yield_now().await;
        task.cancel();
        yield_now().await;
    });
    assert_eq!(log.lines(), ["cleaned up", "asked again, since it went on"]);
}

#[test]
fn a_main_future_has_frames_too_and_can_be_cancelled_from_outside() {
    let canceller = unstuck::Canceller::new();
    let log = Log::new();
    let body = async {
        let cancelled: Cancelled = catch_cancel(async {
            canceller.cancel_with("enough");
            pending::<()>().await;
        })
        .await
        .unwrap_err();
        sleep(SECOND).await;
        log.say("cleaned up");
        cancelled.resume::<u32>().await
    };
    let runtime = paused().build().unwrap();
    let error = runtime.handle().block_on_with(&canceller, body).unwrap_err();
    assert_eq!(error.reason().unwrap().text(), Some("enough"));
    assert_eq!(log.lines(), ["cleaned up"]);
    assert!(!canceller.cancel(), "it has ended");
}
