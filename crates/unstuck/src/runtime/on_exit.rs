//! What becomes of the tasks that are left when the main future is ready.

use super::Builder;

/// What becomes of the tasks that are left when the main future of a run is ready.
///
/// For [`run`](crate::run()), `#[unstuck::main(on_exit = "..")]`, [`Runtime::run`](crate::Runtime::run),
/// [`EventLoop::run`](crate::EventLoop::run) and [`Runner`](crate::Runner). Set it with
/// [`Builder::on_exit`](crate::Builder::on_exit).
///
/// ```
/// use unstuck::{OnExit, Runtime, spawn, yield_now};
///
/// # fn main() -> std::io::Result<()> {
/// let (tell, told) = std::sync::mpsc::channel();
/// Runtime::builder().on_exit(OnExit::Drain).build()?.run(async {
///     spawn(async move {
///         yield_now().await;
///         tell.send("to the end").unwrap();
///     })
///     .detach();
/// });
/// assert_eq!(told.recv().unwrap(), "to the end");
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum OnExit {
    /// They are cancelled, and their ends are awaited: what asyncio's `run` does.
    #[default]
    Cancel,
    /// They run to their ends, and so do those that they spawn. One that never ends keeps the run from returning.
    Drain,
    /// Nobody waits. On a multi-threaded runtime they go on in the background, until they end or the process does; then
    /// the runtime's threads end, too. A single-threaded loop runs nothing when nobody runs it: tasks are dropped where
    /// they stand and reported, as by [`EventLoop::close`](crate::EventLoop::close).
    Detach,
}

/// How a run ends, and who may end it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Exit {
    pub(crate) on_exit: OnExit,
    /// A run listens for Ctrl-C.
    pub(crate) ctrl_c: bool,
}

impl Default for Exit {
    fn default() -> Self {
        Self { on_exit: OnExit::Cancel, ctrl_c: true }
    }
}

impl Builder {
    /// What becomes of the tasks that are left when the main future of a run is ready: they are cancelled and awaited
    /// ([`OnExit::Cancel`]) unless set.
    #[must_use]
    pub fn on_exit(mut self, on_exit: OnExit) -> Self {
        self.exit.on_exit = on_exit;
        self
    }

    /// Whether a [`Runner`](crate::Runner) or `#[unstuck::main]` listens for [Ctrl-C](crate::signal) while it runs. It does
    /// unless set. [`Runtime::run`](crate::Runtime::run) and [`Runtime::block_on`](crate::Runtime::block_on) never do.
    #[must_use]
    pub fn ctrl_c(mut self, listen: bool) -> Self {
        self.exit.ctrl_c = listen;
        self
    }
}
