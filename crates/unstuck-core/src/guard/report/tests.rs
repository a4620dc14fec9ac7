//! What a report says, when it is due, and that no sink can hurt its reporter.

use std::io;
use std::panic::resume_unwind;
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;
use std::time::Instant;

use parking_lot::Mutex;

use super::reporter::{ROOM, Sent, Sink};
use super::schedule::{Admit, Budget};
use super::*;

const fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

fn report() -> StallReport {
    StallReport {
        task: Some(TaskId::new(7)),
        name: Some("reader".into()),
        place: Some(Location::caller()),
        worker: "app-1".into(),
        class: Class::Blocked,
        call: Some(Call::new("read", Some(5), Some("pipe:[123]"))),
        lasted: Duration::from_micros(52_300),
        behind: Behind { tasks: 3, timers_waited: true },
        action: Action::Rescued { moved: 3, by: Helper::RescueWorker },
        crowd: Vec::new(),
        backtrace: Backtrace::missing("it is turned off"),
        suppressed: 0,
    }
}

#[test]
fn a_report_names_the_culprit_and_the_way_out() {
    let report = report();
    let line = report.place.expect("set").line();
    let expected = format!(
        "task 7 'reader' (from {}:{line}) has not come back from a poll for 52.3ms
  it is      blocked in read(fd 5, pipe:[123])
  on thread  app-1
  behind it  3 tasks, timers and sockets
  done       a rescue worker took over, 3 tasks moved
  way out    put the blocking call into unstuck::to_thread(..), and await that
  backtrace  none: it is turned off",
        file!()
    );
    assert_eq!(report.to_string(), expected);
}

#[test]
fn a_report_counts_what_was_left_out() {
    let text = StallReport { suppressed: 41, ..report() }.to_string();
    assert!(text.ends_with("\n  suppressed 41 reports before this one"), "{text}");
}

#[test]
fn a_log_line_is_one_line_whatever_the_names_hold() {
    let evil = StallReport {
        name: Some("a\nb\r\u{1b}[2J".into()),
        worker: "x\ny".into(),
        call: Some(Call::new("read", Some(5), Some("/tmp/\n"))),
        suppressed: 2,
        ..report()
    };
    let line = evil.one_line();
    assert!(!line.chars().any(char::is_control), "{line:?}");
    assert!(line.contains("behind it: 3 tasks, timers and sockets"), "{line}");
    assert!(line.ends_with("; suppressed 2"), "{line}");
}

#[test]
fn a_name_of_a_megabyte_is_cut() {
    let long = StallReport { name: Some("ä".repeat(500_000).into()), ..report() };
    assert!(long.to_string().len() < 2000);
    assert!(long.one_line().len() < 2000);
}

#[test]
fn a_future_that_is_no_task_is_called_that() {
    let main = StallReport { task: None, name: None, place: None, ..report() };
    assert!(main.one_line().starts_with("a future that is no task in one poll for 52.3ms on thread app-1"));
}

#[test]
fn each_class_has_its_own_words_and_its_own_way_out() {
    let with = |class, call: Option<&'static str>| StallReport {
        class,
        call: call.map(|name| Call::new(name, None, None)),
        ..report()
    };
    let way_out = |class, call, out: &str| {
        let report = with(class, call);
        assert!(report.way_out().contains(out), "{class:?} {call:?}: {}", report.way_out());
    };
    way_out(Class::Blocked, Some("recvfrom"), "to_thread");
    way_out(Class::Blocked, None, "to_thread");
    way_out(Class::Blocked, Some("clock_nanosleep"), "unstuck::sleep");
    way_out(Class::Blocked, Some("futex"), "lock");
    way_out(Class::Blocked, Some("page fault"), "memory");
    way_out(Class::CpuBound, None, "checkpoint");
    way_out(Class::Descheduled, None, "not in this task");
    way_out(Class::Unknown, None, "to_thread");

    assert!(with(Class::CpuBound, None).one_line().contains(": computing;"));
    assert!(with(Class::Blocked, None).one_line().contains(": blocked;"));
    assert!(
        with(Class::Descheduled, None).one_line().contains("waiting for a CPU: the machine is overloaded")
    );
}

#[test]
fn what_was_done_is_said_in_words() {
    let text = |action: Action| action.to_string();
    assert_eq!(text(Action::Rescued { moved: 0, by: Helper::IdleWorker }), "an idle worker took over");
    assert_eq!(
        text(Action::Rescued { moved: 1, by: Helper::RescueWorker }),
        "a rescue worker took over, 1 task moved"
    );
    assert_eq!(
        text(Action::Saturated { stuck: 8 }),
        "nothing: 8 workers are stuck, and no more may be added (max_rescue_threads)"
    );
    assert_eq!(text(Action::OnlyReported(Reason::NothingWaited)), "nothing: no work waited behind it");
    assert_eq!(Behind { tasks: 1, timers_waited: false }.to_string(), "1 task");
    assert_eq!(Behind { tasks: 0, timers_waited: true }.to_string(), "timers and sockets");
    assert_eq!(Behind::default().to_string(), "nothing");
}

#[test]
fn a_stall_is_reported_at_1_4_16_and_64_times_the_threshold() {
    let mut schedule = Schedule::new(ms(10));
    let reported: Vec<u64> = (0..1000).filter(|&lasted| schedule.is_due(ms(lasted))).collect();
    assert_eq!(reported, [10, 40, 160, 640]);
}

#[test]
fn steps_that_were_slept_through_make_one_report() {
    let mut schedule = Schedule::new(ms(10));
    assert!(schedule.is_due(ms(500)));
    assert!(!schedule.is_due(ms(600)));
    assert!(schedule.is_due(ms(640)));
}

#[test]
fn the_longest_of_stalls_and_a_threshold_of_zero_come_to_an_end() {
    let mut schedule = Schedule::new(Duration::ZERO);
    assert!(schedule.is_due(Duration::ZERO));
    assert!(schedule.is_due(Duration::MAX));
    assert!(!schedule.is_due(Duration::from_secs(1)));
}

#[test]
fn ten_thousand_stalls_a_minute_make_thirty_reports_a_minute_and_every_other_is_counted() {
    let (mut budget, began) = (Budget::default(), Instant::now());
    let (mut made, mut told) = (Vec::new(), 0);
    for stall in 0..30_000 {
        let now = began + ms(stall * 6);
        if let Admit::Yes { suppressed } = budget.admit(now) {
            made.push(now);
            told += suppressed;
        }
    }
    assert_eq!(made.len(), 90);
    assert_eq!(made.len() as u64 + told + budget.suppressed(), 30_000);
    for window in made.windows(31) {
        assert!(window[30] - window[0] >= Duration::from_secs(60), "31 reports within a minute");
    }
}

#[test]
fn a_lost_report_is_told_of_by_the_next_one() {
    let (mut budget, now) = (Budget::default(), Instant::now());
    assert_eq!(budget.admit(now), Admit::Yes { suppressed: 0 });
    budget.lost(4);
    assert_eq!(budget.admit(now), Admit::Yes { suppressed: 5 });
    assert_eq!(budget.suppressed(), 0);
}

#[test]
fn a_storm_after_a_calm_half_minute_makes_no_more_than_thirty_in_any_minute() {
    let (mut budget, began) = (Budget::default(), Instant::now());
    let calm = (0..15).map(|stall| ms(stall * 2000));
    let storm = (0..20_000).map(|stall| ms(30_000 + stall * 6));
    let made: Vec<Duration> =
        calm.chain(storm).filter(|&now| matches!(budget.admit(began + now), Admit::Yes { .. })).collect();
    assert!(made.len() > 60, "{} made", made.len());
    for window in made.windows(31) {
        assert!(window[30] - window[0] >= Duration::from_secs(60), "31 reports within a minute");
    }
}

/// The number of the report's task.
fn number(report: &StallReport) -> u64 {
    report.task.expect("numbered").to_string().parse().expect("a number")
}

/// A sink that passes the tasks' numbers on.
fn numbers() -> (Sink, Receiver<u64>) {
    let (tell, told) = mpsc::channel();
    let tell = Mutex::new(tell);
    let sink: Sink = Arc::new(move |report| {
        tell.lock().send(number(report)).expect("the test listens");
    });
    (sink, told)
}

/// Reports a stall of task `number`.
fn send(reporter: &mut Reporter, number: u64) -> Sent {
    let report = StallReport { task: Some(TaskId::new(number)), ..report() };
    reporter.report(move || report, Instant::now())
}

#[test]
fn reports_come_in_order_on_a_thread_named_after_the_runtime() {
    let (tell, told) = mpsc::channel();
    let tell = Mutex::new(tell);
    let sink: Sink = Arc::new(move |report| {
        let name = thread::current().name().map(str::to_owned);
        tell.lock().send((report.task, name)).expect("the test listens");
    });
    let mut reporter = Reporter::new("app", sink);
    for number in 0..5 {
        assert_eq!(send(&mut reporter, number), Sent::Queued);
    }
    for number in 0..5 {
        assert_eq!(told.recv(), Ok((Some(TaskId::new(number)), Some("app-reports".into()))));
    }
}

#[test]
fn a_storm_is_cut_to_thirty_reports_and_the_next_minute_hears_of_it() {
    let (tell, told) = mpsc::channel();
    let tell = Mutex::new(tell);
    let sink: Sink = Arc::new(move |report| tell.lock().send(report.suppressed).expect("the test listens"));
    let (mut reporter, began) = (Reporter::new("app", sink), Instant::now());
    for _ in 0..30 {
        assert_eq!(reporter.report(report, began), Sent::Queued);
        assert_eq!(told.recv(), Ok(0));
    }
    for _ in 0..41 {
        assert_eq!(reporter.report(report, began), Sent::Suppressed);
    }
    assert_eq!(reporter.suppressed(), 41);
    assert_eq!(reporter.report(report, began + Duration::from_secs(60)), Sent::Queued);
    assert_eq!(told.recv(), Ok(41));
}

#[test]
fn a_sink_that_panics_gets_the_next_report_all_the_same() {
    let (pass_on, told) = numbers();
    let sink: Sink = Arc::new(move |report| {
        pass_on(report);
        // Like a panic, without the hook's message.
        resume_unwind(Box::new("the sink of a test"));
    });
    let mut reporter = Reporter::new("app", sink);
    for number in 0..3 {
        assert_eq!(send(&mut reporter, number), Sent::Queued);
        assert_eq!(told.recv(), Ok(number));
    }
}

#[test]
fn a_draft_that_panics_costs_its_own_report_only() {
    let (sink, told) = numbers();
    let mut reporter = Reporter::new("app", sink);
    let draft = || resume_unwind(Box::new("the draft of a test"));
    assert_eq!(reporter.report(draft, Instant::now()), Sent::Queued);
    assert_eq!(send(&mut reporter, 1), Sent::Queued);
    assert_eq!(told.recv(), Ok(1));
}

/// A sink that is stuck until the sender is dropped; it tells when it gets there.
fn stuck() -> (Sink, Sender<()>, Receiver<u64>) {
    let (release, stuck) = mpsc::channel::<()>();
    let (pass_on, told) = numbers();
    let stuck = Mutex::new(stuck);
    let sink: Sink = Arc::new(move |report| {
        pass_on(report);
        let _ = stuck.lock().recv();
    });
    (sink, release, told)
}

#[test]
fn a_stuck_sink_loses_reports_and_never_holds_the_sender_up() {
    let (sink, release, told) = stuck();
    let mut reporter = Reporter::new("app", sink);
    assert_eq!(send(&mut reporter, 0), Sent::Queued);
    assert_eq!(told.recv(), Ok(0));
    let room = ROOM as u64;
    for number in 1..=room {
        assert_eq!(send(&mut reporter, number), Sent::Queued);
    }
    assert_eq!(send(&mut reporter, room + 1), Sent::Lost);
    assert_eq!(send(&mut reporter, room + 2), Sent::Lost);
    assert_eq!(reporter.suppressed(), 2);
    drop(release);
    for number in 1..=room {
        assert_eq!(told.recv(), Ok(number));
    }
}

#[test]
fn dropping_a_reporter_delivers_what_is_queued() {
    let (sink, told) = numbers();
    let mut reporter = Reporter::new("app", sink);
    for number in 0..5 {
        assert_eq!(send(&mut reporter, number), Sent::Queued);
    }
    reporter.farewell = Duration::from_secs(60);
    drop(reporter);
    assert_eq!(told.try_iter().collect::<Vec<_>>(), [0, 1, 2, 3, 4]);
}

#[test]
fn dropping_a_reporter_does_not_wait_for_a_stuck_sink() {
    let (sink, release, told) = stuck();
    let mut reporter = Reporter::new("app", sink);
    for number in 0..3 {
        assert_eq!(send(&mut reporter, number), Sent::Queued);
    }
    assert_eq!(told.recv(), Ok(0));
    // If this waited, it would wait for ever: the sink is released below.
    drop(reporter);
    drop(release);
    assert_eq!(told.iter().next(), None, "reports come after the end");
}

#[test]
fn a_sink_may_drop_its_own_reporter() {
    let own: Arc<Mutex<Option<Reporter>>> = Arc::default();
    let (tell, told) = mpsc::channel();
    let (kept, tell) = (Arc::clone(&own), Mutex::new(tell));
    let sink: Sink = Arc::new(move |_| {
        drop(kept.lock().take());
        tell.lock().send(()).expect("the test listens");
    });
    // Held for ever by a drop that waits for its own thread.
    let mut reporter = Reporter::new("app", sink);
    reporter.farewell = Duration::MAX;
    *own.lock() = Some(reporter);
    assert_eq!(send(own.lock().as_mut().expect("just set"), 0), Sent::Queued);
    told.recv().expect("the drop returned");
    assert!(own.lock().is_none());
    // The thread has ended and dropped the sink, and with it the sending side.
    assert!(told.recv().is_err());
}

#[test]
fn a_thread_that_cannot_be_made_loses_the_report_and_is_tried_again() {
    let (sink, told) = numbers();
    let mut reporter = Reporter::new("app", sink);
    let refused = |_, _| Err(io::Error::from(io::ErrorKind::WouldBlock));
    assert_eq!(reporter.report_by(report, Instant::now(), refused), Sent::Lost);
    assert_eq!(reporter.suppressed(), 1);
    assert_eq!(send(&mut reporter, 1), Sent::Queued);
    assert_eq!(told.recv(), Ok(1));
}
