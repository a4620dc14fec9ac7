//! What becomes of the tasks that are left, and several runs in one runtime.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use unstuck::contextvars::ContextVar;
use unstuck::{Builder, Handle, OnExit, Runner, Runtime, sleep, spawn, yield_now};

use super::Log;
use crate::support::{OnDrop, alone, eventually, in_child, text, until, until_threads_are_gone};

const SECOND: Duration = Duration::from_secs(1);

fn runs(builder: Builder, main: impl Future<Output = ()>, single: bool) {
    let builder = builder.worker_threads(2).start_paused(true);
    if single { builder.build_single().unwrap().run(main) } else { builder.build().unwrap().run(main) }
}

#[test]
fn drain_waits_for_tasks_and_for_those_that_they_spawn() {
    for single in [true, false] {
        let log = Log::new();
        let (parent, child) = (log.clone(), log.clone());
        let main = async {
            drop(spawn(async move {
                sleep(SECOND).await;
                parent.say("parent");
                drop(spawn(async move {
                    sleep(SECOND).await;
                    child.say("child");
                }));
            }));
        };
        runs(Runtime::builder().on_exit(OnExit::Drain), main, single);
        assert_eq!(log.lines(), ["parent", "child"], "single: {single}");
    }
}

#[test]
fn drain_waits_for_many_tasks_whatever_their_ends() {
    for single in [true, false] {
        let ended = Arc::new(AtomicUsize::new(0));
        let counts = ended.clone();
        let builder = Runtime::builder().on_exit(OnExit::Drain).exception_handler(|_| ());
        let main = async move {
            for number in 0..1_000_u32 {
                let counts = counts.clone();
                let task = spawn(async move {
                    let _counts = OnDrop(move || _ = counts.fetch_add(1, Ordering::SeqCst));
                    sleep(number % 7 * SECOND).await;
                    assert!(number % 100 != 50, "one of those that fail (this test wants that)");
                });
                if number % 100 == 51 {
                    task.cancel();
                }
            }
        };
        runs(builder, main, single);
        // A task that was cancelled before its first step has no guard.
        assert!((990..=1_000).contains(&ended.load(Ordering::SeqCst)), "single: {single}");
    }
}

#[test]
fn cancel_is_what_happens_unless_something_else_is_said() {
    assert_eq!(OnExit::default(), OnExit::Cancel);
    for single in [true, false] {
        let log = Log::new();
        let (says, drops) = (log.clone(), log.clone());
        let main = async {
            let armed = Arc::new(AtomicBool::new(false));
            let arms = armed.clone();
            drop(spawn(async move {
                let _drops = OnDrop(move || drops.say("dropped"));
                arms.store(true, Ordering::SeqCst);
                std::future::pending::<()>().await;
                says.say("went on");
            }));
            while !armed.load(Ordering::SeqCst) {
                yield_now().await;
            }
        };
        runs(Runtime::builder().on_exit(OnExit::Cancel), main, single);
        assert_eq!(log.lines(), ["dropped"], "single: {single}");
    }
}

#[test]
fn detach_returns_at_once_and_tasks_go_on_until_they_end_and_the_threads_with_them() {
    alone(|| {
        let (go, log) = (Arc::new(AtomicBool::new(false)), Log::new());
        let (goes, says) = (go.clone(), log.clone());
        Runtime::builder().worker_threads(2).on_exit(OnExit::Detach).build().unwrap().run(async {
            drop(spawn(async move {
                eventually("it may go on", || goes.load(Ordering::SeqCst)).await;
                sleep(SECOND / 1000).await;
                says.say("went on");
            }));
        });
        assert_eq!(log.lines(), [""; 0]);
        go.store(true, Ordering::SeqCst);
        until("it went on", || log.lines() == ["went on"]);
        until_threads_are_gone();
    });
}

#[test]
fn detach_on_a_single_threaded_loop_drops_tasks_where_they_stand_and_says_so() {
    let log = Log::new();
    let (says, drops) = (log.clone(), log.clone());
    let builder = Runtime::builder().on_exit(OnExit::Detach).exception_handler(move |failure| {
        says.say(format!("{:?} {}", failure.kind(), failure.task().unwrap().name()));
    });
    let main = async {
        let task = spawn(async move {
            let _drops = OnDrop(move || drops.say("dropped"));
            sleep(SECOND).await;
        });
        task.set_name("left");
        yield_now().await;
        drop(task);
    };
    runs(builder, main, true);
    assert_eq!(log.lines(), ["Destroyed left", "dropped"]);
}

#[test]
fn the_attribute_says_it_too() {
    static ENDED: AtomicUsize = AtomicUsize::new(0);
    async fn leaves() {
        drop(spawn(async {
            yield_now().await;
            sleep(SECOND / 1000).await;
            ENDED.fetch_add(1, Ordering::SeqCst);
        }));
    }
    #[unstuck::main(on_exit = "drain", flavor = "single")]
    async fn drains() {
        leaves().await;
    }
    #[unstuck::main(on_exit = "cancel", flavor = "single")]
    async fn cancels() {
        leaves().await;
    }
    drains();
    assert_eq!(ENDED.load(Ordering::SeqCst), 1);
    cancels();
    assert_eq!(ENDED.load(Ordering::SeqCst), 1);
}

#[test]
fn a_runner_runs_several_times_in_one_runtime_and_keeps_tasks_between() {
    for single in [true, false] {
        let mut runner = if single { Runner::single() } else { Runner::new() }.unwrap();
        let (sender, receiver) = mpsc::channel();
        let mut task = None;
        let first = async {
            task = Some(spawn(async move {
                while receiver.try_recv().is_err() {
                    yield_now().await;
                }
                42
            }));
        };
        runner.run(first).unwrap();
        let task = task.unwrap();
        sender.send(()).unwrap(); // between the runs
        assert_eq!(runner.run(task).unwrap().unwrap(), 42);
        let handle = runner.handle();
        assert!(Handle::try_current().is_none());
        runner.close();
        let mut late = handle.spawn(async {});
        assert!(late.try_result().unwrap().unwrap_err().is_rejected(), "single: {single}");
    }
}

#[test]
fn a_runner_keeps_the_context_between_its_runs_and_away_from_its_caller() {
    static USER: ContextVar<&'static str> = ContextVar::with_default("user", || "nobody");
    drop(USER.set("caller"));
    for single in [true, false] {
        let mut runner = if single { Runner::single() } else { Runner::new() }.unwrap();
        runner
            .run(async {
                assert_eq!(USER.get(), Some("caller"));
                drop(USER.set("first run"));
            })
            .unwrap();
        assert_eq!(USER.get(), Some("caller"));
        runner.run(async { assert_eq!(USER.get(), Some("first run")) }).unwrap();
    }
}

#[test]
fn the_end_of_a_runner_cancels_and_awaits_what_is_left_or_does_what_was_said() {
    let cases = [(OnExit::Cancel, Duration::MAX, "dropped"), (OnExit::Drain, SECOND / 1000, "went on")];
    for (on_exit, nap, expected) in cases {
        for single in [true, false] {
            let log = Log::new();
            let says = log.clone();
            let builder = Runtime::builder().worker_threads(1).on_exit(on_exit);
            let mut runner: Runner =
                if single { builder.build_single().unwrap().into() } else { builder.build().unwrap().into() };
            runner
                .run(async move {
                    let begun = Arc::new(AtomicBool::new(false));
                    let begins = begun.clone();
                    drop(spawn(async move {
                        let went_on = AtomicBool::new(false);
                        let _drops = OnDrop(|| {
                            says.say(if went_on.load(Ordering::SeqCst) { "went on" } else { "dropped" });
                        });
                        begins.store(true, Ordering::SeqCst);
                        sleep(nap).await;
                        went_on.store(true, Ordering::SeqCst);
                    }));
                    while !begun.load(Ordering::SeqCst) {
                        yield_now().await;
                    }
                })
                .unwrap();
            drop(runner);
            assert_eq!(log.lines(), [expected], "single: {single}");
        }
    }
}

#[test]
fn a_runner_survives_a_main_future_that_panics() {
    for single in [true, false] {
        let mut runner = if single { Runner::single() } else { Runner::new() }.unwrap();
        let panics =
            std::panic::AssertUnwindSafe(|| runner.run(async { panic!("E (this test wants that)") }));
        assert!(std::panic::catch_unwind(panics).is_err());
        assert_eq!(runner.run(async { 42 }).unwrap(), 42);
    }
}

#[test]
fn a_runner_inside_a_run_is_refused_and_the_outer_program_goes_on() {
    let Some(output) = in_child(&[], || {
        let value = unstuck::run(async {
            let mut runner = Runner::single().unwrap();
            let inside = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| runner.run(async {})));
            assert!(inside.is_err());
            drop(runner);
            sleep(SECOND / 1000).await;
            42
        });
        assert_eq!(value, 42);
    }) else {
        return;
    };
    let text = text(&output);
    assert!(output.status.success() && text.contains(".await the future instead"), "{text}");
}
