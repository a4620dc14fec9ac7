//! The attributes of [unstuck](https://docs.rs/unstuck): `main`, `test`, `timed`, `coroutine` and `job`.
//!
//! # The problem
//! An `async fn main` needs someone to start a runtime, and every program pays for the macro that does it: with the
//! usual parser crates that is six seconds of a clean build. These attributes only look at the *outside* of a
//! function (its name, arguments, return type) and never into its body, so plain `proc_macro` is enough and the crate
//! builds in half a second.
//!
//! # The promise
//! * The body and the signature are handed on token by token, with their spans: an error in them points at them.
//! * A misuse gives exactly one error, which names what would have been accepted.
//! * Only what was asked for is set: `#[main]` without arguments is the runtime's own default.
//!
//! # The rooms
//! `function` takes a function apart, `args` reads what stands in the attribute's parentheses, `entry` writes
//! `main` and `test`, `wrap` writes `timed` and `coroutine`, `job` writes `job`, `template` puts tokens together.
//!
//! # Rejected
//! `async move { body }` for `main`: the block's type would be inferred from its first `return`, and
//! `Err(Box::new(e))` would not become a `Box<dyn Error>`. An inner `async fn` with the user's own signature has no
//! such surprise. `timed` and `coroutine` may be methods, where an inner function would lose `self` and the generics;
//! they pin the block's type by a `return` that never runs.

mod args;
mod entry;
mod function;
mod job;
mod template;
mod wrap;

use proc_macro::TokenStream;

/// Runs an `async fn main` on a runtime: to its end, then leftovers are cancelled and awaited.
///
/// ```
/// #[unstuck::main]
/// async fn main() {
///     println!("{}", unstuck::spawn(async { 6 * 7 }).await.unwrap());
/// }
/// ```
///
/// # Arguments
/// * `flavor = "multi"` (as without it) or `"single"`: asyncio's model, one thread, futures need not be `Send`;
/// * `worker_threads = 4`: for `"multi"`;
/// * `debug = true` or `false`: beats the environment's `UNSTUCK_DEBUG`;
/// * `on_exit = "cancel"` (as without it), `"drain"` or `"detach"`: what becomes of tasks that are left at the end;
/// * `ctrl_c = false`: Ctrl-C is left alone. Otherwise the first one cancels the function, whose clean-up runs, and the
///   program ends with the status 130; the second one ends it at once.
///
/// ```
/// #[unstuck::main(flavor = "single", debug = false)]
/// async fn main() -> Result<(), Box<dyn std::error::Error>> {
///     assert_eq!("42".parse::<u8>()?, 42);
///     Ok(())
/// }
/// ```
///
/// # Panics
/// The function panics if the runtime's threads cannot be started.
#[proc_macro_attribute]
pub fn main(arguments: TokenStream, item: TokenStream) -> TokenStream {
    entry::expand(entry::Kind::Main, arguments, item)
}

/// Runs an `async fn` as a test, on a runtime of its own.
///
/// Other attributes, such as `#[should_panic]` and `#[ignore]`, stay in force, and a test may return a `Result`.
///
/// # Arguments
/// Those of [`macro@main`], and
/// * `paused` (or `start_paused = true`): a virtual clock that jumps to the next timer when nothing else can run, so that
///   an hour of sleeping takes no time;
/// * `no_stalls`: the test fails when one of its polls blocks or computes for more than about 10 ms, and says which. A
///   poll that merely waits for a CPU, because the machine is busy, is not to blame.
///
/// ```
/// #[unstuck::test(flavor = "single", paused)]
/// async fn an_hour_passes() {
///     unstuck::sleep(std::time::Duration::from_secs(3600)).await;
/// }
///
/// #[unstuck::test(no_stalls)]
/// async fn reading_a_file_blocks_nobody() {
///     unstuck::to_thread(|| std::fs::read("Cargo.toml")).await.unwrap().unwrap();
/// }
/// ```
#[proc_macro_attribute]
pub fn test(arguments: TokenStream, item: TokenStream) -> TokenStream {
    entry::expand(entry::Kind::Test, arguments, item)
}

/// Prints when an `async fn` starts, with its arguments, and how long it took: asyncio's `@async_timed()`.
///
/// Arguments without `Debug` are shown as their type; `self` and destructured arguments are left out.
///
/// ```
/// #[unstuck::timed]
/// async fn add_one(n: u32) -> u32 {
///     n + 1
/// }
/// # unstuck::run(async {
/// add_one(1).await; // starting add_one with args (1,)
///                   // finished add_one in 0.0000 second(s)
/// # });
/// ```
///
/// # Cancellation
/// Dropping the future half-way prints `cancelled add_one after ..`; a panic prints `panicked in add_one after ..`.
#[proc_macro_attribute]
pub fn timed(arguments: TokenStream, item: TokenStream) -> TokenStream {
    wrap::timed(arguments, item)
}

/// Reports, in debug mode, a call of this `async fn` whose future was dropped without ever being awaited.
///
/// A future does nothing until it is awaited or spawned. With `UNSTUCK_DEBUG=1`, one that is thrown away unused says
/// so on stderr: `coroutine 'save' was never awaited (created at src/main.rs:12)`.
///
/// ```
/// #[unstuck::coroutine]
/// async fn save(text: &str) -> usize {
///     text.len()
/// }
/// # unstuck::run(async {
/// let forgotten = save("draft"); // nothing has run
/// drop(forgotten); // reported
/// assert_eq!(save("final").await, 5);
/// # });
/// ```
///
/// Together with [`macro@timed`], write `#[timed]` above `#[coroutine]`.
#[proc_macro_attribute]
pub fn coroutine(arguments: TokenStream, item: TokenStream) -> TokenStream {
    wrap::coroutine(arguments, item)
}

/// Makes a job of a function: a call that can be put down in writing, and done in another process.
///
/// The function stays what it is. Beside it there is a type of the same name, whose `job(..)` takes the same arguments and
/// gives a job for `unstuck::process::ProcessPool`, or for any other executor.
///
/// ```
/// #[unstuck::job]
/// fn thumbnail(picture: Vec<u8>, size: u32) -> Vec<u8> {
///     picture.into_iter().take(size as usize).collect()
/// }
///
/// #[unstuck::main]
/// async fn main() {
///     let pool = unstuck::process::ProcessPool::builder().build().unwrap();
///     let small = pool.spawn(thumbnail::job(vec![7; 1_000], 3)).await.unwrap();
///     assert_eq!(small, thumbnail(vec![7; 1_000], 3));
/// }
/// ```
///
/// Arguments and result are of types with serde's `Serialize` and `Deserialize` (what is written `Vec<u8>` travels as
/// bytes; inside of other types use `unstuck::process::ByteBuf`). The function is free (no `self`), plain (no `async`), and not
/// generic. Needs the feature `process`.
#[proc_macro_attribute]
pub fn job(arguments: TokenStream, item: TokenStream) -> TokenStream {
    job::expand(arguments, item)
}
