//! Time limits inside of each other, of groups and of cleanup: who answers when several ask for an end.

use std::future::{Future, pending};
use std::time::Duration;

use unstuck::{ALL_COMPLETED, Task, catch_cancel, spawn, task, task_group, timeout, wait};

use super::{Log, fails, nap, print};

/// A timeout that says how it ended.
async fn limited(log: Log, name: &'static str, seconds: u64, inside: impl Future<Output = ()>) {
    match catch_cancel(timeout(Duration::from_secs(seconds), inside)).await {
        Ok(Ok(())) => print!(log, name, "has a value"),
        Ok(Err(_)) => print!(log, name, "timed out"),
        Err(cancelled) => {
            print!(log, name, "was cancelled");
            cancelled.resume::<()>().await;
        }
    }
}

/// Waits for ever; its cleanup takes some seconds, and may swallow what interrupts it.
async fn cleans(log: Log, seconds: f64, swallow: bool) {
    let Err(cancelled) = catch_cancel(pending::<()>()).await else { return };
    match catch_cancel(nap(seconds)).await {
        Ok(()) => log.say("has cleaned up"),
        Err(second) => {
            log.say("is interrupted");
            if !swallow {
                second.resume::<()>().await;
            }
        }
    }
    cancelled.resume::<()>().await;
}

/// Cancels it after some seconds, and waits for its end.
async fn cancelled_after(seconds: f64, mut task: Task<()>) -> Task<()> {
    nap(seconds).await;
    task.cancel();
    wait([&mut task], ALL_COMPLETED).await.unwrap();
    task
}

pub(super) async fn limit_around_a_cleanup_that_is_interrupted(log: Log) {
    for swallow in [false, true] {
        let inner = limited(log.clone(), "inner", 1, cleans(log.clone(), 5.0, swallow));
        limited(log.clone(), "outer", 2, inner).await;
    }
}

pub(super) async fn limit_whose_cleanup_swallows_a_request(log: Log) {
    let says = log.clone();
    let task = spawn(async move {
        limited(says.clone(), "inner", 1, cleans(says.clone(), 5.0, true)).await;
        says.say("goes on");
    });
    let task = cancelled_after(2.0, task).await;
    print!(log, task.is_cancelled(), task.cancelling());
}

async fn cleans_within_a_limit(log: Log) {
    let Err(cancelled) = catch_cancel(pending::<()>()).await else { return };
    limited(log, "cleanup", 1, pending()).await;
    cancelled.resume::<()>().await;
}

pub(super) async fn limit_in_a_cleanup(log: Log) {
    limited(log.clone(), "outer", 1, cleans_within_a_limit(log.clone())).await;
    let task = cancelled_after(1.0, spawn(cleans_within_a_limit(log.clone()))).await;
    print!(log, task.is_cancelled());
}

async fn swallows(inside: impl Future<Output = ()>, uncancel: bool) {
    drop(catch_cancel(pending::<()>()).await);
    if uncancel {
        task::current().unwrap().uncancel();
    }
    inside.await;
}

pub(super) async fn limit_after_a_request_was_swallowed(log: Log) {
    for uncancel in [false, true] {
        // Swallowed inside of the limit, and before it.
        let inside = spawn(limited(log.clone(), "limit", 3, swallows(pending(), uncancel)));
        print!(log, cancelled_after(1.0, inside).await.is_cancelled());
        let before = spawn(swallows(limited(log.clone(), "limit", 3, pending()), uncancel));
        print!(log, cancelled_after(1.0, before).await.is_cancelled());
    }
}

pub(super) async fn limit_in_a_group_that_fails(log: Log) {
    for swallow in [false, true] {
        let inside = log.clone();
        let error = task_group(|group| async move {
            group.spawn(fails(inside.clone(), "child", 2.0));
            limited(inside.clone(), "limit", 1, cleans(inside.clone(), 5.0, swallow)).await;
            inside.say("never");
            Ok(())
        })
        .await
        .unwrap_err();
        print!(log, "the group gives", error.errors().collect::<Vec<_>>());
    }
}

pub(super) async fn three_limits(log: Log) {
    for (a, b, c) in [(3, 1, 2), (1, 3, 2), (2, 3, 1)] {
        let c = limited(log.clone(), "c", c, cleans(log.clone(), 5.0, true));
        limited(log.clone(), "a", a, limited(log.clone(), "b", b, c)).await;
    }
}

async fn cleans_within_b(log: Log) {
    let Err(cancelled) = catch_cancel(pending::<()>()).await else { return };
    limited(log.clone(), "b", 2, cleans(log, 9.0, true)).await;
    cancelled.resume::<()>().await;
}

pub(super) async fn limit_entered_while_another_is_over(log: Log) {
    limited(log.clone(), "a", 1, cleans_within_b(log.clone())).await;
    let inner = limited(log.clone(), "a", 1, cleans_within_b(log.clone()));
    limited(log, "z", 2, inner).await;
}
