//! Memory comes back: what timers, timeouts and sleeping tasks took is free again when they are gone.
//!
//! A binary of its own, because it counts every allocation of the process. Live bytes are exact, where the resident set
//! of a process depends on the allocator's mood.

#![allow(unsafe_code)] // an allocator is unsafe to implement

use std::alloc::{GlobalAlloc, Layout, System};
use std::future::{Future, pending, poll_fn};
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use unstuck::{Builder, Runtime, StallPolicy, Task, TimeLimit, gather, sleep, spawn, timeout, yield_now};

/// The system's allocator, and how many bytes are in use.
struct Counting;

static LIVE: AtomicUsize = AtomicUsize::new(0);

// SAFETY: every call goes to the system's allocator unchanged; counting touches no memory of it.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        LIVE.fetch_add(layout.size(), Ordering::Relaxed); // a count: nothing is ordered by it
        // SAFETY: the caller's promise is handed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        LIVE.fetch_sub(layout.size(), Ordering::Relaxed); // as in `alloc`
        // SAFETY: the caller's promise is handed on.
        unsafe { System.dealloc(at, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn live() -> usize {
    LIVE.load(Ordering::Relaxed) // what the same thread has freed is counted; others are waited for
}

const FAR: Duration = Duration::from_secs(3600);

/// What may stay of the biggest day: a spare chunk of timers here, a short queue there; and, while a thread keeps keys of the last
/// timers, the chunks these lie in and a pointer for each of the others. A hundred thousand of anything is more, be it two bytes
/// each.
const SPARE: usize = 128 * 1024;

/// Runs `round` once small and once with `count`, and checks that the second has given back what it took. The small one is big
/// enough to fill what is kept for the next tasks, which is bounded: 8 KiB in each of the registry's shards.
async fn gives_back<F: Future<Output = usize>>(what: &str, count: usize, round: impl Fn(usize) -> F) {
    round(count / 5).await;
    let mut before = live();
    for _ in 0..20 {
        sleep(Duration::from_millis(1)).await;
        before = before.min(live()); // what is still given back now would hide as much later
    }
    let peak = round(count).await;
    let mut after = live();
    // Other workers may still be freeing what they have just finished with, and hand their queues in as they fall asleep.
    for _ in 0..60_000 {
        if after <= before + SPARE {
            break;
        }
        sleep(Duration::from_millis(1)).await;
        after = live();
    }
    assert!(
        after <= before + SPARE,
        "{what}: {before} bytes before, {peak} with {count}, {after} afterwards"
    );
}

/// Calls `step` in one poll, with the task's own waker.
async fn repeat(times: usize, mut step: impl FnMut(&mut Context<'_>)) {
    poll_fn(|cx| {
        (0..times).for_each(|_| step(cx));
        Poll::Ready(())
    })
    .await;
}

async fn timeouts_one_by_one(count: usize) -> usize {
    repeat(count, |cx| assert!(pin!(timeout(FAR, pending::<()>())).poll(cx).is_pending())).await;
    live()
}

async fn timeouts_at_once(count: usize) -> usize {
    let mut waiting = Vec::new();
    repeat(count, |cx| {
        let mut one = Box::pin(timeout(FAR, pending::<()>()));
        assert!(one.as_mut().poll(cx).is_pending());
        waiting.push(one);
    })
    .await;
    assert!(waiting.iter().all(|one| one.deadline().is_some()));
    live()
}

async fn limits_at_once(count: usize) -> usize {
    let mut waiting = Vec::new();
    repeat(count, |cx| {
        let mut one = Box::pin(TimeLimit::after(FAR).run(pending::<()>()));
        assert!(one.as_mut().poll(cx).is_pending());
        waiting.push(one);
    })
    .await;
    live()
}

async fn sleepers_cancelled(count: usize) -> usize {
    let sleepers: Vec<_> = (0..count).map(|_| spawn(sleep(FAR))).collect();
    yield_now().await;
    let peak = live();
    assert!(sleepers.iter().all(Task::cancel));
    let ends = gather(sleepers).await;
    assert!(ends.iter().all(|end| end.as_ref().is_err_and(unstuck::JoinError::is_cancelled)));
    peak
}

async fn sleepers_woken_at_once(count: usize) -> usize {
    let sleepers: Vec<_> = (0..count).map(|_| spawn(sleep(Duration::from_millis(5)))).collect();
    let peak = live();
    assert!(gather(sleepers).await.iter().all(Result::is_ok));
    peak
}

async fn everything() {
    gives_back("timeouts, one by one", 1_000_000, timeouts_one_by_one).await;
    gives_back("timeouts at once", 1_000_000, timeouts_at_once).await;
    gives_back("time limits at once", 100_000, limits_at_once).await;
    gives_back("sleeping tasks, cancelled", 100_000, sleepers_cancelled).await;
    gives_back("sleeping tasks, woken", 100_000, sleepers_woken_at_once).await;
}

/// A million timeouts in one poll would be reported as a stall, and whoever reports reads debug information and keeps it.
fn builder() -> Builder {
    Runtime::builder().stall_guard(StallPolicy::Off)
}

#[test]
fn what_a_million_timeouts_and_100_000_sleeping_tasks_took_is_free_again_when_they_are_gone() {
    // One test, not two at once: they would count each other's bytes.
    for workers in [1, 2, 4] {
        let runtime = builder().worker_threads(workers).build().unwrap();
        runtime.block_on(runtime.spawn(everything())).unwrap();
        assert_eq!(runtime.statistics().timers.armed, 0);
    }
    builder().build_single().unwrap().run_until_complete(everything());
}
