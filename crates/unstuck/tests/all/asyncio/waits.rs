//! `wait` and `as_completed`.

use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::{Stream, StreamExt};
use unstuck::{
    ALL_COMPLETED, Deferred, FIRST_COMPLETED, FIRST_EXCEPTION, JoinError, Task, as_completed, sleep, spawn,
    wait, wait_for,
};

use super::counted_naps;
use crate::support::eventually;

const SECOND: Duration = Duration::from_secs(1);

fn after<T: Send + 'static>(delay: u32, value: T) -> Task<T> {
    spawn(sleep(delay * SECOND).with(value))
}

fn fails_after(delay: u32) -> Task<u32> {
    spawn(async move {
        sleep(delay * SECOND).await;
        panic!("E{delay}")
    })
}

/// The places of those that are done, and how many are not.
fn places<T, A>((done, pending): (Vec<unstuck::Done<T>>, Vec<A>)) -> (Vec<usize>, usize) {
    (done.iter().map(|done| done.index).collect(), pending.len())
}

both! {
    async fn first_completed_gives_the_first_and_gives_the_others_back() {
        let (done, pending) = wait([after(2, 20), after(1, 10), after(3, 30)], FIRST_COMPLETED).await.unwrap();
        assert_eq!(unstuck::time(), SECOND);
        assert_eq!((done.len(), done[0].index, *done[0].output.as_ref().unwrap()), (1, 1, 10));
        let (done, pending) = wait(pending, FIRST_COMPLETED).await.unwrap();
        assert_eq!((unstuck::time(), *done[0].output.as_ref().unwrap()), (2 * SECOND, 20));
        let (done, pending) = wait(pending, FIRST_COMPLETED).await.unwrap();
        assert_eq!((unstuck::time(), *done[0].output.as_ref().unwrap()), (3 * SECOND, 30));
        assert!(pending.is_empty());
    }
}

both! {
    async fn those_that_are_done_already_come_at_once_and_all_of_them() {
        let tasks = [after(0, 1), after(3600, 2), after(0, 3)];
        eventually("two are done", || tasks[0].is_done() && tasks[2].is_done()).await;
        let waited = places(wait(tasks, FIRST_COMPLETED).await.unwrap());
        assert_eq!(waited, (vec![0, 2], 1));
    }
}

both! {
    async fn first_exception_waits_for_a_failure_and_not_for_a_value_or_a_cancellation() {
        let cancelled = after(3600, 0);
        cancelled.cancel();
        let tasks = [after(1, 1), cancelled, fails_after(2), after(3, 3)];
        let (done, pending) = wait(tasks, FIRST_EXCEPTION).await.unwrap();
        assert_eq!(unstuck::time(), 2 * SECOND);
        assert_eq!((done.len(), pending.len()), (3, 1));
        assert_eq!(done[2].output.as_ref().unwrap_err().panic_message(), Some("E2"));
        let (done, pending) = wait([after(1, 1), after(2, 2)], FIRST_EXCEPTION).await.unwrap();
        assert!(done.len() == 2 && pending.is_empty(), "without a failure it waits for all");
    }
}

both! {
    async fn a_closure_may_say_what_is_enough() {
        let tasks = [after(1, Ok(1)), after(2, Err("own error")), after(3, Ok(3))];
        let own = |end: &Result<Result<u32, &str>, JoinError>| matches!(end, Ok(Err(_)));
        assert_eq!(places(wait(tasks, own).await.unwrap()), (vec![0, 1], 1));
        assert_eq!(unstuck::time(), 2 * SECOND);
    }
}

both! {
    async fn all_completed_waits_for_all() {
        let (done, pending) = wait([after(2, 2), fails_after(1), after(3, 3)], ALL_COMPLETED).await.unwrap();
        assert_eq!((unstuck::time(), pending.len()), (3 * SECOND, 0));
        assert_eq!(done.iter().map(|done| done.index).collect::<Vec<_>>(), [1, 0, 2], "in the order of their ends");
        assert_eq!(done[0].output.as_ref().unwrap_err().panic_message(), Some("E1"));
    }
}

both! {
    async fn a_timeout_is_no_error_and_cancels_nothing() {
        let tasks = [after(1, 1), after(3, 3), after(2, 2)];
        let (done, pending) = wait(tasks, ALL_COMPLETED).timeout(SECOND * 3 / 2).await.unwrap();
        assert_eq!(unstuck::time(), SECOND * 3 / 2);
        assert_eq!((done.len(), done[0].index, pending.len()), (1, 0, 2));
        assert!(pending.iter().all(|task| !task.is_done()));
        for (task, value) in pending.into_iter().zip([3, 2]) {
            assert_eq!(task.await.unwrap(), value);
        }
        let waited = places(wait([after(1, 1)], FIRST_COMPLETED).timeout(Duration::ZERO).await.unwrap());
        assert_eq!(waited, (vec![], 1));
    }
}

both! {
    async fn waiting_for_nothing_is_an_error() {
        let error = wait(Vec::<Task<()>>::new(), ALL_COMPLETED).await.unwrap_err();
        assert!(error.to_string().contains("nothing to wait for"));
        assert!(wait(Vec::<Task<()>>::new(), FIRST_COMPLETED).timeout(SECOND).await.is_err());
    }
}

both! {
    async fn tasks_given_by_reference_stay_with_whoever_waits_and_go_on_when_the_wait_is_cancelled() {
        let mut tasks = [after(1, 1), after(2, 2), after(3, 3)];
        let waited = places(wait(tasks.iter_mut().skip(1), FIRST_COMPLETED).await.unwrap());
        assert_eq!(waited, (vec![0], 1));
        assert!(wait_for(wait(tasks[2..].iter_mut(), ALL_COMPLETED), SECOND / 2).await.is_err());
        let [one, _, three] = tasks;
        assert_eq!((one.await.unwrap(), three.await.unwrap()), (1, 3));
    }
}

both! {
    async fn it_waits_for_other_things_than_tasks_too() {
        let (never, soon) = (Deferred::<u32>::new(), Deferred::new());
        let waits = wait([never.clone(), soon.clone()], FIRST_EXCEPTION);
        soon.set_error("no such thing").unwrap();
        let (done, pending) = waits.await.unwrap();
        assert_eq!((done[0].index, pending[0] == never), (1, true));
        assert_eq!(places(wait([sleep(2 * SECOND), sleep(SECOND)], FIRST_COMPLETED).await.unwrap()), (vec![1], 1));
    }
}

both! {
    async fn results_come_in_the_order_of_their_ends() {
        let mut results = as_completed([after(3, "c"), after(1, "a"), after(2, "b")]);
        let mut order = Vec::new();
        while let Some(result) = results.next().await {
            order.push((unstuck::time().as_secs(), result.unwrap()));
        }
        assert_eq!(order, [(1, "a"), (2, "b"), (3, "c")]);
        assert!(results.is_empty() && results.next().await.is_none());
        assert!(as_completed(Vec::<Task<()>>::new()).next().await.is_none());
    }
}

both! {
    async fn failures_come_in_their_turn() {
        let mut results = as_completed([after(2, 2), fails_after(1)]);
        assert_eq!(results.next().await.unwrap().unwrap_err().panic_message(), Some("E1"));
        assert_eq!(results.next().await.unwrap().unwrap(), 2);
    }
}

both! {
    async fn an_overall_timeout_comes_once_and_the_tasks_go_on() {
        let mut tasks = [after(1, 1), after(5, 5), after(6, 6)];
        let mut results = as_completed(tasks.iter_mut()).timeout(3 * SECOND);
        assert_eq!(results.next().await.unwrap().unwrap().unwrap(), 1);
        assert!(results.next().await.unwrap().is_err());
        assert_eq!(unstuck::time(), 3 * SECOND);
        assert!(results.next().await.is_none());
        assert_eq!(results.len(), 2);
        let mut values = Vec::new();
        for task in results.into_pending() {
            values.push(task.await.unwrap());
        }
        values.sort_unstable();
        assert_eq!(values, [5, 6]);
    }
}

both! {
    async fn what_has_come_in_time_counts_also_if_one_looks_late() {
        let mut results = as_completed([after(1, 1)]).timeout(2 * SECOND);
        sleep(3 * SECOND).await;
        assert_eq!(results.next().await.unwrap().unwrap().unwrap(), 1);
        assert!(results.next().await.is_none());
    }
}

both! {
    async fn duplicates_are_found_and_come_once() {
        let (one, two) = (Deferred::new(), Deferred::new());
        let mut given = vec![one.clone(), one.clone(), two.clone(), two.clone()];
        given.dedup(); // clones are equal; a task's handle cannot be given twice in the first place
        one.set_result(1).unwrap();
        two.set_result(2).unwrap();
        let results = as_completed(given).map(Result::unwrap).collect::<Vec<_>>().await;
        assert_eq!(results, [1, 2]);
    }
}

both! {
    async fn a_dropped_next_loses_nothing() {
        let mut tasks = [after(2, 2), after(1, 1)];
        let mut results = as_completed(tasks.iter_mut());
        assert!(wait_for(results.next(), SECOND / 2).await.is_err());
        assert_eq!(results.next().await.unwrap().unwrap(), 1);
        assert!(wait_for(results.next(), SECOND / 2).await.is_err());
        assert_eq!(results.next().await.unwrap().unwrap(), 2);
    }
}

both! {
    async fn it_is_a_stream_of_futures_that_borrow() {
        let ran = AtomicUsize::new(0);
        let naps = [3, 1, 2].map(|number| {
            let ran = &ran;
            async move {
                sleep(number * SECOND).await;
                ran.fetch_add(1, Ordering::SeqCst);
                number
            }
        });
        let results = as_completed(naps);
        assert_eq!(results.size_hint(), (3, Some(3)));
        let first = results.take(2).collect::<Vec<_>>().await;
        assert_eq!((first, ran.load(Ordering::SeqCst)), (vec![1, 2], 2));
        let mut within = pin!(as_completed([after(1, 1)]).timeout(2 * SECOND));
        assert_eq!(StreamExt::next(&mut within).await.unwrap().unwrap().unwrap(), 1);
    }
}

both! {
    async fn of_hundreds_only_the_woken_are_polled() {
        let (polls, naps) = counted_naps(300);
        let (done, _) = wait(naps, ALL_COMPLETED).await.unwrap();
        assert_eq!(done.len(), 300);
        assert!(polls.load(Ordering::SeqCst) <= 3 * 300, "{} polls", polls.load(Ordering::SeqCst));
    }
}
