//! Spawning on the loop of this thread.

use std::future::Future;
use std::panic::Location;
use std::sync::Arc;

use crate::context;
use crate::task::{Spawn, Task};

/// Spawns a future that need not be `Send` on the single-threaded loop of this thread.
///
/// # Panics
/// Panics when no single-threaded loop runs on this thread.
#[track_caller]
pub fn spawn_local<F: Future + 'static>(future: F) -> Task<F::Output> {
    spawn_local_as(None, false, future)
}

/// The same, with a name if it has one; `eager`: its first step is taken here and now.
///
/// # Panics
/// Panics when no single-threaded loop runs on this thread.
#[track_caller]
pub fn spawn_local_as<F: Future + 'static>(
    name: Option<Arc<str>>,
    eager: bool,
    future: F,
) -> Task<F::Output> {
    // Outside the closure: inside, the caller would be this file.
    let how = Spawn { name, place: Location::caller(), is_call: false };
    let spawned = context::with_local(|local| {
        let local = local?;
        Some(if eager {
            Ok(local.spawn_local_eager(future, how))
        } else {
            Err(local.spawn_local_at(future, how))
        })
    });
    match spawned {
        Some(Ok(task)) => task,
        Some(Err(spawned)) => spawned.task(),
        None => panic!(
            "spawn_local() needs a single-threaded loop on this thread: use EventLoop, run_single(..) or \
             #[unstuck::main(flavor = \"single\")], or spawn() if the future is Send"
        ),
    }
}
