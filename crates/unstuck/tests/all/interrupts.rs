//! Ctrl-C, each time in a process of its own: what it cancels, what it lets clean up, and what it leaves alone.
#![cfg(unix)]

use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Output};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Once};
use std::time::Duration;

use unstuck::{Canceller, Runner, Runtime, catch_cancel, signal, sleep, spawn};

use crate::support::{self, OnDrop, is_child, text, until, until_threads_are_gone};

const SIGINT: i32 = 2;

/// As the other tests do it, but where Ctrl-C is listened to: who starts the tests may ignore it (`nohup`, a script's
/// background), and ignoring is inherited. Handling is not, so a handler here, which ends this process as usual, helps.
fn in_child<F: FnOnce()>(behind: &[&str], body: F) -> Option<Output> {
    static HANDLED: Once = Once::new();
    let handle = || {
        let always = Arc::new(AtomicBool::new(true));
        signal_hook::flag::register_conditional_default(SIGINT, always).unwrap();
    };
    if !is_child() {
        HANDLED.call_once(handle);
    }
    support::in_child(behind, body)
}

fn alone<F: FnOnce()>(body: F) {
    if let Some(output) = in_child(&[], body) {
        assert!(output.status.success(), "{}\n{}", output.status, text(&output));
    }
}

/// What the terminal does when somebody presses Ctrl-C.
fn press() {
    let script = format!("kill -INT {}", std::process::id());
    assert!(Command::new("sh").args(["-c", &script]).status().unwrap().success());
}

/// A task that waits for ever and says when it has been dropped; ready once it waits.
async fn leftover() {
    let waits = Arc::new(AtomicBool::new(false));
    let tells = waits.clone();
    drop(spawn(async move {
        let _cleanup = OnDrop(|| println!("the leftover has gone"));
        tells.store(true, Ordering::SeqCst);
        sleep(Duration::MAX).await;
    }));
    while !waits.load(Ordering::SeqCst) {
        unstuck::yield_now().await;
    }
}

/// Presses Ctrl-C and waits for ever.
async fn interrupted() {
    let _cleanup = OnDrop(|| println!("main has gone"));
    leftover().await;
    let _ = unstuck::to_thread(press).await;
    sleep(Duration::MAX).await;
}

#[track_caller]
fn assert_interrupted(output: &Output) {
    let text = text(output);
    assert_eq!(output.status.code(), Some(signal::INTERRUPTED), "{text}");
    let place = |line: &str| text.find(line).unwrap_or_else(|| panic!("{line:?} is not in\n{text}"));
    assert!(place("main has gone") < place("the leftover has gone"));
    assert!(!text.contains("still here"), "{text}");
}

#[test]
fn the_first_one_cancels_main_then_leftovers_and_the_process_ends_with_130() {
    let Some(output) = in_child(&[], || {
        unstuck::run(interrupted());
        println!("still here");
    }) else {
        return;
    };
    assert_interrupted(&output);
}

#[test]
fn on_the_single_threaded_loop_too() {
    let Some(output) = in_child(&[], || {
        unstuck::run_single(interrupted());
        println!("still here");
    }) else {
        return;
    };
    assert_interrupted(&output);
}

#[test]
fn a_main_function_with_the_attribute_ends_alike() {
    #[unstuck::main(worker_threads = 2)]
    async fn main() -> Result<(), std::fmt::Error> {
        interrupted().await;
        println!("still here");
        Ok(())
    }
    let Some(output) = in_child(&[], || assert!(main().is_err())) else { return };
    assert_interrupted(&output);
}

#[test]
fn the_second_one_ends_the_process_at_once_although_a_cleanup_hangs() {
    let Some(output) = in_child(&[], || {
        unstuck::run(async {
            let _cleanup = OnDrop(|| {
                println!("a cleanup hangs");
                press();
                loop {
                    std::thread::park();
                }
            });
            press();
            sleep(Duration::MAX).await;
        });
    }) else {
        return;
    };
    assert_eq!(output.status.code(), Some(signal::INTERRUPTED), "{}", text(&output));
    assert!(text(&output).contains("a cleanup hangs"));
}

#[test]
fn a_runner_gives_an_error_and_can_run_again_and_leaves_no_thread() {
    alone(|| {
        for single in [true, false] {
            let mut runner = if single { Runner::single() } else { Runner::new() }.unwrap();
            for _ in 0..2 {
                let error = runner.run(interrupted()).unwrap_err();
                assert!(error.is_interrupted() && !error.is_cancelled());
                assert!(error.to_string().contains("Ctrl-C"));
            }
            assert_eq!(runner.run(async { 42 }).unwrap(), 42);
            runner.close();
        }
        until_threads_are_gone();
    });
}

#[test]
fn when_no_run_is_left_it_does_what_it_does_without_us() {
    let Some(output) = in_child(&[], || {
        unstuck::run(async {});
        press();
        sleep_on_this_thread();
    }) else {
        return;
    };
    assert_eq!(output.status.signal(), Some(SIGINT), "{}", text(&output));
}

fn sleep_on_this_thread() {
    loop {
        std::thread::park();
    }
}

#[test]
fn it_can_be_switched_off() {
    #[unstuck::main(ctrl_c = false)]
    async fn main() {
        interrupted().await;
    }
    let Some(output) = in_child(&[], || {
        main();
        println!("still here");
    }) else {
        return;
    };
    assert_eq!(output.status.signal(), Some(SIGINT), "{}", text(&output));
    assert!(!text(&output).contains("has gone"));
}

#[test]
fn runtimes_that_are_no_runner_do_not_listen() {
    let Some(output) = in_child(&[], || Runtime::new().unwrap().run(interrupted())) else { return };
    assert_eq!(output.status.signal(), Some(SIGINT), "{}", text(&output));
}

#[cfg(target_os = "linux")]
#[test]
fn a_handler_that_the_program_has_installed_before_is_left_alone() {
    alone(|| {
        let pressed = Arc::new(AtomicBool::new(false));
        signal_hook::flag::register(SIGINT, pressed.clone()).unwrap();
        let value = unstuck::run(async {
            press();
            while !pressed.load(Ordering::SeqCst) {
                unstuck::yield_now().await;
            }
            sleep(Duration::from_millis(1)).await;
            42
        });
        assert_eq!(value, 42);
    });
}

#[test]
fn whoever_waits_for_it_gets_it_and_main_goes_on_until_the_next_one() {
    let Some(output) = in_child(&[], || {
        unstuck::run(async {
            let waits = spawn(signal::ctrl_c()); // from here on, polled or not
            let first = signal::ctrl_c();
            drop(signal::ctrl_c());
            press();
            first.await.unwrap();
            waits.await.unwrap().unwrap();
            println!("both were told");
            interrupted().await;
        });
        println!("still here");
    }) else {
        return;
    };
    assert_interrupted(&output);
    assert!(text(&output).contains("both were told"));
}

#[test]
fn it_can_be_awaited_without_a_runner_too() {
    alone(|| {
        let runtime = Runtime::builder().worker_threads(1).build().unwrap();
        let told = Arc::new(AtomicUsize::new(0));
        for _ in 0..3 {
            let pressed = signal::ctrl_c();
            press();
            runtime.block_on(pressed).unwrap();
            told.fetch_add(1, Ordering::SeqCst);
        }
        assert_eq!(told.load(Ordering::SeqCst), 3);
        drop(runtime);
        until_threads_are_gone();
    });
}

#[test]
fn two_runs_at_once_are_both_interrupted() {
    alone(|| {
        let ready = Arc::new(AtomicUsize::new(0));
        let runs = [0, 1].map(|_| {
            let ready = ready.clone();
            std::thread::spawn(move || {
                let mut runner = Runner::single().unwrap();
                runner.run(async move {
                    ready.fetch_add(1, Ordering::SeqCst);
                    sleep(Duration::MAX).await;
                })
            })
        });
        until("both run", || ready.load(Ordering::SeqCst) == 2);
        press();
        for run in runs {
            assert!(run.join().unwrap().unwrap_err().is_interrupted());
        }
    });
}

#[test]
fn the_cleanup_of_main_may_await_and_what_it_resumes_still_ends_the_process() {
    let Some(output) = in_child(&[], || {
        unstuck::run(async {
            let Err(cancelled) = catch_cancel(interrupted()).await else { unreachable!("it waits for ever") };
            sleep(Duration::from_millis(1)).await;
            println!("cleaned up with an await");
            cancelled.resume::<()>().await;
        });
        println!("still here");
    }) else {
        return;
    };
    assert_interrupted(&output);
    assert!(text(&output).contains("cleaned up with an await"));
}

#[test]
fn a_main_that_catches_it_and_gives_a_value_has_run_to_its_end() {
    alone(|| {
        let value = unstuck::run(async {
            let caught = catch_cancel(interrupted()).await;
            caught.is_err()
        });
        assert!(value);
    });
}

#[test]
fn who_was_cancelled_by_somebody_else_first_is_cancelled_and_not_interrupted() {
    alone(|| {
        let mut runner = Runner::single().unwrap();
        let canceller = Canceller::new();
        let error = runner.run_with(&canceller, async {
            let Err(cancelled) = catch_cancel(async {
                canceller.cancel();
                sleep(Duration::MAX).await;
            })
            .await
            else {
                unreachable!("it waits for ever")
            };
            let pressed = catch_cancel(async {
                press();
                sleep(Duration::MAX).await;
            });
            assert!(pressed.await.is_err(), "Ctrl-C lands in the cleanup");
            cancelled.resume::<()>().await;
        });
        let error = error.unwrap_err();
        assert!(error.is_cancelled() && !error.is_interrupted());
    });
}
