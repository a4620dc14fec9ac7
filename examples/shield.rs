//! Waiting with a limit, without hurting what one waits for. asyncio: `asyncio.shield(aw)`.
//!
//! `wait_for` cancels a task that takes too long. Sometimes it should rather go on: the user wants to know that it takes
//! longer, not to lose it. `shield` lets you wait for a task without taking it, so that only the *wait* ends.
//!
//! Watch for: after the timeout the same task is awaited again, and gives its result.

use unstuck::{shield, spawn, wait_for};
use unstuck_examples::{SECOND, delay, say};

fn main() {
    unstuck::run_single(tutorial());
}

pub(crate) async fn tutorial() {
    let mut task = spawn(delay(3));
    match wait_for(shield(&mut task), SECOND).await {
        Ok(result) => say!("Slept for {} seconds", result.unwrap()),
        Err(_) => {
            say!("Task took longer than one second, it will finish soon!");
            let result = task.await.unwrap();
            say!("Slept for {result} seconds");
        }
    }
}
