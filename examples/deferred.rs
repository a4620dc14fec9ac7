//! A value that somebody will set. asyncio: `Future()`.
//!
//! A `Deferred` is an empty box: one side puts a value (or an error) in, once; any number of others await it. It
//! needs no runtime. Programs rarely make one by hand; it is what callbacks are turned into awaitables with.
//!
//! Watch for: asking before it is set and setting it twice are errors (Python's `InvalidStateError`), not panics; two
//! waiters get the one value at the same moment.

use unstuck::{Deferred, sleep, spawn};
use unstuck_examples::{SECOND, say};

fn main() {
    unstuck::run_single(tutorial());
}

pub(crate) async fn tutorial() {
    let my_future = Deferred::new();
    say!("Is my_future done? {}", my_future.is_done());
    say!("What is its result? {}", my_future.result().unwrap_err());
    my_future.set_result(42).unwrap();
    say!("Is my_future done? {}", my_future.is_done());
    say!("What is the result of my_future? {}", my_future.result().unwrap());
    say!("Can it be set again? {}", my_future.set_result(43).unwrap_err());

    let answer = make_request();
    say!("Is the request answered? {}", answer.is_done());
    let second_waiter = spawn(answer.clone());
    say!("The first waiter got {}", answer.await.unwrap());
    say!("The second waiter got {}", second_waiter.await.unwrap().unwrap());

    let broken = Deferred::<u32>::new();
    broken.set_error("the line is dead").unwrap();
    say!("A future can hold an error: {}", broken.await.unwrap_err());
}

/// Returns at once; the value comes a second later.
fn make_request() -> Deferred<u32> {
    let answer = Deferred::new();
    let setter = answer.clone();
    spawn(async move {
        sleep(SECOND).await;
        setter.set_result(42).expect("nobody else sets it");
    })
    .detach();
    answer
}
