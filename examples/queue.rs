//! Producers and consumers. asyncio: `asyncio.Queue(maxsize)`.
//!
//! A queue hands items from some tasks to others. One with a limit makes a quick producer wait for slow consumers. `join` waits
//! until all that was put in has been worked off, and `shutdown` lets the consumers end by themselves.
//!
//! Watch for: the producer has to wait for places; the last item is done before "all done"; nobody is cancelled.

use unstuck::sync::Queue;
use unstuck::{gather, sleep, spawn};
use unstuck_examples::{SECOND, say};

fn main() {
    unstuck::run_single(tutorial());
}

async fn produce(queue: Queue<u32>) {
    for item in 1..=6 {
        queue.put(item).await.expect("nobody shuts it down before");
        say!("put {item}, {} in the queue", queue.len());
    }
}

async fn consume(name: &str, queue: Queue<u32>) -> u32 {
    let mut count = 0;
    while let Ok(item) = queue.get().await {
        say!("{name} works on {item}");
        sleep(2 * SECOND).await;
        queue.task_done().expect("once for each item");
        count += 1;
    }
    count
}

pub(crate) async fn tutorial() {
    let queue = Queue::bounded(2);
    let consumers = ["Ada", "Bob"].map(|name| spawn(consume(name, queue.clone())));
    produce(queue.clone()).await;
    queue.join().await;
    say!("all done");
    queue.shutdown();
    for (name, count) in ["Ada", "Bob"].into_iter().zip(gather(consumers).await) {
        say!("{name} did {}", count.unwrap());
    }
}
