//! Tasks, cancellation, timeouts, and the end of a run.

use std::future::pending;
use std::time::Duration;

use unstuck::sync::Lock;
use unstuck::{
    Deferred, Handle, Task, catch_cancel, finally, gather, shield, sleep, spawn, task, wait_for, yield_now,
};

use super::{Log, nap, print, waits, was_cancelled, works};

const SECOND: Duration = Duration::from_secs(1);

pub(super) async fn spawn_order(log: Log) {
    async fn child(log: Log, name: &str) {
        print!(log, name, "one");
        sleep(Duration::ZERO).await;
        print!(log, name, "two");
    }
    log.say("main spawns");
    let tasks = ["a", "b", "c"].map(|name| spawn(child(log.clone(), name)));
    log.say("main waits");
    sleep(Duration::ZERO).await;
    log.say("main goes on");
    gather(tasks).await;
}

pub(super) async fn callbacks_order(log: Log) {
    let (handle, future) = (Handle::current(), Deferred::new());
    let say = |line: &str| {
        let (log, line) = (log.clone(), line.to_owned());
        move || log.say(line)
    };
    for number in 0..3 {
        let called = say(&format!("callback {number}"));
        future.add_done_callback(move |_| called());
    }
    handle.call_soon(say("soon"));
    future.set_result(42).unwrap();
    log.say("set");
    handle.call_soon(say("later"));
    sleep(Duration::ZERO).await;
    log.say("main");
}

pub(super) async fn timers_order(log: Log) {
    let handle = Handle::current();
    for delay in [3, 1, 2, 1] {
        let log = log.clone();
        handle.call_later(delay * SECOND, move || print!(log, "after", delay));
    }
    let never = log.clone();
    let timer = handle.call_later(SECOND * 5 / 2, move || never.say("never"));
    timer.cancel();
    let soon = log.clone();
    handle.call_soon(move || soon.say("soon"));
    nap(5.0).await;
}

pub(super) async fn cancel_chain(log: Log) {
    async fn middle(log: Log, inner: Task<()>) {
        finally(inner, async move { log.say("middle cleans up") }).await.unwrap();
    }
    let inner = spawn(waits(log.clone(), "inner", 1.0));
    let (watch, cleans) = (inner.watch(), log.clone());
    let middle = middle(log.clone(), inner);
    let task = spawn(finally(async { spawn(middle).await.unwrap() }, async move {
        print!(cleans, "outer cleans up", watch.is_cancelled());
    }));
    nap(1.0).await;
    print!(log, "cancel", task.cancel());
    let watch = task.watch();
    was_cancelled(task.await);
    print!(log, "main sees it", watch.is_cancelled());
}

pub(super) async fn cancel_and_swallow(log: Log) {
    let says = log.clone();
    let task = spawn(async move {
        drop(catch_cancel(nap(3600.0)).await.unwrap_err());
        says.say("swallowed");
        nap(1.0).await;
        says.say("slept on");
        42
    });
    nap(1.0).await;
    task.cancel();
    print!(log, "cancelled", task.is_cancelled());
    let watch = task.watch();
    print!(log, task.await.unwrap(), watch.is_cancelled());
}

pub(super) async fn cancel_itself(log: Log) {
    let selfish = async move {
        task::current().unwrap().cancel();
        log.say("still here");
        match catch_cancel(sleep(Duration::ZERO)).await {
            Ok(()) => log.say("never"),
            Err(_swallowed) => log.say("at the next await"),
        }
        sleep(Duration::ZERO).await;
        log.say("and not again");
    };
    spawn(selfish).await.unwrap();
}

pub(super) async fn cancel_twice(log: Log) {
    let says = log.clone();
    let slow = finally(nap(3600.0), async move {
        says.say("first");
        finally(nap(3600.0), async move { says.say("second") }).await;
    });
    let task = spawn(slow);
    nap(1.0).await;
    task.cancel();
    nap(1.0).await;
    print!(log, "done", task.is_done());
    task.cancel();
    let watch = task.watch();
    was_cancelled(task.await);
    print!(log, "done", watch.is_done());
}

pub(super) async fn cancel_before_the_first_step(log: Log) {
    let task = spawn(waits(log.clone(), "never", 0.0));
    print!(log, "cancel", task.cancel());
    let other = spawn(works(log.clone(), "other", 1.0));
    was_cancelled(task.await);
    log.say("main sees it");
    other.await.unwrap();
}

pub(super) async fn reason_through_a_gather(log: Log) {
    async fn child(log: Log, name: &str) {
        let cancelled = catch_cancel(nap(3600.0)).await.unwrap_err();
        print!(log, name, "hears", cancelled.reason().unwrap().text().unwrap());
        cancelled.resume::<()>().await;
    }
    let children = ["a", "b"].map(|name| child(log.clone(), name));
    let task = spawn(async { gather(children).await });
    nap(1.0).await;
    task.cancel_with("enough");
    let error = was_cancelled(task.await);
    print!(log, "main hears", error.reason().unwrap().text().unwrap());
}

pub(super) async fn wait_for_waits_for_the_end(log: Log) {
    let task = spawn(waits(log.clone(), "task", 1.0));
    let watch = task.watch();
    assert!(wait_for(task, SECOND).await.is_err());
    print!(log, "timeout", watch.is_cancelled());
    let quick = spawn(works(log.clone(), "quick", 0.5));
    print!(log, wait_for(quick, SECOND).await.unwrap().unwrap());
}

pub(super) async fn shield_goes_on(log: Log) {
    let mut task = spawn(works(log.clone(), "task", 3.0));
    assert!(wait_for(shield(&mut task), SECOND).await.is_err());
    print!(log, "timeout", task.is_done());
    print!(log, task.await.unwrap());
}

/// Here a task has one handle, and so the waiter and main share it behind a lock.
pub(super) async fn a_shielding_waiter_is_cancelled(log: Log) {
    let task = Lock::new(spawn(works(log.clone(), "task", 3.0)));
    let (shared, says) = (task.clone(), log.clone());
    let waiting = spawn(async move {
        let mut task = shared.lock().await;
        finally(shield(&mut task), async { says.say("waiter leaves") }).await
    });
    nap(1.0).await;
    waiting.cancel();
    was_cancelled(waiting.await);
    log.say("waiter is cancelled");
    let mut task = task.lock().await;
    print!(log, (&mut *task).await.unwrap());
}

/// The leftovers wait for ever: once main has ended, a paused clock may jump to the end of what they wait for.
pub(super) async fn leftovers(log: Log) {
    let leftover = |name: &'static str, cleanup: f64| {
        let log = log.clone();
        spawn(finally(pending::<()>(), async move {
            nap(cleanup).await;
            print!(log, name, "has cleaned up");
        }))
    };
    let tasks = [leftover("a", 2.0), leftover("b", 1.0), leftover("c", 3.0)];
    nap(1.0).await;
    print!(log, "main ends", tasks.len());
    yield_now().await;
}
