//! Odd programs: what nobody writes on purpose, and somebody's program does all the same.

use std::future::{Future, pending};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use unstuck::sync::{Barrier, Condition, Event, Lock, Queue, Semaphore};
use unstuck::{
    Canceller, Deferred, Handle, JoinError, Runner, Task, catch_cancel, finally, gather, shield, sleep,
    spawn, task, task_group, timeout, wait_for, yield_now,
};

use super::Log;
use crate::support::{OnDrop, eventually};

const SECOND: Duration = Duration::from_secs(1);

async fn settle() {
    sleep(SECOND).await; // on the paused clock: until all others wait
}

both! {
    async fn a_destructor_of_a_cancelled_future_may_spawn_and_cancel() {
        let (log, handle) = (Log::new(), Handle::current());
        let victim = spawn(pending::<()>());
        let (says, watch) = (log.clone(), victim.watch());
        let task = spawn(async move {
            let _spawns = OnDrop(move || {
                watch.cancel();
                says.say("dropped");
                let late = says.clone();
                drop(handle.spawn(async move { late.say("spawned by a destructor") }));
            });
            pending::<()>().await;
        });
        settle().await;
        task.cancel();
        assert!(task.await.unwrap_err().is_cancelled());
        assert!(victim.await.unwrap_err().is_cancelled());
        settle().await;
        assert_eq!(log.lines(), ["dropped", "spawned by a destructor"]);
    }
}

both! {
    async fn ten_thousand_are_gathered_and_cancelled_at_once() {
        let ended = Arc::new(AtomicUsize::new(0));
        let all = (0..10_000).map(|number| {
            let ended = ended.clone();
            spawn(finally(pending::<()>(), async move {
                sleep(Duration::from_millis(number % 10)).await;
                ended.fetch_add(1, Ordering::SeqCst);
            }))
        });
        let all: Vec<_> = all.collect();
        let waiter = spawn(async { gather(all).await });
        settle().await;
        waiter.cancel();
        assert!(waiter.await.unwrap_err().is_cancelled());
        assert_eq!(ended.load(Ordering::SeqCst), 10_000);
    }
}

/// A task that awaits a task that awaits a task …
fn chain(depth: usize, ended: Arc<AtomicUsize>) -> Pin<Box<dyn Future<Output = ()> + Send>> {
    Box::pin(async move {
        if depth == 0 {
            pending::<()>().await;
        }
        let inner = spawn(chain(depth - 1, ended.clone()));
        finally(async { drop(inner.await) }, async move {
            ended.fetch_add(1, Ordering::SeqCst);
        })
        .await;
    })
}

both! {
    async fn a_cancellation_goes_down_a_chain_of_a_thousand_tasks_and_comes_back() {
        let ended = Arc::new(AtomicUsize::new(0));
        let task = spawn(chain(1_000, ended.clone()));
        settle().await;
        task.cancel();
        assert!(task.await.unwrap_err().is_cancelled());
        assert_eq!(ended.load(Ordering::SeqCst), 1_000);
    }
}

both! {
    async fn whoever_waits_for_anything_can_be_cancelled_and_leaves_it_as_it_was() {
        let (lock, semaphore, event) = (Lock::new(()), Semaphore::new(1), Event::new());
        let (condition, barrier, queue) = (Condition::new(), Barrier::new(2), Queue::<u8>::bounded(1));
        let deferred = Deferred::<u8>::new();
        queue.put(1).await.unwrap();
        let (held, permit) = (lock.lock().await, semaphore.acquire().await);
        let empty = Queue::<u8>::new();
        let waiters: Vec<Task<()>> = vec![
            { let lock = lock.clone(); spawn(async move { drop(lock.lock().await) }) },
            { let semaphore = semaphore.clone(); spawn(async move { drop(semaphore.acquire().await) }) },
            { let event = event.clone(); spawn(async move { event.wait().await }) },
            { let queue = queue.clone(); spawn(async move { drop(queue.put(2).await) }) },
            { let empty = empty.clone(); spawn(async move { _ = empty.get().await }) },
            { let queue = queue.clone(); spawn(async move { queue.join().await }) },
            { let deferred = deferred.clone(); spawn(async move { drop(deferred.await) }) },
            { let barrier = barrier.clone(); spawn(async move { _ = barrier.wait().await }) },
        ];
        settle().await;
        assert!(waiters.iter().all(Task::cancel));
        for end in gather(waiters).await {
            assert!(end.unwrap_err().is_cancelled());
        }
        drop((held, permit));
        drop((lock.lock().await, semaphore.acquire().await));
        event.set();
        event.wait().await;
        assert_eq!(queue.get().await.unwrap(), 1);
        assert!(queue.is_empty() && queue.task_done().is_ok());
        queue.join().await;
        deferred.set_result(7).unwrap();
        assert_eq!(deferred.await.unwrap(), 7);
        let _ = condition;
        let other = { let barrier = barrier.clone(); spawn(async move { _ = barrier.wait().await }) };
        _ = timeout(SECOND, barrier.wait()).await.expect("the cancelled one does not count");
        other.await.unwrap();
    }
}

both! {
    async fn a_shutdown_reaches_putters_and_getters_that_wait_and_gives_items_back() {
        let full = Queue::bounded(1);
        full.put(0).await.unwrap();
        let putters: Vec<_> = (1..4)
            .map(|item| { let full = full.clone(); spawn(async move { full.put(item).await }) })
            .collect();
        let empty = Queue::<u8>::new();
        let getters: Vec<_> =
            (0..3).map(|_| { let empty = empty.clone(); spawn(async move { empty.get().await }) }).collect();
        settle().await;
        full.shutdown();
        empty.shutdown();
        for (item, end) in (1..).zip(gather(putters).await) {
            assert_eq!(end.unwrap().unwrap_err().into_inner(), item);
        }
        for end in gather(getters).await {
            assert!(end.unwrap().is_err());
        }
        assert_eq!(full.get().await.unwrap(), 0);
        assert!(full.get().await.is_err());
    }
}

both! {
    async fn a_group_in_the_cleanup_of_a_group_works_on_its_own() {
        let log = Log::new();
        let says = log.clone();
        let error = task_group(|outer| async move {
            outer.spawn(async { sleep(SECOND).await; Err::<(), _>("outer") });
            let says_too = says.clone();
            finally(pending::<()>(), async move {
                let inner = task_group(|group| async move {
                    let fails = group.spawn(async { sleep(SECOND).await; Err::<(), _>("inner") });
                    let _ = fails.await;
                    pending::<()>().await;
                    Ok(())
                })
                .await;
                says_too.say(format!("{:?}", inner.unwrap_err().errors().collect::<Vec<_>>()));
                let limited = timeout(SECOND, pending::<()>()).await;
                says_too.say(format!("{}", limited.is_err()));
            })
            .await;
            Ok(())
        })
        .await
        .unwrap_err();
        assert_eq!(error.errors().collect::<Vec<_>>(), [&"outer"]);
        assert_eq!(log.lines(), [r#"["inner"]"#, "true"]);
    }
}

both! {
    async fn of_a_hundred_nested_timeouts_the_outermost_answers() {
        fn nested(depth: usize) -> Pin<Box<dyn Future<Output = usize> + Send>> {
            Box::pin(async move {
                if depth == 0 {
                    drop(spawn(pending::<()>()).await);
                }
                match timeout(SECOND, nested(depth.max(1) - 1)).await {
                    Ok(inner) => inner,
                    Err(_) => depth,
                }
            })
        }
        assert_eq!(nested(100).await, 100);
    }
}

both! {
    async fn a_timeout_around_a_shield_around_a_timeout_each_end_their_own_wait() {
        let inside = spawn(async { timeout(3 * SECOND, pending::<()>()).await.is_err() });
        let mut inside = inside;
        assert!(wait_for(shield(&mut inside), SECOND).await.is_err());
        assert!(wait_for(shield(&mut inside), SECOND).await.is_err());
        assert!(wait_for(inside, 5 * SECOND).await.unwrap().unwrap());
        assert_eq!(unstuck::time(), 3 * SECOND);
    }
}

both! {
    async fn a_handle_that_is_moved_to_another_task_in_the_middle_of_an_await_is_taken_along_there() {
        let inner = spawn(pending::<()>());
        let watch = inner.watch();
        let mut inner = Box::pin(inner);
        let once = std::future::poll_fn(|cx| std::task::Poll::Ready(inner.as_mut().poll(cx).is_pending()));
        assert!(once.await);
        let other = spawn(inner);
        settle().await;
        other.cancel();
        assert!(other.await.unwrap_err().is_cancelled());
        assert!(watch.is_cancelled());
    }
}

both! {
    async fn whoever_swallows_a_thousand_cancellations_hears_each() {
        let heard = Arc::new(AtomicUsize::new(0));
        let counts = heard.clone();
        let task = spawn(async move {
            while counts.load(Ordering::SeqCst) < 1_000 {
                assert!(catch_cancel(pending::<()>()).await.is_err());
                counts.fetch_add(1, Ordering::SeqCst);
            }
            task::current().unwrap().cancelling()
        });
        for number in 0..1_000 {
            eventually("it waits", || heard.load(Ordering::SeqCst) == number).await;
            settle().await;
            assert!(task.cancel());
        }
        assert_eq!(task.await.unwrap(), 1_000);
    }
}

both! {
    async fn a_callback_may_set_cancel_and_add_callbacks_of_the_same_deferred() {
        let (deferred, log) = (Deferred::<u8>::new(), Log::new());
        let says = log.clone();
        deferred.add_done_callback(move |done| {
            says.say(format!("{:?} {}", done.set_result(2).is_err(), done.cancel()));
            let says = says.clone();
            done.add_done_callback(move |done| says.say(format!("{}", done.result().unwrap())));
        });
        deferred.set_result(1).unwrap();
        settle().await;
        assert_eq!(log.lines(), ["true false", "1"]);
    }
}

#[test]
fn a_main_future_that_is_cancelled_twice_has_its_cleanup_interrupted_once() {
    for mut runner in [Runner::single().unwrap(), Runner::new().unwrap()] {
        let (canceller, log) = (Canceller::new(), Log::new());
        let (asks, says) = (canceller.clone(), log.clone());
        let ended = runner.run_with(&canceller, async move {
            let again = asks.clone();
            let cleanup = async {
                again.cancel();
                says.say("cleanup");
                yield_now().await;
                says.say("never");
            };
            asks.cancel();
            finally(pending::<()>(), cleanup).await;
        });
        assert!(ended.unwrap_err().is_cancelled());
        assert_eq!(log.lines(), ["cleanup"]);
        // And the next run knows nothing of it.
        assert_eq!(runner.run(async { spawn(async { 1 }).await.unwrap() }).unwrap(), 1);
    }
}

#[test]
fn a_hundred_runs_one_after_the_other_end() {
    for number in 0..100 {
        assert_eq!(unstuck::run_single(async { spawn(async move { number }).await.unwrap() }), number);
        assert_eq!(unstuck::run(async { spawn(async move { number }).await.unwrap() }), number);
    }
}

both! {
    async fn an_eager_task_may_cancel_its_creator_and_finish_before_that_hears_of_it() {
        let task: Task<Result<u8, JoinError>> = spawn(async {
            let creator = task::current().unwrap();
            let eager = task::Builder::new().eager(true).spawn(async move {
                creator.cancel();
                5
            });
            assert!(eager.is_done());
            let value = eager.await; // at hand: no suspension
            yield_now().await;
            value
        });
        assert!(task.await.unwrap_err().is_cancelled());
    }
}

both! {
    async fn a_request_that_was_taken_back_leaves_no_reason_to_the_next_one() {
        let task = spawn(pending::<()>());
        settle().await;
        // In one turn, or on several workers the request may be delivered in between.
        let taken_back = task::Builder::new().eager(true).spawn(async {
            let me = task::current().unwrap();
            me.cancel_with("by mistake");
            assert_eq!(me.uncancel(), 0);
            pending::<()>().await;
        });
        settle().await;
        for task in [task, taken_back] {
            assert!(!task.is_done() && task.cancel());
            assert!(task.await.unwrap_err().reason().is_none());
        }
    }
}

both! {
    async fn a_waiter_stays_cancelled_if_the_task_it_awaits_deals_with_another_request_and_gives_a_value() {
        let log = Log::new();
        let says = log.clone();
        let inner = spawn(async move {
            let cancelled = catch_cancel(pending::<()>()).await;
            sleep(10 * SECOND).await; // not interrupted by the waiter's request
            drop(cancelled);
            42
        });
        let watch = inner.watch();
        let waiter = spawn(async move {
            says.say(format!("{}", inner.await.unwrap()));
            pending::<()>().await;
        });
        settle().await;
        assert!(watch.cancel());
        settle().await;
        assert!(waiter.cancel());
        assert!(timeout(20 * SECOND, waiter).await.expect("it is cancelled").unwrap_err().is_cancelled());
        assert_eq!(log.lines(), ["42"]);
        assert_eq!(unstuck::time(), 11 * SECOND);
    }
}
