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

pub(crate) mod alarm;
#[cfg_attr(feature = "tracing", path = "guard/events.rs")]
#[cfg_attr(not(feature = "tracing"), path = "guard/no_events.rs")]
pub(crate) mod events;

#[cfg(feature = "tracing")]
pub use events::to_tracing;
pub use unstuck_core::guard::{
    Action, Backtrace, Behind, Call, Class, Helper, Reason, StallPolicy, StallReport,
};

/// A poll that waits for a CPU is not. Where the system tells why a thread stands still, "unknown" means that it could not
/// tell yet, because the machine is so busy.
pub(crate) fn is_to_blame(class: Class) -> bool {
    class != Class::Descheduled && (class != Class::Unknown || cfg!(not(target_os = "linux")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_that_is_busy_is_no_tasks_fault() {
        assert!(!is_to_blame(Class::Descheduled));
        assert!(is_to_blame(Class::Blocked) && is_to_blame(Class::CpuBound));
    }
}
