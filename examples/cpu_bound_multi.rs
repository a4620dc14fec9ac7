//! Computing in tasks, on two threads: what asyncio cannot do without processes.
//!
//! The same tasks as in `cpu_bound_single`, on a runtime with two worker threads: they compute at the same time, in half
//! the time. Both workers are held now, and the heartbeat would have to wait for one of them: more threads alone only
//! move the problem to the third task. But the stall guard notices that nobody serves the heartbeat, and lets a third
//! thread work.
//!
//! Watch for: start, start, end, end; and the time without a heartbeat at the end. It should come every 50 ms. Switch the
//! guard off, `.stall_guard(unstuck::StallPolicy::Off)`, and look again. With `UNSTUCK_DEBUG=1` the guard tells what it does.
//!
//! What to do instead: `cpu_bound_offloaded`, where nobody has to be rescued.

use unstuck::{Runtime, spawn};
use unstuck_examples::{Heartbeat, primes_below, say};

fn main() {
    let runtime = Runtime::builder().worker_threads(2).build().expect("the system gives us two threads");
    runtime.run(tutorial(|| primes_below(5_000_000)));
}

async fn cpu_bound_work(compute: fn() -> u64) -> u64 {
    say!("a task starts to count");
    let primes = compute(); // no await in here: this worker serves nobody else until it returns
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
