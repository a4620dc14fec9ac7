//! Ending a task early. asyncio: `task.cancel()`, `done()`, `CancelledError`.
//!
//! `cancel` only *asks*. The task ends at the await where it stands: its future is dropped there, destructors run, and
//! code between two awaits is never cut in half. So right after `cancel()` the task is not done yet; await it to be sure.
//! Awaiting a cancelled task gives an error that `is_cancelled()`.
//!
//! The tutorial's own version awaits the task inside the loop, and so never gets to its next check. Here it is awaited
//! after the loop.
//!
//! Watch for: the loop checks once more after the cancellation was asked for (at 2 s), as in Python.

use unstuck::{sleep, spawn};
use unstuck_examples::{SECOND, delay, say};

fn main() {
    unstuck::run_single(tutorial()); // one thread, as in asyncio: the order of the lines is exact
}

pub(crate) async fn tutorial() {
    let long_task = spawn(delay(10));
    let mut seconds_elapsed = 0;
    while !long_task.is_done() {
        say!("Task not finished, checking again in a second.");
        sleep(SECOND).await;
        seconds_elapsed += 1;
        if seconds_elapsed == 2 {
            long_task.cancel();
        }
    }
    say!("Can it be cancelled again? {}", long_task.cancel());
    match long_task.await {
        Ok(seconds) => say!("Our task slept for {seconds} seconds"),
        Err(error) if error.is_cancelled() => say!("Our task was cancelled"),
        Err(error) => say!("Our task failed: {error}"),
    }

    // A result can also be looked at without waiting.
    let mut short_task = spawn(async { 42 });
    say!("Is there a result? {:?}", short_task.try_result());
    sleep(SECOND).await;
    say!("And now? {:?}", short_task.try_result());
}
