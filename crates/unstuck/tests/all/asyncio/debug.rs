//! Debug mode's slow steps: asyncio's `slow_callback_duration`.

use std::sync::{Mutex, mpsc};
use std::time::Duration;

use unstuck::{Builder, EventLoop, Runtime, StallPolicy, StallReport, task};
use unstuck_core::guard::{Action, Reason};

use crate::support::{PATIENCE, in_child, own_number, text, until, until_threads_are_gone};

/// Long for a step, and no race: reports come after 100 ms, 400 and 1600.
const LONG: Duration = Duration::from_secs(3);

#[test]
fn a_slow_step_is_said_on_stderr_with_its_task_and_its_place() {
    let Some(output) = in_child(&["env", "UNSTUCK_DEBUG=1"], || {
        unstuck::run_single(async {
            let slow = task::Builder::new().name("slow").spawn(async { std::thread::sleep(LONG) }); // line A
            slow.await.unwrap();
        });
    }) else {
        return;
    };
    let text = text(&output);
    assert!(output.status.success(), "{text}");
    let line = include_str!("debug.rs").lines().position(|line| line.ends_with("// line A")).unwrap() + 1;
    for part in [
        "'slow' (from ",
        &format!("debug.rs:{line}) has not come back from a poll for "),
        "the tasks of a single-threaded loop cannot move to another thread",
        "await unstuck::sleep(..) instead of std::thread::sleep(..)",
    ] {
        assert!(text.contains(part), "{part:?} is not in\n{text}");
    }
}

#[test]
fn a_slow_step_of_the_main_future_is_a_future_that_is_no_task() {
    let Some(output) = in_child(&["env", "UNSTUCK_DEBUG=1"], || {
        unstuck::run_single(async { std::thread::sleep(LONG) });
    }) else {
        return;
    };
    assert!(text(&output).contains("a future that is no task (from "), "{}", text(&output));
}

/// Is it the report that is waited for?
type IsIt = fn(&StallReport) -> bool;

/// A loop on which a step is slow after 5 ms, and what waits until a certain one has been reported.
fn reporting() -> (EventLoop, impl FnOnce(IsIt) -> StallReport + Send) {
    let (tell, told) = mpsc::channel();
    let tell = Mutex::new(tell);
    let event_loop = Runtime::builder()
        .slow_step(Duration::from_millis(5))
        .on_stall(move |report: &StallReport| drop(tell.lock().unwrap().send(report.clone())))
        .build_single()
        .unwrap();
    (event_loop, move |is_it: IsIt| {
        loop {
            // On a busy machine another step may be slow before.
            let report = told.recv_timeout(PATIENCE).unwrap();
            if is_it(&report) {
                return report;
            }
        }
    })
}

#[test]
fn a_slow_plain_function_is_told_like_a_slow_task() {
    let (event_loop, wait) = reporting();
    let (sender, receiver) = mpsc::channel();
    // The function ends when it has been reported.
    let is_it = |report: &StallReport| report.name.as_deref() == Some("call_soon");
    event_loop.handle().call_soon(move || sender.send(wait(is_it)).unwrap());
    event_loop.run_until_complete(unstuck::yield_now());
    let report = receiver.try_recv().unwrap();
    assert!(report.place.unwrap().file().ends_with("debug.rs") && report.lasted >= Duration::from_millis(5));
}

#[test]
fn how_long_and_where_can_be_set() {
    let (event_loop, wait) = reporting();
    // The step ends when it has been reported.
    let step = event_loop.spawn_local(async { wait(|report| report.task.is_some()) });
    let report = event_loop.run_until_complete(step).unwrap();
    assert!(report.lasted >= Duration::from_millis(5));
    assert_eq!(report.action, Action::OnlyReported(Reason::SingleThreaded));
    assert!(event_loop.statistics().stalls > 0);
}

#[test]
fn one_task_can_have_a_time_of_its_own() {
    let (tell, told) = mpsc::channel();
    let (tell, told) = (Mutex::new(tell), Mutex::new(told));
    let event_loop = Runtime::builder()
        .slow_step(Duration::from_millis(5))
        .on_stall(move |report: &StallReport| drop(tell.lock().unwrap().send(report.clone())))
        .build_single()
        .unwrap();
    event_loop.run_until_complete(async {
        let patient = task::Builder::new().name("patient").slow_step(Duration::MAX);
        patient.spawn_local(async { std::thread::sleep(Duration::from_millis(50)) }).await.unwrap();
        // The step ends when it has been reported.
        let hasty = task::Builder::new().name("hasty").slow_step(Duration::from_millis(2));
        let wait = async move {
            loop {
                let report = told.lock().unwrap().recv_timeout(PATIENCE).unwrap();
                assert_ne!(report.name.as_deref(), Some("patient"));
                if report.name.is_some() {
                    break report; // on a busy machine, this future may be slow before
                }
            }
        };
        let report = hasty.spawn_local(wait).await.unwrap();
        assert_eq!(report.name.as_deref(), Some("hasty"));
        assert!(report.lasted >= Duration::from_millis(2));
        let before = event_loop.statistics().stalls;
        // This future is no task, and goes by the loop's rule.
        until("it is noticed", || event_loop.statistics().stalls > before);
    });
}

/// Does a loop that is set up like that have a thread that watches it, as long as it lives?
fn is_watched(set_up: impl FnOnce(Builder) -> Builder) -> bool {
    until_threads_are_gone();
    let before = own_number("Threads:");
    let event_loop = set_up(Runtime::builder()).build_single().unwrap();
    event_loop.run_until_complete(async {});
    let more = own_number("Threads:") - before;
    event_loop.close();
    until_threads_are_gone();
    more == 1
}

#[test]
fn a_loop_has_no_second_thread_unless_it_is_asked_for() {
    if let Some(output) = in_child(&["env", "UNSTUCK_DEBUG="], || {
        assert!(!is_watched(|builder| builder));
        assert!(!is_watched(|builder| builder.slow_step(LONG)), "nobody wants to know");
        assert!(!is_watched(|builder| builder.stall_guard(StallPolicy::Off)));
        assert!(is_watched(|builder| builder.stall_guard(StallPolicy::Report)));
        assert!(is_watched(|builder| builder.stall_guard(StallPolicy::Rescue)));
        assert!(is_watched(|builder| builder.on_stall(|_| ())));
        assert!(is_watched(|builder| builder.debug(true)));
    }) {
        assert!(output.status.success(), "{}", text(&output));
    }
}

#[test]
fn the_argument_beats_the_environment_and_a_paused_clock_beats_both() {
    if let Some(output) = in_child(&["env", "UNSTUCK_DEBUG=1"], || {
        assert!(is_watched(|builder| builder));
        assert!(!is_watched(|builder| builder.start_paused(true)));
        assert!(!is_watched(|builder| builder.stall_guard(StallPolicy::Off)));
        assert!(!is_watched(|builder| builder.debug(false)));
    }) {
        assert!(output.status.success(), "{}", text(&output));
    }
}

#[unstuck::coroutine]
async fn forgotten_where_debug_mode_is_on() {}

#[unstuck::coroutine]
async fn forgotten_where_it_is_off() {}

#[test]
fn of_two_runtimes_side_by_side_only_the_one_in_debug_mode_reports() {
    let Some(output) = in_child(&["env", "UNSTUCK_DEBUG="], || {
        // Built first, so that what is built later would change it.
        let off = Runtime::builder().debug(false).worker_threads(1).build().unwrap();
        let on = Runtime::builder().debug(true).worker_threads(1).build().unwrap();
        let untold = Runtime::builder().worker_threads(1).build().unwrap();
        for (runtime, name) in [(&off, "quiet"), (&on, "loud"), (&untold, "untold")] {
            let forget = async move {
                if name == "loud" {
                    drop(forgotten_where_debug_mode_is_on());
                } else {
                    drop(forgotten_where_it_is_off());
                }
                std::thread::sleep(LONG); // reported after 10 ms
            };
            let entered = runtime.enter();
            let task = task::Builder::new().name(name).spawn(forget);
            drop(entered);
            runtime.block_on(task).unwrap();
        }
        for (debug, name) in [(false, "quiet step"), (true, "loud step")] {
            let event_loop = Runtime::builder().debug(debug).build_single().unwrap();
            event_loop.run_until_complete(async {
                let slow = task::Builder::new().name(name).spawn(async { std::thread::sleep(LONG) });
                slow.await.unwrap();
            });
            event_loop.close();
        }
    }) else {
        return;
    };
    let text = text(&output);
    assert!(output.status.success(), "{text}");
    for said in
        ["'loud' (from ", "'loud step' (from ", "'forgotten_where_debug_mode_is_on' was never awaited"]
    {
        assert!(text.contains(said), "{said:?} is not in\n{text}");
    }
    for unsaid in ["'quiet", "'untold'", "forgotten_where_it_is_off"] {
        assert!(!text.contains(unsaid), "{unsaid:?} is in\n{text}");
    }
}
