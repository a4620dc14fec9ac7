use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::task::{Poll, Waker};

use super::*;
use crate::driver::ThreadDriver;
use crate::local::{LocalLoop, spawn_local_as};
use crate::{as_pool_thread, wait_here};

thread_local! {
    /// How often the creditor has called.
    static PAID: Cell<u32> = const { Cell::new(0) };
    /// Whom it was told to wake last.
    static WHOM: RefCell<Option<Waker>> = const { RefCell::new(None) };
}

fn creditor(waker: &Waker) {
    PAID.set(PAID.get() + 1);
    WHOM.set(Some(waker.clone()));
}

fn new_loop() -> LocalLoop {
    assert!(lend(creditor));
    PAID.set(0);
    LocalLoop::new(Box::new(ThreadDriver::new()))
}

fn was_told_to_wake(waker: &Waker) -> bool {
    WHOM.take().is_some_and(|told| told.will_wake(waker))
}

/// Two polls; `step` is called in each.
async fn two_polls(mut step: impl FnMut(u32, &Waker)) {
    let mut polls = 0;
    poll_fn(|cx| {
        polls += 1;
        step(polls, cx.waker());
        if polls == 2 {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

#[test]
fn what_a_poll_owes_is_paid_when_it_ends_and_once() {
    let it = new_loop();
    let owes_in_the_first = |n, waker: &Waker| {
        if n == 1 {
            assert!(owe(waker) && owe(waker));
            assert_eq!(PAID.replace(0), 0);
        } else {
            assert_eq!(PAID.get(), 1);
            assert!(was_told_to_wake(waker));
        }
    };
    it.block_on(two_polls(owes_in_the_first)); // a main future
    assert_eq!(PAID.replace(0), 1);
    it.block_on(async { it.spawn_local(two_polls(owes_in_the_first)).await.unwrap() });
    assert_eq!(PAID.get(), 1);
}

#[test]
fn the_last_poll_of_a_task_pays_too_also_if_it_panics() {
    let it = new_loop();
    for panics in [false, true] {
        PAID.set(0);
        let task = it.spawn_local(poll_fn(move |cx| {
            assert!(owe(cx.waker()));
            assert!(!panics, "a panic with debts");
            Poll::Ready(())
        }));
        assert_eq!(it.block_on(task).is_err(), panics);
        assert_eq!(PAID.get(), 1);
    }
}

#[test]
fn only_who_wakes_the_present_poll_may_owe() {
    let it = new_loop();
    assert!(!owe(Waker::noop()));
    let main = it.block_on(poll_fn(|cx| {
        assert!(!owe(Waker::noop()));
        Poll::Ready(cx.waker().clone())
    }));
    assert!(!owe(&main), "its poll is over");
    it.block_on(async {
        it.spawn_local(async move { assert!(!owe(&main), "not the one that is polled") }).await.unwrap();
    });
    assert_eq!(PAID.get(), 0);
}

#[test]
fn debts_are_paid_before_another_poll_begins_inside() {
    let it = new_loop();
    it.block_on(poll_fn(|cx| {
        assert!(owe(cx.waker()));
        let task = spawn_local_as(
            None,
            true,
            poll_fn(|inner| {
                assert_eq!(PAID.get(), 1);
                assert!(owe(inner.waker()));
                Poll::Ready(())
            }),
        );
        assert_eq!(PAID.get(), 2);
        drop(task);
        assert!(owe(cx.waker()));
        as_pool_thread(|| {
            assert_eq!(PAID.get(), 3);
            wait_here(
                "a test",
                poll_fn(|inner| {
                    assert!(owe(inner.waker()));
                    Poll::Ready(())
                }),
            );
            assert_eq!(PAID.get(), 4);
        });
        assert!(was_told_to_wake_another(cx.waker()));
        Poll::Ready(())
    }));
    assert_eq!(PAID.get(), 4);
}

fn was_told_to_wake_another(waker: &Waker) -> bool {
    WHOM.take().is_some_and(|told| !told.will_wake(waker))
}

#[test]
fn a_poll_may_pay_before_its_end() {
    let it = new_loop();
    it.block_on(poll_fn(|cx| {
        settle();
        assert!(owe(cx.waker()));
        settle();
        settle();
        assert!(was_told_to_wake(cx.waker()));
        Poll::Ready(())
    }));
    assert_eq!(PAID.get(), 1);
}

/// Calls a closure when it is dropped.
struct OnDrop<F: FnMut()>(F);

impl<F: FnMut()> Drop for OnDrop<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}

#[test]
fn a_destructor_at_the_end_of_its_task_may_owe_and_one_that_comes_later_may_not() {
    let it = new_loop();
    let task = it.spawn_local(async {
        let waker = poll_fn(|cx| Poll::Ready(cx.waker().clone())).await;
        let late = waker.clone();
        let _in_time = OnDrop(move || assert!(owe(&waker)));
        // Nobody asks for the value: it is dropped when the task has ended.
        OnDrop(move || assert!(!owe(&late)))
    });
    drop(task);
    it.block_on(two_polls(|_, _| {}));
    assert_eq!(PAID.get(), 1);
}

#[test]
fn a_second_creditor_is_refused() {
    fn another(_: &Waker) {}
    let _it = new_loop();
    assert!(lend(creditor));
    assert!(!lend(another));
}
