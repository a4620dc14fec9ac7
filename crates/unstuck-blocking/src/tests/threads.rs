//! How many threads there are, and when.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;

#[test]
fn there_are_no_threads_before_the_first_job() {
    let pool = small(4);
    assert_eq!(pool.statistics().started, 0);
}

#[test]
fn an_idle_thread_is_reused_before_a_new_one_is_made() {
    let pool = small(100);
    for _ in 0..200 {
        pool.spawn(|| ()).wait().unwrap();
        until("the thread is idle again", || pool.statistics().idle == 1);
    }
    assert_eq!(pool.statistics().started, 1);
}

#[test]
fn the_youngest_idle_thread_is_used_first() {
    let pool = small(2);
    let mut gate = Gate::new();
    let jobs = [pool.spawn(gate.job(())), pool.spawn(gate.job(()))];
    until("both threads work", || pool.statistics().running == 2);
    gate.open();
    for job in jobs {
        job.wait().unwrap();
    }
    let mut used = std::collections::HashSet::new();
    for _ in 0..50 {
        until("both threads are idle", || pool.statistics().idle == 2);
        used.insert(pool.spawn(|| thread::current().id()).wait().unwrap());
    }
    assert_eq!(used.len(), 1, "the other one rests, and can leave");
}

#[test]
fn in_a_burst_the_threads_are_made_by_threads_and_not_by_who_submits() {
    const JOBS: usize = 50;
    let (here, made_here) = (thread::current().id(), Arc::new(AtomicUsize::new(0)));
    let (count, mut begin) = (made_here.clone(), Gate::new());
    let may_begin = begin.wait.clone();
    let pool = ThreadPool::builder()
        .spawner(move |builder, body| {
            count.fetch_add(usize::from(thread::current().id() == here), Ordering::SeqCst);
            let may_begin = may_begin.clone();
            builder.spawn(move || {
                let _ = may_begin.lock().unwrap().recv();
                body();
            })
        })
        .build()
        .unwrap();
    let mut gate = Gate::new();
    let jobs: Vec<_> = (0..JOBS).map(|_| pool.spawn(gate.job(()))).collect();
    let starters = num_cpus::get().min(4);
    assert_eq!((made_here.load(Ordering::SeqCst), pool.statistics().started), (starters, starters as u64));
    begin.open();
    until("each job has a thread", || pool.statistics().running == JOBS);
    assert_eq!((made_here.load(Ordering::SeqCst), pool.statistics().started), (starters, JOBS as u64));
    gate.open();
    jobs.into_iter().for_each(|job| job.wait().unwrap());
}

#[test]
fn saturation_makes_exactly_the_most_threads() {
    let pool = small(3);
    let mut gate = Gate::new();
    let jobs: Vec<_> = (0..10).map(|i| pool.spawn(gate.job(i))).collect();
    until("three jobs run", || pool.statistics().running == 3);
    let statistics = pool.statistics();
    assert_eq!((statistics.threads, statistics.started, statistics.queued), (3, 3, 7));
    gate.open();
    let sum: i32 = jobs.into_iter().map(|job| job.wait().unwrap()).sum();
    assert_eq!(sum, 45);
    assert_eq!(pool.statistics().started, 3);
}

#[test]
fn after_a_burst_of_200_jobs_the_pool_is_back_to_no_threads() {
    let pool = ThreadPool::builder().keep_alive(Duration::from_millis(50)).build().unwrap();
    let mut gate = Gate::new();
    let jobs: Vec<_> = (0..200).map(|i| pool.spawn(gate.job(i))).collect();
    until("all jobs run", || pool.statistics().running == 200);
    gate.open();
    for job in jobs {
        job.wait().unwrap();
    }
    until("all threads have left", || pool.statistics().ended == 200);
    let statistics = pool.statistics();
    assert_eq!((statistics.threads, statistics.idle, statistics.started), (0, 0, 200));
    assert_eq!(pool.spawn(|| "and back").wait().unwrap(), "and back");
}

#[test]
fn surplus_threads_leave_although_one_is_busy_all_the_time() {
    let pool = ThreadPool::builder().keep_alive(Duration::from_millis(50)).build().unwrap();
    let mut gate = Gate::new();
    let jobs: Vec<_> = (0..20).map(|i| pool.spawn(gate.job(i))).collect();
    until("all jobs run", || pool.statistics().running == 20);
    gate.open();
    for job in jobs {
        job.wait().unwrap();
    }
    // One job after the other: the oldest threads must not take turns and so keep each other alive.
    until("at most one thread is left", || {
        pool.spawn(|| ()).wait().unwrap();
        pool.statistics().threads <= 1
    });
}

#[test]
#[cfg(target_os = "linux")]
fn idle_threads_do_not_wake_up() {
    let pool = ThreadPool::builder().name("sleepy").keep_alive(HOUR).build().unwrap();
    let mut gate = Gate::new();
    let jobs: Vec<_> = (0..20).map(|i| pool.spawn(gate.job(i))).collect();
    until("all jobs run", || pool.statistics().running == 20);
    gate.open();
    for job in jobs {
        job.wait().unwrap();
    }
    let sleeps = || threads_called("sleepy").iter().sum::<u64>();
    let quiet = || {
        let before = sleeps();
        thread::sleep(Duration::from_millis(300));
        threads_called("sleepy").len() == 20 && sleeps() == before
    };
    until("300 ms pass in which no idle thread wakes up", quiet);
}

#[test]
fn a_hundred_thousand_jobs_take_few_threads_and_little_memory() {
    let pool = small(8);
    let mut gate = Gate::new();
    let first: Vec<_> = (0..8).map(|_| pool.spawn(gate.job(()))).collect();
    until("the pool is full", || pool.statistics().running == 8);
    let before = resident_kib();
    let done = Arc::new(AtomicUsize::new(0));
    let jobs: Vec<_> = (0..100_000)
        .map(|_| {
            let done = done.clone();
            pool.spawn(move || done.fetch_add(1, Ordering::Relaxed))
        })
        .collect();
    let grown = resident_kib().saturating_sub(before);
    assert!(grown < 64 * 1024, "100,000 queued jobs took {grown} KiB");
    assert_eq!(pool.statistics().queued, 100_000);
    gate.open();
    for job in first {
        job.wait().unwrap();
    }
    for job in jobs {
        job.wait().unwrap();
    }
    assert_eq!(done.load(Ordering::Relaxed), 100_000);
    assert_eq!(pool.statistics().started, 8);
}

/// What this process has in memory; 0 where that cannot be told.
fn resident_kib() -> usize {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default();
    line.trim().trim_end_matches(" kB").parse().unwrap_or(0)
}

#[test]
fn many_submitters_and_threads_that_leave_at_once_lose_no_job() {
    for keep_alive in [Duration::ZERO, Duration::from_micros(50), Duration::from_secs(10)] {
        let pool = ThreadPool::builder().max_threads(4).keep_alive(keep_alive).build().unwrap();
        let done = AtomicUsize::new(0);
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for i in 0..500 {
                        let job = pool.spawn(move || i);
                        if i % 3 == 0 {
                            assert_eq!(job.wait().unwrap(), i);
                        } else if i % 7 == 0 && job.cancel() {
                            done.fetch_add(1, Ordering::Relaxed);
                        }
                    }
                });
            }
        });
        pool.shutdown();
        let statistics = pool.statistics();
        assert_eq!(statistics.done + done.load(Ordering::Relaxed) as u64, 2000);
        assert_eq!(
            (statistics.threads, statistics.idle, statistics.queued, statistics.running),
            (0, 0, 0, 0)
        );
        assert_eq!(statistics.started, statistics.ended);
    }
}

#[test]
#[cfg(target_os = "linux")]
fn a_dropped_pool_leaves_no_thread_behind() {
    for _ in 0..100 {
        let pool = ThreadPool::builder().name("fleeting").build().unwrap();
        for _ in 0..4 {
            drop(pool.spawn(|| ()));
        }
        drop(pool);
        // The system may list a thread for an instant after it was joined.
        until("no thread is left", || threads_called("fleeting").is_empty());
    }
}
