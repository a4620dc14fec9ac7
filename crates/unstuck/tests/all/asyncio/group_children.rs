//! Children of a task group: who awaits one and is cancelled, errors while a cancellation is under way, children that stay
//! on their thread.

use std::cell::Cell;
use std::future::pending;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use unstuck::{
    Child, Deferred, GroupError, TaskGroup, all_tasks, catch_cancel, finally, sleep, spawn, task_group,
    wait_for, yield_now,
};

use super::Log;
use crate::support::{OnDrop, counts, eventually};

const SECOND: Duration = Duration::from_secs(1);

type Text = &'static str;

/// Waits for ever, and fails while it cleans up.
async fn fails_in_its_cleanup() -> Result<(), Text> {
    let cancelled = catch_cancel(pending::<()>()).await;
    sleep(SECOND).await;
    drop(cancelled);
    Err("the disk is full")
}

fn texts(error: &GroupError<Text>) -> Vec<Text> {
    error.errors().copied().collect()
}

both! {
    async fn an_error_while_the_group_is_cancelled_comes_first_and_the_cancellation_at_the_next_await() {
        let log = Log::new();
        let says = log.clone();
        let parent = spawn(async move {
            let error = task_group(|group| async move {
                group.spawn(fails_in_its_cleanup());
                pending::<Result<(), Text>>().await
            })
            .await
            .unwrap_err();
            assert_eq!(texts(&error), ["the disk is full"]);
            says.say("the error");
            let cancelled = catch_cancel(sleep(10 * SECOND)).await.unwrap_err();
            says.say(cancelled.reason().unwrap().text().unwrap());
            cancelled.resume::<()>().await;
        });
        sleep(SECOND).await;
        assert!(parent.cancel_with("enough"));
        assert!(parent.await.unwrap_err().is_cancelled());
        assert_eq!(log.lines(), ["the error", "enough"]);
        assert_eq!(unstuck::time(), 2 * SECOND);
    }
}

both! {
    async fn a_task_that_gives_the_error_of_its_cancelled_group_keeps_it() {
        let parent = spawn(task_group(|group| async move {
            group.spawn(fails_in_its_cleanup());
            pending::<Result<(), Text>>().await
        }));
        sleep(SECOND).await;
        parent.cancel();
        assert_eq!(texts(&parent.await.unwrap().unwrap_err()), ["the disk is full"]);
    }
}

both! {
    async fn a_timeout_around_a_group_that_fails_in_its_cleanup_has_the_error_as_its_value() {
        let group = task_group(|group| async move {
            group.spawn(fails_in_its_cleanup());
            pending::<Result<(), Text>>().await
        });
        let error = wait_for(group, SECOND).await.expect("a value").unwrap_err();
        assert_eq!(texts(&error), ["the disk is full"]);
        yield_now().await; // nobody is cancelled besides
        assert_eq!(unstuck::time(), 2 * SECOND);
    }
}

both! {
    async fn cancelling_who_awaits_a_child_by_value_cancels_the_child_and_awaits_its_end() {
        let log = Log::new();
        let (first, second) = (log.clone(), log.clone());
        task_group(|group| async move {
            let child: Child<()> = group.spawn(finally(pending(), async move {
                sleep(SECOND).await;
                first.say("the child has ended");
            }));
            let watch = child.task().unwrap().clone();
            let waiter = group.spawn(finally(async { child.await.map_err(|_| "no value") }, async move {
                second.say("its waiter has ended");
            }));
            sleep(SECOND).await;
            assert!(waiter.cancel());
            assert!(waiter.await.is_err());
            assert!(watch.is_cancelled());
            Ok::<_, Text>(())
        })
        .await
        .unwrap();
        assert_eq!(log.lines(), ["the child has ended", "its waiter has ended"]);
    }
}

both! {
    async fn awaited_by_reference_a_child_is_left_alone() {
        task_group(|group| async move {
            let mut child = group.spawn(async { sleep(10 * SECOND).await; Ok::<_, Text>(42) });
            assert!(wait_for(&mut child, SECOND).await.is_err());
            assert_eq!(child.task().unwrap().cancelling(), 0);
            let waiter = spawn(async move {
                let caught = catch_cancel(&mut child).await;
                assert!(caught.is_err());
                child.await // and its value can still be had
            });
            sleep(SECOND).await;
            waiter.cancel();
            assert_eq!(waiter.await.unwrap(), Ok(42));
            Ok(())
        })
        .await
        .unwrap();
    }
}

both! {
    async fn a_child_that_catches_the_cancel_of_its_waiter_gives_it_its_value() {
        let waiter = spawn(task_group(|group| async move {
            let child = group.spawn(async {
                let _ = catch_cancel(pending::<()>()).await;
                Ok::<_, Text>(42)
            });
            let value = child.await.unwrap();
            sleep(SECOND).await; // not cancelled
            Ok(value)
        }));
        sleep(SECOND).await;
        waiter.cancel();
        assert_eq!(waiter.await.unwrap().unwrap(), 42);
    }
}

both! {
    async fn a_time_limit_for_a_child_cancels_it_and_no_other() {
        task_group(|group| async move {
            let slow = group.spawn(async { sleep(10 * SECOND).await; Ok::<_, Text>(1) });
            let other = group.spawn(async { sleep(5 * SECOND).await; Ok(2) });
            let watch = slow.task().unwrap().clone();
            assert!(wait_for(slow, SECOND).await.is_err());
            assert!(watch.is_cancelled() && !group.is_closed());
            assert_eq!(other.await, Ok(2));
            Ok(())
        })
        .await
        .unwrap();
        assert_eq!(unstuck::time(), 5 * SECOND);
    }
}

both! {
    async fn who_cancels_itself_and_then_gives_a_value_has_none() {
        task_group(|group| async move {
            let child = group.spawn(async {
                unstuck::task::current().unwrap().cancel();
                Ok::<_, Text>(12)
            });
            assert!(child.await.is_err_and(|none| !none.is_refused()));
            Ok(())
        })
        .await
        .unwrap();
    }
}

type Handed = Arc<std::sync::Mutex<Option<Child<()>>>>;

both! {
    async fn children_that_await_each_other_in_a_circle_end_with_their_group() {
        let handles = [Deferred::<Handed>::new(), Deferred::new()];
        let dropped = Arc::new(AtomicUsize::new(0));
        let count = dropped.clone();
        let group = task_group(move |group| async move {
            for own in 0..2 {
                let (other, guard) = (handles[1 - own].clone(), OnDrop(counts(&count)));
                let child = group.spawn(async move {
                    let _guard = guard;
                    let other = other.await.unwrap().lock().unwrap().take().unwrap();
                    let _ = other.await;
                    Ok::<_, Text>(())
                });
                assert!(handles[own].set_result(Handed::new(Some(child).into())).is_ok());
            }
            Ok(())
        });
        drop(wait_for(group, SECOND).await);
        assert_eq!((dropped.load(Ordering::SeqCst), all_tasks().len()), (2, 0));
    }
}

/// A child may end at any moment while its waiter is cancelled.
#[unstuck::test(worker_threads = 2)]
async fn the_cleanup_of_who_awaits_a_child_runs_whenever_the_child_ends() {
    let (begun, cleaned) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    for round in 0..2000 {
        let (begins, cleans) = (begun.clone(), cleaned.clone());
        let group = task_group(|group| async move {
            let child = group.spawn(async move {
                for _ in 0..round % 7 {
                    yield_now().await;
                }
                if round % 3 == 0 { Err("E") } else { Ok(()) }
            });
            let waits = async move {
                begins.fetch_add(1, Ordering::SeqCst);
                let _ = child.await;
            };
            let waiter = spawn(finally(waits, async move { _ = cleans.fetch_add(1, Ordering::SeqCst) }));
            for _ in 0..round % 5 {
                yield_now().await;
            }
            waiter.cancel();
            drop(waiter.await);
            Ok(())
        });
        drop(group.await);
    }
    // A child that fails cancels the body, which then lets its waiter go on alone.
    eventually("all waiters have ended", || all_tasks().is_empty()).await;
    assert_eq!(cleaned.load(Ordering::SeqCst), begun.load(Ordering::SeqCst));
}

#[unstuck::test(flavor = "single", paused)]
async fn on_one_thread_children_need_not_be_send() {
    let count = Rc::new(Cell::new(0));
    let inside = count.clone();
    let shared = task_group(|group| async move {
        let child = group.spawn_local({
            let count = inside.clone();
            async move {
                sleep(SECOND).await;
                count.set(count.get() + 1);
                Ok::<_, Text>(count)
            }
        });
        group.spawn(async { Ok(()) }); // beside those that may move
        Ok(child.await.unwrap())
    })
    .await
    .unwrap();
    assert!(Rc::ptr_eq(&shared, &count) && count.get() == 1);
}

#[unstuck::test(flavor = "single", paused)]
async fn local_children_fail_are_cancelled_and_are_refused_like_the_others() {
    let log = Log::new();
    let (says, dropped) = (log.clone(), Arc::new(AtomicUsize::new(0)));
    let guard = OnDrop(counts(&dropped));
    let error = task_group(|group: TaskGroup<Rc<Text>>| async move {
        group.spawn_local(async {
            sleep(SECOND).await;
            Err::<(), _>(Rc::new("E"))
        });
        let late = group.clone();
        group.spawn_local(finally(pending::<Result<(), _>>(), async move {
            let refused = late.spawn_local(async move {
                let _guard = guard;
                Ok(())
            });
            assert!(refused.await.unwrap_err().is_refused());
            says.say("cleaned up");
        }));
        pending::<Result<(), _>>().await
    })
    .await
    .unwrap_err();
    assert_eq!(error.errors().map(|error| **error).collect::<Vec<_>>(), ["E"]);
    assert_eq!((log.lines().len(), dropped.load(Ordering::SeqCst)), (1, 1));
}

#[test]
fn a_child_that_the_ending_runtime_refuses_says_so() {
    for single in [true, false] {
        let log = Log::new();
        let says = log.clone();
        let cleanup = async move {
            let refused = task_group(|group| async move {
                let child = group.spawn(async { Ok::<_, Text>(()) });
                Ok(child.await.unwrap_err())
            });
            let refused = refused.await.unwrap();
            says.say(format!("{} {}", refused.is_refused(), refused.to_string().contains("its runtime has")));
            // What a cleanup may do instead:
            let both = unstuck::gather!(sleep(SECOND).with(1), sleep(SECOND).with(2)).await;
            says.say(format!("{both:?}"));
        };
        let main = async move {
            spawn(finally(pending::<()>(), cleanup)).detach();
            sleep(SECOND).await;
        };
        let builder = unstuck::Runtime::builder().start_paused(true);
        if single {
            builder.build_single().unwrap().run(main);
        } else {
            builder.worker_threads(2).build().unwrap().run(main);
        }
        assert_eq!(log.lines(), ["true true", "(1, 2)"]);
    }
}
