//! asyncio's promises, case by case.
//!
//! A case that holds whoever runs it is written once, with [`both!`], and tested on the single-threaded loop and on the
//! multi-threaded runtime, both on a paused clock. Cases about the exact order of things are single-threaded.

/// One case, twice: `single` and `multi`.
macro_rules! both {
    ($(#[$about:meta])* async fn $name:ident() { $($body:tt)* }) => {
        $(#[$about])*
        mod $name {
            use super::*;

            #[unstuck::test(flavor = "single", paused)]
            async fn single() {
                $($body)*
            }

            #[unstuck::test(worker_threads = 2, paused)]
            async fn multi() {
                $($body)*
            }
        }
    };
}

mod callbacks;
mod calls;
mod cancellation;
mod contextvars;
mod debug;
mod deferred;
mod delays;
mod eager;
mod ending;
mod failures;
mod gather;
mod gather_cancel;
mod groups;
mod locks;
mod offload;
mod order;
mod queues;
mod running;
mod shields;
mod tasks;
mod threads;
mod time_limits;
mod timeouts;
mod waits;

use std::sync::{Arc, Mutex};

/// A list that tasks write what they do into.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<String>>>);

impl Log {
    fn new() -> Self {
        Self::default()
    }

    fn say(&self, line: impl Into<String>) {
        self.0.lock().unwrap().push(line.into());
    }

    fn lines(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }
}
