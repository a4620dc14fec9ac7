//! Backtraces of threads that are stuck in all kinds of ways, asked for in all kinds of wrong moments.
#![cfg(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64"), not(unstuck_loom)))]

mod kernel;
mod places;
mod protocol;
mod subject;
mod text;
