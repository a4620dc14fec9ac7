//! Offload's promises, each as a test that would hang, leak or lose something where the promise is not kept. README.md
//! says which test holds which row of the design's table.
//!
//! | room | what it holds |
//! |---|---|
//! | `waiting` | jobs that wait for jobs behind them |
//! | `crowded` | pools all of whose threads wait |
//! | `queues` | bounded queues, and the warning where there is no bound |
//! | `lanes` | limits of their own over one set of threads, and the room that is the runtime's |
//! | `tokens` | cancelling reaches the closure |
//! | `ending` | ends that do not hang in silence |
//! | `idle` | 200 jobs, then idle |
//! | `files` | files and names, off the workers |
//! | `adaptive` | short calls on their worker: who is short, the net, everything as in the pool |
//! | `given_up` | jobs that were given up in a queue leave nothing there |
//! | `odd` | odd jobs, arguments and moments |
//! | `cpu` | the CPU pool: panics, jobs that wait for jobs, order, limits, who goes first |

mod adaptive;
mod cpu;
mod crowded;
mod ending;
mod files;
mod given_up;
mod idle;
mod lanes;
mod odd;
mod queues;
mod tokens;
mod waiting;
