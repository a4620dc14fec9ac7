//! The attributes as a user writes them.

use std::time::Duration;

use unstuck::Timed;

use crate::support::{in_child, text};

mod answer {
    #[unstuck::main]
    pub(super) async fn plain() -> u32 {
        unstuck::spawn(async { 42 }).await.unwrap()
    }

    #[unstuck::main(flavor = "single")]
    pub(super) async fn single() -> u32 {
        let shared = std::rc::Rc::new(42);
        unstuck::spawn_local(async move { *shared }).await.unwrap()
    }

    #[unstuck::main(worker_threads = 3)]
    pub(super) async fn with_workers() -> usize {
        // From the inside: every worker stands at the barrier at once.
        let barrier = std::sync::Arc::new(std::sync::Barrier::new(3));
        let tasks = (0..3).map(|_| {
            let barrier = barrier.clone();
            unstuck::spawn(async move { barrier.wait().is_leader() })
        });
        unstuck::gather(tasks.collect::<Vec<_>>()).await.len()
    }

    #[unstuck::main(flavor = "single", debug = true)]
    pub(super) async fn fails() -> Result<(), Box<dyn std::error::Error>> {
        "x".parse::<u32>()?;
        Ok(())
    }

    #[unstuck::main]
    pub(super) async fn returns_early() -> Result<u32, Box<dyn std::error::Error>> {
        if unstuck::time() == std::time::Duration::MAX {
            return Err(Box::new(std::fmt::Error));
        }
        Ok("42".parse()?)
    }
}

#[test]
fn main_runs_its_body_on_the_runtime_that_was_asked_for_and_returns_what_it_returns() {
    assert_eq!(answer::plain(), 42);
    assert_eq!(answer::single(), 42);
    assert_eq!(answer::with_workers(), 3);
    assert!(answer::fails().unwrap_err().to_string().contains("invalid digit"));
    assert_eq!(answer::returns_early().unwrap(), 42);
}

#[unstuck::test]
async fn a_test_runs_on_the_multi_threaded_runtime() {
    assert_ne!(
        unstuck::spawn(async { std::thread::current().id() }).await.unwrap(),
        std::thread::current().id()
    );
}

#[unstuck::test(flavor = "single")]
async fn a_test_may_return_a_result() -> Result<(), std::num::ParseIntError> {
    assert_eq!("42".parse::<u32>()?, 42);
    Ok(())
}

#[unstuck::test(flavor = "single", start_paused = true)]
async fn a_paused_test_sleeps_for_a_year_in_no_time() {
    let year = Duration::from_secs(365 * 24 * 3600);
    unstuck::sleep(year).await;
    assert_eq!(unstuck::time(), year);
}

#[unstuck::test]
#[should_panic(expected = "as it should")]
async fn a_test_that_should_panic_does() {
    unstuck::spawn(async {}).await.unwrap();
    panic!("as it should");
}

/// Long for a poll, and no race: stalls are reported after 10 ms, 40, 160 and 640.
const LONG: Duration = Duration::from_secs(2);

#[unstuck::test(no_stalls)]
#[should_panic(expected = "a future that is no task (from crates/unstuck/tests/all/macros.rs:")]
async fn a_test_whose_own_poll_blocks_fails() {
    std::thread::sleep(LONG);
}

#[unstuck::test(no_stalls, worker_threads = 2)]
#[should_panic(expected = "'slow' (from crates/unstuck/tests/all/macros.rs:")]
async fn a_test_whose_task_blocks_a_worker_fails() {
    let slow = unstuck::task::Builder::new().name("slow").spawn(async { std::thread::sleep(LONG) });
    slow.await.unwrap();
}

#[unstuck::test(no_stalls, flavor = "single")]
#[should_panic(expected = "await unstuck::sleep(..) instead of std::thread::sleep(..)")]
async fn a_test_that_blocks_the_loop_fails_and_says_what_to_do() {
    unstuck::spawn(async { std::thread::sleep(LONG) }).await.unwrap();
}

#[unstuck::test(no_stalls)]
#[should_panic(expected = "as it should")]
async fn a_test_that_blocks_and_panics_fails_with_its_own_panic() {
    std::thread::sleep(LONG);
    panic!("as it should");
}

#[unstuck::test(no_stalls)]
async fn a_test_that_lets_others_block_passes() -> Result<(), unstuck::JoinError> {
    let blocks = unstuck::to_thread(|| std::thread::sleep(LONG));
    unstuck::sleep(LONG).await;
    blocks.await
}

#[unstuck::test(no_stalls, flavor = "single")]
async fn so_does_one_on_the_loop() -> Result<(), unstuck::JoinError> {
    let blocks = unstuck::to_thread(|| std::thread::sleep(LONG));
    unstuck::sleep(LONG).await;
    blocks.await
}

#[unstuck::test(no_stalls = false)]
async fn a_test_may_allow_stalls() {
    std::thread::sleep(LONG);
}

#[unstuck::timed]
async fn add_one(number: u32) -> u32 {
    unstuck::sleep(Duration::from_secs(1)).await;
    number + 1
}

#[unstuck::timed]
async fn greet(name: &str, _opaque: Opaque) -> Result<String, std::fmt::Error> {
    if name.is_empty() {
        return Err(std::fmt::Error);
    }
    Ok(format!("Hallo {name}"))
}

struct Opaque;

#[unstuck::timed]
async fn first<T: Clone>(all: &[T]) -> Option<T> {
    all.first().cloned()
}

struct Account {
    balance: i32,
}

impl Account {
    #[unstuck::timed]
    async fn add(&mut self, amount: i32) -> i32 {
        self.balance += amount;
        self.balance
    }

    #[unstuck::coroutine]
    async fn read(&self) -> i32 {
        self.balance
    }
}

#[test]
fn timed_functions_and_futures_print_their_start_and_their_end() {
    let Some(output) = in_child(&[], || {
        let paused = unstuck::Runtime::builder().start_paused(true).build_single().unwrap();
        paused.run(async {
            assert_eq!(add_one(1).await, 2);
            assert_eq!(greet("Welt", Opaque).await.unwrap(), "Hallo Welt");
            assert!(greet("", Opaque).await.is_err());
            assert_eq!(first(&[7, 8]).await, Some(7));
            let mut account = Account { balance: 40 };
            assert_eq!(account.add(2).await, 42);
            unstuck::sleep(Duration::from_millis(1500)).timed("nap").await;
            let late = unstuck::wait_for(add_one(5), Duration::from_millis(250)).await;
            assert!(late.is_err());
            let task = unstuck::spawn(async { panic!("boom") }.timed("bomb"));
            assert!(task.await.map(|(): ()| ()).is_err());
        });
    }) else {
        return;
    };
    assert!(output.status.success(), "{}", text(&output));
    let stdout = String::from_utf8(output.stdout).unwrap();
    let lines = [
        "starting add_one with args (1,)",
        "finished add_one in 1.0000 second(s)",
        "starting greet with args (\"Welt\", <all::macros::Opaque>)",
        "finished greet in 0.0000 second(s)",
        "starting first with args (<&[i32]>,)",
        "starting add with args (2,)",
        "starting nap",
        "finished nap in 1.5000 second(s)",
        "starting add_one with args (5,)",
        "cancelled add_one after 0.2500 second(s)",
        "starting bomb",
        "panicked in bomb after 0.0000 second(s)",
    ];
    let mut rest = stdout.as_str();
    for line in lines {
        let at =
            rest.find(line).unwrap_or_else(|| panic!("'{line}' is missing, or out of order, in\n{stdout}"));
        rest = &rest[at + line.len()..];
    }
    assert_eq!(stdout.matches("finished greet").count(), 2, "an Err is an end, too");
}

#[unstuck::coroutine]
async fn save(text: &str) -> usize {
    text.len()
}

#[test]
fn a_coroutine_that_was_never_awaited_is_reported_in_debug_mode_with_its_place() {
    let Some(output) = in_child(&["env", "UNSTUCK_DEBUG=1"], || {
        unstuck::run(async {
            drop(save("forgotten")); // line A
            assert_eq!(save("awaited").await, 7);
            let account = Account { balance: 1 };
            drop(account.read());
            assert_eq!(account.read().await, 1);
        });
    }) else {
        return;
    };
    let text = text(&output);
    assert!(output.status.success(), "{text}");
    assert_eq!(text.matches("was never awaited").count(), 2, "{text}");
    let line = include_str!("macros.rs").lines().position(|line| line.ends_with("// line A")).unwrap() + 1;
    assert!(text.contains("coroutine 'save' was never awaited (created at "), "{text}");
    assert!(text.contains(&format!("macros.rs:{line})")), "{text}");
    assert!(text.contains("coroutine 'read' was never awaited"), "{text}");
}

#[test]
fn outside_debug_mode_nothing_is_said() {
    let Some(output) = in_child(&["env", "UNSTUCK_DEBUG="], || {
        unstuck::run(async { drop(save("forgotten")) });
    }) else {
        return;
    };
    assert!(output.status.success() && !text(&output).contains("never awaited"), "{}", text(&output));
}
