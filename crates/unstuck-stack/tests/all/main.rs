//! Backtraces of threads that are stuck in all kinds of ways, asked for in all kinds of wrong moments.
//!
//! With glibc: musl has no unwind tables, so most of these places cannot be seen there (README.md).
#![cfg(all(
    target_os = "linux",
    target_env = "gnu",
    any(target_arch = "x86_64", target_arch = "aarch64"),
    not(unstuck_loom)
))]

mod kernel;
mod places;
mod protocol;
mod subject;
mod text;
