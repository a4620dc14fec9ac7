//! The CPU pool: panics, jobs that wait for jobs, order, limits, and who goes first.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use unstuck::offload::{CpuPool, Options};
use unstuck::{
    Handle, Instant, JobHandle, Runtime, TimeLimit, cpu, gather, par_map, run_in_executor, sleep, spawn,
    timeout, to_thread,
};

use crate::support::Gate;

fn runtime(cpu_threads: usize) -> Runtime {
    Runtime::builder().worker_threads(2).cpu_threads(cpu_threads).build().unwrap()
}

#[test]
fn a_job_that_waits_for_a_job_behind_it_gets_its_value_where_others_hang() {
    runtime(1).block_on(async {
        let outer = cpu(|| cpu(|| 20).wait().unwrap() + cpu(|| 22).wait().unwrap());
        assert_eq!(outer.await.unwrap(), 42);
        // The same through block_on, with a task in between.
        let outer = cpu(|| {
            let task = spawn(async { cpu(|| 42).await.unwrap() });
            Handle::current().block_on(task).unwrap()
        });
        assert_eq!(outer.await.unwrap(), 42);
    });
}

#[test]
fn jobs_nested_without_end_get_an_error_that_says_what_to_do() {
    fn nest() -> Result<u8, unstuck::JoinError> {
        cpu(nest).wait()?
    }
    let runtime = runtime(1);
    let error = runtime.block_on(async { cpu(nest).await.unwrap().unwrap_err() }).to_string();
    assert!(error.contains("await"), "{error}");
    runtime.block_on(async { assert_eq!(cpu(|| 42).await.unwrap(), 42) });
}

#[test]
fn a_panic_in_a_job_is_its_error_and_the_pool_stays_usable() {
    runtime(1).block_on(async {
        for _ in 0..10 {
            let error = cpu(|| panic!("in a job (this test wants that)")).await.map(|(): ()| ()).unwrap_err();
            assert_eq!(error.panic_message(), Some("in a job (this test wants that)"));
        }
        let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
        let error = run_in_executor(&pool, || panic!("in rayon (this test wants that)")).await;
        assert!(error.map(|(): ()| ()).unwrap_err().is_panic(), "a plain rayon pool would abort the process");
        assert_eq!(run_in_executor(&pool, || 1).await.unwrap() + cpu(|| 41).await.unwrap(), 42);
    });
}

#[test]
fn a_queued_job_that_is_cancelled_never_runs_and_a_running_one_sees_it() {
    runtime(1).block_on(async {
        let gate = Gate::new();
        let held = gate.clone();
        let running = cpu(move || {
            held.pass();
            unstuck_core::job::is_cancelled()
        });
        crate::support::eventually("it runs", || gate.arrived() == 1).await;
        let queued = cpu(|| unreachable!("it was cancelled"));
        assert!(queued.cancel() && !running.cancel());
        assert!(queued.await.map(|(): ()| ()).unwrap_err().is_cancelled());
        gate.open();
        assert!(running.await.unwrap(), "its token says so");
    });
}

#[test]
fn what_is_queued_is_cancelled_at_the_end_and_what_runs_is_waited_for() {
    let runtime = runtime(1);
    let gate = Gate::new();
    let held = gate.clone();
    let running = runtime.handle().cpu(move || held.pass());
    gate.wait_for(1);
    let queued: Vec<JobHandle<()>> = (0..100).map(|_| runtime.handle().cpu(|| unreachable!())).collect();
    let ending = std::thread::spawn(move || runtime.shutdown());
    for job in queued {
        assert!(job.wait().unwrap_err().is_cancelled());
    }
    gate.open();
    running.wait().unwrap();
    ending.join().unwrap();
}

#[test]
fn par_map_gives_results_in_order_and_errors_at_their_own_position() {
    runtime(2).block_on(async {
        let results: Vec<_> =
            par_map(0..100, |n| if n == 50 { panic!("fifty (this test wants that)") } else { n })
                .chunk(8)
                .collect()
                .await;
        for (position, result) in (0..).zip(results) {
            match result {
                Ok(value) => assert_eq!(value, position),
                Err(error) => assert!(position == 50 && error.to_string().contains("cpu.rs:"), "{error}"),
            }
        }
    });
}

#[test]
fn a_timeout_around_par_map_is_its_overall_limit_and_stops_what_has_not_begun() {
    let runtime = runtime(1);
    let begun = Arc::new(AtomicUsize::new(0));
    let (count, gate) = (begun.clone(), Gate::new());
    let held = gate.clone();
    runtime.block_on(async {
        let work = move |_| {
            count.fetch_add(1, Ordering::SeqCst);
            held.pass();
        };
        let all = par_map(0..1_000, work).lookahead(4).try_collect::<Vec<()>>();
        let limit = TimeLimit::after(Duration::from_secs(3600));
        let mover = limit.clone();
        let limited = spawn(async move { limit.run(all).await });
        crate::support::eventually("the first one runs", || gate.arrived() == 1).await;
        mover.reschedule(Instant::now()).unwrap();
        assert!(limited.await.unwrap().is_err());
        gate.open();
    });
    runtime.shutdown();
    assert_eq!(begun.load(Ordering::SeqCst), 1);
}

#[unstuck::test(start_paused = true)]
async fn a_paused_clock_does_not_jump_while_par_map_computes() {
    let work = |n: u64| (0..200_000_u64).fold(n, |sum, next| sum.wrapping_mul(31).wrapping_add(next));
    let all = timeout(Duration::from_secs(1), par_map(0..16, work).try_collect::<Vec<u64>>());
    assert_eq!(all.await.expect("no time has passed").unwrap().len(), 16);
}

#[test]
fn a_pool_of_ones_own_is_a_scope_for_its_jobs() {
    let done = Arc::new(AtomicUsize::new(0));
    {
        let pool = CpuPool::builder().threads(2).build().unwrap();
        for _ in 0..50 {
            let done = done.clone();
            drop(pool.submit(move || done.fetch_add(1, Ordering::SeqCst), Options::new().name("count")));
        }
    }
    assert_eq!(done.load(Ordering::SeqCst), 50);
}

#[test]
#[cfg(target_os = "linux")]
fn the_threads_that_compute_step_back_and_the_others_do_not() {
    let niceness = || {
        let stat = std::fs::read_to_string("/proc/thread-self/stat").unwrap();
        let after_name = stat.rsplit_once(')').unwrap().1;
        after_name.split_whitespace().nth(16).unwrap().parse::<i32>().unwrap() // field 19 of proc(5)
    };
    let mine = niceness();
    runtime(1).block_on(async {
        let (computes, waits, task) =
            gather!(cpu(niceness), to_thread(niceness), spawn(async move { niceness() })).await;
        assert!(computes.unwrap() > mine || mine == 19);
        assert_eq!((waits.unwrap(), task.unwrap()), (mine, mine));
    });
    let even = Runtime::builder().worker_threads(1).cpu_low_priority(false).build().unwrap();
    assert_eq!(even.block_on(async { cpu(niceness).await.unwrap() }), mine);
}

#[test]
fn a_heart_beats_beside_more_computing_jobs_than_there_are_cpus() {
    runtime(2).block_on(async {
        let stop = Arc::new(AtomicUsize::new(0));
        let jobs: Vec<_> = (0..64)
            .map(|_| {
                let stop = stop.clone();
                cpu(move || while stop.load(Ordering::SeqCst) == 0 {})
            })
            .collect();
        for _ in 0..20 {
            spawn(sleep(Duration::from_millis(1))).await.unwrap();
        }
        assert!(jobs.iter().all(|job| !job.is_done()));
        stop.store(1, Ordering::SeqCst);
        for job in jobs {
            job.await.unwrap();
        }
    });
}
