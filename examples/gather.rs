//! Several at once, results in order. asyncio: `asyncio.gather(*aws)`.
//!
//! `gather!(a, b, c)` takes a few different awaitables and gives a tuple; `gather(iterator)` takes any number of one kind
//! and gives a `Vec`. Results stand in the order of the arguments, whoever finishes first. Errors stand at their places,
//! like values (Python's `return_exceptions=True`). `try_gather` gives the first error *at once* instead; tasks among
//! the others go on.
//!
//! Futures that are gathered take turns in this task. Gather *tasks*, as here, to use several threads.
//!
//! Watch for: b is ready before a, yet a's result comes first; the error arrives after half a second, while the
//! sibling sleeps on.

use std::time::Duration;

use unstuck::{Task, gather, sleep, spawn, try_gather};
use unstuck_examples::{SECOND, delay, say};

fn main() {
    unstuck::run_single(tutorial());
}

pub(crate) async fn tutorial() {
    let (a, b) = gather!(spawn(delay(2)), async {
        sleep(SECOND).await;
        say!("b is ready");
        "b"
    })
    .await;
    say!("gather! gave {:?}", (a.unwrap(), b));

    let results = gather([order(1, 3), order(2, 0), order(3, 1)]).await;
    for result in results {
        match result.unwrap() {
            Ok(dish) => say!("in its place: {dish}"),
            Err(problem) => say!("in its place: {problem}"),
        }
    }

    let mut sibling = spawn(delay(1));
    let failure = try_gather!(async { Ok((&mut sibling).await.unwrap()) }, cook(4, 0)).await;
    say!("first error: {:?}; is the sibling done? {}", failure.unwrap_err(), sibling.is_done());
    sibling.await.unwrap();
}

async fn cook(number: u32, eggs: u32) -> Result<String, String> {
    sleep(SECOND / 2).await; // looks for the eggs
    if eggs == 0 {
        return Err(format!("no eggs for dish {number}"));
    }
    sleep(eggs * Duration::from_millis(100)).await;
    Ok(format!("dish {number} of {eggs} egg(s)"))
}

fn order(number: u32, eggs: u32) -> Task<Result<String, String>> {
    spawn(cook(number, eggs))
}
