//! An idle runtime does not wake up.

use std::time::Duration;

use unstuck::{Runtime, sleep};

use crate::support::{alone, sleep_soundly, until};

/// Nothing that is to stay leaves within the test.
const HOUR: Duration = Duration::from_secs(3600);

#[test]
fn a_runtime_with_nothing_to_do_makes_no_wake_ups() {
    alone(|| {
        let runtime = Runtime::builder()
            .worker_threads(3)
            .thread_name("idle")
            .cpu_threads(2)
            .blocking_keep_alive(HOUR)
            .build()
            .unwrap();
        // Everything a busy program would leave behind: waiting tasks, far timers, idle threads in both pools.
        for _ in 0..10_000 {
            drop(runtime.spawn(std::future::pending::<()>()));
        }
        for _ in 0..100 {
            drop(runtime.spawn(sleep(HOUR)));
        }
        runtime.handle().spawn_blocking(|| ()).wait().unwrap();
        runtime.handle().cpu(|| ()).wait().unwrap();
        until("all timers are armed", || runtime.statistics().timers.armed == 100);
        until("all workers sleep", || runtime.statistics().tasks.sleeping_workers == 3);
        sleep_soundly(Duration::from_millis(1), &["idle-"]);
        let polls = runtime.statistics().tasks.polls;
        let asleep = sleep_soundly(Duration::from_secs(10), &["idle-"]);
        for name in
            ["idle-0", "idle-1", "idle-2", "idle-blocking-0", "idle-cpu-0", "idle-cpu-1", "idle-guard"]
        {
            assert!(asleep.iter().any(|thread| thread == name), "{name} in {asleep:?}");
        }
        assert_eq!(runtime.statistics().tasks.polls, polls);
    });
}

#[test]
fn a_timer_wakes_one_worker_and_not_two() {
    const SLEEPS: u64 = 200;
    let runtime = Runtime::builder().worker_threads(2).build().unwrap();
    let parks = || runtime.statistics().tasks.parks;
    let before = parks();
    runtime
        .block_on(runtime.spawn(async {
            for _ in 0..SLEEPS {
                sleep(Duration::from_millis(1)).await;
            }
        }))
        .unwrap();
    // Whoever lies in the driver runs what the timer woke. Now and then another may have a look.
    let parked = parks() - before;
    assert!(parked <= SLEEPS * 6 / 5, "{parked} sleeps of workers for {SLEEPS} of a task");
}
