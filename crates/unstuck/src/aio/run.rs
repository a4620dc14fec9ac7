//! From plain code into async code: asyncio's `run`.

use std::future::Future;

use crate::runtime::Runner;

/// Runs `future` on a new multi-threaded runtime and gives its value: asyncio's `run()`.
///
/// When `future` is ready, tasks that are left are cancelled *and awaited*, then the pools are closed; only then does
/// this return. The future itself runs on the calling thread and may borrow from it; tasks run on a worker per CPU.
///
/// ```
/// let answer = unstuck::run(async {
///     let six = unstuck::spawn(async { 6 });
///     let seven = unstuck::to_thread(|| 7);
///     six.await.unwrap() * seven.await.unwrap()
/// });
/// assert_eq!(answer, 42);
/// ```
///
/// # Ctrl-C
/// The first one cancels `future`; after the clean-up the process ends with the status 130. The second one ends it at
/// once. See [`signal`](crate::signal), and [`Runner`] for a run that gives an error instead.
///
/// # Panics
/// Panics inside async code, which it would stall: `.await` the future instead. When `future` panics, after the same
/// clean-up. And when the system refuses the worker threads; [`Runner::new`] gives an error instead.
#[track_caller]
pub fn run<F: Future>(future: F) -> F::Output {
    refuse_nested("run");
    match Runner::new() {
        Ok(runner) => runner.run_to_the_end(future),
        Err(error) => panic!("the runtime could not be started: {error}"),
    }
}

/// Runs `future` on a new single-threaded loop, asyncio's own model, and gives its value.
///
/// Everything takes its turn on the calling thread: a task that blocks or computes stalls all others. Futures need not
/// be [`Send`] ([`spawn_local`](crate::spawn_local)). Leftovers are cancelled and awaited, and Ctrl-C is heard, as by [`run`].
///
/// ```
/// unstuck::run_single(async {
///     let task = unstuck::spawn(async { println!("second") });
///     println!("first"); // a task starts at its creator's next await
///     task.await.unwrap();
/// });
/// ```
///
/// # Panics
/// Panics inside async code, which it would stall: `.await` the future instead. When `future` panics, after the same
/// clean-up.
#[track_caller]
pub fn run_single<F: Future>(future: F) -> F::Output {
    refuse_nested("run_single");
    match Runner::single() {
        Ok(runner) => runner.run_to_the_end(future),
        Err(error) => panic!("the loop could not be made: {error}"),
    }
}

/// A runtime inside a runtime is made for nothing: say so before making it.
#[track_caller]
fn refuse_nested(call: &str) {
    assert!(
        !unstuck_core::is_inside(),
        "{call}() inside async code would stall the thread that runs it: .await the future instead, or spawn it"
    );
}
