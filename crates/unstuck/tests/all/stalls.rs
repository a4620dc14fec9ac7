//! The stall guard as users meet it, and what it must not do to a process. (How it decides and rescues is tested in
//! `unstuck-core`, beside the guard.)

use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, Instant};

use unstuck::sync::Event;
use unstuck::{Deferred, Runtime, StallPolicy, StallReport, sleep, spawn, timeout, yield_now};
use unstuck_core::guard::{Action, Class, Reason};

use crate::support::{Gate, PATIENCE, alone, in_child, own_number, sleep_soundly, text, until};

type Reports = Arc<Mutex<Vec<StallReport>>>;

/// A list, and a callback that fills it.
fn reports() -> (Reports, impl Fn(&StallReport) + Send + Sync + 'static) {
    let reports = Reports::default();
    let all = reports.clone();
    (reports, move |report: &StallReport| all.lock().unwrap().push(report.clone()))
}

/// A report that says who is to blame: not the machine, which may be so busy that a poll waits for a CPU.
fn blames(report: &StallReport) -> bool {
    !matches!(report.class, Class::Descheduled | Class::Unknown)
}

#[test]
fn a_stall_is_told_to_on_stall_and_counted_in_the_statistics() {
    let (reports, tell) = reports();
    let runtime = Runtime::builder().worker_threads(1).on_stall(tell).build().unwrap();
    assert_eq!(runtime.statistics().tasks.stalls, 0);
    let gate = Gate::new();
    let held = gate.clone();
    let stuck = runtime.spawn(async move { held.pass() });
    until("it is reported", || !reports.lock().unwrap().is_empty());
    let report = reports.lock().unwrap()[0].clone();
    assert_eq!(report.task.unwrap().to_string(), stuck.id().to_string());
    assert!(report.place.unwrap().file().ends_with("stalls.rs"));
    assert_eq!(runtime.block_on(runtime.spawn(async { 42 })).unwrap(), 42);
    let statistics = runtime.statistics().tasks;
    assert!(statistics.stalls >= 1 && statistics.rescues >= 1, "{statistics:?}");
    gate.open();
    runtime.block_on(stuck).unwrap();
}

#[test]
fn timers_go_off_while_the_worker_that_watched_them_is_stuck() {
    for workers in [1, 2] {
        let runtime = Runtime::builder().worker_threads(workers).build().unwrap();
        let stuck = runtime.spawn(async {
            let (tick, ticks) = mpsc::channel();
            let ticking = spawn(async move {
                for _ in 0..10 {
                    sleep(Duration::from_millis(1)).await;
                    tick.send(()).unwrap();
                }
            });
            for _ in 0..10 {
                ticks.recv_timeout(PATIENCE).expect("nobody looks after the timers");
            }
            ticking.await.unwrap();
        });
        runtime.block_on(stuck).unwrap();
    }
}

#[test]
fn who_has_talked_to_a_task_that_blocks_now_hears_what_others_say() {
    for workers in [1, 2] {
        let runtime = Runtime::builder().worker_threads(workers).build().unwrap();
        let (ball, back) = (Arc::new(Event::new()), Arc::new(Event::new()));
        let (news, gate) = (Deferred::new(), Gate::new());
        let first = {
            let (ball, back, news, gate) = (ball.clone(), back.clone(), news.clone(), gate.clone());
            runtime.spawn(async move {
                for _ in 0..10 {
                    ball.set();
                    back.wait().await;
                    back.clear();
                }
                ball.set();
                assert_eq!(news.await.unwrap(), "from outside");
                gate.open();
            })
        };
        let (begin, begun) = mpsc::channel();
        let second = runtime.spawn(async move {
            for _ in 0..10 {
                ball.wait().await;
                ball.clear();
                back.set();
            }
            ball.wait().await;
            begin.send(()).unwrap();
            gate.pass(); // the first task opens it, and has just been polled on this worker
        });
        begun.recv_timeout(PATIENCE).unwrap();
        news.set_result("from outside").unwrap();
        runtime.block_on(async {
            first.await.unwrap();
            second.await.unwrap();
        });
    }
}

#[test]
fn a_poll_that_arms_timers_and_gets_stuck_holds_up_none_that_wakes_somebody_else() {
    let runtime = Runtime::builder().worker_threads(1).build().unwrap();
    let stuck = runtime.spawn(async {
        let mut own = pin!(sleep(Duration::from_millis(1)));
        let mut other = pin!(sleep(Duration::from_millis(1)));
        poll_fn(|cx| {
            assert!(own.as_mut().poll(cx).is_pending());
            let (ring, rung) = mpsc::channel();
            let waker = Waker::from(Arc::new(Bell(Mutex::new(ring))));
            assert!(other.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
            rung.recv_timeout(PATIENCE).expect("nobody looks after the timers");
            Poll::Ready(())
        })
        .await;
        own.await;
    });
    runtime.block_on(stuck).unwrap();
}

/// Says that it was woken.
struct Bell(Mutex<mpsc::Sender<()>>);

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.0.lock().unwrap().send(()).unwrap();
    }
}

#[test]
fn a_timeout_passes_although_what_it_waits_for_blocks_its_worker() {
    let runtime = Runtime::builder().worker_threads(1).build().unwrap();
    let gate = Gate::new();
    let held = gate.clone();
    let waiting = runtime.spawn(async move {
        let mut stuck = spawn(async move { held.pass() });
        timeout(Duration::from_millis(10), &mut stuck).await.is_err()
    });
    assert!(runtime.block_on(waiting).unwrap());
    gate.open();
}

#[test]
fn only_a_guard_that_is_on_has_a_thread() {
    alone(|| {
        let before = own_number("Threads:");
        let threads = |builder: unstuck::Builder| {
            let runtime = builder.worker_threads(2).build().unwrap();
            let threads = own_number("Threads:") - before;
            assert!(runtime.shutdown_timeout(PATIENCE).is_complete());
            until("its threads are gone", || own_number("Threads:") == before);
            threads
        };
        assert_eq!(threads(Runtime::builder()), 3);
        assert_eq!(threads(Runtime::builder().stall_guard(StallPolicy::Report)), 3);
        assert_eq!(threads(Runtime::builder().stall_guard(StallPolicy::Off)), 2);
        assert_eq!(threads(Runtime::builder().start_paused(true)), 2);
    });
}

/// The stack of a thread, so large that a second one does not fit into the limit.
const STACK: usize = 512 << 20;

#[test]
fn when_the_thread_for_a_rescue_cannot_be_made_it_says_so_and_tries_again() {
    // One heap for all threads: each heap would reserve address space at a moment that nobody can foresee.
    let output = in_child(&["env", "MALLOC_ARENA_MAX=1"], || {
        let (reports, tell) = reports();
        let builder = Runtime::builder().worker_threads(1).thread_stack_size(STACK).on_stall(tell);
        let runtime = builder.build().unwrap();
        // Room for what the allocator reserves for each new thread, and for the thread that delivers reports.
        let room = own_number("VmSize:") * 1024 + STACK as u64 / 4 * 3;
        limit_memory(&room.to_string());
        let gate = Gate::new();
        let held = gate.clone();
        let stuck = runtime.spawn(async move { held.pass() });
        let waiting = runtime.spawn(async { 42 });
        let refused = Action::OnlyReported(Reason::NoThread);
        until("it says so", || reports.lock().unwrap().iter().any(|report| report.action == refused));
        assert!(!waiting.is_done());
        limit_memory("unlimited");
        assert_eq!(runtime.block_on(waiting).unwrap(), 42);
        gate.open();
        runtime.block_on(stuck).unwrap();
    });
    if let Some(output) = output {
        assert!(output.status.success(), "{}", text(&output));
    }
}

fn limit_memory(limit: &str) {
    let pid = std::process::id().to_string();
    // The soft limit only: it can be lifted again.
    let done = Command::new("prlimit").args(["--pid", &pid, &format!("--as={limit}:")]).status().unwrap();
    assert!(done.success());
}

#[test]
fn after_a_rescue_the_guard_and_the_spare_worker_sleep_as_well() {
    alone(|| {
        let runtime = Runtime::builder()
            .worker_threads(2)
            .thread_name("idle")
            .rescue_keep_alive(Duration::from_secs(3600))
            .build()
            .unwrap();
        let gate = Gate::new();
        let stuck: Vec<_> = (0..3)
            .map(|_| {
                let held = gate.clone();
                runtime.spawn(async move { held.pass() })
            })
            .collect();
        gate.wait_for(3);
        gate.open();
        runtime.block_on(async {
            for task in stuck {
                task.await.unwrap();
            }
        });
        let asleep = sleep_soundly(Duration::from_secs(1), &["idle-"]);
        assert!(asleep.len() > 3, "two workers, the guard and a spare: {asleep:?}");
    });
}

/// Polls of a fraction of a millisecond each, one after the other, until `done`.
async fn short_polls(done: Arc<AtomicUsize>) {
    while done.load(Ordering::SeqCst) == 0 {
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_micros(300) {
            std::hint::spin_loop();
        }
        yield_now().await;
    }
}

/// Keeps both workers in short polls while `disturbance` goes on; gives the stalls that were told of.
fn disturbed(disturbance: impl FnOnce()) -> Vec<StallReport> {
    let (reports, tell) = reports();
    let runtime = Runtime::builder().worker_threads(2).on_stall(tell).build().unwrap();
    let done = Arc::new(AtomicUsize::new(0));
    let tasks: Vec<_> = (0..2).map(|_| runtime.spawn(short_polls(done.clone()))).collect();
    disturbance();
    done.store(1, Ordering::SeqCst);
    runtime.block_on(async {
        for task in tasks {
            task.await.unwrap();
        }
    });
    assert!(runtime.shutdown_timeout(PATIENCE).is_complete()); // the last report has been delivered
    let reports = reports.lock().unwrap();
    reports.clone()
}

#[test]
fn a_process_that_is_stopped_and_goes_on_blames_nobody() {
    alone(|| {
        let reports = disturbed(|| {
            let pid = std::process::id();
            let script = format!("kill -STOP {pid}; sleep 1; kill -CONT {pid}");
            assert!(Command::new("sh").args(["-c", &script]).status().unwrap().success());
        });
        assert!(reports.is_empty(), "{reports:#?}");
    });
}

#[test]
fn an_overloaded_machine_blames_no_task() {
    alone(|| {
        let reports = disturbed(|| {
            let done = Arc::new(AtomicUsize::new(0));
            std::thread::scope(|scope| {
                for _ in 0..16 {
                    scope.spawn(|| {
                        while done.load(Ordering::SeqCst) == 0 {
                            std::hint::spin_loop();
                        }
                    });
                }
                std::thread::sleep(Duration::from_secs(1));
                done.store(1, Ordering::SeqCst);
            });
        });
        assert!(reports.is_empty(), "{reports:#?}");
    });
}

// --- StallPolicy::Panic ---

/// What a panic said.
fn message(panic: Box<dyn std::any::Any + Send>) -> String {
    *panic.downcast::<String>().expect("a message")
}

#[test]
fn who_waits_for_a_poll_that_never_comes_back_panics_with_its_report() {
    let runtime = Runtime::builder().worker_threads(1).stall_guard(StallPolicy::Panic).build().unwrap();
    let gate = Gate::new();
    let held = gate.clone();
    let waits = || {
        runtime.block_on(async {
            // It is never let through before the panic.
            unstuck::task::Builder::new().name("stuck").spawn(async move { held.pass() }).await.unwrap();
        });
    };
    let told = message(catch_unwind(AssertUnwindSafe(waits)).unwrap_err());
    assert!(told.contains("StallPolicy::Panic") && told.contains("'stuck' (from "), "{told}");
    // Everybody else goes on, and so does the runtime, however long the poll stays where it is.
    std::thread::sleep(Duration::from_millis(100)); // its next report comes within
    assert_eq!(runtime.block_on(runtime.spawn(async { 42 })).unwrap(), 42);
    gate.open();
}

#[test]
fn a_stall_that_nobody_waited_for_is_told_at_the_end() {
    let (told, tell) = reports();
    let builder = Runtime::builder().worker_threads(1).stall_guard(StallPolicy::Panic).on_stall(tell);
    let runtime = builder.build().unwrap();
    let gate = Gate::new();
    let held = gate.clone();
    runtime.spawn(async move { held.pass() }).detach();
    until("it is reported", || told.lock().unwrap().iter().any(blames));
    gate.open();
    let told = message(catch_unwind(AssertUnwindSafe(|| runtime.shutdown())).unwrap_err());
    assert!(told.contains("has not come back from a poll"), "{told}");
}

#[test]
fn a_slow_step_of_a_single_threaded_loop_panics_when_it_is_over() {
    let (told, tell) = reports();
    let builder = Runtime::builder().slow_step(Duration::from_millis(5)).stall_guard(StallPolicy::Panic);
    let event_loop = builder.on_stall(tell).build_single().unwrap();
    let steps = || {
        event_loop.run_until_complete(async {
            until("it is reported", || told.lock().unwrap().iter().any(blames)); // blocks the loop
            std::future::pending::<()>().await;
        });
    };
    let told = message(catch_unwind(AssertUnwindSafe(steps)).unwrap_err());
    assert!(told.contains("a future that is no task"), "{told}");
}

#[test]
fn without_a_stall_nobody_panics() {
    let runtime = Runtime::builder().worker_threads(2).stall_guard(StallPolicy::Panic).build().unwrap();
    let sum = runtime.run(async {
        let tasks: Vec<_> = (0..100_u64).map(|n| spawn(async move { n })).collect();
        let mut sum = 0;
        for task in tasks {
            sum += task.await.unwrap();
        }
        sum
    });
    assert_eq!(sum, 4950);
}
