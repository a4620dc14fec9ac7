//! Calls of the runtime's own, for `fs` and `net`: the pool keeps room for them that users' calls cannot take.

use std::io;
use std::panic::Location;

use unstuck_blocking::Route;
use unstuck_core::JoinError;
use unstuck_core::job::Options;

use crate::runtime::stack::{self, Stack};

/// Runs `work` on the blocking pool when it is first polled. `call` is what the user called, at `place`.
pub(crate) async fn own<T, F>(call: &'static str, place: &'static Location<'static>, work: F) -> io::Result<T>
where
    F: FnOnce() -> io::Result<T> + Send + 'static,
    T: Send + 'static,
{
    let options = Options::new().name(call).place(place).reserved().cancel_on_drop();
    let submit = |stack: &Stack| stack.blocking.submit_in(work, stack.held(options), &Route::new());
    let Some(job) = stack::with_current(|handle| handle.map(|handle| submit(handle.stack()))) else {
        super::no_runtime(call)
    };
    match job.await.map_err(JoinError::try_into_panic) {
        Ok(result) => result,
        Err(Ok(panic)) => std::panic::resume_unwind(panic),
        // The runtime has shut down: the error says so.
        Err(Err(error)) => Err(io::Error::other(error.to_string())),
    }
}
