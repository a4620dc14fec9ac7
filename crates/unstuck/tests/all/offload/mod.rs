//! Offload's promises, each as a test that would hang, leak or lose something where the promise is not kept.
//!
//! | room | what it holds |
//! |---|---|
//! | `adaptive` | short calls on their worker: who is short, the net, everything as in the pool |
//! | `cpu` | the CPU pool: panics, jobs that wait for jobs, order, limits, who goes first |

mod adaptive;
mod cpu;
