//! Closures that compute: the runtime's CPU pool, or rayon and a oneshot channel where it has none.

use super::{Visitor, Workload, time_in_task};
use crate::kit::compute::{calibrate, compute};
use crate::kit::heart::beside_a_heart;
use crate::kit::spread::Spread;
use crate::rt::Rt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// The group `cpu`.
pub fn all(visitor: &mut impl Visitor) {
    visitor.visit::<RoundTrip>();
    visitor.visit::<BatchOf16>();
    visitor.visit::<Compute64>();
    visitor.visit::<BesideAHeart>();
}

/// An empty closure, there and back, one after another.
pub struct RoundTrip;

impl Workload for RoundTrip {
    const NAME: &'static str = "cpu, empty, there and back";
    const OPS: u64 = 100;

    fn measure<R: Rt>(rt: &R, rounds: u64) -> Duration {
        time_in_task(rt, rounds, || async {
            for _ in 0..Self::OPS {
                R::cpu(|| ()).await;
            }
        })
    }
}

/// 16 empty closures at once, then all are awaited.
pub struct BatchOf16;

impl Workload for BatchOf16 {
    const NAME: &'static str = "cpu, empty, 16 at once";
    const OPS: u64 = 16;

    fn measure<R: Rt>(rt: &R, rounds: u64) -> Duration {
        time_in_task(rt, rounds, || async {
            let jobs = [(); 16].map(|()| R::cpu(|| ()));
            for job in jobs {
                job.await;
            }
        })
    }
}

/// 64 closures that compute 1 ms each, at once.
pub struct Compute64;

impl Workload for Compute64 {
    const NAME: &'static str = "cpu, 64 × 1 ms";
    const OPS: u64 = 64;

    fn measure<R: Rt>(rt: &R, rounds: u64) -> Duration {
        calibrate();
        time_in_task(rt, rounds, batch::<R>)
    }
}

/// The same with a heart of 1 ms beside it.
pub struct BesideAHeart;

impl Workload for BesideAHeart {
    const NAME: &'static str = "cpu, 64 × 1 ms, beside a heartbeat";
    const OPS: u64 = 64;

    fn measure<R: Rt>(rt: &R, rounds: u64) -> Duration {
        beside_the_heart(rt, rounds).0
    }
}

/// How long so many batches of 64 take, and how late the heart beats beside them.
pub fn beside_the_heart<R: Rt>(rt: &R, rounds: u64) -> (Duration, Spread) {
    calibrate();
    let work = async move {
        let start = Instant::now();
        for _ in 0..rounds {
            batch::<R>().await;
        }
        start.elapsed()
    };
    beside_a_heart::<R, _>(rt, Duration::from_millis(1), work)
}

/// What [`in_a_crowd`] saw.
pub struct Crowd {
    /// Until the last closure had ended.
    pub batch: Duration,
    /// How many polls the computing task had in a second.
    pub polls: f64,
    /// How late the heart beat.
    pub late: Spread,
}

/// Everybody wants a CPU: 64 closures compute 1 ms each, 64 wait as long, a task computes 200 µs a poll without end, and a
/// heart of 1 ms beats beside them.
pub fn in_a_crowd<R: Rt>(rt: &R) -> Crowd {
    calibrate();
    let work = async move {
        let (stop, polls) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let (stopped, count) = (stop.clone(), polls.clone());
        let task = R::spawn(async move {
            // Relaxed: neither carries anything.
            while !stopped.load(Relaxed) {
                compute(Duration::from_micros(200));
                count.fetch_add(1, Relaxed);
                R::yield_now().await;
            }
        });
        let start = Instant::now();
        let wait = |_| R::in_pool(|| std::thread::sleep(Duration::from_millis(1)));
        let waits: Vec<_> = (0..64).map(wait).collect();
        batch::<R>().await;
        for wait in waits {
            wait.await;
        }
        let (took, polls) = (start.elapsed(), polls.load(Relaxed)); // Relaxed: as above
        stop.store(true, Relaxed);
        task.await;
        (took, polls as f64 / took.as_secs_f64())
    };
    let ((batch, polls), late) = beside_a_heart::<R, _>(rt, Duration::from_millis(1), work);
    Crowd { batch, polls, late }
}

/// How long the same work takes on rayon alone, on a pool of so many threads, with nothing beside it.
pub fn on_rayon_alone(pool: &rayon::ThreadPool, rounds: u64) -> Duration {
    calibrate();
    let start = Instant::now();
    for _ in 0..rounds {
        pool.scope(|scope| {
            for _ in 0..64 {
                scope.spawn(|_| _ = compute(Duration::from_millis(1)));
            }
        });
    }
    start.elapsed()
}

async fn batch<R: Rt>() {
    let jobs: Vec<_> = (0..64).map(|_| R::cpu(|| compute(Duration::from_millis(1)))).collect();
    for job in jobs {
        job.await;
    }
}
