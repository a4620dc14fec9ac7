//! What the monitor decides, tick by tick, about a scheduler that is only pretended. No threads, no clock.

use std::cell::{Cell, RefCell};
use std::sync::{Arc, Mutex, mpsc};

use super::*;
use crate::guard::StallPolicy;

const TICK: Duration = Duration::from_millis(2);
const THRESHOLD: Duration = Duration::from_millis(4);

/// A scheduler as the monitor sees it: whatever a test says.
struct Pretended {
    guard: Guard,
    sights: RefCell<Vec<Option<Sight>>>,
    replaced: RefCell<Vec<bool>>,
    /// Tasks behind each seat.
    behind: RefCell<Vec<usize>>,
    has_work: Cell<bool>,
    sleeps: Cell<bool>,
    driver_waits: Cell<bool>,
    answer: Cell<Replacement>,
    sorted: Cell<usize>,
    /// What its kernel tells of every thread: nothing, unless set.
    look: Cell<Option<Look>>,
    /// How long a step of any task may take, if that is the task's own affair.
    slow_step: Cell<Option<Duration>>,
    helpless: Cell<Option<Reason>>,
}

impl Pretended {
    fn new(seats: usize) -> Self {
        Self {
            guard: Guard::new(),
            sights: RefCell::new(vec![None; seats]),
            replaced: RefCell::new(vec![false; seats]),
            behind: RefCell::new(vec![0; seats]),
            has_work: Cell::new(true),
            sleeps: Cell::new(false),
            driver_waits: Cell::new(false),
            answer: Cell::new(Replacement::AtWork),
            sorted: Cell::new(0),
            look: Cell::new(None),
            slow_step: Cell::new(None),
            helpless: Cell::new(None),
        }
    }

    /// A poll goes on at `seat`.
    #[track_caller]
    fn polls(&self, seat: usize, epoch: u64) {
        self.sights.borrow_mut()[seat] = Some(Sight { epoch, task: 7, place: Location::caller() });
    }

    /// Every thread has had a CPU for this long, and waited for one for that.
    fn ran(&self, ran: u64, waited: u64) {
        self.look.set(Some(Look::runnable(Duration::from_millis(ran), Duration::from_millis(waited))));
    }

    fn stalls(&self) -> u64 {
        self.guard.stalls.load(Ordering::Relaxed)
    }

    fn rescues(&self) -> u64 {
        self.guard.rescues.load(Ordering::Relaxed)
    }
}

impl Watched for Pretended {
    fn seats(&self) -> usize {
        self.sights.borrow().len()
    }
    fn workers(&self) -> usize {
        2
    }
    fn sight(&self, seat: usize) -> Option<Sight> {
        self.sights.borrow()[seat]
    }
    fn look(&self, _: usize) -> Option<Look> {
        self.look.get()
    }
    fn slow_step(&self, task: u64) -> Option<Duration> {
        assert_eq!(task, 7);
        self.slow_step.get()
    }
    fn helpless(&self) -> Option<Reason> {
        self.helpless.get()
    }
    fn take_from(&self, seat: usize, _: &dyn Fn(Place) -> bool) -> usize {
        std::mem::take(&mut self.behind.borrow_mut()[seat])
    }
    fn sort(&self, _: &dyn Fn(Place) -> bool) -> usize {
        self.sorted.set(self.sorted.get() + 1);
        0
    }
    fn tend_driver(&self) -> bool {
        self.driver_waits.get()
    }
    fn has_work(&self) -> bool {
        self.has_work.get()
    }
    fn wake_sleeper(&self) -> bool {
        self.sleeps.get()
    }
    fn is_replaced(&self, seat: usize) -> bool {
        self.replaced.borrow()[seat]
    }
    fn replace(&self, seat: usize, _: u64) -> Replacement {
        let answer = self.answer.get();
        if answer == Replacement::AtWork {
            let before = std::mem::replace(&mut self.replaced.borrow_mut()[seat], true);
            assert!(!before, "seat {seat} is replaced twice");
        }
        answer
    }
    fn all_asleep(&self) -> bool {
        self.sleeps.get() && self.sights.borrow().iter().all(Option::is_none)
    }
    fn is_over(&self) -> bool {
        false
    }
    fn describe(&self, _: usize, _: Sight) -> StallReport {
        StallReport::new(Class::Unknown, Duration::ZERO)
    }
    fn crowd(&self) -> LookAtCrowd {
        Box::new(|| vec![("read".into(), 1)])
    }
    fn stack(&self, _: usize, _: u64) -> AskForStack {
        Box::new(|_| Backtrace::missing("it is only pretended"))
    }
    fn guard(&self) -> &Guard {
        &self.guard
    }
}

/// A monitor of `watched`, and its reports.
fn monitor(watched: Pretended, policy: StallPolicy) -> (Monitor<Pretended>, mpsc::Receiver<StallReport>) {
    let (tell, told) = mpsc::channel();
    let tell = Mutex::new(tell);
    let config = GuardConfig {
        policy,
        threshold: THRESHOLD,
        report_after: 2 * THRESHOLD,
        on_stall: Some(Arc::new(move |report| drop(tell.lock().unwrap().send(report.clone())))),
        ..GuardConfig::default()
    };
    (Monitor::new(watched, config, "pretended"), told)
}

fn ticks(monitor: &mut Monitor<Pretended>, count: u32) {
    for _ in 0..count {
        monitor.look_around(TICK, Instant::now());
    }
}

/// What is reported of a poll at seat 0 that goes on and on.
fn action_for(prepare: impl FnOnce(&Pretended)) -> Action {
    let watched = Pretended::new(2);
    watched.polls(0, 1);
    prepare(&watched);
    let (mut monitor, told) = monitor(watched, StallPolicy::Rescue);
    ticks(&mut monitor, 5);
    told.recv().unwrap().action
}

#[test]
fn a_poll_is_stuck_when_the_same_one_was_there_for_the_threshold_and_not_before() {
    let watched = Pretended::new(1);
    watched.polls(0, 1);
    let (mut monitor, _told) = monitor(watched, StallPolicy::Rescue);
    // Seen at 0, 2, 4 and 6 ms: a kernel that says nothing gets half as long again.
    ticks(&mut monitor, 3);
    assert_eq!(monitor.watched.rescues(), 0);
    ticks(&mut monitor, 1);
    assert_eq!(monitor.watched.rescues(), 1);
    assert_eq!(monitor.watched.stalls(), 1);
    ticks(&mut monitor, 100);
    assert_eq!(monitor.watched.rescues(), 1);
    assert_eq!(monitor.watched.stalls(), 1);
}

#[test]
fn a_worker_that_gets_on_is_never_stuck() {
    let (mut monitor, _told) = monitor(Pretended::new(1), StallPolicy::Rescue);
    for poll in 0..100 {
        monitor.watched.polls(0, 2 * poll + 1);
        ticks(&mut monitor, 2);
    }
    assert_eq!(monitor.watched.stalls(), 0);
}

#[test]
fn a_worker_that_was_marked_too_late_and_is_stuck_again_is_not_replaced_twice() {
    let watched = Pretended::new(1);
    watched.polls(0, 1);
    let (mut monitor, _told) = monitor(watched, StallPolicy::Rescue);
    ticks(&mut monitor, 4);
    assert_eq!(monitor.watched.rescues(), 1);
    monitor.watched.polls(0, 3); // it had begun this before it could see that it was replaced
    ticks(&mut monitor, 10);
    assert_eq!(monitor.watched.rescues(), 1); // a second time, `replace` would have panicked
}

#[test]
fn what_a_pause_of_the_process_made_the_monitor_forget_is_not_done_twice() {
    let watched = Pretended::new(1);
    watched.polls(0, 1);
    let (mut monitor, _told) = monitor(watched, StallPolicy::Rescue);
    ticks(&mut monitor, 4);
    monitor.begin_anew(); // as `run` does then
    ticks(&mut monitor, 10);
    assert_eq!(monitor.watched.rescues(), 1);
}

#[test]
fn a_report_says_who_helped() {
    let rescued = |moved, by| Action::Rescued { moved, by };
    assert_eq!(action_for(|w| w.behind.borrow_mut()[0] = 3), rescued(3, Helper::RescueWorker));
    let idle = action_for(|w| {
        w.behind.borrow_mut()[0] = 3;
        w.sleeps.set(true);
    });
    assert_eq!(idle, rescued(3, Helper::IdleWorker));
    let timers = action_for(|w| {
        w.driver_waits.set(true);
        w.has_work.set(false);
    });
    assert_eq!(timers, rescued(0, Helper::Guard));
    let nothing = action_for(|w| w.has_work.set(false));
    assert_eq!(nothing, Action::OnlyReported(Reason::NothingWaited));
}

#[test]
fn a_report_says_why_nobody_could_help() {
    let answers = |answer| action_for(|w| w.answer.set(answer));
    assert_eq!(answers(Replacement::NoThread), Action::OnlyReported(Reason::NoThread));
    assert_eq!(answers(Replacement::NoSeat), Action::Saturated { stuck: 1 });
    let both = action_for(|w| {
        w.polls(1, 1);
        w.answer.set(Replacement::NoSeat);
    });
    assert_eq!(both, Action::Saturated { stuck: 2 });
}

#[test]
fn a_task_with_a_time_of_its_own_is_reported_by_that_and_rescued_as_ever() {
    let watched = Pretended::new(1);
    watched.polls(0, 1);
    watched.slow_step.set(Some(20 * TICK));
    let (mut monitor, told) = monitor(watched, StallPolicy::Rescue);
    ticks(&mut monitor, 20);
    assert_eq!((monitor.watched.rescues(), monitor.watched.stalls()), (1, 1));
    assert!(told.try_recv().is_err(), "19 ticks have seen it");
    ticks(&mut monitor, 1);
    assert_eq!(told.recv().unwrap().lasted, 20 * TICK);
}

#[test]
fn where_nobody_can_help_a_time_of_its_own_says_what_a_stall_is() {
    for (own, ticks_until_then) in [(TICK, 1_u32), (20 * TICK, 20)] {
        let watched = Pretended::new(1);
        watched.polls(0, 1);
        watched.slow_step.set(Some(own));
        watched.helpless.set(Some(Reason::SingleThreaded));
        watched.ran(0, 0);
        let (mut monitor, told) = monitor(watched, StallPolicy::Report);
        ticks(&mut monitor, 1);
        for tick in 1..=2 * ticks_until_then {
            assert!(monitor.watched.stalls() == 0 || tick > ticks_until_then, "{own:?}: too early");
            monitor.watched.ran(2 * u64::from(tick), 0);
            ticks(&mut monitor, 1);
        }
        assert_eq!(monitor.watched.stalls(), 1);
        assert!(told.recv().unwrap().lasted >= own);
    }
}

#[test]
fn permissions_to_wake_for_a_slot_grow_scarce_while_all_are_used_up() {
    let (mut monitor, _told) = monitor(Pretended::new(1), StallPolicy::Rescue);
    for expected in [PERMISSIONS, PERMISSIONS / 2, PERMISSIONS / 4, 1, 1] {
        let used = std::iter::repeat(()).take_while(|()| monitor.watched.guard.use_permission()).count();
        assert_eq!(used, expected as usize);
        ticks(&mut monitor, REFILL);
    }
    for expected in [1, 2, 4, PERMISSIONS, PERMISSIONS] {
        assert_eq!(monitor.watched.guard.eager.load(Ordering::Relaxed), expected);
        ticks(&mut monitor, REFILL);
    }
}

#[test]
fn a_thread_that_cannot_be_made_is_asked_for_again_at_the_next_tick() {
    let watched = Pretended::new(1);
    watched.polls(0, 1);
    watched.answer.set(Replacement::NoThread);
    let (mut monitor, _told) = monitor(watched, StallPolicy::Rescue);
    ticks(&mut monitor, 6);
    assert_eq!(monitor.watched.rescues(), 0);
    monitor.watched.answer.set(Replacement::AtWork);
    ticks(&mut monitor, 1);
    assert_eq!(monitor.watched.rescues(), 1);
}

#[test]
fn a_long_queue_is_sorted_when_there_is_a_new_suspect_and_ever_more_seldom_while_none_is_found() {
    let watched = Pretended::new(8);
    watched.answer.set(Replacement::NoSeat);
    watched.polls(0, 1);
    let (mut monitor, _told) = monitor(watched, StallPolicy::Rescue);
    ticks(&mut monitor, 100);
    assert_eq!(monitor.watched.sorted.get(), 0, "one stall makes no suspect");
    let here = Location::caller();
    for seat in 1..8 {
        monitor.watched.sights.borrow_mut()[seat] = Some(Sight { epoch: 1, task: 7, place: here });
    }
    ticks(&mut monitor, 4);
    assert_eq!(monitor.watched.sorted.get(), 1);
    ticks(&mut monitor, 1 + 2 + 4 + 8 + 16 + 16);
    assert_eq!(monitor.watched.sorted.get(), 7);
}

#[test]
fn a_poll_that_computes_is_noticed_although_every_tick_is_as_late_as_if_the_process_had_been_stopped() {
    let watched = Pretended::new(1);
    watched.polls(0, 1);
    let (mut monitor, told) = monitor(watched, StallPolicy::Rescue);
    for late in 0..4 {
        monitor.watched.ran(150 * late, 0);
        monitor.begin_anew();
        ticks(&mut monitor, 1);
    }
    assert_eq!((monitor.watched.stalls(), monitor.watched.rescues()), (1, 1));
    assert_eq!(told.recv().unwrap().class, Class::CpuBound);
}

#[test]
fn a_poll_is_not_blamed_for_the_time_in_which_the_process_was_stopped() {
    let watched = Pretended::new(1);
    watched.polls(0, 1);
    watched.ran(1, 0);
    let (mut monitor, _told) = monitor(watched, StallPolicy::Rescue);
    for _ in 0..20 {
        ticks(&mut monitor, 2);
        monitor.begin_anew();
    }
    assert_eq!(monitor.watched.stalls(), 0);
}

#[test]
fn who_may_only_wait_for_a_cpu_is_rescued_at_once_and_counted_when_that_is_known() {
    let watched = Pretended::new(1);
    watched.polls(0, 1);
    watched.ran(1, 0); // runnable, and nothing moves: it computes since the last tick, or waits for a CPU
    let (mut monitor, told) = monitor(watched, StallPolicy::Rescue);
    ticks(&mut monitor, 6);
    assert_eq!((monitor.watched.rescues(), monitor.watched.stalls()), (1, 0));
    ticks(&mut monitor, 20);
    assert_eq!(monitor.watched.stalls(), 0, "it waited for a CPU");
    assert!(told.try_recv().is_err());
    monitor.watched.ran(60, 0);
    ticks(&mut monitor, 1);
    assert_eq!(monitor.watched.stalls(), 1);
}

#[test]
fn who_waits_for_a_cpu_most_of_the_time_is_blamed_all_the_same_once_it_has_used_one_for_long() {
    let watched = Pretended::new(1);
    watched.polls(0, 1);
    watched.ran(0, 0);
    let (mut monitor, told) = monitor(watched, StallPolicy::Rescue);
    for tick in 0..100 {
        let ran = tick * 2 / 5; // of five milliseconds it gets one
        monitor.watched.ran(ran, 2 * tick - ran);
        ticks(&mut monitor, 1);
        assert!(ran > 10 || monitor.watched.stalls() == 0, "after {ran} ms of CPU time");
    }
    assert_eq!(monitor.watched.stalls(), 1);
    assert_eq!(told.recv().unwrap().class, Class::CpuBound);
}

#[test]
fn beside_as_many_polls_that_compute_as_there_are_workers_one_more_gets_nobody() {
    let watched = Pretended::new(3);
    (0..3).for_each(|seat| watched.polls(seat, 1));
    let (mut monitor, told) = monitor(watched, StallPolicy::Rescue);
    for tick in 0..10 {
        monitor.watched.ran(2 * tick, 0);
        ticks(&mut monitor, 1);
    }
    assert_eq!(monitor.watched.rescues(), 2, "for two workers");
    let actions: Vec<_> = told.try_iter().map(|report| report.action).collect();
    drop(monitor); // delivers them all
    let actions: Vec<_> = actions.into_iter().chain(told.iter().map(|report| report.action)).collect();
    let overloaded = Action::OnlyReported(Reason::Overloaded);
    assert_eq!(actions.iter().filter(|&&action| action == overloaded).count(), 1, "{actions:?}");
}

#[test]
fn a_report_that_no_more_workers_may_be_added_tells_what_those_are_stuck_in() {
    let watched = Pretended::new(1);
    watched.polls(0, 1);
    watched.answer.set(Replacement::NoSeat);
    let (mut monitor, told) = monitor(watched, StallPolicy::Rescue);
    ticks(&mut monitor, 5);
    let report = told.recv().unwrap();
    assert!(report.to_string().contains("\n  stuck in   read (1)\n"), "{report}");
}

#[test]
fn while_everybody_else_sleeps_it_looks_at_a_stuck_poll_ever_more_seldom() {
    let watched = Pretended::new(1);
    watched.sleeps.set(true);
    let (mut monitor, _told) = monitor(watched, StallPolicy::Rescue);
    monitor.watches[0].stall = Some(Stall::new(1));
    monitor.idle_ticks = LINGER;
    monitor.tick = Duration::from_micros(1);
    let mut lengths: Vec<u32> = (0..8).map(|_| monitor.pause().unwrap().as_micros() as u32).collect();
    assert_eq!(lengths[0], DOZE);
    lengths.dedup();
    assert_eq!(lengths.len() as u32, 1 + DEEPEST, "{lengths:?}");
    assert!(lengths.windows(2).all(|two| two[1] == 2 * two[0]), "{lengths:?}");
}
