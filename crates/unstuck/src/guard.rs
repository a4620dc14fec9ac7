//! What the stall guard says: the parts of a [`StallReport`].
//!
//! How the guard is set up is in [`Builder`](crate::Builder): `stall_guard`, `stall_threshold`, `max_rescue_threads`,
//! `rescue_keep_alive`, `on_stall`. What it does and does not do is told in the book's chapter on stalls.
//!
//! ```
//! use unstuck::guard::Class;
//!
//! let runtime = unstuck::Runtime::builder()
//!     .on_stall(|report| {
//!         if report.class == Class::Blocked {
//!             eprintln!("{}", report.one_line());
//!         }
//!     })
//!     .build()
//!     .unwrap();
//! # drop(runtime);
//! ```

pub use unstuck_core::guard::{
    Action, Backtrace, Behind, Call, Class, Helper, Reason, StallPolicy, StallReport,
};
