//! Which loop am I in? asyncio: `get_running_loop()`, `loop.time()`.
//!
//! `Handle::current()` is the runtime of this thread. It can be cloned and sent anywhere, so that a plain thread can
//! start tasks too (Python's `run_coroutine_threadsafe`). Outside of a runtime there is none: `try_current` says so, and
//! `current` panics with the way out.
//!
//! `time()` is the loop's clock, in seconds since the loop was made: the number in front of these lines. It never goes
//! backwards, and in tests it can be virtual.
//!
//! Watch for: the thread's task runs on the loop, although the thread itself is outside.

use std::thread;

use unstuck::{Deferred, EventLoop, Handle, sleep, time};
use unstuck_examples::{SECOND, say};

fn main() {
    tutorial(EventLoop::new().expect("the system gives us a loop"));
}

pub(crate) fn tutorial(event_loop: EventLoop) {
    println!("outside: is there a loop? {}", Handle::try_current().is_some());
    event_loop.run(async {
        let handle = Handle::current();
        say!("inside: is there a loop? {}", Handle::try_current().is_some());

        let begun = time();
        sleep(SECOND).await;
        say!("{:.1} s passed on the loop's clock", (time() - begun).as_secs_f64());

        let answer = Deferred::new();
        let sender = answer.clone();
        thread::spawn(move || {
            let outside = Handle::try_current().is_none();
            let task = handle.spawn(async { Handle::try_current().is_some() }); // runs on the loop
            let inside = handle.block_on(task).unwrap(); // only this thread waits
            sender.set_result((outside, inside))
        });
        let (outside, inside) = answer.await.unwrap();
        say!("the thread was outside: {outside}; its task was inside: {inside}");
    });
    println!("outside: is there a loop? {}", Handle::try_current().is_some());
}
