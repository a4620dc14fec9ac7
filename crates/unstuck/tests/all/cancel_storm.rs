//! Cancellations from four threads at once, at random moments, into scopes that are nested at random.
//!
//! What must hold wherever a request lands: a `finally` whose body was begun runs its cleanup, and once; nothing hangs;
//! no task and no timer is left over. Scopes are frames, timeouts, tasks that are awaited by value, and groups. A seed gives
//! the shapes; the moments are the machine's.
//! `UNSTUCK_STORM_SECONDS=60` makes it long, `UNSTUCK_STORM_SEED=7` starts elsewhere.

use std::env;
use std::future::{Future, pending};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use fastrand::Rng;
use futures_util::future::join;
use unstuck::{
    Runtime, Task, TaskRef, all_tasks, catch_cancel, finally, sleep, spawn, task_group, timeout, wait_for,
    yield_now,
};

use crate::support::{alone, until};

const TASKS: usize = 10_000;

#[test]
fn whatever_ten_thousand_tasks_are_doing_when_four_threads_cancel_them_every_cleanup_runs_once() {
    alone(|| {
        let (first, seconds) = (number("SEED").unwrap_or(1), number("SECONDS").unwrap_or(0));
        let begun = Instant::now();
        let mut seed = first;
        while seed < first + 4 || begun.elapsed() < Duration::from_secs(seconds) {
            // The last line before a failure, or before the parent kills a child that hangs.
            println!("seed {seed}");
            storm(seed, TASKS / 4);
            seed += 1;
        }
    });
}

fn number(of: &str) -> Option<u64> {
    env::var(format!("UNSTUCK_STORM_{of}")).ok().map(|text| text.parse().expect("a number"))
}

fn storm(seed: u64, tasks: usize) {
    let mut dice = Rng::with_seed(seed);
    let runtime = Runtime::builder().worker_threads(dice.usize(1..=4)).build().unwrap();
    let sky = Arc::new(Sky::default());
    let roots: Vec<_> = (0..tasks).map(|_| runtime.spawn(act(sky.clone(), dice.fork(), 4))).collect();
    sky.watch(&roots);
    let strikers: Vec<_> = (0..4)
        .map(|_| {
            let (sky, dice) = (sky.clone(), dice.fork());
            thread::spawn(move || strikes(&sky, dice))
        })
        .collect();
    until("all tasks have ended", || roots.iter().all(Task::is_done));
    sky.over.store(true, Ordering::SeqCst);
    for striker in strikers {
        striker.join().unwrap();
    }
    // Tasks that nobody awaits any more may still sleep; who is cancelled now must end as well.
    until("no task is left", || {
        let left = runtime.block_on(async { all_tasks() });
        for task in &left {
            task.cancel();
        }
        left.is_empty()
    });
    assert_eq!(runtime.statistics().timers.armed, 0, "timers that nobody took out");
    let bodies = sky.bodies.lock().unwrap();
    let wrong = bodies.iter().filter(|body| body.cleaned.load(Ordering::SeqCst) != body.begun());
    assert_eq!(wrong.count(), 0, "of {} bodies have not had their one cleanup", bodies.len());
    assert!(bodies.iter().any(|body| body.begun() == 1), "the storm was no storm");
    drop(bodies);
    for root in roots {
        let ended = root.wait(); // a value or a cancellation
        assert!(ended.is_ok() || ended.is_err_and(|error| error.is_cancelled()));
    }
    runtime.shutdown();
}

#[test]
fn whatever_one_task_is_doing_when_it_is_cancelled_on_one_thread_every_cleanup_runs_once() {
    let (first, seconds) = (number("SEED").unwrap_or(1), number("SECONDS").unwrap_or(0));
    let begun = Instant::now();
    let mut seed = first;
    while seed < first + 1_000 || begun.elapsed() < Duration::from_secs(seconds) {
        quiet_storm(seed);
        seed += 1;
    }
}

/// The same on one thread and a clock of its own: a seed gives the moments as well, and a failure comes again.
fn quiet_storm(seed: u64) {
    let mut dice = Rng::with_seed(seed);
    let sky = Arc::new(Sky::default());
    let event_loop = Runtime::builder().start_paused(true).build_single().unwrap();
    let own = sky.clone();
    event_loop.run_until_complete(async move {
        let root = spawn(act(own.clone(), dice.fork(), 4));
        own.watch(std::slice::from_ref(&root));
        while !root.is_done() {
            match dice.u8(0..4) {
                0 => yield_now().await,
                _ => sleep(pause(&mut dice)).await,
            }
            own.strike(&mut dice);
        }
        loop {
            let left = all_tasks().into_iter().filter(|task| Some(task) != unstuck::task::current().as_ref());
            let left: Vec<_> = left.collect();
            left.iter().for_each(|task| _ = task.cancel());
            if left.is_empty() {
                break;
            }
            sleep(Duration::from_millis(1)).await;
        }
    });
    let bodies = sky.bodies.lock().unwrap();
    let wrong = bodies.iter().filter(|body| body.cleaned.load(Ordering::SeqCst) != body.begun());
    assert_eq!(wrong.count(), 0, "of {} bodies in storm {seed} have not had their one cleanup", bodies.len());
}

/// What is counted.
#[derive(Default)]
struct Sky {
    /// Anybody may cancel these.
    watched: Mutex<Vec<TaskRef>>,
    bodies: Mutex<Vec<Arc<Body>>>,
    over: AtomicBool,
}

/// One `finally`.
#[derive(Default)]
struct Body {
    begun: AtomicBool,
    cleaned: AtomicUsize,
}

impl Body {
    fn begun(&self) -> usize {
        usize::from(self.begun.load(Ordering::SeqCst))
    }
}

impl Sky {
    fn watch<T>(&self, tasks: &[Task<T>]) {
        self.watched.lock().unwrap().extend(tasks.iter().map(Task::watch));
    }

    /// Cancels somebody.
    fn strike(&self, dice: &mut Rng) {
        let target = dice.choice(&*self.watched.lock().unwrap()).cloned();
        match target {
            Some(target) if dice.bool() => _ = target.cancel(),
            Some(target) => _ = target.cancel_with("the storm"),
            None => {}
        }
    }
}

type Act = Pin<Box<dyn Future<Output = ()> + Send>>;

/// What a task does, or a scope in one.
fn act(sky: Arc<Sky>, mut dice: Rng, depth: u32) -> Act {
    Box::pin(async move {
        for _ in 0..dice.u32(1..3) {
            if depth == 0 {
                rest(&mut dice).await;
                continue;
            }
            if dice.u8(0..8) == 0 {
                sky.strike(&mut dice); // perhaps the very task
            }
            let inner = act(sky.clone(), dice.fork(), depth - 1);
            match dice.u8(0..13) {
                0..2 => rest(&mut dice).await,
                2..4 => catches(inner, &mut dice).await,
                4..6 => cleans_up(&sky, inner, &mut dice).await,
                6..8 => {
                    let task = spawn(inner);
                    sky.watch(std::slice::from_ref(&task));
                    _ = task.await;
                }
                8 => _ = timeout(pause(&mut dice), inner).await,
                9 => _ = wait_for(spawn(inner), pause(&mut dice)).await,
                10 => _ = join(inner, act(sky.clone(), dice.fork(), depth - 1)).await,
                11 => group(&sky, inner, &mut dice).await,
                _ => drop(spawn(inner)),
            }
        }
    })
}

/// Waits, perhaps for ever: somebody will cancel it.
async fn rest(dice: &mut Rng) {
    match dice.u8(0..8) {
        0 => pending().await,
        1..4 => yield_now().await,
        _ => sleep(pause(dice)).await,
    }
}

/// Cleanup that waits, but not for ever.
async fn short_rest(mut dice: Rng) {
    for _ in 0..dice.u32(0..3) {
        match dice.u8(0..3) {
            0 => yield_now().await,
            1 => sleep(pause(&mut dice)).await,
            _ => _ = timeout(pause(&mut dice), pending::<()>()).await,
        }
    }
}

fn pause(dice: &mut Rng) -> Duration {
    Duration::from_micros(dice.u64(0..3_000))
}

/// A group with a child that does `inner` and some that rest; the body, or another child, awaits them by value or by
/// reference; one of them may fail.
async fn group(sky: &Sky, inner: Act, dice: &mut Rng) {
    let (mut own, mut rests) = (dice.fork(), dice.fork());
    let outcome = task_group(|group| async move {
        let child = group.spawn(async {
            inner.await;
            Ok::<_, ()>(())
        });
        let mut other = group.spawn(async move {
            rest(&mut rests).await;
            if rests.u8(0..4) == 0 { Err(()) } else { Ok(()) }
        });
        sky.watched
            .lock()
            .unwrap()
            .extend([&child, &other].into_iter().filter_map(|child| child.task().cloned()));
        match own.u8(0..4) {
            0 => _ = child.await,
            1 => drop(group.spawn(async { child.await.map_err(|_| ()) })),
            2 => _ = (&mut other).await,
            _ => rest(&mut own).await,
        }
        Ok(())
    });
    _ = outcome.await;
}

async fn catches(inner: Act, dice: &mut Rng) {
    if let Err(cancelled) = catch_cancel(inner).await {
        short_rest(dice.fork()).await;
        if dice.bool() {
            cancelled.resume::<()>().await;
        }
    }
}

async fn cleans_up(sky: &Sky, inner: Act, dice: &mut Rng) {
    let body = Arc::new(Body::default());
    sky.bodies.lock().unwrap().push(body.clone());
    let (begins, rests) = (body.clone(), dice.fork());
    let body_runs = async move {
        begins.begun.store(true, Ordering::SeqCst);
        inner.await;
    };
    let cleanup = async move {
        body.cleaned.fetch_add(1, Ordering::SeqCst);
        short_rest(rests).await; // a second request may end it here
    };
    finally(body_runs, cleanup).await;
}

/// Cancels tasks at random until the storm is over.
fn strikes(sky: &Sky, mut dice: Rng) {
    while !sky.over.load(Ordering::SeqCst) {
        sky.strike(&mut dice);
        if dice.u8(0..4) == 0 {
            thread::sleep(Duration::from_micros(dice.u64(0..50)));
        }
    }
}
