//! The compute pool's promises, one sentence each.

mod budget;
mod faults;
mod map;
mod nested;
mod recycling;

use std::future::Future;
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::thread;
use std::time::{Duration, Instant};

use rayon::prelude::*;
use unstuck_core::job::{Options, Shutdown};
use unstuck_core::{Executor, Job, JobHandle};

use crate::{CpuPool, current, enter, try_current};

/// A condition that has not come true after this long never will.
const PATIENCE: Duration = Duration::from_secs(180);

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

fn pool(threads: usize) -> CpuPool {
    CpuPool::builder().threads(threads).build().unwrap()
}

#[test]
fn a_job_gives_its_value_from_a_named_thread() {
    let pool = CpuPool::builder().threads(2).name("render").build().unwrap();
    let name = block_on(pool.spawn(|| thread::current().name().unwrap().to_owned())).unwrap();
    assert!(name.starts_with("render-"), "{name}");
}

#[test]
fn without_a_number_there_is_a_thread_for_each_cpu() {
    let pool = CpuPool::builder().build().unwrap();
    assert_eq!((pool.threads(), pool.statistics().threads), (num_cpus::get(), num_cpus::get()));
}

#[test]
fn all_threads_work_at_the_same_time() {
    let pool = pool(4);
    let barrier = Arc::new(std::sync::Barrier::new(4));
    let jobs: Vec<_> = (0..4)
        .map(|i| {
            let barrier = barrier.clone();
            pool.spawn(move || {
                barrier.wait();
                i
            })
        })
        .collect();
    assert_eq!(jobs.into_iter().map(|job| job.wait().unwrap()).sum::<i32>(), 6);
}

#[test]
fn parallel_iterators_inside_a_job_use_the_pools_threads() {
    let pool = CpuPool::builder().threads(3).name("par").build().unwrap();
    let names = || -> Vec<String> {
        (0..1000).into_par_iter().map(|_| thread::current().name().unwrap_or_default().to_owned()).collect()
    };
    assert!(pool.spawn(names).wait().unwrap().iter().all(|name| name.starts_with("par-")));
    assert!(pool.install(names).iter().all(|name| name.starts_with("par-")));
    // Nested: a job, a parallel iterator in it, install() in that.
    let pool = Arc::new(pool);
    let inner = pool.clone();
    let sum = pool.spawn(move || (0..100).into_par_iter().map(|n| inner.install(|| n)).sum::<i32>());
    assert_eq!(sum.wait().unwrap(), 4950);
}

#[test]
fn install_borrows_and_passes_panics_on() {
    let pool = pool(2);
    let words = vec!["to", "think"];
    assert_eq!(pool.install(|| words.par_iter().map(|word| word.len()).sum::<usize>()), 7);
    let panic = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        pool.install(|| panic!("inside (this test wants that)"));
    }));
    assert!(panic.is_err());
    pool.shutdown();
}

#[test]
fn every_kind_of_pool_is_an_executor() {
    fn run<J: Job>(executor: &impl Executor<J>, job: J) -> J::Output {
        executor.submit(job, Options::new()).wait().unwrap()
    }
    let pool = pool(1);
    let plain = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
    assert_eq!(
        run(&pool, || 1) + run(pool.handle(), || 2) + run(&plain, || 3) + run(&Arc::new(plain), || 4),
        10
    );
}

#[test]
fn a_queued_job_that_is_cancelled_never_runs_and_a_running_one_goes_on() {
    let pool = pool(1);
    let mut gate = Gate::new();
    let running = pool.spawn(gate.job("value"));
    until("the first job runs", || pool.statistics().running == 1);
    let queued = pool.spawn(|| -> () { unreachable!("it was cancelled") });
    assert!(queued.cancel());
    assert!(!running.cancel());
    assert!(queued.wait().unwrap_err().is_cancelled());
    gate.open();
    assert_eq!(running.wait().unwrap(), "value");
}

#[test]
fn a_job_runs_although_its_handle_was_dropped() {
    let pool = pool(1);
    let (tell, told) = channel();
    drop(pool.spawn(move || tell.send("ran").unwrap()));
    assert_eq!(told.recv().unwrap(), "ran");
}

#[test]
fn shutdown_runs_what_is_queued_and_ends_the_threads() {
    let pool = pool(2);
    let mut gate = Gate::new();
    let mut jobs = vec![pool.spawn(gate.job(0))];
    jobs.extend((1..50).map(|i| pool.spawn(move || i)));
    gate.open();
    pool.shutdown();
    assert!(jobs.iter().all(JobHandle::is_done));
    assert_eq!(jobs.into_iter().map(|job| job.wait().unwrap()).sum::<i32>(), 1225);
    let statistics = pool.statistics();
    assert_eq!((statistics.threads, statistics.queued, statistics.running, statistics.done), (0, 0, 0, 50));
    let error = pool.spawn(|| ()).wait().unwrap_err();
    assert!(error.is_rejected() && error.to_string().contains("its compute pool has shut down"), "{error}");
}

#[test]
fn shutdown_timeout_names_the_job_that_is_stuck_and_cancels_the_queue_at_once() {
    let pool = pool(1);
    let mut gate = Gate::new();
    let stuck = pool.submit(gate.job("at last"), Options::new().name("stuck"));
    until("the job runs", || pool.statistics().running == 1);
    let queued = pool.spawn(|| ());
    let report = pool.shutdown_timeout(Duration::from_millis(10));
    assert_eq!((report.cancelled, report.threads, report.running.len()), (1, 1, 1));
    assert_eq!(report.running[0].name(), Some("stuck"));
    assert!(queued.wait().unwrap_err().is_cancelled());
    gate.open();
    assert_eq!(stuck.wait().unwrap(), "at last");
    assert!(pool.shutdown_timeout(PATIENCE).is_complete());
}

#[test]
fn a_pool_is_a_scope_for_its_jobs() {
    let (tell, told) = channel();
    {
        let pool = pool(2);
        for i in 0..20 {
            let tell = tell.clone();
            drop(pool.spawn(move || tell.send(i).unwrap()));
        }
    }
    assert_eq!(told.try_iter().count(), 20);
}

#[test]
fn a_detached_pool_does_not_wait_but_runs_its_jobs() {
    let pool = CpuPool::builder().threads(1).on_drop(Shutdown::detach()).build().unwrap();
    let mut gate = Gate::new();
    let jobs = [pool.spawn(gate.job(1)), pool.spawn(|| 2)];
    drop(pool);
    gate.open();
    assert_eq!(jobs.map(|job| job.wait().unwrap()), [1, 2]);
}

#[test]
fn a_job_may_drop_its_own_pool() {
    let ended = Arc::new(AtomicUsize::new(0));
    let count = ended.clone();
    let around = move |run: &mut dyn FnMut()| {
        run();
        count.fetch_add(1, Ordering::SeqCst);
    };
    let pool = Arc::new(CpuPool::builder().threads(2).around(around).build().unwrap());
    let (tell, told) = channel();
    let inside = pool.clone();
    let job = pool.spawn(move || {
        until("the other owner is gone", || Arc::strong_count(&inside) == 1);
        let after = inside.spawn(|| "queued behind");
        drop(inside);
        tell.send(after).unwrap();
    });
    drop(pool);
    job.wait().unwrap();
    assert_eq!(told.recv().unwrap().wait().unwrap(), "queued behind");
    until("both threads have ended", || ended.load(Ordering::SeqCst) == 2);
}

#[test]
fn the_current_pool_is_the_innermost_entered() {
    assert!(try_current().is_none());
    let (outer, inner) = (pool(1), pool(2));
    let first = enter(outer.handle());
    let second = enter(inner.handle());
    assert_eq!(current().threads(), 2);
    drop(first);
    assert_eq!(current().threads(), 2, "guards may be dropped in any order");
    drop(second);
    assert!(try_current().is_none());
}

#[test]
#[should_panic(expected = "no compute pool on this thread: call cpu() inside unstuck::run(..)")]
fn without_a_current_pool_the_panic_says_what_to_do() {
    current();
}

#[test]
fn a_lazy_pool_has_no_threads_before_its_first_job() {
    let pool = CpuPool::builder().threads(2).build_lazy().unwrap();
    assert_eq!(pool.statistics().threads, 0);
    assert_eq!(pool.spawn(|| 1).wait().unwrap(), 1);
    assert_eq!(pool.statistics().threads, 2);
    // One that never had a job ends too.
    CpuPool::builder().build_lazy().unwrap().shutdown();
}

#[test]
fn many_submitters_lose_no_job() {
    let pool = pool(3);
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let jobs: Vec<_> = (0..500_u64).map(|i| pool.spawn(move || i)).collect();
                for (i, job) in (0..).zip(jobs) {
                    assert_eq!(job.wait().unwrap(), i);
                }
            });
        }
    });
    pool.shutdown();
    assert_eq!(pool.statistics().done, 2000);
}
