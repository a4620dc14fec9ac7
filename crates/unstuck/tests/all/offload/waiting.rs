//! Jobs that wait for jobs behind them. On a pool that does not notice, each of these hangs.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::channel;

use unstuck::offload::{self, CpuPool, JobHandle, Limiter, Options, Route, ThreadPool};
use unstuck::{Handle, Runtime, run_in_executor, spawn, to_thread};

use crate::support::{Crowd, Gate, STDERR_IN_A_FILE, has_said, in_child, text, until};

fn pool_of_one(lent: usize) -> Arc<ThreadPool> {
    Arc::new(ThreadPool::builder().max_threads(1).max_lent_threads(lent).build().unwrap())
}

#[test]
fn a_job_that_waits_for_one_behind_it_does_not_hang() {
    let pool = pool_of_one(1);
    let inside = pool.clone();
    let outer = pool.spawn(move || inside.spawn(|| 40).wait().unwrap() + 2);
    assert_eq!(outer.wait().unwrap(), 42);
    until("nobody waits any more", || pool.statistics().waiting == 0 && pool.statistics().running == 0);
}

#[test]
fn a_chain_of_jobs_each_waiting_for_the_next_does_not_hang() {
    fn depth(pool: &Arc<ThreadPool>, left: u32) -> u32 {
        if left == 0 {
            return 0;
        }
        let inside = pool.clone();
        pool.spawn(move || depth(&inside, left - 1)).wait().unwrap() + 1
    }
    let pool = pool_of_one(50);
    assert_eq!(depth(&pool, 50), 50);
}

#[test]
fn a_job_that_waits_for_another_through_a_task_does_not_hang() {
    let runtime = Runtime::builder().worker_threads(2).max_blocking_threads(1).build().unwrap();
    let sum = runtime.handle().spawn_blocking(|| {
        let task = spawn(async { to_thread(|| 40).await.unwrap() });
        let by_task = task.wait().unwrap();
        by_task + Handle::current().block_on(async { to_thread(|| 2).await.unwrap() })
    });
    let sum = sum.wait();
    assert_eq!(sum.unwrap(), 42);
}

#[test]
fn a_job_that_drops_a_pool_which_waits_for_a_job_behind_it_does_not_hang() {
    // In each pool a job drops another pool, whose job waits for one that is queued behind the first.
    let (outer, compute) = (pool_of_one(1), Arc::new(CpuPool::builder().threads(1).build().unwrap()));
    let other = || ThreadPool::builder().max_threads(1).build().unwrap();
    let (inner, behind) = (other(), outer.clone());
    let drops = outer.spawn(move || {
        let job = inner.spawn(move || behind.spawn(|| 42).wait().unwrap());
        drop(inner);
        job.wait().unwrap()
    });
    assert_eq!(drops.wait().unwrap(), 42);
    let (inner, behind) = (other(), compute.clone());
    let drops = compute.spawn(move || {
        let job = inner.spawn(move || behind.spawn(|| 43).wait().unwrap());
        drop(inner);
        job.wait().unwrap()
    });
    assert_eq!(drops.wait().unwrap(), 43);
}

#[test]
fn a_job_that_shuts_a_compute_pool_down_lends_its_thread_meanwhile() {
    let (outer, inner) = (pool_of_one(1), CpuPool::builder().threads(1).build().unwrap());
    let behind = outer.clone();
    let ends = outer.spawn(move || {
        let job = inner.spawn(move || behind.spawn(|| 42).wait().unwrap());
        inner.shutdown();
        job.wait().unwrap()
    });
    assert_eq!(ends.wait().unwrap(), 42);
}

#[test]
fn jobs_beyond_the_limit_wait_again_as_soon_as_the_waiting_one_goes_on() {
    let pool = pool_of_one(1);
    let (inside, gate, first_waits) = (pool.clone(), Gate::new(), Gate::new());
    let (held, told) = (gate.clone(), first_waits.clone());
    let outer = pool.spawn(move || {
        inside.spawn(|| ()).wait().unwrap();
        told.pass();
        held.pass();
    });
    first_waits.open();
    gate.wait_for(1);
    // The first has its room again, so the next waits although a second thread is there.
    let next = pool.spawn(|| "next");
    assert_eq!((pool.statistics().running, pool.statistics().queued), (1, 1));
    assert!(!next.is_done());
    gate.open();
    outer.wait().unwrap();
    assert_eq!(next.wait().unwrap(), "next");
}

#[test]
fn where_no_thread_may_be_added_the_wait_is_an_error_that_names_both_jobs() {
    let pool = pool_of_one(0);
    let inside = pool.clone();
    let outer = move || {
        let inner = inside.submit(|| unreachable!("it is taken back"), Options::new().name("inner"));
        inner.wait().map(|(): ()| ()).unwrap_err()
    };
    let error = pool.submit(outer, Options::new().name("outer")).wait().unwrap();
    let text = error.to_string();
    assert!(error.is_rejected() && text.starts_with("job 'inner' (from "), "{text}");
    assert!(text.contains("job 'outer' (from ") && text.contains("max_lent_threads 0"), "{text}");
    assert_eq!(pool.spawn(|| "goes on").wait().unwrap(), "goes on");
}

#[test]
fn a_block_on_that_would_never_return_panics_and_names_both_jobs() {
    let runtime = Runtime::builder().worker_threads(1).build().unwrap();
    let pool = pool_of_one(0);
    let inside = pool.clone();
    let _entered = runtime.enter();
    let outer = move || {
        Handle::current().block_on(async { run_in_executor(&*inside, || ()).await }).unwrap();
    };
    let handle = runtime.handle();
    let outer = move || {
        let _entered = handle.enter();
        outer();
    };
    let error = pool.submit(outer, Options::new().name("outer")).wait().unwrap_err();
    let message = error.panic_message().unwrap();
    assert!(message.starts_with("block_on() would never return: job 'outer' (from "), "{message}");
    assert!(message.contains(") must not wait for job (from "), "{message}");
    assert!(
        message.contains(", because every thread of its pool would wait for jobs of that same pool"),
        "{message}"
    );
}

#[test]
fn a_job_that_comes_when_every_thread_waits_for_somebody_else_runs_when_one_goes_on() {
    let pool = pool_of_one(0);
    let gate = Gate::new();
    let other = ThreadPool::builder().max_threads(1).build().unwrap();
    let held = gate.clone();
    let awaited = other.spawn(move || held.pass());
    let waiter = pool.submit(move || awaited.wait().unwrap(), Options::new().name("waiter"));
    until("it waits", || pool.statistics().waiting == 1);
    let late = pool.spawn(|| "late");
    assert_eq!((pool.statistics().queued, pool.statistics().refused), (1, 0));
    gate.open();
    waiter.wait().unwrap();
    assert_eq!(late.wait().unwrap(), "late");
}

#[test]
fn a_job_that_waits_for_one_behind_its_full_limiter_does_not_hang() {
    let pool = Arc::new(ThreadPool::builder().build().unwrap());
    let limiter = Limiter::new("one at a time", 1);
    let (inside, same) = (pool.clone(), limiter.clone());
    let route = Route::new().limiter(&limiter);
    let outer = move || {
        let inner = inside.submit_in(|| 40, Options::new(), &Route::new().limiter(&same));
        inner.wait().unwrap() + 2
    };
    assert_eq!(pool.submit_in(outer, Options::new(), &route).wait().unwrap(), 42);
    until("all permits are back", || limiter.statistics().running == 0);
}

/// A pool and a limiter of one, with a job that waits for `other` and one that its permit lets in meanwhile and that stays
/// at `inside`; both count themselves in `crowd`.
fn lent(
    pool: &ThreadPool,
    limiter: &Limiter,
    other: &Gate,
    inside: &Gate,
) -> (Arc<Crowd>, [JobHandle<()>; 2]) {
    let (crowd, route) = (Arc::new(Crowd::default()), Route::new().limiter(limiter));
    let awaited = pool.spawn({
        let other = other.clone();
        move || other.pass()
    });
    let (first, second) = (crowd.clone(), crowd.clone());
    let lends = move || {
        awaited.wait().unwrap();
        first.visit(|| ());
    };
    let lends = pool.submit_in(lends, Options::new().name("lender"), &route);
    let inside = inside.clone();
    let gains = pool.submit_in(move || second.visit(|| inside.pass()), Options::new().name("gainer"), &route);
    (crowd, [lends, gains])
}

#[test]
fn a_job_that_has_lent_its_permit_goes_on_only_when_there_is_room_for_it() {
    let pool = ThreadPool::builder().build().unwrap();
    let limiter = Limiter::new("one at a time", 1);
    let (other, inside) = (Gate::new(), Gate::new());
    let (crowd, jobs) = lent(&pool, &limiter, &other, &inside);
    inside.wait_for(1);
    other.open();
    until("the lender wants its permit back", || limiter.statistics().returning == 1);
    // Whoever comes now comes after it.
    let late = crowd.clone();
    let late = pool.submit_in(move || late.visit(|| ()), Options::new(), &Route::new().limiter(&limiter));
    assert_eq!((limiter.statistics().running, limiter.statistics().queued), (1, 1));
    inside.open();
    jobs.into_iter().chain([late]).for_each(|job| job.wait().unwrap());
    assert_eq!(crowd.most(), 1);
    until("all permits are back", || limiter.statistics().running == 0);
}

#[test]
fn a_limit_that_grows_lets_a_lender_go_on_at_once() {
    let pool = ThreadPool::builder().build().unwrap();
    let limiter = Limiter::new("elastic", 1);
    let (other, inside) = (Gate::new(), Gate::new());
    let (crowd, [lends, gains]) = lent(&pool, &limiter, &other, &inside);
    inside.wait_for(1);
    other.open();
    until("the lender wants its permit back", || limiter.statistics().returning == 1);
    limiter.resize(2);
    lends.wait().unwrap();
    assert!(!gains.is_done() && crowd.most() == 2);
    inside.open();
    gains.wait().unwrap();
}

#[test]
fn a_pool_that_is_cut_short_names_the_job_that_waits_for_its_permit_and_ends_when_that_can_go_on() {
    let pool = ThreadPool::builder().build().unwrap();
    let limiter = Limiter::new("one at a time", 1);
    let (other, inside) = (Gate::new(), Gate::new());
    let (_, jobs) = lent(&pool, &limiter, &other, &inside);
    inside.wait_for(1);
    other.open();
    until("the lender wants its permit back", || limiter.statistics().returning == 1);
    let report = pool.shutdown_timeout(std::time::Duration::ZERO).to_string();
    assert!(report.contains("job 'lender'") && report.contains("job 'gainer'"), "{report}");
    inside.open();
    pool.shutdown();
    jobs.into_iter().for_each(|job| job.wait().unwrap());
    assert_eq!((pool.statistics().threads, limiter.statistics().running), (0, 0));
}

#[test]
fn who_waits_long_for_a_lent_permit_says_for_whom() {
    let output = in_child(&STDERR_IN_A_FILE, || {
        let pool = ThreadPool::builder().build().unwrap();
        let limiter = Limiter::new("database", 1);
        let (other, lock) = (Gate::new(), Gate::new());
        let (_, jobs) = lent(&pool, &limiter, &other, &lock);
        lock.wait_for(1);
        other.open();
        until("the lender wants its permit back", || limiter.statistics().returning == 1);
        until("it says so", || has_said("hold no lock across a wait"));
        lock.open();
        jobs.into_iter().for_each(|job| job.wait().unwrap());
    });
    if let Some(output) = output {
        let text = text(&output);
        assert!(
            text.contains("unstuck: job 'lender' (from ") && text.contains("leaves 'database' (limit 1)"),
            "{text}"
        );
        assert!(text.contains("unstuck:   job 'gainer' (from "), "{text}");
    }
}

#[test]
fn a_wait_that_is_refused_has_lent_no_permit() {
    let pool = pool_of_one(0);
    let limiter = Limiter::new("one", 1);
    let (inside, same) = (pool.clone(), limiter.clone());
    let outer = move || {
        let inner = inside.submit_in(|| (), Options::new().name("inner"), &Route::new().limiter(&same));
        let error = inner.wait().unwrap_err();
        (error, same.statistics().running)
    };
    let outer = pool.submit_in(outer, Options::new().name("outer"), &Route::new().limiter(&limiter));
    let (error, running) = outer.wait().unwrap();
    let text = error.to_string();
    assert!(
        error.is_rejected() && text.contains("job 'inner' (from ") && text.contains("job 'outer' (from "),
        "{text}"
    );
    assert_eq!(running, 1);
    until("all permits are back", || limiter.statistics().running == 0);
}

#[test]
fn a_job_on_a_thread_of_its_own_may_wait_for_the_pool() {
    let runtime = Runtime::builder().worker_threads(1).max_blocking_threads(1).build().unwrap();
    let sum = runtime.block_on(async {
        let limiter = Limiter::new("one", 1);
        let same = limiter.clone();
        let outer = move || offload::call().limiter(&same).spawn(|| 40).wait().unwrap() + 2;
        offload::call().own_thread().limiter(&limiter).spawn(outer).await
    });
    assert_eq!(sum.unwrap(), 42);
}

#[test]
fn many_jobs_that_wait_for_many_others_all_end() {
    let pool = Arc::new(ThreadPool::builder().max_threads(3).max_lent_threads(200).build().unwrap());
    let done = Arc::new(AtomicUsize::new(0));
    let jobs: Vec<_> = (0..100)
        .map(|n| {
            let (inside, done) = (pool.clone(), done.clone());
            pool.spawn(move || {
                let behind: Vec<_> = (0..3).map(|m| inside.spawn(move || n * m)).collect();
                let sum: usize = behind.into_iter().map(|job| job.wait().unwrap()).sum();
                done.fetch_add(1, Ordering::SeqCst);
                sum
            })
        })
        .collect();
    for (n, job) in jobs.into_iter().enumerate() {
        assert_eq!(job.wait().unwrap(), 3 * n);
    }
    assert_eq!(done.load(Ordering::SeqCst), 100);
    let statistics = pool.statistics();
    assert!(statistics.started <= 203, "{statistics:?}");
}

#[test]
fn when_no_thread_can_be_made_for_a_job_that_is_waited_for_it_is_refused() {
    // The address space of this process gets so small that the second thread of the pool cannot be made.
    let output = in_child(&["prlimit", "--as=4294967296"], || {
        let pool = Arc::new(ThreadPool::builder().max_threads(1).stack_size(3 << 30).build().unwrap());
        let inside = pool.clone();
        let (tell, told) = channel();
        let outer = pool.spawn(move || tell.send(inside.spawn(|| ()).wait()).unwrap());
        match told.recv() {
            Ok(Err(error)) => println!("REFUSED: {error}"),
            Ok(Ok(())) => println!("it ran"),
            // The first thread could not be made either.
            Err(_) => println!("REFUSED: {}", outer.wait().unwrap_err()),
        }
    });
    if let Some(output) = output {
        let text = text(&output);
        assert!(output.status.success(), "{text}");
        assert!(text.contains("REFUSED: job (from ") && text.contains("no thread could be made"), "{text}");
    }
}

fn plain_rayon(threads: usize) -> Arc<rayon::ThreadPool> {
    Arc::new(rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap())
}

#[test]
fn a_job_of_a_plain_rayon_pool_that_waits_for_one_behind_it_runs_that_itself() {
    let pool = plain_rayon(1);
    let (inside, here) = (pool.clone(), || std::thread::current().id());
    let outer = run_in_executor(&pool, move || {
        let inner = run_in_executor(&inside, move || (here(), offload::CancelToken::current().is_some()));
        (inner.wait().unwrap(), here())
    });
    let ((inner, is_a_job), outer) = outer.wait().unwrap();
    assert!(inner == outer && is_a_job);

    let failed = pool.install(|| run_in_executor(&pool, || panic!("inside (this test wants that)")).wait());
    assert_eq!(failed.map(|(): ()| ()).unwrap_err().panic_message(), Some("inside (this test wants that)"));
    let cancelled = pool.install(|| {
        let job = run_in_executor(&pool, || unreachable!("it was cancelled"));
        assert!(job.cancel());
        job.wait()
    });
    assert!(cancelled.map(|(): ()| ()).unwrap_err().is_cancelled());
}

#[test]
fn in_a_plain_rayon_pool_chains_of_jobs_and_jobs_from_outside_are_waited_for_too() {
    fn depth(pool: &Arc<rayon::ThreadPool>, left: u32) -> u32 {
        if left == 0 {
            return 0;
        }
        let inside = pool.clone();
        run_in_executor(pool, move || depth(&inside, left - 1)).wait().unwrap() + 1
    }
    let pool = plain_rayon(1);
    assert_eq!(depth(&pool, 50), 50);

    let (bring, brought) = channel();
    let first = run_in_executor(&pool, move || brought.recv().map(|job: JobHandle<u32>| job.wait().unwrap()));
    bring.send(run_in_executor(&pool, || 42)).unwrap();
    assert_eq!(first.wait().unwrap().unwrap(), 42);
}

#[test]
fn a_job_of_another_rayon_pool_runs_in_that_pool_and_a_job_that_runs_already_is_waited_for() {
    let (one, other) = (plain_rayon(1), plain_rayon(1));
    let inside = other.clone();
    let elsewhere = run_in_executor(&one, move || {
        let inner = run_in_executor(&inside, || std::thread::current().id());
        inner.wait().unwrap() != std::thread::current().id()
    });
    assert!(elsewhere.wait().unwrap());

    let (two, gate) = (plain_rayon(2), Gate::new());
    let held = gate.clone();
    let running = run_in_executor(&two, move || {
        held.pass();
        42
    });
    gate.wait_for(1);
    let waits = run_in_executor(&two, move || running.wait().unwrap());
    gate.open();
    assert_eq!(waits.wait().unwrap(), 42);
}
