//! Jobs that wait for jobs of the same pool: elsewhere a hang.

use unstuck_core::JoinError;

use super::*;

#[test]
fn a_job_waits_for_another_one_of_its_full_pool() {
    let pool = Arc::new(pool(1));
    let inside = pool.clone();
    let outer = pool.spawn(move || inside.spawn(|| 20).wait().unwrap() + inside.spawn(|| 22).wait().unwrap());
    assert_eq!(outer.wait().unwrap(), 42);
}

#[test]
fn twenty_jobs_that_wait_for_their_own_jobs_want_a_thread_each_at_most() {
    let pool = Arc::new(pool(2));
    let jobs: Vec<_> = (0..20)
        .map(|n| {
            let inside = pool.clone();
            pool.spawn(move || inside.spawn(move || n).wait().unwrap())
        })
        .collect();
    assert_eq!(jobs.into_iter().map(|job| job.wait().unwrap()).sum::<i32>(), 190);
    // One for each job that waits, at most: how many do at once is the machine's business.
    assert!(pool.statistics().threads <= 22, "{:?}", pool.statistics());
    pool.shutdown();
    assert_eq!(pool.statistics().threads, 0);
}

#[test]
fn a_chain_of_jobs_each_of_which_waits_for_the_one_before_it_ends() {
    let pool = Arc::new(pool(2));
    let mut last = pool.spawn(|| 0);
    for _ in 0..30 {
        let before = last;
        last = pool.spawn(move || before.wait().unwrap() + 1);
    }
    assert_eq!(last.wait().unwrap(), 30);
}

#[test]
fn jobs_nested_without_end_fail_with_an_error_that_names_both_and_hang_nobody() {
    fn nest(pool: &Arc<CpuPool>, depth: usize) -> Result<usize, JoinError> {
        let inside = pool.clone();
        let options = Options::new().name(format!("depth {depth}"));
        pool.submit(move || nest(&inside, depth + 1), options).wait()?
    }
    let pool = Arc::new(pool(1));
    let error = nest(&pool, 0).unwrap_err().to_string();
    assert!(error.contains("would wait") || error.contains("every thread"), "{error}");
    // The refused one was the deepest; all others have had its error, and the pool works on.
    assert_eq!(pool.spawn(|| 1).wait().unwrap(), 1);
}

#[test]
fn a_closure_in_install_may_wait_for_a_job_of_the_pool_that_it_keeps_busy() {
    let pool = pool(1);
    assert_eq!(pool.install(|| pool.spawn(|| 42).wait().unwrap()), 42);
}

#[test]
fn pieces_of_a_parallel_iterator_may_wait_for_jobs_of_their_pool() {
    let pool = Arc::new(pool(2));
    let inside = pool.clone();
    let job = pool.spawn(move || {
        (0..16_i32).into_par_iter().map(|n| inside.spawn(move || n).wait().unwrap()).sum::<i32>()
    });
    assert_eq!(job.wait().unwrap(), 120);
}

#[test]
fn a_job_that_joins_while_others_are_queued_loses_none_of_them() {
    let pool = Arc::new(pool(2));
    let jobs: Vec<_> = (0..200_u64)
        .map(|n| pool.spawn(move || rayon::join(|| n, || (0..100).into_par_iter().map(|m| m + n).max()).0))
        .collect();
    assert_eq!(jobs.into_iter().map(|job| job.wait().unwrap()).sum::<u64>(), 19_900);
    until("all are counted", || pool.statistics().done == 200);
}

#[test]
fn an_install_gets_its_turn_among_jobs_without_end() {
    let pool = Arc::new(pool(1));
    let stop = Arc::new(AtomicUsize::new(0));
    // Each job queues the next, so the queue is never empty.
    fn forever(pool: &Arc<CpuPool>, stop: &Arc<AtomicUsize>) {
        if stop.load(Ordering::SeqCst) == 0 {
            let (again, until) = (pool.clone(), stop.clone());
            drop(pool.spawn(move || forever(&again, &until)));
        }
    }
    forever(&pool, &stop);
    assert_eq!(pool.install(|| 42), 42);
    stop.store(1, Ordering::SeqCst);
}

#[test]
fn when_no_thread_can_be_added_the_job_waited_for_is_refused_and_nobody_hangs() {
    let left = Arc::new(AtomicUsize::new(1));
    let budget = left.clone();
    let spawner = move |builder: thread::Builder, body: crate::builder::Body| match budget.fetch_update(
        Ordering::SeqCst,
        Ordering::SeqCst,
        |left| left.checked_sub(1),
    ) {
        Ok(_) => builder.spawn(body),
        Err(_) => Err(std::io::ErrorKind::WouldBlock.into()),
    };
    let pool = Arc::new(CpuPool::builder().threads(1).spawner(spawner).build().unwrap());
    let inside = pool.clone();
    let error = pool.spawn(move || inside.spawn(|| ()).wait()).wait().unwrap().unwrap_err();
    assert!(error.is_rejected() && error.to_string().contains("could not be made"), "{error}");
    assert_eq!(pool.spawn(|| 1).wait().unwrap(), 1);
}

#[test]
#[cfg(target_os = "linux")]
fn threads_step_back_unless_told_not_to_and_nobody_elses() {
    let niceness = || rustix::process::getpriority_process(None).unwrap();
    let mine = niceness();
    let pool = |low| CpuPool::builder().threads(1).low_priority(low).build().unwrap();
    assert_eq!(pool(true).spawn(niceness).wait().unwrap(), (mine + crate::builder::NICENESS).min(19));
    assert_eq!(pool(false).spawn(niceness).wait().unwrap(), mine);
    assert_eq!(niceness(), mine);
}
