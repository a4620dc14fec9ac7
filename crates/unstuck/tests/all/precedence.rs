//! On a crowded machine workers go first and threads that compute last: what each thread asks the kernel for.
#![cfg(target_os = "linux")]

use std::time::Duration;
use std::{fs, thread};

use unstuck::{Runtime, cpu, to_thread};

/// How long this thread wants to run at a time. None if the kernel does not say.
fn slice() -> Option<Duration> {
    let known = fs::read_to_string("/proc/thread-self/sched").ok()?;
    let slice = known.lines().find(|line| line.starts_with("se.slice"))?.rsplit(' ').next()?;
    Some(Duration::from_nanos(slice.parse().unwrap()))
}

/// Linux lets threads choose since 6.12.
fn may_choose() -> bool {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
    let mut parts = release.split(['.', '-']).map(|part| part.parse::<u32>().unwrap_or(0));
    (parts.next(), parts.next()) >= (Some(6), Some(12))
}

#[test]
fn threads_that_compute_ask_for_long_turns_and_nobody_else_does() {
    let (Some(usual), true) = (slice(), may_choose()) else { return };
    let runtime = Runtime::builder().worker_threads(1).build().unwrap();
    let (worker, computing, waiting, own) = runtime.block_on(async {
        let worker = unstuck::spawn(async {
            // From the worker, so that what its threads inherit is seen.
            let own = thread::spawn(slice).join().unwrap();
            (slice(), cpu(slice).await.unwrap(), to_thread(slice).await.unwrap(), own)
        });
        worker.await.unwrap()
    });
    assert_eq!(worker, Some(usual));
    assert_eq!(computing, Some(Duration::from_millis(4)));
    assert_eq!(waiting, Some(usual), "a thread for calls that wait");
    assert_eq!(own, Some(usual), "a thread that a task starts");
    assert!(usual < computing.unwrap(), "{usual:?} is the kernel's own choice");
}

#[test]
fn whoever_should_not_step_back_does_not() {
    let Some(usual) = slice() else { return };
    let runtime = Runtime::builder().worker_threads(1).cpu_low_priority(false).build().unwrap();
    let computing =
        runtime.block_on(async { unstuck::spawn(async { cpu(slice).await.unwrap() }).await.unwrap() });
    assert_eq!(computing, Some(usual));
}
