//! What is known of each task.

use std::collections::HashSet;
use std::time::Duration;

use unstuck::debug::TaskState;
use unstuck::{Runtime, sleep, yield_now};

use super::{noted, spawn};
use crate::support::{Gate, OnDrop, until};

#[test]
fn all_tasks_from_another_thread_are_every_live_one_and_no_finished_one() {
    let runtime = Runtime::builder().worker_threads(2).introspection(true).build().unwrap();
    for _ in 0..20 {
        let ended: Vec<_> = (0..50).map(|_| runtime.spawn(async {})).collect();
        let ended: HashSet<_> = ended.into_iter().map(|task| (task.id(), task.wait().unwrap()).0).collect();
        let living: Vec<_> = (0..50).map(|_| runtime.spawn(std::future::pending::<()>())).collect();
        let ids: HashSet<_> = living.iter().map(unstuck::Task::id).collect();
        let handle = runtime.handle();
        let (tasks, infos) = std::thread::spawn(move || (handle.tasks(), handle.inspect())).join().unwrap();
        let seen: HashSet<_> = tasks.iter().map(unstuck::TaskRef::id).collect();
        assert_eq!(seen, ids);
        assert!(seen.is_disjoint(&ended));
        assert_eq!(infos.iter().filter_map(|info| info.id).collect::<HashSet<_>>(), ids);
        for task in living {
            task.cancel();
            assert!(task.wait().unwrap_err().is_cancelled());
        }
    }
}

#[test]
fn a_task_is_ready_then_runs_then_waits_then_is_done() {
    noted().run_until_complete(async {
        let task = spawn("worker", async {
            let me = unstuck::debug::info(&unstuck::task::current().unwrap());
            assert!(matches!(&me.state, TaskState::Running(Some(_))), "{me:?}");
            sleep(Duration::from_secs(1)).await;
        });
        let watch = task.watch();
        let info = unstuck::debug::info(&watch);
        assert_eq!((&*info.name, info.state, info.polls), ("worker", TaskState::Ready, 0));
        yield_now().await;
        let info = unstuck::debug::info(&watch);
        assert_eq!((info.state, info.polls, info.awaits.len()), (TaskState::Waiting, 1, 1));
        assert!(info.busy > Duration::ZERO && !info.cancelling);
        assert_eq!((info.id, info.place), (Some(task.id()), watch.place()));
        task.await.unwrap();
        let info = unstuck::debug::info(&watch);
        assert_eq!((info.state, info.polls), (TaskState::Done, 2));
    });
}

#[test]
fn a_cancellation_on_its_way_is_seen() {
    noted().run_until_complete(async {
        let task = spawn("victim", std::future::pending::<()>());
        yield_now().await;
        task.cancel();
        let info = unstuck::debug::info(&task.watch());
        assert!(info.cancelling);
        assert!(unstuck::debug::graph().to_string().contains("ready, being cancelled"));
        assert!(task.await.unwrap_err().is_cancelled());
    });
}

#[test]
fn a_poll_that_does_not_come_back_is_seen_with_thread_and_time() {
    let gate = Gate::new();
    let inside = gate.clone();
    let runtime =
        Runtime::builder().worker_threads(1).thread_name("seen").introspection(true).build().unwrap();
    let task = runtime.spawn(async move { inside.pass() });
    gate.wait_for(1);
    let opened = gate.clone();
    let _open = OnDrop(move || opened.open());
    let look = || unstuck::debug::info(&task.watch());
    until("a millisecond has passed", || look().busy > Duration::from_millis(1));
    let info = look();
    let TaskState::Running(Some(running)) = &info.state else { panic!("{info:?}") };
    assert_eq!(&*running.thread, "seen-0");
    assert!(running.lasted > Duration::from_millis(1));
    until(
        "the kernel names the call",
        || matches!(look().state, TaskState::Running(Some(running)) if running.call.as_ref().is_some_and(|call| call.name() == "futex")),
    );
    gate.open();
    task.wait().unwrap();
}

#[test]
fn without_introspection_states_are_known_and_nothing_is_counted() {
    crate::support::alone(|| {
        unstuck::run_single(async {
            let task = spawn("plain", sleep(Duration::from_secs(3600)));
            yield_now().await;
            let info = unstuck::debug::info(&task.watch());
            assert_eq!((info.state, info.polls, info.busy), (TaskState::Waiting, 0, Duration::ZERO));
            assert!(info.awaits.is_empty());
            let tasks = unstuck::debug::tasks();
            assert_eq!(tasks.len(), 1, "only the task: {tasks:?}");
        });
    });
}

#[test]
fn debug_mode_takes_notes_too() {
    crate::support::alone(|| {
        let runtime = Runtime::builder().debug(true).worker_threads(1).build().unwrap();
        let task = runtime.spawn(std::future::pending::<()>());
        until("it was polled once", || unstuck::debug::info(&task.watch()).polls == 1);
    });
}
