//! Closures that wait, on the runtime's pool for such.

use super::{Visitor, Workload, time_in_task};
use crate::rt::{Rt, in_task};
use std::sync::{Arc, Barrier};
use std::time::{Duration, Instant};

/// The group `blocking`.
pub fn all(visitor: &mut impl Visitor) {
    visitor.visit::<RoundTrip>();
    visitor.visit::<BatchOf16>();
    visitor.visit::<ThousandSleeps>();
}

/// An empty closure, there and back, one after another.
pub struct RoundTrip;

impl Workload for RoundTrip {
    const NAME: &'static str = "to_thread, empty, there and back";
    const OPS: u64 = 100;

    fn measure<R: Rt>(rt: &R, rounds: u64) -> Duration {
        time_in_task(rt, rounds, || async {
            for _ in 0..Self::OPS {
                R::to_thread(|| ()).await;
            }
        })
    }
}

/// 16 empty closures at once, then all are awaited.
pub struct BatchOf16;

impl Workload for BatchOf16 {
    const NAME: &'static str = "to_thread, empty, 16 at once";
    const OPS: u64 = 16;

    fn measure<R: Rt>(rt: &R, rounds: u64) -> Duration {
        time_in_task(rt, rounds, || async {
            let jobs = [(); 16].map(|()| R::to_thread(|| ()));
            for job in jobs {
                job.await;
            }
        })
    }
}

/// 1,000 closures that sleep 1 ms each, at once; the figure is the time until all have ended.
pub struct ThousandSleeps;

impl Workload for ThousandSleeps {
    const NAME: &'static str = "to_thread, 1,000 × sleep 1 ms, all";
    const OPS: u64 = 1;

    fn measure<R: Rt>(rt: &R, rounds: u64) -> Duration {
        time_in_task(rt, rounds, || async {
            let sleep = |_| R::to_thread(|| std::thread::sleep(Duration::from_millis(1)));
            let jobs: Vec<_> = (0..1_000).map(sleep).collect();
            for job in jobs {
                job.await;
            }
        })
    }
}

/// How many threads [`ramp_up`] asks for: the smallest default cap of the pools compared.
pub const RAMP: usize = 500;

/// How long it takes until 500 closures run at the same time, each on its own thread.
///
/// Only a fresh pool can tell, so this is asked in a fresh process ([`crate::kit::probe`]).
pub fn ramp_up<R: Rt>(rt: &R) -> Duration {
    in_task(rt, async {
        let start = Instant::now();
        let all_run = Arc::new(Barrier::new(RAMP));
        let job = |_| {
            let all_run = all_run.clone();
            R::to_thread(move || {
                all_run.wait();
            })
        };
        let jobs: Vec<_> = (0..RAMP).map(job).collect();
        for job in jobs {
            job.await;
        }
        start.elapsed()
    })
}
