//! `Lock`, `Event`, `Condition`, `Semaphore`, `Barrier`.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use unstuck::sync::{Barrier, BrokenBarrier, Condition, Event, Lock, Semaphore};
use unstuck::{Task, gather, sleep, spawn, wait_for, yield_now};

use super::Log;
use crate::support::eventually;

const SECOND: Duration = Duration::from_secs(1);

/// A poll that nobody is woken for.
fn poll<F: Future>(future: std::pin::Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

/// Starts tasks one after the other, so that they queue up in the order of their names.
async fn in_line<F>(names: [&'static str; 3], make: impl Fn(&'static str) -> F) -> Vec<Task<F::Output>>
where
    F: Future<Output: Send> + Send + 'static,
{
    let mut tasks = Vec::new();
    for name in names {
        tasks.push(spawn(make(name)));
        sleep(SECOND).await;
    }
    tasks
}

both! {
    async fn a_semaphore_serves_in_the_order_of_coming_and_lets_so_many_in() {
        let (semaphore, log) = (Semaphore::new(1), Log::new());
        let held = semaphore.acquire().await;
        assert!(semaphore.is_locked());
        let tasks = in_line(["a", "b", "c"], |name| {
            let (semaphore, log) = (semaphore.clone(), log.clone());
            async move {
                let _permit = semaphore.acquire().await;
                log.say(name);
                yield_now().await;
            }
        })
        .await;
        assert_eq!(log.lines(), [""; 0]);
        drop(held);
        gather(tasks).await;
        assert_eq!(log.lines(), ["a", "b", "c"]);
        semaphore.add_permits(2);
        assert_eq!(semaphore.available(), 3);
        semaphore.acquire().await.forget();
        assert_eq!(semaphore.available(), 2);
    }
}

#[test]
fn a_newcomer_overtakes_nobody_at_a_semaphore_or_a_lock() {
    let semaphore = Semaphore::new(1);
    let held = semaphore.try_acquire().unwrap();
    let mut chosen = Box::pin(semaphore.acquire());
    assert!(poll(chosen.as_mut()).is_pending());
    drop(held);
    assert!(semaphore.try_acquire().is_none(), "it is meant for whoever waits");
    let Poll::Ready(_permit) = poll(chosen.as_mut()) else { panic!("it was chosen") };

    let lock = Lock::new(());
    let held = lock.try_lock().unwrap();
    let mut chosen = Box::pin(lock.lock());
    assert!(poll(chosen.as_mut()).is_pending());
    drop(held);
    assert!(lock.try_lock().is_none());
    assert!(poll(chosen.as_mut()).is_ready());
}

#[test]
fn cancelling_a_chosen_waiter_does_not_hang_the_rest() {
    let semaphore = Semaphore::new(1);
    let held = semaphore.try_acquire().unwrap();
    let (mut first, mut second) = (Box::pin(semaphore.acquire()), Box::pin(semaphore.acquire()));
    assert!(poll(first.as_mut()).is_pending() && poll(second.as_mut()).is_pending());
    drop(held); // chooses the first
    drop(first);
    assert!(poll(second.as_mut()).is_ready());

    let lock = Lock::new(());
    let held = lock.try_lock().unwrap();
    let (mut first, mut second) = (Box::pin(lock.lock()), Box::pin(lock.lock()));
    assert!(poll(first.as_mut()).is_pending() && poll(second.as_mut()).is_pending());
    drop(held);
    drop(first);
    assert!(poll(second.as_mut()).is_ready());
}

both! {
    async fn cancelled_waiters_of_a_semaphore_leave_no_trace() {
        let semaphore = Semaphore::new(2);
        for round in 0..100 {
            let tasks: Vec<_> = (0..6)
                .map(|_| {
                    let semaphore = semaphore.clone();
                    spawn(async move {
                        let _permit = semaphore.acquire().await;
                        yield_now().await;
                    })
                })
                .collect();
            if round % 2 == 0 {
                yield_now().await;
            }
            for victim in [round % 6, (round * 5 + 1) % 6] {
                tasks[victim].cancel();
            }
            gather(tasks).await;
        }
        assert_eq!(semaphore.available(), 2);
    }
}

both! {
    async fn a_lock_keeps_what_it_protects_for_one_at_a_time_over_awaits() {
        let lock = Lock::new(0);
        let tasks = (0..20).map(|_| {
            let lock = lock.clone();
            spawn(async move {
                let mut count = lock.lock().await;
                let seen = *count;
                yield_now().await;
                *count = seen + 1;
            })
        });
        gather(tasks).await;
        assert_eq!(*lock.lock().await, 20);
        assert!(!lock.is_locked());
    }
}

both! {
    async fn a_lock_is_given_in_the_order_of_coming() {
        let (lock, log) = (Lock::new(()), Log::new());
        let held = lock.lock().await;
        assert!(lock.is_locked());
        let tasks = in_line(["a", "b", "c"], |name| {
            let (lock, log) = (lock.clone(), log.clone());
            async move {
                let _held = lock.lock().await;
                log.say(name);
            }
        })
        .await;
        tasks[1].cancel();
        drop(held);
        gather(tasks).await;
        assert_eq!(log.lines(), ["a", "c"]);
    }
}

both! {
    async fn a_task_that_is_cancelled_or_panics_while_it_holds_a_lock_releases_it() {
        let lock = Lock::new(0);
        let holder = spawn({
            let lock = lock.clone();
            async move {
                let _held = lock.lock().await;
                sleep(3600 * SECOND).await;
            }
        });
        eventually("it is held", || lock.is_locked()).await;
        holder.cancel();
        assert_eq!(*lock.lock().await, 0);
        let panics = lock.clone();
        let failed = spawn(async move {
            *panics.lock().await = 1;
            let _held = panics.lock().await;
            panic!("it fails (this test wants that)")
        });
        assert!(failed.await.map(|(): ()| ()).is_err());
        assert_eq!(*lock.lock().await, 1, "and it is not poisoned");
    }
}

both! {
    async fn an_event_wakes_all_who_wait_also_if_it_is_cleared_at_once() {
        let (event, log) = (Event::new(), Log::new());
        let tasks = in_line(["a", "b", "c"], |name| {
            let (event, log) = (event.clone(), log.clone());
            async move {
                event.wait().await;
                log.say(name);
            }
        })
        .await;
        event.set();
        event.clear();
        gather(tasks).await;
        let mut lines = log.lines();
        lines.sort();
        assert_eq!(lines, ["a", "b", "c"]);
        assert!(!event.is_set());
        assert!(wait_for(event.wait(), SECOND).await.is_err(), "who comes later waits");
        event.set();
        event.wait().await;
        event.wait().await;
    }
}

#[unstuck::test(flavor = "single", paused)]
async fn an_event_wakes_in_the_order_of_coming() {
    let (event, log) = (Event::new(), Log::new());
    let mut tasks = in_line(["a", "b", "c"], |name| {
        let (event, log) = (event.clone(), log.clone());
        async move {
            event.wait().await;
            log.say(name);
        }
    })
    .await;
    tasks.remove(0).cancel();
    tasks.push(spawn({
        let (event, log) = (event.clone(), log.clone());
        async move {
            event.wait().await;
            log.say("d");
        }
    }));
    sleep(SECOND).await;
    event.set();
    gather(tasks).await;
    assert_eq!(log.lines(), ["b", "c", "d"], "nobody takes the place of one who left");
}

both! {
    async fn a_condition_wakes_as_many_as_it_is_told_the_longest_waiting_first() {
        let (lock, condition, log) = (Lock::new(()), Condition::new(), Log::new());
        condition.notify(7); // nobody waits: nothing is kept for later
        let tasks = in_line(["a", "b", "c"], |name| {
            let (lock, condition, log) = (lock.clone(), condition.clone(), log.clone());
            async move {
                let _held = condition.wait(lock.lock().await).await;
                log.say(name);
            }
        })
        .await;
        assert!(!lock.is_locked(), "who waits has given the lock away");
        condition.notify(1);
        sleep(SECOND).await;
        assert_eq!(log.lines(), ["a"]);
        condition.notify(1);
        sleep(SECOND).await;
        assert_eq!(log.lines(), ["a", "b"]);
        condition.notify_all();
        gather(tasks).await;
        assert_eq!(log.lines(), ["a", "b", "c"]);
    }
}

both! {
    async fn a_condition_waits_until_the_data_is_right() {
        let (lock, condition) = (Lock::new(0), Condition::new());
        let waiter = spawn({
            let (lock, condition) = (lock.clone(), condition.clone());
            async move { *condition.wait_for(lock.lock().await, |number| *number >= 3).await }
        });
        for number in 1..=3 {
            sleep(SECOND).await;
            assert!(!waiter.is_done());
            *lock.lock().await = number;
            condition.notify_all();
        }
        assert_eq!(waiter.await.unwrap(), 3);
    }
}

#[test]
fn a_notified_waiter_that_leaves_gives_its_turn_to_the_next() {
    let (lock, condition) = (Lock::new(()), Condition::new());
    let wait = || Box::pin(condition.wait(lock.try_lock().unwrap()));
    let mut first = wait();
    assert!(poll(first.as_mut()).is_pending());
    let mut second = wait();
    assert!(poll(second.as_mut()).is_pending());
    let mut third = wait();
    assert!(poll(third.as_mut()).is_pending());
    condition.notify(1); // chooses the first
    drop(first);
    assert!(poll(third.as_mut()).is_pending());
    assert!(poll(second.as_mut()).is_ready(), "it is the second's turn now");
    // Chosen, and on its way back to the lock.
    let held = lock.try_lock().unwrap();
    condition.notify(1);
    assert!(poll(third.as_mut()).is_pending());
    drop(third);
    drop(held);
    let mut fourth = wait();
    assert!(poll(fourth.as_mut()).is_pending(), "a turn that nobody could take is not kept");
}

both! {
    async fn a_barrier_lets_all_go_on_when_the_last_has_come_again_and_again() {
        let barrier = Barrier::new(3);
        for round in 1..=3_u32 {
            let tasks = in_line(["a", "b", "c"], |_| {
                let barrier = barrier.clone();
                async move {
                    let place = barrier.wait().await.unwrap();
                    (place, unstuck::time())
                }
            })
            .await;
            let mut places = Vec::new();
            for end in gather(tasks).await {
                let (place, at) = end.unwrap();
                assert_eq!(at, (3 * round - 1) * SECOND, "when the last one came");
                places.push(place);
            }
            assert_eq!(places, [0, 1, 2]);
        }
        assert_eq!((barrier.parties(), barrier.waiting()), (3, 0));
    }
}

both! {
    async fn one_who_leaves_a_barrier_is_not_counted_and_the_places_stay_different() {
        let barrier = Barrier::new(3);
        let mut tasks = in_line(["a", "b", "c"], |name| {
            let barrier = barrier.clone();
            async move {
                if name == "b" {
                    return wait_for(barrier.wait(), SECOND / 2).await.unwrap_or(Ok(77));
                }
                barrier.wait().await
            }
        })
        .await;
        assert_eq!(barrier.waiting(), 2, "a and c");
        assert!(tasks.iter().filter(|task| task.is_done()).count() == 1);
        let late = barrier.clone();
        tasks.push(spawn(async move { late.wait().await }));
        let mut places: Vec<_> = gather(tasks).await.into_iter().map(|end| end.unwrap().unwrap()).collect();
        places.sort_unstable();
        assert_eq!(places, [0, 1, 2, 77]);
    }
}

both! {
    async fn a_broken_barrier_sends_everybody_away_until_it_is_reset() {
        let barrier = Barrier::new(2);
        let waiter = || {
            let barrier = barrier.clone();
            spawn(async move { barrier.wait().await })
        };
        let one = waiter();
        eventually("it waits", || barrier.waiting() == 1).await;
        barrier.reset();
        assert_eq!(one.await.unwrap(), Err(BrokenBarrier));
        assert!(!barrier.is_broken());
        let two = waiter();
        eventually("it waits", || barrier.waiting() == 1).await;
        barrier.abort();
        assert_eq!(two.await.unwrap(), Err(BrokenBarrier));
        assert!(barrier.is_broken());
        assert_eq!(waiter().await.unwrap(), Err(BrokenBarrier));
        barrier.reset();
        let (one, two) = (waiter(), waiter());
        assert!(one.await.unwrap().is_ok() && two.await.unwrap().is_ok());
    }
}

#[test]
fn threads_wait_at_locks_semaphores_events_and_barriers_too() {
    let (lock, semaphore, event, barrier) = (Lock::new(0), Semaphore::new(1), Event::new(), Barrier::new(2));
    let counted = Arc::new(AtomicUsize::new(0));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            event.wait_blocking();
            for _ in 0..1000 {
                *lock.lock_blocking() += 1;
                let _permit = semaphore.acquire_blocking();
                counted.fetch_add(1, Ordering::SeqCst);
            }
            barrier.wait_blocking().unwrap();
        });
        unstuck::run(async {
            event.set();
            for _ in 0..1000 {
                *lock.lock().await += 1;
                let _permit = semaphore.acquire().await;
                counted.fetch_add(1, Ordering::SeqCst);
            }
            barrier.wait().await.unwrap();
        });
    });
    assert_eq!(*lock.try_lock().unwrap(), 2000);
    assert_eq!((counted.load(Ordering::SeqCst), semaphore.available()), (2000, 1));
}

#[test]
fn who_asks_whether_a_lock_is_held_does_not_take_it_for_a_moment() {
    let (lock, ends) = (Lock::new(()), Event::new());
    let asking = {
        let (lock, ends) = (lock.clone(), ends.clone());
        std::thread::spawn(move || {
            while !ends.is_set() {
                let _ = (lock.is_locked(), format!("{lock:?}"));
            }
        })
    };
    let taken = (0..20_000).filter(|_| lock.try_lock().is_some()).count();
    ends.set();
    asking.join().unwrap();
    assert_eq!(taken, 20_000);
    let held = lock.try_lock();
    assert!(lock.is_locked());
    drop(held);
    assert!(!lock.is_locked());
}
