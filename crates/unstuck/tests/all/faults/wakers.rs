#![allow(unsafe_code)] // A waker whose clone panics cannot be made by safe code; the runtime must survive it.
//! Wakers that come late, come in crowds, or panic.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, RawWakerVTable, Wake, Waker};
use std::time::Duration;

use unstuck::{Deferred, Runtime, sleep, spawn};

use crate::support::{OnDrop, alone, until};

/// Leaves its waker behind and waits for ever.
fn leave_waker(place: Arc<Mutex<Option<Waker>>>) -> impl Future<Output = ()> + Send {
    poll_fn(move |cx| {
        *place.lock().unwrap() = Some(cx.waker().clone());
        Poll::Pending
    })
}

#[test]
fn a_wake_after_completion_does_nothing() {
    unstuck::run(async {
        let (place, polls) = (Arc::new(Mutex::new(None)), Arc::new(AtomicUsize::new(0)));
        let (left, counted) = (place.clone(), polls.clone());
        let task = spawn(poll_fn(move |cx| {
            *left.lock().unwrap() = Some(cx.waker().clone());
            counted.fetch_add(1, Ordering::SeqCst);
            Poll::Ready(42)
        }));
        assert_eq!(task.await.unwrap(), 42);
        let waker: Waker = place.lock().unwrap().take().unwrap();
        waker.wake_by_ref();
        waker.wake();
        spawn(async {}).await.unwrap();
        assert_eq!(polls.load(Ordering::SeqCst), 1);
    });
}

#[test]
fn a_wake_after_the_runtime_has_gone_does_nothing() {
    for single in [false, true] {
        let place = Arc::new(Mutex::new(None));
        let dropped = Arc::new(AtomicBool::new(false));
        let (left, seen) = (place.clone(), dropped.clone());
        let waits = leave_waker(left.clone());
        let future = async move {
            let _says = OnDrop(move || seen.store(true, Ordering::SeqCst));
            waits.await;
        };
        let main = async move {
            let task = spawn(future);
            crate::support::eventually("the task waits", || left.lock().unwrap().is_some()).await;
            task.detach();
        };
        if single {
            unstuck::run_single(main);
        } else {
            unstuck::run(main);
        }
        assert!(dropped.load(Ordering::SeqCst), "the future went with its runtime");
        let waker: Waker = place.lock().unwrap().take().unwrap();
        let second = waker.clone();
        waker.wake_by_ref();
        std::thread::spawn(move || second.wake()).join().unwrap();
        drop(waker); // the last one: the task's memory goes with it
    }
}

/// 10,000 finished tasks of 4 KiB, each kept by a waker: the memory must go when the wakers do.
#[test]
fn the_last_waker_frees_the_memory_of_its_task() {
    alone(|| {
        let round = || {
            let runtime = Runtime::builder().worker_threads(1).build().unwrap();
            let wakers = Arc::new(Mutex::new(Vec::new()));
            for _ in 0..2_000 {
                let (left, ballast) = (wakers.clone(), [1_u8; 4096]);
                drop(runtime.spawn(async move {
                    let waker = poll_fn(|cx| Poll::Ready(cx.waker().clone())).await;
                    left.lock().unwrap().push(waker);
                    unstuck::yield_now().await;
                    std::hint::black_box(&ballast);
                }));
            }
            until("all have ended", || runtime.statistics().tasks.tasks == 0);
            drop(runtime);
            wakers.lock().unwrap().drain(..).for_each(Waker::wake);
        };
        round();
        // A leak would be 10 × 2,000 × 4 KiB = 80 MiB.
        crate::support::leaves_little_memory(30 * 1024, || (0..10).for_each(|_| round()));
    });
}

#[test]
fn sixty_four_threads_that_wake_one_task_cause_a_poll_after_the_last_wake_and_never_two_at_once() {
    const THREADS: usize = 64;
    const WAKES: usize = 200;
    let runtime = Runtime::builder().worker_threads(2).build().unwrap();
    let wakes = Arc::new(AtomicUsize::new(0));
    let place = Arc::new(Mutex::new(None));
    let polling = AtomicBool::new(false);
    let (seen, left) = (wakes.clone(), place.clone());
    let task = runtime.spawn(poll_fn(move |cx| {
        assert!(!polling.swap(true, Ordering::SeqCst), "two polls at once");
        left.lock().unwrap().get_or_insert_with(|| cx.waker().clone());
        let done = seen.load(Ordering::SeqCst) == THREADS * WAKES;
        polling.store(false, Ordering::SeqCst);
        if done { Poll::Ready(()) } else { Poll::Pending }
    }));
    until("the task has been polled", || place.lock().unwrap().is_some());
    let waker: Waker = place.lock().unwrap().clone().unwrap();
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                for _ in 0..WAKES {
                    wakes.fetch_add(1, Ordering::SeqCst);
                    waker.wake_by_ref();
                }
            });
        }
    });
    // The last wake came after the last count, so the poll that answers it sees the full number.
    runtime.block_on(task).unwrap();
}

#[test]
fn a_destructor_may_wake_another_task_during_shutdown() {
    let runtime = Runtime::builder().worker_threads(2).build().unwrap();
    let wakers: Arc<Mutex<Vec<Waker>>> = Arc::default();
    for _ in 0..50 {
        let (left, woken) = (wakers.clone(), wakers.clone());
        drop(runtime.spawn(async move {
            let _wakes_all = OnDrop(move || {
                let all: Vec<Waker> = woken.lock().unwrap().clone();
                all.iter().for_each(Waker::wake_by_ref);
            });
            poll_fn(|cx| {
                left.lock().unwrap().push(cx.waker().clone());
                Poll::<()>::Pending
            })
            .await;
        }));
    }
    until("all tasks wait", || wakers.lock().unwrap().len() >= 50);
    drop(runtime);
    assert!(wakers.lock().unwrap().len() >= 50);
    wakers.lock().unwrap().clear();
}

/// Panics in whatever it is asked to do.
struct Explosive {
    wake: bool,
    drop: AtomicBool,
}

impl Wake for Explosive {
    fn wake(self: Arc<Self>) {
        assert!(!self.wake, "the wake went off");
    }
}

impl Drop for Explosive {
    fn drop(&mut self) {
        assert!(!self.drop.swap(false, Ordering::SeqCst), "the waker's drop went off");
    }
}

fn explosive(wake: bool, drop: bool) -> Waker {
    Waker::from(Arc::new(Explosive { wake, drop: AtomicBool::new(drop) }))
}

fn refuses_to_be_cloned() -> Waker {
    static VTABLE: RawWakerVTable =
        RawWakerVTable::new(|_| panic!("the waker's clone went off"), |_| {}, |_| {}, |_| {});
    // SAFETY: the functions neither use the pointer nor break a waker's contract: a clone that panics makes no waker.
    unsafe { Waker::new(std::ptr::null(), &VTABLE) }
}

/// Everything that can be awaited and keeps a waker, polled with `waker`: the panic may come out, but nothing is left
/// locked, and the next one to await it gets its value.
fn everything_survives(waker: &dyn Fn() -> Waker) {
    fn poll<F: Future>(future: Pin<&mut F>, waker: &dyn Fn() -> Waker) {
        let poll = || _ = future.poll(&mut Context::from_waker(&waker()));
        let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(poll));
    }
    let runtime = Runtime::builder().worker_threads(1).build().unwrap();
    let _entered = runtime.enter();

    let gate = crate::support::Gate::new();
    let (first, second) = (gate.clone(), gate.clone());
    let mut task = runtime.spawn(async move { first.pass() });
    let mut job = unstuck::to_thread(move || second.pass());
    let deferred = Deferred::new();
    let mut waiter = deferred.clone();
    let mut nap = pin!(sleep(Duration::from_millis(5)));

    poll(Pin::new(&mut &mut task), waker);
    poll(Pin::new(&mut job), waker);
    poll(Pin::new(&mut waiter), waker);
    poll(nap.as_mut(), waker);
    let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| deferred.set_result(42)));
    gate.open();
    in_spite_of_it(&runtime, &mut &mut task).unwrap();
    in_spite_of_it(&runtime, &mut job).unwrap();
    assert_eq!(in_spite_of_it(&runtime, &mut waiter).unwrap(), 42);
    in_spite_of_it(&runtime, &mut nap);
    runtime.block_on(async {
        assert_eq!(deferred.await.unwrap(), 42);
        assert_eq!(spawn(async { "alive" }).await.unwrap(), "alive");
        assert_eq!(unstuck::to_thread(|| "alive").await.unwrap(), "alive");
        sleep(Duration::from_millis(1)).await;
    });
}

/// The value of `future`. It may still hold a waker that panics when it is replaced by ours: at most once.
fn in_spite_of_it<F: Future + Unpin>(runtime: &Runtime, future: &mut F) -> F::Output {
    let first = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| runtime.block_on(&mut *future)));
    first.unwrap_or_else(|_| runtime.block_on(future))
}

#[test]
fn a_waker_that_panics_does_not_keep_the_others_asleep() {
    let runtime = Runtime::builder().worker_threads(1).build().unwrap();
    let deferred = Deferred::new();
    let mut first = deferred.clone();
    let waker = explosive(true, false);
    assert!(Pin::new(&mut first).poll(&mut Context::from_waker(&waker)).is_pending());
    let (polled, others) = (Arc::new(AtomicUsize::new(0)), deferred.clone());
    let counts = polled.clone();
    let task = runtime.spawn(async move {
        let mut value = others;
        poll_fn(|cx| {
            let poll = Pin::new(&mut value).poll(cx);
            counts.fetch_add(1, Ordering::SeqCst);
            poll
        })
        .await
    });
    until("the task waits, behind the waker that panics", || polled.load(Ordering::SeqCst) == 1);
    deferred.set_result(42).unwrap();
    assert_eq!(runtime.block_on(task).unwrap().unwrap(), 42);
}

#[test]
fn a_waker_whose_clone_panics_leaves_nothing_locked() {
    everything_survives(&refuses_to_be_cloned);
}

#[test]
fn a_waker_whose_wake_panics_leaves_nothing_locked() {
    everything_survives(&|| explosive(true, false));
}

#[test]
fn a_waker_whose_drop_panics_leaves_nothing_locked() {
    everything_survives(&|| explosive(false, true));
}
