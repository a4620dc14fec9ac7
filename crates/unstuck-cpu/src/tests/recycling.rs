//! Threads that are replaced after so many jobs.

use std::cell::Cell;
use std::collections::HashMap;
use std::io;
use std::thread::ThreadId;

use super::*;

fn this_thread() -> ThreadId {
    thread::current().id()
}

fn recycling(threads: usize, jobs: u64) -> CpuPool {
    CpuPool::builder().threads(threads).max_jobs_per_thread(jobs).build().unwrap()
}

#[test]
fn no_thread_runs_more_jobs_than_it_may() {
    for threads in [1, 2] {
        let pool = recycling(threads, 3);
        let jobs: Vec<_> = (0..100).map(|_| pool.spawn(this_thread)).collect();
        let mut count = HashMap::new();
        for job in jobs {
            *count.entry(job.wait().unwrap()).or_insert(0) += 1;
        }
        assert!(count.values().all(|&jobs| jobs <= 3) && count.len() >= 34, "{count:?}");
    }
}

#[test]
fn a_new_thread_runs_the_initializer_and_has_thread_locals_of_its_own() {
    thread_local!(static SEEN: Cell<u32> = const { Cell::new(0) });
    let begun = Arc::new(AtomicUsize::new(0));
    let counter = begun.clone();
    let pool = CpuPool::builder()
        .threads(1)
        .max_jobs_per_thread(2)
        .initializer(move || _ = counter.fetch_add(1, Ordering::SeqCst))
        .build()
        .unwrap();
    let seen = |_| {
        let see = || {
            SEEN.set(SEEN.get() + 1);
            SEEN.get()
        };
        pool.spawn(see).wait().unwrap()
    };
    assert_eq!((0..6).map(seen).collect::<Vec<_>>(), [1, 2, 1, 2, 1, 2]);
    assert!(begun.load(Ordering::SeqCst) >= 3);
}

#[test]
fn old_threads_leave_and_are_not_counted() {
    let pool = recycling(2, 1);
    (0..50).for_each(|_| pool.spawn(|| ()).wait().unwrap());
    until("the old threads have left", || pool.statistics().threads == 2);
    pool.shutdown();
    assert_eq!(pool.statistics().threads, 0);
}

#[test]
fn what_a_job_has_begun_on_old_threads_ends_there() {
    let pool = Arc::new(recycling(2, 1));
    let (inside, gate) = (pool.clone(), Gate::new());
    let held = gate.job(());
    let long = pool.spawn(move || {
        held();
        // By now all threads were made anew, several times.
        let parallel: u64 = (0..10_000_u64).into_par_iter().sum();
        parallel + inside.spawn(|| 1).wait().unwrap() + inside.install(|| rayon::join(|| 1, || 2).1)
    });
    (0..20).for_each(|n| assert_eq!(pool.spawn(move || n).wait().unwrap(), n));
    assert_eq!(pool.install(|| (0..100_u64).into_par_iter().max()), Some(99));
    drop(gate);
    assert_eq!(long.wait().unwrap(), 49_995_003);
}

#[test]
fn jobs_that_wait_for_jobs_find_threads_however_often_those_are_replaced() {
    let pool = Arc::new(recycling(1, 1));
    fn nest(pool: &Arc<CpuPool>, depth: u32) -> u32 {
        let inside = pool.clone();
        if depth == 0 { 0 } else { 1 + pool.spawn(move || nest(&inside, depth - 1)).wait().unwrap() }
    }
    for _ in 0..10 {
        assert_eq!(nest(&pool, 8), 8);
    }
    let held: Vec<_> = (0..20)
        .map(|n| {
            let inside = pool.clone();
            pool.spawn(move || inside.spawn(move || n).wait().unwrap())
        })
        .collect();
    assert_eq!(held.into_iter().map(|job| job.wait().unwrap()).sum::<i32>(), 190);
}

#[test]
fn where_no_threads_can_be_made_the_old_ones_go_on() {
    let made = Arc::new(AtomicUsize::new(0));
    let counter = made.clone();
    let pool = CpuPool::builder()
        .threads(2)
        .max_jobs_per_thread(5)
        .spawner(move |builder, body| {
            if counter.fetch_add(1, Ordering::SeqCst) < 3 {
                return builder.spawn(body);
            }
            Err(io::Error::from(io::ErrorKind::WouldBlock))
        })
        .build()
        .unwrap();
    (0..100).for_each(|n| assert_eq!(pool.spawn(move || n).wait().unwrap(), n));
    // It has tried again, but not after every job.
    let tries = made.load(Ordering::SeqCst);
    assert!((4..=2 + 2 * 20).contains(&tries), "{tries}");
    until("the one that was made in vain has left", || pool.statistics().threads == 2);
}

#[test]
fn a_shutdown_in_the_middle_of_a_change_joins_all_threads() {
    for _ in 0..20 {
        let pool = recycling(2, 1);
        let jobs: Vec<_> = (0..20).map(|n| pool.spawn(move || n)).collect();
        pool.shutdown();
        assert_eq!(pool.statistics().threads, 0);
        assert_eq!(jobs.into_iter().map(|job| job.wait().unwrap()).sum::<i32>(), 190);
    }
}
