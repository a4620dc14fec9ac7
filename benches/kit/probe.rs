//! Questions that only a fresh process can answer: what a million pending tasks weigh, how fast an empty pool grows.
//!
//! The program starts itself again with the question in an environment variable, the child prints one number and
//! ends. So no runtime inherits a heap another one has warmed, and no pool is asked to grow that has grown before.
//!
//! Promise: a `main` that uses this calls [`answer_and_exit`] before anything else.

use crate::rt::{Rt, Smol, Tokio, Unstuck, in_task};
use crate::work::blocking;
use std::future::pending;
use std::hint::black_box;
use std::process::{Command, exit};
use std::time::Duration;

const QUESTION: &str = "UNSTUCK_BENCHES_QUESTION";

/// How many pending tasks [`memory`] weighs.
pub const PENDING: usize = 1_000_000;

/// In a child of [`memory`] or [`ramp_up`], answers and ends the process; elsewhere does nothing.
pub fn answer_and_exit(workers: usize) {
    let Ok(question) = std::env::var(QUESTION) else { return };
    let (what, name) = question.split_once(' ').expect("a question and a runtime");
    match name {
        Unstuck::NAME => answer(what, &Unstuck::start(workers)),
        Tokio::NAME => answer(what, &Tokio::start(workers)),
        Smol::NAME => answer(what, &Smol::start(workers)),
        _ => panic!("no runtime is called {name}"),
    }
    exit(0);
}

/// Bytes of memory a pending task takes, its handle not counted; `None` where the system does not tell.
pub fn memory<R: Rt>() -> Option<f64> {
    ask::<R>("memory")
}

/// How long a fresh pool takes until [`blocking::RAMP`] closures run at once.
pub fn ramp_up<R: Rt>() -> Duration {
    Duration::from_secs_f64(ask::<R>("ramp-up").expect("every system tells the time"))
}

fn ask<R: Rt>(what: &str) -> Option<f64> {
    let program = std::env::current_exe().expect("this program can be found");
    let child = Command::new(program).env(QUESTION, format!("{what} {}", R::NAME)).output();
    let output = child.expect("this program starts again");
    assert!(output.status.success(), "{what} of {}: {}", R::NAME, String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim().parse().ok()
}

fn answer<R: Rt>(what: &str, rt: &R) {
    let number = match what {
        "memory" => bytes_per_pending_task(rt),
        "ramp-up" => Some(blocking::ramp_up(rt).as_secs_f64()),
        _ => panic!("no probe is called {what}"),
    };
    match number {
        Some(number) => println!("{number}"),
        None => println!("unknown"),
    }
}

fn bytes_per_pending_task<R: Rt>(rt: &R) -> Option<f64> {
    in_task(rt, async {
        // The room for the handles is touched before the first weighing, so that it is not weighed.
        let mut tasks: Vec<Option<R::Task<u64>>> = Vec::with_capacity(PENDING);
        tasks.resize_with(PENDING, || black_box(None));
        let before = resident_bytes()?;
        for some in tasks.chunks_mut(1_000) {
            // Batches, with a turn for the new tasks to be polled, so that no queue has to hold a million.
            for (nth, task) in (0..).zip(&mut *some) {
                *task = Some(R::spawn(wait_for_ever(nth)));
            }
            R::yield_now().await;
        }
        R::sleep(Duration::from_millis(200)).await;
        let after = resident_bytes()?;
        // The process ends here, so nothing is measured that comes after.
        tasks.into_iter().flatten().for_each(R::cancel);
        Some(after.saturating_sub(before) as f64 / PENDING as f64)
    })
}

/// A future with one word of state.
async fn wait_for_ever(number: u64) -> u64 {
    pending::<()>().await;
    black_box(number)
}

/// The memory this process has in use, where `/proc` says so.
fn resident_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}
