//! Ordered map.

use std::pin::Pin;

use futures_core::Stream;
use unstuck_core::JoinError;

use super::*;

#[test]
fn results_come_in_the_items_order_whatever_the_chunks() {
    let pool = pool(3);
    for (chunk, lookahead) in [(1, 1), (1, 8), (3, 1), (7, 100), (1000, 1000), (0, 0)] {
        let map = pool.map(0..100, |n| n * n).chunk(chunk).lookahead(lookahead);
        let results: Vec<i32> = block_on(map.try_collect()).unwrap();
        assert_eq!(results, (0..100).map(|n| n * n).collect::<Vec<_>>(), "chunk {chunk}, ahead {lookahead}");
    }
    assert!(block_on(pool.map([0_u8; 0], |n| n).next()).is_none());
}

#[test]
fn a_panic_is_an_error_at_its_own_position() {
    let pool = pool(2);
    for chunk in [1, 4, 100] {
        let map =
            pool.map(0..10, |n| if n == 5 { panic!("five (this test wants that)") } else { n }).chunk(chunk);
        let results: Vec<Result<i32, JoinError>> = block_on(map.collect());
        for (position, result) in results.into_iter().enumerate() {
            match result {
                Ok(value) => assert_eq!(value as usize, position),
                Err(error) => {
                    assert_eq!(position, 5);
                    assert!(error.to_string().starts_with("item 5 (from "), "{error}");
                }
            }
        }
    }
}

#[test]
fn try_collect_gives_the_first_error() {
    let pool = pool(2);
    let map = pool.map(0..10, |n| assert!(n < 5, "{n} (this test wants that)")).lookahead(10);
    let error = block_on(map.try_collect::<Vec<()>>()).unwrap_err();
    assert_eq!(error.panic_message(), Some("5 (this test wants that)"));
}

#[test]
fn no_more_items_are_taken_than_the_look_ahead_allows() {
    let pool = pool(2);
    let taken = Arc::new(AtomicUsize::new(0));
    let count = taken.clone();
    let endless = (0..).inspect(move |_| {
        count.fetch_add(1, Ordering::SeqCst);
    });
    let mut map = pool.map(endless, |n: u64| n).chunk(2).lookahead(7);
    assert_eq!(taken.load(Ordering::SeqCst), 0, "nothing happens before the first result is asked for");
    block_on(async {
        for n in 0..100 {
            assert_eq!(map.next().await.unwrap().unwrap(), n);
            let ahead = taken.load(Ordering::SeqCst) as u64 - n;
            assert!((1..=7).contains(&ahead), "{ahead} ahead of item {n}");
        }
    });
}

#[test]
fn the_results_are_a_stream_that_stays_at_its_end() {
    let pool = pool(1);
    let mut map = pool.map(0..2, |n| n);
    let mut next = || block_on(std::future::poll_fn(|cx| Pin::new(&mut map).poll_next(cx)));
    assert_eq!(next().unwrap().unwrap(), 0);
    assert_eq!(next().unwrap().unwrap(), 1);
    assert!(next().is_none() && next().is_none());
}

#[test]
fn dropping_it_stops_the_chunks_that_have_not_begun_and_the_running_one_after_its_item() {
    let pool = pool(1);
    let (begun, has_begun) = channel();
    let (go_on, may_go_on) = channel::<()>();
    let may_go_on = Mutex::new(may_go_on);
    let calls = Arc::new(AtomicUsize::new(0));
    let count = calls.clone();
    let work = move |n: i32| {
        count.fetch_add(1, Ordering::SeqCst);
        begun.send(n).unwrap();
        let _ = may_go_on.lock().unwrap().recv();
    };
    let mut map = pool.map(0..100, work).chunk(10);
    assert!(pin!(map.next()).poll(&mut Context::from_waker(Waker::noop())).is_pending());
    assert_eq!(has_begun.recv().unwrap(), 0);
    drop(map);
    drop(go_on);
    pool.shutdown();
    assert_eq!(calls.load(Ordering::SeqCst), 1);
}

#[test]
fn after_the_shutdown_every_item_gives_the_error() {
    let pool = pool(1);
    pool.shutdown();
    let results: Vec<Result<i32, JoinError>> = block_on(pool.map(0..10, |n| n).chunk(4).collect());
    assert_eq!(results.len(), 10);
    assert!(results.iter().all(|result| result.as_ref().is_err_and(JoinError::is_rejected)));
}

#[test]
fn a_chunk_that_runs_ends_after_its_present_item_when_its_pool_is_shut_down() {
    let pool = pool(1);
    let (begun, has_begun) = channel();
    let (go_on, may_go_on) = channel::<()>();
    let shared = Mutex::new((begun, may_go_on));
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = calls.clone();
    let map = pool.map(10..1_010, move |n| {
        counted.fetch_add(1, Ordering::SeqCst);
        let shared = shared.lock().unwrap();
        shared.0.send(()).unwrap();
        shared.1.recv().unwrap();
        n
    });
    let mut map = map.chunk(1_000);
    let first = Pin::new(&mut map).poll_next(&mut Context::from_waker(Waker::noop()));
    assert!(first.is_pending());
    has_begun.recv().unwrap();
    assert_eq!(pool.shutdown_timeout(Duration::ZERO).running.len(), 1);
    assert_eq!(pool.statistics().abandoned, 1);
    go_on.send(()).unwrap();
    drop(go_on);

    let results: Vec<Result<i32, JoinError>> = block_on(map.collect());
    assert_eq!((calls.load(Ordering::SeqCst), results.len()), (1, 1_000));
    assert_eq!(*results[0].as_ref().unwrap(), 10);
    assert!(results[1..].iter().all(|result| result.as_ref().unwrap_err().is_cancelled()));
    let last = results[999].as_ref().unwrap_err().to_string();
    assert!(last.starts_with("item 999 (from "), "{last}");
    until("nobody is abandoned", || pool.statistics().abandoned == 0);
}
