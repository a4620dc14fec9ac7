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
pub(crate) struct Borrowed<'a> {
    waker: ManuallyDrop<Waker>,
    _header: &'a Header,
}

#[inline]
pub(crate) fn borrowed(header: &Header) -> Borrowed<'_> {
    let raw = RawWaker::new(std::ptr::from_ref(header).cast(), &VTABLE);
    // SAFETY: the vtable's functions keep RawWaker's contract; the waker is never dropped, so it needs no reference.
    Borrowed { waker: ManuallyDrop::new(unsafe { Waker::from_raw(raw) }), _header: header }
}

impl Deref for Borrowed<'_> {
    type Target = Waker;

    #[inline]
    fn deref(&self) -> &Waker {
        &self.waker
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
