#![allow(unsafe_code)] // Spawning is unsafe: the models' homes outlive their tasks.
//! The life of a task in every interleaving.
//!
//! A lost wake or a join that hangs shows as a deadlock; two polls at once, or an outcome read too early, as a race on
//! a cell; something dropped twice or not at all, in the counts at the end.

use std::collections::VecDeque;
use std::future::Future;
use std::panic::Location;
use std::pin::{Pin, pin};
use std::ptr::NonNull;
use std::sync::{Arc, Mutex as Unseen};
use std::task::{Context, Poll, Waker};

use super::registry::Registry;
use super::state::{Left, Pause, State, Wake};
use super::{Home, Runnable, Spawn, Task, header, numbers};
use crate::models::{Bell, block_on, model, poll};
use crate::sync::atomic::{AtomicUsize, Ordering};
use crate::sync::{Condvar, Mutex, UnsafeCell, thread};

/// A home with one queue, from which any thread may run tasks.
pub(crate) struct House {
    registry: Registry,
    queue: Mutex<VecDeque<Runnable>>,
    changed: Condvar,
    closed: AtomicUsize,
    drained: AtomicUsize,
}

impl Home for House {
    fn submit(&self, task: Runnable) {
        self.queue.lock().push_back(task);
        self.changed.notify_all();
    }

    fn registry(&self) -> &Registry {
        &self.registry
    }

    fn drained(&self) {
        self.drained.fetch_add(1, Ordering::Relaxed);
    }
}

impl House {
    pub(crate) fn new(shards: usize) -> Arc<Self> {
        Arc::new(Self {
            registry: Registry::with_shards(shards),
            queue: Mutex::default(),
            changed: Condvar::new(),
            closed: AtomicUsize::new(0),
            drained: AtomicUsize::new(0),
        })
    }

    pub(crate) fn spawn<F: Future + 'static>(&self, future: F, name: &Arc<str>) -> Task<F::Output> {
        let how = Spawn { name: Some(name.clone()), place: Location::caller() };
        // SAFETY: each model keeps its house until the registry is empty; futures are `Send` in spirit.
        unsafe { super::spawn(NonNull::from(self as &dyn Home), future, how) }.task()
    }

    /// Runs one task once; false if none is ready.
    pub(crate) fn run_one(&self) -> bool {
        let Some(task) = self.take() else { return false };
        if let Some(again) = task.run() {
            self.submit(again);
        }
        true
    }

    pub(crate) fn take(&self) -> Option<Runnable> {
        self.queue.lock().pop_front()
    }

    /// Runs tasks until the house is closed.
    fn run(&self) {
        loop {
            let mut queue = self.queue.lock();
            while queue.is_empty() {
                if self.closed.load(Ordering::Relaxed) == 1 {
                    return;
                }
                self.changed.wait(&mut queue);
            }
            drop(queue);
            self.run_one();
        }
    }

    pub(crate) fn runner(self: &Arc<Self>) -> thread::JoinHandle<()> {
        let house = self.clone();
        thread::spawn(move || house.run())
    }

    /// Lets the runners go home.
    pub(crate) fn close(&self) {
        let queue = self.queue.lock();
        self.closed.store(1, Ordering::Relaxed); // read under the same lock
        drop(queue);
        self.changed.notify_all();
    }
}

/// A name of which each task holds a clone: it counts the allocations that have not been freed.
pub(crate) fn name() -> Arc<str> {
    Arc::from("task")
}

pub(crate) fn assert_freed(name: &Arc<str>) {
    assert_eq!(Arc::strong_count(name), 1, "every task has been freed, once");
}

/// Counts its drops, and remembers the thread of the last one.
#[derive(Clone, Default)]
struct Drops(Arc<Unseen<Vec<thread::ThreadId>>>);

struct Dropping(Drops);

impl Drops {
    fn count(&self) -> usize {
        self.0.lock().unwrap().len()
    }
}

impl Drop for Dropping {
    fn drop(&mut self) {
        self.0.0.lock().unwrap().push(thread::current().id());
    }
}

/// Ready when it has been hit so often. Everything it reads is relaxed: what the wakers wrote must be seen because
/// they called wake. Keeps its first waker for the model to take.
struct Hits {
    needed: usize,
    hits: Arc<AtomicUsize>,
    waker: Arc<Unseen<Option<Waker>>>,
    polled: bool,
    /// Two polls at once would race here.
    inside: UnsafeCell<usize>,
    _future: Option<Dropping>,
    output: Option<Dropping>,
}

impl Hits {
    fn needs(needed: usize) -> Self {
        Self {
            needed,
            hits: Arc::new(AtomicUsize::new(0)),
            waker: Arc::default(),
            polled: false,
            inside: UnsafeCell::new(0),
            _future: None,
            output: None,
        }
    }
}

impl Future for Hits {
    type Output = Option<Dropping>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        // SAFETY: loom reports a race if another poll is here at the same time.
        self.inside.with_mut(|polls| unsafe { *polls += 1 });
        if !std::mem::replace(&mut self.polled, true) {
            *self.waker.lock().unwrap() = Some(cx.waker().clone());
        }
        if self.hits.load(Ordering::Relaxed) < self.needed {
            return Poll::Pending;
        }
        Poll::Ready(self.output.take())
    }
}

/// Hits the task and wakes it.
fn hit(hits: &AtomicUsize, waker: &Waker) {
    hits.fetch_add(1, Ordering::Relaxed);
    waker.wake_by_ref();
}

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

// --- The registry ---

#[test]
fn a_snapshot_meets_a_task_that_leaves() {
    model(|| {
        let (house, name) = (House::new(1), name());
        let mut future = Hits::needs(0);
        let futures = Drops::default();
        future._future = Some(Dropping(futures.clone()));
        house.spawn(future, &name).detach();
        let stays = house.spawn(Hits::needs(1), &name);
        let runner = {
            let house = house.clone();
            thread::spawn(move || assert!(house.run_one()))
        };
        let seen = house.registry.snapshot();
        assert!(seen.contains(&stays.watch()), "who stays is seen");
        assert!(seen.len() == 2 || futures.count() == 1, "who is not seen has gone");
        runner.join().unwrap();
        assert!(Arc::strong_count(&name) > seen.len(), "who is seen has not been freed");
        drop(seen);
        stays.cancel();
        drop(stays);
        while house.run_one() {}
        assert_eq!(house.registry.len(), 0);
        assert_freed(&name);
    });
}

#[test]
fn a_spawn_during_close_is_refused_or_cancelled_but_never_forgotten() {
    model(|| {
        let (house, name) = (House::new(1), name());
        let spawner = {
            let (house, name) = (house.clone(), name.clone());
            thread::spawn(move || house.spawn(Hits::needs(1), &name))
        };
        house.registry.close();
        for task in house.registry.snapshot() {
            task.cancel();
        }
        let mut task = spawner.join().unwrap();
        while house.run_one() {}
        let error = task.try_result().expect("it has ended").err().expect("without a value");
        assert!(error.is_cancelled() || error.is_rejected());
        assert!(house.registry.is_empty());
        drop((task, error));
        assert_freed(&name);
    });
}

#[test]
fn the_last_two_tasks_of_a_closed_home_do_not_both_miss_that_it_is_drained() {
    model(|| {
        let (house, name) = (House::new(2), name());
        // Numbers of two different shards.
        for id in [1, 1 + numbers::ID_BLOCK] {
            let place = Location::caller();
            let home = NonNull::from(&*house as &dyn Home);
            let header = header::allocate(Hits::needs(0), home, id, Some(name.clone()), place);
            // SAFETY: as in `task::spawn`.
            unsafe {
                assert!(house.registry.insert(header));
                drop(Task::<Option<Dropping>>::from_raw(header));
                house.submit(Runnable::new(header));
            }
        }
        house.registry.close();
        let other = {
            let house = house.clone();
            thread::spawn(move || assert!(house.run_one()))
        };
        assert!(house.run_one());
        other.join().unwrap();
        assert!(house.drained.load(Ordering::Relaxed) >= 1);
        assert!(house.registry.is_empty());
        assert_freed(&name);
    });
}

#[test]
fn blocks_are_freed_once_while_others_are_filled() {
    model(|| {
        let (house, name) = (House::new(1), name());
        // Two fill a block; the third opens the next one while they leave.
        house.spawn(Hits::needs(0), &name).detach();
        house.spawn(Hits::needs(0), &name).detach();
        let runner = {
            let house = house.clone();
            thread::spawn(move || {
                assert!(house.run_one());
                assert!(house.run_one());
            })
        };
        house.spawn(Hits::needs(0), &name).detach();
        house.registry.close();
        runner.join().unwrap();
        while house.run_one() {}
        assert!(house.registry.is_empty());
        assert_freed(&name);
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
