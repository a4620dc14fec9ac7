//! Pools all of whose threads wait: for something outside, which ends by itself, or for each other, which never does.

use std::sync::Arc;

use unstuck::offload::{CpuPool, JobHandle, Options, ThreadPool};
use unstuck::sync::Event;
use unstuck::{Handle, Runtime};

use crate::support::{STDERR_IN_A_FILE, has_said, in_child, text, until};

/// More jobs than a pool may have threads, each of which blocks on an event of the runtime.
fn sleepers(
    event: &Arc<Event>,
    spawn: impl Fn(Box<dyn FnOnce() + Send>) -> JobHandle<()>,
) -> Vec<JobHandle<()>> {
    (0..400)
        .map(|_| {
            let (handle, event) = (Handle::current(), event.clone());
            spawn(Box::new(move || handle.block_on(async { event.wait().await })))
        })
        .collect()
}

#[test]
fn more_jobs_than_threads_may_block_on_something_outside_of_their_pool() {
    let runtime = Runtime::builder().worker_threads(1).build().unwrap();
    let _entered = runtime.enter();
    let pool = ThreadPool::builder().max_threads(4).max_lent_threads(60).build().unwrap();
    let event = Arc::new(Event::new());
    let jobs = sleepers(&event, |job| pool.spawn(job));
    until("every thread waits", || pool.statistics().waiting == 64);
    // Who comes now waits in line, like those before.
    let late = pool.spawn(|| "late");
    assert_eq!((pool.statistics().queued, pool.statistics().refused), (337, 0));
    event.set();
    jobs.into_iter().for_each(|job| job.wait().unwrap());
    assert_eq!((late.wait().unwrap(), pool.statistics().refused), ("late", 0));
}

#[test]
fn more_compute_jobs_than_threads_may_block_on_something_outside_of_their_pool() {
    let runtime = Runtime::builder().worker_threads(1).build().unwrap();
    let _entered = runtime.enter();
    let pool = CpuPool::builder().threads(2).build().unwrap();
    let event = Arc::new(Event::new());
    let jobs = sleepers(&event, |job| pool.spawn(job));
    until("every thread waits", || pool.statistics().running >= 66);
    let late = pool.spawn(|| "late");
    event.set();
    jobs.into_iter().for_each(|job| job.wait().unwrap());
    assert_eq!(late.wait().unwrap(), "late");
}

#[test]
fn a_wait_that_ends_by_itself_keeps_others_from_being_refused() {
    let pool = Arc::new(ThreadPool::builder().max_threads(1).max_lent_threads(1).build().unwrap());
    let other = ThreadPool::builder().max_threads(1).build().unwrap();
    let gate = crate::support::Gate::new();
    let held = gate.clone();
    let awaited = other.spawn(move || held.pass());
    let sleeps = pool.spawn(move || awaited.wait().unwrap());
    until("one waits for the other pool", || pool.statistics().waiting == 1);
    // The last thread waits for a job queued behind it; that one runs when the first goes on.
    let inside = pool.clone();
    let waits = pool.spawn(move || inside.spawn(|| 42).wait());
    until("both wait", || pool.statistics().waiting == 2);
    gate.open();
    sleeps.wait().unwrap();
    assert_eq!(waits.wait().unwrap().unwrap(), 42);
}

#[test]
fn jobs_that_wait_for_each_other_in_a_full_pool_get_an_error_and_only_one_of_them() {
    let pool = Arc::new(ThreadPool::builder().max_threads(2).max_lent_threads(0).build().unwrap());
    let jobs: Vec<_> = (0..2)
        .map(|n| {
            let (inside, both) = (pool.clone(), pool.clone());
            let outer = move || {
                until("both run", || both.statistics().started == 2);
                inside.submit(move || n, Options::new().name(format!("inner {n}"))).wait()
            };
            pool.submit(outer, Options::new().name(format!("outer {n}")))
        })
        .collect();
    let results: Vec<_> = jobs.into_iter().map(|job| job.wait().unwrap()).collect();
    let errors: Vec<_> = results.iter().filter_map(|result| result.as_ref().err()).collect();
    assert_eq!(errors.len(), 1, "the other one had a thread then: {results:?}");
    let text = errors[0].to_string();
    assert!(text.starts_with("job 'inner ") && text.contains("job 'outer "), "{text}");
}

#[test]
fn a_pool_that_stands_still_says_so_when_nobody_can_tell_whether_it_will_go_on() {
    let output = in_child(&STDERR_IN_A_FILE, || {
        let runtime = Runtime::builder().worker_threads(1).build().unwrap();
        let _entered = runtime.enter();
        let pool =
            Arc::new(ThreadPool::builder().max_threads(1).max_lent_threads(0).name("still").build().unwrap());
        let (inside, event) = (pool.clone(), Arc::new(Event::new()));
        let set = event.clone();
        let (handle, spawner) = (Handle::current(), Handle::current());
        // It waits for a task, and that for a job behind it: nobody sees the circle.
        let waiter = move || {
            let task = spawner.spawn(async move {
                let behind = inside.submit(|| (), Options::new().name("behind"));
                event.wait().await;
                drop(behind);
            });
            handle.block_on(task).unwrap();
        };
        let waiter = pool.submit(waiter, Options::new().name("waiter"));
        until("it says so", || has_said("'still' stands still"));
        set.set();
        waiter.wait().unwrap();
    });
    if let Some(output) = output {
        let text = text(&output);
        assert!(output.status.success(), "{text}");
        assert!(text.contains("job 'behind' (from ") && text.contains("job 'waiter' (from "), "{text}");
    }
}
