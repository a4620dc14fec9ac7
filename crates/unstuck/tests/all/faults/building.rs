//! Runtimes that cannot be built as asked for.

use std::io::ErrorKind;
use std::process::Command;

use unstuck::Runtime;

use crate::support::{Gate, alone, in_child, one_cpu, own_number, text, until, until_threads_are_gone};

#[test]
fn a_setting_that_cannot_work_is_an_error_that_names_it() {
    let builds = [
        ("worker_threads(0)", Runtime::builder().worker_threads(0)),
        ("worker_threads(1000000)", Runtime::builder().worker_threads(1_000_000)),
        ("max_blocking_threads(0)", Runtime::builder().max_blocking_threads(0)),
        ("cpu_threads(0)", Runtime::builder().cpu_threads(0)),
    ];
    for (name, builder) in builds {
        let error = builder.build().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        assert!(error.to_string().starts_with(name), "{error}");
    }
}

/// Limits the address space of this process to what it has now and `room` bytes more; `None` lifts the limit. Root is
/// not bound by the limit on processes, so this is how a thread is refused.
fn limit_memory(room: Option<u64>) {
    let limit = room.map_or("unlimited".into(), |room| (own_number("VmSize:") * 1024 + room).to_string());
    let pid = std::process::id().to_string();
    // The soft limit only: it can be lifted again.
    let done = Command::new("prlimit").args(["--pid", &pid, &format!("--as={limit}:")]).status().unwrap();
    assert!(done.success());
}

/// Runs the body in a process of its own, whose threads share one heap: each heap would reserve address space at a
/// moment that nobody can foresee.
fn with_one_heap<F: FnOnce()>(body: F) -> Option<std::process::Output> {
    let output = in_child(&["env", "MALLOC_ARENA_MAX=1"], body)?;
    assert!(output.status.success(), "{}", text(&output));
    Some(output)
}

/// The stack of a thread, so large that a few of them reach the limit.
const STACK: usize = 256 << 20;

#[test]
fn a_thread_that_cannot_be_made_is_an_error_of_build_and_the_others_are_joined() {
    with_one_heap(|| {
        limit_memory(Some(5 * STACK as u64 / 2));
        let error = Runtime::builder().worker_threads(8).thread_stack_size(STACK).build().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::WouldBlock, "{error}");
        assert!(error.to_string().contains("a thread of the runtime could not be made"), "{error}");
        assert!(error.to_string().contains("fewer worker_threads"), "{error}");
        until_threads_are_gone();
        // Two fit.
        let runtime = Runtime::builder().worker_threads(2).thread_stack_size(STACK).build().unwrap();
        assert_eq!(runtime.block_on(runtime.spawn(async { 42 })).unwrap(), 42);
    });
}

#[test]
fn when_only_some_threads_of_the_blocking_pool_can_be_made_the_jobs_wait_for_those() {
    let Some(output) = with_one_heap(|| {
        let runtime = Runtime::builder().worker_threads(1).thread_stack_size(STACK).build().unwrap();
        limit_memory(Some(3 * STACK as u64 / 2));
        let gate = Gate::new();
        let job = |number: u32| {
            let gate = gate.clone();
            runtime.handle().spawn_blocking(move || {
                gate.pass();
                number
            })
        };
        let first = job(1);
        gate.wait_for(1);
        let others: Vec<_> = (2..6).map(job).collect();
        let statistics = runtime.statistics().blocking;
        assert_eq!((statistics.threads, statistics.queued), (1, 4));
        assert!(statistics.spawn_failures > 0);
        gate.open();
        assert_eq!(first.wait().unwrap(), 1);
        let sum: u32 = others.into_iter().map(|job| job.wait().unwrap()).sum();
        assert_eq!(sum, 2 + 3 + 4 + 5);
    }) else {
        return;
    };
    let text = text(&output);
    assert_eq!(text.matches("no more threads for").count(), 1, "it is said, and once:\n{text}");
}

#[test]
fn when_no_thread_of_the_blocking_pool_can_be_made_the_job_is_rejected_and_a_later_one_runs() {
    with_one_heap(|| {
        let runtime = Runtime::builder().worker_threads(1).thread_stack_size(STACK).build().unwrap();
        limit_memory(Some(STACK as u64 / 2));
        let error = runtime.handle().spawn_blocking(|| 1).wait().unwrap_err();
        assert!(error.is_rejected() && error.to_string().contains("raise the limit"), "{error}");
        limit_memory(None);
        assert_eq!(runtime.handle().spawn_blocking(|| 1).wait().unwrap(), 1);
    });
}

#[test]
fn a_thousand_workers_work() {
    alone(|| {
        let runtime = Runtime::builder().worker_threads(1_000).build().unwrap();
        let tasks: Vec<_> = (0..5_000_u64)
            .map(|number| {
                runtime.spawn(async move {
                    unstuck::yield_now().await;
                    number
                })
            })
            .collect();
        let sum: u64 =
            runtime.block_on(async { unstuck::gather(tasks).await.into_iter().map(Result::unwrap).sum() });
        assert_eq!(sum, 5_000 * 4_999 / 2);
        runtime.shutdown();
        until_threads_are_gone();
    });
}

#[test]
fn on_one_cpu_the_runtime_is_sized_for_one_and_nothing_starves() {
    let Some(output) = in_child(&["taskset", "-c", &one_cpu()], || {
        let runtime = Runtime::new().unwrap();
        assert_eq!(runtime.statistics().tasks.workers, 1);
        let ended = runtime.block_on(async {
            let busy = unstuck::spawn(async {
                loop {
                    unstuck::yield_now().await;
                }
            });
            let timer = unstuck::spawn(unstuck::sleep(std::time::Duration::from_millis(5)));
            let (computed, called) = unstuck::gather!(unstuck::cpu(|| 1), unstuck::to_thread(|| 2)).await;
            timer.await.unwrap();
            busy.cancel();
            computed.unwrap() + called.unwrap()
        });
        assert_eq!(ended, 3);
    }) else {
        return;
    };
    assert!(output.status.success(), "{}", text(&output));
}

#[test]
fn the_threads_have_the_names_that_were_asked_for() {
    alone(|| {
        let runtime = Runtime::builder().worker_threads(2).thread_name("web").cpu_threads(1).build().unwrap();
        let handle = runtime.handle();
        handle.spawn_blocking(|| ()).wait().unwrap();
        handle.cpu(|| ()).wait().unwrap();
        for name in ["web-0", "web-1", "web-blocking-0", "web-cpu-0"] {
            until(name, || crate::support::threads().iter().any(|(thread, _)| thread == name));
        }
    });
}
