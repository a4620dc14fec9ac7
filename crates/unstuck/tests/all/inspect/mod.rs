//! Looking at tasks: what they are up to, who awaits whom, and from outside of the process.

mod graph;
mod meeting_points;
mod socket;
mod tasks;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use unstuck::{EventLoop, Runtime, Task};

/// asyncio's loop on a paused clock, with notes taken.
fn noted() -> EventLoop {
    Runtime::builder().introspection(true).start_paused(true).build_single().unwrap()
}

fn spawn<F>(name: &str, future: F) -> Task<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    unstuck::task::Builder::new().name(name).spawn(future)
}

/// Lines without what differs from run to run: task numbers, line numbers, and for how long who runs where.
fn plain(text: &str) -> String {
    let mut plain = String::new();
    for line in text.lines() {
        let mut rest = line;
        while let Some(at) = rest.find(" (task ") {
            let end = rest[at..].find(')').map_or(rest.len(), |end| at + end + 1);
            plain += &rest[..at];
            rest = &rest[end..];
        }
        let running = rest.find("RUNNING").map_or(rest.len(), |at| at + "RUNNING".len());
        plain += &rest[..running];
        plain.push('\n');
    }
    plain
}

/// Counts what happens.
#[derive(Clone, Default)]
struct Count(Arc<AtomicU64>);

impl Count {
    fn up(&self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }

    fn get(&self) -> u64 {
        self.0.load(Ordering::SeqCst)
    }
}
