//! The guard from outside: polls that do not come back, and everything else that goes on.
//!
//! Nothing here depends on how fast the guard is. A stuck poll waits for what only a rescue can bring about, so that a
//! guard that does nothing is a test that does not end (after three minutes it fails).

mod reports;

use std::future::poll_fn;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex};
use std::task::{Poll, Waker};
use std::thread;
use std::time::{Duration, Instant};

use super::{Action, Class, GuardConfig, Helper, Reason, StallPolicy, StallReport};
use crate::driver::{Driver, Park, ThreadDriver, Unpark};
use crate::{Config, Scheduler, spawn};

/// What has not come after this long never will.
const PATIENCE: Duration = Duration::from_secs(180);

/// For settings that must not matter in a test.
const FOR_EVER: Duration = Duration::from_secs(3600);

/// A scheduler with a guard that rescues, and the number of its worker threads.
struct Guarded {
    scheduler: Scheduler,
    threads: Arc<Threads>,
}

#[derive(Default)]
struct Threads {
    begun: AtomicUsize,
    ended: AtomicUsize,
}

impl Threads {
    fn now(&self) -> usize {
        let ended = self.ended.load(Ordering::SeqCst);
        self.begun.load(Ordering::SeqCst) - ended
    }
}

fn guarded(workers: usize, change: impl FnOnce(&mut GuardConfig)) -> Guarded {
    guarded_in(workers, Box::new(ThreadDriver::new()), change)
}

fn guarded_in(workers: usize, driver: Box<dyn Driver>, change: impl FnOnce(&mut GuardConfig)) -> Guarded {
    let mut guard = GuardConfig {
        policy: StallPolicy::Rescue,
        threshold: Duration::from_millis(2),
        keep_alive: FOR_EVER,
        ..GuardConfig::default()
    };
    change(&mut guard);
    let threads = Arc::new(Threads::default());
    let counts = |counter: fn(&Threads) -> &AtomicUsize| {
        let threads = threads.clone();
        Some(Arc::new(move || _ = counter(&threads).fetch_add(1, Ordering::SeqCst)) as crate::Hook)
    };
    let config = Config {
        workers,
        name: "guarded".into(),
        guard,
        on_start: counts(|threads| &threads.begun),
        on_stop: counts(|threads| &threads.ended),
        ..Config::default()
    };
    let scheduler = Scheduler::new(&config, driver);
    scheduler.start().unwrap();
    Guarded { scheduler, threads }
}

impl Guarded {
    /// A task whose poll blocks its worker until it is released; it does so by the time this returns.
    fn block_a_worker(&self) -> Sender<()> {
        let (blocked, is_blocked) = mpsc::channel();
        let (release, released) = mpsc::channel::<()>();
        let task = self.scheduler.handle().spawn(async move {
            blocked.send(()).unwrap();
            let _ = released.recv();
        });
        task.detach();
        must_come(&is_blocked);
        release
    }
}

#[track_caller]
fn must_come<T>(from: &Receiver<T>) -> T {
    from.recv_timeout(PATIENCE).expect("it never came")
}

#[track_caller]
fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !condition() {
        assert!(begun.elapsed() < PATIENCE, "waited {PATIENCE:?} in vain until {what}");
        thread::sleep(Duration::from_millis(1));
    }
}

/// A sink that hands the reports on.
fn reports(guard: &mut GuardConfig) -> Receiver<StallReport> {
    let (tell, told) = mpsc::channel();
    let tell = Mutex::new(tell);
    guard.on_stall = Some(Arc::new(move |report| drop(tell.lock().unwrap().send(report.clone()))));
    told
}

/// The first report with this class: on a busy machine a thread may not have got as far when it is first looked at.
#[track_caller]
fn report_of(class: Class, reports: &Receiver<StallReport>) -> StallReport {
    loop {
        let report = must_come(reports);
        if report.class == class {
            return report;
        }
    }
}

// --- What is rescued ---

#[test]
fn a_stuck_poll_gives_its_queue_and_its_slot_away() {
    let guarded = guarded(1, |_| ());
    let stuck = guarded.scheduler.handle().spawn(async {
        let (ran, has_run) = mpsc::channel();
        // The last one lies in the slot, the others in the queue.
        for number in 0..3 {
            let ran = ran.clone();
            spawn(async move { ran.send(number).unwrap() }).detach();
        }
        let mut numbers: Vec<_> = (0..3).map(|_| must_come(&has_run)).collect();
        numbers.sort_unstable();
        numbers
    });
    assert_eq!(guarded.scheduler.block_on(stuck).unwrap(), [0, 1, 2]);
    let statistics = guarded.scheduler.statistics();
    assert!(statistics.stalls >= 1 && statistics.rescued_tasks >= 1, "{statistics:?}");
    until("it is counted", || guarded.scheduler.statistics().rescues == 1);
}

#[test]
fn what_a_stuck_poll_wakes_later_is_given_away_too() {
    let guarded = guarded(1, |_| ());
    let stuck = guarded.scheduler.handle().spawn(async {
        for _ in 0..10 {
            let (ran, has_run) = mpsc::channel();
            spawn(async move { ran.send(()).unwrap() }).detach();
            must_come(&has_run);
        }
    });
    guarded.scheduler.block_on(stuck).unwrap();
    until("one worker in its place is counted", || guarded.scheduler.statistics().rescues == 1);
}

#[test]
fn a_poll_that_computes_is_rescued_as_well() {
    let guarded = guarded(1, |_| ());
    let stuck = guarded.scheduler.handle().spawn(async {
        let ran = Arc::new(AtomicBool::new(false));
        let tell = ran.clone();
        spawn(async move { tell.store(true, Ordering::SeqCst) }).detach();
        let begun = Instant::now();
        while !ran.load(Ordering::SeqCst) {
            assert!(begun.elapsed() < PATIENCE, "nobody took the task behind it");
        }
    });
    guarded.scheduler.block_on(stuck).unwrap();
}

#[test]
fn when_every_worker_is_stuck_a_task_from_outside_still_runs() {
    let guarded = guarded(2, |_| ());
    let stuck = [guarded.block_a_worker(), guarded.block_a_worker()];
    let fresh = guarded.scheduler.handle().spawn(async { 42 });
    assert_eq!(guarded.scheduler.block_on(fresh).unwrap(), 42);
    until("it is counted", || guarded.scheduler.statistics().rescues >= 1);
    drop(stuck); // only now
    assert!(guarded.scheduler.shutdown(None));
}

#[test]
fn a_rescue_worker_that_is_stuck_is_rescued_in_its_turn() {
    let guarded = guarded(1, |_| ());
    // Each of them needs a worker of its own, the last one included.
    let stuck: Vec<_> = (0..4).map(|_| guarded.block_a_worker()).collect();
    until("they are counted", || guarded.scheduler.statistics().rescues == 3);
    drop(stuck);
    assert!(guarded.scheduler.shutdown(None));
    assert_eq!(guarded.threads.begun.load(Ordering::SeqCst), 4);
}

/// A driver with one event: who waits for it is woken when somebody looks, and nothing else ends a sleep for it.
struct Mailbox {
    inner: ThreadDriver,
    letter: Arc<Letter>,
}

#[derive(Default)]
struct Letter {
    is_there: AtomicBool,
    waiting: Mutex<Option<Waker>>,
}

impl Driver for Mailbox {
    fn park(&mut self, park: Park) {
        self.inner.park(park);
        if self.letter.is_there.load(Ordering::SeqCst) {
            let waker = self.letter.waiting.lock().unwrap().take();
            waker.into_iter().for_each(Waker::wake);
        }
    }

    fn unparker(&self) -> Arc<dyn Unpark> {
        self.inner.unparker()
    }
}

#[test]
fn an_event_is_delivered_while_the_worker_that_looked_after_it_is_stuck() {
    let letter = Arc::new(Letter::default());
    let mailbox = Mailbox { inner: ThreadDriver::new(), letter: letter.clone() };
    let guarded = guarded_in(1, Box::new(mailbox), |_| ());
    let (got, has_got) = mpsc::channel();
    let (waits, is_waiting) = mpsc::channel();
    let reader = guarded.scheduler.handle().spawn({
        let letter = letter.clone();
        poll_fn(move |cx| {
            if letter.is_there.load(Ordering::SeqCst) {
                got.send(()).unwrap();
                return Poll::Ready(());
            }
            *letter.waiting.lock().unwrap() = Some(cx.waker().clone());
            waits.send(()).unwrap();
            Poll::Pending
        })
    });
    must_come(&is_waiting);
    let stuck = guarded.scheduler.handle().spawn(async move {
        letter.is_there.store(true, Ordering::SeqCst); // and nobody sleeps in the driver: its only worker is here
        must_come(&has_got);
    });
    guarded.scheduler.block_on(stuck).unwrap();
    guarded.scheduler.block_on(reader).unwrap();
}

// --- How many workers there are ---

#[test]
fn of_a_thousand_tasks_that_block_none_is_lost_and_none_runs_twice_and_the_threads_fall_back() {
    const TASKS: usize = 1_000;
    let guarded = guarded(2, |guard| {
        guard.threshold = Duration::from_millis(1);
        guard.keep_alive = Duration::from_millis(5);
    });
    let polls = Arc::new((0..TASKS).map(|_| AtomicUsize::new(0)).collect::<Vec<_>>());
    let tasks: Vec<_> = (0..TASKS)
        .map(|number| {
            let polls = polls.clone();
            guarded.scheduler.handle().spawn(poll_fn(move |cx| {
                // The load itself: from nothing to some thresholds.
                thread::sleep(Duration::from_millis(number as u64 % 5));
                let before = polls[number].fetch_add(1, Ordering::SeqCst);
                cx.waker().wake_by_ref();
                if before == 1 { Poll::Ready(number) } else { Poll::Pending }
            }))
        })
        .collect();
    for (number, task) in tasks.into_iter().enumerate() {
        assert_eq!(guarded.scheduler.block_on(task).unwrap(), number);
    }
    assert!(polls.iter().all(|polls| polls.load(Ordering::SeqCst) == 2));
    assert!(guarded.scheduler.statistics().rescues > 0);
    until("the threads are as many as the workers", || guarded.threads.now() == 2);
    // Those that are left do what workers do.
    assert_eq!(guarded.scheduler.block_on(guarded.scheduler.handle().spawn(async { 1 })).unwrap(), 1);
    assert!(guarded.scheduler.shutdown(None));
    assert_eq!(guarded.threads.now(), 0);
}

#[test]
fn a_worker_that_came_back_is_used_again_before_a_thread_is_made() {
    // One seat more than workers, and whoever sits there stays: from the second round on only a spare can help.
    let guarded = guarded(1, |guard| guard.max_rescue = Some(1));
    for _ in 0..10 {
        let release = guarded.block_a_worker();
        let fresh = guarded.scheduler.handle().spawn(async { 42 });
        assert_eq!(guarded.scheduler.block_on(fresh).unwrap(), 42);
        drop(release);
    }
    // Not always ten: one that is marked a moment too late blocks in the next round and leaves the other one free.
    assert!(guarded.scheduler.statistics().rescues > 0);
    assert_eq!(guarded.threads.begun.load(Ordering::SeqCst), 2);
    assert_eq!(guarded.threads.now(), 2);
}

#[test]
fn a_seat_whose_thread_has_left_is_taken_again() {
    let guarded = guarded(1, |guard| {
        guard.max_rescue = Some(1);
        guard.keep_alive = Duration::ZERO;
    });
    for _ in 0..5 {
        let release = guarded.block_a_worker();
        let fresh = guarded.scheduler.handle().spawn(async { 42 });
        assert_eq!(guarded.scheduler.block_on(fresh).unwrap(), 42);
        drop(release);
        until("the one too many has left", || guarded.threads.now() == 1);
    }
    assert_eq!(guarded.threads.begun.load(Ordering::SeqCst), 6);
}

#[test]
fn at_the_cap_it_says_so_and_goes_on_when_a_worker_comes_back() {
    let mut told = None;
    let guarded = guarded(1, |guard| {
        guard.max_rescue = Some(1);
        told = Some(reports(guard));
    });
    let told = told.unwrap();
    let first = guarded.block_a_worker();
    let second = guarded.block_a_worker();
    let third = guarded.scheduler.handle().spawn(async { 42 });
    let stuck = loop {
        if let Action::Saturated { stuck } = must_come(&told).action {
            break stuck;
        }
    };
    assert_eq!(stuck, 2);
    assert!(!third.is_done());
    drop(first);
    assert_eq!(guarded.scheduler.block_on(third).unwrap(), 42);
    drop(second);
    assert!(guarded.scheduler.shutdown(None));
}

#[test]
fn a_shutdown_ends_workers_that_are_spare_and_waits_for_those_that_are_stuck() {
    let guarded = guarded(2, |_| ());
    // Two come back, and two of the four are spare, or about to be.
    drop([
        guarded.block_a_worker(),
        guarded.block_a_worker(),
        guarded.block_a_worker(),
        guarded.block_a_worker(),
    ]);
    let stuck = [guarded.block_a_worker(), guarded.block_a_worker(), guarded.block_a_worker()];
    assert!(!guarded.scheduler.shutdown(Some(Duration::from_millis(1))));
    drop(stuck);
    assert!(guarded.scheduler.shutdown(None)); // every thread is over, the monitor's too
    assert_eq!(guarded.threads.now(), 0);
}

#[test]
fn a_scheduler_may_be_dropped_while_its_workers_are_stuck() {
    let Guarded { scheduler, threads } = guarded(1, |_| ());
    let held = Guarded { scheduler, threads };
    let stuck = [held.block_a_worker(), held.block_a_worker()];
    let Guarded { scheduler, threads } = held;
    drop(scheduler);
    drop(stuck);
    until("all of its threads have ended", || threads.now() == 0);
}
