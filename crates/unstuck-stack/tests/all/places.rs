//! Wherever a thread is stuck, the function that brought it there is found.
//!
//! In the storms a capture may meet any instruction of the allocator or the unwinder. Each of them has to be survived;
//! and nearly all must lead back to our function.

use std::hint::black_box;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::panic;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use crate::subject::{Flag, Subject};

const CAPTURES: usize = 1_000;
/// Measured: 98.8 to 100 %. Code without unwind tables, assembly above all, is where it is lost.
const AT_LEAST: usize = CAPTURES * 95 / 100;

#[inline(never)]
fn stuck_in_sleep(stop: &Flag) {
    while !stop.is_up() {
        thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn a_sleeping_thread_is_found_in_the_function_that_sleeps() {
    let subject = Subject::new(stuck_in_sleep);
    assert_eq!(subject.seen_in("stuck_in_sleep", CAPTURES), CAPTURES);
}

#[inline(never)]
fn stuck_in_a_read(mut pipe: &UnixStream) {
    let mut byte = [0];
    assert_eq!(pipe.read(&mut byte).unwrap(), 1); // std tries again after EINTR; the kernel does so before
    black_box(byte);
}

#[test]
fn a_thread_that_reads_from_an_empty_pipe_is_found_and_reads_on() {
    let (theirs, mut ours) = UnixStream::pair().unwrap();
    let subject = Subject::new(move |_| stuck_in_a_read(&theirs));
    assert_eq!(subject.seen_in("stuck_in_a_read", CAPTURES), CAPTURES);
    ours.write_all(&[1]).unwrap();
    subject.stop();
}

#[inline(never)]
fn stuck_in_a_loop(stop: &Flag) {
    let mut sum = 0_u64;
    while !stop.is_up() {
        for number in 0..1_000 {
            sum = black_box(sum.wrapping_mul(31).wrapping_add(number));
        }
    }
}

#[test]
fn a_computing_thread_is_found_in_its_loop() {
    let subject = Subject::new(stuck_in_a_loop);
    let seen = subject.seen_in("stuck_in_a_loop", CAPTURES);
    assert!(seen >= AT_LEAST, "{seen} of {CAPTURES}");
}

#[inline(never)]
fn stuck_in_malloc(stop: &Flag) {
    let mut kept = Vec::new();
    for size in (1..).step_by(97) {
        if stop.is_up() {
            break;
        }
        kept.push(vec![1_u8; size % 5_000]);
        if kept.len() == 50 {
            kept.clear();
        }
    }
    black_box(kept);
}

#[test]
fn a_storm_of_allocations_is_survived_and_understood() {
    let subject = Subject::new(stuck_in_malloc);
    let seen = subject.seen_in("stuck_in_malloc", CAPTURES);
    assert!(seen >= AT_LEAST, "{seen} of {CAPTURES}");
}

#[inline(never)]
fn stuck_in_unwinding(stop: &Flag) {
    #[inline(never)]
    fn down(depth: u32) {
        let kept = black_box(vec![depth]); // something to drop on the way out
        if depth == 0 {
            panic::resume_unwind(Box::new(1));
        }
        down(depth - 1);
        drop(kept);
    }
    while !stop.is_up() {
        panic::catch_unwind(|| down(8)).unwrap_err();
    }
}

/// Unwinding inside the handler crashes here.
#[test]
fn a_storm_of_unwinding_is_survived_and_understood() {
    let subject = Subject::new(stuck_in_unwinding);
    let seen = subject.seen_in("stuck_in_unwinding", CAPTURES);
    assert!(seen >= AT_LEAST, "{seen} of {CAPTURES}");
}

#[inline(never)]
fn stuck_in_a_lock(lock: &Mutex<u32>) {
    *lock.lock().unwrap() += 1;
}

#[test]
fn a_thread_that_waits_for_a_lock_is_found_and_waits_on() {
    let lock = Arc::new(Mutex::new(0));
    let held = lock.lock().unwrap();
    let theirs = lock.clone();
    let subject = Subject::new(move |_| stuck_in_a_lock(&theirs));
    assert_eq!(subject.seen_in("stuck_in_a_lock", CAPTURES), CAPTURES);
    drop(held);
    subject.stop();
    assert_eq!(*lock.lock().unwrap(), 1);
}

#[inline(never)]
fn deep_down(stop: &Flag, depth: u32) {
    let room = black_box([depth; 256]);
    if depth == 0 {
        stop.wait();
    } else {
        deep_down(stop, depth - 1);
    }
    black_box(room);
}

#[test]
fn of_a_very_deep_stack_the_inner_part_is_found() {
    let subject = Subject::with_stack(64 << 20, |stop| deep_down(stop, 1_000)); // of which more than 1 MiB is used
    assert_eq!(subject.seen_in("deep_down", 100), 100);
    assert!(subject.frames().len() < 500, "it ends where the copy ends");
}
