//! Making the loop by hand. asyncio: `new_event_loop()`, `run_until_complete`, `close`.
//!
//! `run_until_complete` drives the loop until one future is ready, and then everything stands still: other tasks are
//! neither cancelled nor awaited, and go on when the loop is driven again. `close` drops what is pending where it stands
//! and reports it. Programs want `run_single`, which cancels and awaits leftovers; this is for when you need the loop
//! itself, in a GUI or a test.
//!
//! Watch for: the second task starts in the first run and ends in the second; the third never ends, and is reported.

use unstuck::{EventLoop, spawn, task};
use unstuck_examples::{delay, say};

fn main() {
    tutorial(EventLoop::new().expect("the system gives us a loop"));
}

pub(crate) fn tutorial(event_loop: EventLoop) {
    let (slept, second, third) = event_loop.run_until_complete(async {
        let second = spawn(delay(2));
        let third = task::Builder::new().name("third").spawn(delay(3600)); // a name, for the report
        (delay(1).await, second, third)
    });
    println!("the first run gave {slept}; is the second task done? {}", second.is_done());

    event_loop.run_until_complete(async {
        say!("the loop runs again");
        second.await.unwrap();
    });

    event_loop.close(); // reports the third task
    println!("closed; has the third task ended? {}", third.is_done());
}
