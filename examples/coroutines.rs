//! Calling an `async fn` runs nothing. asyncio: coroutines.
//!
//! The call only makes a future: a description of work. It runs when it is awaited, spawned, or handed to `run`. The
//! classic mistake is to forget that. The compiler warns of `add_one(1);` on a line of its own, but not of a future
//! that was stored somewhere and dropped. `#[unstuck::coroutine]` reports it, in debug mode, with the place where it
//! was made; Python's "coroutine was never awaited".
//!
//! Debug mode is on with `UNSTUCK_DEBUG=1`, `#[unstuck::main(debug = true)]`, or as below.
//!
//! Watch for: "add_one(1) runs" comes after "nothing has run yet"; add_one(41) never runs, and is reported.

fn main() {
    unstuck::run(tutorial());
}

#[unstuck::coroutine]
async fn add_one(number: u32) -> u32 {
    println!("add_one({number}) runs");
    number + 1
}

pub(crate) async fn tutorial() {
    unstuck::Handle::current().set_debug(true);

    let coroutine = add_one(1);
    println!("called, and nothing has run yet");
    println!("awaited, it gave {}", coroutine.await);

    let forgotten = add_one(41);
    drop(forgotten); // reported, with the line above this one
    println!("the forgotten one did nothing");
}
