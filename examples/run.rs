//! From plain code into async code, and back. asyncio: `asyncio.run(coro)`.
//!
//! `run` makes a runtime, runs one future to its end and gives its value back. Before it returns, it cancels the tasks
//! that are left *and waits for their end*: their destructors (Python's `finally`) have run when the next line does.
//!
//! `run` inside async code is refused, as in Python: it would stall the thread that everybody else needs. Write
//! `.await` instead. The refusal is an ordinary panic: it ends the task that made the mistake, and nothing else.
//!
//! Watch for: "leftover: cleaned up" comes *before* "run gave 123"; the hour is never waited for.
//!
//! `run` uses all CPUs. `run_single` below is the same on one thread, asyncio's own model, where the order of things
//! is exact.

use std::time::Duration;

use unstuck::{run, run_single, sleep, spawn, yield_now};

fn main() {
    tutorial();
}

pub(crate) fn tutorial() {
    let answer = run(async { 6 * 7 });
    println!("run gave {answer}");

    let answer = run_single(async {
        spawn(leftover()).detach();
        yield_now().await; // the leftover's turn
        println!("main: ends while the leftover sleeps");
        123
    });
    println!("run gave {answer}");

    run_single(async {
        let mistake = spawn(async { run(async { println!("never said") }) });
        let error = mistake.await.expect_err("run inside run is refused");
        println!("refused: {}", error.panic_message().unwrap_or_default());
        println!("the outer program goes on");
    });
}

async fn leftover() {
    let _cleanup = Cleanup;
    println!("leftover: sleeps for an hour");
    sleep(Duration::from_secs(3600)).await;
    println!("leftover: slept, which nobody will ever read");
}

/// What `finally` is in Python, a destructor is in Rust.
struct Cleanup;

impl Drop for Cleanup {
    fn drop(&mut self) {
        println!("leftover: cleaned up");
    }
}
