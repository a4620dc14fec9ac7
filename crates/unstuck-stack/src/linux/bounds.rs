#![allow(unsafe_code)] // The C library knows where a stack lies; its function fills a C struct.

//! Where the calling thread's stack begins and ends.

use std::io;
use std::mem::MaybeUninit;
use std::ops::Range;
use std::ptr;

/// The calling thread's stack, without its guard pages.
///
/// # Errors
///
/// The C library cannot tell. For the main thread glibc reads `/proc/self/maps`, which may be missing.
pub(super) fn of_this_thread() -> io::Result<Range<u64>> {
    let mut attributes = MaybeUninit::<libc::pthread_attr_t>::uninit();
    // SAFETY: `pthread_self` has no preconditions and names a live thread, the calling one.
    let this = unsafe { libc::pthread_self() };
    // SAFETY: `this` is alive; the struct is ours and large enough to be filled.
    check(unsafe { libc::pthread_getattr_np(this, attributes.as_mut_ptr()) })?;
    let (mut lowest, mut size, mut guard) = (ptr::null_mut(), 0, 0);
    // SAFETY: `pthread_getattr_np` succeeded, so it has initialised the attributes; the results are ours.
    let stack = check(unsafe { libc::pthread_attr_getstack(attributes.as_ptr(), &mut lowest, &mut size) });
    // SAFETY: the same.
    let guarded = check(unsafe { libc::pthread_attr_getguardsize(attributes.as_ptr(), &mut guard) });
    // SAFETY: initialised, destroyed once, not used afterwards.
    unsafe { libc::pthread_attr_destroy(attributes.as_mut_ptr()) };
    stack.and(guarded)?;
    let lowest = lowest.addr() as u64;
    // Before 2.27 glibc counted the guard as part of the stack. We leave it out either way, and lose a page at most
    // of a stack that is about to overflow.
    Ok(lowest + guard as u64..lowest + size as u64)
}

/// These functions return the error's number.
fn check(result: libc::c_int) -> io::Result<()> {
    match result {
        0 => Ok(()),
        error => Err(io::Error::from_raw_os_error(error)),
    }
}
