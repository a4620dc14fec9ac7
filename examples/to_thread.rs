//! A call that waits, on another thread. asyncio: `asyncio.to_thread(f)`.
//!
//! A plain function that waits (reads a file, asks a database, sleeps) would stop the loop. `to_thread` runs it on a
//! thread of a pool and gives a future of its result; the loop stays free. The pool makes threads when they are needed
//! and lets idle ones go.
//!
//! Watch for: two calls of two seconds each and two seconds of other code take two seconds together, on one loop.
//!
//! Not for calls that compute: see `cpu_bound_offloaded`.

use std::thread;

use unstuck::{gather, sleep, to_thread};
use unstuck_examples::{SECOND, say};

fn main() {
    unstuck::run_single(tutorial(|| {
        thread::sleep(2 * SECOND); // blocks its thread, as a blocking library does
        "an answer"
    }));
}

pub(crate) async fn tutorial(slow_call: fn() -> &'static str) {
    let (one, two, ()) = gather!(to_thread(slow_call), to_thread(slow_call), hello_every_second()).await;
    say!("the calls gave {:?} and {:?}", one.unwrap(), two.unwrap());
}

async fn hello_every_second() {
    for _ in 0..2 {
        sleep(SECOND).await;
        say!("I'm running other code while the threads are waiting!");
    }
}
