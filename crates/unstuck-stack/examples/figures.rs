//! What it costs: `cargo run --release -p unstuck-stack --example figures`.

use std::collections::HashSet;
use std::fs;
use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use unstuck_stack::{Addresses, capture, register, render, symbolise};

const CAPTURES: usize = 5_000;
const AMPLE: Duration = Duration::from_secs(10);

fn main() {
    let mut all = HashSet::new();
    measure("asks itself", None, &mut all);
    measure("sleeps", Some(sleeps), &mut all);
    measure("computes", Some(computes), &mut all);
    measure("allocates", Some(allocates), &mut all);

    let first = all.iter().next().expect("there were captures");
    let before = resident();
    let (frames, cold) = timed(|| symbolise(first));
    println!(
        "symbolise, the first   {:9.1} ms, {} KiB more memory",
        cold.as_secs_f64() * 1e3,
        resident() - before
    );
    let (_, warm) = timed(|| symbolise(first));
    println!("symbolise, known       {:9.3} ms", warm.as_secs_f64() * 1e3);
    let (_, rest) = timed(|| all.iter().map(symbolise).map(|frames| frames.len()).sum::<usize>());
    println!(
        "symbolise, others      {:9.3} ms each, of {}",
        rest.as_secs_f64() * 1e3 / all.len() as f64,
        all.len()
    );
    println!("\n{}", render(&frames));
}

type Work = fn(&AtomicBool);

fn measure(what: &str, work: Option<Work>, all: &mut HashSet<Addresses>) {
    let stop = Arc::new(AtomicBool::new(false));
    let (hello, token) = mpsc::channel();
    let stopped = stop.clone();
    let other = thread::spawn(move || {
        let registered = register().expect("this thread has a stack");
        hello.send(registered.thread()).expect("somebody listens");
        if let Some(work) = work {
            work(&stopped);
        }
        while !stopped.load(Ordering::Relaxed) {
            thread::park();
        }
    });
    let mine = register().expect("this thread has a stack");
    let other_token = token.recv().expect("it says hello");
    let token = if work.is_some() { other_token } else { mine.thread() };

    let mut asking = Vec::new();
    let mut unwinding = Vec::new();
    for _ in 0..CAPTURES {
        let (capture, took) = timed(|| capture(token, AMPLE).expect("it answers"));
        asking.push(took);
        let (addresses, took) = timed(|| capture.unwind());
        unwinding.push(took);
        if all.len() < 100 {
            all.insert(addresses);
        }
    }
    let first = unwinding[0];
    let ([ask, late], [unwind, _]) = (percentiles(&mut asking), percentiles(&mut unwinding));
    println!(
        "{what:12} capture p50 {ask:6.1} µs, p99 {late:6.1} µs; unwind p50 {unwind:6.1} µs, the first {first:.1?}"
    );
    stop.store(true, Ordering::Relaxed);
    other.thread().unpark();
    other.join().expect("it does not panic");
}

fn sleeps(stop: &AtomicBool) {
    while !stop.load(Ordering::Relaxed) {
        thread::sleep(Duration::from_millis(5));
    }
}

fn computes(stop: &AtomicBool) {
    let mut sum = 0_u64;
    while !stop.load(Ordering::Relaxed) {
        sum = black_box(sum.wrapping_mul(31));
    }
}

fn allocates(stop: &AtomicBool) {
    while !stop.load(Ordering::Relaxed) {
        black_box(vec![0_u8; 1_000]);
    }
}

fn timed<T>(f: impl FnOnce() -> T) -> (T, Duration) {
    let started = Instant::now();
    let value = f();
    (value, started.elapsed())
}

fn percentiles(times: &mut [Duration]) -> [f64; 2] {
    times.sort();
    [times.len() / 2, times.len() * 99 / 100].map(|at| times[at].as_secs_f64() * 1e6)
}

/// KiB of memory that the process uses.
fn resident() -> i64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}
