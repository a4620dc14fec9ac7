//! Late answers, threads that end, askers in a crowd.

use std::hint::black_box;
use std::mem;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use unstuck_stack::{capture, register, symbolise};

use crate::subject::{AMPLE, Flag, Subject, names};

#[inline(never)]
fn first_place(stop: &Flag) {
    stop.wait();
    black_box("first_place");
}

#[inline(never)]
fn second_place(stop: &Flag) {
    stop.wait();
    black_box("second_place");
}

#[test]
fn a_thread_that_has_ended_is_gone() {
    let subject = Subject::new(first_place);
    let token = subject.token;
    subject.stop();
    assert!(capture(token, AMPLE).unwrap_err().is_gone());
}

#[test]
fn a_thread_that_has_unregistered_is_gone() {
    let registered = register().unwrap();
    let token = registered.thread();
    drop(registered);
    assert!(capture(token, AMPLE).unwrap_err().is_gone());
}

#[test]
fn a_forgotten_guard_does_not_outlive_its_thread() {
    let token = thread::spawn(|| {
        let registered = register().unwrap();
        let token = registered.thread();
        mem::forget(registered);
        token
    });
    assert!(capture(token.join().unwrap(), AMPLE).unwrap_err().is_gone());
}

#[test]
fn a_thread_stays_registered_until_the_last_guard_is_dropped() {
    let (first, second) = (register().unwrap(), register().unwrap());
    assert_eq!(first.thread(), second.thread());
    drop(first);
    assert!(capture(second.thread(), AMPLE).is_ok());
}

#[test]
fn a_thread_may_ask_itself() {
    let registered = register().unwrap();
    let frames = symbolise(&capture(registered.thread(), AMPLE).unwrap().unwind());
    assert!(names(&frames, "a_thread_may_ask_itself"), "{frames:?}");
}

#[inline(never)]
fn waits_for_a_word(heard: &mpsc::Receiver<()>) {
    heard.recv().unwrap();
    black_box("waits_for_a_word");
}

#[test]
fn a_stall_that_lasts_has_the_same_addresses() {
    let (say, heard) = mpsc::channel::<()>();
    let subject = Subject::new(move |_| waits_for_a_word(&heard));
    subject.wait_until_in("waits_for_a_word");
    let asleep = |_| subject.capture().unwind();
    while asleep(()) != asleep(()) {
        thread::yield_now(); // it was still on its way to sleep
    }
    assert_eq!(asleep(()), asleep(()));
    say.send(()).unwrap();
}

/// Each asker looks at a thread of its own. If answers were mixed up, one would see the other's function.
#[test]
#[ignore = "counts answers within a limit, so a busy machine fails it: run it by hand"]
fn askers_take_turns_and_get_the_stack_they_asked_for() {
    let first = Subject::new(first_place);
    let second = Subject::new(second_place);
    first.wait_until_in("first_place");
    second.wait_until_in("second_place");
    let ask = |subject: &Subject, theirs: &str, others: &str| {
        let mut seen = 0;
        for _ in 0..500 {
            let frames = subject.frames();
            assert!(!names(&frames, others), "{frames:?}");
            seen += usize::from(names(&frames, theirs));
        }
        assert!(seen >= 475, "{seen} of 500");
    };
    thread::scope(|scope| {
        scope.spawn(|| ask(&first, "first_place", "second_place"));
        scope.spawn(|| ask(&second, "second_place", "first_place"));
        scope.spawn(|| ask(&first, "first_place", "second_place"));
    });
}

/// The signal must never reach a stranger, nor a stack that is gone: threads end while they are asked.
#[test]
fn threads_that_end_while_they_are_asked_do_no_harm() {
    let (hello, tokens) = mpsc::channel();
    let started = Arc::new(AtomicUsize::new(0));
    let threads = started.clone();
    let mother = thread::spawn(move || {
        for _ in 0..2_000 {
            let hello = hello.clone();
            let short = move || {
                let registered = register().unwrap();
                let _ = hello.send(registered.thread());
            };
            thread::Builder::new().stack_size(64 * 1024).spawn(short).unwrap().join().unwrap();
            threads.fetch_add(1, Ordering::SeqCst);
        }
    });
    let mut answers = 0;
    for token in tokens {
        match capture(token, AMPLE) {
            Ok(capture) => {
                answers += 1;
                let _ = capture.unwind();
            }
            Err(why) => assert!(why.is_gone(), "{why}"),
        }
    }
    mother.join().unwrap();
    assert_eq!(started.load(Ordering::SeqCst), 2_000);
    println!("{answers} of 2000 threads answered before they ended");
}

#[test]
fn no_time_at_all_is_a_limit_too() {
    let subject = Subject::new(first_place);
    for _ in 0..1_000 {
        match capture(subject.token, Duration::ZERO) {
            Ok(_) => {}
            Err(why) => assert!(!why.is_gone() && !why.is_permanent(), "{why}"),
        }
    }
    // Whatever came late has done no harm.
    assert!(subject.seen_in("first_place", 100) >= 90);
}
