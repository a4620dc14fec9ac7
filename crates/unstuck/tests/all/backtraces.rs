//! The backtrace in a report: which function of mine is it?
#![cfg(all(
    feature = "backtrace",
    target_os = "linux",
    any(target_arch = "x86_64", target_arch = "aarch64")
))]

use std::hint::black_box;
use std::io::Read;
use std::process::{ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use unstuck::{Builder, Runtime, StallReport};

use crate::support::Gate;

/// What has not come after this long never will.
const PATIENCE: Duration = Duration::from_secs(60);

fn told(builder: Builder) -> (Builder, Receiver<StallReport>) {
    let (tell, told) = mpsc::channel();
    let tell = Mutex::new(tell);
    (builder.on_stall(move |report| drop(tell.lock().unwrap().send(report.clone()))), told)
}

/// The first report with a backtrace. On a busy machine a thread may answer late, and is asked again.
fn first_with_backtrace(told: &Receiver<StallReport>) -> StallReport {
    loop {
        let report = told.recv_timeout(PATIENCE).expect("a report with a backtrace");
        if report.backtrace.is_taken() {
            return report;
        }
    }
}

#[inline(never)]
fn naps_in_a_poll(done: &AtomicBool) {
    while !done.load(Ordering::Relaxed) {
        std::thread::sleep(Duration::from_millis(500));
    }
}

#[inline(never)]
fn reads_in_a_poll(pipe: &mut ChildStdout) {
    let _ = pipe.read(&mut [0]);
}

#[inline(never)]
fn computes_in_a_poll(done: &AtomicBool) -> u64 {
    let mut sum = 0_u64;
    while !done.load(Ordering::Relaxed) {
        sum = black_box(sum.wrapping_mul(31).wrapping_add(7));
    }
    sum
}

/// The text of the report that `stuck` makes; `end` ends it.
fn shown(stuck: impl FnOnce() + Send + 'static, end: impl FnOnce()) -> String {
    let (builder, told) = told(Runtime::builder().worker_threads(2));
    let runtime = builder.build().unwrap();
    let task = runtime.spawn(async move { stuck() });
    let report = first_with_backtrace(&told);
    end();
    runtime.block_on(task).unwrap();
    report.to_string()
}

/// The functions in a report, the innermost first.
fn functions(report: &str) -> Vec<&str> {
    let backtrace = report.split_once("\n  backtrace\n").expect("a backtrace").1;
    backtrace.lines().filter_map(|line| line.trim_start().split_once(": ")).map(|(_, name)| name).collect()
}

#[track_caller]
fn names(report: &str, function: &str) {
    let functions = functions(report);
    let at = functions.iter().position(|name| name.ends_with(function));
    let at = at.unwrap_or_else(|| panic!("{function} is not in\n{report}"));
    assert!(at < 12, "{function} is hidden in\n{report}");
    for hidden in ["unstuck_core::", "std::rt::", "start_thread", "test::"] {
        assert!(!functions.last().unwrap().starts_with(hidden), "{hidden} ends\n{report}");
    }
}

#[test]
fn a_task_that_sleeps_in_its_poll_is_shown_asleep_in_its_own_function() {
    let done = Arc::new(AtomicBool::new(false));
    let told = done.clone();
    let report = shown(move || naps_in_a_poll(&told), move || done.store(true, Ordering::Relaxed));
    names(&report, "naps_in_a_poll");
    assert!(functions(&report).iter().any(|name| name.contains("sleep")), "{report}");
}

#[test]
fn a_task_that_reads_from_a_pipe_is_shown_reading_in_its_own_function() {
    // It says nothing until its input ends.
    let mut echo =
        Command::new("cat").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("cat is everywhere");
    let (input, mut output) = (echo.stdin.take(), echo.stdout.take().unwrap());
    let report = shown(move || reads_in_a_poll(&mut output), move || drop(input));
    names(&report, "reads_in_a_poll");
    assert!(functions(&report).iter().any(|name| name.contains("read")), "{report}");
    echo.wait().unwrap();
}

#[test]
fn a_task_that_computes_in_a_hot_loop_is_shown_in_its_own_function() {
    let done = Arc::new(AtomicBool::new(false));
    let told = done.clone();
    let report = shown(
        move || {
            black_box(computes_in_a_poll(&told));
        },
        move || done.store(true, Ordering::Relaxed),
    );
    names(&report, "computes_in_a_poll");
}

#[test]
fn a_slow_step_of_a_single_threaded_loop_is_shown_with_its_function() {
    let (builder, told) = told(Runtime::builder().slow_step(Duration::from_millis(5)));
    let event_loop = builder.build_single().unwrap();
    let report = event_loop.run_until_complete(async move { waits_for_the_report(&told) });
    names(&report.to_string(), "waits_for_the_report");
}

#[inline(never)]
fn waits_for_the_report(told: &Receiver<StallReport>) -> StallReport {
    first_with_backtrace(told)
}

#[test]
fn who_switches_it_off_gets_no_signal_and_the_report_says_so() {
    let (builder, told) = told(Runtime::builder().worker_threads(1).stall_backtrace(false));
    let runtime = builder.build().unwrap();
    let (release, released) = mpsc::channel::<()>();
    let task = runtime.spawn(async move { _ = released.recv() });
    let report = told.recv_timeout(PATIENCE).unwrap();
    assert!(!report.backtrace.is_taken());
    assert!(report.to_string().contains("backtrace  none: it is turned off (stall_backtrace)"), "{report}");
    drop(release);
    runtime.block_on(task).unwrap();
}

#[test]
fn a_stall_that_is_over_before_its_report_is_told_has_a_backtrace_all_the_same() {
    let gate = Gate::new(); // holds the thread that tells reports at the first one, as looking up its names may
    let held = gate.clone();
    let (tell, told) = mpsc::channel();
    let tell = Mutex::new(tell);
    let runtime = Runtime::builder()
        .worker_threads(2)
        .on_stall(move |report| {
            drop(tell.lock().unwrap().send(report.clone()));
            held.pass();
        })
        .build()
        .unwrap();
    // On a busy machine a thread may answer the monitor too late: then the next of these tries again.
    for nap in 0..10 {
        runtime.block_on(runtime.spawn(async { std::thread::sleep(Duration::from_millis(50)) })).unwrap();
        if nap == 0 {
            gate.wait_for(1);
        }
    }
    gate.open();
    let _first = told.recv_timeout(PATIENCE).expect("the gate has seen it");
    let later: Vec<_> = std::iter::from_fn(|| told.recv_timeout(Duration::from_secs(1)).ok()).collect();
    assert!(later.iter().any(|report| report.backtrace.is_taken()), "{later:#?}");
}
