//! The pool's promises, one sentence each.

mod ending;
mod faults;
mod threads;

use std::fs;
use std::future::Future;
use std::pin::pin;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::thread;
use std::time::{Duration, Instant};

use unstuck_core::{Executor, Job, JobHandle, job::Options};

use crate::{Handle, ThreadPool, current, enter, try_current};

/// A condition that has not come true after this long never will.
const PATIENCE: Duration = Duration::from_secs(180);

/// Of threads that are not to leave within a test, however slow the machine is.
const HOUR: Duration = Duration::from_secs(3600);

/// Waits for a condition.
#[track_caller]
fn until(what: &str, condition: impl Fn() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < PATIENCE, "waited {PATIENCE:?} in vain until {what}");
        thread::sleep(Duration::from_micros(200));
    }
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    struct Unpark(thread::Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(value) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return value;
        }
        thread::park();
    }
}

/// Jobs that run until the gate opens, which it does when this is dropped.
struct Gate {
    shut: Option<Sender<()>>,
    wait: Arc<Mutex<Receiver<()>>>,
}

impl Gate {
    fn new() -> Gate {
        let (shut, wait) = channel();
        Gate { shut: Some(shut), wait: Arc::new(Mutex::new(wait)) }
    }

    /// A job that waits for the gate and gives `value`.
    fn job<T: Send + 'static>(&self, value: T) -> impl FnOnce() -> T + Send + 'static {
        let wait = self.wait.clone();
        move || {
            // Ends with an error when the sender is gone; nothing is ever sent.
            let _ = wait.lock().unwrap().recv();
            value
        }
    }

    fn open(&mut self) {
        self.shut = None;
    }
}

fn small(max_threads: usize) -> ThreadPool {
    ThreadPool::builder().max_threads(max_threads).keep_alive(HOUR).build().unwrap()
}

/// The states of this process's threads whose name starts with `name`, and how often they went to sleep.
#[cfg(target_os = "linux")]
fn threads_called(name: &str) -> Vec<u64> {
    let tasks = fs::read_dir("/proc/self/task").unwrap();
    let status = tasks.filter_map(|task| fs::read_to_string(task.ok()?.path().join("status")).ok());
    let mine = status.filter(|status| status.starts_with(&format!("Name:\t{name}")));
    let sleeps = |status: String| {
        let line = status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"))?;
        line.trim().parse().ok()
    };
    mine.filter_map(sleeps).collect()
}

#[test]
fn a_job_runs_on_another_thread_and_gives_its_value() {
    let pool = small(4);
    let here = thread::current().id();
    assert_ne!(block_on(pool.spawn(|| thread::current().id())).unwrap(), here);
    assert_eq!(pool.spawn(|| 6 * 7).wait().unwrap(), 42);
}

#[test]
fn ten_jobs_run_at_the_same_time() {
    let pool = small(10);
    let barrier = Arc::new(std::sync::Barrier::new(10));
    let jobs: Vec<_> = (0..10)
        .map(|i| {
            let barrier = barrier.clone();
            pool.spawn(move || {
                barrier.wait();
                i
            })
        })
        .collect();
    let values: Vec<i32> = jobs.into_iter().map(|job| job.wait().unwrap()).collect();
    assert_eq!(values, (0..10).collect::<Vec<_>>());
}

#[test]
fn a_panic_is_the_jobs_error_and_names_the_line_that_spawned_it() {
    let pool = small(1);
    let line = line!() + 1;
    let error = block_on(pool.spawn(|| -> () { panic!("no bread") })).unwrap_err();
    assert!(error.is_panic());
    assert_eq!(error.panic_message(), Some("no bread"));
    assert_eq!((error.place().file(), error.place().line()), (file!(), line));
}

#[test]
fn a_name_shows_in_the_error() {
    let pool = small(1);
    let error =
        pool.submit(|| -> () { panic!("no bread") }, Options::new().name("baker")).wait().unwrap_err();
    assert!(error.to_string().starts_with("job 'baker' (from "), "{error}");
}

#[test]
fn a_pool_of_one_runs_jobs_in_order() {
    let pool = small(1);
    let order = Arc::new(Mutex::new(Vec::new()));
    let jobs: Vec<_> = (0..100)
        .map(|i| {
            let order = order.clone();
            pool.spawn(move || order.lock().unwrap().push(i))
        })
        .collect();
    for job in jobs {
        job.wait().unwrap();
    }
    assert_eq!(*order.lock().unwrap(), (0..100).collect::<Vec<_>>());
}

#[test]
fn a_queued_job_that_is_cancelled_never_runs_and_a_running_one_goes_on() {
    let pool = small(1);
    let mut gate = Gate::new();
    let running = pool.spawn(gate.job("value"));
    until("the first job runs", || pool.statistics().running == 1);
    let queued = pool.spawn(|| -> () { unreachable!("it was cancelled") });
    assert!(queued.cancel());
    assert!(!running.cancel());
    assert!(queued.wait().unwrap_err().is_cancelled());
    gate.open();
    assert_eq!(running.wait().unwrap(), "value");
    pool.shutdown();
    assert_eq!(pool.statistics().done, 1);
}

#[test]
fn a_job_runs_although_its_handle_was_dropped() {
    let pool = small(1);
    let (tell, told) = channel();
    drop(pool.spawn(move || tell.send("ran").unwrap()));
    assert_eq!(told.recv().unwrap(), "ran");
}

#[test]
#[should_panic(expected = "polled again after it gave its result")]
fn a_handle_polled_after_its_result_panics() {
    let pool = small(1);
    let mut handle = pool.spawn(|| ());
    block_on(&mut handle).unwrap();
    let _ = block_on(&mut handle);
}

#[test]
fn pool_handle_and_shared_pool_are_executors() {
    fn double<E>(executor: &E, n: i32) -> JobHandle<i32>
    where
        E: Executor<Box<dyn FnOnce() -> i32 + Send>>,
    {
        executor.submit(Box::new(move || 2 * n), Options::new())
    }
    fn run<J: Job>(executor: &impl Executor<J>, job: J) -> J::Output {
        executor.submit(job, Options::new()).wait().unwrap()
    }
    let pool = Arc::new(small(1));
    assert_eq!(double(&pool, 1).wait().unwrap() + double(pool.handle(), 2).wait().unwrap(), 6);
    assert_eq!(run(&*pool, || "closure"), "closure");
}

#[test]
fn the_current_pool_is_the_innermost_entered() {
    assert!(try_current().is_none());
    let (outer, inner) = (ThreadPool::builder().name("outer"), ThreadPool::builder().name("inner"));
    let (outer, inner) = (outer.build().unwrap(), inner.build().unwrap());
    let name = |pool: Handle| pool.spawn(|| thread::current().name().unwrap().to_owned()).wait().unwrap();
    let first = enter(outer.handle());
    let second = enter(inner.handle());
    assert!(name(current()).starts_with("inner"));
    drop(first);
    assert!(name(current()).starts_with("inner"), "guards may be dropped in any order");
    drop(second);
    assert!(try_current().is_none());
}

#[test]
#[should_panic(expected = "no blocking pool on this thread: call to_thread() inside unstuck::run(..)")]
fn without_a_current_pool_the_panic_says_what_to_do() {
    current();
}

#[test]
fn a_job_finds_what_the_wrapper_entered() {
    let other = small(1);
    let handle = other.handle().clone();
    let pool = ThreadPool::builder()
        .around(move |run| {
            let _guard = enter(&handle);
            run();
        })
        .build()
        .unwrap();
    let inner = pool.spawn(|| current().spawn(|| 5)).wait().unwrap();
    assert_eq!(inner.wait().unwrap(), 5);
}
