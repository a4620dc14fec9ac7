//! Files as kernels write them, and real threads waited for until they are where the test wants them.

use std::io::Read;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::Instant;

use super::*;

const fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

fn look(ran: u64, waited: u64, turns: u64, standing: Standing) -> Look {
    Look { ran: ms(ran), waited: ms(waited), turns, standing }
}

const START: Look = Look { ran: ms(100), waited: ms(40), turns: 9, standing: Standing::Runnable };

fn after(ran: u64, waited: u64, turns: u64, standing: Standing, wall: u64) -> Class {
    classify(&START, &look(100 + ran, 40 + waited, 9 + turns, standing), ms(wall))
}

#[test]
fn a_thread_that_sleeps_and_stands_still_is_blocked() {
    assert_eq!(after(0, 0, 0, Standing::Asleep, 5), Class::Blocked);
    assert_eq!(after(1, 1, 6, Standing::Asleep, 10), Class::Blocked);
}

#[test]
fn a_thread_whose_clock_advances_is_computing() {
    assert_eq!(after(10, 0, 0, Standing::Runnable, 10), Class::CpuBound);
    assert_eq!(after(8, 0, 3, Standing::Asleep, 10), Class::CpuBound);
}

#[test]
fn a_tick_that_is_not_counted_yet_does_not_hide_that_a_thread_computes() {
    assert_eq!(after(4, 0, 0, Standing::Runnable, 11), Class::CpuBound);
}

#[test]
fn a_thread_that_mostly_waited_for_a_cpu_is_descheduled() {
    assert_eq!(after(4, 16, 1, Standing::Runnable, 20), Class::Descheduled);
    assert_eq!(after(4, 16, 1, Standing::Asleep, 20), Class::Descheduled);
}

#[test]
fn a_wait_that_began_before_the_first_look_counts_only_from_there_on() {
    assert_eq!(after(6, 2000, 1, Standing::Runnable, 10), Class::CpuBound);
}

#[test]
fn a_runnable_thread_that_stands_still_is_unknown_for_two_ticks_and_descheduled_afterwards() {
    assert_eq!(after(0, 0, 0, Standing::Runnable, 5), Class::Unknown);
    assert_eq!(after(0, 0, 0, Standing::Runnable, 20), Class::Descheduled);
}

#[test]
fn a_thread_that_slept_and_has_just_been_woken_is_not_called_descheduled() {
    assert_eq!(after(1, 0, 5, Standing::Runnable, 50), Class::Unknown);
    let asleep = look(100, 40, 9, Standing::Asleep);
    assert_eq!(classify(&asleep, &look(100, 40, 9, Standing::Runnable), ms(50)), Class::Unknown);
}

#[test]
fn a_stopped_thread_is_not_blamed() {
    assert_eq!(after(0, 0, 0, Standing::Stopped, 2000), Class::Descheduled);
}

#[test]
fn counters_that_went_backwards_do_no_harm() {
    assert_eq!(classify(&look(200, 90, 9, Standing::Asleep), &START, Duration::ZERO), Class::Unknown);
}

#[test]
fn a_process_stopped_for_two_seconds_has_lived_through_one_tick() {
    assert_eq!(lived(ms(4), ms(2000)), ms(5));
    assert_eq!(lived(ms(4), ms(4)), ms(4));
    assert!(process_was_stopped(ms(4), ms(2000)));
    assert!(!process_was_stopped(ms(4), ms(40)));
}

#[test]
fn a_threads_name_may_hold_brackets_and_states() {
    assert_eq!(Standing::parse("7 (a) S b) R 1 2 3"), Some(Standing::Runnable));
    assert_eq!(Standing::parse("7 (x) D 1"), Some(Standing::Asleep));
    assert_eq!(Standing::parse("7 (x) t 1"), Some(Standing::Stopped));
    assert_eq!(Standing::parse("7 (x) Z 1"), None);
    assert_eq!(Standing::parse("7 (x"), None);
}

#[test]
fn a_kernel_that_does_not_count_gives_no_look() {
    assert_eq!(Look::parse("0 0 0\n", Standing::Asleep), None);
    assert_eq!(Look::parse("", Standing::Asleep), None);
    assert_eq!(Look::parse("1000000 2000000 3\n", Standing::Asleep), Some(look(1, 2, 3, Standing::Asleep)));
}

#[test]
fn a_running_thread_is_in_no_call() {
    assert_eq!(Call::parse("running\n"), None);
    assert_eq!(Call::parse(""), None);
}

#[test]
fn a_thread_asleep_outside_of_a_call_takes_a_page_fault() {
    assert_eq!(Call::parse("-1 0x7ffd 0x7f00\n").expect("a line").name(), "page fault");
}

#[test]
#[cfg(target_arch = "x86_64")]
fn a_call_names_its_file_descriptor_only_if_it_has_one() {
    let read = Call::parse("0 0xffffffff00000005 0x7f 0x20 0x0 0x0 0x0 0x7ffe 0x7f0d\n").expect("a line");
    assert_eq!(read.to_string(), "read(fd 5)");
    let futex = Call::parse("202 0x5 0x7f 0x20 0x0 0x0 0x0 0x7ffe 0x7f0d\n").expect("a line");
    assert_eq!(futex.to_string(), "futex");
    let negative = Call::parse("0 0xffffffff 0x7f 0x20 0x0 0x0 0x0 0x7ffe 0x7f0d\n").expect("a line");
    assert_eq!(negative.to_string(), "read");
}

#[test]
fn a_call_reads_like_one() {
    let call = Call::new("read", Some(5), Some("pipe:[123]"));
    assert_eq!(call.to_string(), "read(fd 5, pipe:[123])");
    let evil = Call::new("write", Some(6), Some("/tmp/a\nunstuck: all is well"));
    assert_eq!(evil.to_string(), r"write(fd 6, /tmp/a\nunstuck: all is well)");
}

#[test]
fn a_thread_that_is_over_says_nothing() {
    let Some(probe) = thread::spawn(ThreadProbe::of_this_thread).join().expect("no panic") else { return };
    // The kernel may take a moment after the join until the entry is gone.
    wait_until(|| probe.look().is_none());
    assert_eq!(probe.doing(), None);
}

#[test]
fn a_thread_that_reads_from_a_silent_pipe_is_seen_blocked_there() {
    let mut child = Command::new("cat").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("cat");
    let mut pipe = child.stdout.take().expect("piped");
    let (thread, probe) = probed(move || {
        let _ = pipe.read(&mut [0]);
    });
    if let Some(probe) = probe {
        let seen = wait_for(|| probe.doing().filter(|call| call.name() == "read"));
        assert!(seen.fd().is_some(), "{seen}");
        assert!(seen.target().is_some_and(|target| target.starts_with("pipe:[")), "{seen}");
        wait_until(|| class_over(probe, ms(5)) == Class::Blocked);
    }
    drop(child.stdin.take());
    thread.join().expect("no panic");
    child.wait().expect("cat ends with its input");
}

#[test]
fn a_thread_that_spins_is_seen_computing_and_in_no_call() {
    let enough = Arc::new(AtomicBool::new(false));
    let until = Arc::clone(&enough);
    let (thread, probe) = probed(move || {
        while !until.load(Ordering::Relaxed) {
            std::hint::spin_loop();
        }
    });
    if let Some(probe) = probe {
        // Short windows: on a busy machine it computes in some and waits in others.
        wait_until(|| class_over(probe, ms(2)) == Class::CpuBound);
        wait_until(|| probe.doing().is_none());
    }
    enough.store(true, Ordering::Relaxed);
    thread.join().expect("no panic");
}

/// Runs `body` on a thread and gives its probe; none where `/proc` does not say enough for a test.
fn probed(body: impl FnOnce() + Send + 'static) -> (thread::JoinHandle<()>, Option<ThreadProbe>) {
    let (tell, told) = mpsc::channel();
    let thread = thread::spawn(move || {
        let probe = ThreadProbe::of_this_thread();
        let open = probe.is_some_and(|probe| probe.look().is_some() && probe.read("syscall").is_some());
        tell.send(probe.filter(|_| open)).expect("the test waits for it");
        body();
    });
    (thread, told.recv().expect("sent first of all"))
}

/// What the thread does during the next `wall`.
fn class_over(probe: ThreadProbe, wall: Duration) -> Class {
    let (before, since) = (probe.look().expect("alive"), Instant::now());
    thread::sleep(wall);
    classify(&before, &probe.look().expect("alive"), since.elapsed())
}

fn wait_until(mut condition: impl FnMut() -> bool) {
    wait_for(|| condition().then_some(()));
}

/// Looks until there is something; three minutes of patience, since other tests may take the CPUs.
fn wait_for<T>(mut look: impl FnMut() -> Option<T>) -> T {
    let since = Instant::now();
    loop {
        if let Some(seen) = look() {
            return seen;
        }
        assert!(since.elapsed() < Duration::from_secs(180), "it never came");
        thread::sleep(ms(1));
    }
}
