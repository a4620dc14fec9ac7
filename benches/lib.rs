//! unstuck beside its rivals, on the same work.
//!
//! **The problem.** A figure for one runtime says nothing, and two figures taken a minute apart on a busy machine say
//! little more. So every workload here is written once, generic over a runtime, and run by all of them in one process.
//!
//! **The promise.** Same work, same number of workers, same handles awaited, same channels, same clock. Where a
//! runtime offers its own call for something (`spawn`, `sleep`, `yield_now`, a blocking pool), its own is used; where
//! it offers none (channels, latches, a CPU pool), all use the ones in [`kit`] or rayon.
//!
//! **The rooms.** [`rt`] is the seam: one small trait, and one file for each runtime. [`work`] holds the workloads, a
//! file for each bench group. [`kit`] measures: criterion's side, percentiles, probes that need a fresh process. The
//! files beside this one (`spawn.rs`, `wake.rs`, ...) are the benches, and `compare.rs` is the tool for quick figures.
//!
//! **Rejected.** *One copy of each workload for each runtime*: they drift apart, and then the difference measured is
//! the copyist's. *A boxed, object-safe trait*: an allocation and an indirect call for each spawn hide exactly what we
//! want to see. *criterion alone*: it measures one runtime for seconds, then the next, so a noisy neighbour hits one
//! of them only; `compare` interleaves.

#![forbid(unsafe_code)]

pub mod kit;
pub mod report;
pub mod rt;
pub mod work;
