#![allow(unsafe_code)] // Two system calls that no library offers.
//! Which threads go first when there are fewer CPUs than threads that want one.
//!
//! A worker asks for microseconds at a time, and somebody waits for it; so does the guard's monitor. A thread that computes
//! uses whatever it gets. Linux can be told which is which in two ways, and nobody needs a permission for either:
//!
//! * *Niceness* says how they share a CPU while both want it. It is not enough: who wakes up may have had its share, or be due
//!   later than who computes, and then it waits for the next tick of the kernel's clock, 1 to 4 ms.
//! * *A slice* says how long a thread wants to run at a time; its turn is due the sooner, the less it asks for. And who wakes up
//!   with something left of its share takes the CPU at once from a thread that asked for more than itself (EEVDF, Stoica and
//!   Abdel-Wahab 1995; in Linux since 6.12, P. Zijlstra 2024).
//!
//! So threads that compute ask for long slices, and are nicer. How late a heartbeat of 1 ms is beside 64 jobs of 1 ms on two
//! cores, sixty times over; medians of six runs:
//!
//! | | 99 of 100 beats | 199 of 200 |
//! |---|--:|--:|
//! | niceness alone | 3.3 ms | 3.7 ms |
//! | and long slices (3, 4, 6 or 10 ms: the same) | 0.13 ms | 0.4 ms |
//!
//! Dropped: short slices (0.5 ms) for workers and the guard. They took a little more off the tail, and now and then let a task
//! behind a blocked poll wait for the guard (5.8 ms) that an idle worker takes within 0.1 ms otherwise.
//!
//! With niceness alone four of ten batches began with a beat that came 1 to 4 ms late: the worker that submits the jobs has just
//! had its share.
//!
//! The same rule makes it dear to *give* a turn away: `sched_yield`, which parking_lot's locks call when they are contended, puts
//! a thread behind all others. So nobody wakes a thread while it holds a lock that this one is going to want.
//!
//! A process that has chosen for itself is left alone: another policy than the usual one (batch, real-time), or a negative
//! niceness. So is what a thread start hook changes, because it is called later.

use std::time::Duration;

/// Longer than anybody's who did not ask: an ordinary slice is 0.7 ms on one CPU, and 2.8 ms on eight or more.
pub const LONG: Duration = Duration::from_millis(4);

/// The calling thread computes: others go first. It gets nicer by so much, on the kernel's scale of 0 to 19, for good, and so are
/// the threads that it starts.
///
/// What the system does not know or refuses is left out: the thread then works as it is.
pub fn step_back(niceness: i32) {
    // Linux counts the niceness of each thread. Elsewhere `nice` would be the whole process's.
    #[cfg(all(target_os = "linux", not(miri)))]
    let _ = rustix::process::nice(niceness);
    #[cfg(not(all(target_os = "linux", not(miri))))]
    let _ = niceness;
    ask_for(LONG);
}

#[cfg(not(all(target_os = "linux", not(any(miri, unstuck_shuttle)))))]
fn ask_for(_slice: Duration) {}

#[cfg(all(target_os = "linux", not(any(miri, unstuck_shuttle))))]
use linux::ask_for;

#[cfg(all(target_os = "linux", not(any(miri, unstuck_shuttle))))]
mod linux {
    use std::time::Duration;

    use libc::{SCHED_FLAG_RESET_ON_FORK, SYS_sched_getattr, SYS_sched_setattr, sched_attr};

    const SIZE: u32 = size_of::<sched_attr>() as u32; // 48 bytes

    /// The number of the policy that threads have unless somebody chose another (`SCHED_OTHER`).
    const ORDINARY: u32 = 0;

    /// How long this thread wants to run at a time. Threads that it starts are not affected.
    pub(super) fn ask_for(slice: Duration) {
        let mut mine = sched_attr {
            size: SIZE,
            sched_policy: 0,
            sched_flags: 0,
            sched_nice: 0,
            sched_priority: 0,
            sched_runtime: 0,
            sched_deadline: 0,
            sched_period: 0,
        };
        // SAFETY: `sched_getattr(pid, attr, size, flags)` writes at most `size` bytes at `attr`, and reads nothing there. All bits
        // are valid for integers. `mine` is nobody else's and lives until the call returns. 0 is the calling thread.
        let known = unsafe { libc::syscall(SYS_sched_getattr, 0, &raw mut mine, SIZE, 0) } == 0;
        if !known || mine.sched_policy != ORDINARY || mine.sched_nice < 0 {
            return;
        }
        mine.sched_runtime = slice.as_nanos() as u64; // some millions
        mine.sched_flags = SCHED_FLAG_RESET_ON_FORK as u64;
        // SAFETY: `sched_setattr(pid, attr, flags)` reads `attr.size` bytes at `attr`, and may write the size that it knows there.
        // The kernel has just written `mine` whole. As above.
        let refused = unsafe { libc::syscall(SYS_sched_setattr, 0, &raw mut mine, 0) };
        let _ = refused; // A sandbox may; a kernel before 6.12 takes it and does nothing.
    }
}
