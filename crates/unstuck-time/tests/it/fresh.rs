//! Timers armed with the waker of the poll that is going on: they are hung when it ends, if they are still there.

use std::cell::RefCell;
use std::future::{pending, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Poll, Waker};
use std::time::Duration;

use unstuck_core::driver::{Driver, ThreadDriver};
use unstuck_time::{Clock, Instant, Sleep, TimeDriver, sleep, sleep_until};

use crate::support::{Count, Loop, QUIESCENT, arm, elsewhere, end_the_poll, poll_with};

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn a_timer_that_is_dropped_in_the_poll_it_was_armed_in_never_hangs_in_the_wheel() {
    for clock in [Clock::paused(), Clock::real()] {
        let it = Loop::new(clock);
        it.in_a_poll(|cx| {
            for _ in 0..100 {
                let mut nap = sleep(SECOND);
                arm(&mut nap, cx);
                assert_eq!((it.time.statistics().armed, it.hung()), (1, 0));
                drop(nap);
                assert_eq!((it.time.statistics().armed, it.hung()), (0, 0));
            }
        });
        assert_eq!(it.hung(), 0);
    }
}

#[test]
fn what_is_still_there_at_the_end_of_the_poll_is_hung_however_many_there_are() {
    let it = Loop::paused();
    for count in [1, 8, 9, 32, 33, 1000] {
        let mut naps: Vec<_> = (0..count).map(|_| sleep(SECOND)).collect();
        it.in_a_poll(|cx| {
            for nap in &mut naps {
                arm(nap, cx);
            }
            assert_eq!(it.time.statistics().armed, count);
        });
        assert_eq!(it.hung(), count);
        naps.truncate(count / 2);
        assert_eq!(it.hung(), count / 2);
        drop(naps);
        assert_eq!(it.hung(), 0);
    }
}

#[test]
fn sleeps_of_one_poll_end_when_they_should_whatever_was_dropped_beside_them() {
    let it = Loop::paused();
    it.event_loop.block_on(async {
        let start = Instant::now();
        let mut naps: Vec<_> = (1..=100).map(|n| (n, sleep(n * SECOND))).collect();
        poll_fn(|cx| {
            naps.iter_mut().for_each(|(_, nap)| arm(nap, cx));
            naps.retain(|(n, _)| n % 3 == 0);
            Poll::Ready(())
        })
        .await;
        end_the_poll().await;
        for (n, nap) in naps {
            nap.await;
            assert_eq!(start.elapsed(), n * SECOND);
        }
    });
}

#[test]
fn a_sleep_may_be_dropped_on_another_thread_before_the_poll_ends() {
    let it = Loop::paused();
    let mut nap = sleep(SECOND);
    it.in_a_poll(|cx| {
        arm(&mut nap, cx);
        elsewhere(|| drop(nap));
        assert_eq!(it.hung(), 0);
        let mut next = sleep(SECOND); // takes another place
        arm(&mut next, cx);
    });
    assert_eq!(it.hung(), 0);
}

#[test]
fn a_sleep_may_be_polled_on_another_thread_before_the_poll_ends() {
    let it = Loop::paused();
    it.event_loop.block_on(async {
        let mut nap = sleep(SECOND);
        let wakes = Count::new();
        poll_fn(|cx| {
            arm(&mut nap, cx);
            // With the same waker nothing changes, with another one that one is woken.
            let same = cx.waker().clone();
            elsewhere(|| assert!(poll_with(&mut nap, &same).is_pending()));
            assert_eq!(it.hung(), 0);
            elsewhere(|| assert!(poll_with(&mut nap, &wakes.waker()).is_pending()));
            assert_eq!(it.hung(), 1);
            Poll::Ready(())
        })
        .await;
        end_the_poll().await;
        assert_eq!(it.hung(), 1);
        sleep(2 * SECOND).await;
        assert_eq!(wakes.get(), 1);
        assert!(poll_with(&mut nap, &wakes.waker()).is_ready());
    });
}

#[test]
fn a_sleep_may_be_reset_on_another_thread_before_the_poll_ends() {
    let it = Loop::paused();
    for later in [1, 3] {
        it.event_loop.block_on(async {
            let start = Instant::now();
            let mut nap = sleep(2 * SECOND);
            poll_fn(|cx| {
                arm(&mut nap, cx);
                elsewhere(|| nap.reset(start + later * SECOND));
                assert_eq!(nap.deadline(), start + later * SECOND);
                Poll::Ready(())
            })
            .await;
            end_the_poll().await;
            assert_eq!(it.hung(), 1);
            nap.await;
            assert_eq!(start.elapsed(), later * SECOND);
        });
    }
}

#[test]
fn a_sleep_may_be_reset_in_the_poll_it_was_armed_in() {
    let it = Loop::paused();
    it.event_loop.block_on(async {
        let start = Instant::now();
        let mut nap = sleep(2 * SECOND);
        for deadline in [5, 1, 3] {
            poll_fn(|cx| {
                arm(&mut nap, cx);
                nap.reset(start + deadline * SECOND);
                assert_eq!(it.hung(), 0);
                Poll::Ready(())
            })
            .await;
            end_the_poll().await;
            assert_eq!(it.hung(), 1);
            drop(std::mem::replace(&mut nap, sleep(2 * SECOND)));
            assert_eq!(it.hung(), 0);
        }
        let mut once = Some(());
        poll_fn(|cx| {
            if once.take().is_some() {
                arm(&mut nap, cx);
                nap.reset(start + 4 * SECOND);
                return Poll::Pending; // nobody polls the sleep again, and the task is woken all the same
            }
            Poll::Ready(())
        })
        .await;
        assert_eq!(start.elapsed(), 4 * SECOND);
    });
}

#[test]
fn a_sleep_that_is_reset_to_the_past_is_over_at_once_and_wakes_who_waits() {
    let it = Loop::paused();
    it.event_loop.block_on(async {
        let mut nap = sleep(2 * SECOND);
        let mut once = Some(());
        poll_fn(|cx| {
            if once.take().is_none() {
                return Poll::Ready(());
            }
            arm(&mut nap, cx);
            nap.reset(Instant::now());
            assert!(nap.is_elapsed());
            assert!(Pin::new(&mut nap).poll(cx).is_ready());
            Poll::Pending
        })
        .await;
    });
}

#[test]
fn a_poll_with_another_waker_hangs_what_came_before_it_first() {
    let it = Loop::paused();
    let wakes = Count::new();
    let (mut own, mut other) = (sleep(SECOND), sleep(SECOND));
    it.in_a_poll(|cx| {
        arm(&mut own, cx);
        assert_eq!(it.hung(), 0);
        assert!(poll_with(&mut other, &wakes.waker()).is_pending());
        assert_eq!(it.hung(), 2);
        assert!(poll_with(&mut own, &wakes.waker()).is_pending());
        assert_eq!(it.hung(), 2);
    });
    it.event_loop.block_on(sleep(SECOND));
    assert_eq!(wakes.get(), 2);
}

#[test]
fn a_clock_that_is_advanced_within_the_poll_is_seen_by_fresh_timers() {
    let it = Loop::paused();
    it.event_loop.block_on(async {
        let start = Instant::now();
        let (mut before, mut after) = (sleep(SECOND), sleep(SECOND));
        poll_fn(|cx| {
            arm(&mut before, cx);
            it.time.clock().advance(SECOND);
            assert!(Pin::new(&mut after).poll(cx).is_ready());
            Poll::Ready(())
        })
        .await;
        end_the_poll().await;
        before.await;
        assert_eq!(start.elapsed(), SECOND);
    });
}

#[test]
fn what_a_panicking_task_has_armed_and_given_away_still_ends() {
    let it = Loop::paused();
    let given: Rc<RefCell<Option<Sleep>>> = Rc::default();
    let give = given.clone();
    let task = it.event_loop.spawn_local(async move {
        let mut nap = sleep(SECOND);
        poll_fn(|cx| {
            arm(&mut nap, cx);
            Poll::Ready(())
        })
        .await;
        *give.borrow_mut() = Some(nap);
        panic!("a task that panics");
    });
    it.event_loop.block_on(async {
        let start = Instant::now();
        assert!(task.await.unwrap_err().is_panic());
        assert_eq!(it.hung(), 1);
        let nap = given.take().unwrap();
        nap.await;
        assert_eq!(start.elapsed(), SECOND);
    });
}

#[test]
fn a_runtime_that_ends_within_the_poll_wakes_who_has_fresh_timers_in_it() {
    let it = Loop::paused();
    let driver = TimeDriver::new(ThreadDriver::new(), Clock::paused(), 1);
    let other = driver.handle();
    let mut driver = Some(driver);
    let mut nap = other.sleep(SECOND);
    it.event_loop.block_on(poll_fn(|cx| {
        let Some(driver) = driver.take() else { return Poll::Ready(()) };
        let entered = other.enter();
        arm(&mut nap, cx);
        drop(driver);
        drop(entered);
        Poll::Pending
    }));
    let panic = catch_unwind(AssertUnwindSafe(|| poll_with(&mut nap, &Count::new().waker()))).unwrap_err();
    let text = panic.downcast_ref::<&str>().unwrap();
    assert!(text.starts_with("the runtime that owns this timer has shut down"), "{text}");
}

#[test]
fn a_poll_may_arm_timers_of_two_runtimes() {
    let it = Loop::paused();
    let mut driver = TimeDriver::new(ThreadDriver::new(), Clock::paused(), 1);
    let other = driver.handle();
    let wakes = Count::new();
    let (mut here, mut there, mut again) = (sleep(SECOND), other.sleep(SECOND), sleep(2 * SECOND));
    it.in_a_poll(|cx| {
        arm(&mut here, cx);
        let entered = other.enter();
        arm(&mut there, cx);
        drop(entered);
        arm(&mut again, cx);
    });
    assert_eq!((it.hung(), other.statistics().armed), (2, 1));
    assert!(poll_with(&mut there, &wakes.waker()).is_pending());
    driver.park(QUIESCENT);
    assert_eq!(wakes.get(), 1);
    it.event_loop.block_on(again);
    assert!(here.is_elapsed());
}

#[test]
fn a_poll_inside_of_a_poll_has_timers_of_its_own() {
    let it = Loop::paused();
    it.event_loop.block_on(async {
        let start = Instant::now();
        let mut outer = sleep(2 * SECOND);
        let mut inner = None;
        poll_fn(|cx| {
            arm(&mut outer, cx);
            // The first step of an eager task is taken here.
            inner = Some(unstuck_core::spawn_local_as(None, true, async {
                let mut dropped = sleep(SECOND);
                poll_fn(|cx| {
                    arm(&mut dropped, cx);
                    Poll::Ready(())
                })
                .await;
                drop(dropped);
                sleep(SECOND).await;
                Instant::now()
            }));
            assert_eq!(it.hung(), 2);
            let mut fresh = sleep(SECOND);
            arm(&mut fresh, cx);
            assert_eq!(it.hung(), 2);
            Poll::Ready(())
        })
        .await;
        end_the_poll().await;
        assert_eq!(inner.unwrap().await.unwrap(), start + SECOND);
        outer.await;
        assert_eq!(start.elapsed(), 2 * SECOND);
    });
}

#[test]
fn a_waker_that_outlives_its_poll_arms_nothing_fresh() {
    let it = Loop::paused();
    let mut nap = sleep(SECOND);
    let waker = it.in_a_poll(|cx| cx.waker().clone());
    assert!(poll_with(&mut nap, &waker).is_pending());
    assert_eq!(it.hung(), 1);
}

/// A future whose destructor polls a sleep with the waker of its own task.
struct ArmsInDrop<F: FnMut()>(F);

impl<F: FnMut()> Drop for ArmsInDrop<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}

#[test]
fn a_timer_that_a_destructor_arms_at_the_end_of_its_task_is_hung_too() {
    let it = Loop::paused();
    let nap: Rc<RefCell<Option<Sleep>>> = Rc::new(RefCell::new(Some(sleep(SECOND))));
    let armed = nap.clone();
    let task = it.event_loop.spawn_local(async move {
        let waker = poll_fn(|cx| Poll::Ready(cx.waker().clone())).await;
        let _last = ArmsInDrop(move || {
            assert!(poll_with(armed.borrow_mut().as_mut().unwrap(), &waker).is_pending());
        });
        pending::<()>().await;
    });
    it.event_loop.block_on(async {
        let mut turn = pin!(sleep(Duration::ZERO));
        turn.as_mut().await;
        task.cancel();
        assert!(task.await.unwrap_err().is_cancelled());
    });
    assert_eq!(it.hung(), 1);
    let wakes = Count::new();
    assert!(poll_with(nap.borrow_mut().as_mut().unwrap(), &wakes.waker()).is_pending());
    it.event_loop.block_on(sleep(SECOND));
    assert_eq!(wakes.get(), 1);
}

#[test]
fn timers_with_one_deadline_wake_in_the_order_of_arming_whomever_they_wake() {
    for own_first in [true, false] {
        let it = Loop::paused();
        let log: Rc<RefCell<Vec<&str>>> = Rc::default();
        let wakers: Rc<RefCell<Option<Waker>>> = Rc::default();
        let (second, theirs) = (log.clone(), wakers.clone());
        let other = it.event_loop.spawn_local(async move {
            poll_fn(|cx| match theirs.replace(Some(cx.waker().clone())) {
                None => Poll::Pending,
                Some(_) => Poll::Ready(()),
            })
            .await;
            second.borrow_mut().push("the other");
        });
        let first = log.clone();
        let task = it.event_loop.spawn_local(async move {
            let deadline = Instant::now() + SECOND;
            let (mut own, mut foreign) = (sleep_until(deadline), sleep_until(deadline));
            let waker = wakers.borrow().clone().unwrap();
            poll_fn(|cx| {
                if own_first {
                    arm(&mut own, cx);
                }
                assert!(poll_with(&mut foreign, &waker).is_pending());
                if !own_first {
                    arm(&mut own, cx);
                }
                Poll::Ready(())
            })
            .await;
            own.await;
            first.borrow_mut().push("the own");
            end_the_poll().await;
            drop(foreign);
        });
        it.event_loop.block_on(async {
            task.await.unwrap();
            other.await.unwrap();
        });
        let expected = if own_first { ["the own", "the other"] } else { ["the other", "the own"] };
        assert_eq!(*log.borrow(), expected);
    }
}
