//! The runtime from outside, as its users see it. One binary, so that it links once.
//!
//! | room | what it holds |
//! |---|---|
//! | `budget` | a task whose waits are all ready at once lets the others have their turn |
//! | `faults` | faults and bad input: what must happen when something goes wrong; the list is in `faults/README.md` |
//! | `asyncio` | asyncio's promises, each on the single-threaded loop (exact order) and on the multi-threaded runtime |
//! | `offload` | calls that wait and calls that compute: what the pools owe, and short calls that stay |
//! | `backtraces` | a report shows which function is stuck |
//! | `inspect` | looking at tasks: what they are up to, who awaits whom, and from outside of the process |
//! | `interrupts` | Ctrl-C, each time in a process of its own |
//! | `maps` | the READMEs that say which test holds what name tests that exist |
//! | `macros` | the attributes as a user writes them |
//! | `paused` | the virtual clock on several threads: it jumps only when nothing can run |
//! | `precedence` | on a crowded machine workers go first, and threads that compute last |
//! | `quiet` | an idle runtime does not wake up |
//! | `stalls` | the stall guard: what it tells, and what it must not do to a process |
//! | `cancel_storm` | cancellations at random moments, into scopes nested at random |
//! | `storm` | everything at once, at random |
//! | `repository` | the house's invariants, written as absences |
//!
//! Time decides no test. Tests wait for conditions ([`support::until`]), open gates, or use the paused clock; the rows
//! that are about real time assert only what must hold however slow the machine is. Rows that look at the whole
//! process run in one of their own ([`support::alone`]).

mod asyncio;
mod backtraces;
mod budget;
mod cancel_storm;
mod faults;
mod frames;
mod inspect;
mod interrupts;
mod macros;
mod maps;
mod offload;
mod paused;
mod precedence;
mod quiet;
mod repository;
mod stalls;
mod storm;
mod support;
