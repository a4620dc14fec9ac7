//! The smallest program. asyncio: `asyncio.run(main())`.
//!
//! `#[unstuck::main]` makes a runtime, runs the body on it to its end, and cleans up. It is short for a plain `fn main`
//! that calls `unstuck::run(..)`, which the other examples write out.
//!
//! Watch for: one second passes between the two words. Nothing else runs meanwhile, because nobody started anything
//! else; `tasks` does.

use unstuck::sleep;
use unstuck_examples::{SECOND, say};

#[unstuck::main]
async fn main() {
    tutorial().await;
}

pub(crate) async fn tutorial() {
    say!("Hello");
    sleep(SECOND).await;
    say!("World!");
}
