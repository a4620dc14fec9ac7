#![allow(unsafe_code)] // Signal masks, other stacks, errno and seccomp: the conditions under test are the kernel's.

//! Blocked signals, other stacks, full stacks, forbidden system calls.

use std::arch::asm;
use std::ffi::c_int;
use std::hint::black_box;
use std::io;
use std::mem;
use std::ptr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use unstuck_stack::capture;

use crate::subject::{AMPLE, Flag, Subject};

const SHORT: Duration = Duration::from_millis(5);

fn mask(how: c_int) {
    // SAFETY: an all-zero set is initialised by sigemptyset; both calls get pointers to it.
    unsafe {
        let mut set = mem::zeroed();
        libc::sigemptyset(&mut set);
        libc::sigaddset(&mut set, libc::SIGURG);
        assert_eq!(libc::pthread_sigmask(how, &set, ptr::null_mut()), 0);
    }
}

#[inline(never)]
fn with_the_signal_blocked(go_on: &Flag) {
    go_on.wait();
    black_box("with_the_signal_blocked");
}

#[inline(never)]
fn with_the_signal_let_in(stop: &Flag) {
    stop.wait();
    black_box("with_the_signal_let_in");
}

#[test]
fn a_handler_that_comes_late_does_no_harm() {
    let other = Subject::new(with_the_signal_let_in);
    for _ in 0..20 {
        let (blocked, go_on) = (Flag::default(), Flag::default());
        let (say, wait) = (blocked.clone(), go_on.clone());
        let subject = Subject::new(move |stop| {
            mask(libc::SIG_BLOCK);
            say.raise();
            with_the_signal_blocked(&wait);
            mask(libc::SIG_UNBLOCK); // here the late handler runs
            with_the_signal_let_in(stop);
        });
        blocked.wait();
        let why = capture(subject.token, SHORT).unwrap_err();
        assert!(why.is_timeout(), "{why}");
        // The slot is free for others, and the late handler answers no question of theirs.
        let asking = thread::scope(|scope| {
            let asking = scope.spawn(|| other.seen_in("with_the_signal_let_in", 50));
            go_on.raise();
            asking.join().unwrap()
        });
        assert!(asking >= 45, "{asking}");
        assert!(subject.seen_in("with_the_signal_let_in", 20) >= 18);
    }
}

static ON_ANOTHER_STACK: AtomicBool = AtomicBool::new(false);
static BACK: AtomicBool = AtomicBool::new(false);

extern "C" fn stay(_: c_int) {
    ON_ANOTHER_STACK.store(true, Ordering::SeqCst);
    while !BACK.load(Ordering::SeqCst) {
        std::hint::spin_loop();
    }
}

#[inline(never)]
fn back_on_its_own_stack(stop: &Flag) {
    stop.wait();
    black_box("back_on_its_own_stack");
}

#[test]
fn a_thread_on_another_stack_says_so_at_once_and_answers_when_it_is_back() {
    let subject = Subject::new(|stop| {
        // SAFETY: `stay` only uses atomics; std has given this thread an alternate stack.
        unsafe {
            let mut action: libc::sigaction = mem::zeroed();
            action.sa_sigaction = stay as *const () as usize;
            action.sa_flags = libc::SA_ONSTACK;
            assert_eq!(libc::sigaction(libc::SIGUSR1, &action, ptr::null_mut()), 0);
            libc::raise(libc::SIGUSR1);
        }
        back_on_its_own_stack(stop);
    });
    while !ON_ANOTHER_STACK.load(Ordering::SeqCst) {
        thread::yield_now();
    }
    for _ in 0..20 {
        let why = capture(subject.token, AMPLE).unwrap_err();
        assert!(why.to_string().contains("not on its own stack"), "{why}");
    }
    BACK.store(true, Ordering::SeqCst);
    while capture(subject.token, AMPLE).is_err() {
        thread::yield_now();
    }
    assert!(subject.seen_in("back_on_its_own_stack", 100) >= 90);
}

#[inline(never)]
fn at_the_end_of_its_stack(stop: &Flag, lowest: usize) {
    let here = black_box([1_u8; 64]);
    if stack_pointer() - lowest > 3_000 {
        at_the_end_of_its_stack(stop, lowest);
    } else {
        while !stop.is_up() {
            std::hint::spin_loop();
        }
    }
    black_box(here);
}

/// Not the address of a variable: AddressSanitizer keeps those elsewhere.
fn stack_pointer() -> usize {
    let value;
    // SAFETY: copies one register to another.
    unsafe {
        #[cfg(target_arch = "x86_64")]
        asm!("mov {}, rsp", out(reg) value, options(nomem, nostack, preserves_flags));
        #[cfg(target_arch = "aarch64")]
        asm!("mov {}, sp", out(reg) value, options(nomem, nostack, preserves_flags));
    }
    value
}

/// What the kernel lays on a stack for a signal would not fit here.
#[test]
fn a_stack_that_is_nearly_full_is_not_overflowed_by_being_looked_at() {
    let subject = Subject::with_stack(256 * 1024, |stop| {
        let mut lowest = ptr::null_mut();
        // SAFETY: the thread is alive, the attributes are initialised by the first call.
        unsafe {
            let mut attributes = mem::zeroed();
            assert_eq!(libc::pthread_getattr_np(libc::pthread_self(), &mut attributes), 0);
            assert_eq!(libc::pthread_attr_getstack(&attributes, &mut lowest, &mut 0), 0);
            libc::pthread_attr_destroy(&mut attributes);
        }
        at_the_end_of_its_stack(stop, lowest.addr());
    });
    for _ in 0..100 {
        match capture(subject.token, AMPLE) {
            Ok(capture) => assert!(!capture.unwind().as_slice().is_empty()),
            // So near to the guard page it declines: with an old glibc it might be the guard page.
            Err(why) => assert!(why.to_string().contains("at its very end"), "{why}"),
        }
    }
    subject.stop();
}

#[inline(never)]
fn watching_errno(stop: &Flag) -> u32 {
    let mut rounds = 0;
    while !stop.is_up() {
        // SAFETY: this thread's own errno.
        unsafe {
            *libc::__errno_location() = 1234;
            for _ in 0..100 {
                std::hint::spin_loop();
            }
            assert_eq!(*libc::__errno_location(), 1234);
        }
        rounds += 1;
    }
    rounds
}

#[test]
fn errno_survives_being_asked() {
    let subject = Subject::new(|stop| {
        black_box(watching_errno(stop));
    });
    assert!(subject.seen_in("watching_errno", 1_000) >= 950);
    subject.stop();
}

/// Makes `tgkill` fail with EPERM on the calling thread.
fn forbid_tgkill() {
    let rule = |code: u32, jt, jf, k| libc::sock_filter { code: code as u16, jt, jf, k };
    let filter = [
        rule(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0, 0), // the system call's number
        rule(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, 0, 1, libc::SYS_tgkill as u32),
        rule(libc::BPF_RET | libc::BPF_K, 0, 0, libc::SECCOMP_RET_ERRNO | libc::EPERM as u32),
        rule(libc::BPF_RET | libc::BPF_K, 0, 0, libc::SECCOMP_RET_ALLOW),
    ];
    let program = libc::sock_fprog { len: filter.len() as u16, filter: filter.as_ptr().cast_mut() };
    // SAFETY: numbers, and a program that outlives the call.
    unsafe {
        assert_eq!(libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0, "{}", io::Error::last_os_error());
        let set = libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const program);
        assert_eq!(set, 0, "{}", io::Error::last_os_error());
    }
}

#[test]
fn where_signals_are_forbidden_the_error_says_so_and_others_still_get_answers() {
    let subject = Subject::new(with_the_signal_let_in);
    let token = subject.token;
    let forbidden = thread::spawn(move || {
        forbid_tgkill();
        capture(token, AMPLE).unwrap_err()
    });
    let why = forbidden.join().unwrap();
    assert!(why.is_permanent());
    assert!(why.to_string().contains("seccomp"), "{why}");
    assert!(subject.seen_in("with_the_signal_let_in", 20) >= 18);
}
