//! Nobody is starved: who wakes itself, who wakes each other, who comes from outside.

use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;
use std::thread;
use std::time::Duration;

use super::{scheduler, yield_now};
use crate::sync::Mutex;

#[test]
fn a_task_that_wakes_itself_for_ever_starves_nobody() {
    let scheduler = scheduler(1);
    let handle = scheduler.handle();
    let spinner = handle.spawn(async {
        loop {
            yield_now().await;
        }
    });
    assert_eq!(scheduler.block_on(handle.spawn(async { 7 })).unwrap(), 7);
    spinner.cancel();
    assert!(scheduler.block_on(spinner).map(|(): ()| ()).unwrap_err().is_cancelled());
}

#[test]
fn two_tasks_in_the_slot_for_ever_starve_nobody() {
    let scheduler = scheduler(1);
    let handle = scheduler.handle();
    // Two tasks that always wake each other would live in the slot alone.
    let wakers = Arc::new(Mutex::new([None::<std::task::Waker>, None]));
    let stop = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let players: Vec<_> = (0..2)
        .map(|me| {
            let (wakers, stop) = (wakers.clone(), stop.clone());
            handle.spawn(poll_fn(move |cx| {
                let mut wakers = wakers.lock();
                wakers[me] = Some(cx.waker().clone());
                if let Some(other) = &wakers[1 - me] {
                    other.wake_by_ref();
                }
                if stop.load(Ordering::Relaxed) { Poll::Ready(()) } else { Poll::Pending }
            }))
        })
        .collect();
    let (third, fourth) = scheduler.block_on(async {
        let fourth = handle.spawn(async { crate::spawn(async { 4 }).await.unwrap() });
        (handle.spawn(async { 3 }).await.unwrap(), fourth.await.unwrap())
    });
    assert_eq!((third, fourth), (3, 4));
    stop.store(true, Ordering::Relaxed);
    for player in players {
        scheduler.block_on(player).unwrap();
    }
}

#[test]
fn long_polls_of_a_crowd_from_outside_leave_every_other_turn_to_own_tasks() {
    let scheduler = scheduler(1);
    let handle = scheduler.handle();
    let waker = Arc::new(Mutex::new(None::<std::task::Waker>));
    // Polls of the crowd since the waiting task was woken, and the most there ever were.
    let (waited, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let waiting = {
        let (waker, waited, most) = (waker.clone(), waited.clone(), most.clone());
        handle.spawn(poll_fn(move |cx| {
            *waker.lock() = Some(cx.waker().clone());
            most.fetch_max(waited.swap(0, Ordering::Relaxed), Ordering::Relaxed);
            Poll::<()>::Pending
        }))
    };
    let crowd: Vec<_> = (0..400)
        .map(|_| {
            let (waker, waited) = (waker.clone(), waited.clone());
            handle.spawn(async move {
                waited.fetch_add(1, Ordering::Relaxed);
                thread::sleep(Duration::from_millis(1));
                if let Some(waker) = &*waker.lock() {
                    waker.wake_by_ref();
                }
            })
        })
        .collect();
    scheduler.block_on(async {
        for task in crowd {
            task.await.unwrap();
        }
    });
    waiting.cancel();
    let most = most.load(Ordering::Relaxed);
    assert!((1..=4).contains(&most), "{most} outsiders in a row, while somebody was in the slot");
}
