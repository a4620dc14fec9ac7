//! The core of [unstuck](https://docs.rs/unstuck): tasks, a work-stealing scheduler and the single-threaded loop.

#[doc(hidden)]
pub mod sync;

pub mod driver;
mod error;

#[doc(hidden)]
pub use error::message as panic_message;
pub use error::{JoinError, Origin};
