//! Ends: cancelled or not, with the handle there or gone.

use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;

use super::{Dropping, Drops, Hits, House, assert_freed, hit, name};
use crate::models::{Bell, block_on, model, poll};
use crate::sync::{Mutex, UnsafeCell, thread};
use crate::task::state::State;

#[test]
fn a_cancelled_task_gives_a_value_or_an_error_and_is_dropped_once_where_it_ran() {
    model(|| {
        let (house, name) = (House::new(1), name());
        let (futures, outputs) = (Drops::default(), Drops::default());
        let mut future = Hits::needs(1);
        future._future = Some(Dropping(futures.clone()));
        future.output = Some(Dropping(outputs.clone()));
        let (hits, waker) = (future.hits.clone(), future.waker.clone());
        let task = house.spawn(future, &name);
        assert!(house.run_one());
        let waker = waker.lock().unwrap().take().unwrap();
        let runner = house.runner();
        let ran_on = runner.thread().id();
        let canceller = {
            let task = task.watch();
            thread::spawn(move || task.cancel())
        };
        hit(&hits, &waker);
        drop(waker);
        let watch = task.watch();
        let outcome = block_on(task);
        assert_eq!(watch.is_cancelled(), outcome.is_err(), "also when the outcome has been taken");
        drop(watch);
        assert_eq!(
            *futures.0.lock().unwrap(),
            [ran_on],
            "dropped once, by the runner, before the outcome is seen"
        );
        match outcome {
            Ok(value) => {
                assert_eq!(outputs.count(), 0);
                drop(value);
            }
            Err(error) => assert!(error.is_cancelled()),
        }
        assert_eq!(outputs.count(), 1);
        house.close();
        let _ = canceller.join().unwrap();
        runner.join().unwrap();
        assert_freed(&name);
    });
}

#[test]
fn a_cancel_during_a_poll_is_delivered_after_it() {
    model(|| {
        let (house, name) = (House::new(1), name());
        let task = house.spawn(Hits::needs(usize::MAX), &name);
        let runner = house.runner();
        task.cancel();
        assert!(block_on(task).err().is_some_and(|error| error.is_cancelled()));
        house.close();
        runner.join().unwrap();
        assert_freed(&name);
    });
}

/// A task ends while its handle is dropped, after it was polled or not.
fn handle_dropped(polled: bool) {
    model(move || {
        let (house, name) = (House::new(1), name());
        let outputs = Drops::default();
        let mut future = Hits::needs(0);
        future.output = Some(Dropping(outputs.clone()));
        let mut task = house.spawn(future, &name);
        let runner = {
            let house = house.clone();
            thread::spawn(move || assert!(house.run_one()))
        };
        let bell = Arc::new(Bell::default());
        if polled {
            if let Poll::Ready(outcome) = poll(Pin::new(&mut &mut task), &bell) {
                assert!(outcome.is_ok());
            }
        }
        drop(task);
        runner.join().unwrap();
        assert_eq!(outputs.count(), 1);
        assert_eq!(Arc::strong_count(&bell), 1, "the waiter has been dropped");
        assert_freed(&name);
    });
}

#[test]
fn a_handle_dropped_during_completion_drops_the_outcome_once() {
    handle_dropped(false);
}

#[test]
fn a_waiting_handle_dropped_during_completion_drops_its_waker_once() {
    handle_dropped(true);
}

#[test]
fn a_join_that_changes_its_waker_never_hangs() {
    model(|| {
        let (house, name) = (House::new(1), name());
        let task = house.spawn(Hits::needs(0), &name);
        let runner = {
            let house = house.clone();
            thread::spawn(move || assert!(house.run_one()))
        };
        let mut task = pin!(task);
        let (first, second) = (Arc::new(Bell::default()), Arc::new(Bell::default()));
        let outcome = match poll(task.as_mut(), &first) {
            Poll::Ready(outcome) => outcome,
            Poll::Pending => match poll(task.as_mut(), &second) {
                Poll::Ready(outcome) => outcome,
                Poll::Pending => {
                    second.wait();
                    let Poll::Ready(outcome) = poll(task.as_mut(), &second) else { panic!("woken, so done") };
                    outcome
                }
            },
        };
        assert!(outcome.is_ok());
        runner.join().unwrap();
    });
}

#[test]
fn who_sees_that_a_task_is_done_sees_what_it_wrote() {
    model(|| {
        let (house, name) = (House::new(1), name());
        #[allow(clippy::arc_with_non_send_sync)] // loom is the judge of that
        let cell = Arc::new(UnsafeCell::new(0));
        let mut task = house.spawn(
            {
                let cell = cell.clone();
                // SAFETY: loom reports a race if somebody reads too early.
                async move { cell.with_mut(|cell| unsafe { *cell = 1 }) }
            },
            &name,
        );
        let runner = {
            let house = house.clone();
            thread::spawn(move || assert!(house.run_one()))
        };
        // Not just one look: loom does not try the runner's reads of the word before a look of ours.
        let outcome = loop {
            match task.try_result() {
                Some(outcome) => break outcome,
                None => thread::yield_now(),
            }
        };
        assert!(outcome.is_ok());
        // SAFETY: as above.
        assert_eq!(cell.with(|cell| unsafe { *cell }), 1);
        runner.join().unwrap();
    });
}

#[test]
fn a_callback_left_while_the_task_ends_is_taken_by_exactly_one() {
    model(|| {
        let state = Arc::new(State::new());
        let list = Arc::new(Mutex::new(Vec::new()));
        let _ = state.start();
        let (adds, to) = (state.clone(), list.clone());
        let adder = thread::spawn(move || {
            to.lock().push(());
            if adds.watch() { 0 } else { std::mem::take(&mut *to.lock()).len() }
        });
        let by_the_end =
            if state.complete(false).watched { std::mem::take(&mut *list.lock()).len() } else { 0 };
        assert_eq!(by_the_end + adder.join().unwrap(), 1);
    });
}
