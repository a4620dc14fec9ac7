//! To see what a program is doing: which tasks there are, who awaits whom, and what is probably a mistake.
//!
//! [`graph`] and [`tasks`] tell of the program that calls them. `unstuck-ps` asks another one, also one whose workers are
//! all stuck ([`Builder::inspect`](crate::Builder::inspect)). Both see what tasks await only while *introspection* is on
//! ([`Builder::introspection`](crate::Builder::introspection)).
//!
//! # Debug mode
//!
//! Debug mode reports on stderr what is legal but probably a mistake: a coroutine that was never awaited, a poll that
//! does not come back, on a single-threaded loop a step of 100 ms ([`Builder::slow_step`](crate::Builder::slow_step); one
//! task's own with [`task::Builder::slow_step`](crate::task::Builder::slow_step)).
//!
//! Each runtime has its own. Is it on? asyncio's order: what the program says ([`Builder::debug`](crate::Builder::debug)) beats
//! the environment (`UNSTUCK_DEBUG`), which beats "off". Code that runs in no runtime goes by the environment. So a library's
//! runtime beside the program's stays as quiet as it was, and a test sees its own reports only.

mod graph;
mod json;
pub(crate) mod serve;

pub use graph::Graph;
pub use unstuck_core::inspect::{Await, On, Running, TaskInfo, TaskState};

use std::sync::OnceLock;

use unstuck_time::Instant;

use crate::runtime::{Handle, stack};
use crate::task::TaskRef;

/// True in debug mode: that of this thread's runtime, or outside of all of them what `UNSTUCK_DEBUG` says.
///
/// An empty `UNSTUCK_DEBUG` and `0` mean off, everything else means on. The environment is read once.
///
/// ```
/// let quiet = unstuck::Runtime::builder().debug(false).build().unwrap();
/// let loud = unstuck::Runtime::builder().debug(true).build().unwrap();
/// assert!(loud.block_on(async { unstuck::debug::enabled() }));
/// assert!(!quiet.block_on(async { unstuck::debug::enabled() }));
/// ```
#[must_use]
pub fn enabled() -> bool {
    stack::debugs().unwrap_or_else(in_environment)
}

/// Who awaits whom at this moment, in this thread's runtime: asyncio's `print_call_graph`, of all tasks.
///
/// ```
/// # let runtime = unstuck::Runtime::builder().introspection(true).start_paused(true).build_single().unwrap();
/// # runtime.run_until_complete(async {
/// use std::time::Duration;
///
/// let fetch = unstuck::task::Builder::new().name("fetch").spawn(unstuck::sleep(Duration::from_secs(2)));
/// let page = unstuck::task::Builder::new().name("page").spawn(async { fetch.await });
/// unstuck::sleep(Duration::from_secs(1)).await;
/// println!("{}", unstuck::debug::graph());
/// // main (src/main.rs:3) RUNNING for 15µs on main
/// // page (task 2, src/main.rs:8) waiting
/// // └── fetch (task 1, src/main.rs:7) waiting
/// //     └── sleep, 1s left
/// # assert!(unstuck::debug::graph().to_string().contains("    └── sleep, 1s left"));
/// # drop(page);
/// # });
/// ```
///
/// Without [introspection](crate::Builder::introspection) it knows the tasks, and not what they await.
///
/// # Panics
/// Panics outside a runtime.
#[track_caller]
#[must_use]
pub fn graph() -> Graph {
    Handle::current().graph()
}

/// What is known of every unfinished task of this thread's runtime, and of the futures that `run` and `block_on` were
/// given.
///
/// [`all_tasks`](crate::all_tasks) gives the tasks themselves, to watch, name or cancel them.
///
/// # Panics
/// Panics outside a runtime.
#[track_caller]
#[must_use]
pub fn tasks() -> Vec<TaskInfo> {
    Handle::current().inspect()
}

/// What is known of one task, whether or not it has ended.
///
/// ```
/// # unstuck::run(async {
/// use unstuck::debug::TaskState;
///
/// let mut task = unstuck::spawn(std::future::pending::<()>());
/// let watch = task.watch();
/// task.cancel();
/// assert!((&mut task).await.is_err());
/// assert_eq!(unstuck::debug::info(&watch).state, TaskState::Done);
/// # });
/// ```
#[must_use]
pub fn info(task: &TaskRef) -> TaskInfo {
    unstuck_core::inspect::info(task, Instant::now().on_time_line())
}

/// What a runtime does that was not told.
pub(crate) fn in_environment() -> bool {
    static FOUND: OnceLock<bool> = OnceLock::new();
    *FOUND.get_or_init(|| {
        std::env::var_os("UNSTUCK_DEBUG").is_some_and(|value| !value.is_empty() && value != "0")
    })
}
