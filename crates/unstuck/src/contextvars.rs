//! Context variables: what code knows without being told. Python's `contextvars`.
//!
//! A [`ContextVar`] has a value in each *context*, and every task has a context of its own: a copy of its creator's at
//! the moment of the spawn. So a variable that is set for one request is seen by everything that serves this request,
//! by the tasks and jobs it starts too, and by nothing else.
//!
//! ```
//! use unstuck::contextvars::ContextVar;
//! use unstuck::{spawn, to_thread};
//!
//! static USER: ContextVar<String> = ContextVar::new("user");
//!
//! unstuck::run(async {
//!     let _ = USER.set("ada".into());
//!     let child = spawn(async {
//!         assert_eq!(USER.get().as_deref(), Some("ada")); // came along
//!         let _ = USER.set("bob".into()); // the child's own
//!         to_thread(|| USER.get()).await.unwrap()
//!     });
//!     assert_eq!(child.await.unwrap().as_deref(), Some("bob"));
//!     assert_eq!(USER.get().as_deref(), Some("ada"));
//! });
//! ```
//!
//! | copied | by |
//! |---|---|
//! | at the spawn | [`spawn`](crate::spawn) and every other way to make a task |
//! | when the call is made | [`call_soon`](crate::Handle::call_soon), `call_later`, `call_at` |
//! | when the job is submitted | [`to_thread`](crate::to_thread), [`cpu`](crate::cpu()), [`run_in_executor`](crate::run_in_executor) |
//! | when the run begins | [`run`](crate::run()), [`Runtime::block_on`](crate::Runtime::block_on), [`EventLoop::run_until_complete`](crate::EventLoop::run_until_complete) |
//!
//! Not copied: into threads that you start yourself, and into rayon's parallel iterators inside a job, which run on
//! threads of their own. Take a [`Context::copy`] there and [run](Context::run) in it.
//!
//! # Cost
//! A copy is one count, whatever is set; setting copies the list of variables if it is shared. A program that never sets
//! one pays the look at a flag for each spawn.
//!
//! # When not to use it
//! For what a function needs to do its work: an argument is seen, checked and found. A variable is for what goes along
//! with everything: the request's number in the log, the user, a deadline.

pub use unstuck_core::{Context, ContextVar, Token, WrongToken};

/// A copy of the context that this code runs in, under Python's name: [`Context::copy`].
///
/// ```
/// use unstuck::contextvars::{ContextVar, copy_context};
///
/// static DEPTH: ContextVar<u32> = ContextVar::with_default("depth", || 0);
///
/// let mut context = copy_context();
/// context.run(|| drop(DEPTH.set(1)));
/// assert_eq!(DEPTH.get(), Some(0));
/// context.run(|| assert_eq!(DEPTH.get(), Some(1)));
/// ```
#[must_use]
pub fn copy_context() -> Context {
    Context::copy()
}
