//! Everything that can be awaited. asyncio: coroutine, `Task`, `Future`, and what they have in common.
//!
//! In Rust the common trait is `Future` (or `IntoFuture`, for things that become one). The call of an `async fn`, a task,
//! a `Deferred` and a job on another thread are all awaitable, so one function can take any of them, and so can
//! `gather`, `wait_for` and `timeout`.
//!
//! A task is both halves of asyncio's picture: like a coroutine it is code that runs, like a future it is a box that
//! will hold a result, which one may look into (`is_done`, `try_result`).
//!
//! Watch for: what can fail gives a `Result`; the bare `async fn` gives its value as it is.

use std::fmt::Debug;

use unstuck::{Deferred, spawn, to_thread};
use unstuck_examples::say;

fn main() {
    unstuck::run_single(tutorial());
}

async fn show<A>(what: &str, awaitable: A)
where
    A: IntoFuture,
    A::Output: Debug,
{
    say!("{what} gave {:?}", awaitable.await);
}

async fn answer() -> u32 {
    42
}

pub(crate) async fn tutorial() {
    show("a coroutine", answer()).await;
    show("a task", spawn(answer())).await;

    let deferred = Deferred::new();
    deferred.set_result(42).expect("it was not set before");
    show("a future", deferred).await;

    show("a call on another thread", to_thread(|| 42)).await;
}
