//! asyncio's promises, case by case.
//!
//! A case that holds whoever runs it is written once, with [`both!`], and tested on the single-threaded loop and on the
//! multi-threaded runtime, both on a paused clock. Cases about the exact order of things are single-threaded.
//!
//! `README.md` beside this file has a line for each case, with its tests.

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

mod beside_cpython;
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
mod group_children;
mod groups;
mod locks;
mod odd_programs;
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

use std::future::{Future, poll_fn};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

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

/// So many sleeps of 0, 1, 2 … seconds, and how often they have been polled.
fn counted_naps(count: u32) -> (Arc<AtomicUsize>, Vec<impl Future<Output = ()> + Unpin + Send>) {
    let polls = Arc::new(AtomicUsize::new(0));
    let naps = (0..count).map(|number| {
        let (polls, mut nap) = (polls.clone(), Box::pin(unstuck::sleep(Duration::from_secs(number.into()))));
        poll_fn(move |cx| {
            polls.fetch_add(1, Ordering::SeqCst);
            nap.as_mut().poll(cx)
        })
    });
    let naps = naps.collect();
    (polls, naps)
}
