//! Different limits for different uses, over the same threads. asyncio: a `ThreadPoolExecutor(n)` for each use, or a
//! `Semaphore` around each call.
//!
//! A pool of its own for the database keeps three threads that idle while thumbnails wait in line. One pool for all lets
//! the thumbnails take every thread, and the database waits. A `Limiter` is a number with a name: its calls wait for it
//! in line, without a thread, and share the threads of the pool with everybody else.
//!
//! Watch for: two thumbnails at a time, although the pool has threads for 512 calls; the query goes past those that
//! wait; when the limit is raised, more run at once.

use std::sync::{Arc, Barrier};

use unstuck::offload::{self, Limiter};
use unstuck::{JobHandle, gather, to_thread};

fn main() {
    tutorial();
}

pub(crate) fn tutorial() {
    // No thumbnail ends before four of them and the tutorial have met.
    let meet = Arc::new(Barrier::new(5));
    unstuck::run(async {
        let limiter = Limiter::new("thumbnails", 2);
        let made: Vec<JobHandle<u32>> = (1..=8).map(|n| thumbnail(&limiter, n, &meet)).collect();
        tell(&limiter);

        let query = to_thread(|| "42 rows"); // no limiter: it finds a thread at once
        println!("the query gives {}", query.await.unwrap());

        limiter.resize(4);
        tell(&limiter);
        for _ in 0..2 {
            let meet = meet.clone();
            to_thread(move || meet.wait()).await.unwrap();
        }
        let made = gather(made).await.into_iter().map(Result::unwrap);
        println!("made: {:?}", made.collect::<Vec<_>>());

        let broken = offload::call().name("thumbnail 9").limiter(&limiter).spawn(|| panic!("no pixels"));
        let error = broken.await.map(|(): ()| ()).unwrap_err();
        println!("an error says which: {}", error.name().unwrap_or_default());
    });
}

fn thumbnail(limiter: &Limiter, n: u32, meet: &Arc<Barrier>) -> JobHandle<u32> {
    let meet = meet.clone();
    offload::call().name(format!("thumbnail {n}")).limiter(limiter).spawn(move || {
        meet.wait();
        n
    })
}

fn tell(limiter: &Limiter) {
    let now = limiter.statistics();
    println!("{} {} at a time, {} wait in line", now.running, limiter.name(), now.queued);
}
