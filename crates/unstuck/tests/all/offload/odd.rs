//! Odd jobs, odd arguments, odd moments: nobody else notices.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use unstuck::offload::{CpuPool, Limiter, ThreadPool};
use unstuck::{Runtime, fs, net, par_map, to_thread};

use crate::support::{Gate, until};

#[test]
fn a_job_that_plays_with_its_threads_parking_confuses_no_pool() {
    let pools = (
        ThreadPool::builder().max_threads(2).build().unwrap(),
        CpuPool::builder().threads(2).build().unwrap(),
    );
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        let unpark = || {
            thread::current().unpark();
            thread::current()
        };
        let threads = [pools.0.spawn(unpark).wait().unwrap(), pools.1.spawn(unpark).wait().unwrap()];
        let stop = &stop;
        scope.spawn(move || {
            while !stop.load(Ordering::SeqCst) {
                threads.iter().for_each(thread::Thread::unpark);
                thread::yield_now();
            }
        });
        for n in 0..500 {
            assert_eq!(
                (pools.0.spawn(move || n).wait().unwrap(), pools.1.spawn(move || n).wait().unwrap()),
                (n, n)
            );
        }
        stop.store(true, Ordering::SeqCst);
    });
}

#[test]
fn threads_that_may_never_be_idle_do_every_job_and_leave() {
    let pool = ThreadPool::builder().max_threads(3).keep_alive(Duration::ZERO).build().unwrap();
    let jobs: Vec<_> = (0..500).map(|n| pool.spawn(move || n)).collect();
    assert_eq!(jobs.into_iter().map(|job| job.wait().unwrap()).sum::<u32>(), 124_750);
    (0..100).for_each(|n| assert_eq!(pool.spawn(move || n).wait().unwrap(), n));
    until("the threads have left", || pool.statistics().threads == 0);
}

#[test]
fn a_pool_that_several_threads_end_at_once_ends_for_each_of_them() {
    let (pool, gate) = (ThreadPool::builder().build().unwrap(), Gate::new());
    let jobs: Vec<_> = (0..4)
        .map(|_| {
            let held = gate.clone();
            pool.spawn(move || held.pass())
        })
        .collect();
    gate.wait_for(4);
    thread::scope(|scope| {
        let impatient: Vec<_> =
            (0..4).map(|_| scope.spawn(|| pool.shutdown_timeout(Duration::ZERO))).collect();
        for report in impatient {
            assert_eq!(report.join().unwrap().running.len(), 4);
        }
        let patient: Vec<_> = (0..4).map(|_| scope.spawn(|| pool.shutdown())).collect();
        gate.open();
        patient.into_iter().for_each(|ended| ended.join().unwrap());
    });
    jobs.into_iter().for_each(|job| job.wait().unwrap());
    let statistics = pool.statistics();
    assert_eq!((statistics.threads, statistics.started), (0, statistics.ended));
}

#[test]
#[should_panic(expected = "a limiter of 0 would never let a job run: give it at least 1")]
fn a_limiter_does_not_shrink_to_zero() {
    Limiter::new("shrinks", 1).resize(0);
}

#[unstuck::test]
async fn a_map_in_chunks_of_any_size_gives_every_result() {
    for (chunk, lookahead) in [(0, 0), (1, 0), (usize::MAX, 1), (7, usize::MAX), (usize::MAX, usize::MAX)] {
        let doubled: Vec<u64> =
            par_map(0..100, |n| 2 * n).chunk(chunk).lookahead(lookahead).try_collect().await.unwrap();
        assert!(doubled.into_iter().eq((0..100).map(|n| 2 * n)), "chunks of {chunk}, {lookahead} ahead");
        let doubled: Vec<u64> = par_map(0..100, |n| 2 * n).chunk(chunk).try_collect().await.unwrap();
        assert_eq!(doubled.len(), 100);
    }
}

#[test]
fn a_map_whose_items_panic_panics_where_it_is_polled_and_the_pool_goes_on() {
    let runtime = Runtime::builder().worker_threads(1).cpu_threads(2).build().unwrap();
    let items = (0..10).inspect(|n| assert!(*n != 5, "no sixth item"));
    let _entered = runtime.enter();
    let polled =
        catch_unwind(AssertUnwindSafe(|| runtime.block_on(par_map(items, |n| n).collect::<Vec<_>>())));
    let payload = polled.unwrap_err();
    assert_eq!(payload.downcast_ref::<&str>(), Some(&"no sixth item"));
    assert_eq!(runtime.block_on(async { unstuck::cpu(|| 42).await }).unwrap(), 42);
}

#[unstuck::test]
async fn paths_and_names_that_make_no_sense_are_errors() {
    assert_eq!(fs::read("a\0b").await.unwrap_err().kind(), std::io::ErrorKind::InvalidInput);
    assert!(fs::read(".").await.is_err() && fs::write(".", "").await.is_err() && fs::read("").await.is_err());
    for name in ["", ":", "localhost", "localhost:", "localhost:99999", "a\0b:80", "no host:1", "[::1:80"] {
        assert!(net::lookup(name).await.is_err(), "{name:?}");
    }
    assert!(net::lookup(("", 80)).await.is_err() && net::lookup(("x".repeat(100_000), 80)).await.is_err());
}

#[test]
fn contents_that_panic_panic_in_whoever_writes_them() {
    struct Bomb;
    impl AsRef<[u8]> for Bomb {
        fn as_ref(&self) -> &[u8] {
            panic!("nothing to write")
        }
    }
    let runtime = Runtime::builder().worker_threads(1).build().unwrap();
    let file = std::env::temp_dir().join(format!("unstuck-odd-{}", std::process::id()));
    let written = catch_unwind(AssertUnwindSafe(|| runtime.block_on(fs::write(file.clone(), Bomb))));
    assert_eq!(written.unwrap_err().downcast_ref::<&str>(), Some(&"nothing to write"));
    assert_eq!(runtime.block_on(async { to_thread(|| 42).await }).unwrap(), 42);
    let _ = std::fs::remove_file(file);
}
