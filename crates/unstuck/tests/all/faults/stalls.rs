//! Polls that do not come back, where the guard has less to go by than usual, and where there are very many of them.

use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use unstuck::guard::Class;
use unstuck::{Runtime, StallReport};

use crate::support::{Gate, PATIENCE, alone, in_child, is_child, text, threads, until};

/// A runtime with one worker, which is stuck at the gate until that opens, and the first report of it.
fn one_stuck_worker(gate: &Gate) -> (Runtime, StallReport) {
    let (tell, told) = mpsc::channel();
    let tell = Mutex::new(tell);
    let runtime = Runtime::builder()
        .worker_threads(1)
        .on_stall(move |report| drop(tell.lock().unwrap().send(report.clone())))
        .build()
        .unwrap();
    let held = gate.clone();
    runtime.spawn(async move { held.pass() }).detach();
    let report = told.recv_timeout(PATIENCE).unwrap();
    (runtime, report)
}

#[test]
fn without_proc_a_stuck_poll_is_rescued_and_its_report_says_what_is_not_known() {
    const NAMESPACE: [&str; 4] = ["unshare", "--user", "--map-root-user", "--mount"];
    const HIDE: [&str; 5] = ["mount", "-t", "tmpfs", "none", "/proc"];
    let may = || Command::new(NAMESPACE[0]).args(&NAMESPACE[1..]).args(HIDE).output();
    if !is_child() && !may().is_ok_and(|output| output.status.success()) {
        eprintln!(
            "no namespaces for this user: only the monitor's own tests show what happens without /proc"
        );
        return;
    }
    let output = in_child(&NAMESPACE, || {
        // Seen by this process only.
        let hidden = Command::new(HIDE[0]).args(&HIDE[1..]).status().unwrap();
        assert!(hidden.success() && !std::path::Path::new("/proc/self").exists());
        let gate = Gate::new();
        let (runtime, report) = one_stuck_worker(&gate);
        assert_eq!(runtime.block_on(runtime.spawn(async { 42 })).unwrap(), 42);
        assert!(runtime.statistics().tasks.rescues > 0);
        assert_eq!((report.class, report.call.is_none()), (Class::Unknown, true));
        let told = report.to_string();
        assert!(told.contains("blocked or computing (this system does not say which)"), "{told}");
        assert!(told.contains("backtrace"), "{told}");
        gate.open();
    });
    if let Some(output) = output {
        assert!(output.status.success(), "{}", text(&output));
    }
}

#[test]
fn a_poll_that_is_stuck_with_stderr_locked_holds_up_its_report_and_nothing_else() {
    let output = in_child(&["env", "UNSTUCK_DEBUG=1"], || {
        let runtime = Runtime::builder().worker_threads(1).build().unwrap();
        let gate = Gate::new();
        let held = gate.clone();
        let stuck = runtime.spawn(async move {
            let _stderr = std::io::stderr().lock();
            held.pass();
        });
        gate.wait_for(1);
        until("it is noticed", || runtime.statistics().tasks.stalls > 0);
        // Its report waits for stderr now. A second stall is noticed and rescued all the same.
        for _ in 0..2 {
            let (second, held) = (Gate::new(), Gate::new());
            let (passing, passed) = (second.clone(), held.clone());
            let also_stuck = runtime.spawn(async move {
                passed.open();
                passing.pass();
            });
            held.pass();
            assert_eq!(runtime.block_on(runtime.spawn(async { 42 })).unwrap(), 42);
            second.open();
            runtime.block_on(also_stuck).unwrap();
        }
        gate.open();
        runtime.block_on(stuck).unwrap();
    });
    if let Some(output) = output {
        let text = text(&output);
        assert!(output.status.success() && text.contains("has not come back from a poll"), "{text}");
    }
}

#[test]
fn a_poll_that_never_leaves_the_allocator_is_reported_with_its_backtrace() {
    let (tell, told) = mpsc::channel();
    let tell = Mutex::new(tell);
    let runtime = Runtime::builder()
        .worker_threads(2)
        .on_stall(move |report| {
            // Here, where it may allocate: what the stuck thread holds must not be in the way.
            let names = report.to_string();
            drop(tell.lock().unwrap().send((report.backtrace.is_taken(), names)));
        })
        .build()
        .unwrap();
    let over = Arc::new(AtomicUsize::new(0));
    let allocates = runtime.spawn({
        let over = over.clone();
        async move {
            while over.load(Ordering::Relaxed) == 0 {
                drop(std::hint::black_box(vec![0_u8; 100]));
            }
        }
    });
    loop {
        let (is_taken, names) = told.recv_timeout(PATIENCE).expect("a report");
        if is_taken || cfg!(not(feature = "backtrace")) {
            assert!(names.contains("has not come back from a poll"), "{names}");
            break;
        }
    }
    over.store(1, Ordering::Relaxed);
    runtime.block_on(allocates).unwrap();
}

#[test]
fn of_a_thousand_polls_that_block_none_is_lost_and_no_more_threads_are_added_than_may_be() {
    const POLLS: usize = 1_000;
    const WORKERS: usize = 2;
    alone(|| {
        let runtime = Runtime::builder()
            .worker_threads(WORKERS)
            .thread_name("calm")
            .rescue_keep_alive(Duration::from_millis(100))
            .build()
            .unwrap();
        let serving = || {
            let all = threads().into_iter().map(|(name, _)| name);
            all.filter(|name| name.starts_with("calm-") && !name.ends_with("-guard")).count()
        };
        let ran: Arc<Vec<AtomicUsize>> = Arc::new((0..POLLS).map(|_| AtomicUsize::new(0)).collect());
        let entered = runtime.enter();
        let polls: Vec<_> = (0..POLLS)
            .map(|nth| {
                let ran = ran.clone();
                unstuck::spawn(async move {
                    ran[nth].fetch_add(1, Ordering::Relaxed);
                    std::thread::sleep(Duration::from_millis(20));
                })
            })
            .collect();
        drop(entered);
        let mut most = 0;
        until("all have been polled", || {
            most = most.max(serving());
            polls.iter().all(unstuck::Task::is_done)
        });
        assert!(ran.iter().all(|ran| ran.load(Ordering::Relaxed) == 1));
        assert!(most > WORKERS && most <= WORKERS + 4 * WORKERS, "{most} threads");
        assert!(runtime.statistics().tasks.rescues > 0);
        until("there are as many threads as before", || serving() == WORKERS);
        assert_eq!(runtime.block_on(runtime.spawn(async { 42 })).unwrap(), 42);
    });
}
