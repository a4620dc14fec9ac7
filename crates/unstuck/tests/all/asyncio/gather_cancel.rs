//! Cancelling whoever awaits a `gather`.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use unstuck::{Deferred, Task, TaskRef, gather, sleep, spawn, try_gather, yield_now};

use crate::support::{OnDrop, counts};

const SECOND: Duration = Duration::from_secs(1);

fn after<T: Send + 'static>(delay: u32, value: T) -> Task<T> {
    spawn(sleep(delay * SECOND).with(value))
}

/// Cancels `waiter` after five seconds: it is cancelled, the first child has finished and the others have ended cancelled.
async fn is_cancelled_with_its_children<T>(waiter: Task<T>, children: [TaskRef; 3]) {
    sleep(5 * SECOND).await;
    assert!(waiter.cancel());
    assert!(waiter.await.is_err_and(|error| error.is_cancelled()), "errors in their places swallow nothing");
    assert!(children.iter().all(TaskRef::is_done), "it has waited for their ends");
    assert_eq!(children.map(|child| child.is_cancelled()), [false, true, true]);
}

both! {
    async fn the_unfinished_children_given_by_value_are_cancelled_and_awaited() {
        let tasks = || [after(1, 1), after(10, 2), after(20, 3)];
        let watches = |tasks: &[Task<u32>; 3]| [0, 1, 2].map(|place| tasks[place].watch());

        let given = tasks();
        let children = watches(&given);
        is_cancelled_with_its_children(spawn(async move { gather(given).await }), children).await;

        let given = tasks();
        let children = watches(&given);
        is_cancelled_with_its_children(spawn(async move { try_gather(given).await }), children).await;

        let given = tasks();
        let children = watches(&given);
        let [one, two, three] = given;
        is_cancelled_with_its_children(spawn(async move { gather!(one, two, three).await }), children).await;
    }
}

both! {
    async fn children_given_by_reference_go_on() {
        let watch = after(10, ());
        let child = watch.watch();
        let waiter = spawn(async move {
            let mut kept = watch;
            gather([&mut kept]).await;
        });
        sleep(SECOND).await;
        waiter.cancel();
        assert!(waiter.await.unwrap_err().is_cancelled());
        assert!(!child.is_done());
        sleep(20 * SECOND).await;
        assert!(child.is_done() && !child.is_cancelled());
    }
}

both! {
    async fn of_hundreds_each_is_cancelled_and_cleans_up_once() {
        let cleaned = Arc::new(AtomicUsize::new(0));
        let children: Vec<_> = (0..300)
            .map(|_| {
                let cleans = OnDrop(counts(&cleaned));
                spawn(async move {
                    let _cleans = cleans;
                    sleep(3600 * SECOND).await;
                })
            })
            .collect();
        let watches: Vec<_> = children.iter().map(Task::watch).collect();
        let waiter = spawn(async move { gather(children).await });
        sleep(SECOND).await;
        waiter.cancel();
        assert!(waiter.await.unwrap_err().is_cancelled());
        assert!(watches.iter().all(TaskRef::is_cancelled));
        assert_eq!(cleaned.load(Ordering::SeqCst), 300);
    }
}

#[unstuck::test(flavor = "single", paused)]
async fn a_cancel_that_comes_when_all_children_are_done_loses_no_result() {
    let go = Deferred::new();
    let children = [1, 2].map(|value| {
        let go = go.clone();
        spawn(async move {
            go.await.unwrap();
            value
        })
    });
    let watches = [0, 1].map(|child| children[child].watch());
    let waiter = spawn(async move { gather(children).await });
    sleep(SECOND).await;
    go.set_result(()).unwrap();
    yield_now().await;
    assert!(
        watches.iter().all(TaskRef::is_done) && !waiter.is_done(),
        "the children are done, the waiter's turn is next"
    );
    waiter.cancel();
    let values: Vec<_> = waiter.await.unwrap().into_iter().map(Result::unwrap).collect();
    assert_eq!(values, [1, 2]);
}

both! {
    async fn a_gather_that_has_ended_cannot_be_cancelled() {
        let waiter = spawn(gather([after(1, 1)]));
        sleep(2 * SECOND).await;
        assert!(waiter.is_done() && !waiter.cancel());
        assert_eq!(*waiter.await.unwrap()[0].as_ref().unwrap(), 1);
    }
}
