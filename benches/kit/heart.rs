//! A heart: a task that sleeps a little, again and again, and notes how late it wakes.
//!
//! Everything that a runtime owes its tasks shows in it: a timer must be noticed, the task be queued, a worker come by.

use super::channel::Latch;
use super::spread::Spread;
use crate::rt::{Rt, in_task};
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

/// A heart that beats.
pub struct Heart<R: Rt> {
    task: R::Task<Vec<Duration>>,
    stop: Arc<AtomicBool>,
}

impl<R: Rt> Heart<R> {
    /// Spawns it from inside the runtime, and waits for its first beat.
    pub async fn start(every: Duration) -> Self {
        let (begun, stop) = (Latch::new(1), Arc::new(AtomicBool::new(false)));
        let task = R::spawn(beat::<R>(every, begun.clone(), stop.clone()));
        begun.wait().await;
        Self { task, stop }
    }

    /// How late the beats were, the one included that is due now.
    pub async fn stop(self) -> Spread {
        // Relaxed: the flag carries nothing; the times come back through the task's handle.
        self.stop.store(true, Relaxed);
        Spread::new(self.task.await)
    }
}

/// A heart of 1 ms on a thread of its own, without any runtime: what it suffers is the machine's doing.
pub struct Bystander {
    thread: thread::JoinHandle<Duration>,
    stop: Arc<AtomicBool>,
}

impl Bystander {
    /// Starts the thread.
    pub fn start() -> Self {
        const BEAT: Duration = Duration::from_millis(1);
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let thread = thread::spawn(move || {
            let (mut worst, mut last) = (Duration::ZERO, Instant::now());
            // Relaxed: the flag carries nothing.
            while !stopped.load(Relaxed) {
                thread::sleep(BEAT);
                worst = worst.max(last.elapsed());
                last = Instant::now();
            }
            worst
        });
        Self { thread, stop }
    }

    /// The longest time between two beats.
    pub fn stop(self) -> Duration {
        self.stop.store(true, Relaxed);
        self.thread.join().expect("a heart does not panic")
    }
}

/// Runs some work in a task and a heart in another; gives the work's result, and how late the beats were.
pub fn beside_a_heart<R: Rt, T: Send + 'static>(
    rt: &R,
    every: Duration,
    work: impl Future<Output = T> + Send + 'static,
) -> (T, Spread) {
    in_task(rt, async move {
        let heart = Heart::<R>::start(every).await;
        let result = work.await;
        (result, heart.stop().await)
    })
}

/// The first beat only says that it has begun.
async fn beat<R: Rt>(every: Duration, begun: Latch, stop: Arc<AtomicBool>) -> Vec<Duration> {
    let mut late = Vec::new();
    R::sleep(every).await;
    begun.count_down();
    loop {
        let due = Instant::now() + every;
        R::sleep(every).await;
        late.push(due.elapsed());
        // Relaxed: see `Heart::stop`.
        if stop.load(Relaxed) {
            return late;
        }
    }
}
