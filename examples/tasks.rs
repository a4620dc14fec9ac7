//! Starting something beside. asyncio: `asyncio.create_task(coro)`.
//!
//! `spawn` (or `create_task`, if you like asyncio's name better) hands a future to the runtime and returns at once. The
//! task then runs by itself, whether or not anybody awaits it; awaiting it gives its result.
//!
//! The result is a `Result`, because a task can end without a value: it was cancelled, or it panicked.
//!
//! Watch for: the first "sleeping" comes after "three tasks were made": on one thread a task starts when its creator
//! awaits for the first time. And three sleeps of two seconds take two seconds, not six.

use unstuck::{create_task, spawn};
use unstuck_examples::{delay, say};

fn main() {
    unstuck::run_single(tutorial()); // one thread, as in asyncio: the order of the lines is exact
}

pub(crate) async fn tutorial() {
    let first = create_task(delay(2));
    let second = create_task(delay(2));
    let third = spawn(delay(2)); // the same under its Rust name
    say!("three tasks were made, and none has started");

    let slept = first.await.unwrap() + second.await.unwrap() + third.await.unwrap();
    say!("slept for {slept} seconds in 2");
}
