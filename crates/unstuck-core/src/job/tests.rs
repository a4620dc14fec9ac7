use std::future::poll_fn;
use std::panic::{self, AssertUnwindSafe};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::task::{Wake, Waker};
use std::thread;
use std::time::Duration;

use super::*;

/// Counts its drops, and panics in each if told to.
struct Bomb {
    drops: Arc<AtomicUsize>,
    armed: bool,
}

impl Bomb {
    fn new(armed: bool) -> (Bomb, Arc<AtomicUsize>) {
        let drops = Arc::new(AtomicUsize::new(0));
        (Bomb { drops: drops.clone(), armed }, drops)
    }
}

impl Drop for Bomb {
    fn drop(&mut self) {
        self.drops.fetch_add(1, Ordering::SeqCst);
        assert!(!self.armed, "the bomb went off (this test wants that)");
    }
}

fn poll_once<T>(handle: &mut JobHandle<T>) -> Poll<Result<T, JoinError>> {
    Pin::new(handle).poll(&mut Context::from_waker(Waker::noop()))
}

#[test]
fn a_job_gives_its_value() {
    let (queued, handle) = job(|| 6 * 7, Options::new());
    assert!(!handle.is_done());
    assert!(queued.run());
    assert!(handle.is_done());
    assert_eq!(handle.wait().unwrap(), 42);
}

#[test]
fn a_panic_is_the_jobs_error_with_payload_name_and_place() {
    let (queued, handle) = job(|| panic!("no bread"), Options::new().name("baker"));
    assert!(queued.run());
    let error: JoinError = handle.wait().unwrap_err();
    assert_eq!(error.panic_message(), Some("no bread"));
    assert_eq!(error.name(), Some("baker"));
    assert!(error.place().file().ends_with("tests.rs"), "{error}");
}

#[test]
fn a_queued_job_that_is_cancelled_never_runs_and_is_dropped_at_once() {
    let (bomb, drops) = Bomb::new(false);
    let (queued, handle) = job(move || drop(bomb), Options::new());
    assert!(handle.cancel());
    assert_eq!(drops.load(Ordering::SeqCst), 1);
    assert!(queued.is_cancelled());
    assert!(!queued.run());
    assert!(!handle.cancel(), "a second cancel has nothing to take back");
    let error = handle.wait().unwrap_err();
    assert!(error.is_cancelled() && !error.is_rejected());
}

#[test]
fn a_running_job_cannot_be_cancelled_and_gives_its_value() {
    let (started, has_started) = mpsc::channel();
    let (go_on, may_go_on) = mpsc::channel::<()>();
    let work = move || {
        started.send(()).unwrap();
        may_go_on.recv().unwrap();
        "done"
    };
    let (queued, handle) = job(work, Options::new());
    let runner = thread::spawn(move || queued.run());
    has_started.recv().unwrap();
    assert!(!handle.cancel());
    go_on.send(()).unwrap();
    assert_eq!(handle.wait().unwrap(), "done");
    assert!(runner.join().unwrap());
}

#[test]
fn a_job_forgotten_by_its_pool_is_cancelled() {
    let (queued, handle) = job(|| 1, Options::new());
    drop(queued);
    assert!(handle.wait().unwrap_err().is_cancelled());
}

#[test]
fn a_rejected_job_says_why() {
    let (queued, handle) = job(|| 1, Options::new().name("late"));
    queued.reject("the shop is closed: come back tomorrow");
    let error = handle.wait().unwrap_err();
    assert!(error.is_rejected());
    let text = error.to_string();
    assert!(text.starts_with("job 'late' (from "), "{text}");
    assert!(text.ends_with("was rejected: the shop is closed: come back tomorrow"), "{text}");
}

#[test]
fn a_job_runs_even_if_its_handle_was_dropped() {
    let (bomb, drops) = Bomb::new(false);
    let (queued, handle) = job(move || bomb, Options::new());
    drop(handle);
    assert!(!queued.is_cancelled());
    assert!(queued.run());
    assert_eq!(drops.load(Ordering::SeqCst), 1, "nobody wanted the value");
}

#[test]
fn panicking_destructors_stay_inside() {
    // The value's, after the handle was dropped.
    let (bomb, drops) = Bomb::new(true);
    let (queued, handle) = job(move || bomb, Options::new());
    drop(handle);
    assert!(queued.run());
    assert_eq!(drops.load(Ordering::SeqCst), 1);

    // The value's, when the handle is dropped after it.
    let (bomb, drops) = Bomb::new(true);
    let (queued, handle) = job(move || bomb, Options::new());
    assert!(queued.run());
    drop(handle);
    assert_eq!(drops.load(Ordering::SeqCst), 1);

    // The closure's, when it is cancelled, rejected, forgotten.
    for end in 0..3 {
        let (bomb, drops) = Bomb::new(true);
        let (queued, handle) = job(move || drop(bomb), Options::new());
        match end {
            0 => assert!(handle.cancel()),
            1 => queued.reject("no"),
            _ => drop(queued),
        }
        assert!(handle.wait().is_err());
        assert_eq!(drops.load(Ordering::SeqCst), 1);
    }
}

#[test]
fn a_panic_payload_that_panics_when_dropped_stays_inside() {
    let (bomb, drops) = Bomb::new(true);
    let (queued, handle) = job(move || panic::resume_unwind(Box::new(bomb)), Options::new());
    drop::<JobHandle<()>>(handle);
    assert!(queued.run());
    assert_eq!(drops.load(Ordering::SeqCst), 1);

    let (bomb, drops) = Bomb::new(true);
    assert!(!contain("a test", move || panic::resume_unwind(Box::new(bomb))));
    assert_eq!(drops.load(Ordering::SeqCst), 1);
}

#[test]
#[should_panic(expected = "polled again after it gave its result")]
fn polling_again_after_the_result_panics() {
    let (queued, mut handle) = job(|| 1, Options::new());
    queued.run();
    assert!(poll_once(&mut handle).is_ready());
    let _ = poll_once(&mut handle);
}

#[test]
fn the_lock_survives_that_panic() {
    let (queued, mut handle) = job(|| 1, Options::new());
    queued.run();
    assert!(poll_once(&mut handle).is_ready());
    assert!(panic::catch_unwind(AssertUnwindSafe(|| poll_once(&mut handle))).is_err());
    assert!(handle.is_done());
    assert!(!handle.cancel());
}

/// A waker that panics when it is used.
struct Grumpy;

impl Wake for Grumpy {
    fn wake(self: Arc<Self>) {
        panic!("do not wake me (this test wants that)");
    }
}

#[test]
fn a_panicking_waker_does_not_reach_the_pool() {
    let (queued, mut handle) = job(|| 1, Options::new());
    let waker = Waker::from(Arc::new(Grumpy));
    assert!(Pin::new(&mut handle).poll(&mut Context::from_waker(&waker)).is_pending());
    assert!(queued.run());
    assert!(poll_once(&mut handle).is_ready());
}

/// A waker that holds the handle it waits for: dropping or waking it must find the job unlocked.
struct Holder(std::sync::Mutex<Option<JobHandle<i32>>>);

impl Wake for Holder {
    fn wake(self: Arc<Self>) {
        drop(self.0.lock().unwrap().take());
    }
}

#[test]
fn a_waker_that_drops_the_handle_finds_the_job_unlocked() {
    let (queued, mut handle) = job(|| 1, Options::new());
    let holder = Arc::new(Holder(std::sync::Mutex::new(None)));
    let waker = Waker::from(holder.clone());
    assert!(Pin::new(&mut handle).poll(&mut Context::from_waker(&waker)).is_pending());
    *holder.0.lock().unwrap() = Some(handle);
    assert!(queued.run());
    assert!(holder.0.lock().unwrap().is_none());
}

#[test]
fn the_last_waker_that_polled_is_woken() {
    struct Count(AtomicUsize);
    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }
    let first = Arc::new(Count(AtomicUsize::new(0)));
    let second = Arc::new(Count(AtomicUsize::new(0)));
    let (queued, mut handle) = job(|| 1, Options::new());
    for count in [&first, &first, &second] {
        let waker = Waker::from(count.clone());
        assert!(Pin::new(&mut handle).poll(&mut Context::from_waker(&waker)).is_pending());
    }
    queued.run();
    assert_eq!((first.0.load(Ordering::SeqCst), second.0.load(Ordering::SeqCst)), (0, 1));
}

#[test]
fn a_handle_is_send_sync_and_unpin_even_for_values_that_are_only_send() {
    fn is<T: Send + Sync + Unpin + 'static>() {}
    is::<JobHandle<std::cell::Cell<u8>>>();
    is::<QueuedJob>();
}

#[test]
fn cancel_and_run_race_to_one_outcome() {
    for _ in 0..500 {
        let ran = Arc::new(AtomicUsize::new(0));
        let (queued, handle) = {
            let ran = ran.clone();
            job(move || ran.fetch_add(1, Ordering::SeqCst), Options::new())
        };
        let runner = thread::spawn(move || queued.run());
        let cancelled = handle.cancel();
        assert_eq!(handle.wait().is_err(), cancelled);
        assert_eq!(runner.join().unwrap(), !cancelled);
        assert_eq!(ran.load(Ordering::SeqCst), usize::from(!cancelled));
    }
}

#[test]
fn a_handle_can_be_awaited() {
    let (queued, mut handle) = job(|| 5, Options::new());
    let runner = thread::spawn(move || queued.run());
    let (done, is_done) = mpsc::channel();
    let waiter = thread::spawn(move || {
        let value = block_on::wait("wait", poll_fn(|cx| Pin::new(&mut handle).poll(cx))).unwrap();
        done.send(value).unwrap();
    });
    assert_eq!(is_done.recv().unwrap(), 5);
    waiter.join().unwrap();
    runner.join().unwrap();
}

#[test]
fn arc_and_reference_of_an_executor_are_executors() {
    struct Here;
    impl<J: Job> Executor<J> for Here {
        fn submit(&self, work: J, options: Options) -> JobHandle<J::Output> {
            let (queued, handle) = job(work, options);
            queued.run();
            handle
        }
    }
    fn run<J: Job>(executor: impl Executor<J>, work: J) -> J::Output {
        executor.submit(work, Options::default()).wait().unwrap()
    }
    let shared: Arc<Here> = Arc::new(Here);
    assert_eq!(run(&Here, || 1) + run(&shared, || 2) + run(shared, || 3), 6);
}

#[test]
fn a_job_that_is_cancelled_while_it_runs_sees_it_and_gives_its_value_all_the_same() {
    let (tell, told) = std::sync::mpsc::channel();
    let (go, gone) = std::sync::mpsc::channel::<()>();
    let work = move || {
        let before = is_cancelled();
        tell.send(CancelToken::current().unwrap()).unwrap();
        let _ = gone.recv();
        (before, check().map_err(|error| error.to_string()))
    };
    let (queued, handle) = job(work, Options::new().name("loop"));
    let running = RunningJob::begins(&queued);
    let thread = std::thread::spawn(move || queued.run());
    let token = told.recv().unwrap();
    assert!(!token.is_cancelled() && !running.is_abandoned() && token.check().is_ok());
    assert!(!handle.cancel(), "it runs, and cannot be taken back");
    assert!(token.is_cancelled() && running.is_abandoned());
    assert!(running.to_string().ends_with(", cancelled"), "{running}");
    drop(go);
    assert!(thread.join().unwrap());
    let (before, after) = handle.wait().unwrap();
    assert!(!before);
    let text = after.unwrap_err();
    assert!(text.starts_with("job 'loop' (from ") && text.ends_with("was cancelled while it ran"), "{text}");
    assert!(check().is_ok() && !is_cancelled(), "no job runs here any more");
}

#[test]
fn a_bound_handle_cancels_its_job_when_it_is_dropped() {
    let (queued, handle) = job(|| unreachable!("it was taken back"), Options::new().cancel_on_drop());
    drop::<JobHandle<()>>(handle);
    assert!(queued.is_cancelled() && !queued.run());

    let (queued, handle) = job(|| CancelToken::current().unwrap(), Options::new().cancel_on_drop());
    let seen = RunningJob::begins(&queued);
    drop(handle);
    assert!(seen.is_abandoned());
}

#[test]
fn jobs_that_run_inside_of_each_other_see_their_own_tokens() {
    let (inner, inner_handle) =
        job(|| CancelToken::current().unwrap().name().unwrap().to_owned(), Options::new().name("inner"));
    let outer = move || {
        inner.run();
        CancelToken::current().unwrap().name().unwrap().to_owned()
    };
    let (outer, outer_handle) = job(outer, Options::new().name("outer"));
    outer.run();
    assert_eq!(
        (inner_handle.wait().unwrap(), outer_handle.wait().unwrap()),
        ("inner".into(), "outer".into())
    );
}

/// A pool that counts how many of its jobs wait, and may refuse.
#[derive(Default)]
struct Counting {
    waits: std::sync::atomic::AtomicUsize,
    went_on: std::sync::atomic::AtomicUsize,
    refuses: bool,
}

impl Host for Counting {
    fn waits(&self, _: Awaits) -> Result<Option<Duration>, String> {
        self.waits.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        if self.refuses { Err("every thread would wait".into()) } else { Ok(None) }
    }

    fn goes_on(&self) {
        self.went_on.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
    }
}

#[test]
fn a_pool_hears_of_a_job_that_waits_and_of_its_going_on() {
    let host = Arc::new(Counting::default());
    let (queued, handle) = job(|| 42, Options::new());
    let seen = host.clone();
    let answer = std::thread::spawn(move || {
        serve(host, || {
            let (done, at_once) = job(|| 1, Options::new());
            done.run();
            assert_eq!(at_once.wait().unwrap(), 1); // nothing to wait for, nothing told
            handle.wait().unwrap()
        })
    });
    while seen.waits.load(std::sync::atomic::Ordering::SeqCst) == 0 {
        std::thread::yield_now();
    }
    queued.run();
    assert_eq!(answer.join().unwrap(), 42);
    let counts = [&seen.waits, &seen.went_on].map(|count| count.load(std::sync::atomic::Ordering::SeqCst));
    assert_eq!(counts, [1, 1]);
}

#[test]
fn a_wait_that_the_pool_refuses_is_an_error_that_says_why_and_takes_the_job_back() {
    let host = Arc::new(Counting { refuses: true, ..Counting::default() });
    let (queued, handle) = job(|| unreachable!("it was taken back"), Options::new().name("behind"));
    let error = std::thread::spawn(move || serve(host, || handle.wait())).join().unwrap();
    let error = error.map(|(): ()| ()).unwrap_err();
    assert!(error.is_rejected() && error.to_string().starts_with("job 'behind' (from "), "{error}");
    assert!(error.to_string().ends_with("was rejected: every thread would wait"), "{error}");
    assert!(queued.is_cancelled());
}
