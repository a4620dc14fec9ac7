//! Ends that do not hang in silence.

use std::time::Duration;

use unstuck::offload::{self, CpuPool, Limiter, Options, Route, Shutdown, ThreadPool};
use unstuck::{Runtime, to_thread};

use crate::support::{Gate, PATIENCE, STDERR_IN_A_FILE, has_said, in_child, text, until};

#[test]
fn a_runtimes_report_names_jobs_and_tasks_that_have_not_ended() {
    let runtime = Runtime::builder().worker_threads(1).build().unwrap();
    let gate = Gate::new();
    let (held, in_task) = (gate.clone(), gate.clone());
    let _entered = runtime.enter();
    let job = offload::call().name("stuck call").spawn(move || held.pass());
    drop(runtime.spawn(async move { in_task.pass() }));
    gate.wait_for(2);
    drop(_entered);
    let report = runtime.shutdown_timeout(Duration::from_millis(10));
    assert!(!report.is_complete());
    assert_eq!((report.running.len(), report.tasks.len()), (1, 1));
    assert_eq!(report.running[0].name(), Some("stuck call"));
    assert!(report.running[0].since().elapsed() >= Duration::from_millis(10));
    let text = report.to_string();
    assert!(text.contains("job 'stuck call' (from ") && text.contains("offload/ending.rs"), "{text}");
    assert!(text.contains("\n  task "), "{text}");
    gate.open();
    job.wait().unwrap();
}

#[test]
fn a_shutdown_asks_running_closures_to_stop_and_is_complete_when_they_do() {
    let runtime = Runtime::builder().worker_threads(1).build().unwrap();
    let running = Gate::new();
    running.open();
    let told = running.clone();
    drop(runtime.handle().spawn_blocking(move || {
        told.pass();
        while !offload::is_cancelled() {
            std::thread::yield_now();
        }
    }));
    running.wait_for(1);
    let report = runtime.shutdown_timeout(PATIENCE);
    assert!(report.is_complete() && report.running.is_empty(), "{report}");
}

#[test]
fn dropping_a_runtime_says_after_a_second_which_jobs_it_waits_for() {
    let output = in_child(&STDERR_IN_A_FILE, || {
        let runtime = Runtime::builder().worker_threads(1).build().unwrap();
        let gate = Gate::new();
        let held = gate.clone();
        {
            let _entered = runtime.enter();
            drop(offload::call().name("slow one").spawn(move || held.pass()));
        }
        gate.wait_for(1);
        let opener = std::thread::spawn(move || {
            until("the drop has said its line", || has_said("job 'slow one' (from "));
            gate.open();
        });
        drop(runtime);
        opener.join().unwrap();
    });
    if let Some(output) = output {
        let text = text(&output);
        assert!(output.status.success(), "{text}");
        assert!(text.contains("the runtime was dropped and waits for jobs: 1 still running"), "{text}");
        assert!(text.contains("job 'slow one' (from "), "{text}");
        assert!(!text.contains("leaves jobs behind"), "{text}");
    }
}

#[test]
fn shutting_a_pool_down_says_after_a_second_which_jobs_it_waits_for() {
    let output = in_child(&STDERR_IN_A_FILE, || {
        let threads = ThreadPool::builder().name("files").max_threads(1).build().unwrap();
        let compute = CpuPool::builder().name("pixels").threads(1).build().unwrap();
        let gate = Gate::new();
        let held = [gate.clone(), gate.clone()];
        let [in_threads, in_compute] = held;
        drop(threads.submit(move || in_threads.pass(), Options::new().name("slow file")));
        drop(compute.submit(move || in_compute.pass(), Options::new().name("slow pixel")));
        gate.wait_for(2);
        let queued = (threads.spawn(|| ()), compute.spawn(|| ()));
        std::thread::scope(|scope| {
            scope.spawn(|| threads.shutdown());
            scope.spawn(|| compute.shutdown());
            until("both have said their lines", || {
                has_said("job 'slow file' (from ") && has_said("job 'slow pixel' (from ")
            });
            gate.open();
        });
        queued.0.wait().unwrap();
        queued.1.wait().unwrap();
    });
    if let Some(output) = output {
        let text = text(&output);
        assert!(output.status.success(), "{text}");
        assert!(text.contains("unstuck: the shutdown of 'files' waits for 2 jobs"), "{text}");
        let compute =
            "unstuck: the shutdown of 'pixels' waits for 1 queued jobs; 1 still running, 0 cancelled";
        assert!(text.contains(compute), "{text}");
    }
}

#[test]
fn a_pool_that_ends_takes_the_jobs_along_that_wait_for_a_limiter() {
    let limiter = Limiter::new("one", 1);
    let route = Route::new().limiter(&limiter);
    let other = ThreadPool::builder().build().unwrap();
    let gate = Gate::new();
    let held = gate.clone();
    // Another pool's job has the permit: whoever waits for it here has no thread.
    let holder = other.submit_in(move || held.pass(), Options::new(), &route);
    gate.wait_for(1);

    let cancels = ThreadPool::builder().build().unwrap();
    let kept: Vec<_> = (0..3).map(|_| cancels.submit_in(|| (), Options::new(), &route)).collect();
    assert_eq!(cancels.statistics().held, 3);
    let report = cancels.shutdown_timeout(PATIENCE);
    assert_eq!((report.cancelled, report.is_complete()), (3, true));
    assert!(kept.into_iter().all(|job| job.wait().unwrap_err().is_cancelled()));
    assert!(cancels.submit_in(|| (), Options::new(), &route).wait().unwrap_err().is_rejected());

    let waits = ThreadPool::builder().build().unwrap();
    let kept: Vec<_> = (0..3).map(|n| waits.submit_in(move || n, Options::new(), &route)).collect();
    assert!(waits.shutdown_with(Shutdown::detach()).is_complete(), "there is no thread yet");
    std::thread::scope(|scope| {
        let ending = scope.spawn(|| waits.shutdown());
        gate.open();
        ending.join().unwrap();
    });
    assert!(kept.iter().all(unstuck::JobHandle::is_done), "the shutdown waited for them");
    assert_eq!(kept.into_iter().map(|job| job.wait().unwrap()).sum::<i32>(), 3);
    holder.wait().unwrap();
}

#[test]
fn a_call_on_its_own_thread_is_waited_for_and_named_like_any_other() {
    let pool = ThreadPool::builder().build().unwrap();
    let gate = Gate::new();
    let held = gate.clone();
    let job = offload::call().name("listener").own_thread().on(&pool).spawn(move || held.pass());
    gate.wait_for(1);
    let report = pool.shutdown_timeout(Duration::from_millis(5));
    assert_eq!((report.running.len(), report.threads), (1, 1));
    assert!(report.to_string().contains("job 'listener'"), "{report}");
    assert!(offload::call().own_thread().on(&pool).spawn(|| ()).wait().unwrap_err().is_rejected());
    gate.open();
    job.wait().unwrap();
    assert!(pool.shutdown_timeout(PATIENCE).is_complete());
}

#[test]
fn the_end_of_run_ends_a_loop_that_asks_whether_it_was_cancelled() {
    // In tokio this program never ends.
    unstuck::run(async {
        let running = Gate::new();
        running.open();
        let told = running.clone();
        drop(to_thread(move || {
            told.pass();
            while offload::check().is_ok() {
                std::thread::yield_now();
            }
        }));
        crate::support::eventually("it runs", || running.arrived() == 1).await;
    });
}
