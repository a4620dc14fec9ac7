//! The same programs in Python and here: same lines, same order.
//!
//! `beside_cpython/programs.py` has each program as asyncio's user writes it, `programs.txt` what CPython prints. The twin
//! here must print the same: line by line on the single-threaded loop, on several threads the same lines in any order.
//! What Python says with exceptions the twins say with values; otherwise they are as alike as two languages are.

mod limits;
mod several;
mod tasks;

use std::fmt::Debug;
use std::future::{Future, pending};
use std::process::Command;
use std::time::Duration;

use unstuck::{JoinError, Runtime, finally, sleep};

use super::Log;

/// Declares the programs: two tests each, or one where the lines themselves depend on the order.
macro_rules! programs {
    ($($room:ident :: $name:ident $($only:ident)?;)+) => {
        $(programs! { one $room $name $($only)? })+

        /// Every program that has a twin.
        const NAMES: &[&str] = &[$(stringify!($name)),+];
    };
    (one $room:ident $name:ident) => {
        mod $name {
            #[test]
            fn single() {
                super::in_order(stringify!($name), super::$room::$name);
            }

            #[test]
            fn multi() {
                super::in_any_order(stringify!($name), super::$room::$name);
            }
        }
    };
    (one $room:ident $name:ident single) => {
        mod $name {
            #[test]
            fn single() {
                super::in_order(stringify!($name), super::$room::$name);
            }
        }
    };
}

programs! {
    tasks::spawn_order;
    tasks::callbacks_order single;
    tasks::timers_order;
    tasks::cancel_chain;
    tasks::cancel_and_swallow;
    tasks::cancel_itself;
    tasks::cancel_twice;
    tasks::cancel_before_the_first_step single;
    tasks::reason_through_a_gather;
    tasks::wait_for_waits_for_the_end;
    tasks::shield_goes_on;
    tasks::a_shielding_waiter_is_cancelled;
    several::gather_in_order;
    several::gather_fails_at_once;
    several::gather_is_cancelled;
    several::wait_for_the_first;
    several::as_they_come;
    several::group_waits;
    several::group_fails;
    several::group_with_a_child_that_is_cancelled;
    several::group_is_cancelled;
    several::group_adds_while_it_ends;
    several::group_awaits_a_child_that_fails;
    several::group_fails_while_it_is_cancelled;
    several::a_sibling_awaits_a_child;
    several::queue_of_one;
    several::semaphore_in_order;
    several::event_wakes_all;
    several::condition_wakes_some;
    limits::limit_around_a_cleanup_that_is_interrupted;
    limits::limit_whose_cleanup_swallows_a_request;
    limits::limit_in_a_cleanup;
    limits::limit_after_a_request_was_swallowed;
    limits::limit_in_a_group_that_fails;
    limits::three_limits;
    limits::limit_entered_while_another_is_over;
    tasks::leftovers;
}

fn in_order<F: Future<Output = ()>>(name: &str, twin: fn(Log) -> F) {
    let log = Log::new();
    Runtime::builder().start_paused(true).build_single().unwrap().run(twin(log.clone()));
    assert_eq!(log.lines(), printed(name));
}

fn in_any_order<F: Future<Output = ()> + Send>(name: &str, twin: fn(Log) -> F) {
    let log = Log::new();
    Runtime::builder().start_paused(true).worker_threads(2).build().unwrap().run(twin(log.clone()));
    let (mut ours, mut theirs) = (log.lines(), printed(name));
    ours.sort_unstable();
    theirs.sort_unstable();
    assert_eq!(ours, theirs);
}

const PRINTED: &str = include_str!("beside_cpython/programs.txt");

/// What CPython prints for this program.
fn printed(name: &str) -> Vec<String> {
    let mut sections = PRINTED.split("## ").filter_map(|section| section.split_once('\n'));
    let found = sections.find(|(title, _)| *title == name);
    let (_, lines) = found.unwrap_or_else(|| panic!("there is no program {name} in programs.txt"));
    lines.lines().map(str::to_owned).collect()
}

#[test]
fn every_program_has_a_twin() {
    let titles: Vec<&str> = PRINTED.lines().filter_map(|line| line.strip_prefix("## ")).collect();
    assert_eq!(titles, NAMES);
}

#[test]
#[ignore = "needs CPython 3.11 or later"]
fn what_cpython_prints_is_what_is_written_here() {
    let programs = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/all/asyncio/beside_cpython/programs.py");
    let output = Command::new("python3").arg(programs).output().expect("python3 is there");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(String::from_utf8_lossy(&output.stdout), PRINTED);
}

/// Writes words and values with blanks in between, as Python's `print` does.
macro_rules! print {
    ($log:expr, $($word:expr),+) => {
        $log.say([$($crate::asyncio::beside_cpython::python(&$word)),+].join(" "))
    };
}
use print;

/// As Python writes text, True, and lists of texts.
fn python(value: &impl Debug) -> String {
    match format!("{value:?}").as_str() {
        "true" => "True".into(),
        "false" => "False".into(),
        list if list.starts_with('[') => list.replace('"', "'"),
        text => text.trim_matches('"').into(),
    }
}

async fn nap(seconds: f64) {
    sleep(Duration::from_secs_f64(seconds)).await;
}

/// Waits for ever; its cleanup takes some seconds.
async fn waits(log: Log, name: &'static str, cleanup: f64) {
    let cleans_up = async move {
        print!(log, name, "cleans up");
        if cleanup > 0.0 {
            nap(cleanup).await;
            print!(log, name, "has cleaned up");
        }
    };
    finally(pending::<()>(), cleans_up).await;
}

async fn works(log: Log, name: &'static str, seconds: f64) -> &'static str {
    print!(log, name, "begins");
    nap(seconds).await;
    print!(log, name, "ends");
    name
}

async fn fails(log: Log, name: &'static str, seconds: f64) -> Result<(), &'static str> {
    nap(seconds).await;
    print!(log, name, "fails");
    Err(name)
}

fn was_cancelled<T>(end: Result<T, JoinError>) -> JoinError {
    end.err().filter(JoinError::is_cancelled).expect("it was cancelled")
}
