//! Deadlines at the ends of time, processes that are stopped, timers by the million.

use std::pin::Pin;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::task::{Context, Waker};
use std::time::Duration;

use unstuck::{Instant, Runtime, Task, sleep, sleep_until, spawn, timeout, wait_for};

use crate::support::{alone, leaves_little_memory};

#[test]
fn a_sleep_of_the_longest_duration_waits_for_ever_and_a_timeout_of_it_passes() {
    unstuck::run(async {
        let nap = spawn(sleep(Duration::MAX));
        assert_eq!(timeout(Duration::MAX, async { 1 }).await, Ok(1));
        assert_eq!(wait_for(async { 2 }, Duration::MAX).await, Ok(2));
        let slowly = async {
            sleep(Duration::from_millis(2)).await;
            3
        };
        assert_eq!(wait_for(slowly, Duration::MAX).await, Ok(3));
        assert!(!nap.is_done());
        unstuck::Handle::current().call_later(Duration::MAX, || unreachable!("for ever"));
    });
}

#[unstuck::test(flavor = "single", paused)]
async fn a_deadline_in_the_past_is_ready_at_once() {
    let past = Instant::now();
    sleep(Duration::from_secs(1)).await;
    let before = unstuck::time();
    sleep_until(past).await;
    assert!(unstuck::timeout_at(past, std::future::pending::<()>()).await.is_err());
    let (sender, receiver) = std::sync::mpsc::channel();
    unstuck::Handle::current().call_at(past, move || sender.send(()).unwrap());
    unstuck::yield_now().await;
    unstuck::yield_now().await;
    assert!(receiver.try_recv().is_ok());
    assert_eq!(unstuck::time(), before);
}

#[test]
fn a_million_timers_set_and_cancelled_leave_no_timer_and_no_memory() {
    alone(|| {
        let runtime = Runtime::builder().worker_threads(1).build().unwrap();
        let _entered = runtime.enter();
        let mut cx = Context::from_waker(Waker::noop());
        let mut round = |count: u64| {
            for number in 0..count {
                let mut nap = sleep(Duration::from_secs(1 + number % 100_000));
                assert!(std::future::Future::poll(Pin::new(&mut nap), &mut cx).is_pending());
            }
        };
        round(1_000);
        leaves_little_memory(1024, || round(1_000_000));
        assert_eq!(runtime.statistics().timers.armed, 0);
    });
}

#[test]
fn a_million_timers_at_once_are_all_gone_when_their_futures_are() {
    alone(|| {
        let runtime = Runtime::builder().worker_threads(1).build().unwrap();
        let _entered = runtime.enter();
        let mut cx = Context::from_waker(Waker::noop());
        let mut naps: Vec<_> =
            (0..1_000_000).map(|n| Box::pin(sleep(Duration::from_secs(60 + n % 1_000)))).collect();
        for nap in &mut naps {
            assert!(std::future::Future::poll(nap.as_mut(), &mut cx).is_pending());
        }
        assert_eq!(runtime.statistics().timers.armed, 1_000_000);
        drop(naps);
        assert_eq!(runtime.statistics().timers.armed, 0);
    });
}

/// Tasks that sleep until these times after now, all asleep already; they note when they wake up. None if the machine was so
/// slow that the first of them had woken up before the last one slept.
async fn sleepers(unit: Duration) -> Option<(Vec<Task<()>>, Arc<Mutex<Vec<u32>>>)> {
    let (begun, order) = (Instant::now(), Arc::new(Mutex::new(Vec::new())));
    let naps = [4, 1, 3, 2].map(|units| {
        let order = order.clone();
        spawn(async move {
            sleep_until(begun + unit * units).await;
            order.lock().unwrap().push(units);
        })
    });
    unstuck::yield_now().await; // each has its first turn
    (Instant::now() < begun + unit).then_some((naps.into(), order))
}

#[test]
fn timers_of_a_process_that_was_stopped_come_late_but_in_order() {
    alone(|| {
        unstuck::run_single(async {
            let mut unit = Duration::from_millis(10);
            let (naps, order) = loop {
                if let Some(asleep) = sleepers(unit).await {
                    break asleep;
                }
                unit *= 2;
            };
            let begun = Instant::now();
            let mut ticks = unstuck::interval(Duration::from_millis(50));
            ticks.tick().await; // the first one comes at once
            let pid = std::process::id();
            let stop = format!("kill -STOP {pid}; sleep 0.5; kill -CONT {pid}");
            let mut stopper = Command::new("sh").args(["-c", &stop]).spawn().unwrap();
            stopper.wait().unwrap(); // stalls the loop, and the process stands still meanwhile
            let overslept = sleep(Duration::from_millis(5));
            for nap in naps {
                nap.await.unwrap();
            }
            assert_eq!(*order.lock().unwrap(), [1, 2, 3, 4]);
            // The interval catches up: no tick is lost, and none comes before its time.
            for tick in 1..=12_u32 {
                let due = ticks.tick().await;
                assert!(due <= Instant::now() && Instant::now() >= begun + tick * Duration::from_millis(50));
            }
            overslept.await;
            assert!(begun.elapsed() >= Duration::from_millis(500));
        });
    });
}

/// On several threads, stopped in its sleep: the driver's wait is interrupted, and comes back to what is due.
#[test]
fn a_runtime_that_was_stopped_asleep_wakes_up_and_goes_on() {
    alone(|| {
        let runtime = Runtime::builder().worker_threads(2).build().unwrap();
        let nap = runtime.spawn(sleep(Duration::from_millis(100)));
        let later = runtime.spawn(sleep(Duration::from_millis(700)));
        let pid = std::process::id();
        let stop = format!("kill -STOP {pid}; sleep 0.3; kill -CONT {pid}");
        let mut stopper = Command::new("sh").args(["-c", &stop]).spawn().unwrap();
        runtime.block_on(async {
            nap.await.unwrap();
            later.await.unwrap();
        });
        assert!(stopper.wait().unwrap().success());
    });
}
