//! What measures, and what the workloads share: the same for every runtime.

pub mod channel;
pub mod compute;
pub mod group;
pub mod heart;
pub mod probe;
pub mod process;
pub mod spread;
pub mod table;
