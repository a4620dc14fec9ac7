//! What the guard says of polls that do not come back.

use super::*;

#[test]
fn a_report_names_the_task_its_place_and_its_worker_while_it_is_stuck() {
    let mut told = None;
    let guarded = guarded(1, |guard| told = Some(reports(guard)));
    let told = told.unwrap();
    let (release, released) = mpsc::channel::<()>();
    let here = line!() + 1;
    let task = guarded.scheduler.handle().spawn_named(Some("reader".into()), async move {
        let _ = released.recv();
    });
    let report = report_of(Class::Blocked, &told);
    assert_eq!(report.task.unwrap().to_string(), task.id().to_string());
    assert_eq!(report.name.as_deref(), Some("reader"));
    let place = report.place.unwrap();
    assert_eq!((place.file(), place.line()), (file!(), here));
    assert_eq!(report.worker, "guarded-0");
    assert!(report.lasted >= Duration::from_millis(10), "{report:?}");
    if let Some(call) = &report.call {
        assert_eq!(call.name(), "futex");
    }
    assert!(!task.is_done());
    drop(release);
    guarded.scheduler.block_on(task).unwrap();
}

#[test]
fn a_report_tells_what_waited_behind_the_poll_and_who_took_it() {
    let mut told = None;
    let guarded = guarded(1, |guard| told = Some(reports(guard)));
    let told = told.unwrap();
    let stuck = guarded.scheduler.handle().spawn(async move {
        // One report is enough, unless the monitor was itself very late and begins again.
        loop {
            drop(spawn(async {}));
            let report = must_come(&told);
            if report.behind.tasks > 0 {
                return report;
            }
        }
    });
    let report = guarded.scheduler.block_on(stuck).unwrap();
    let moved = report.behind.tasks;
    assert_eq!(report.action, Action::Rescued { moved, by: Helper::RescueWorker });
}

#[test]
fn a_stall_is_reported_again_and_again_although_everybody_else_has_gone_to_sleep() {
    let mut told = None;
    let guarded = guarded(1, |guard| told = Some(reports(guard)));
    let told = told.unwrap();
    let release = guarded.block_a_worker();
    // Brings a rescue worker, which has nothing to do afterwards.
    assert_eq!(guarded.scheduler.block_on(guarded.scheduler.handle().spawn(async { 1 })).unwrap(), 1);
    // Four reports or more: when the monitor is itself very late, it begins again.
    while must_come(&told).lasted < Duration::from_millis(600) {}
    drop(release);
}

#[test]
fn a_guard_that_only_reports_rescues_nothing() {
    let mut told = None;
    let guarded = guarded(1, |guard| {
        guard.policy = StallPolicy::Report;
        told = Some(reports(guard));
    });
    let told = told.unwrap();
    let release = guarded.block_a_worker();
    let waiting = guarded.scheduler.handle().spawn(async { 42 });
    // It had every opportunity: the same stall is reported twice.
    for _ in 0..2 {
        assert_eq!(must_come(&told).action, Action::OnlyReported(Reason::TurnedOff));
    }
    assert!(!waiting.is_done());
    let statistics = guarded.scheduler.statistics();
    assert_eq!((statistics.stalls, statistics.rescues, statistics.rescued_tasks), (1, 0, 0));
    drop(release);
    assert_eq!(guarded.scheduler.block_on(waiting).unwrap(), 42);
}

#[test]
fn a_sink_that_panics_ends_neither_the_reports_nor_the_rescues() {
    let (tell, told) = mpsc::channel();
    let tell = Mutex::new(tell);
    let guarded = guarded(1, |guard| {
        guard.on_stall = Some(Arc::new(move |_| {
            let _ = tell.lock().map(|tell| tell.send(()));
            std::panic::resume_unwind(Box::new("the sink is broken"));
        }));
    });
    let release = guarded.block_a_worker();
    must_come(&told);
    must_come(&told);
    let fresh = guarded.scheduler.handle().spawn(async { 42 });
    assert_eq!(guarded.scheduler.block_on(fresh).unwrap(), 42);
    drop(release);
    assert!(guarded.scheduler.shutdown(None));
}

#[test]
fn a_sink_that_never_returns_holds_up_no_rescue_and_no_shutdown() {
    let (entered, has_entered) = mpsc::channel();
    let (leave, may_leave) = mpsc::channel::<()>();
    let pipes = Mutex::new((entered, may_leave));
    let guarded = guarded(1, |guard| {
        guard.on_stall = Some(Arc::new(move |_| {
            let pipes = pipes.lock().unwrap();
            let _ = pipes.0.send(());
            let _ = pipes.1.recv();
        }));
    });
    let release = guarded.block_a_worker();
    must_come(&has_entered);
    let fresh = guarded.scheduler.handle().spawn(async { 42 });
    assert_eq!(guarded.scheduler.block_on(fresh).unwrap(), 42);
    drop(release);
    assert!(guarded.scheduler.shutdown(None));
    drop(leave);
}
