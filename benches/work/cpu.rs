//! Closures that compute: the runtime's CPU pool, or rayon and a oneshot channel where it has none.

use super::{Visitor, Workload, time_in_task};
use crate::kit::compute::{calibrate, compute};
use crate::kit::heart::beside_a_heart;
use crate::kit::spread::Spread;
use crate::rt::Rt;
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
