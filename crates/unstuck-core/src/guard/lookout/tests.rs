//! Steps of a loop that do not come back: each ends when it has been reported.

use std::sync::Mutex;
use std::sync::mpsc::{self, Receiver};
use std::time::Instant;

use super::*;
use crate::LocalLoop;
use crate::driver::ThreadDriver;
use crate::guard::{Action, Sink};

/// What has not come after this long never will.
const PATIENCE: Duration = Duration::from_secs(180);

const SLOW: Duration = Duration::from_millis(5);

/// What is slow, and whom to tell.
fn config(threshold: Duration, on_stall: Option<Sink>) -> GuardConfig {
    GuardConfig { threshold, on_stall, ..GuardConfig::default() }
}

/// A sink that is a channel.
fn sink() -> (Sink, Receiver<StallReport>) {
    let (tell, told) = mpsc::channel();
    let tell = Mutex::new(tell);
    (Arc::new(move |report| drop(tell.lock().unwrap().send(report.clone()))), told)
}

fn watched_loop() -> (LocalLoop, Receiver<StallReport>) {
    let mut local = LocalLoop::new(Box::new(ThreadDriver::new()));
    let (sink, told) = sink();
    local.watch("watched", &config(SLOW, Some(sink))).unwrap();
    (local, told)
}

#[test]
fn a_step_that_blocks_the_loop_is_reported_while_it_lasts_with_its_task_and_place() {
    let (local, told) = watched_loop();
    let line = line!() + 1;
    let task = local.spawn_local(async move {
        loop {
            let report = told.recv_timeout(PATIENCE).unwrap();
            // On a busy machine it may not have got as far when it is first looked at.
            if report.class == Class::Blocked || cfg!(not(target_os = "linux")) {
                break report;
            }
        }
    });
    task.set_name("reader");
    local.spawn_local(async {}).detach();
    let id = task.id();
    let report = local.block_on(task).unwrap();
    assert_eq!(report.task.map(|id| id.to_string()), Some(id.to_string()));
    assert_eq!(report.name.as_deref(), Some("reader"));
    let place = report.place.unwrap();
    assert_eq!((place.file(), place.line()), (file!(), line));
    assert_eq!(Some(report.worker.as_str()), std::thread::current().name());
    assert_eq!(report.action, Action::OnlyReported(Reason::SingleThreaded));
    assert_eq!(report.behind, Behind { tasks: 2, timers_waited: true }, "the other task, and main");
    assert!(report.lasted >= SLOW);
    assert!(local.statistics().stalls > 0);
}

#[test]
fn a_step_of_the_main_future_is_reported_as_no_task() {
    let (local, told) = watched_loop();
    let line = line!() + 1;
    let report = local.block_on(async { told.recv_timeout(PATIENCE).unwrap() });
    assert_eq!((report.task, report.name), (None, None));
    assert_eq!(report.place.unwrap().line(), line);
}

#[test]
fn a_step_that_panics_is_over() {
    let lookout = Lookout::new("watched", &config(SLOW, None)).unwrap();
    let step = || lookout.around(1, Location::caller(), || panic!("as it should (this test wants that)"));
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(step)).unwrap_err();
    assert_eq!(lookout.seen.beat.look(), None);
}

#[test]
fn the_monitor_sleeps_while_there_is_no_step() {
    let lookout = Lookout::new("watched", &config(SLOW, None)).unwrap();
    lookout.around(1, Location::caller(), || ());
    let begun = Instant::now();
    while !lookout.seen.guard.asleep.load(Ordering::Relaxed) {
        assert!(begun.elapsed() < PATIENCE);
        std::thread::yield_now();
    }
}

#[test]
fn the_monitor_is_over_when_the_loop_is_dropped() {
    let mut local = LocalLoop::new(Box::new(ThreadDriver::new()));
    let (sink, told) = sink();
    // Would tick for the first time in an hour.
    local.watch("watched", &config(Duration::from_secs(36_000), Some(sink))).unwrap();
    local.block_on(async {});
    drop(local);
    assert!(told.recv().is_err(), "who could still report?");
}

#[test]
fn a_future_can_be_watched_on_any_thread() {
    let (sink, told) = sink();
    let lookout = Lookout::new("watched", &config(SLOW, Some(sink))).unwrap();
    let place = Location::caller();
    let future = async { told.recv_timeout(PATIENCE).unwrap() };
    let report = crate::block_on::wait("wait", lookout.watch(place, future));
    assert_eq!((report.task, report.place), (None, Some(place)));
    assert_eq!(report.action, Action::OnlyReported(Reason::NothingWaited));
    assert!(lookout.stalls() > 0);
}
