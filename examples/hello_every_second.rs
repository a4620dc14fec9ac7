//! Other code runs while tasks wait. asyncio: the tutorial's `hello_every_second`.
//!
//! Two tasks sleep for three seconds each; meanwhile this function says something every second. All of it takes three
//! seconds, on one thread.
//!
//! Watch for the order. It is the same in Python, line by line: both tasks start when `hello_every_second` awaits for the
//! first time, and they finish in the order in which they went to sleep.

use unstuck::{sleep, spawn};
use unstuck_examples::{SECOND, delay, say};

fn main() {
    unstuck::run_single(tutorial()); // one thread, as in asyncio: the order of the lines is exact
}

async fn hello_every_second() {
    for _ in 0..2 {
        sleep(SECOND).await;
        say!("I'm running other code while I'm waiting!");
    }
}

pub(crate) async fn tutorial() {
    let first_delay = spawn(delay(3));
    let second_delay = spawn(delay(3));
    hello_every_second().await;
    first_delay.await.unwrap();
    second_delay.await.unwrap();
}
