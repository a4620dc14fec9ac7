//! Faults and bad input: what must happen. `README.md` beside this file lists the rows, the test that holds each, and
//! the rows that are open.

mod block_on;
mod building;
mod cancel;
mod offload;
mod panics;
mod process;
mod resources;
mod shutdown;
mod stalls;
mod time;
mod wakers;
