//! What is a thread doing? Asked from another thread, of the kernel.
//!
//! A poll that does not come back may compute, wait inside a system call, or wait for a CPU because the machine is
//! overloaded. The three want different answers from the guard, and only the kernel can tell them apart. Promise:
//! *looking costs the thread that is looked at nothing*, and where the kernel says nothing (no Linux, no `/proc`) the
//! answer is "unknown", never an error.
//!
//! # What the kernel tells, and when
//! `schedstat` counts the nanoseconds a thread had a CPU and those it waited for one. Both are late: the first moves
//! with the scheduler's tick (1 to 10 ms) while the thread runs; the second only when the wait is over, in one go, so
//! between two looks it may grow by more than the time between them. A thread that waits for a CPU right now therefore
//! looks like one that sleeps: nothing moves. The state letter in `stat` tells those two apart at once: `R` has work
//! (whether or not it has a CPU), `S` and `D` sleep.
//!
//! | state | most of the time | class |
//! |---|---|---|
//! | `S`, `D` | asleep | blocked |
//! | `S`, `D`, `R` | had a CPU | CPU-bound |
//! | `S`, `D`, `R` | waited for one | descheduled |
//! | `R` | nothing moved for two ticks | descheduled |
//! | `R` | nothing moved for less, or something else unaccounted for | unknown: look again |
//! | `T`, `t` | stopped | descheduled |
//!
//! `syscall` holds the number and arguments of the system call a thread sleeps in. Threads of one process may read each
//! other's, since the kernel asks no security module about a look within a process. One that is not dumpable (it
//! changed its user, or asked for that) may not, unless it is root's; the class is known all the same.
//!
//! # Rejected
//! * *The thread's CPU clock* (`clock_gettime` with a clock made of the thread's number) is exact, but needs `unsafe`
//!   or a dependency, and tells nothing about waiting for a CPU.
//! * *`utime` in `stat`* is as late as `schedstat` and 10 ms coarse.
//! * *Keeping the files open* saves 2 µs a look and costs file descriptors all the time; one looks only when stuck.

mod calls;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::fmt;
use std::fs;
use std::path::Path;
use std::time::Duration;

use self::calls::First;

/// A thread as the kernel knows it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ThreadProbe {
    tid: u32,
}

impl ThreadProbe {
    /// Probes the calling thread. None where there is no Linux `/proc`.
    pub(crate) fn of_this_thread() -> Option<Self> {
        // A link "PID/task/TID": the numbers are those of the namespace that /proc shows, whichever that is.
        let link = fs::read_link("/proc/thread-self").ok()?;
        let tid = link.file_name()?.to_str()?.parse().ok()?;
        Some(Self { tid })
    }

    /// How far the thread has come. None if the kernel does not say, or the thread is over.
    pub(crate) fn look(self) -> Option<Look> {
        let standing = Standing::parse(&self.read("stat")?)?;
        Look::parse(&self.read("schedstat")?, standing)
    }

    /// The system call it sleeps in. None if it runs, or the kernel does not say.
    pub(crate) fn doing(self) -> Option<Call> {
        let mut call = Call::parse(&self.read("syscall")?)?;
        // By the time we ask, the descriptor may be closed or something else: a hint for a reader, no more.
        call.target = call.fd.and_then(|fd| {
            let target = fs::read_link(format!("/proc/self/fd/{fd}")).ok()?;
            Some(Path::to_string_lossy(&target).into_owned())
        });
        Some(call)
    }

    fn read(self, file: &str) -> Option<String> {
        // A thread's name is in `stat`, and may be any bytes.
        let bytes = fs::read(format!("/proc/self/task/{}/{file}", self.tid)).ok()?;
        Some(String::from_utf8_lossy(&bytes).into_owned())
    }
}

/// How far a thread had come when it was looked at. Compare two with [`classify`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Look {
    /// The time it has had a CPU, up to the last tick.
    pub(crate) ran: Duration,
    /// The time it has waited for a CPU, up to when it last got one.
    pub(crate) waited: Duration,
    /// How often it got one.
    turns: u64,
    standing: Standing,
}

/// What a thread is up to at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    /// It has a CPU, or would take one.
    Runnable,
    /// It waits for something that is not a CPU.
    Asleep,
    /// SIGSTOP or a debugger holds it.
    Stopped,
}

impl Standing {
    /// Reads the letter after the thread's name, which stands in brackets and may hold brackets itself.
    fn parse(stat: &str) -> Option<Self> {
        let (_, rest) = stat.rsplit_once(") ")?;
        match rest.chars().next()? {
            'R' => Some(Self::Runnable),
            'S' | 'D' => Some(Self::Asleep),
            'T' | 't' => Some(Self::Stopped),
            _ => None,
        }
    }
}

impl Look {
    /// A thread that wants a CPU, and has had and waited for one so long.
    #[cfg(all(test, not(any(unstuck_loom, unstuck_shuttle))))]
    pub(crate) fn runnable(ran: Duration, waited: Duration) -> Self {
        Self { ran, waited, turns: 1, standing: Standing::Runnable }
    }

    /// The time it has had a CPU since an earlier look, give or take a tick.
    pub(crate) fn ran_since(&self, before: &Look) -> Duration {
        self.ran.saturating_sub(before.ran)
    }

    fn parse(schedstat: &str, standing: Standing) -> Option<Self> {
        let mut numbers = schedstat.split_ascii_whitespace().map(|number| number.parse::<u64>().ok());
        let mut next = || numbers.next().flatten();
        let (ran, waited, turns) = (next()?, next()?, next()?);
        // A kernel without these counters shows three zeros. A thread that was ever looked at has had a turn.
        (turns > 0).then_some(Self {
            ran: Duration::from_nanos(ran),
            waited: Duration::from_nanos(waited),
            turns,
            standing,
        })
    }
}

/// Why a poll does not come back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Class {
    /// It computes: its thread has a CPU and uses it.
    CpuBound,
    /// It waits inside a call that blocks its thread.
    Blocked,
    /// It has work and no CPU: the machine is overloaded, or the process was stopped. Nothing is wrong with the task.
    Descheduled,
    /// The system does not say.
    Unknown,
}

impl fmt::Display for Class {
    /// In words that complete "the task is …".
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::CpuBound => "computing",
            Self::Blocked => "blocked",
            Self::Descheduled => "waiting for a CPU: the machine is overloaded",
            Self::Unknown => "blocked or computing (this system does not say which)",
        })
    }
}

/// The longest a running thread's counters stand still: a tick at 100 Hz, the slowest that kernels are built with.
pub(crate) const TICK: Duration = Duration::from_millis(10);

/// When two looks are this far apart, a runnable thread that stands still has no CPU. Before, [`classify`] may say
/// "unknown" and mean "look again".
pub(crate) const SETTLED: Duration = Duration::from_millis(2 * TICK.as_millis() as u64);

/// What the thread mostly did between two looks that are `wall` apart.
///
/// Best over the whole stall, from the first look at the stuck poll to now: the counters move in steps of several
/// milliseconds. `wall` is the [`lived`] time, so that a process that was stopped blames nobody.
pub(crate) fn classify(before: &Look, after: &Look, wall: Duration) -> Class {
    let ran = after.ran_since(before);
    // Added when a wait ends: the part of it before the first look is not ours.
    let waited = after.waited.saturating_sub(before.waited).min(wall.saturating_sub(ran));
    let rest = wall.saturating_sub(ran).saturating_sub(waited);
    let counted = if ran >= waited { Class::CpuBound } else { Class::Descheduled };
    match after.standing {
        Standing::Stopped => Class::Descheduled,
        Standing::Asleep if rest >= ran.max(waited) => Class::Blocked,
        Standing::Asleep => counted,
        // The rest may be up to a tick that is not counted yet.
        Standing::Runnable if ran.max(waited) > Duration::ZERO && rest <= ran.max(waited) + TICK => counted,
        Standing::Runnable => {
            let same_turn = before.standing == Standing::Runnable && before.turns == after.turns;
            if same_turn && wall >= SETTLED { Class::Descheduled } else { Class::Unknown }
        }
    }
}

/// How much of a monitor's tick counts: one that was `meant` to take so long and `took` longer counts for little more
/// than it was meant to.
///
/// What held the monitor up (SIGSTOP, a debugger, a paused virtual machine, no CPU for anybody) held up the threads it
/// watches as well. A stall is as long as the sum of the ticks that saw it, so a pause of any length is no stall.
pub(crate) fn lived(meant: Duration, took: Duration) -> Duration {
    took.min(meant + meant / 4)
}

/// True if a tick took so much longer than `meant` that the whole process must have been held: what was being watched
/// is to be watched anew.
///
/// An overloaded machine makes ticks late too, but by a scheduler's slice or two (measured: 6 ms with 25 busy threads a
/// CPU). A process at nice 19 among busy ones is late by 100 ms and more, and might as well be stopped.
pub(crate) fn process_was_stopped(meant: Duration, took: Duration) -> bool {
    took > 2 * meant + Duration::from_millis(100)
}

/// A system call that a thread sleeps in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    name: Cow<'static, str>,
    fd: Option<i32>,
    target: Option<String>,
}

impl Call {
    /// Its name, such as `read`; "syscall 281" if it is not a well-known one, "page fault" if it is none at all.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The file descriptor it works on.
    pub fn fd(&self) -> Option<i32> {
        self.fd
    }

    /// What the file descriptor was when we looked: a path, `pipe:[..]`, `socket:[..]`.
    pub fn target(&self) -> Option<&str> {
        self.target.as_deref()
    }

    #[cfg(test)]
    pub(super) fn new(name: &'static str, fd: Option<i32>, target: Option<&str>) -> Self {
        Self { name: name.into(), fd, target: target.map(Into::into) }
    }

    /// Reads "NUMBER 0xARGUMENT.. 0xSP 0xPC"; "running"; or "-1 0xSP 0xPC" outside of a call.
    fn parse(line: &str) -> Option<Self> {
        let mut words = line.split_ascii_whitespace();
        let number: i64 = words.next()?.parse().ok()?;
        if number < 0 {
            return Some(Self { name: "page fault".into(), fd: None, target: None });
        }
        let (name, first) = calls::lookup(number);
        let fd = match first {
            First::Other => None,
            // An `int` in a 64-bit register: its upper half is whatever was there before.
            First::Fd => {
                words.next().and_then(parse_hex).map(|word| word as u32 as i32).filter(|&fd| fd >= 0)
            }
        };
        Some(Self { name, fd, target: None })
    }
}

fn parse_hex(word: &str) -> Option<u64> {
    u64::from_str_radix(word.strip_prefix("0x")?, 16).ok()
}

impl fmt::Display for Call {
    /// `read(fd 5, pipe:[123])`, `futex`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        match (self.fd, &self.target) {
            (None, _) => Ok(()),
            (Some(fd), None) => write!(f, "(fd {fd})"),
            (Some(fd), Some(target)) => write!(f, "(fd {fd}, {})", super::report::Clean(target)),
        }
    }
}
