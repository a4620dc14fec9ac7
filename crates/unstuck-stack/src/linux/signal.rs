#![allow(unsafe_code)] // Claiming a signal, answering it and sending it: system calls, and a handler the kernel calls.

//! The signal: claimed once, sent to one thread, answered by a copy.
//!
//! SIGURG, because a program that does not know it ignores it (so does a child process after `exec`), debuggers pass it
//! silently, and hardly anyone uses it: the reasons for which Go's runtime took it to preempt goroutines.
//!
//! The handler is ours alone or we do nothing. A handler of somebody else is never replaced, and if somebody replaces
//! ours we notice before the next signal and decline.

use std::ffi::{c_int, c_void};
use std::io;
use std::mem;
use std::ptr;

use super::capture::SLOT;
use super::slot::Registers;
use super::{peek, registry};
use crate::error::{Reason, Unavailable};

const SIGNAL: c_int = libc::SIGURG;

/// Makes the signal ours, unless it belongs to someone. Called under the askers' lock.
pub(super) fn claim() -> Result<(), Unavailable> {
    match owner(&exchange(None)?) {
        Owner::We => return Ok(()),
        Owner::Stranger => return Err(Reason::Taken.into()),
        Owner::Nobody => {}
    }
    let before = exchange(Some(&ours()))?;
    match owner(&before) {
        Owner::We | Owner::Nobody => Ok(()),
        Owner::Stranger => {
            // Somebody came between the two calls: give it back.
            exchange(Some(&before))?;
            Err(Reason::Taken.into())
        }
    }
}

enum Owner {
    We,
    Nobody,
    Stranger,
}

fn owner(action: &libc::sigaction) -> Owner {
    match action.sa_sigaction {
        handler if handler == address_of_answer() => Owner::We,
        libc::SIG_DFL | libc::SIG_IGN => Owner::Nobody,
        _ => Owner::Stranger,
    }
}

/// * `SA_ONSTACK`: on the alternate stack that std gives each thread, so a stack that is nearly full is not overflowed
///   by being looked at. Without one, on the thread's own.
/// * `SA_RESTART`: interrupted reads, writes and locks go on by themselves. Not all do; README.md lists those.
/// * All signals masked: no other handler can interrupt the copying and keep it from ending.
fn ours() -> libc::sigaction {
    // SAFETY: a C struct of integers and an optional function pointer; all zeroes is a value of it.
    let mut action: libc::sigaction = unsafe { mem::zeroed() };
    action.sa_sigaction = address_of_answer();
    action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK | libc::SA_RESTART;
    // SAFETY: the mask is ours to fill.
    unsafe { libc::sigfillset(&mut action.sa_mask) };
    action
}

fn address_of_answer() -> usize {
    answer as *const () as usize
}

/// Installs `new`, if any, and returns what was there.
fn exchange(new: Option<&libc::sigaction>) -> Result<libc::sigaction, Unavailable> {
    // SAFETY: as in `ours`.
    let mut old: libc::sigaction = unsafe { mem::zeroed() };
    let new = new.map_or(ptr::null(), ptr::from_ref);
    // SAFETY: `new` is null or a valid action. Its handler is `answer`, which keeps the rules for handlers, or one
    // that was installed before. `old` is ours to fill.
    match unsafe { libc::sigaction(SIGNAL, new, &mut old) } {
        0 => Ok(old),
        _ => Err(Reason::NoHandler(io::Error::last_os_error()).into()),
    }
}

/// The calling thread's number in the kernel.
pub(super) fn this_thread() -> libc::pid_t {
    // SAFETY: takes nothing and always succeeds.
    unsafe { libc::syscall(libc::SYS_gettid) as libc::pid_t }
}

/// Signals one thread of this process. The caller makes sure that `tid` is the thread it means.
pub(super) fn send(tid: libc::pid_t) -> Result<(), Unavailable> {
    // SAFETY: numbers only. With our own process as thread group it cannot reach another process, whatever `tid` is;
    // the signal is ignored or has a handler that any thread may run at any time (`claim`).
    let sent = unsafe { libc::syscall(libc::SYS_tgkill, libc::getpid(), tid, SIGNAL) };
    if sent == 0 {
        return Ok(());
    }
    let error = io::Error::last_os_error();
    Err(match error.raw_os_error() {
        Some(libc::ESRCH) => Reason::Gone,
        _ => Reason::Denied(error),
    }
    .into())
}

/// The handler. It may interrupt any instruction of any thread, so it does nothing that could wait, allocate or fail:
///
/// 1. it reads four registers from the context that the kernel laid on the stack;
/// 2. `Slot::answer`: atomic loads and stores on a static, one or two compare-and-exchanges;
/// 3. between them, if there is a question, one system call: `gettid`, which cannot fail, so `errno` stays as it is;
/// 4. and one load a word from the stack that it interrupted.
///
/// No lock is taken, so it cannot wait for the code that it interrupted. Nothing panics: indices are constants, and no
/// arithmetic overflows.
extern "C" fn answer(_signal: c_int, _info: *mut libc::siginfo_t, context: *mut c_void) {
    // Somebody's handler might pass the signal on to us without its context.
    if context.is_null() {
        return;
    }
    // SAFETY: with SA_SIGINFO the third argument points to the interrupted thread's context. It lies on the stack that
    // the handler runs on, and nobody else knows of it until we return.
    let context = unsafe { &*context.cast::<libc::ucontext_t>() };
    let this = || registry::number(this_thread());
    let _ = SLOT.answer(registers(context), this, |address| {
        // SAFETY: `Slot::answer` reads whole words from the page of the interrupted stack pointer upwards, on the stack
        // that this very thread has registered. The question was not withdrawn, so it is still registered, and a thread
        // keeps its stack as long as it runs. Between a stack pointer on it and the stack's end all memory is mapped, or
        // grows when it is touched, as it would for the thread itself; guard pages are not part of it (`bounds`).
        unsafe { peek::word(address) }
    });
}

#[cfg(target_arch = "x86_64")]
fn registers(context: &libc::ucontext_t) -> Registers {
    let [pc, sp, fp] =
        [libc::REG_RIP, libc::REG_RSP, libc::REG_RBP].map(|at| context.uc_mcontext.gregs[at as usize] as u64);
    Registers { pc, sp, fp, lr: 0 }
}

#[cfg(target_arch = "aarch64")]
fn registers(context: &libc::ucontext_t) -> Registers {
    let machine = &context.uc_mcontext;
    Registers { pc: machine.pc, sp: machine.sp, fp: machine.regs[29], lr: machine.regs[30] }
}
