//! `cargo run --release -p unstuck-benches --bin process`: the pool of processes beside Python's `ProcessPoolExecutor`.
//!
//! Both get two children. Each line is a median of as many rounds as it says; Python runs the same lines, in a process of
//! its own, right after. Where there is no `python3`, its column says so.

use std::process::Command;
use std::time::{Duration, Instant};

use unstuck::process::ProcessPool;

#[unstuck::job]
fn nothing() {}

#[unstuck::job]
fn length(bytes: Vec<u8>) -> usize {
    bytes.len()
}

#[unstuck::job]
fn same(bytes: Vec<u8>) -> Vec<u8> {
    bytes
}

const MEGABYTE: usize = 1 << 20;

/// The lines, and how many rounds each takes its median of.
const LINES: [(&str, usize); 6] = [
    ("first call: a child is started", 15),
    ("round trip, empty", 2_000),
    ("16 at once, empty; one job", 200),
    ("1,000 at once, empty; one job", 10),
    ("1 MiB there", 100),
    ("1 MiB there and back", 100),
];

fn main() {
    unstuck::process::serve_if_child();
    let ours = unstuck::run(measure());
    let python = python();
    println!("| call | rounds | unstuck | Python | Python/unstuck |\n|---|--:|--:|--:|--:|");
    for (index, (name, rounds)) in LINES.into_iter().enumerate() {
        let own = ours[index];
        let (theirs, ratio) = match &python {
            Ok(times) => {
                (show(times[index]), format!("{:.1}", times[index].as_secs_f64() / own.as_secs_f64()))
            }
            Err(why) => (why.clone(), "–".to_owned()),
        };
        println!("| {name} | {rounds} | {} | {theirs} | {ratio} |", show(own));
    }
}

async fn measure() -> [Duration; 6] {
    let pool = || ProcessPool::builder().max_children(2).build().expect("the pool is made");
    let mut first = Vec::new();
    for _ in 0..LINES[0].1 {
        let pool = pool();
        first.push(time(|| pool.spawn(nothing::job())).await);
    }
    let pool = pool();
    let mut times =
        [median(first), Duration::ZERO, Duration::ZERO, Duration::ZERO, Duration::ZERO, Duration::ZERO];
    let mut own = Vec::new();
    for _ in 0..LINES[1].1 {
        own.push(time(|| pool.spawn(nothing::job())).await);
    }
    times[1] = median(own);
    for (line, count) in [(2, 16), (3, 1_000)] {
        let mut own = Vec::new();
        for _ in 0..LINES[line].1 {
            let begun = Instant::now();
            let jobs: Vec<_> = (0..count).map(|_| pool.spawn(nothing::job())).collect();
            for job in jobs {
                job.await.expect("an empty job");
            }
            own.push(begun.elapsed() / count);
        }
        times[line] = median(own);
    }
    let bytes = vec![7; MEGABYTE];
    let mut own = [Vec::new(), Vec::new()];
    for _ in 0..LINES[4].1 {
        // Python hands over a reference. So the copies that these jobs own are made before the clock starts.
        let (there, back) = (length::job(bytes.clone()), same::job(bytes.clone()));
        own[0].push(time(|| pool.spawn(there)).await);
        own[1].push(time(|| pool.spawn(back)).await);
    }
    let [there, back] = own.map(median);
    (times[4], times[5]) = (there, back);
    times
}

async fn time<T>(submit: impl FnOnce() -> unstuck::JobHandle<T>) -> Duration {
    let begun = Instant::now();
    submit().await.expect("the job gives a value");
    begun.elapsed()
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

fn show(time: Duration) -> String {
    format!("{time:.3?}")
}

/// The same lines in Python; or why there are none.
fn python() -> Result<Vec<Duration>, String> {
    const PROGRAM: &str = include_str!("process.py");
    let rounds = LINES.map(|(_, rounds)| rounds.to_string());
    let output = Command::new("python3").args(["-c", PROGRAM]).args(rounds).output();
    let output = output.map_err(|error| format!("no python3 ({error})"))?;
    let text = String::from_utf8_lossy(&output.stdout);
    let times: Vec<_> =
        text.lines().filter_map(|line| line.parse().ok()).map(Duration::from_secs_f64).collect();
    if times.len() == LINES.len() {
        Ok(times)
    } else {
        let why = String::from_utf8_lossy(&output.stderr);
        Err(format!("python3 failed: {}", why.lines().last().unwrap_or("nothing was said")))
    }
}
