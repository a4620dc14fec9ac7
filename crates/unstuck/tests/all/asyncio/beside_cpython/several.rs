//! Waiting for several things: gather, wait, as_completed, groups; and what tasks share: queues and locks.

use std::future::pending;
use std::time::Duration;

use unstuck::sync::{Condition, Event, Lock, Queue, Semaphore};
use unstuck::{
    ALL_COMPLETED, Done, FIRST_COMPLETED, GroupError, JoinError, as_completed, catch_cancel, finally, gather,
    spawn, task_group, try_gather, wait,
};

use super::{Log, fails, nap, print, waits, was_cancelled, works};

type Text = &'static str;

pub(super) async fn gather_in_order(log: Log) {
    let all = [("b", 2.0), ("a", 1.0), ("c", 3.0)].map(|(name, length)| works(log.clone(), name, length));
    print!(log, gather(all).await);
}

pub(super) async fn gather_fails_at_once(log: Log) {
    let a = works(log.clone(), "a", 3.0);
    let tasks = [
        spawn(async { Ok(_ = a.await) }),
        spawn(fails(log.clone(), "b", 1.0)),
        spawn(fails(log.clone(), "c", 2.0)),
    ];
    let error = try_gather(tasks.map(|task| async { task.await.unwrap() })).await.unwrap_err();
    print!(log, "main sees", error);
    nap(5.0).await;
}

pub(super) async fn gather_is_cancelled(log: Log) {
    let (a, b) = (waits(log.clone(), "a", 2.0), waits(log.clone(), "b", 1.0));
    let (c, says) = (works(log.clone(), "c", 0.5), log.clone());
    let gathers = async move {
        gather!(a, b, c).await;
        says.say("never");
    };
    let end = log.clone();
    let task = spawn(finally(gathers, async move { end.say("the waiter is cancelled") }));
    nap(1.0).await;
    task.cancel();
    was_cancelled(task.await);
    log.say("main sees it");
}

fn values(done: Vec<Done<Result<Text, JoinError>>>) -> Vec<Text> {
    done.into_iter().map(|done| done.output.unwrap()).collect()
}

pub(super) async fn wait_for_the_first(log: Log) {
    let tasks =
        [("a", 3.0), ("b", 1.0), ("c", 2.0)].map(|(name, length)| spawn(works(log.clone(), name, length)));
    let (done, pending) = wait(tasks, FIRST_COMPLETED).await.unwrap();
    print!(log, values(done), pending.len());
    let (done, pending) = wait(pending, ALL_COMPLETED).timeout(Duration::from_millis(1500)).await.unwrap();
    print!(log, values(done), pending.len());
    let (done, pending) = wait(pending, ALL_COMPLETED).await.unwrap();
    print!(log, values(done), pending.len());
}

pub(super) async fn as_they_come(log: Log) {
    let tasks =
        [("a", 3.0), ("b", 1.0), ("c", 2.0)].map(|(name, length)| spawn(works(log.clone(), name, length)));
    let mut results = as_completed(tasks);
    while let Some(next_one) = results.next().await {
        print!(log, "got", next_one.unwrap());
    }
}

/// A child that waits for ever.
async fn idles(log: Log, name: Text, cleanup: f64) -> Result<(), Text> {
    waits(log, name, cleanup).await;
    Ok(())
}

fn told(log: &Log, error: &GroupError<Text>) {
    print!(log, "the group gives", error.errors().collect::<Vec<_>>());
}

pub(super) async fn group_waits(log: Log) {
    let inside = log.clone();
    let body = |group: unstuck::TaskGroup<Text>| async move {
        for (name, length) in [("a", 2.0), ("b", 1.0)] {
            let works = works(inside.clone(), name, length);
            group.spawn(async { Ok(works.await) });
        }
        inside.say("the body ends");
        Ok(())
    };
    task_group(body).await.unwrap();
    log.say("the group ends");
}

pub(super) async fn group_fails(log: Log) {
    let inside = log.clone();
    let error = task_group(|group| async move {
        group.spawn(idles(inside.clone(), "a", 2.0));
        group.spawn(fails(inside.clone(), "b", 1.0));
        waits(inside, "body", 1.0).await;
        Ok(())
    })
    .await
    .unwrap_err();
    told(&log, &error);
}

pub(super) async fn group_with_a_child_that_is_cancelled(log: Log) {
    let inside = log.clone();
    let body = |group: unstuck::TaskGroup<Text>| async move {
        let other = works(inside.clone(), "other", 2.0);
        let child = group.spawn(idles(inside.clone(), "child", 0.0));
        group.spawn(async { Ok(other.await) });
        nap(1.0).await;
        child.cancel();
        inside.say("the body ends");
        Ok(())
    };
    task_group(body).await.unwrap();
    log.say("the group ends");
}

pub(super) async fn group_is_cancelled(log: Log) {
    let inside = log.clone();
    let task = spawn(async move {
        let says = inside.clone();
        let body = |group: unstuck::TaskGroup<Text>| async move {
            group.spawn(idles(inside.clone(), "child", 2.0));
            inside.say("the body ends");
            Ok(())
        };
        task_group(body).await.unwrap();
        says.say("never");
    });
    nap(1.0).await;
    task.cancel();
    was_cancelled(task.await);
    log.say("main sees it");
}

pub(super) async fn group_adds_while_it_ends(log: Log) {
    let inside = log.clone();
    let body = |group: unstuck::TaskGroup<Text>| async move {
        let (adds, says) = (group.clone(), inside.clone());
        group.spawn(async move {
            nap(1.0).await;
            let late = works(says.clone(), "late", 1.0);
            adds.spawn(async { Ok(late.await) });
            says.say("the child ends");
            Ok(())
        });
        inside.say("the body ends");
        Ok(())
    };
    task_group(body).await.unwrap();
    log.say("the group ends");
}

pub(super) async fn group_awaits_a_child_that_fails(log: Log) {
    let inside = log.clone();
    let error = task_group(|group| async move {
        let child = group.spawn(fails(inside.clone(), "child", 1.0));
        let (never, says) = (inside.clone(), inside);
        let waits = async move {
            let _ = child.await;
            never.say("never");
        };
        finally(waits, async move { says.say("the body is cancelled") }).await;
        Ok(())
    })
    .await
    .unwrap_err();
    told(&log, &error);
}

pub(super) async fn group_fails_while_it_is_cancelled(log: Log) {
    let says = log.clone();
    let mut task = spawn(async move {
        let error = task_group(|group| async move {
            group.spawn(async {
                let _cancelled = catch_cancel(pending::<()>()).await;
                nap(1.0).await;
                Err::<(), _>("child")
            });
            Ok(())
        })
        .await
        .unwrap_err();
        told(&says, &error);
    });
    nap(1.0).await;
    task.cancel();
    wait([&mut task], ALL_COMPLETED).await.unwrap();
}

pub(super) async fn a_sibling_awaits_a_child(log: Log) {
    let inside = log.clone();
    let body = |group: unstuck::TaskGroup<Text>| async move {
        let child = group.spawn(idles(inside.clone(), "child", 1.0));
        let watch = child.task().unwrap().clone();
        let sibling = finally(async { child.await.map_err(|_| "no value") }, async move {
            print!(inside, "the sibling is cancelled", watch.is_cancelled());
        });
        let waiter = group.spawn(sibling);
        nap(1.0).await;
        waiter.cancel();
        Ok(())
    };
    task_group(body).await.unwrap();
    log.say("the group ends");
}

pub(super) async fn queue_of_one(log: Log) {
    let queue = Queue::bounded(1);
    let (puts, says) = (queue.clone(), log.clone());
    let producing = spawn(async move {
        for number in 0..3 {
            puts.put(number).await.unwrap();
            print!(says, "put", number);
        }
    });
    let (gets, says) = (queue.clone(), log.clone());
    let consuming = spawn(async move {
        while let Ok(number) = gets.get().await {
            nap(1.0).await;
            print!(says, "got", number);
            gets.task_done().unwrap();
        }
    });
    producing.await.unwrap();
    queue.join().await;
    log.say("joined");
    consuming.cancel();
}

pub(super) async fn semaphore_in_order(log: Log) {
    let semaphore = Semaphore::new(2);
    let users = ["a", "b", "c", "d"].map(|name| {
        let (semaphore, log) = (semaphore.clone(), log.clone());
        async move {
            let _permit = semaphore.acquire().await;
            print!(log, name, "in");
            nap(1.0).await;
            print!(log, name, "out");
        }
    });
    gather(users).await;
}

pub(super) async fn event_wakes_all(log: Log) {
    let event = Event::new();
    let tasks = ["a", "b", "c"].map(|name| {
        let (event, log) = (event.clone(), log.clone());
        spawn(async move {
            event.wait().await;
            print!(log, name, "woken");
        })
    });
    nap(1.0).await;
    event.set();
    log.say("set");
    gather(tasks).await;
}

pub(super) async fn condition_wakes_some(log: Log) {
    let (lock, condition) = (Lock::new(()), Condition::new());
    let tasks = ["a", "b", "c"].map(|name| {
        let (lock, condition, log) = (lock.clone(), condition.clone(), log.clone());
        spawn(async move {
            let _held = condition.wait(lock.lock().await).await;
            print!(log, name, "woken");
        })
    });
    for count in [1, 2] {
        nap(1.0).await;
        let held = lock.lock().await;
        condition.notify(count);
        drop(held);
        print!(log, "notified", count);
    }
    gather(tasks).await;
}
