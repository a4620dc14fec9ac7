//! The virtual clock on several threads: it jumps when nothing can run, and not before.

use std::future::pending;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use unstuck::{Runtime, cpu, finally, gather, sleep, spawn, time, to_thread, wait_for, yield_now};

use crate::support::{Gate, until};

const HOUR: Duration = Duration::from_secs(3600);
/// Real time in which a wrong jump would have happened. No test waits for it to be enough.
const A_WHILE: Duration = Duration::from_millis(20);

fn paused() -> Runtime {
    Runtime::builder().worker_threads(3).start_paused(true).build().unwrap()
}

#[unstuck::test(worker_threads = 3, paused)]
async fn it_does_not_jump_while_a_task_can_run() {
    let sleeper = spawn(sleep(HOUR));
    let busy = spawn(async {
        for _ in 0..20_000 {
            yield_now().await;
            assert_eq!(time(), Duration::ZERO);
        }
    });
    busy.await.unwrap();
    sleeper.await.unwrap();
    assert_eq!(time(), HOUR);
}

#[unstuck::test(worker_threads = 3, paused)]
async fn it_does_not_jump_while_a_poll_runs() {
    let sleeper = spawn(sleep(HOUR));
    let computes = spawn(async {
        std::thread::sleep(A_WHILE);
        time()
    });
    assert_eq!(computes.await.unwrap(), Duration::ZERO);
    sleeper.await.unwrap();
}

#[unstuck::test(worker_threads = 3, paused)]
async fn it_is_held_while_a_job_runs_on_a_pool() {
    for _ in 0..20 {
        let before = time();
        let job = || {
            std::thread::sleep(A_WHILE / 20);
            42
        };
        assert_eq!(wait_for(to_thread(job), HOUR).await.unwrap().unwrap(), 42);
        assert_eq!(wait_for(cpu(job), HOUR).await.unwrap().unwrap(), 42);
        let (one, two) = gather!(to_thread(job), spawn(async move { cpu(job).await.unwrap() })).await;
        assert_eq!((one.unwrap(), two.unwrap()), (42, 42));
        assert_eq!(time(), before);
        sleep(HOUR).await;
        assert_eq!(time(), before + HOUR);
    }
}

#[unstuck::test(flavor = "single", paused)]
async fn the_single_threaded_loop_holds_it_for_jobs_too() {
    let job = || std::thread::sleep(A_WHILE);
    wait_for(to_thread(job), HOUR).await.unwrap().unwrap();
    wait_for(cpu(job), HOUR).await.unwrap().unwrap();
    assert_eq!(time(), Duration::ZERO);
}

#[unstuck::test(worker_threads = 2, paused)]
async fn a_job_that_is_cancelled_or_panics_lets_go_of_it() {
    assert!(to_thread(|| panic!("(this test wants that)")).await.map(|(): ()| ()).is_err());
    assert!(cpu(|| panic!("(this test wants that)")).await.map(|(): ()| ()).is_err());
    let gate = Gate::new();
    let runtime =
        Runtime::builder().worker_threads(1).start_paused(true).max_blocking_threads(1).build().unwrap();
    let (held, handle) = (gate.clone(), runtime.handle());
    let running = handle.spawn_blocking(move || held.pass());
    let queued = handle.spawn_blocking(|| ());
    assert!(queued.cancel());
    drop(queued);
    gate.open();
    running.await.unwrap();
    handle.spawn(async { sleep(HOUR).await }).await.unwrap();
    assert_eq!(handle.time(), HOUR);
    sleep(HOUR).await;
    assert_eq!(time(), HOUR);
    drop(runtime);
}

#[test]
fn a_thread_awake_in_block_on_holds_it() {
    let runtime = paused();
    let (inside, awake) = (Gate::new(), Arc::new(AtomicBool::new(true)));
    std::thread::scope(|scope| {
        let (runtime, inside, awake) = (&runtime, &inside, &awake);
        scope.spawn(move || {
            runtime.block_on(async {
                inside.open();
                until("the other sleeps", || runtime.statistics().timers.armed == 1);
                std::thread::sleep(A_WHILE); // awake, whatever the others do
                assert_eq!(time(), Duration::ZERO);
                awake.store(false, Ordering::SeqCst);
                sleep(HOUR).await;
            });
        });
        scope.spawn(move || {
            inside.pass();
            runtime.block_on(async {
                sleep(HOUR).await;
                assert!(!awake.load(Ordering::SeqCst), "it jumped over a thread that was awake");
            });
        });
    });
    assert_eq!(runtime.handle().time(), HOUR);
}

/// Leaves tasks over, so many that cancelling them takes its time, when they have all begun to sleep.
async fn leave_sleepers(woken: &Arc<AtomicUsize>, cleaned: &Arc<AtomicBool>) {
    const LEFT: usize = 10_000;
    let begun = Arc::new(AtomicUsize::new(0));
    for number in 1..LEFT as u32 {
        let (woken, begun) = (woken.clone(), begun.clone());
        spawn(async move {
            begun.fetch_add(1, Ordering::SeqCst);
            sleep(HOUR * number).await;
            woken.fetch_add(1, Ordering::SeqCst);
        })
        .detach();
    }
    let (begins, cleaned) = (begun.clone(), cleaned.clone());
    let body = async move {
        begins.fetch_add(1, Ordering::SeqCst);
        pending::<()>().await;
    };
    let cleanup = async move {
        sleep(HOUR).await; // it has its time
        cleaned.store(true, Ordering::SeqCst);
    };
    spawn(finally(body, cleanup)).detach();
    while begun.load(Ordering::SeqCst) < LEFT {
        yield_now().await;
    }
}

#[test]
fn it_does_not_jump_between_the_end_of_a_run_and_the_cancellation_of_what_is_left() {
    for panics in [false, true] {
        let (woken, cleaned) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
        let runtime = paused();
        let handle = runtime.handle();
        let run = catch_unwind(AssertUnwindSafe(|| {
            runtime.run(async {
                leave_sleepers(&woken, &cleaned).await;
                assert!(!panics, "(this test wants that)");
            });
        }));
        assert_eq!(run.is_err(), panics);
        assert_eq!(woken.load(Ordering::SeqCst), 0, "were woken instead of being cancelled");
        assert!(cleaned.load(Ordering::SeqCst));
        assert_eq!(handle.time(), HOUR);
    }
}

#[test]
fn many_threads_and_tasks_that_sleep_agree_on_the_time() {
    let runtime = paused();
    std::thread::scope(|scope| {
        for thread in 0..4_u32 {
            let runtime = &runtime;
            scope.spawn(move || {
                runtime.block_on(async {
                    for round in 1..=50_u32 {
                        let before = time();
                        let nap = HOUR * (1 + (thread + round) % 3);
                        let task = spawn(async move {
                            sleep(nap).await;
                            time()
                        });
                        assert!(task.await.unwrap() >= before + nap);
                    }
                });
            });
        }
    });
}

#[unstuck::test(worker_threads = 2, paused)]
async fn a_thousand_sleeps_end_in_order_and_each_at_its_time() {
    let naps = (0..1_000_u32).rev().map(|number| {
        spawn(async move {
            sleep(HOUR * number).await;
            (number, time())
        })
    });
    for end in gather(naps.collect::<Vec<_>>()).await {
        let (number, at) = end.unwrap();
        assert_eq!(at, HOUR * number);
    }
}

#[unstuck::test(worker_threads = 2, paused)]
async fn an_interval_ticks_on_the_virtual_clock() {
    let mut ticks = unstuck::interval(HOUR);
    let first = ticks.tick().await;
    for number in 1..=10_u32 {
        assert_eq!(ticks.tick().await, first + HOUR * number);
    }
    assert_eq!(time(), HOUR * 10);
}
