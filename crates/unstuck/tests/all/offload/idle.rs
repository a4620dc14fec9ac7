//! 200 jobs, then idle: the threads go, and those that stay are quiet.

use std::time::{Duration, Instant};

use unstuck::Runtime;

use crate::support::{Gate, alone, field, threads, until};

/// The states of this runtime's pool threads, as the kernel tells them.
fn pool_threads() -> Vec<String> {
    let named = threads().into_iter().filter(|(name, _)| name.starts_with("two-hundred-b"));
    named.map(|(_, status)| status).collect()
}

fn wake_ups() -> u64 {
    let of = |status: &String| field(status, "voluntary_ctxt_switches:").parse::<u64>().unwrap();
    pool_threads().iter().map(of).sum()
}

fn burst(runtime: &Runtime) {
    let gate = Gate::new();
    let jobs: Vec<_> = (0..200)
        .map(|_| {
            let held = gate.clone();
            runtime.handle().spawn_blocking(move || held.pass())
        })
        .collect();
    gate.wait_for(200);
    assert_eq!(pool_threads().len(), 200);
    gate.open();
    jobs.into_iter().for_each(|job| job.wait().unwrap());
}

#[test]
fn after_200_jobs_the_pool_is_back_to_no_threads_within_the_keep_alive() {
    alone(|| {
        const KEEP_ALIVE: Duration = Duration::from_secs(1);
        let runtime = Runtime::builder()
            .worker_threads(1)
            .thread_name("two-hundred")
            .blocking_keep_alive(KEEP_ALIVE)
            .build()
            .unwrap();
        burst(&runtime);
        let idle_since = Instant::now();
        until("all threads have left", || pool_threads().is_empty());
        // The time is asserted generously: what matters is that 200 threads take one keep-alive, not 200 of them.
        assert!(idle_since.elapsed() < 20 * KEEP_ALIVE, "{:?}", idle_since.elapsed());
        assert_eq!(runtime.statistics().blocking.threads, 0);
        assert_eq!(runtime.handle().spawn_blocking(|| 42).wait().unwrap(), 42);
    });
}

#[test]
fn idle_threads_of_200_jobs_wake_up_at_most_once_a_second_all_together() {
    alone(|| {
        let runtime = Runtime::builder().worker_threads(1).thread_name("two-hundred").build().unwrap();
        burst(&runtime);
        // The last of them is on its way to bed: wait for a quiet moment.
        let mut before = wake_ups();
        until("nobody moves for a moment", || {
            std::thread::sleep(Duration::from_millis(100));
            let now = wake_ups();
            std::mem::replace(&mut before, now) == now
        });
        assert_eq!(pool_threads().len(), 200, "the keep-alive of ten seconds has not passed");
        std::thread::sleep(Duration::from_secs(2));
        let woken = wake_ups() - before;
        assert!(woken <= 2, "{woken} wake-ups in two seconds");
    });
}
