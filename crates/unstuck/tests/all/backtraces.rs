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
use std::time::{Duration, Instant};

use unstuck::{Builder, Runtime, StallReport};

use crate::support::{Gate, PATIENCE};

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

/// The text of the report of a poll that is stuck where functions with these names are; `stall` gives what gets stuck, and what
/// ends that. On a busy machine a thread may be asked before it has come there: then it is done again.
fn shown<S, E>(names: &[&str], stall: impl Fn() -> (S, E)) -> String
where
    S: FnOnce() + Send + 'static,
    E: FnOnce(),
{
    let begun = Instant::now();
    loop {
        let (builder, told) = told(Runtime::builder().worker_threads(2));
        let runtime = builder.build().unwrap();
        let (stuck, end) = stall();
        let task = runtime.spawn(async move { stuck() });
        let report = first_with_backtrace(&told).to_string();
        end();
        runtime.block_on(task).unwrap();
        if is_shown(&report, names, begun) {
            return report;
        }
    }
}

/// Is each of them in the report?
#[track_caller]
fn is_shown(report: &str, names: &[&str], begun: Instant) -> bool {
    let functions = functions(report);
    let all = names.iter().all(|name| functions.iter().any(|function| function.contains(name)));
    assert!(all || begun.elapsed() < PATIENCE, "{names:?} are not in\n{report}");
    all
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
fn a_later_report_of_the_same_poll_says_how_old_its_backtrace_is() {
    let (builder, told) = told(Runtime::builder().worker_threads(2));
    let runtime = builder.build().unwrap();
    let gate = Gate::new();
    let held = gate.clone();
    let task = runtime.spawn(async move { held.pass() });
    let first = first_with_backtrace(&told);
    let second = first_with_backtrace(&told).to_string();
    gate.open();
    runtime.block_on(task).unwrap();
    assert!(first.to_string().contains("\n  backtrace\n"), "{first}");
    let taken = format!("\n  backtrace  (taken after {:.1?})\n", first.lasted);
    assert!(second.contains(&taken), "{taken}{second}");
}

#[test]
fn a_task_that_sleeps_in_its_poll_is_shown_asleep_in_its_own_function() {
    let report = shown(&["naps_in_a_poll", "sleep"], || {
        let done = Arc::new(AtomicBool::new(false));
        let told = done.clone();
        (move || naps_in_a_poll(&told), move || done.store(true, Ordering::Relaxed))
    });
    names(&report, "naps_in_a_poll");
}

#[test]
fn a_task_that_reads_from_a_pipe_is_shown_reading_in_its_own_function() {
    let report = shown(&["reads_in_a_poll", "::read"], || {
        // It says nothing until its input ends.
        let mut echo = Command::new("cat")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("cat is everywhere");
        let (input, mut output) = (echo.stdin.take(), echo.stdout.take().unwrap());
        let end = move || {
            drop(input);
            echo.wait().unwrap();
        };
        (move || reads_in_a_poll(&mut output), end)
    });
    names(&report, "reads_in_a_poll");
}

#[test]
fn a_task_that_computes_in_a_hot_loop_is_shown_in_its_own_function() {
    let report = shown(&["computes_in_a_poll"], || {
        let done = Arc::new(AtomicBool::new(false));
        let told = done.clone();
        let stuck = move || {
            black_box(computes_in_a_poll(&told));
        };
        (stuck, move || done.store(true, Ordering::Relaxed))
    });
    names(&report, "computes_in_a_poll");
}

#[test]
fn a_slow_step_of_a_single_threaded_loop_is_shown_with_its_function() {
    let (builder, told) = told(Runtime::builder().slow_step(Duration::from_millis(5)));
    let event_loop = builder.build_single().unwrap();
    let begun = Instant::now();
    let report = loop {
        let report = event_loop.run_until_complete(async { waits_for_the_report(&told) }).to_string();
        if is_shown(&report, &["waits_for_the_report"], begun) {
            break report;
        }
    };
    names(&report, "waits_for_the_report");
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
    let begun = Instant::now();
    while !told_late().iter().any(|report| report.backtrace.is_taken()) {
        // On a busy machine a thread may answer the monitor too late.
        assert!(begun.elapsed() < PATIENCE, "no stall has a backtrace whose report was told late");
    }
}

/// The reports of stalls that were over when they were told.
fn told_late() -> Vec<StallReport> {
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
    let nap =
        || runtime.block_on(runtime.spawn(async { std::thread::sleep(Duration::from_millis(50)) })).unwrap();
    while gate.arrived() == 0 {
        nap(); // until one is noticed
    }
    (0..10).for_each(|_| nap());
    gate.open();
    runtime.shutdown(); // what has been noticed is told by now
    told.try_iter().skip(1).collect()
}
