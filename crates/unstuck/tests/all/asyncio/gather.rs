//! `gather`, `try_gather` and their macros.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use unstuck::{Task, gather, sleep, spawn, try_gather};

use super::{Log, counted_naps};
use crate::support::OnDrop;

const SECOND: Duration = Duration::from_secs(1);

fn after<T: Send + 'static>(delay: u32, value: T) -> Task<T> {
    spawn(sleep(delay * SECOND).with(value))
}

both! {
    async fn results_come_in_the_order_of_the_arguments_whoever_ends_first() {
        let values = gather([after(2, "a"), after(1, "b"), after(3, "c")]).await;
        assert_eq!(values.into_iter().map(Result::unwrap).collect::<Vec<_>>(), ["a", "b", "c"]);
        assert_eq!(unstuck::time(), 3 * SECOND, "as long as the longest");
        let (a, b, c) = gather!(after(2, 1), async { "two" }, sleep(SECOND).with(3.0)).await;
        assert_eq!((a.unwrap(), b, c), (1, "two", 3.0));
        assert_eq!(unstuck::time(), 5 * SECOND);
    }
}

both! {
    async fn gathering_nothing_gives_nothing_at_once() {
        assert_eq!(gather(Vec::<unstuck::Sleep>::new()).await, []);
        assert_eq!(try_gather(Vec::<std::future::Ready<Result<(), ()>>>::new()).await, Ok(vec![]));
    }
}

both! {
    async fn values_and_errors_stand_at_their_places() {
        let ends = gather([after(1, 1), spawn(async { panic!("E") }), after(2, 3)]).await;
        assert_eq!(*ends[0].as_ref().unwrap(), 1);
        assert_eq!(ends[1].as_ref().unwrap_err().panic_message(), Some("E"));
        assert_eq!(*ends[2].as_ref().unwrap(), 3);
    }
}

both! {
    async fn one_failure_ends_try_gather_at_once_and_the_tasks_go_on() {
        let count = Arc::new(AtomicUsize::new(0));
        let child = |delay: u32, fails: bool| {
            let count = count.clone();
            spawn(async move {
                sleep(delay * SECOND).await;
                count.fetch_add(1, Ordering::SeqCst);
                assert!(!fails, "child {delay}");
            })
        };
        let error = try_gather([child(3, false), child(1, true), child(2, true)]).await.unwrap_err();
        assert_eq!(error.panic_message(), Some("child 1"));
        assert_eq!(unstuck::time(), SECOND);
        sleep(3 * SECOND).await;
        assert_eq!(count.load(Ordering::SeqCst), 3, "they all went on");

        let error = try_gather!(child(2, false), child(1, true)).await.unwrap_err();
        assert_eq!(error.panic_message(), Some("child 1"));
        let both = try_gather!(after(1, 20), after(2, 22)).await.unwrap();
        assert_eq!(both.0 + both.1, 42);
    }
}

both! {
    /// asyncio's gather has looked at every exception. An `Err` is as silent here; a panic is a bug that nobody else sees.
    async fn a_second_failure_is_silent_if_it_is_an_error_and_told_if_it_is_a_panic() {
        let log = Log::new();
        let hears = log.clone();
        unstuck::Handle::current().set_exception_handler(move |failure| hears.say(failure.message().unwrap()));
        let errors = [1, 2].map(|delay| {
            let task = spawn(async move {
                sleep(delay * SECOND).await;
                Err::<(), _>(delay)
            });
            async { task.await.unwrap() }
        });
        assert_eq!(try_gather(errors).await, Err(1));
        sleep(5 * SECOND).await;
        assert_eq!(log.lines(), [""; 0]);
        let panics = [1, 2].map(|delay| {
            spawn(async move {
                sleep(delay * SECOND).await;
                panic!("child {delay}")
            })
        });
        let error = try_gather(panics).await.map(|_: Vec<()>| ()).unwrap_err();
        assert_eq!(error.panic_message(), Some("child 1"));
        sleep(5 * SECOND).await;
        assert_eq!(log.lines(), ["child 2"]);
    }
}

both! {
    async fn one_awaitable_given_to_several_is_run_once() {
        let runs = Arc::new(AtomicUsize::new(0));
        let deferred = unstuck::Deferred::new();
        let (counted, sets) = (runs.clone(), deferred.clone());
        spawn(async move {
            counted.fetch_add(1, Ordering::SeqCst);
            sleep(SECOND).await;
            sets.set_result(42).unwrap();
        })
        .detach();
        let twice = gather([deferred.clone(), deferred]).await;
        assert_eq!(twice.into_iter().map(Result::unwrap).collect::<Vec<_>>(), [42, 42]);
        assert_eq!(runs.load(Ordering::SeqCst), 1);
    }
}

both! {
    async fn cancelling_the_waiter_drops_the_futures_it_gathers() {
        let dropped = Arc::new(AtomicUsize::new(0));
        let drops = dropped.clone();
        let waiter = spawn(async move {
            gather((0..5).map(|_| {
                let drops = drops.clone();
                async move {
                    let _says = OnDrop(|| {
                        drops.fetch_add(1, Ordering::SeqCst);
                    });
                    sleep(10 * SECOND).await;
                }
            }))
            .await
        });
        sleep(SECOND).await;
        waiter.cancel();
        assert!(waiter.await.unwrap_err().is_cancelled());
        assert_eq!(dropped.load(Ordering::SeqCst), 5);
    }
}

both! {
    async fn a_timed_out_gather_cancels_the_tasks_that_it_was_given_and_awaits_their_end() {
        let tasks: Vec<_> = (1..=3).map(|delay| after(10 * delay, delay)).collect();
        let watches: Vec<_> = tasks.iter().map(Task::watch).collect();
        assert!(unstuck::wait_for(gather(tasks), SECOND).await.is_err());
        assert!(watches.iter().all(unstuck::TaskRef::is_done));
    }
}

both! {
    async fn hundreds_are_gathered_and_only_the_woken_are_polled() {
        let (polls, naps) = counted_naps(200);
        gather(naps).await;
        assert!(polls.load(Ordering::SeqCst) <= 3 * 200, "{} polls", polls.load(Ordering::SeqCst));
    }
}

#[unstuck::test(flavor = "single", paused)]
async fn gathered_futures_take_turns_in_the_order_of_the_arguments() {
    let log = Log::new();
    let speak = |name: &'static str| {
        let log = log.clone();
        async move {
            for turn in 1..=2 {
                log.say(format!("{name}{turn}"));
                unstuck::yield_now().await;
            }
        }
    };
    gather!(speak("a"), speak("b"), speak("c")).await;
    assert_eq!(log.lines(), ["a1", "b1", "c1", "a2", "b2", "c2"]);
}
