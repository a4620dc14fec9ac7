//! Corners of cancellation: several scopes in one task, scopes that nobody polls, joins that hide until they are wanted.

use std::future::{Future, pending, poll_fn};
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::time::Duration;

use futures_util::future::join;
use futures_util::stream::{FuturesUnordered, StreamExt};
use unstuck::{Task, TaskRef, catch_cancel, finally, sleep, spawn, timeout, yield_now};

use crate::support::{Gate, eventually, until};

const SECOND: Duration = Duration::from_secs(1);

type Lines = Arc<Mutex<Vec<&'static str>>>;

/// Waits for ever; says so when it is cancelled, and needs a second for it.
async fn waits(lines: Lines, name: &'static str) {
    finally(pending::<()>(), async {
        sleep(SECOND).await;
        lines.lock().unwrap().push(name);
    })
    .await;
}

/// A task that waits for ever, begun.
async fn waiting(lines: &Lines, name: &'static str) -> Task<()> {
    let task = spawn(waits(lines.clone(), name));
    sleep(SECOND).await;
    task
}

fn lines() -> Lines {
    Lines::default()
}

fn said(lines: &Lines) -> Vec<&'static str> {
    lines.lock().unwrap().clone()
}

#[unstuck::test(flavor = "single", paused)]
async fn a_scope_that_nobody_polls_any_more_holds_up_no_cancellation() {
    let log = lines();
    let own = log.clone();
    let mut task = spawn(async move {
        let mut left = pin!(catch_cancel(pending::<()>()));
        poll_fn(|cx| {
            assert!(left.as_mut().poll(cx).is_pending());
            Poll::Ready(())
        })
        .await;
        waits(own, "cleaned up").await; // `left` lives on, and is polled by nobody
    });
    sleep(SECOND).await;
    task.cancel();
    let ended = timeout(60 * SECOND, &mut task).await.expect("it ends without the scope that was left");
    assert!(ended.unwrap_err().is_cancelled());
    assert_eq!(said(&log), ["cleaned up"]);
}

#[unstuck::test(flavor = "single", paused)]
async fn a_scope_in_a_set_that_nobody_polls_any_more_holds_up_no_cancellation() {
    let log = lines();
    let own = log.clone();
    let mut task = spawn(async move {
        let mut left: FuturesUnordered<_> = [catch_cancel(pending::<()>())].into_iter().collect();
        assert!(futures_util::future::poll_immediate(left.next()).await.is_none());
        waits(own, "cleaned up").await;
        drop(left);
    });
    sleep(SECOND).await;
    task.cancel();
    let ended = timeout(60 * SECOND, &mut task).await.expect("it ends without the scope that was left");
    assert!(ended.unwrap_err().is_cancelled());
    assert_eq!(said(&log), ["cleaned up"]);
}

#[unstuck::test(flavor = "single", paused)]
async fn a_sibling_that_opens_its_first_scope_in_the_poll_of_the_throw_has_its_cleanup() {
    for first_throws in [true, false] {
        let log = lines();
        let (own, other) = (log.clone(), log.clone());
        let task = spawn(finally(
            async move {
                let throws = async {
                    let caught = catch_cancel(pending::<()>()).await.unwrap_err();
                    caught.resume::<()>().await;
                };
                let opens = async {
                    // Catches it and goes on, in the very poll in which the other throws.
                    _ = catch_cancel(pending::<()>()).await;
                    waits(own, "sibling").await;
                };
                if first_throws {
                    join(throws, opens).await;
                } else {
                    join(opens, throws).await;
                }
            },
            async move { other.lock().unwrap().push("outside") },
        ));
        sleep(SECOND).await;
        task.cancel();
        assert!(task.await.unwrap_err().is_cancelled());
        assert_eq!(said(&log), ["sibling", "outside"], "first throws: {first_throws}");
    }
}

#[unstuck::test(flavor = "single", paused)]
async fn a_sibling_without_a_frame_around_both_has_its_cleanup_too() {
    let log = lines();
    let own = log.clone();
    let task = spawn(async move {
        let throws = async {
            let caught = catch_cancel(pending::<()>()).await.unwrap_err();
            caught.resume::<()>().await;
        };
        let opens = async {
            _ = catch_cancel(pending::<()>()).await;
            waits(own, "sibling").await;
        };
        join(throws, opens).await;
    });
    sleep(SECOND).await;
    task.cancel();
    assert!(task.await.unwrap_err().is_cancelled());
    assert_eq!(said(&log), ["sibling"]);
}

#[unstuck::test(flavor = "single", paused)]
async fn who_swallows_every_cancellation_cannot_hold_up_a_sibling_for_ever() {
    let task = spawn(async {
        let throws = async {
            let caught = catch_cancel(pending::<()>()).await.unwrap_err();
            caught.resume::<()>().await;
        };
        let swallows = async {
            loop {
                _ = catch_cancel(pending::<()>()).await;
            }
        };
        join(throws, swallows).await;
    });
    sleep(SECOND).await;
    task.cancel();
    assert!(timeout(60 * SECOND, task).await.expect("it ends").unwrap_err().is_cancelled());
}

#[unstuck::test(flavor = "single", paused)]
async fn a_yield_after_a_join_is_a_cancellation_point_like_any_other() {
    let passes = Arc::new(AtomicUsize::new(0));
    let counted = passes.clone();
    let task = spawn(async move {
        spawn(yield_now()).await.unwrap(); // was pending: it has hidden
        loop {
            counted.fetch_add(1, Ordering::SeqCst);
            yield_now().await;
        }
    });
    while passes.load(Ordering::SeqCst) < 3 {
        yield_now().await;
    }
    let before = passes.load(Ordering::SeqCst);
    task.cancel();
    assert!(task.await.map(|(): ()| ()).unwrap_err().is_cancelled());
    assert_eq!(passes.load(Ordering::SeqCst), before, "it must not go on to the next await");
}

#[unstuck::test(flavor = "single", paused)]
async fn a_cancellation_goes_inward_wherever_a_join_hides() {
    type Act = fn(Task<()>) -> Pin<Box<dyn Future<Output = ()> + Send>>;
    let acts: [(&str, Act); 6] = [
        ("alone", |inner| Box::pin(async { _ = inner.await })),
        ("beside a sleep", |inner| Box::pin(async { _ = join(inner, sleep(100 * SECOND)).await })),
        ("in a timeout", |inner| Box::pin(async { _ = timeout(100 * SECOND, inner).await })),
        ("in a set with wakers of its own", |inner| {
            Box::pin(async {
                let mut set: FuturesUnordered<_> = [inner].into_iter().collect();
                set.next().await;
            })
        }),
        ("in a scope that cleans up", |inner| Box::pin(async { _ = finally(inner, yield_now()).await })),
        ("boxed and polled by somebody", |inner| {
            Box::pin(async {
                let mut inner = Box::pin(inner);
                poll_fn(|cx| inner.as_mut().poll(cx).map(drop)).await;
            })
        }),
    ];
    for (name, act) in acts {
        let log = lines();
        let task = spawn(act(waiting(&log, name).await));
        sleep(SECOND).await;
        task.cancel();
        assert!(task.await.unwrap_err().is_cancelled(), "{name}");
        assert_eq!(said(&log), [name]);
    }
}

#[unstuck::test(flavor = "single", paused)]
async fn a_timeout_cancels_the_task_awaited_in_it_and_waits_for_its_end() {
    let log = lines();
    let inner = waiting(&log, "inner").await;
    let beside = waiting(&log, "beside").await;
    let task = spawn(async move {
        // Polled in both orders: the one beside has not been told that it is to be a frame when the time is over.
        let (one, other) = join(beside, async { timeout(SECOND, inner).await.map(drop).unwrap_err() }).await;
        assert!(one.unwrap_err().is_cancelled());
        other
    });
    sleep(10 * SECOND).await;
    assert_eq!(said(&log), ["inner"]);
    task.cancel();
    assert!(task.await.is_err());
    assert_eq!(said(&log), ["inner", "beside"]);
}

#[unstuck::test(flavor = "single", paused)]
async fn a_task_awaited_in_a_cleanup_is_taken_along_by_the_throw_of_a_sibling() {
    let log = lines();
    let awaited = spawn(waits(log.clone(), "awaited in the cleanup"));
    let task = spawn(async move {
        let throws = async {
            let caught = catch_cancel(pending::<()>()).await.unwrap_err();
            yield_now().await;
            caught.resume::<()>().await;
        };
        let goes_on = async {
            _ = catch_cancel(pending::<()>()).await; // swallowed
            _ = awaited.await;
        };
        join(throws, goes_on).await;
    });
    sleep(SECOND).await;
    task.cancel();
    assert!(task.await.unwrap_err().is_cancelled());
    assert_eq!(said(&log), ["awaited in the cleanup"], "it has ended, and was not left behind");
}

#[unstuck::test(flavor = "single", paused)]
async fn tasks_that_await_each_other_in_a_circle_have_their_cleanup_when_one_or_both_are_cancelled() {
    type Slot = Arc<Mutex<Option<Task<()>>>>;
    for cancelled in 1..=2 {
        let (log, slots) = (lines(), [Slot::default(), Slot::default()]);
        for own in 0..2 {
            let (log, other) = (log.clone(), slots[1 - own].clone());
            let waits = async move {
                sleep(SECOND).await;
                let other = other.lock().unwrap().take().unwrap();
                _ = other.await;
            };
            let task = spawn(finally(waits, async move { log.lock().unwrap().push("cleaned up") }));
            *slots[own].lock().unwrap() = Some(task);
        }
        let tasks = slots.each_ref().map(|slot| slot.lock().unwrap().as_ref().unwrap().watch());
        sleep(2 * SECOND).await;
        for task in &tasks[..cancelled] {
            task.cancel();
        }
        sleep(SECOND).await;
        assert!(tasks.iter().all(TaskRef::is_cancelled), "{cancelled}");
        assert_eq!(said(&log).len(), 2, "{cancelled}");
    }
}

#[unstuck::test(flavor = "single", paused)]
async fn a_join_that_was_left_unfinished_takes_no_cleanup_around_it_along() {
    let log = lines();
    let own = log.clone();
    let task = spawn(finally(
        async {
            _ = catch_cancel(pending::<()>()).await; // from now on joins do not hide
            let mut left = Box::pin(spawn(yield_now()));
            poll_fn(|cx| {
                assert!(left.as_mut().poll(cx).is_pending());
                Poll::Ready(())
            })
            .await;
            pending::<()>().await; // the task has ended, and nobody polls `left`
        },
        async move { own.lock().unwrap().push("cleaned up") },
    ));
    sleep(SECOND).await;
    task.cancel();
    sleep(SECOND).await;
    task.cancel();
    assert!(task.await.unwrap_err().is_cancelled());
    assert_eq!(said(&log), ["cleaned up"]);
}

#[unstuck::test(worker_threads = 2)]
async fn cleanup_around_a_task_that_ends_in_the_moment_of_a_siblings_throw_is_not_skipped() {
    let (log, gate, begun) = (lines(), Gate::new(), Arc::new(AtomicBool::new(false)));
    let (own, held, waiting) = (log.clone(), gate.clone(), begun.clone());
    let task = spawn(async move {
        let inner = spawn(async move { held.pass() });
        let (ends, awaits) = (inner.watch(), AtomicBool::new(false));
        let swallows = async {
            drop(catch_cancel(pending::<()>()).await);
            let body = async {
                awaits.store(true, Ordering::SeqCst);
                _ = inner.await;
                pending::<()>().await;
            };
            finally(body, async move { own.lock().unwrap().push("cleaned up") }).await;
        };
        let throws = async {
            begun.store(true, Ordering::SeqCst);
            let Err(cancelled) = catch_cancel(pending::<()>()).await else { return };
            eventually("the sibling awaits the task", || awaits.load(Ordering::SeqCst)).await;
            // In one step: the task ends, and this throws.
            gate.open();
            until("it has ended", || ends.is_done());
            cancelled.resume::<()>().await;
        };
        join(swallows, throws).await;
    });
    eventually("both wait", || waiting.load(Ordering::SeqCst)).await;
    task.cancel();
    assert!(task.await.unwrap_err().is_cancelled());
    assert_eq!(said(&log), ["cleaned up"]);
}
