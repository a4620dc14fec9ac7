//! To see what a program is doing: which tasks there are, who awaits whom, and what is probably a mistake.
//!
//! [`graph`] and [`tasks`] tell of the program that calls them. `unstuck-ps` asks another one, also one whose workers are
//! all stuck ([`Builder::inspect`](crate::Builder::inspect)). Both see what tasks await only while *introspection* is on
//! ([`Builder::introspection`](crate::Builder::introspection)).
//!
//! # Debug mode
//!
//! Is it on? asyncio's order: what the program says beats the environment, which beats "off".
//!
//! Debug mode reports on stderr what is legal but probably a mistake: a coroutine that was never awaited, a poll that
//! does not come back, on a single-threaded loop a step of 100 ms ([`Builder::slow_step`](crate::Builder::slow_step)). It is a property of the process: a report may come from a future that no runtime has ever seen. A
//! runtime asks once, when it is built, where its stall guard's reports go.

mod graph;
mod json;
pub(crate) mod serve;

pub use graph::Graph;
pub use unstuck_core::inspect::{Await, On, Running, TaskInfo, TaskState};

use std::sync::OnceLock;
// Not `unstuck_core::sync`: a switch nobody waits for, and it must live in a `static`, which loom's atomics cannot.
use std::sync::atomic::{AtomicU8, Ordering};

use unstuck_time::Instant;

use crate::runtime::Handle;
use crate::task::TaskRef;

const UNSET: u8 = 0;
const OFF: u8 = 1;
const ON: u8 = 2;

/// What the program said.
static OVERRIDE: AtomicU8 = AtomicU8::new(UNSET);

/// True in debug mode: switched on by [`set_enabled`], or by `UNSTUCK_DEBUG` in the environment.
///
/// An empty `UNSTUCK_DEBUG` and `0` mean off, everything else means on. The environment is read once.
///
/// ```
/// unstuck::debug::set_enabled(Some(true));
/// assert!(unstuck::debug::enabled());
/// ```
pub fn enabled() -> bool {
    // Relaxed: the switch carries no data, a report a moment early or late harms nobody.
    match OVERRIDE.load(Ordering::Relaxed) {
        ON => true,
        OFF => false,
        _ => in_environment(),
    }
}

/// Switches debug mode on or off for the whole process; `None` goes back to what the environment says.
pub fn set_enabled(on: Option<bool>) {
    let value = match on {
        None => UNSET,
        Some(false) => OFF,
        Some(true) => ON,
    };
    // Relaxed: see `enabled`.
    OVERRIDE.store(value, Ordering::Relaxed);
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

fn in_environment() -> bool {
    static FOUND: OnceLock<bool> = OnceLock::new();
    *FOUND.get_or_init(|| {
        std::env::var_os("UNSTUCK_DEBUG").is_some_and(|value| !value.is_empty() && value != "0")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_program_says_beats_the_environment() {
        set_enabled(Some(true));
        assert!(enabled());
        set_enabled(Some(false));
        assert!(!enabled());
        set_enabled(None);
        assert_eq!(enabled(), in_environment());
    }
}
