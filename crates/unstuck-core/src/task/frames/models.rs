//! Requests from other threads, in every interleaving with the polls of the task that they concern.
//!
//! A request that gets lost shows as a deadlock: the task waits for ever. What happens inside of one task, siblings and
//! throws, is done by whoever polls it, one step after the other; that has ordinary tests.

use std::cell::Cell;
use std::future::{Future, pending, poll_fn};
use std::pin::pin;
use std::sync::{Arc, Mutex as Unseen};
use std::task::{Poll, Waker};

use super::{Canceller, Reason, catch_cancel};
use crate::models::{block_on, model};
use crate::sync::atomic::{AtomicUsize, Ordering};
use crate::sync::thread;
use crate::task::models::{House, assert_freed, name};

/// Lets one future through when it is opened. Only the wake tells it so.
#[derive(Clone, Default)]
struct Gate {
    open: Arc<AtomicUsize>,
    waker: Arc<Unseen<Option<Waker>>>,
}

impl Gate {
    async fn pass(self) {
        poll_fn(|cx| {
            if self.open.load(Ordering::Relaxed) == 1 {
                return Poll::Ready(());
            }
            self.waker.lock().unwrap().get_or_insert_with(|| cx.waker().clone());
            Poll::Pending
        })
        .await;
    }

    /// For somebody who has been polled.
    fn open(self) {
        self.open.store(1, Ordering::Relaxed);
        let waker = self.waker.lock().unwrap().take();
        waker.unwrap().wake();
    }
}

#[test]
fn a_request_is_caught_once_with_its_reason_or_comes_too_late() {
    model(|| {
        let (house, name, gate) = (House::new(1), name(), Gate::default());
        let cleanups = Arc::new(AtomicUsize::new(0));
        let (counted, passed) = (cleanups.clone(), gate.clone());
        let task = house.spawn(
            async move {
                if let Err(cancelled) = catch_cancel(passed.pass()).await {
                    counted.fetch_add(1, Ordering::Relaxed);
                    cancelled.resume().await
                }
            },
            &name,
        );
        assert!(house.run_one());
        let runner = house.runner();
        let canceller = {
            let task = task.watch();
            thread::spawn(move || task.cancel_with("why"))
        };
        gate.open();
        let outcome = block_on(task);
        let asked = canceller.join().unwrap();
        if let Err(error) = outcome {
            assert!(asked && error.is_cancelled());
            assert_eq!(error.reason().and_then(Reason::text), Some("why"));
            assert_eq!(cleanups.load(Ordering::Relaxed), 1);
        } else {
            assert_eq!(cleanups.load(Ordering::Relaxed), 0);
        }
        house.close();
        runner.join().unwrap();
        assert_freed(&name);
    });
}

#[test]
fn who_is_cancelled_while_the_task_it_awaits_ends_has_its_value_or_has_taken_it_along() {
    model(|| {
        let (house, name, gate) = (House::new(1), name(), Gate::default());
        let inner = house.spawn(gate.clone().pass(), &name);
        let inside = inner.watch();
        let outer = house.spawn(inner, &name);
        assert!(house.run_one() && house.run_one()); // both wait, and the join hides
        let runner = house.runner();
        let canceller = {
            let outer = outer.watch();
            thread::spawn(move || outer.cancel())
        };
        gate.open();
        let outcome = block_on(outer);
        assert!(inside.is_done(), "its end is awaited");
        match outcome {
            Ok(value) => assert!(value.is_ok() && !inside.is_cancelled()),
            Err(error) => assert!(error.is_cancelled() && inside.is_cancelled(), "no value is lost"),
        }
        canceller.join().unwrap();
        drop(inside);
        house.close();
        runner.join().unwrap();
        assert_freed(&name);
    });
}

#[test]
fn a_request_that_comes_during_a_poll_finds_the_join_in_it() {
    model(|| {
        let (house, name, gate) = (House::new(1), name(), Gate::default());
        let inner = house.spawn(pending::<()>(), &name);
        let inside = inner.watch();
        let passed = gate.clone();
        let outer = house.spawn(
            async move {
                let (mut gate, mut inner) = (Box::pin(passed.pass()), Box::pin(inner));
                let mut waits = true;
                poll_fn(|cx| {
                    waits = waits && gate.as_mut().poll(cx).is_pending();
                    inner.as_mut().poll(cx)
                })
                .await
            },
            &name,
        );
        assert!(house.run_one() && house.run_one());
        let runner = house.runner();
        let canceller = {
            let outer = outer.watch();
            thread::spawn(move || assert!(outer.cancel()))
        };
        gate.open(); // has the outer one polled at about the same time
        assert!(block_on(outer).is_err_and(|error| error.is_cancelled()));
        assert!(inside.is_cancelled());
        canceller.join().unwrap();
        drop(inside);
        house.close();
        runner.join().unwrap();
        assert_freed(&name);
    });
}

#[test]
fn a_main_future_that_sleeps_or_is_being_polled_hears_a_request() {
    model(|| {
        let canceller = Canceller::new();
        let main = canceller.main().clone();
        let other = thread::spawn(move || assert!(canceller.cancel_with("why")));
        let caught = Cell::new(0);
        let mut future = pin!(Some(async {
            if let Err(cancelled) = catch_cancel(pending::<()>()).await {
                caught.set(caught.get() + 1);
                cancelled.resume::<()>().await;
            }
        }));
        let outcome = block_on(poll_fn(|cx| main.poll(future.as_mut(), cx)));
        assert_eq!(outcome.unwrap_err().reason().and_then(Reason::text), Some("why"));
        other.join().unwrap();
        assert!(caught.get() <= 1); // none if it came before the first poll
    });
}
