//! Run / loop: what `run` gives back, what becomes of leftovers, what a closed loop refuses.

use std::future::pending;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use unstuck::{EventLoop, Handle, Runtime, sleep, spawn};

use super::Log;
use crate::support::{OnDrop, alone, eventually, in_child, text};

#[test]
fn run_gives_what_main_gives_value_error_or_panic() {
    type Outcome = Result<u32, &'static str>;
    let mains: [fn() -> Outcome; 2] =
        [|| unstuck::run(async { Ok(42) }), || unstuck::run_single(async { Ok(42) })];
    assert_eq!(mains.map(|main| main()), [Ok(42); 2]);
    let fails: [fn() -> Outcome; 2] =
        [|| unstuck::run(async { Err("E") }), || unstuck::run_single(async { Err("E") })];
    assert_eq!(fails.map(|main| main()), [Err("E"); 2]);
    let panics: [fn(); 2] =
        [|| unstuck::run(async { panic!("E") }), || unstuck::run_single(async { panic!("E") })];
    for main in panics {
        assert_eq!(catch_unwind(AssertUnwindSafe(main)).unwrap_err().downcast_ref(), Some(&"E"));
    }
    assert!(Handle::try_current().is_none(), "the loop has been left either way");
}

#[test]
fn main_may_borrow_from_its_caller() {
    let text = String::from("borrowed");
    assert_eq!(unstuck::run(async { text.len() }), 8);
    assert_eq!(unstuck::run_single(async { text.len() }), 8);
}

/// A task that sleeps for ever, and says when it has been dropped; ready once it sleeps.
async fn leftover(cleaned: Arc<AtomicBool>) {
    let started = Arc::new(AtomicBool::new(false));
    let starts = started.clone();
    spawn(async move {
        let _cleanup = OnDrop(|| cleaned.store(true, Ordering::SeqCst));
        starts.store(true, Ordering::SeqCst);
        sleep(Duration::MAX).await;
    })
    .detach();
    eventually("it sleeps", || started.load(Ordering::SeqCst)).await;
}

#[test]
fn a_task_that_still_sleeps_is_cancelled_and_its_end_awaited_before_run_returns() {
    for single in [false, true] {
        let cleaned = Arc::new(AtomicBool::new(false));
        let leaves = leftover(cleaned.clone());
        let main = async {
            leaves.await;
            123
        };
        let value = if single { unstuck::run_single(main) } else { unstuck::run(main) };
        assert_eq!(value, 123);
        assert!(cleaned.load(Ordering::SeqCst), "single: {single}");
    }
}

#[test]
fn a_leftover_that_panics_in_its_cleanup_does_not_change_what_run_gives() {
    alone(|| {
        for single in [false, true] {
            let main = async {
                let armed = Arc::new(AtomicBool::new(false));
                let arms = armed.clone();
                drop(spawn(async move {
                    let _bomb = OnDrop(|| panic!("the cleanup went off"));
                    arms.store(true, Ordering::SeqCst);
                    sleep(Duration::MAX).await;
                }));
                eventually("it is armed", || armed.load(Ordering::SeqCst)).await;
                123
            };
            assert_eq!(if single { unstuck::run_single(main) } else { unstuck::run(main) }, 123);
        }
    });
}

#[test]
fn run_until_complete_leaves_other_tasks_as_they_are_for_the_next_run() {
    let event_loop = EventLoop::new().unwrap();
    let count = Arc::new(AtomicUsize::new(0));
    let counts = count.clone();
    let counting = async move {
        loop {
            counts.fetch_add(1, Ordering::SeqCst);
            unstuck::yield_now().await;
        }
    };
    let mut task = None;
    event_loop.run_until_complete(async { task = Some(spawn(counting)) });
    let task = task.unwrap();
    assert_eq!(count.load(Ordering::SeqCst), 0, "it starts at its creator's next await, and there was none");
    event_loop.run_until_complete(sleep(Duration::ZERO));
    let seen = count.load(Ordering::SeqCst);
    assert!(seen > 0 && !task.is_done());
    event_loop.run_until_complete(sleep(Duration::ZERO));
    assert!(count.load(Ordering::SeqCst) > seen && !task.is_done());
    task.cancel();
    assert!(event_loop.run_until_complete(task).unwrap_err().is_cancelled());
}

#[test]
fn tasks_and_calls_made_before_the_loop_runs_take_their_turns_before_its_main_future() {
    let event_loop = EventLoop::new().unwrap();
    let log = Log::new();
    let say = |line: &'static str| {
        let log = log.clone();
        move || log.say(line)
    };
    let (first, third) = (say("task"), say("local task"));
    drop(event_loop.handle().spawn(async move { first() }));
    event_loop.handle().call_soon(say("call"));
    drop(event_loop.spawn_local(async move { third() }));
    event_loop.run_until_complete(async { log.say("main") });
    assert_eq!(log.lines(), ["task", "call", "local task", "main"]);
}

#[test]
fn close_reports_a_pending_task_that_it_destroys() {
    let Some(output) = in_child(&[], || {
        let event_loop = EventLoop::new().unwrap();
        let task = event_loop.spawn_local(std::future::pending::<()>());
        task.set_name("forgotten");
        event_loop.run_until_complete(async {});
        event_loop.close();
        assert!(task.is_done());
    }) else {
        return;
    };
    let text = text(&output);
    assert!(output.status.success(), "{text}");
    assert!(text.contains("'forgotten' (from ") && text.contains("destroyed while it was pending"), "{text}");
}

#[test]
fn a_closed_loop_refuses_work() {
    let event_loop = EventLoop::new().unwrap();
    let handle = event_loop.handle();
    event_loop.close();
    let mut task = handle.spawn(async {});
    assert!(task.try_result().unwrap().unwrap_err().is_rejected());
    let log = Log::new();
    let called = log.clone();
    assert!(handle.call_soon(move || called.say("called")).is_done());
    assert_eq!(log.lines(), [""; 0]);
}

#[test]
fn run_forever_ends_when_it_is_stopped_from_inside_or_from_another_thread() {
    let event_loop = EventLoop::new().unwrap();
    let log = Log::new();
    let (first, handle) = (log.clone(), event_loop.handle());
    handle.clone().call_soon(move || {
        first.say("called");
        handle.stop();
    });
    event_loop.run_forever();
    assert_eq!(log.lines(), ["called"]);

    let handle = event_loop.handle();
    let stopper = std::thread::spawn(move || handle.stop());
    event_loop.run_forever();
    stopper.join().unwrap();

    event_loop.stop(); // before it runs: it makes one turn
    event_loop.run_forever();
}

#[test]
fn several_runs_in_one_runtime_share_its_tasks() {
    let runtime = Runtime::builder().worker_threads(2).build().unwrap();
    let (task, ()) = runtime.block_on(async { (spawn(async { 20 }), ()) });
    let value = runtime.block_on(async { task.await.unwrap() + 22 });
    assert_eq!(value, 42);
}

#[unstuck::test(flavor = "single", paused)]
async fn the_loops_time_begins_at_zero_and_follows_its_clock() {
    assert_eq!(unstuck::time(), Duration::ZERO);
    sleep(Duration::from_millis(1500)).await;
    assert_eq!(unstuck::time(), Duration::from_millis(1500));
    assert_eq!(Handle::current().time(), unstuck::time());
    Handle::current().advance(Duration::from_secs(1));
    assert_eq!(unstuck::time(), Duration::from_millis(2500));
}

#[test]
fn futures_that_are_not_send_run_on_the_single_threaded_loop() {
    let shared = std::rc::Rc::new(std::cell::Cell::new(0));
    unstuck::run_single(async {
        let tasks = (1..=3).map(|number| {
            let shared = shared.clone();
            unstuck::spawn_local(async move {
                unstuck::yield_now().await;
                shared.set(shared.get() + number);
            })
        });
        unstuck::gather(tasks.collect::<Vec<_>>()).await;
    });
    assert_eq!(shared.get(), 6);
}

#[test]
fn the_argument_beats_the_environment_and_the_environment_beats_off() {
    for (environment, expected) in [("", false), ("0", false), ("1", true)] {
        let setting = format!("UNSTUCK_DEBUG={environment}");
        let Some(output) = in_child(&["env", &setting], || {
            let expected = std::env::var("UNSTUCK_DEBUG").unwrap() == "1";
            assert_eq!(unstuck::debug::enabled(), expected);
            let built = |builder: unstuck::Builder| builder.worker_threads(1).build().unwrap();
            let untold = built(Runtime::builder());
            for on in [true, false] {
                let told = built(Runtime::builder().debug(on));
                assert_eq!(told.block_on(async { unstuck::debug::enabled() }), on);
                assert_eq!(told.handle().is_debug(), on);
                // Nobody else is meant.
                assert_eq!(
                    untold.block_on(untold.spawn(async { unstuck::debug::enabled() })).unwrap(),
                    expected
                );
                assert_eq!(unstuck::debug::enabled(), expected);
            }
        }) else {
            return;
        };
        assert!(output.status.success(), "{environment:?} {expected} {}", text(&output));
    }
}

both! {
    async fn whoever_is_inside_can_read_the_counters() {
        let task = spawn(pending::<()>());
        let counters = Handle::current().statistics().tasks;
        assert!(counters.workers >= 1 && counters.tasks >= 1, "{counters:?}");
        let elsewhere = Handle::current();
        let seen = std::thread::spawn(move || elsewhere.statistics().tasks.tasks).join().unwrap();
        assert!(seen >= 1);
        task.cancel();
    }
}
