//! Adaptive offload: a call that has shown to be short runs on its worker, and nobody can tell, but from the thread's
//! name.
//!
//! A busy machine can make any closure slow, and then its site is long for a while. So a test that needs a call on a
//! worker asks again until it has one.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use unstuck::offload::call_sites;
use unstuck::{
    Builder, EventLoop, Handle, JobHandle, Runtime, StallPolicy, run_in_executor, spawn, task, to_thread,
};

use crate::support::{Gate, OnDrop, PATIENCE, counts, eventually, until};

/// What a call does: nothing, or what it is told.
type Work = Option<Box<dyn FnOnce() + Send>>;

/// Makes a function whose calls have a site of their own. A call does its work and gives the name of its thread.
macro_rules! own_site {
    () => {{
        fn call(work: Work) -> JobHandle<String> {
            to_thread(move || {
                let name = thread::current().name().unwrap_or_default().to_owned();
                if let Some(work) = work {
                    work();
                }
                name
            })
        }
        call
    }};
}

mod ends;

type Call = fn(Work) -> JobHandle<String>;

fn is_pool(thread: &str) -> bool {
    thread.contains("-blocking-")
}

/// Calls until a call stays on its worker.
async fn until_short(call: Call) {
    for _ in 0..1_000_000 {
        if !is_pool(&call(None).await.unwrap()) {
            return;
        }
    }
    panic!("no call has stayed on its worker");
}

/// Lets `work` run on a worker: not at once, if the machine makes the site long at the wrong moment.
async fn on_a_worker(call: Call, work: impl Fn() + Clone + Send + 'static) -> JobHandle<String> {
    loop {
        until_short(call).await;
        let (began, work) = (Arc::new(Mutex::new(None)), work.clone());
        let begins = began.clone();
        let job = call(Some(Box::new(move || {
            let pool = is_pool(thread::current().name().unwrap_or_default());
            *begins.lock().unwrap() = Some(pool);
            if !pool {
                work();
            }
        })));
        eventually("it begins", || began.lock().unwrap().is_some()).await;
        let pool = began.lock().unwrap().unwrap();
        if !pool {
            return job;
        }
    }
}

fn runtime(workers: usize) -> Runtime {
    Runtime::builder().worker_threads(workers).build().unwrap()
}

/// Runs `future` in a task, because only calls from tasks may stay.
#[track_caller]
fn in_task<F>(runtime: &Runtime, future: F) -> F::Output
where
    F: Future<Output: Send + 'static> + Send + 'static,
{
    runtime.block_on(runtime.spawn(future)).unwrap()
}

#[test]
fn a_call_that_has_shown_to_be_short_stays_on_its_worker_and_an_unknown_one_does_not() {
    let call: Call = own_site!();
    let line = line!() - 1; // a macro's code lies where it is used
    in_task(&runtime(1), async move {
        assert!(is_pool(&call(None).await.unwrap()));
        until_short(call).await;
    });
    let site = call_sites().into_iter().find(|site| site.place().line() == line).unwrap();
    assert!(site.place().file().ends_with("adaptive.rs") && site.estimate() <= Duration::from_micros(1_280));
}

async fn a_hundred_in_the_pool(call: Call) {
    for _ in 0..100 {
        assert!(is_pool(&call(None).await.unwrap()));
    }
}

#[test]
fn without_the_switch_or_the_guard_and_on_one_thread_every_call_goes_to_the_pool() {
    let call: Call = own_site!();
    let without: [fn(Builder) -> Builder; 5] = [
        |builder| builder.adaptive_offload(false),
        |builder| builder.stall_guard(StallPolicy::Off),
        |builder| builder.stall_guard(StallPolicy::Report),
        |builder| builder.max_rescue_threads(0),
        |builder| builder.start_paused(true),
    ];
    for set in without {
        in_task(&set(Runtime::builder().worker_threads(2)).build().unwrap(), a_hundred_in_the_pool(call));
    }
    let single: EventLoop = Runtime::builder().build_single().unwrap();
    single.run_until_complete(async move { spawn(a_hundred_in_the_pool(call)).await.unwrap() });
}

#[test]
fn calls_from_outside_of_tasks_and_by_run_in_executor_always_go_to_the_pool() {
    let call: Call = own_site!();
    let runtime = runtime(2);
    in_task(&runtime, until_short(call));
    runtime.block_on(async {
        assert!(is_pool(&call(None).await.unwrap()), "the main future is no task");
    });
    in_task(&runtime, async {
        for _ in 0..100 {
            let name = || thread::current().name().unwrap_or_default().to_owned();
            assert!(is_pool(&run_in_executor(&unstuck::offload::DefaultExecutor, name).await.unwrap()));
        }
    });
}

#[test]
fn a_call_that_turns_slow_delays_nobody_and_its_site_goes_to_the_pool_at_once() {
    let call: Call = own_site!();
    let runtime = runtime(1);
    in_task(&runtime, async move {
        let gate = Gate::new();
        let held = gate.clone();
        let slow = on_a_worker(call, move || held.pass()).await;
        // The only worker is stuck: all this happens because the guard has added one.
        assert_eq!(spawn(async { 42 }).await.unwrap(), 42);
        for _ in 0..20 {
            assert!(is_pool(&call(None).await.unwrap()), "while the slow one runs");
        }
        gate.open();
        assert!(!is_pool(&slow.await.unwrap()));
        assert!(is_pool(&call(None).await.unwrap()), "and after it");
    });
}

#[test]
fn calls_that_wait_behind_one_that_turns_slow_are_taken_over_by_the_pool() {
    let call: Call = own_site!();
    let runtime = runtime(1);
    in_task(&runtime, async move {
        loop {
            until_short(call).await;
            let gate = Gate::new();
            let held = gate.clone();
            // Submitted in one poll, so they stand in one queue: the slow one, and those behind it.
            let slow = call(Some(Box::new(move || held.pass())));
            let behind: Vec<_> = (0..50).map(|_| call(None)).collect();
            for job in behind {
                job.await.unwrap();
            }
            assert!(!slow.is_done());
            gate.open();
            if !is_pool(&slow.await.unwrap()) {
                return;
            }
            // The machine made the site long in between: nothing stood in the queue.
        }
    });
}

#[test]
fn the_guards_report_of_a_call_that_turns_slow_names_its_site() {
    let call: Call = own_site!();
    let line = line!() - 1;
    let places = Arc::new(Mutex::new(Vec::new()));
    let tell = places.clone();
    let builder = Runtime::builder()
        .worker_threads(1)
        .on_stall(move |report| tell.lock().unwrap().push(report.place.map(ToString::to_string)));
    let runtime = builder.build().unwrap();
    let gate = Gate::new();
    let held = gate.clone();
    let slow = in_task(&runtime, on_a_worker(call, move || held.pass()));
    let named = |place: &Option<String>| {
        place.as_ref().is_some_and(|place| place.contains(&format!("adaptive.rs:{line}:")))
    };
    until("it is reported", || places.lock().unwrap().iter().any(named));
    gate.open();
    slow.wait().unwrap();
}

#[test]
fn a_short_call_may_block_as_in_the_pool() {
    let call: Call = own_site!();
    let runtime = runtime(1);
    let handle = runtime.handle();
    in_task(&runtime, async move {
        let waits = handle.clone();
        let job = on_a_worker(call, move || {
            assert!(task::current().is_none(), "it is no task");
            let child = spawn(async { 20 });
            let offloaded = to_thread(|| 22);
            assert_eq!(waits.block_on(child).unwrap() + offloaded.wait().unwrap(), 42);
            assert!(Handle::try_current().is_some());
        });
        job.await.await.unwrap();
    });
}

#[test]
fn what_a_short_call_spawns_runs_while_it_blocks() {
    let call: Call = own_site!();
    let runtime = runtime(2);
    in_task(&runtime, async move {
        let job = on_a_worker(call, move || {
            let (tell, told) = std::sync::mpsc::channel();
            spawn(async move { tell.send(()).unwrap() }).detach();
            told.recv_timeout(PATIENCE).expect("another worker runs it");
        });
        job.await.await.unwrap();
    });
}

#[test]
fn a_panic_in_a_short_call_is_its_error_and_the_worker_goes_on() {
    let call: Call = own_site!();
    let runtime = runtime(1);
    in_task(&runtime, async move {
        let error = on_a_worker(call, || panic!("in a short call (this test wants that)")).await.await;
        let error = error.unwrap_err();
        assert!(error.is_panic() && error.to_string().contains("adaptive.rs:"), "{error}");
        assert_eq!(error.panic_message(), Some("in a short call (this test wants that)"));
        until_short(call).await;
    });
}

#[test]
fn a_short_call_that_is_cancelled_before_its_turn_never_runs() {
    let call: Call = own_site!();
    let dropped = Arc::new(AtomicUsize::new(0));
    let count = dropped.clone();
    in_task(&runtime(1), async move {
        until_short(call).await;
        let witness = OnDrop(counts(&count));
        let job = call(Some(Box::new(move || {
            drop(witness);
            unreachable!("it was cancelled")
        })));
        // On the only worker it has not begun. (If the machine sent it to the pool, it may have.)
        if job.cancel() {
            assert_eq!(count.load(Ordering::SeqCst), 1, "its closure is dropped at once");
            assert!(job.await.unwrap_err().is_cancelled());
        }
    });
    assert_eq!(dropped.load(Ordering::SeqCst), 1);
}

#[test]
fn a_short_call_runs_although_its_handle_was_dropped() {
    let call: Call = own_site!();
    in_task(&runtime(1), async move {
        until_short(call).await;
        let done = Arc::new(AtomicUsize::new(0));
        for _ in 0..100 {
            let done = done.clone();
            drop(call(Some(Box::new(move || _ = done.fetch_add(1, Ordering::SeqCst)))));
        }
        eventually("all have run", || done.load(Ordering::SeqCst) == 100).await;
    });
}

#[test]
fn at_the_end_of_the_runtime_no_short_call_is_forgotten() {
    let call: Call = own_site!();
    let runtime = runtime(2);
    let jobs = in_task(&runtime, async move {
        until_short(call).await;
        (0..1_000).map(|_| call(None)).collect::<Vec<_>>()
    });
    runtime.shutdown();
    for job in jobs {
        let ended = job.wait();
        assert!(ended.is_ok() || ended.unwrap_err().is_cancelled());
    }
}

#[test]
fn a_short_call_may_end_its_own_runtime_and_does_not_wait_for_itself() {
    let call: Call = own_site!();
    let runtime = Arc::new(Mutex::new(Some(runtime(1))));
    let (ended, has_ended) = std::sync::mpsc::channel();
    let inside = runtime.clone();
    let handle = runtime.lock().unwrap().as_ref().unwrap().handle();
    let task = handle.spawn(async move {
        let job = on_a_worker(call, move || {
            let runtime = inside.lock().unwrap().take().expect("once");
            runtime.shutdown();
            ended.send(()).unwrap();
        });
        job.await.await
    });
    has_ended.recv_timeout(PATIENCE).expect("it waits for its own end");
    drop(task);
}
