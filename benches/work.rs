//! The workloads: each written once, and run by every runtime.
//!
//! A workload says where it runs: most inside a spawned task (`time_in_task`), so on a worker, with the clock read there
//! too, which keeps the trip from and to the measuring thread out of the figure. Those that are about another thread
//! say so in their name.

use crate::rt::{Rt, in_task};
use std::future::Future;
use std::time::{Duration, Instant};

pub mod blocking;
pub mod cpu;
pub mod offload;
pub mod spawn;
pub mod stall;
pub mod timer;
pub mod wake;

/// Something to measure.
pub trait Workload {
    /// Its name in the tables.
    const NAME: &'static str;

    /// How many operations one round does: the time is divided by this.
    const OPS: u64;

    /// How much measured time one series of samples may take. Smaller where most of a round is preparation.
    const BUDGET: Duration = Duration::from_millis(700);

    /// How long `rounds` rounds take.
    fn measure<R: Rt>(rt: &R, rounds: u64) -> Duration;
}

/// Someone who wants to see all workloads of a group, in order.
pub trait Visitor {
    /// Called once for each workload.
    fn visit<W: Workload>(&mut self);
}

/// Shows every workload to a visitor.
pub fn all(visitor: &mut impl Visitor) {
    spawn::all(visitor);
    wake::all(visitor);
    timer::all(visitor);
    blocking::all(visitor);
    cpu::all(visitor);
}

/// Times rounds that run inside a spawned task.
fn time_in_task<R: Rt, F>(rt: &R, rounds: u64, round: fn() -> F) -> Duration
where
    F: Future<Output = ()> + Send + 'static,
{
    in_task(rt, time_here(rounds, round))
}

/// Times rounds wherever this future is polled.
async fn time_here<F: Future<Output = ()>>(rounds: u64, round: fn() -> F) -> Duration {
    let start = Instant::now();
    for _ in 0..rounds {
        round().await;
    }
    start.elapsed()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rt::{Smol, Tokio, Unstuck};

    struct RunOnce<R>(R);

    impl<R: Rt> Visitor for RunOnce<R> {
        fn visit<W: Workload>(&mut self) {
            assert!(W::measure(&self.0, 1) > Duration::ZERO, "{} took no time on {}", W::NAME, R::NAME);
        }
    }

    #[test]
    fn every_workload_comes_to_an_end_on_every_runtime() {
        all(&mut RunOnce(Unstuck::start(2)));
        all(&mut RunOnce(Tokio::start(2)));
        all(&mut RunOnce(Smol::start(2)));
    }
}
