//! Tasks and their cancellation.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use unstuck::{Handle, all_tasks, sleep, spawn, task, yield_now};

use super::Log;
use crate::support::{OnDrop, eventually};

const SECOND: Duration = Duration::from_secs(1);

#[unstuck::test(flavor = "single", paused)]
async fn a_spawned_body_does_not_start_before_its_creator_awaits() {
    let started = Arc::new(AtomicBool::new(false));
    let starts = started.clone();
    let task = unstuck::create_task(async move { starts.store(true, Ordering::SeqCst) });
    assert!(!started.load(Ordering::SeqCst));
    yield_now().await;
    assert!(started.load(Ordering::SeqCst) && task.is_done());
}

both! {
    async fn nothing_of_a_future_runs_before_it_is_awaited() {
        let ran = Arc::new(AtomicBool::new(false));
        let runs = ran.clone();
        let future = async move { runs.store(true, Ordering::SeqCst) };
        sleep(SECOND).await;
        assert!(!ran.load(Ordering::SeqCst));
        future.await;
        assert!(ran.load(Ordering::SeqCst));
    }
}

both! {
    async fn names_are_unique_unless_they_are_given() {
        let (one, two) = (spawn(async {}), spawn(async {}));
        assert_ne!(one.name(), two.name());
        assert_ne!(one.id(), two.id());
        one.set_name("same");
        two.set_name("same");
        assert_eq!((&*one.name(), &*two.name()), ("same", "same"));
        let named = task::Builder::new().name("given").spawn(async { task::current().unwrap().name() });
        assert_eq!(&*named.await.unwrap(), "given");
    }
}

both! {
    async fn the_current_task_is_right_before_and_after_awaits_and_none_in_main() {
        assert!(task::current().is_none());
        let tasks: Vec<_> = (0..4)
            .map(|number| {
                spawn(async move {
                    let before = task::current().unwrap().id();
                    for _ in 0..3 {
                        yield_now().await;
                        assert_eq!(task::current().unwrap().id(), before);
                    }
                    sleep(number * SECOND).await;
                    assert_eq!(task::current().unwrap().id(), before);
                    before
                })
            })
            .collect();
        let ids: Vec<_> = tasks.iter().map(unstuck::Task::id).collect();
        for (task, id) in tasks.into_iter().zip(ids) {
            assert_eq!(task.await.unwrap(), id);
        }
        assert!(task::current().is_none());
    }
}

both! {
    async fn all_tasks_has_every_live_task_and_no_finished_one_also_from_another_thread() {
        let done = spawn(async {});
        let watch = done.watch();
        done.await.unwrap();
        let live: Vec<_> = (0..5).map(|_| spawn(sleep(SECOND))).collect();
        let mut ids: Vec<_> = live.iter().map(unstuck::Task::id).collect();
        ids.sort();
        let listed = |tasks: Vec<unstuck::TaskRef>| {
            let mut ids: Vec<_> = tasks.iter().map(unstuck::TaskRef::id).collect();
            ids.sort();
            ids
        };
        assert_eq!(listed(all_tasks()), ids);
        let handle = Handle::current();
        assert_eq!(listed(std::thread::spawn(move || handle.tasks()).join().unwrap()), ids);
        assert!(watch.is_done());
        unstuck::gather(live).await;
        assert_eq!(listed(all_tasks()), []);
    }
}

both! {
    async fn a_sleeping_task_that_is_cancelled_ends_cancelled_and_only_once() {
        let task = spawn(sleep(SECOND));
        let watch = task.watch();
        sleep(SECOND / 2).await;
        assert!(task.cancel());
        assert!(task.await.unwrap_err().is_cancelled());
        assert!(watch.is_done() && watch.is_cancelled() && !watch.cancel());
        assert_eq!(unstuck::time(), SECOND / 2);
    }
}

#[unstuck::test(flavor = "single", paused)]
async fn right_after_cancel_the_task_is_not_done_but_cancelling() {
    let task = spawn(sleep(SECOND));
    yield_now().await;
    assert!(task.cancel());
    let watch = task.watch();
    assert!(!task.is_done() && !task.is_cancelled() && watch.is_cancelling());
    assert!(task.await.unwrap_err().is_cancelled());
    assert!(watch.is_cancelled() && !watch.is_cancelling());
}

#[unstuck::test(flavor = "single", paused)]
async fn a_task_cancelled_before_its_first_step_never_runs() {
    let log = Log::new();
    let runs = log.clone();
    let task = spawn(async move { runs.say("ran") });
    assert!(task.cancel());
    assert!(task.await.unwrap_err().is_cancelled());
    assert_eq!(log.lines(), [""; 0]);
}

both! {
    async fn a_sleep_of_zero_is_a_place_to_be_cancelled() {
        let spinning = Arc::new(AtomicBool::new(false));
        let spins = spinning.clone();
        let task = spawn(async move {
            loop {
                spins.store(true, Ordering::SeqCst);
                sleep(Duration::ZERO).await;
            }
        });
        eventually("it spins", || spinning.load(Ordering::SeqCst)).await;
        task.cancel();
        assert!(task.await.unwrap_err().is_cancelled());
    }
}

both! {
    async fn a_task_that_cancels_itself_runs_on_to_its_next_await_and_ends_there() {
        let log = Log::new();
        let says = log.clone();
        let task = spawn(async move {
            task::current().unwrap().cancel();
            says.say("still here");
            sleep(SECOND).await;
            says.say("never");
        });
        assert!(task.await.unwrap_err().is_cancelled());
        assert_eq!(log.lines(), ["still here"]);
        assert_eq!(unstuck::time(), Duration::ZERO, "it did not sleep first");
    }
}

both! {
    async fn destructors_run_from_the_inside_to_the_outside() {
        let log = Log::new();
        let (outer, inner) = (log.clone(), log.clone());
        let sleeping = Arc::new(AtomicBool::new(false));
        let sleeps = sleeping.clone();
        let task = spawn(async move {
            let _outer = OnDrop(move || outer.say("outer"));
            async move {
                let _inner = OnDrop(move || inner.say("inner"));
                sleeps.store(true, Ordering::SeqCst);
                sleep(SECOND).await;
            }
            .await;
        });
        eventually("it sleeps", || sleeping.load(Ordering::SeqCst)).await;
        task.cancel();
        assert!(task.await.unwrap_err().is_cancelled());
        assert_eq!(log.lines(), ["inner", "outer"]);
    }
}

both! {
    async fn a_cancelled_sleep_removes_its_timer() {
        let sleeping = Arc::new(AtomicUsize::new(0));
        let naps: Vec<_> = (0..10)
            .map(|_| {
                let sleeping = sleeping.clone();
                spawn(async move {
                    sleeping.fetch_add(1, Ordering::SeqCst);
                    sleep(3600 * SECOND).await;
                })
            })
            .collect();
        eventually("all sleep", || sleeping.load(Ordering::SeqCst) == 10).await;
        assert!(naps.iter().all(unstuck::Task::cancel));
        unstuck::gather(naps).await;
        // Were one of them left, the clock would stop there on its way.
        sleep(7200 * SECOND).await;
        assert_eq!(unstuck::time(), 7200 * SECOND);
    }
}

both! {
    /// The corrected tutorial program: wait in steps, cancel, and only then await.
    async fn a_task_can_be_watched_in_steps_and_cancelled_when_it_takes_too_long() {
        let task = spawn(sleep(10 * SECOND));
        let mut waited = 0;
        while !task.is_done() {
            sleep(SECOND).await;
            waited += 1;
            if waited == 5 {
                task.cancel();
                break;
            }
        }
        assert!(task.await.unwrap_err().is_cancelled());
        assert_eq!(unstuck::time(), 5 * SECOND);
    }
}

both! {
    async fn a_result_can_be_asked_for_without_waiting() {
        let mut task = spawn(async {
            sleep(SECOND).await;
            42
        });
        assert!(task.try_result().is_none() && !task.is_done());
        sleep(2 * SECOND).await;
        assert!(task.is_done());
        assert_eq!(task.try_result().unwrap().unwrap(), 42);
    }
}

both! {
    async fn a_dropped_handle_lets_the_task_go_on() {
        let log = Log::new();
        let says = log.clone();
        drop(spawn(async move {
            sleep(SECOND).await;
            says.say("went on");
        }));
        sleep(2 * SECOND).await;
        assert_eq!(log.lines(), ["went on"]);
    }
}

both! {
    async fn a_cancel_that_comes_after_the_end_changes_nothing() {
        let task = spawn(async { 42 });
        let watch = task.watch();
        eventually("it has ended", || watch.is_done()).await;
        assert!(!task.cancel() && !watch.cancel());
        assert!(!task.is_cancelled());
        assert_eq!(task.await.unwrap(), 42);
        assert!(!watch.is_cancelled());
        let failed = spawn(async { panic!("E") });
        let watch = failed.watch();
        eventually("it has failed", || watch.is_done()).await;
        assert!(!failed.cancel());
        assert_eq!(failed.await.map(|(): ()| ()).unwrap_err().panic_message(), Some("E"));
    }
}
