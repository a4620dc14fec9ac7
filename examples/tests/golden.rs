//! The tutorial, played and compared line by line with `expected/NAME.txt`.
//!
//! # The problem
//! The examples are for reading, so they know nothing of tests: they print, and they sleep for seconds. The test must
//! see what a person sees in the terminal, standard error and other threads' lines included, and must not wait.
//!
//! # How
//! This file takes each example in as a module and calls its `tutorial` instead of its `main`. What `main` would decide
//! is decided here: the runtime, the clock, and what "a slow call" is.
//! * Where the loop's clock is all the time there is, the clock is paused: seconds pass at once, and the times in front
//!   of the lines are exact.
//! * Where threads really compute or block, the clock is real and its numbers are not compared. Two calls that should
//!   go on at the same time *meet*: neither returns before the other has begun. Were they one after the other, the
//!   example would wait for ever, and the test would say so. No test compares durations.
//!
//! Each example plays in a process of its own (this program, asked for its ignored test), which has its output written to
//! a file. After a change on purpose, `BLESS=1 cargo test -p unstuck-examples --test golden` writes the expected files
//! anew; read the difference before you commit it.

#![allow(dead_code)] // the examples' own `main`s

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus};
use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use unstuck::{EventLoop, Runtime, run_single};
use unstuck_examples::{SlowServer, primes_below};

/// Declares the examples: a module, a test, and how to play it.
macro_rules! tutorial {
    ($($name:ident in $path:literal: $play:expr;)+) => {
        $(
            #[path = $path]
            mod $name;

            #[test]
            fn $name() {
                compare(stringify!($name));
            }
        )+

        /// Every example that has a test here.
        const NAMES: &[&str] = &[$(stringify!($name)),+];

        fn play(name: &str) {
            match name {
                $(stringify!($name) => $play,)+
                _ => panic!("there is no example {name}"),
            }
        }
    };
}

unstuck::process::serve_in_tests!();

tutorial! {
    hello_world in "../hello_world.rs": paused().run(hello_world::tutorial());
    run in "../run.rs": run::tutorial();
    coroutines in "../coroutines.rs": paused().run(coroutines::tutorial());
    await_in_place in "../await_in_place.rs": paused().run(await_in_place::tutorial());
    sleep in "../sleep.rs": paused().run(sleep::tutorial());
    tasks in "../tasks.rs": paused().run(tasks::tutorial());
    hello_every_second in "../hello_every_second.rs": paused().run(hello_every_second::tutorial());
    cancel in "../cancel.rs": paused().run(cancel::tutorial());
    cleanup in "../cleanup.rs": paused().run(cleanup::tutorial());
    task_group in "../task_group.rs": paused().run(task_group::tutorial());
    timeout in "../timeout.rs": paused().run(timeout::tutorial());
    shield in "../shield.rs": paused().run(shield::tutorial());
    deferred in "../deferred.rs": paused().run(deferred::tutorial());
    awaitables in "../awaitables.rs": paused().run(awaitables::tutorial());
    gather in "../gather.rs": paused().run(gather::tutorial());
    wait in "../wait.rs": paused().run(wait::tutorial());
    as_completed in "../as_completed.rs": paused().run(as_completed::tutorial());
    queue in "../queue.rs": paused().run(queue::tutorial());
    to_thread in "../to_thread.rs": paused().run(to_thread::tutorial(|| {
        meet();
        "an answer"
    }));
    executors in "../executors.rs": executors::tutorial();
    process_pool in "../process_pool.rs": process_pool::tutorial();
    limiter in "../limiter.rs": limiter::tutorial();
    cancel_token in "../cancel_token.rs": cancel_token::tutorial();
    event_loop in "../event_loop.rs": event_loop::tutorial(paused());
    running_loop in "../running_loop.rs": running_loop::tutorial(paused());
    call_soon in "../call_soon.rs": paused().run(call_soon::tutorial());
    context_vars in "../context_vars.rs": paused().run(context_vars::tutorial());
    exception_handler in "../exception_handler.rs": paused().run(exception_handler::tutorial());
    on_exit in "../on_exit.rs": on_exit::tutorial(|| Runtime::builder().start_paused(true));
    slow_step in "../slow_step.rs": slow_step::tutorial(until_reported);
    timed in "../timed.rs": paused().run(timed::tutorial());
    inspect in "../inspect.rs": noted().run(inspect::tutorial());
    cpu_bound_single in "../cpu_bound_single.rs": run_single(cpu_bound_single::tutorial(|| primes_below(100)));
    cpu_bound_multi in "../cpu_bound_multi.rs": two_workers().run(cpu_bound_multi::tutorial(meet_and_count));
    cpu_bound_offloaded in "../cpu_bound_offloaded.rs": two_cpus().run(cpu_bound_offloaded::tutorial(meet_and_count));
    blocking_single in "../blocking_single.rs": run_single(blocking_single::tutorial(server(|| ())));
    blocking_offloaded in "../blocking_offloaded.rs": run_single(blocking_offloaded::tutorial(server(meet)));
    blocking_sockets in "../blocking_sockets.rs": run_single(blocking_sockets::tutorial(server(meet)));
}

/// These run on the real clock, whose numbers differ from run to run.
const REAL_CLOCK: &[&str] = &[
    "cpu_bound_single",
    "cpu_bound_multi",
    "cpu_bound_offloaded",
    "blocking_single",
    "blocking_offloaded",
    "blocking_sockets",
];

/// asyncio's loop, on which seconds pass at once.
fn paused() -> EventLoop {
    Runtime::builder().start_paused(true).build_single().expect("the loop is made")
}

/// The paused loop, which notes what tasks await.
fn noted() -> EventLoop {
    Runtime::builder().introspection(true).start_paused(true).build_single().expect("the loop is made")
}

/// asyncio's loop, on the real clock, with two threads for `cpu` even where there is one CPU.
fn two_cpus() -> EventLoop {
    Runtime::builder().cpu_threads(2).build_single().expect("the loop is made")
}

fn two_workers() -> Runtime {
    Runtime::builder().worker_threads(2).build().expect("the threads are made")
}

fn server(before_answer: fn()) -> SlowServer {
    SlowServer::start(before_answer).expect("the server starts")
}

/// Returns when two threads are in here: they are at work at the same time.
fn meet() {
    static BOTH: Barrier = Barrier::new(2);
    BOTH.wait();
}

fn meet_and_count() -> u64 {
    meet();
    primes_below(100)
}

/// A call that comes back when it has been reported.
fn until_reported(reports: &slow_step::Reports) {
    let known = reports.lock().expect("nobody panics").len();
    while reports.lock().expect("nobody panics").len() == known {
        thread::sleep(Duration::from_millis(1));
    }
}

/// Says which example the child plays.
const PLAY: &str = "UNSTUCK_EXAMPLE";

/// Stands before and after the play, to cut off what the test harness prints.
const CURTAIN: &str = "-~=~- curtain -~=~-";

/// Nobody waits for longer than this, not even on a very busy machine.
const PATIENCE: Duration = Duration::from_secs(180);

#[test]
#[ignore = "what the other tests run as a child process"]
fn stage() {
    let Ok(name) = std::env::var(PLAY) else { return };
    println!("{CURTAIN}");
    play(&name);
    println!("{CURTAIN}");
}

fn compare(name: &str) {
    let played = cleaned(&perform(name), REAL_CLOCK.contains(&name));
    let expected = here().join("expected").join(name).with_extension("txt");
    if std::env::var_os("BLESS").is_some_and(|value| value == "1") {
        fs::write(&expected, &played).expect("the expected file can be written");
    }
    let wanted = fs::read_to_string(&expected).expect("every example has an expected file: BLESS=1 makes it");
    assert!(
        wanted == played,
        "the example {name} should print\n\n{wanted}\nbut prints\n\n{played}\n(BLESS=1 makes the second one the rule)"
    );
}

/// Plays an example in a process of its own, and gives what a terminal would show.
fn perform(name: &str) -> String {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("golden-{name}.txt"));
    let output = File::create(&path).expect("the output file can be made");
    let mut child = Command::new(std::env::current_exe().expect("a test knows its own file"))
        .args(["stage", "--exact", "--ignored", "--nocapture"])
        .env(PLAY, name)
        .env("RUST_BACKTRACE", "0")
        .env_remove("UNSTUCK_DEBUG")
        .stdout(output.try_clone().expect("the output file can be shared"))
        .stderr(output)
        .spawn()
        .expect("this test can start itself");
    let status = end_of(&mut child);
    let printed = fs::read_to_string(path).expect("the child prints text");
    let status = status.unwrap_or_else(|| panic!("the example {name} waits for ever, after\n{printed}"));
    assert!(status.success(), "the example {name} failed: {status}\n{printed}");
    printed.split(CURTAIN).nth(1).expect("two curtains").trim_start_matches('\n').to_owned()
}

/// Waits for a child; one that does not end is killed.
fn end_of(child: &mut Child) -> Option<ExitStatus> {
    let begun = Instant::now();
    loop {
        if let Some(status) = child.try_wait().expect("a child can be waited for") {
            return Some(status);
        }
        if begun.elapsed() > PATIENCE {
            child.kill().and_then(|()| child.wait()).expect("a child can be killed");
            return None;
        }
        thread::sleep(Duration::from_millis(5));
    }
}

/// Takes out what differs from run to run or between versions of Rust: who panicked, the detour through this folder and,
/// on the real clock, the time.
fn cleaned(printed: &str, real_clock: bool) -> String {
    let printed = printed.replace('\\', "/").replace("tests/../", "");
    let noise = |line: &str| {
        line.is_empty() || line.starts_with("thread '") || line.starts_with("note: run with `RUST_BACKTRACE")
    };
    let lines = printed.lines().filter(|line| !noise(line));
    lines.map(|line| if real_clock { without_times(line) } else { line.to_owned() } + "\n").collect()
}

/// ` 1.0 s  text: 2.03 s` becomes `   ? s  text: ? s`.
fn without_times(line: &str) -> String {
    let (time, text) = line.split_once(" s  ").unwrap_or(("", line));
    let number = |word: &str| word.parse::<f64>().is_ok() && word.contains('.');
    let words: Vec<_> = text.split(' ').map(|word| if number(word) { "?" } else { word }).collect();
    let time = if time.is_empty() { "" } else { "   ? s  " };
    format!("{time}{}", words.join(" "))
}

#[test]
fn every_example_is_in_the_readme_and_has_a_test() {
    let readme = fs::read_to_string(here().join("README.md")).expect("the examples have a README");
    let mut files: Vec<String> = fs::read_dir(here())
        .expect("the folder can be read")
        .map(|entry| entry.expect("the folder can be read").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "rs"))
        .map(|path| path.file_stem().expect("a file has a name").to_string_lossy().into_owned())
        .filter(|name| name != "lib")
        .collect();
    files.sort();
    let mut tested = NAMES.to_vec();
    tested.sort_unstable();
    assert_eq!(files, tested, "each example is declared at the top of this file");
    for name in NAMES {
        assert!(readme.contains(&format!("[`{name}`]({name}.rs)")), "the README does not name {name}");
    }
}

/// The rows of the asyncio tutorial that this one follows.
const ROWS: u32 = 21;

#[test]
fn every_row_of_the_tutorial_has_an_example() {
    let readme = fs::read_to_string(here().join("README.md")).expect("the examples have a README");
    let last_cells = readme.lines().filter_map(|line| line.strip_suffix('|')?.rsplit('|').next());
    let rows: Vec<u32> =
        last_cells.flat_map(|cell| cell.split(',')).filter_map(|number| number.trim().parse().ok()).collect();
    let missing: Vec<u32> = (1..=ROWS).filter(|row| !rows.contains(row)).collect();
    assert_eq!(missing, [0; 0]);
}

fn here() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}
