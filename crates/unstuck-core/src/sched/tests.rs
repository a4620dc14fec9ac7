//! The scheduler from outside: tasks, wakes, steals, shutdown. (The sleep protocol has a model of its own.)
#![cfg(not(any(unstuck_loom, unstuck_shuttle)))]

mod fairness;

use std::cell::Cell;
use std::future::{pending, poll_fn};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::task::Poll;
use std::time::Duration;

use super::idle::Sleep;
use super::{Config, Scheduler};
use crate::Handle;
use crate::driver::ThreadDriver;
use crate::guard::{Replacement, Watched};

fn scheduler(workers: usize) -> Scheduler {
    started(&Config { workers, ..Config::default() })
}

fn started(config: &Config) -> Scheduler {
    let scheduler = Scheduler::new(config, Box::new(ThreadDriver::new()));
    scheduler.start().unwrap();
    scheduler
}

async fn yield_now() {
    let mut yielded = false;
    poll_fn(|cx| {
        if std::mem::replace(&mut yielded, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

#[test]
fn a_task_gives_its_value() {
    let scheduler = scheduler(2);
    let task = scheduler.handle().spawn(async { 42 });
    assert_eq!(scheduler.block_on(task).unwrap(), 42);
    assert!(scheduler.shutdown(None));
}

#[test]
fn ten_thousand_tasks_end_and_leave_the_registry() {
    let scheduler = scheduler(2);
    let handle = scheduler.handle();
    let sum: usize = scheduler.block_on(async {
        let tasks: Vec<_> = (0..10_000).map(|i| handle.spawn(async move { i })).collect();
        let mut sum = 0;
        for task in tasks {
            sum += task.await.unwrap();
        }
        sum
    });
    assert_eq!(sum, 9_999 * 10_000 / 2);
    assert!(scheduler.shutdown(None));
    assert_eq!(handle.task_count(), 0);
}

#[test]
fn tasks_that_spawn_tasks_all_run() {
    let scheduler = scheduler(4);
    let done = Arc::new(AtomicUsize::new(0));
    fn tree(depth: usize, done: Arc<AtomicUsize>) -> std::pin::Pin<Box<dyn Future<Output = ()> + Send>> {
        Box::pin(async move {
            if depth > 0 {
                let left = crate::spawn(tree(depth - 1, done.clone()));
                let right = crate::spawn(tree(depth - 1, done.clone()));
                yield_now().await;
                left.await.unwrap();
                right.await.unwrap();
            }
            done.fetch_add(1, Ordering::Relaxed);
        })
    }
    scheduler.block_on(scheduler.handle().spawn(tree(12, done.clone()))).unwrap();
    assert_eq!(done.load(Ordering::Relaxed), (1 << 13) - 1);
}

#[test]
fn a_panic_reaches_its_owner_and_no_worker_dies() {
    let scheduler = scheduler(1);
    let handle = scheduler.handle();
    let error = scheduler.block_on(handle.spawn(async { panic!("boom") })).map(|(): ()| ()).unwrap_err();
    assert!(error.is_panic());
    assert_eq!(error.panic_message(), Some("boom"));
    assert_eq!(scheduler.block_on(handle.spawn(async { 1 })).unwrap(), 1);
}

#[test]
fn a_cancelled_task_drops_its_future_and_says_so() {
    struct Says(mpsc::Sender<()>);
    impl Drop for Says {
        fn drop(&mut self) {
            self.0.send(()).unwrap();
        }
    }
    let scheduler = scheduler(2);
    let (dropped, was_dropped) = mpsc::channel();
    let says = Says(dropped);
    let task = scheduler.handle().spawn(async move {
        let _says = says;
        pending::<()>().await;
    });
    assert!(task.cancel());
    was_dropped.recv().unwrap();
    let error = scheduler.block_on(task).unwrap_err();
    assert!(error.is_cancelled());
}

#[test]
fn cancel_before_the_first_poll_never_runs_the_body() {
    let scheduler = scheduler(1);
    let handle = scheduler.handle();
    let (go, wait) = mpsc::channel::<()>();
    let blocker = handle.spawn(async move { wait.recv().unwrap() });
    let ran = Arc::new(AtomicUsize::new(0));
    let task = handle.spawn({
        let ran = ran.clone();
        async move { ran.fetch_add(1, Ordering::Relaxed) }
    });
    assert!(task.cancel());
    go.send(()).unwrap();
    assert!(scheduler.block_on(task).unwrap_err().is_cancelled());
    scheduler.block_on(blocker).unwrap();
    assert_eq!(ran.load(Ordering::Relaxed), 0);
}

#[test]
fn a_blocked_worker_does_not_keep_its_queue() {
    let scheduler = scheduler(2);
    let (go, wait) = mpsc::channel::<()>();
    let (children, sender) = mpsc::channel();
    let blocked = scheduler.handle().spawn(async move {
        // The first one lies in the slot: before this poll ends only the guard, or whoever happens to search for long
        // enough, could take it. Those behind it lie in the queue.
        let _in_slot = crate::spawn(async {});
        for i in 0..10 {
            children.send(crate::spawn(async move { i })).unwrap();
        }
        wait.recv().unwrap();
    });
    let tasks: Vec<_> = (0..10).map(|_| sender.recv().unwrap()).collect();
    for (i, task) in tasks.into_iter().enumerate() {
        assert_eq!(scheduler.block_on(task).unwrap(), i);
    }
    go.send(()).unwrap();
    scheduler.block_on(blocked).unwrap();
}

#[test]
fn work_after_shutdown_is_refused_with_an_error() {
    let scheduler = scheduler(1);
    let handle = scheduler.handle();
    assert!(scheduler.shutdown(None));
    let error = handle.block_on(handle.spawn(async { 1 })).unwrap_err();
    assert!(error.is_rejected(), "{error}");
    assert!(error.to_string().contains("has shut down"), "{error}");
}

#[test]
fn shutdown_drops_every_pending_task() {
    let scheduler = scheduler(2);
    let handle = scheduler.handle();
    let alive = Arc::new(());
    for _ in 0..1_000 {
        let alive = alive.clone();
        handle
            .spawn(async move {
                let _alive = alive;
                pending::<()>().await;
            })
            .detach();
    }
    assert!(scheduler.shutdown(None));
    assert_eq!(Arc::strong_count(&alive), 1);
    assert_eq!(handle.task_count(), 0);
}

#[test]
fn shutdown_gives_up_at_its_limit_and_the_task_ends_later() {
    let scheduler = scheduler(1);
    let (go, wait) = mpsc::channel::<()>();
    let (started, has_started) = mpsc::channel();
    let (ended, has_ended) = mpsc::channel();
    scheduler
        .handle()
        .spawn(async move {
            started.send(()).unwrap();
            wait.recv().unwrap();
            ended.send(()).unwrap();
        })
        .detach();
    has_started.recv().unwrap();
    assert!(!scheduler.shutdown(Some(Duration::from_millis(1))));
    go.send(()).unwrap();
    has_ended.recv().unwrap();
    assert!(scheduler.shutdown(None));
}

#[test]
fn a_scheduler_dropped_on_its_own_worker_closes_in_the_background() {
    let scheduler = Arc::new(scheduler(2));
    let handle = scheduler.handle();
    let (done, is_done) = mpsc::channel();
    let last = handle.spawn({
        let scheduler = scheduler.clone();
        async move {
            yield_now().await;
            drop(scheduler);
            done.send(()).unwrap();
        }
    });
    drop(scheduler);
    last.detach();
    // Either the task was cancelled first (the sender is dropped) or it dropped the scheduler itself.
    let _ = is_done.recv();
    while handle.task_count() > 0 {
        std::thread::yield_now();
    }
}

#[test]
fn wakers_outlive_the_scheduler_harmlessly() {
    let scheduler = scheduler(1);
    let (wakers, sender) = mpsc::channel();
    scheduler
        .handle()
        .spawn(poll_fn(move |cx| {
            wakers.send(cx.waker().clone()).unwrap();
            Poll::<()>::Pending
        }))
        .detach();
    let waker = sender.recv().unwrap();
    assert!(scheduler.shutdown(None));
    drop(scheduler);
    waker.wake_by_ref();
    waker.wake();
}

#[test]
fn sixty_four_threads_wake_one_task_and_each_wake_is_answered() {
    let scheduler = scheduler(2);
    for _ in 0..20 {
        let hits = Arc::new(AtomicUsize::new(0));
        let (wakers, sender) = mpsc::channel();
        let task = scheduler.handle().spawn({
            let hits = hits.clone();
            let mut sent = false;
            poll_fn(move |cx| {
                if !std::mem::replace(&mut sent, true) {
                    wakers.send(cx.waker().clone()).unwrap();
                }
                if hits.load(Ordering::Relaxed) == 64 { Poll::Ready(()) } else { Poll::Pending }
            })
        });
        let waker = sender.recv().unwrap();
        std::thread::scope(|scope| {
            for _ in 0..64 {
                scope.spawn(|| {
                    hits.fetch_add(1, Ordering::Relaxed);
                    waker.wake_by_ref();
                });
            }
        });
        scheduler.block_on(task).unwrap();
    }
}

#[test]
fn block_on_inside_a_task_says_what_to_do_instead() {
    let scheduler = scheduler(1);
    let handle = scheduler.handle();
    let inner = handle.clone();
    let error = scheduler
        .block_on(handle.spawn_named(Some("outer".into()), async move { inner.block_on(async { 1 }) }))
        .unwrap_err();
    let message = error.panic_message().unwrap();
    assert!(message.contains("task 'outer'") && message.contains("to_thread"), "{message}");
}

#[test]
fn several_schedulers_live_side_by_side() {
    let (one, two) = (scheduler(1), scheduler(2));
    let there = two.handle();
    let value = one.block_on(one.handle().spawn(async move {
        let here = Handle::current();
        assert!(!here.is_same(&there));
        there.spawn(async { 5 }).await.unwrap()
    }));
    assert_eq!(value.unwrap(), 5);
}

#[test]
fn a_thousand_schedulers_leave_no_thread_behind() {
    fn threads() -> usize {
        std::fs::read_dir("/proc/self/task").map_or(0, Iterator::count)
    }
    let handles: Vec<_> = (0..200)
        .map(|_| {
            let scheduler = scheduler(2);
            let handle = scheduler.handle();
            scheduler.block_on(handle.spawn(async {})).unwrap();
            assert!(scheduler.shutdown(None));
            handle
        })
        .collect();
    // Other tests of this binary run beside this one: only hundreds of left-over threads would show.
    assert!(threads() < 200, "{} threads", threads());
    assert!(handles.iter().all(|handle| handle.task_count() == 0));
}

#[test]
fn hooks_that_panic_stop_nothing() {
    let started = Arc::new(AtomicUsize::new(0));
    let config = Config {
        workers: 2,
        on_start: Some(Arc::new({
            let started = started.clone();
            move || {
                started.fetch_add(1, Ordering::Relaxed);
                panic!("start hook");
            }
        })),
        on_stop: Some(Arc::new(|| panic!("stop hook"))),
        ..Config::default()
    };
    let scheduler = super::tests::started(&config);
    assert_eq!(scheduler.block_on(scheduler.handle().spawn(async { 1 })).unwrap(), 1);
    assert!(scheduler.shutdown(None));
    assert_eq!(started.load(Ordering::Relaxed), 2);
}

#[test]
fn the_monitor_takes_what_lies_behind_a_stuck_poll_and_not_what_that_goes_on_spawning() {
    // No thread yet: the test plays the stuck worker and the monitor.
    let scheduler =
        Scheduler::new(&Config { workers: 1, ..Config::default() }, Box::new(ThreadDriver::new()));
    let shared = &scheduler.shared;
    let handle = scheduler.handle();
    let tasks: Vec<_> = (0..10).map(|i| handle.spawn(async move { i })).collect();
    let local = shared.remotes[0].local.lock().take().unwrap();
    let next = || shared.injector.steal().unwrap();
    (0..4).for_each(|_| local.push(next()));
    assert!(shared.remotes[0].pulse.slot.put(next()).is_none());
    let asked = Cell::new(0);
    let moved = shared.take_from(0, &|_| {
        asked.set(asked.get() + 1);
        assert!(asked.get() < 100, "the monitor is held here for as long as the poll lasts");
        local.push(next()); // the poll spawns
        false
    });
    assert_eq!((moved, local.len()), (5, 5), "the queue's four and the slot's");
    *shared.remotes[0].local.lock() = Some(local);
    scheduler.start().unwrap();
    for (i, task) in tasks.into_iter().enumerate() {
        assert_eq!(scheduler.block_on(task).unwrap(), i);
    }
    assert!(scheduler.shutdown(None));
}

#[test]
fn a_paused_clock_waits_for_a_task_in_a_slot_and_for_a_worker_that_has_just_got_up() {
    let scheduler =
        Scheduler::new(&Config { workers: 2, ..Config::default() }, Box::new(ThreadDriver::new()));
    let (shared, task) = (&scheduler.shared, scheduler.handle().spawn(async {}));
    let local = shared.remotes[0].local.lock().take().unwrap();
    let woken = shared.injector.steal_into(&local, 1).unwrap();
    let all_lie = [0, 1].map(|worker| shared.idle.sleep(worker, false, || false));
    assert_eq!(all_lie, [Sleep::Now { last: false }, Sleep::Now { last: true }]);
    assert!(shared.is_quiescent());
    let slot = &shared.remotes[0].pulse.slot;
    assert!(slot.put(woken).is_none()); // by the driver, in which worker 0 lies
    assert!(!shared.is_quiescent(), "it is still counted asleep, and has a task");
    assert!(!shared.idle.wake_up(0));
    let taken = slot.take().unwrap();
    assert!(!shared.is_quiescent(), "it is about to run what no queue shows any more");
    shared.injector.push(taken);
    assert!(!shared.idle.wake_up(1));
    *shared.remotes[0].local.lock() = Some(local);
    scheduler.start().unwrap();
    scheduler.block_on(task).unwrap();
    assert!(scheduler.shutdown(None));
}

#[test]
#[should_panic(expected = "at least one worker")]
fn no_workers_is_refused() {
    scheduler(0);
}

#[test]
fn the_guard_may_want_to_replace_a_worker_that_leaves_at_this_moment_because_all_is_over() {
    let scheduler = scheduler(2);
    assert!(scheduler.shutdown(None));
    // It had seen the worker at work when it was about to do this. Whoever sits down in its place leaves at once.
    let replaced = scheduler.shared.replace(1, 0);
    assert!(replaced == Replacement::AtWork);
    assert!(scheduler.shutdown(None));
}
