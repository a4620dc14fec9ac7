//! Waiting no longer than that. asyncio: `asyncio.wait_for(aw, timeout)`.
//!
//! When the time is over, `wait_for` cancels what it waited for, *waits until that has really ended*, and only then gives
//! its error. Nobody is left running behind your back, and the task says that it was cancelled.
//!
//! `unstuck::timeout` is the same with its arguments the other way round; `TimeLimit` can be moved while it runs.
//!
//! Watch for: the task needs two seconds and gets one; its destructor has run before "Got a timeout!" is said.

use unstuck::{spawn, wait_for};
use unstuck_examples::{SECOND, delay, say};

fn main() {
    unstuck::run_single(tutorial());
}

pub(crate) async fn tutorial() {
    let quick_task = spawn(delay(1));
    match wait_for(quick_task, 2 * SECOND).await {
        Ok(result) => say!("In time: {}", result.unwrap()),
        Err(_) => say!("Got a timeout!"),
    }

    let delay_task = spawn(async {
        let _cleanup = Cleanup;
        delay(2).await
    });
    let watch = delay_task.watch(); // `wait_for` takes the task; this looks at it from outside
    match wait_for(delay_task, SECOND).await {
        Ok(result) => say!("In time: {}", result.unwrap()),
        Err(_) => say!("Got a timeout!"),
    }
    say!("Has the task ended? {}", watch.is_done());
    say!("Was the task cancelled? {}", watch.is_cancelled());
}

struct Cleanup;

impl Drop for Cleanup {
    fn drop(&mut self) {
        say!("The task was cancelled and cleans up");
    }
}
