//! One budget of CPUs with threads that are always busy: whatever jobs do, they end.

use std::sync::Barrier;

use super::*;

/// A pool on a machine of two CPUs, both of which others keep busy all the time.
fn crowded(threads: usize) -> CpuPool {
    CpuPool::builder().threads(threads).cpus(2).share_cpus(|| 2).build().unwrap()
}

/// Takes long enough for the pool to look around after it.
fn toil(n: u64) -> u64 {
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_micros(200) {
        std::hint::spin_loop();
    }
    n
}

#[test]
fn jobs_run_beside_others_that_never_rest() {
    let pool = crowded(4);
    let jobs: Vec<_> = (0..200).map(|n| pool.spawn(move || toil(n))).collect();
    assert_eq!(jobs.into_iter().map(|job| job.wait().unwrap()).sum::<u64>(), 19_900);
}

#[test]
fn jobs_that_wait_for_each_other_where_nobody_sees_it_meet_all_the_same() {
    let pool = crowded(4);
    (0..50).for_each(|n| drop(pool.spawn(move || toil(n))));
    let barrier = Arc::new(Barrier::new(4));
    let jobs: Vec<_> = (0..4)
        .map(|_| {
            let barrier = barrier.clone();
            pool.spawn(move || barrier.wait().is_leader())
        })
        .collect();
    assert_eq!(jobs.into_iter().filter_map(|job| job.wait().ok()).filter(|leads| *leads).count(), 1);
}

#[test]
fn jobs_that_wait_for_jobs_and_parallel_iterators_end() {
    let pool = Arc::new(crowded(2));
    let jobs: Vec<_> = (0..20)
        .map(|n| {
            let inside = pool.clone();
            pool.spawn(move || {
                let parallel: u64 = (0..8_u64).into_par_iter().map(toil).sum();
                parallel + inside.spawn(move || toil(n)).wait().unwrap()
            })
        })
        .collect();
    assert_eq!(pool.install(|| (0..8_u64).into_par_iter().map(toil).max()), Some(7));
    assert_eq!(jobs.into_iter().map(|job| job.wait().unwrap()).sum::<u64>(), 20 * 28 + 190);
}

#[test]
fn the_pool_ends_in_the_middle_of_it() {
    let pool = crowded(4);
    let jobs: Vec<_> = (0..50).map(|n| pool.spawn(move || toil(n))).collect();
    pool.shutdown();
    assert_eq!(jobs.into_iter().map(|job| job.wait().unwrap()).sum::<u64>(), 1_225);
    assert_eq!(pool.statistics().threads, 0);
}

#[test]
fn others_are_looked_at_after_jobs_that_took_long() {
    let looks = Arc::new(AtomicUsize::new(0));
    let counter = looks.clone();
    let busy = move || {
        counter.fetch_add(1, Ordering::SeqCst);
        0
    };
    let pool = CpuPool::builder().threads(1).share_cpus(busy).build().unwrap();
    let jobs: Vec<_> = (0..10).map(|n| pool.spawn(move || toil(n))).collect();
    assert_eq!(jobs.into_iter().map(|job| job.wait().unwrap()).sum::<u64>(), 45);
    pool.shutdown();
    assert_eq!(looks.load(Ordering::SeqCst), 10);
}
