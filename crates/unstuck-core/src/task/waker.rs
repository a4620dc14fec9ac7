#![allow(unsafe_code)] // The waker's vtable is made of unsafe functions by definition.
//! The waker of a task: a counted reference to its header.

use std::mem::ManuallyDrop;
use std::ops::Deref;
use std::ptr::NonNull;
use std::task::{RawWaker, RawWakerVTable, Waker};

use super::Runnable;
use super::header::{Header, drop_refs};
use super::state::Wake;
use crate::context;

static VTABLE: RawWakerVTable = RawWakerVTable::new(clone, wake, wake_by_ref, drop);

/// The waker of a poll in progress. It borrows the reference of the runnable that is being run.
pub(crate) struct Borrowed(ManuallyDrop<Waker>);

/// Made from the pointer that the task was made with, not from a reference to its header: whoever clones it may come to
/// free the whole task through it.
///
/// # Safety
/// The task stays alive as long as the result is used.
#[inline]
pub(crate) unsafe fn borrowed(task: NonNull<Header>) -> Borrowed {
    let raw = RawWaker::new(task.as_ptr().cast_const().cast(), &VTABLE);
    // SAFETY: the vtable's functions keep RawWaker's contract; the waker is never dropped, so it needs no reference.
    Borrowed(ManuallyDrop::new(unsafe { Waker::from_raw(raw) }))
}

impl Deref for Borrowed {
    type Target = Waker;

    #[inline]
    fn deref(&self) -> &Waker {
        &self.0
    }
}

/// True if that is the task's own waker, and not one that wakes the task in the end.
#[inline]
pub(crate) fn is_waker_of(waker: &Waker, task: NonNull<Header>) -> bool {
    waker.data() == task.as_ptr().cast_const().cast() && std::ptr::eq(waker.vtable(), &raw const VTABLE)
}

/// # Safety
/// `data` is a waker's: a header on which the waker (or the poll in progress) holds a reference.
#[inline]
unsafe fn header(data: *const ()) -> NonNull<Header> {
    // SAFETY: never null, says the caller.
    unsafe { NonNull::new_unchecked(data.cast_mut().cast()) }
}

unsafe fn clone(data: *const ()) -> RawWaker {
    // SAFETY: the waker's reference keeps the header alive.
    unsafe { header(data).as_ref().state.add_ref() };
    RawWaker::new(data, &VTABLE)
}

unsafe fn wake(data: *const ()) {
    // SAFETY: the waker's reference keeps the header alive; it goes to the runnable, or is dropped here.
    unsafe {
        let header = header(data);
        if context::wake_lingering(header) {
            return drop_refs(header, 1);
        }
        match header.as_ref().state.wake(true) {
            Wake::Submit => submit(header),
            Wake::Nothing => drop_refs(header, 1),
        }
    }
}

unsafe fn wake_by_ref(data: *const ()) {
    // SAFETY: the waker's reference keeps the header alive; `wake` has made another one for the runnable.
    unsafe {
        let header = header(data);
        if context::wake_running(header) {
            return; // its own poll: no other thread needs to know before the poll ends
        }
        if context::wake_lingering(header) {
            return;
        }
        match header.as_ref().state.wake(false) {
            Wake::Submit => submit(header),
            Wake::Nothing => {}
        }
    }
}

unsafe fn drop(data: *const ()) {
    // SAFETY: this was the waker's reference.
    unsafe { drop_refs(header(data), 1) };
}

/// Hands the runnable to its home.
///
/// # Safety
/// The caller has just moved the state to SCHEDULED and owns a reference, which goes to the runnable.
#[inline]
pub(super) unsafe fn submit(task: NonNull<Header>) {
    // SAFETY: the caller's promise. The task is unfinished as long as its runnable has not been run, so its home is
    // alive until `submit` has it (rule 1).
    unsafe {
        let home = task.as_ref().home();
        home.submit(Runnable::new(task));
    }
}
