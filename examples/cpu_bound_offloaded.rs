//! Computing without harm to anybody. asyncio: `run_in_executor(ProcessPoolExecutor(), f)`.
//!
//! `cpu(f)` hands a call that computes to a pool with a thread per CPU and gives a future of its result. The loop only
//! waits, as it does for anything else, so it stays free for the heartbeat. One thread is enough for the loop itself.
//!
//! A rule of thumb: what computes for longer than about 100 µs without an await belongs here.
//!
//! Watch for: start, start, end; and a heartbeat that never pauses.

use unstuck::{cpu, gather};
use unstuck_examples::{Heartbeat, primes_below, say};

fn main() {
    unstuck::run_single(tutorial(|| primes_below(5_000_000)));
}

async fn cpu_bound_work(compute: fn() -> u64) -> u64 {
    say!("a task hands its work to the CPU pool");
    cpu(compute).await.unwrap()
}

pub(crate) async fn tutorial(compute: fn() -> u64) {
    let heartbeat = Heartbeat::start();
    let (one, two) = gather!(cpu_bound_work(compute), cpu_bound_work(compute)).await;
    say!("the CPU pool has counted {one} and {two} primes");
    say!("longest time without a heartbeat: {:.2} s", heartbeat.stop());
}
