//! A program that uses SIGURG itself. A file, hence a process, of its own: handlers belong to the whole process.
#![cfg(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64"), not(unstuck_loom)))]
#![allow(unsafe_code)] // Installs signal handlers.

use std::ffi::c_int;
use std::mem;
use std::ptr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use unstuck_stack::{capture, register};

static CALLS: AtomicU32 = AtomicU32::new(0);

extern "C" fn theirs(_: c_int) {
    CALLS.fetch_add(1, Ordering::SeqCst);
}

fn install(handler: usize) {
    // SAFETY: an action of zeroes with a handler that only uses an atomic, or none.
    unsafe {
        let mut action: libc::sigaction = mem::zeroed();
        action.sa_sigaction = handler;
        assert_eq!(libc::sigaction(libc::SIGURG, &action, ptr::null_mut()), 0);
    }
}

fn installed() -> usize {
    // SAFETY: only asks.
    unsafe {
        let mut action: libc::sigaction = mem::zeroed();
        assert_eq!(libc::sigaction(libc::SIGURG, ptr::null(), &mut action), 0);
        action.sa_sigaction
    }
}

fn raise() {
    // SAFETY: the signal has a handler, or is ignored.
    assert_eq!(unsafe { libc::raise(libc::SIGURG) }, 0);
}

#[test]
fn a_handler_of_the_program_is_never_replaced_and_never_called_by_us() {
    let registered = register().unwrap();
    let ask = || capture(registered.thread(), Duration::from_secs(180));
    let theirs = theirs as *const () as usize;

    // Theirs first: declined, and nothing has changed.
    install(theirs);
    let why = ask().unwrap_err();
    assert!(why.to_string().contains("handler of its own"), "{why}");
    assert!(!why.is_permanent() && !why.is_timeout() && !why.is_gone());
    assert_eq!((installed(), CALLS.load(Ordering::SeqCst)), (theirs, 0));

    // They give it up, and it is ours. A SIGURG that nobody asked for does nothing.
    install(libc::SIG_DFL);
    assert!(ask().is_ok());
    let ours = installed();
    assert_ne!(ours, theirs);
    raise();
    assert!(ask().is_ok());

    // They take it after us: noticed before the next signal.
    install(theirs);
    assert!(ask().is_err());
    assert_eq!((installed(), CALLS.load(Ordering::SeqCst)), (theirs, 0));
    raise();
    assert_eq!(CALLS.load(Ordering::SeqCst), 1);

    // Ignoring it is not using it.
    install(libc::SIG_IGN);
    assert!(ask().is_ok());
    assert_eq!(installed(), ours);
}
