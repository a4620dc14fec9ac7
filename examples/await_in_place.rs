//! `.await` runs a future here and now. asyncio: `await coro()`.
//!
//! A future that is awaited runs as part of the task that awaits it, like a function call that may pause. So two awaits
//! in a row take as long as both together. That is often right: the second may need the first one's result. Where it is
//! not, make tasks (`tasks`) or gather (`gather`).
//!
//! Watch for: 1 + 2 = 3 seconds, strictly one after the other.

use unstuck_examples::{delay, say};

fn main() {
    unstuck::run(tutorial());
}

pub(crate) async fn tutorial() {
    let first = delay(1).await;
    let second = delay(2).await;
    say!("slept for {} seconds, one sleep after the other", first + second);
}
