//! An idle runtime does not wake up.

use std::collections::BTreeMap;
use std::time::Duration;

use unstuck::{Runtime, sleep};

use crate::support::{alone, field, threads, until};

/// Nothing that is to stay leaves within the test.
const HOUR: Duration = Duration::from_secs(3600);

/// How often each of the runtime's threads has got a CPU so far, because it was woken or because others had pushed it off.
fn sleeps() -> BTreeMap<String, u64> {
    let threads = threads().into_iter().filter(|(name, _)| name.starts_with("idle-"));
    threads
        .map(|(name, status)| {
            let count = |kind| field(&status, kind).parse::<u64>().unwrap();
            (name, count("voluntary_ctxt_switches:") + count("nonvoluntary_ctxt_switches:"))
        })
        .collect()
}

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
        // The last of them is on its way to bed, and rayon's threads look around for a while: wait for an idle interval.
        let mut before = sleeps();
        until("nobody moves for a moment", || {
            std::thread::sleep(Duration::from_millis(100));
            let now = sleeps();
            std::mem::replace(&mut before, now.clone()) == now
        });
        for name in
            ["idle-0", "idle-1", "idle-2", "idle-blocking-0", "idle-cpu-0", "idle-cpu-1", "idle-guard"]
        {
            assert!(before.contains_key(name), "{name} in {before:?}");
        }
        let polls = runtime.statistics().tasks.polls;
        std::thread::sleep(Duration::from_secs(10));
        assert_eq!(sleeps(), before);
        assert_eq!(runtime.statistics().tasks.polls, polls);
    });
}
