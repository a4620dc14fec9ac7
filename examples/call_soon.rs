//! Plain functions, called by the loop. asyncio: `loop.call_soon`, `call_later`, `call_at`.
//!
//! No coroutine is needed: the loop calls the function at its next turn, or at a given time, once, and first in first
//! out. The call can be taken back until it has begun. From other threads too: Python's `call_soon_threadsafe` is the
//! same function here.
//!
//! Watch for the order: before, after call_soon, Hallo, woke. The function is called when this task awaits, not before.

use unstuck::{Handle, sleep};
use unstuck_examples::{SECOND, say};

fn main() {
    unstuck::run_single(tutorial()); // one thread, as in asyncio: the order of the lines is exact
}

pub(crate) async fn tutorial() {
    let event_loop = Handle::current();
    say!("before");
    event_loop.call_soon(|| say!("Hallo"));
    say!("after call_soon");
    sleep(SECOND).await;
    say!("woke");

    event_loop.call_later(2 * SECOND, || say!("called two seconds later"));
    event_loop.call_at(event_loop.now() + SECOND, || say!("called at a given time"));
    let regretted = event_loop.call_later(SECOND, || say!("never said"));
    say!("was it taken back in time? {}", regretted.cancel());
    sleep(2 * SECOND).await;
    sleep(SECOND / 2).await;
    say!("woke again");
}
