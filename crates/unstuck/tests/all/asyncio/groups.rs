//! Task groups: who is waited for, who is cancelled, and what the group's error tells.

use std::future::{Future, pending, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;
use std::time::Duration;

use unstuck::{
    GroupError, GroupFailure, TaskGroup, catch_cancel, finally, sleep, spawn, task_group, wait_for, yield_now,
};

use super::Log;
use crate::support::{OnDrop, counts};

const SECOND: Duration = Duration::from_secs(1);

type Text = &'static str;

/// Waits for ever; its cleanup takes a second, and then says so.
async fn waits(log: Log, name: Text) -> Result<(), Text> {
    finally(pending(), async {
        sleep(SECOND).await;
        log.say(name);
    })
    .await
}

async fn fails(after: u32, error: Text) -> Result<(), Text> {
    sleep(after * SECOND).await;
    Err(error)
}

/// The errors, sorted.
fn errors(error: &GroupError<Text>) -> Vec<Text> {
    let mut errors: Vec<Text> = error.errors().copied().collect();
    errors.sort_unstable();
    errors
}

both! {
    async fn the_exit_waits_for_all_and_the_values_come_from_the_children() {
        let ended = Arc::new(AtomicUsize::new(0));
        let count = ended.clone();
        let sum = task_group(|group| async move {
            let a = group.spawn(async { sleep(SECOND).await; Ok::<_, Text>(20) });
            let b = group.spawn(async { sleep(2 * SECOND).await; Ok(22) });
            drop(group.spawn(async move { // nobody awaits it, but the group
                sleep(5 * SECOND).await;
                count.fetch_add(1, Ordering::SeqCst);
                Ok(())
            }));
            Ok(a.await.unwrap() + b.await.unwrap())
        })
        .await;
        assert_eq!(sum.unwrap(), 42);
        assert_eq!((ended.load(Ordering::SeqCst), unstuck::time()), (1, 5 * SECOND));
    }
}

both! {
    async fn a_group_without_children_gives_the_value_of_its_body() {
        assert_eq!(task_group(|_: TaskGroup<Text>| async { Ok(42) }).await.unwrap(), 42);
    }
}

both! {
    async fn tasks_that_a_child_adds_while_the_group_is_exiting_are_waited_for_too() {
        let log = Log::new();
        let said = log.clone();
        task_group(|group| async move {
            let inner = group.clone();
            group.spawn(async move {
                sleep(SECOND).await; // the body has ended
                inner.spawn(async move {
                    sleep(SECOND).await;
                    said.say("late");
                    Ok::<_, Text>(())
                });
                Ok(())
            });
            Ok(())
        })
        .await
        .unwrap();
        assert_eq!(log.lines(), ["late"]);
        assert_eq!(unstuck::time(), 2 * SECOND);
    }
}

both! {
    async fn a_failing_child_cancels_siblings_and_body_and_all_errors_are_in_the_group_error() {
        let log = Log::new();
        let (sibling, body) = (log.clone(), log.clone());
        let error = task_group(|group| async move {
            group.spawn(fails(1, "first"));
            group.spawn(waits(sibling, "sibling"));
            group.spawn(async {
                let cancelled = catch_cancel(pending::<()>()).await;
                sleep(2 * SECOND).await;
                drop(cancelled);
                Err::<(), _>("while cleaning up")
            });
            waits(body, "body").await
        })
        .await
        .unwrap_err();
        assert_eq!(errors(&error), ["first", "while cleaning up"]);
        assert!(matches!(error.failures()[0], GroupFailure::Error("first")), "{error:?}");
        assert_eq!(error.to_string(), "2 failures in a task group: first; while cleaning up");
        let mut lines = log.lines();
        lines.sort_unstable();
        assert_eq!(lines, ["body", "sibling"]);
        assert_eq!(unstuck::time(), 3 * SECOND, "the end of all was awaited");
    }
}

both! {
    async fn a_child_that_panics_aborts_the_group_with_its_message() {
        let error = task_group(|group| async move {
            group.spawn(async {
                yield_now().await;
                if unstuck::time() < SECOND {
                    panic!("boom");
                }
                Ok::<_, Text>(())
            });
            pending::<Result<(), Text>>().await
        })
        .await
        .unwrap_err();
        let [GroupFailure::Panic(panic)] = error.failures() else { panic!("{error:?}") };
        assert_eq!(panic.panic_message(), Some("boom"));
    }
}

both! {
    async fn the_body_never_sees_that_a_failed_child_it_awaits_gave_no_value() {
        let error = task_group(|group| async move {
            let child = group.spawn(fails(1, "E"));
            child.await.map_err(|_| "the body went on")
        })
        .await
        .unwrap_err();
        assert_eq!(errors(&error), ["E"]);
    }
}

both! {
    async fn cancelling_one_child_is_no_error() {
        let value = task_group(|group| async move {
            let child = group.spawn(pending::<Result<(), Text>>());
            let sibling = group.spawn(async { sleep(SECOND).await; Ok(42) });
            yield_now().await;
            assert!(child.cancel());
            assert!(child.await.is_err_and(|none| !none.is_refused()));
            assert!(!group.is_closed());
            Ok(sibling.await.unwrap())
        })
        .await;
        assert_eq!(value.unwrap(), 42);
    }
}

both! {
    async fn cancelling_the_parent_cancels_and_awaits_the_children_and_goes_on() {
        // In the body, and while the group waits for its children.
        for body_waits in [true, false] {
            let begun = unstuck::time();
            let log = Log::new();
            let said = log.clone();
            let parent = spawn(async move {
                let inside = said.clone();
                let _ = task_group(|group| async move {
                    group.spawn(waits(inside.clone(), "child"));
                    group.spawn(waits(inside, "child"));
                    if body_waits { pending().await } else { Ok(()) }
                })
                .await;
                said.say("never");
            });
            sleep(SECOND).await;
            assert!(parent.cancel_with("enough"));
            let error = parent.await.unwrap_err();
            assert!(error.is_cancelled());
            assert_eq!(error.reason().and_then(unstuck::Reason::text), Some("enough"));
            assert_eq!(log.lines(), ["child", "child"]);
            assert_eq!(unstuck::time() - begun, 2 * SECOND);
        }
    }
}

both! {
    async fn a_timeout_around_a_group_ends_it_and_waits_for_the_children() {
        let log = Log::new();
        let said = log.clone();
        let group = task_group(|group| async move {
            group.spawn(waits(said, "child"));
            Ok(())
        });
        assert!(wait_for(group, SECOND).await.is_err());
        assert_eq!(log.lines(), ["child"]);
    }
}

both! {
    async fn a_failing_body_cancels_the_children_and_its_error_is_in_the_group_error() {
        let log = Log::new();
        let said = log.clone();
        let error = task_group(|group| async move {
            group.spawn(waits(said, "child"));
            sleep(SECOND).await;
            Err::<(), _>("body")
        })
        .await
        .unwrap_err();
        assert_eq!(errors(&error), ["body"]);
        assert_eq!(log.lines(), ["child"]);
    }
}

both! {
    async fn a_panic_of_the_body_goes_on_when_the_children_have_ended() {
        let log = Log::new();
        let said = log.clone();
        let outer = spawn(async move {
            task_group(|group| async move {
                group.spawn(waits(said, "child"));
                sleep(SECOND).await;
                if unstuck::time() >= SECOND {
                    panic!("body");
                }
                Ok(())
            })
            .await
        });
        assert_eq!(outer.await.unwrap_err().panic_message(), Some("body"));
        assert_eq!(log.lines(), ["child"]);
    }
}

both! {
    async fn a_spawn_into_a_finished_group_is_refused_and_the_future_is_dropped() {
        let group = task_group(|group: TaskGroup<Text>| async move { Ok(group) }).await.unwrap();
        let dropped = Arc::new(AtomicUsize::new(0));
        let guard = OnDrop(counts(&dropped));
        let child = group.spawn(async move {
            let _guard = guard;
            Ok(())
        });
        assert_eq!(dropped.load(Ordering::SeqCst), 1);
        assert!(group.is_closed() && child.task().is_none() && !child.cancel());
        assert!(child.await.unwrap_err().is_refused());
    }
}

both! {
    async fn a_spawn_into_an_aborting_group_is_refused_and_the_future_is_dropped() {
        let dropped = Arc::new(AtomicUsize::new(0));
        let guard = OnDrop(counts(&dropped));
        let error = task_group(|group| async move {
            let inner = group.clone();
            group.spawn(fails(1, "E"));
            group.spawn(finally(pending::<Result<(), Text>>(), async move {
                let late = inner.spawn(async move {
                    let _guard = guard;
                    Ok(())
                });
                assert!(late.await.unwrap_err().is_refused());
            }));
            Ok(())
        })
        .await
        .unwrap_err();
        assert_eq!(errors(&error), ["E"], "the assertion inside held");
        assert_eq!(error.failures().len(), 1, "{error:?}");
        assert_eq!(dropped.load(Ordering::SeqCst), 1);
    }
}

/// Spawns another one of its kind, and another one when it is cancelled.
fn spawns_for_ever(
    group: TaskGroup<Text>,
    count: Arc<AtomicUsize>,
) -> Pin<Box<dyn Future<Output = Result<(), Text>> + Send>> {
    Box::pin(async move {
        count.fetch_add(1, Ordering::SeqCst);
        sleep(SECOND / 10).await;
        group.spawn(spawns_for_ever(group.clone(), count.clone()));
        finally(pending(), async { drop(group.spawn(spawns_for_ever(group.clone(), count.clone()))) }).await
    })
}

both! {
    async fn children_that_keep_spawning_children_cannot_keep_an_aborting_group_alive() {
        let count = Arc::new(AtomicUsize::new(0));
        let spawner = count.clone();
        let error = task_group(|group| async move {
            group.spawn(spawns_for_ever(group.clone(), spawner));
            fails(1, "enough").await
        })
        .await
        .unwrap_err();
        assert_eq!(errors(&error), ["enough"]);
        assert_eq!(unstuck::time(), SECOND);
        let spawned = count.load(Ordering::SeqCst);
        assert!(spawned > 5, "{spawned}");
        sleep(SECOND).await;
        assert_eq!(count.load(Ordering::SeqCst), spawned, "none is left");
    }
}

both! {
    async fn a_group_that_is_just_dropped_cancels_its_children() {
        let dropped = Arc::new(AtomicUsize::new(0));
        let guard = OnDrop(counts(&dropped));
        let mut group = Box::pin(task_group(|group| async move {
            group.spawn(async move {
                let _guard = guard;
                pending::<Result<(), Text>>().await
            });
            pending::<Result<(), Text>>().await
        }));
        assert!(poll_fn(|cx| Poll::Ready(group.as_mut().poll(cx).is_pending())).await);
        sleep(SECOND).await;
        drop(group);
        sleep(SECOND).await;
        assert_eq!(dropped.load(Ordering::SeqCst), 1);
    }
}

both! {
    async fn groups_nest_and_the_inner_error_is_one_failure_of_the_outer() {
        let error = task_group(|outer| async move {
            outer.spawn(async {
                task_group(|inner| async move {
                    inner.spawn(fails(1, "deep"));
                    Ok(())
                })
                .await
                .map_err(|error| error.to_string())
            });
            pending::<Result<(), String>>().await
        })
        .await
        .unwrap_err();
        assert_eq!(error.to_string(), "a failure in a task group: a failure in a task group: deep");
    }
}
