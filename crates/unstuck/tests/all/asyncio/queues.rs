//! `Queue`, `LifoQueue`, `PriorityQueue`.

use std::cmp::Reverse;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use unstuck::sync::{LifoQueue, PriorityQueue, Queue};
use unstuck::{gather, sleep, spawn, wait_for, yield_now};

use super::Log;
use crate::support::{OnDrop, counts, eventually};

const SECOND: Duration = Duration::from_secs(1);

/// A poll that nobody is woken for.
fn poll<F: Future>(future: std::pin::Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

#[test]
fn items_come_out_in_the_order_of_the_queue() {
    let (fifo, lifo, smallest) = (Queue::new(), LifoQueue::new(), PriorityQueue::new());
    for item in [2, 3, 1] {
        fifo.try_put(item).unwrap();
        lifo.try_put(item).unwrap();
        smallest.try_put(item).unwrap();
    }
    assert_eq!([(); 3].map(|()| fifo.try_get().unwrap()), [2, 3, 1]);
    assert_eq!([(); 3].map(|()| lifo.try_get().unwrap()), [1, 3, 2]);
    assert_eq!([(); 3].map(|()| smallest.try_get().unwrap()), [1, 2, 3]);

    let largest = PriorityQueue::new();
    for item in [2, 3, 1] {
        largest.try_put(Reverse(item)).unwrap();
    }
    assert_eq!([(); 3].map(|()| largest.try_get().unwrap().0), [3, 2, 1]);
}

#[test]
fn items_of_one_priority_come_out_in_the_order_in_which_they_came() {
    #[derive(PartialEq, Eq)]
    struct Job(u32, &'static str);
    impl Ord for Job {
        fn cmp(&self, other: &Self) -> std::cmp::Ordering {
            self.0.cmp(&other.0)
        }
    }
    impl PartialOrd for Job {
        fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
            Some(self.cmp(other))
        }
    }
    // `Eq` compares the names too; only the order counts here.
    let queue = PriorityQueue::new();
    for job in [Job(1, "a"), Job(0, "b"), Job(1, "c"), Job(1, "d"), Job(0, "e")] {
        queue.try_put(job).unwrap();
    }
    assert_eq!([(); 5].map(|()| queue.try_get().unwrap().1), ["b", "e", "a", "c", "d"]);
}

#[test]
fn what_does_not_wait_says_full_or_empty() {
    let queue = Queue::bounded(2);
    assert!(queue.is_empty() && !queue.is_full() && queue.maxsize() == Some(2));
    assert!(queue.try_get().unwrap_err().is_empty());
    queue.try_put(1).unwrap();
    queue.try_put(2).unwrap();
    assert!(queue.is_full() && queue.len() == 2);
    let refused = queue.try_put(3).unwrap_err();
    assert!(refused.is_full() && !refused.is_shut_down());
    assert_eq!(refused.into_inner(), 3);
    assert_eq!(queue.try_get().unwrap(), 1);
    queue.try_put(3).unwrap();
    assert!(!Queue::<u32>::new().is_full() && Queue::<u32>::new().maxsize().is_none());
}

both! {
    async fn a_full_queue_holds_its_putters_and_an_empty_one_its_getters() {
        let queue = Queue::bounded(1);
        queue.put(1).await.unwrap();
        assert!(wait_for(queue.put(2), SECOND).await.is_err());
        assert_eq!(queue.len(), 1, "the item of a put that gave up is not in the queue");
        assert_eq!(queue.get().await.unwrap(), 1);
        assert!(wait_for(queue.get(), SECOND).await.is_err());
        let putter = spawn({
            let queue = queue.clone();
            async move {
                sleep(SECOND).await;
                queue.put(3).await.unwrap();
                queue.put(4).await.unwrap();
            }
        });
        assert_eq!(queue.get().await.unwrap(), 3);
        putter.await.unwrap();
        assert_eq!(queue.get().await.unwrap(), 4);
    }
}

both! {
    async fn getters_and_putters_are_served_in_the_order_in_which_they_came() {
        let (queue, log) = (Queue::new(), Log::new());
        for name in ["a", "b", "c"] {
            let (gets, log) = (queue.clone(), log.clone());
            spawn(async move { log.say(format!("{name}{}", gets.get().await.unwrap())) }).detach();
            sleep(SECOND).await; // it waits
        }
        for item in 1..=3 {
            queue.put(item).await.unwrap();
            sleep(SECOND).await;
        }
        assert_eq!(log.lines(), ["a1", "b2", "c3"]);

        let queue = Queue::bounded(1);
        queue.put("first").await.unwrap();
        for name in ["a", "b", "c"] {
            let puts = queue.clone();
            spawn(async move { puts.put(name).await.unwrap() }).detach();
            sleep(SECOND).await;
        }
        for name in ["first", "a", "b", "c"] {
            assert_eq!(queue.get().await.unwrap(), name);
        }
    }
}

#[test]
fn a_newcomer_overtakes_neither_a_getter_nor_a_putter_that_was_chosen() {
    let queue = Queue::bounded(1);
    let mut chosen = Box::pin(queue.get());
    assert!(poll(chosen.as_mut()).is_pending());
    queue.try_put(1).unwrap();
    assert!(queue.try_get().unwrap_err().is_empty(), "the item is meant for whoever waits");
    let mut late = Box::pin(queue.get());
    assert!(poll(late.as_mut()).is_pending());
    assert!(matches!(poll(chosen.as_mut()), Poll::Ready(Ok(1))));

    queue.try_put(2).unwrap();
    assert!(matches!(poll(late.as_mut()), Poll::Ready(Ok(2))));
    queue.try_put(3).unwrap();
    let mut chosen = Box::pin(queue.put(4));
    assert!(poll(chosen.as_mut()).is_pending());
    assert_eq!(queue.try_get().unwrap(), 3);
    assert!(queue.try_put(5).unwrap_err().is_full(), "the place is meant for whoever waits");
    assert!(matches!(poll(chosen.as_mut()), Poll::Ready(Ok(()))));
    assert_eq!(queue.try_get().unwrap(), 4);
}

#[test]
fn no_item_is_lost_when_a_woken_getter_is_cancelled() {
    let queue = Queue::new();
    let (mut first, mut second) = (Box::pin(queue.get()), Box::pin(queue.get()));
    assert!(poll(first.as_mut()).is_pending() && poll(second.as_mut()).is_pending());
    queue.try_put("item").unwrap(); // chooses the first
    drop(first);
    assert!(matches!(poll(second.as_mut()), Poll::Ready(Ok("item"))), "the next one gets it");

    let mut alone = Box::pin(queue.get());
    assert!(poll(alone.as_mut()).is_pending());
    queue.try_put("another").unwrap();
    drop(alone);
    assert_eq!(queue.try_get().unwrap(), "another", "or whoever comes");
}

#[test]
fn a_place_is_not_lost_when_a_woken_putter_is_cancelled() {
    let queue = Queue::bounded(1);
    queue.try_put(0).unwrap();
    let (mut first, mut second) = (Box::pin(queue.put(1)), Box::pin(queue.put(2)));
    assert!(poll(first.as_mut()).is_pending() && poll(second.as_mut()).is_pending());
    queue.try_get().unwrap(); // chooses the first
    drop(first);
    assert!(matches!(poll(second.as_mut()), Poll::Ready(Ok(()))));
    assert_eq!(queue.try_get().unwrap(), 2);
}

both! {
    async fn join_waits_until_every_item_has_been_said_to_be_done() {
        let (queue, log) = (Queue::new(), Log::new());
        queue.join().await; // nothing was ever put in
        for item in 1..=3 {
            queue.put(item).await.unwrap();
        }
        let worker = spawn({
            let (queue, log) = (queue.clone(), log.clone());
            async move {
                while let Ok(item) = queue.get().await {
                    sleep(SECOND).await;
                    log.say(format!("{item}"));
                    queue.task_done().unwrap();
                }
            }
        });
        queue.join().await;
        assert_eq!(log.lines(), ["1", "2", "3"]);
        assert_eq!(unstuck::time(), 3 * SECOND);
        assert!(queue.task_done().is_err(), "one too many");
        queue.shutdown();
        worker.await.unwrap();
    }
}

both! {
    async fn after_a_shutdown_puts_fail_and_gets_drain_and_then_fail() {
        let queue = Queue::bounded(2);
        queue.put(1).await.unwrap();
        queue.put(2).await.unwrap();
        let putter = spawn({
            let queue = queue.clone();
            async move { queue.put(3).await }
        });
        sleep(SECOND).await;
        queue.shutdown();
        let refused = putter.await.unwrap().unwrap_err();
        assert!(refused.is_shut_down() && refused.into_inner() == 3, "also one that waited");
        assert!(queue.put(4).await.unwrap_err().is_shut_down());
        assert!(queue.try_put(4).unwrap_err().is_shut_down());
        let joiner = spawn({
            let queue = queue.clone();
            async move { queue.join().await }
        });
        assert_eq!(queue.get().await.unwrap(), 1);
        assert_eq!(queue.try_get().unwrap(), 2);
        assert!(queue.get().await.unwrap_err().is_shut_down());
        assert!(queue.try_get().unwrap_err().is_shut_down());
        queue.task_done().unwrap();
        sleep(SECOND).await;
        assert!(!joiner.is_done(), "one is still being worked on");
        queue.task_done().unwrap();
        joiner.await.unwrap();
        queue.shutdown(); // again changes nothing
        assert!(queue.is_shut_down());
    }
}

both! {
    async fn a_shutdown_ends_getters_that_wait() {
        let queue = Queue::<u32>::new();
        let getters: Vec<_> = (0..3)
            .map(|_| {
                let queue = queue.clone();
                spawn(async move { queue.get().await })
            })
            .collect();
        sleep(SECOND).await;
        queue.shutdown();
        for end in gather(getters).await {
            assert!(end.unwrap().unwrap_err().is_shut_down());
        }
    }
}

both! {
    async fn an_immediate_shutdown_drains_at_once_and_releases_join_only_if_nothing_is_in_progress() {
        let dropped = Arc::new(AtomicUsize::new(0));
        let item = || OnDrop(counts(&dropped));
        let queue = Queue::new();
        for _ in 0..3 {
            queue.try_put(item()).map_err(drop).unwrap();
        }
        let idle = spawn({
            let queue = queue.clone();
            async move { queue.join().await }
        });
        sleep(SECOND).await;
        queue.shutdown_now();
        assert_eq!((dropped.load(Ordering::SeqCst), queue.len()), (3, 0));
        assert!(queue.get().await.is_err() && queue.put(item()).await.is_err());
        idle.await.unwrap();

        let queue = Queue::new();
        queue.put(1).await.unwrap();
        queue.put(2).await.unwrap();
        let joiner = spawn({
            let queue = queue.clone();
            async move { queue.join().await }
        });
        let taken = queue.get().await.unwrap();
        queue.shutdown_now();
        sleep(SECOND).await;
        assert!(taken == 1 && !joiner.is_done(), "the item that was taken is in progress");
        queue.task_done().unwrap();
        joiner.await.unwrap();
        assert!(queue.task_done().is_err());
    }
}

#[test]
fn threads_put_and_get_and_join_too() {
    let (there, back) = (Queue::bounded(1), Queue::bounded(1));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for item in 0..100 {
                there.put_blocking(item).unwrap();
                assert_eq!(back.get_blocking().unwrap(), item * 2);
            }
            there.join_blocking();
            there.shutdown();
        });
        unstuck::run(async {
            while let Ok(item) = there.get().await {
                back.put(item * 2).await.unwrap();
                there.task_done().unwrap();
            }
        });
    });
}

both! {
    async fn a_blocking_end_inside_async_code_is_refused_and_says_so() {
        let queue = Queue::<u32>::new();
        let refused = spawn(async move { queue.get_blocking() }).await.unwrap_err();
        let text = refused.panic_message().unwrap();
        assert!(text.contains("get_blocking() inside task") && text.contains(".await"), "{text}");
    }
}

#[test]
fn a_comparison_that_panics_leaves_the_queue_usable_and_its_counts_right() {
    #[derive(Debug)]
    struct Moody(f64);
    impl PartialEq for Moody {
        fn eq(&self, other: &Self) -> bool {
            self.cmp(other).is_eq()
        }
    }
    impl Eq for Moody {}
    impl Ord for Moody {
        fn cmp(&self, other: &Self) -> std::cmp::Ordering {
            self.0.partial_cmp(&other.0).expect("no NaN (this test wants that)")
        }
    }
    impl PartialOrd for Moody {
        fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
            Some(self.cmp(other))
        }
    }
    let queue = PriorityQueue::bounded(3);
    queue.try_put(Moody(1.0)).unwrap();
    let panics = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| queue.try_put(Moody(f64::NAN))));
    assert!(panics.is_err());
    assert_eq!(queue.len(), 2, "it is in");
    let mut taken = 0;
    while taken < 2 {
        // With three items a comparison panics again; with two none is needed.
        assert!(queue.try_get().is_ok());
        taken += 1;
    }
    for number in [3.0, 1.0, 2.0] {
        queue.try_put(Moody(number)).unwrap();
    }
    assert!(queue.try_put(Moody(4.0)).unwrap_err().is_full());
    assert_eq!([(); 3].map(|()| queue.try_get().unwrap().0), [1.0, 2.0, 3.0]);
}

/// Small, and the same on every machine.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % sides
    }
}

/// Putters and getters, of which some are cancelled at moments that the seed chooses: every item that a put has said to
/// be in comes out exactly once, and nothing hangs.
async fn items_survive_cancelled_getters(seed: u64) {
    const ITEMS: usize = 300;
    let mut dice = Dice(seed * 2 + 1);
    let queue = match dice.roll(3) {
        0 => Queue::new(),
        size => Queue::bounded(size as usize * 2),
    };
    let (taken, put) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let getter = || {
        let (queue, taken) = (queue.clone(), taken.clone());
        spawn(async move {
            while queue.get().await.is_ok() {
                taken.fetch_add(1, Ordering::SeqCst);
                queue.task_done().unwrap();
                yield_now().await;
            }
        })
    };
    let mut getters: Vec<_> = (0..4).map(|_| getter()).collect();
    let mut putters = Vec::new();
    for item in 0..ITEMS {
        let (queue, put) = (queue.clone(), put.clone());
        putters.push(spawn(async move {
            queue.put(item).await.unwrap();
            put.fetch_add(1, Ordering::SeqCst);
        }));
        if dice.roll(4) == 0 {
            yield_now().await;
        }
        if dice.roll(3) == 0 {
            let victim = dice.roll(getters.len() as u64) as usize;
            getters[victim].cancel();
            getters[victim] = getter();
        }
        if dice.roll(10) == 0 {
            let victim = dice.roll(putters.len() as u64) as usize;
            putters[victim].cancel();
        }
    }
    gather(putters).await;
    queue.join().await;
    assert_eq!(taken.load(Ordering::SeqCst), put.load(Ordering::SeqCst), "seed {seed}");
    assert!(queue.is_empty(), "seed {seed}");
    queue.shutdown();
    gather(getters).await;
}

#[unstuck::test(worker_threads = 4)]
async fn every_item_survives_getters_that_are_cancelled_at_random() {
    for seed in 1..=40 {
        items_survive_cancelled_getters(seed).await;
    }
}

#[unstuck::test(flavor = "single", paused)]
async fn every_item_survives_getters_that_are_cancelled_at_random_on_one_thread() {
    for seed in 1..=40 {
        items_survive_cancelled_getters(seed).await;
    }
    eventually("nobody is left", || unstuck::all_tasks().is_empty()).await;
}
