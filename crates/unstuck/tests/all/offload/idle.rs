//! 200 jobs, then idle: the threads go, and those that stay are quiet.

use std::time::Duration;

use unstuck::Runtime;

use crate::support::{Gate, PATIENCE, Turns, alone, threads, turns, turns_within, until};

/// As the kernel cuts it off.
const NAME: &str = "two-hundred-b";

/// How many threads this runtime's pool has, as the kernel tells it.
fn pool_threads() -> usize {
    threads().into_iter().filter(|(name, _)| name.starts_with(NAME)).count()
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
    assert_eq!(pool_threads(), 200);
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
        // Were they to leave one after the other, they would take 200 times as long, which nobody waits for.
        const { assert!(PATIENCE.as_secs() < 200 * KEEP_ALIVE.as_secs()) };
        until("all threads have left", || pool_threads() == 0);
        assert_eq!(runtime.statistics().blocking.threads, 0);
        assert_eq!(runtime.handle().spawn_blocking(|| 42).wait().unwrap(), 42);
    });
}

#[test]
fn idle_threads_of_200_jobs_wake_up_at_most_once_a_second_all_together() {
    alone(|| {
        let builder = Runtime::builder().worker_threads(1).thread_name("two-hundred");
        let runtime = builder.blocking_keep_alive(Duration::from_secs(3600)).build().unwrap();
        burst(&runtime);
        let (before, after) = turns_within(Duration::from_secs(2), || turns(|name| name.starts_with(NAME)));
        assert_eq!((before.len(), after.len()), (200, 200));
        let turns = |turns: Turns| turns.into_iter().map(|(_, turns)| turns.expect("asleep")).sum::<u64>();
        let woken = turns(after) - turns(before);
        assert!(woken <= 2, "{woken} wake-ups in two seconds");
    });
}
