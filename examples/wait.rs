//! Waiting for some of many. asyncio: `asyncio.wait(tasks, return_when=…, timeout=…)`.
//!
//! `gather` waits for all. `wait` stops when the first is done, or the first has failed, or the time is over, and sorts the
//! tasks into those that are done and those that are pending. Nothing is cancelled: the pending ones go on, and you still
//! hold them.
//!
//! Watch for: a timeout is no error here; the tasks that are left over are cancelled by hand.

use unstuck::{ALL_COMPLETED, FIRST_COMPLETED, FIRST_EXCEPTION, sleep, spawn, wait};
use unstuck_examples::{SECOND, delay, say};

fn main() {
    unstuck::run_single(tutorial());
}

pub(crate) async fn tutorial() {
    say!("The first of three:");
    let tasks = [3, 1, 5].map(|seconds| spawn(delay(seconds)));
    let (done, pending) = wait(tasks, FIRST_COMPLETED).await.unwrap();
    for done in done {
        say!("done: argument {}, which gave {}", done.index, done.output.unwrap());
    }
    say!("pending: {}", pending.len());

    say!("All of them, but no longer than 3 seconds:");
    let (done, pending) = wait(pending, ALL_COMPLETED).timeout(3 * SECOND).await.unwrap();
    say!("done: {}, pending: {}", done.len(), pending.len());
    for task in pending {
        task.cancel();
        say!("the last one {}", if task.await.is_err() { "was cancelled" } else { "was quicker" });
    }

    say!("Until one fails:");
    let works = spawn(delay(3));
    let fails = spawn(async {
        sleep(SECOND).await;
        panic!("no connection")
    });
    let (done, pending) = wait([works, fails], FIRST_EXCEPTION).await.unwrap();
    let error = done[0].output.as_ref().unwrap_err();
    say!("task {} failed: {}", done[0].index, error.panic_message().unwrap());
    for task in pending {
        say!("the other one went on, and gave {}", task.await.unwrap());
    }
}
