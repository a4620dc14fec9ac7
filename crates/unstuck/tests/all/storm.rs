//! Everything at once, at random: tasks that spawn, sleep, block, compute, panic, wait for each other, offload, and are
//! cancelled from all sides, in runtimes that are shut down in the middle of it.
//!
//! What must hold whatever happens: a future is never polled twice at once, nothing is lost or leaked, every handle
//! resolves, every shutdown ends, and its threads are gone. A seed gives the choices; the threads' timing is the
//! machine's. `UNSTUCK_STORM_SECONDS=60` makes it long (`.ci/storm`), `UNSTUCK_STORM_SEED=7` starts elsewhere.

use std::future::Future;
use std::panic;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicIsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};
use std::{env, thread};

use fastrand::Rng;
use unstuck::{
    Deferred, Handle, Runtime, StallPolicy, Task, TaskRef, cpu, sleep, spawn, timeout, to_thread, wait_for,
    yield_now,
};

use crate::support::{alone, until, until_threads_are_gone};

#[test]
fn a_storm_of_everything_loses_nothing() {
    alone(|| {
        panic::set_hook(Box::new(|info| {
            if !info.payload().is::<Thunder>() {
                eprintln!("{info}");
            }
        }));
        let seconds = number("UNSTUCK_STORM_SECONDS").unwrap_or(2);
        let mut seed = number("UNSTUCK_STORM_SEED").unwrap_or(1);
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_secs(seconds) {
            // The last line before a failure, or before the parent kills a child that hangs.
            println!("seed {seed}");
            storm(seed);
            seed += 1;
        }
    });
}

fn number(variable: &str) -> Option<u64> {
    env::var(variable).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{variable} is a number")))
}

/// The panics that belong to the weather.
struct Thunder;

/// One storm: a runtime, some hundred tasks that do as the dice say, and an end that may come too early.
fn storm(seed: u64) {
    let mut dice = Rng::with_seed(seed);
    let policies = [StallPolicy::Rescue, StallPolicy::Rescue, StallPolicy::Report, StallPolicy::Off];
    let runtime = Runtime::builder()
        .worker_threads(dice.usize(1..=4))
        .thread_name("storm")
        .max_blocking_threads(dice.usize(1..=6))
        .blocking_keep_alive(Duration::from_millis(dice.u64(0..20)))
        .cpu_threads(dice.usize(1..=3))
        .stall_guard(*dice.choice(&policies).unwrap())
        .stall_threshold(Duration::from_millis(dice.u64(1..6)))
        .max_rescue_threads(dice.usize(0..8))
        .rescue_keep_alive(Duration::from_millis(dice.u64(0..30)))
        .build()
        .unwrap();
    let sky = Arc::new(Sky::default());
    let roots: Vec<_> = (0..dice.usize(1..200))
        .map(|_| runtime.spawn(Cloud::over(&sky, weather(sky.clone(), dice.fork(), 3))))
        .collect();
    let outsiders: Vec<_> = (0..dice.usize(0..3))
        .map(|_| {
            let (sky, handle, dice) = (sky.clone(), runtime.handle(), dice.fork());
            thread::spawn(move || from_outside(&sky, &handle, dice))
        })
        .collect();
    if dice.bool() {
        for root in roots {
            let _ = runtime.block_on(root); // a value, a cancellation, or thunder
        }
    } else {
        thread::sleep(Duration::from_micros(dice.u64(0..20_000)));
        // Handles that nobody awaits before the end.
        drop(roots);
    }
    runtime.shutdown();
    for outsider in outsiders {
        outsider.join().unwrap();
    }
    let left = sky.watched.lock().unwrap().drain(..).filter(|task| !task.is_done()).count();
    assert_eq!(left, 0, "tasks that have not ended after the shutdown");
    assert_eq!(sky.alive.load(Ordering::SeqCst), 0, "futures that were leaked, or dropped twice");
    until("all jobs have been dropped", || sky.jobs.load(Ordering::SeqCst) == 0);
    until_threads_are_gone();
}

/// What is counted.
#[derive(Default)]
struct Sky {
    /// Futures made and not yet dropped.
    alive: AtomicIsize,
    /// Closures given to a pool and not yet dropped.
    jobs: AtomicIsize,
    /// Anybody may cancel these.
    watched: Mutex<Vec<TaskRef>>,
}

/// A future that is counted, and that notices when two threads poll it at once.
struct Cloud {
    sky: Arc<Sky>,
    inside: AtomicBool,
    future: Pin<Box<dyn Future<Output = u32> + Send>>,
}

impl Cloud {
    fn over(sky: &Arc<Sky>, future: impl Future<Output = u32> + Send + 'static) -> Self {
        sky.alive.fetch_add(1, Ordering::SeqCst);
        Self { sky: sky.clone(), inside: AtomicBool::new(false), future: Box::pin(future) }
    }
}

impl Future for Cloud {
    type Output = u32;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<u32> {
        assert!(!self.inside.swap(true, Ordering::SeqCst), "two polls at once");
        let polled = self.future.as_mut().poll(cx);
        self.inside.store(false, Ordering::SeqCst);
        polled
    }
}

impl Drop for Cloud {
    fn drop(&mut self) {
        // A panic leaves `inside` set; then nobody polls it any more.
        self.sky.alive.fetch_sub(1, Ordering::SeqCst);
    }
}

/// A closure that is counted.
fn job(sky: &Arc<Sky>, f: impl FnOnce() -> u32 + Send + 'static) -> impl FnOnce() -> u32 + Send + 'static {
    struct Counted(Arc<Sky>);
    impl Drop for Counted {
        fn drop(&mut self) {
            self.0.jobs.fetch_sub(1, Ordering::SeqCst);
        }
    }
    sky.jobs.fetch_add(1, Ordering::SeqCst);
    let counted = Counted(sky.clone());
    move || {
        let _counted = counted;
        f()
    }
}

/// What a task does.
fn weather(sky: Arc<Sky>, mut dice: Rng, depth: u32) -> Pin<Box<dyn Future<Output = u32> + Send>> {
    Box::pin(async move {
        if let Some(me) = unstuck::task::current() {
            if dice.u8(0..4) == 0 {
                sky.watched.lock().unwrap().push(me);
            }
        }
        for _ in 0..dice.u32(0..8) {
            let pause = Duration::from_micros(dice.u64(0..2_000));
            match dice.u8(0..20) {
                0..4 => yield_now().await,
                4..6 => sleep(pause).await,
                6 => thread::sleep(pause * dice.u32(0..6)), // what nobody should do
                7 => _ = spin(pause * dice.u32(0..6)),
                8 => panic::panic_any(Thunder),
                9 => _ = to_thread(job(&sky, move || pause.subsec_micros())).await,
                10 => drop(to_thread(job(&sky, move || nap(pause)))),
                11 => _ = to_thread(job(&sky, move || nap(pause))).cancel(),
                12 => _ = cpu(job(&sky, move || spin(pause))).await,
                13 => {
                    let value = Deferred::new();
                    let giver = value.clone();
                    let child = child(&sky, &mut dice, depth);
                    spawn(async move { _ = giver.set_result(child.await.unwrap_or(0)) }).detach();
                    _ = timeout(pause, value).await;
                }
                14 => _ = timeout(pause, child(&sky, &mut dice, depth)).await,
                15 => _ = wait_for(child(&sky, &mut dice, depth), pause).await,
                16 => _ = child(&sky, &mut dice, depth).cancel(),
                17 => {
                    let mut task = child(&sky, &mut dice, depth);
                    task.cancel();
                    _ = (&mut task).await;
                }
                18 => drop(child(&sky, &mut dice, depth)),
                _ => strike(&sky, &mut dice),
            }
        }
        dice.u32(..)
    })
}

fn child(sky: &Arc<Sky>, dice: &mut Rng, depth: u32) -> Task<u32> {
    if depth == 0 {
        return spawn(Cloud::over(sky, async {
            yield_now().await;
            1
        }));
    }
    spawn(Cloud::over(sky, weather(sky.clone(), dice.fork(), depth - 1)))
}

/// Cancels somebody.
fn strike(sky: &Sky, dice: &mut Rng) {
    let target = dice.choice(&*sky.watched.lock().unwrap()).cloned();
    if let Some(target) = target {
        target.cancel();
    }
}

fn nap(time: Duration) -> u32 {
    thread::sleep(time);
    0
}

fn spin(time: Duration) -> u32 {
    let begun = Instant::now();
    let mut rounds = 0;
    while begun.elapsed() < time {
        rounds += 1;
    }
    rounds
}

/// What a thread does that is no part of the runtime, also while that shuts down.
fn from_outside(sky: &Arc<Sky>, handle: &Handle, mut dice: Rng) {
    for _ in 0..dice.u32(0..100) {
        match dice.u8(0..5) {
            0 => thread::sleep(Duration::from_micros(dice.u64(0..300))),
            1 => strike(sky, &mut dice),
            2 => _ = handle.spawn(Cloud::over(sky, weather(sky.clone(), dice.fork(), 1))).wait(),
            3 => drop(handle.spawn(Cloud::over(sky, weather(sky.clone(), dice.fork(), 1)))),
            _ => _ = handle.spawn_blocking(job(sky, || 1)).wait(),
        }
    }
}
