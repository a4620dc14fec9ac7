//! Done-callbacks, on tasks and on `Deferred`.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use unstuck::contextvars::ContextVar;
use unstuck::{Deferred, EventLoop, Task, sleep, spawn, yield_now};

use super::Log;
use crate::support::{OnDrop, counts, eventually};

const SECOND: Duration = Duration::from_secs(1);

both! {
    async fn they_run_in_order_by_the_loop_and_not_inside_set() {
        let (log, deferred) = (Log::new(), Deferred::new());
        for name in ["first", "second", "third"] {
            let log = log.clone();
            deferred.add_done_callback(move |value| log.say(format!("{name}: {}", value.result().unwrap())));
        }
        let inside = log.clone();
        spawn({
            let deferred = deferred.clone();
            async move {
                deferred.set_result(42).unwrap();
                inside.say("set has returned");
            }
        })
        .await
        .unwrap();
        eventually("all have been called", || log.lines().len() == 4).await;
        let mut lines = log.lines();
        lines.retain(|line| line != "set has returned");
        assert_eq!(lines, ["first: 42", "second: 42", "third: 42"]);
    }
}

#[unstuck::test(flavor = "single", paused)]
async fn on_one_thread_set_returns_before_the_first_of_them_runs() {
    let (log, deferred) = (Log::new(), Deferred::new());
    let called = log.clone();
    deferred.add_done_callback(move |_| called.say("called"));
    deferred.set_result(()).unwrap();
    log.say("set has returned");
    yield_now().await;
    assert_eq!(log.lines(), ["set has returned", "called"]);
}

#[unstuck::test(flavor = "single", paused)]
async fn on_one_thread_they_run_before_whoever_awaits_goes_on() {
    let (log, deferred) = (Log::new(), Deferred::new());
    let task = spawn(sleep(SECOND));
    let (of_task, of_deferred) = (log.clone(), log.clone());
    task.add_done_callback(move |_| of_task.say("the task's callback"));
    deferred.add_done_callback(move |_| of_deferred.say("the deferred's callback"));
    task.await.unwrap();
    log.say("the task was awaited");
    let sets = deferred.clone();
    spawn(async move { sets.set_result(()).unwrap() }).detach();
    deferred.await.unwrap();
    log.say("the deferred was awaited");
    assert_eq!(
        log.lines(),
        [
            "the task's callback",
            "the task was awaited",
            "the deferred's callback",
            "the deferred was awaited"
        ]
    );
}

both! {
    async fn those_of_a_task_run_in_order_however_it_ends() {
        let ends: [(&str, Task<()>); 3] = [
            ("done", spawn(async { sleep(SECOND).await })),
            ("cancelled", spawn(sleep(3600 * SECOND))),
            ("failed", spawn(async {
                sleep(SECOND).await;
                panic!("it fails (this test wants that)")
            })),
        ];
        // All of them before the end: what is added later has no order on several workers.
        let logs = ends.each_ref().map(|(_, task)| {
            let log = Log::new();
            for turn in 1..=3 {
                let (log, id) = (log.clone(), task.id());
                task.add_done_callback(move |task| {
                    assert!(task.is_done() && task.id() == id);
                    log.say(format!("{turn} {}", task.is_cancelled()));
                });
            }
            log
        });
        ends[1].1.cancel();
        for ((how, task), log) in ends.into_iter().zip(logs) {
            let cancelled = how == "cancelled";
            drop(task.await);
            eventually("they have been called", || log.lines().len() == 3).await;
            assert_eq!(log.lines(), [1, 2, 3].map(|turn| format!("{turn} {cancelled}")), "{how}");
        }
    }
}

both! {
    async fn one_that_is_added_after_the_end_is_called_all_the_same() {
        let log = Log::new();
        let (deferred, task) = (Deferred::new(), spawn(async {}));
        deferred.set_result(1).unwrap();
        eventually("it has ended", || task.is_done()).await;
        let (late, later) = (log.clone(), log.clone());
        deferred.add_done_callback(move |_| late.say("deferred"));
        task.add_done_callback(move |_| later.say("task"));
        eventually("both were called", || log.lines().len() == 2).await;
    }
}

both! {
    async fn removing_gives_the_count_and_what_was_removed_is_not_called() {
        let (log, deferred, task) = (Log::new(), Deferred::new(), spawn(sleep(SECOND)));
        let say = |text: &'static str| {
            let log = log.clone();
            move || log.say(text)
        };
        let (one, two) = (say("one"), say("two"));
        let removed = deferred.add_done_callback(move |_| one());
        deferred.add_done_callback(move |_| two());
        assert_eq!((deferred.remove_done_callback(removed), deferred.remove_done_callback(removed)), (1, 0));
        let (three, four) = (say("three"), say("four"));
        let removed = task.add_done_callback(move |_| three());
        let called = task.add_done_callback(move |_| four());
        assert_eq!((task.remove_done_callback(removed), task.remove_done_callback(removed)), (1, 0));
        deferred.set_result(()).unwrap();
        let watch = task.watch();
        task.await.unwrap();
        eventually("the others were called", || log.lines().len() == 2).await;
        let mut lines = log.lines();
        lines.sort();
        assert_eq!(lines, ["four", "two"]);
        assert_eq!(watch.remove_done_callback(called), 0, "it was called");
    }
}

both! {
    async fn one_that_panics_does_not_stop_the_others_nor_the_loop() {
        let (log, deferred) = (Log::new(), Deferred::new());
        let hears = log.clone();
        unstuck::Handle::current().set_exception_handler(move |failure| hears.say(failure.message().unwrap()));
        deferred.add_done_callback(|_| panic!("it goes off"));
        let says = log.clone();
        deferred.add_done_callback(move |_| says.say("the next"));
        deferred.set_result(()).unwrap();
        eventually("both were called", || log.lines() == ["it goes off", "the next"]).await;
        spawn(async {}).await.unwrap();
    }
}

static WHOSE: ContextVar<u32> = ContextVar::new("whose");

both! {
    async fn one_sees_the_context_variables_of_the_code_that_added_it() {
        let (log, deferred) = (Log::new(), Deferred::new());
        for number in [1, 2] {
            let (log, deferred) = (log.clone(), deferred.clone());
            let adds = async move {
                let _ = WHOSE.set(number);
                deferred.add_done_callback(move |_| log.say(format!("{:?}", WHOSE.get())));
            };
            spawn(adds).await.unwrap();
        }
        let _ = WHOSE.set(3);
        deferred.set_result(()).unwrap();
        eventually("both were called", || log.lines().len() == 2).await;
        assert_eq!(log.lines(), ["Some(1)", "Some(2)"]);
    }
}

both! {
    async fn callbacks_of_a_cancelled_deferred_are_called_too() {
        let (log, deferred) = (Log::new(), Deferred::<u32>::new());
        let says = log.clone();
        deferred.add_done_callback(move |deferred| says.say(format!("{}", deferred.is_cancelled())));
        deferred.cancel();
        eventually("it was called", || log.lines() == ["true"]).await;
    }
}

#[unstuck::test(worker_threads = 4)]
async fn each_is_called_once_whether_it_is_added_before_during_or_after_the_end() {
    for _ in 0..500 {
        let called = Arc::new(AtomicUsize::new(0));
        let ends = spawn(yield_now());
        let watch = ends.watch();
        let adders: Vec<_> = (0..3)
            .map(|_| {
                let (called, watch) = (called.clone(), watch.clone());
                spawn(async move {
                    for _ in 0..3 {
                        let called = called.clone();
                        watch.add_done_callback(move |_| _ = called.fetch_add(1, Ordering::SeqCst));
                    }
                })
            })
            .collect();
        unstuck::gather(adders).await;
        ends.await.unwrap();
        eventually("all were called", || called.load(Ordering::SeqCst) == 9).await;
    }
}

#[test]
fn each_is_called_by_the_runtime_on_which_it_was_added_and_dropped_if_that_has_ended() {
    let (log, dropped) = (Log::new(), Arc::new(AtomicUsize::new(0)));
    let (here, gone) = (EventLoop::new().unwrap(), EventLoop::new().unwrap());
    let deferred = Deferred::new();
    let (says, counted) = (log.clone(), OnDrop(counts(&dropped)));
    {
        let _entered = here.enter();
        deferred.add_done_callback(move |_| says.say(format!("{:?}", std::thread::current().id())));
    }
    {
        let _entered = gone.enter();
        deferred.add_done_callback(move |_| {
            let _counted = &counted;
            panic!("its runtime has ended")
        });
    }
    gone.close();
    let sets = deferred.clone();
    std::thread::spawn(move || sets.set_result(()).unwrap()).join().unwrap();
    assert_eq!(dropped.load(Ordering::SeqCst), 1);
    here.run_until_complete(yield_now());
    assert_eq!(log.lines(), [format!("{:?}", std::thread::current().id())]);
}

#[test]
fn added_outside_of_a_runtime_it_is_refused_with_a_panic_that_says_what_to_do() {
    let refused = std::panic::catch_unwind(|| Deferred::<()>::new().add_done_callback(|_| ()));
    let text = *refused.unwrap_err().downcast::<String>().unwrap();
    assert!(text.contains("call add_done_callback() inside unstuck::run(..)"), "{text}");
}
