//! Wakes and polls: none is lost, and there are never two polls at once.

use std::sync::{Arc, Mutex as Unseen};
use std::task::{Poll, Waker};

use super::{Hits, House, assert_freed, hit, name};
use crate::models::{block_on, model};
use crate::sync::atomic::{AtomicUsize, Ordering};
use crate::sync::thread;
use crate::task::state::{Left, Pause, State, Wake};

/// Two wakes, by two threads or one after the other, while `runners` poll.
fn two_wakes(two_wakers: bool, runners: usize) {
    model(move || {
        let (house, name) = (House::new(1), name());
        let future = Hits::needs(2);
        let (hits, waker) = (future.hits.clone(), future.waker.clone());
        let task = house.spawn(future, &name);
        assert!(house.run_one());
        let waker = waker.lock().unwrap().take().unwrap();
        let runners: Vec<_> = (0..runners).map(|_| house.runner()).collect();
        let other = two_wakers.then(|| {
            let (hits, waker) = (hits.clone(), waker.clone());
            thread::spawn(move || hit(&hits, &waker))
        });
        hit(&hits, &waker);
        if !two_wakers {
            hit(&hits, &waker);
        }
        drop(waker);
        assert!(block_on(task).is_ok());
        house.close();
        for thread in runners.into_iter().chain(other) {
            thread.join().unwrap();
        }
        assert_freed(&name);
    });
}

#[test]
fn two_wakers_and_a_poll_lose_no_wake() {
    two_wakes(true, 1);
}

#[test]
fn what_each_of_several_wakers_wrote_is_seen_by_a_poll() {
    model(|| {
        // Scheduled, so that all but the first wake change little or nothing.
        let state = Arc::new(State::new());
        let written = Arc::new([AtomicUsize::new(0), AtomicUsize::new(0)]);
        let wakers: Vec<_> = (0..2)
            .map(|i| {
                let (state, written) = (state.clone(), written.clone());
                thread::spawn(move || {
                    written[i].store(1, Ordering::Relaxed); // that it is seen must come from the wake
                    state.wake(false) == Wake::Submit
                })
            })
            .collect();
        let mut seen;
        loop {
            let _ = state.start();
            seen = written.iter().map(|written| written.load(Ordering::Relaxed)).sum::<usize>();
            if seen == 2 || state.pause(false, Left::default()) == Pause::Parked {
                break;
            }
        }
        let submitted = wakers.into_iter().map(|waker| waker.join().unwrap()).filter(|&it| it).count();
        assert!(seen == 2 || submitted == 1, "the poll saw both, or there will be another one");
    });
}

#[test]
fn two_runners_never_poll_at_once() {
    two_wakes(false, 2);
}

#[test]
fn a_wake_by_the_poll_itself_is_answered() {
    model(|| {
        let (house, name) = (House::new(1), name());
        let hits = Arc::new(AtomicUsize::new(0));
        let waker = Arc::new(Unseen::new(None::<Waker>));
        let task = house.spawn(
            {
                let (hits, waker) = (hits.clone(), waker.clone());
                std::future::poll_fn(move |cx| match hits.load(Ordering::Relaxed) {
                    0 => {
                        *waker.lock().unwrap() = Some(cx.waker().clone());
                        Poll::Pending
                    }
                    1 => {
                        hits.store(2, Ordering::Relaxed);
                        cx.waker().wake_by_ref();
                        Poll::Pending
                    }
                    _ => Poll::Ready(()),
                })
            },
            &name,
        );
        assert!(house.run_one());
        let waker = waker.lock().unwrap().take().unwrap();
        let runner = house.runner();
        hit(&hits, &waker);
        drop(waker);
        assert!(block_on(task).is_ok());
        house.close();
        runner.join().unwrap();
        assert_freed(&name);
    });
}
