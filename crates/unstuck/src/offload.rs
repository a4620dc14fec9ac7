//! Calls that must not run on a worker: those that wait, and those that compute.
//!
//! | the call | use | runs on |
//! |---|---|---|
//! | waits: files, DNS, C libraries, a blocking client | [`to_thread`] | a pool of threads that grows to 512 |
//! | computes for longer than about 100 µs | [`cpu`] | a rayon pool with a thread per CPU |
//! | computes, for each of many items | [`par_map`] | the same, results in order |
//! | either, in a pool of your own | [`run_in_executor`] | any [`Executor`] |
//! | waits, with a name, a limit, a thread of its own | [`call()`] | the same threads, past a [`Limiter`] |
//! | reads a file, looks up a name | [`fs`](crate::fs), [`net::lookup`](crate::net::lookup) | the same, with room kept for it |
//!
//! A closure that runs asks [`is_cancelled`] or [`check`] whether anybody still wants it.
//!
//! asyncio's process pool becomes a thread pool here: Rust threads compute in parallel without help of processes. What
//! a thread cannot do is be killed: a job that runs, runs to its end. For that there are real processes, `unstuck::process`
//! (feature `process`).
//!
//! # Adaptive offload
//!
//! Waking a thread and being woken by it takes microseconds, and many calls that might wait hardly ever do: a file that
//! the kernel has in memory is read in three. So on the multi-threaded runtime every call site of [`to_thread`] and
//! [`spawn_blocking`] keeps an estimate of how long its closures run, and a call of a site known to be short (below 20 µs)
//! becomes a task on the worker that makes it. That is some 0.3 µs there and back.
//!
//! * A site begins in the pool, and is trusted after some sixteen short runs. *One* run of 20 µs or more sends it back at
//!   once, and a site that was slow on a worker has to prove itself for longer each time.
//! * The net under a wrong guess is the [stall guard](crate::Builder::stall_guard): a closure that blocks its worker is
//!   seen after 5 ms, other threads serve what waits behind it, and calls of the same site that wait go to the pool.
//! * A site is the place in the source *and* the type of the closure. Wrap `to_thread` with `#[track_caller]` to keep
//!   your callers apart also where the closures are function pointers.
//! * Inside, everything is as in the pool: the closure may block, and [`JobHandle`] does what it says. Only
//!   `thread::current()` may be a worker, so do not count on thread-locals of the pool's threads.
//! * [`call_sites`] tells what is believed; [`Builder::adaptive_offload(false)`](crate::Builder::adaptive_offload)
//!   switches it off; [`run_in_executor`] with [`DefaultExecutor`] always takes a thread. It never happens on a
//!   single-threaded loop, on a paused clock, without the guard, or to calls from outside of tasks.

mod adaptive;
mod call;
pub(crate) mod desks;
mod own;
mod sites;

pub use call::{Call, call};
pub(crate) use own::own;
pub use sites::{CallSite, call_sites};
pub use unstuck_blocking::{
    Limiter, LimiterStatistics, Overflow, Route, RunningJob, Shutdown, ShutdownReport, ThreadPool,
};
pub use unstuck_core::job::{
    CancelToken, Cancelled, Executor, Job, JobHandle, Options, QueuedJob, check, is_cancelled, job,
};
pub use unstuck_cpu::{Builder as CpuBuilder, CpuPool, Map};

use std::panic::Location;

use crate::runtime::Handle;
use crate::runtime::stack::{self, Stack};

/// Runs a call that waits on a thread of the blocking pool, and gives a future of its result: asyncio's `to_thread`.
///
/// The pool has no threads at first, makes one when none is idle, and lets them go after ten idle seconds. The closure
/// may use the runtime: `unstuck::spawn` and `Handle::block_on` work inside it. A call that has shown to be short does not
/// leave its worker: [adaptive offload](crate::offload#adaptive-offload).
///
/// ```
/// # unstuck::run(async {
/// let text = unstuck::to_thread(|| std::fs::read_to_string("Cargo.toml")).await.unwrap().unwrap();
/// assert!(text.contains("[package]"));
/// # });
/// ```
///
/// Not for work that computes: 512 threads that compute get nothing done. Use [`cpu`].
///
/// # Cancellation
/// Dropping the handle lets the call go on by itself. [`JobHandle::cancel`] takes back a call that has not begun; one
/// that runs can [see](is_cancelled) that it was cancelled, and cannot be stopped if it does not look.
///
/// # Errors
/// The result is a [`JoinError`](crate::JoinError) if the closure panicked, was cancelled, or was refused because the
/// runtime has shut down or a [bounded queue](crate::Builder::blocking_queue) is full.
///
/// # Panics
/// Panics outside a runtime.
#[track_caller]
pub fn to_thread<F, T>(f: F) -> JobHandle<T>
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    let place = Location::caller(); // here: a closure would be its own caller
    match stack::with_current(|handle| handle.map(|handle| blocking_from(place, handle, f))) {
        Some(job) => job,
        None => no_runtime("to_thread"),
    }
}

/// [`to_thread`] under the name that users of tokio know.
#[track_caller]
pub fn spawn_blocking<F, T>(f: F) -> JobHandle<T>
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    to_thread(f)
}

/// Runs a call that computes on the CPU pool, and gives a future of its result.
///
/// The pool is rayon's, with a thread per CPU, made at the first call. `par_iter` and `join` inside the closure use the
/// same threads.
///
/// ```
/// # unstuck::run(async {
/// let sum = unstuck::cpu(|| (1..=1_000_000_u64).sum::<u64>()).await.unwrap();
/// assert_eq!(sum, 500_000_500_000);
/// # });
/// ```
///
/// Not for calls that wait: while they do, a CPU is idle. Use [`to_thread`].
///
/// # Cancellation
/// As for [`to_thread`].
///
/// # Errors
/// As for [`to_thread`].
///
/// # Panics
/// Panics outside a runtime.
#[track_caller]
pub fn cpu<F, T>(f: F) -> JobHandle<T>
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    let place = Location::caller(); // here: a closure would be its own caller
    match stack::with_current(|handle| handle.map(|handle| cpu_from(place, handle, f))) {
        Some(job) => job,
        None => no_runtime("cpu"),
    }
}

/// Applies `f` to every item on the CPU pool, several at a time, and gives the results in the items' order: a stream, like
/// `ProcessPoolExecutor.map` in Python.
///
/// [`Map::chunk`] puts several items into one job, which pays for short calls; [`Map::lookahead`] bounds how far it runs
/// ahead of who takes the results, so the items may be endless. Nothing happens before the first result is asked for.
///
/// ```
/// # unstuck::run(async {
/// let squares: Vec<u64> = unstuck::par_map(1..=5_u64, |n| n * n).chunk(2).try_collect().await.unwrap();
/// assert_eq!(squares, [1, 4, 9, 16, 25]);
///
/// let mut endless = unstuck::par_map(0.., |n: u64| n.count_ones()).lookahead(64);
/// assert_eq!(endless.next().await.unwrap().unwrap(), 0);
/// # });
/// ```
///
/// An overall time limit is [`timeout`](crate::timeout()) around it. When that passes, what has not begun never runs:
///
/// ```
/// use std::time::Duration;
/// use unstuck::{par_map, timeout};
///
/// # unstuck::run(async {
/// let slow = par_map(0..1_000, |_| std::thread::sleep(Duration::from_millis(50))).try_collect::<Vec<()>>();
/// assert!(timeout(Duration::from_millis(20), slow).await.is_err());
/// # });
/// ```
///
/// # Cancellation
/// Dropping it cancels what has not begun; a chunk that runs ends after its present item.
///
/// # Errors
/// An item whose call panics gives an error at its own position, and the others are not affected.
///
/// # Panics
/// Panics outside a runtime.
#[track_caller]
pub fn par_map<I, F, T>(items: I, f: F) -> Map<I::IntoIter, F, T>
where
    I: IntoIterator<Item: Send + 'static>,
    F: Fn(I::Item) -> T + Send + Sync + 'static,
    T: Send + 'static,
{
    let place = Location::caller(); // here: a closure would be its own caller
    let Some(handle) = stack::current() else { no_runtime("par_map") };
    let map = handle.stack().cpu.handle().map_from(place, items, f);
    map.submit_with(move |options| handle.stack().held(options))
}

/// Runs `job` in `executor`: asyncio's `run_in_executor`.
///
/// An executor is the [`DefaultExecutor`] (asyncio's `None`), a [`ThreadPool`], a [`CpuPool`], a `rayon::ThreadPool`, or
/// a type of yours.
///
/// ```
/// use unstuck::offload::{CpuPool, DefaultExecutor, ThreadPool};
/// use unstuck::run_in_executor;
///
/// unstuck::run(async {
///     let threads = ThreadPool::builder().max_threads(3).build().unwrap();
///     let compute = CpuPool::builder().threads(2).build().unwrap();
///     let a = run_in_executor(&DefaultExecutor, || 1);
///     let b = run_in_executor(&threads, || 2);
///     let c = run_in_executor(&compute, || 3);
///     assert_eq!((a.await.unwrap(), b.await.unwrap(), c.await.unwrap()), (1, 2, 3));
/// });
/// ```
///
/// # Cancellation
/// As for [`to_thread`].
///
/// # Errors
/// As for [`to_thread`].
#[track_caller]
pub fn run_in_executor<J, E>(executor: &E, job: J) -> JobHandle<J::Output>
where
    J: Job,
    E: Executor<J> + ?Sized,
{
    executor.submit(job, Options::new().place(Location::caller()))
}

/// The runtime's own pool for calls that wait: what [`to_thread`] uses, and asyncio's `None` in `run_in_executor`.
#[derive(Clone, Copy, Debug, Default)]
pub struct DefaultExecutor;

impl<J: Job> Executor<J> for DefaultExecutor {
    #[track_caller]
    fn submit(&self, job: J, options: Options) -> JobHandle<J::Output> {
        let submit = |stack: &Stack| stack.blocking.submit(job, stack.held(options));
        match stack::with_current(|handle| handle.map(|handle| submit(handle.stack()))) {
            Some(job) => job,
            None => no_runtime("run_in_executor"),
        }
    }
}

type Place = &'static Location<'static>;

/// Runs `f` in the blocking pool of `handle`'s runtime, or here if it is short, on behalf of `place`.
pub(crate) fn blocking_from<F, T>(place: Place, handle: &Handle, f: F) -> JobHandle<T>
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    adaptive::submit(handle.stack(), Options::new().place(place), place, f)
}

/// Submits to the CPU pool of `handle`'s runtime, on behalf of `place`.
pub(crate) fn cpu_from<J: Job>(place: Place, handle: &Handle, job: J) -> JobHandle<J::Output> {
    let stack = handle.stack();
    stack.cpu.submit(job, stack.held(Options::new().place(place)))
}

#[cold]
#[track_caller]
fn no_runtime(call: &str) -> ! {
    panic!(
        "no runtime on this thread: call {call}() inside unstuck::run(..), or hold a Runtime::enter() guard"
    )
}
