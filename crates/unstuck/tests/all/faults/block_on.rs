//! Blocking where it would stall others, and from many threads.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};

use unstuck::{EventLoop, Runtime, spawn};

use crate::support::{in_child, text, until};

/// The text that `f` panics with.
fn panic_text(f: impl FnOnce()) -> String {
    let payload = catch_unwind(AssertUnwindSafe(f)).expect_err("it should have panicked");
    payload
        .downcast_ref::<String>()
        .cloned()
        .or_else(|| payload.downcast_ref::<&str>().map(|&s| s.into()))
        .unwrap()
}

#[test]
fn block_on_inside_a_task_panics_with_the_tasks_name_and_the_way_out() {
    unstuck::run(async {
        let task = unstuck::task::Builder::new()
            .name("greedy")
            .spawn(async { panic_text(|| unstuck::Handle::current().block_on(async {})) });
        let text = task.await.unwrap();
        assert!(text.contains("'greedy'") && text.contains(".await"), "{text}");
    });
}

#[test]
fn block_on_inside_a_task_panics_at_the_line_that_called_it() {
    let output = in_child(&[], || {
        unstuck::run(async { drop(spawn(async { unstuck::Handle::current().block_on(async {}) }).await) });
    });
    if let Some(output) = output {
        let text = text(&output);
        let place = format!("panicked at {}:", file!());
        assert!(text.contains(&place), "{place} is not in\n{text}");
    }
}

#[test]
fn a_wait_inside_async_code_panics_with_the_way_out_and_elsewhere_it_waits() {
    unstuck::run(async {
        let (task, job) = (spawn(async {}), unstuck::to_thread(|| ()));
        for text in [panic_text(|| task.wait().unwrap()), panic_text(|| job.wait().unwrap())] {
            assert!(text.contains("wait() inside async code") && text.contains(".await"), "{text}");
        }
        let task = spawn(async { 42 });
        assert_eq!(unstuck::to_thread(|| task.wait().unwrap()).await.unwrap(), 42);
    });
    let runtime = Runtime::builder().worker_threads(1).build().unwrap();
    assert_eq!(runtime.spawn(async { 42 }).wait().unwrap(), 42);
    assert_eq!(runtime.handle().spawn_blocking(|| 42).wait().unwrap(), 42);
}

#[test]
fn a_run_inside_a_run_is_refused_and_the_outer_program_goes_on() {
    let inside = || {
        for nested in [|| unstuck::run(async {}), || unstuck::run_single(async {})] {
            let text = panic_text(nested);
            assert!(text.contains("inside async code") && text.contains(".await"), "{text}");
        }
        let other = EventLoop::new().unwrap();
        assert!(panic_text(|| other.run_until_complete(async {})).contains(".await"));
        assert!(panic_text(|| other.run_forever()).contains("run_forever() inside"));
    };
    assert_eq!(
        unstuck::run(async {
            inside();
            spawn(async move { inside() }).await.unwrap();
            42
        }),
        42
    );
    assert_eq!(
        unstuck::run_single(async {
            inside();
            spawn(async move { inside() }).await.unwrap();
            42
        }),
        42
    );
}

#[test]
fn a_closure_on_a_pool_may_spawn_and_block_on_the_runtime_it_came_from() {
    let work = || {
        let task = spawn(async { 20 });
        unstuck::Handle::current().block_on(async { task.await.unwrap() + 22 })
    };
    unstuck::run(async move {
        assert_eq!(unstuck::to_thread(work).await.unwrap(), 42);
        assert_eq!(unstuck::cpu(work).await.unwrap(), 42);
    });
}

#[test]
fn many_threads_may_block_on_one_runtime_at_once() {
    let runtime = Runtime::builder().worker_threads(2).build().unwrap();
    let sum = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for number in 1..=16 {
            let (runtime, sum) = (&runtime, &sum);
            scope.spawn(move || {
                for _ in 0..50 {
                    let task = runtime.spawn(async move {
                        unstuck::yield_now().await;
                        number
                    });
                    sum.fetch_add(runtime.block_on(task).unwrap(), Ordering::SeqCst);
                }
            });
        }
    });
    assert_eq!(sum.load(Ordering::SeqCst), 50 * (16 * 17 / 2));
}

#[test]
fn threads_that_block_on_a_single_threaded_loop_are_served_by_the_one_that_runs_it() {
    let event_loop = EventLoop::new().unwrap();
    let sum = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        let served: Vec<_> = (1..=8)
            .map(|number| {
                let (handle, sum) = (event_loop.handle(), &sum);
                scope.spawn(move || {
                    for _ in 0..20 {
                        let value = handle.block_on(handle.spawn(async move {
                            unstuck::yield_now().await;
                            number
                        }));
                        sum.fetch_add(value.unwrap(), Ordering::SeqCst);
                    }
                })
            })
            .collect();
        let handle = event_loop.handle();
        scope.spawn(move || {
            for thread in served {
                thread.join().unwrap();
            }
            handle.stop();
        });
        event_loop.run_forever();
    });
    assert_eq!(sum.load(Ordering::SeqCst), 20 * (8 * 9 / 2));
}

#[test]
fn a_child_runs_elsewhere_while_its_parent_blocks_the_worker() {
    let runtime = Runtime::builder().worker_threads(2).build().unwrap();
    until("both workers sleep", || runtime.statistics().tasks.sleeping_workers == 2);
    let parent = runtime.spawn(async {
        let (sender, receiver) = std::sync::mpsc::channel();
        let child = spawn(async move { sender.send(42).unwrap() });
        let value = receiver.recv().unwrap(); // nobody else can run the child
        child.await.unwrap();
        value
    });
    assert_eq!(runtime.block_on(parent).unwrap(), 42);
}

#[test]
fn outside_a_runtime_every_call_that_needs_one_says_so() {
    type Call = fn();
    let calls: [(&str, Call); 7] = [
        ("spawn", || drop(spawn(async {}))),
        ("to_thread", || drop(unstuck::to_thread(|| ()))),
        ("cpu", || drop(unstuck::cpu(|| ()))),
        ("run_in_executor", || {
            drop(unstuck::run_in_executor(&unstuck::offload::DefaultExecutor, || ()));
        }),
        ("Handle::current", || drop(unstuck::Handle::current())),
        ("Handle::current", || _ = unstuck::time()),
        ("spawn_local", || drop(unstuck::spawn_local(async {}))),
    ];
    for (name, call) in calls {
        let text = panic_text(call);
        assert!(
            text.contains(name) && text.contains("unstuck::run(..)") || text.contains("run_single(..)"),
            "{text}"
        );
    }
    assert!(unstuck::Handle::try_current().is_none());
    let mut nap = std::pin::pin!(unstuck::sleep(std::time::Duration::from_secs(1)));
    let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
    let text = panic_text(|| _ = std::future::Future::poll(nap.as_mut(), &mut cx));
    assert!(text.contains("unstuck::run(..)"), "{text}");
}
