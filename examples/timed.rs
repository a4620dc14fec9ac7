//! How long did that take? asyncio: the tutorial's `@async_timed()`.
//!
//! `#[unstuck::timed]` on an `async fn` prints when it starts, with its arguments, and how long it took, however it ends:
//! with a value, by a panic, or because it was cancelled. `.timed("name")` does the same for any future.
//!
//! Watch for: the two delays of 1 and 2 seconds take 2 seconds together, because they are tasks; the last one is cut
//! short, and says so.

use unstuck::{Timed, sleep, spawn, timeout};
use unstuck_examples::SECOND;

fn main() {
    unstuck::run_single(tutorial());
}

#[unstuck::timed]
async fn delay(seconds: u32) -> u32 {
    sleep(seconds * SECOND).await;
    seconds
}

#[unstuck::timed]
async fn two_delays() {
    let one = spawn(delay(1));
    let two = spawn(delay(2));
    one.await.unwrap();
    two.await.unwrap();
}

pub(crate) async fn tutorial() {
    two_delays().await;
    let nap = sleep(3600 * SECOND).timed("a long nap");
    if timeout(SECOND / 2, nap).await.is_err() {
        println!("nobody wanted to wait for that");
    }
}
