//! Waiting without stopping anybody. asyncio: `asyncio.sleep(delay, result)` and `sleep(0)`.
//!
//! `sleep` suspends the task that awaits it, and only that one: its thread serves others meanwhile. (Never call
//! `std::thread::sleep` in a task: that stops the thread. See `blocking_single`.) `sleep(..).with(value)` gives the value
//! when the time is over. `yield_now`, Python's `sleep(0)`, waits for no time at all: it lets everyone else who is ready
//! have one turn.
//!
//! Watch for: the ticks go on while the other task sleeps; then `a` and `b` take turns, one step each.

use unstuck::{sleep, spawn, yield_now};
use unstuck_examples::{SECOND, say};

fn main() {
    unstuck::run_single(tutorial()); // one thread, as in asyncio: the order of the turns is exact
}

pub(crate) async fn tutorial() {
    let ticks = spawn(async {
        for tick in 1..=3 {
            sleep(SECOND / 2).await;
            say!("tick {tick}");
        }
    });
    let word = sleep(2 * SECOND).with("rested").await;
    say!("two seconds later: {word}");
    ticks.await.unwrap();

    let a = spawn(take_turns("a"));
    let b = spawn(take_turns("b"));
    say!("main: before its yield");
    yield_now().await;
    say!("main: after one trip through the queue");
    a.await.unwrap();
    b.await.unwrap();
}

async fn take_turns(name: &str) {
    for step in 1..=3 {
        say!("{name}: step {step}");
        yield_now().await;
    }
}
