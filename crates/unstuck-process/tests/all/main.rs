//! The pool from outside. Its children are this very test binary.
//!
//! | room | what it holds |
//! |---|---|
//! | `jobs` | the jobs that the tests submit |
//! | `work` | values, panics, large arguments, order, limits: what a pool is for |
//! | `death` | children that crash, exit, hang or are killed, and the pool that goes on |
//! | `storm` | ten thousand jobs while children are killed all the time |
//! | `ending` | shutdown, drop, idle children, orphans, zombies |
//! | `odd` | odd programs and settings, and a system that has nothing left |
//! | `macros` | what `#[unstuck::job]` accepts |
//!
//! Time decides no test: they wait for conditions, and jobs meet each other in the file system.

mod death;
mod ending;
mod jobs;
mod macros;
mod odd;
mod storm;
mod support;
mod work;

unstuck::process::serve_in_tests!();
