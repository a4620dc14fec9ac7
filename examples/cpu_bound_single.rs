//! Computing in a task, on one thread. asyncio: the tutorial's CPU-bound coroutines.
//!
//! Tasks take turns at their awaits. Code that computes has none, so nobody else gets a turn: the second task starts when
//! the first has ended, and two tasks gain nothing over plain calls. Worse, *everything* on the loop stands still: a
//! heartbeat that should come every 50 ms does not come at all. In a server that is every other user.
//!
//! Watch for: start, end, start, end; and the time without a heartbeat at the end.
//!
//! What to do instead: `cpu_bound_offloaded`. What more threads do: `cpu_bound_multi`.

use unstuck::spawn;
use unstuck_examples::{Heartbeat, primes_below, say};

fn main() {
    unstuck::run_single(tutorial(|| primes_below(5_000_000)));
}

async fn cpu_bound_work(compute: fn() -> u64) -> u64 {
    say!("a task starts to count");
    let primes = compute(); // no await in here: nobody else runs until it returns
    say!("a task has counted {primes} primes");
    primes
}

pub(crate) async fn tutorial(compute: fn() -> u64) {
    let heartbeat = Heartbeat::start();
    let task_one = spawn(cpu_bound_work(compute));
    let task_two = spawn(cpu_bound_work(compute));
    task_one.await.unwrap();
    task_two.await.unwrap();
    say!("longest time without a heartbeat: {:.2} s", heartbeat.stop());
}
