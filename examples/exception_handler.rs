//! Failures that nobody would see. asyncio: `loop.set_exception_handler`, "Task exception was never retrieved".
//!
//! A task that panics keeps its panic for whoever awaits it. If nobody does, and the handle is gone, the exception handler
//! is told, once; without a handler it is a line on standard error. Calls that panic go there too: nobody can await them.
//!
//! Watch for the silence after "awaited": a failure that somebody looks at is nobody else's business.

use unstuck::{Handle, sleep, spawn, task};
use unstuck_examples::{SECOND, say};

fn main() {
    std::panic::set_hook(Box::new(|_| ())); // Rust's own line about each panic
    unstuck::run_single(tutorial());
}

pub(crate) async fn tutorial() {
    Handle::current().set_exception_handler(|failure| match failure.task() {
        Some(task) => say!("handler: task '{}': {}", task.name(), failure.message().unwrap_or("?")),
        None => say!("handler: {:?}: {}", failure.kind(), failure.message().unwrap_or("?")),
    });

    let reader = task::Builder::new().name("reader").spawn(async { panic!("no such file") });
    let error = reader.await.map(|(): ()| ()).unwrap_err();
    say!("awaited: {}", error.panic_message().unwrap_or("?"));

    task::Builder::new().name("writer").spawn(async { panic!("disk full") }).detach();
    let forgotten = task::Builder::new().name("forgotten").spawn(async { panic!("never asked") });
    sleep(SECOND).await;
    say!("the handle of 'forgotten' is dropped");
    drop(forgotten);

    Handle::current().call_soon(|| panic!("wrong number"));
    sleep(SECOND).await;

    Handle::current().set_exception_handler(|failure| {
        say!("handler: {} … and fails itself", failure.message().unwrap_or("?"));
        panic!("out of order");
    });
    spawn(async { panic!("one more") }).detach();
    sleep(SECOND).await;
    say!("the loop goes on");
}
