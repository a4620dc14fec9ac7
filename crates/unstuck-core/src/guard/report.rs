//! What is said about a poll that does not come back.
//!
//! The reader has a service that stutters and no idea why. Promise: *a report names the culprit, says why nothing
//! else ran and what was done about it, and ends with the way out*; and a storm of stalls makes no storm of reports.
//!
//! ```text
//!  monitor ──▶ Schedule: due? ──▶ Reporter: too many? ──▶ a queue and a thread ──▶ the sink: stderr, a log, the user's
//!              1×, 4×, 16× …      30 a minute             full: never waits         may be slow, may panic
//! ```
//!
//! What is left out is counted, and the next report says how many those were.

mod reporter;
mod schedule;
#[cfg(test)]
mod tests;

use std::fmt::{self, Write};
use std::panic::Location;
use std::sync::Arc;
use std::time::Duration;

pub(crate) use self::reporter::{Reporter, to_stderr};
pub(crate) use self::schedule::Schedule;
use super::Backtrace;
use super::probe::{Call, Class};
use crate::task::TaskId;

/// A poll that did not come back, described while it is still stuck.
///
/// `Display` tells it in a few lines, for people; [`one_line`](Self::one_line) in one, for logs. The fields are for
/// programs: counters, tests that must not see a stall, a dashboard.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct StallReport {
    /// The task that is being polled. None for a future that is no task, such as the one given to
    /// `block_on`.
    pub task: Option<TaskId>,
    /// The task's name, if it was given one.
    pub name: Option<Arc<str>>,
    /// The place in the source that spawned it.
    pub place: Option<&'static Location<'static>>,
    /// The name of the thread that is stuck in it.
    pub worker: String,
    /// Why the poll does not come back.
    pub class: Class,
    /// The system call that blocks it, where the system says so.
    pub call: Option<Call>,
    /// How long the poll has taken so far.
    pub lasted: Duration,
    /// What could not run meanwhile.
    pub behind: Behind,
    /// What was done about it.
    pub action: Action,
    /// When there are too many ([`Action::Saturated`]): the system calls that workers are stuck in, and how many are in
    /// each, the most first. Empty where the system does not say.
    pub crowd: Vec<(String, usize)>,
    /// Where the stuck thread was when it was asked for the first time, or why that is not known.
    pub backtrace: Backtrace,
    /// Reports that were left out since the one before this.
    pub suppressed: u64,
}

/// What waits behind a stuck poll.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Behind {
    /// Tasks that were ready to run on that worker.
    pub tasks: usize,
    /// Whether timers and sockets were left unattended: the stuck worker was the one to look at them.
    pub timers_waited: bool,
}

/// What the guard did about a stuck poll.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Action {
    /// What waited behind it was given to another thread.
    Rescued {
        /// Tasks that were moved. None are moved when only timers and sockets waited.
        moved: usize,
        /// Who serves them now.
        by: Helper,
    },
    /// Nothing but this report.
    OnlyReported(Reason),
    /// Nothing: so many workers are stuck already that no more may be added.
    Saturated {
        /// How many.
        stuck: usize,
    },
}

/// Who serves what waited behind a stuck poll.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Helper {
    /// A worker that had nothing to do.
    IdleWorker,
    /// A worker added for the time of the stall.
    RescueWorker,
    /// The guard's own thread: only timers and sockets had to be looked at.
    Guard,
}

/// Why a stall was only reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reason {
    /// No work waited behind it.
    NothingWaited,
    /// The machine is overloaded; one more thread would not help.
    Overloaded,
    /// It is a single-threaded loop: its tasks cannot move to another thread.
    SingleThreaded,
    /// Rescuing is turned off.
    TurnedOff,
    /// The thread for it could not be made.
    NoThread,
}

impl StallReport {
    /// A report that says only this much; the fields are for filling in.
    pub(crate) fn new(class: Class, lasted: Duration) -> Self {
        Self {
            task: None,
            name: None,
            place: None,
            worker: String::new(),
            class,
            call: None,
            lasted,
            behind: Behind::default(),
            action: Action::OnlyReported(Reason::NothingWaited),
            crowd: Vec::new(),
            backtrace: Backtrace::missing("nobody has asked"),
            suppressed: 0,
        }
    }

    /// The report in one line without line breaks, for logs.
    #[must_use]
    pub fn one_line(&self) -> String {
        let mut line = String::new();
        // Writing to a string does not fail.
        let _ = write!(
            line,
            "{} in one poll for {:.1?} on thread {}: {}; behind it: {}; done: {}",
            Subject(self),
            self.lasted,
            Clean(&self.worker),
            Doing(self),
            self.behind,
            self.action
        );
        if self.suppressed > 0 {
            let _ = write!(line, "; suppressed {}", self.suppressed);
        }
        line
    }

    /// What to change in the source, in one sentence.
    #[must_use]
    pub fn way_out(&self) -> &'static str {
        match (self.class, self.call.as_ref().map(Call::name)) {
            (Class::Blocked, Some("nanosleep" | "clock_nanosleep")) => {
                "await unstuck::sleep(..) instead of std::thread::sleep(..)"
            }
            (Class::Blocked, Some("futex" | "futex_waitv")) => {
                "it waits for a lock, a channel or a thread: use one that can be awaited, or wait inside unstuck::to_thread(..)"
            }
            (Class::Blocked, Some("page fault")) => {
                "it waits for memory to be read from a disk: touch that memory inside unstuck::to_thread(..)"
            }
            (Class::Blocked, _) => "put the blocking call into unstuck::to_thread(..), and await that",
            (Class::CpuBound, _) => {
                "put the computation into unstuck::cpu(..), or await unstuck::checkpoint() in its loop"
            }
            (Class::Descheduled, _) => {
                "not in this task: run fewer busy threads on the machine, or give the process more CPUs"
            }
            (Class::Unknown, _) => {
                "put what blocks into unstuck::to_thread(..) and what computes into unstuck::cpu(..)"
            }
        }
    }
}

impl fmt::Display for StallReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", Head(self))?;
        write!(f, "{}", Rest(self))
    }
}

/// What is known at once.
struct Head<'a>(&'a StallReport);

impl fmt::Display for Head<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let report = self.0;
        writeln!(f, "{} has not come back from a poll for {:.1?}", Subject(report), report.lasted)?;
        writeln!(f, "  it is      {}", Doing(report))?;
        writeln!(f, "  on thread  {}", Clean(&report.worker))?;
        writeln!(f, "  behind it  {}", report.behind)?;
        writeln!(f, "  done       {}", report.action)?;
        if !report.crowd.is_empty() {
            writeln!(f, "  stuck in   {}", Crowd(&report.crowd))?;
        }
        write!(f, "  way out    {}", report.way_out())
    }
}

/// What may take a tenth of a second and more: the names in the backtrace.
struct Rest<'a>(&'a StallReport);

impl fmt::Display for Rest<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let report = self.0;
        if report.backtrace.is_taken() {
            f.write_str("  backtrace")?;
            if let Some(then) = report.backtrace.earlier_than(report.lasted) {
                write!(f, "  (taken after {then:.1?})")?;
            }
            for line in report.backtrace.to_string().lines() {
                write!(f, "\n  {line}")?;
            }
        } else {
            write!(f, "  backtrace  none: {}", report.backtrace)?;
        }
        match report.suppressed {
            0 => Ok(()),
            n => write!(f, "\n  suppressed {n} {} before this one", plural(n, "report", "reports")),
        }
    }
}

/// Who: `task 7 'reader' (from src/main.rs:12)`, as in other messages.
struct Subject<'a>(&'a StallReport);

impl fmt::Display for Subject<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.task {
            Some(id) => write!(f, "task {id}")?,
            None => f.write_str("a future that is no task")?,
        }
        if let Some(name) = &self.0.name {
            write!(f, " '{}'", Clean(name))?;
        }
        match self.0.place {
            Some(place) => write!(f, " (from {}:{})", place.file(), place.line()),
            None => Ok(()),
        }
    }
}

/// What it is doing: `blocked in read(fd 5, pipe:[123])`.
struct Doing<'a>(&'a StallReport);

impl fmt::Display for Doing<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.class)?;
        match (&self.0.call, self.0.class) {
            (Some(call), Class::Blocked) => write!(f, " in {call}"),
            _ => Ok(()),
        }
    }
}

/// `futex (7), read (2)`.
struct Crowd<'a>(&'a [(String, usize)]);

impl fmt::Display for Crowd<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, (call, workers)) in self.0.iter().enumerate() {
            let comma = if at == 0 { "" } else { ", " };
            write!(f, "{comma}{} ({workers})", Clean(call))?;
        }
        Ok(())
    }
}

impl fmt::Display for Behind {
    /// "3 tasks, timers and sockets".
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let timers = if self.timers_waited { "timers and sockets" } else { "" };
        match self.tasks {
            0 if self.timers_waited => f.write_str(timers),
            0 => f.write_str("nothing"),
            n => {
                let and = if self.timers_waited { ", " } else { "" };
                write!(f, "{n} {}{and}{timers}", plural(n as u64, "task", "tasks"))
            }
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rescued { moved: 0, by } => write!(f, "{by} took over"),
            Self::Rescued { moved, by } => {
                let tasks = plural(*moved as u64, "task", "tasks");
                write!(f, "{by} took over, {moved} {tasks} moved")
            }
            Self::OnlyReported(reason) => write!(f, "nothing: {reason}"),
            Self::Saturated { stuck } => {
                let workers = plural(*stuck as u64, "worker is", "workers are");
                write!(f, "nothing: {stuck} {workers} stuck, and no more may be added (max_rescue_threads)")
            }
        }
    }
}

impl fmt::Display for Helper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::IdleWorker => "an idle worker",
            Self::RescueWorker => "a rescue worker",
            Self::Guard => "the guard itself",
        })
    }
}

impl fmt::Display for Reason {
    /// In words that complete "nothing was done: …".
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NothingWaited => "no work waited behind it",
            Self::Overloaded => "one more thread would only add to the overload",
            Self::SingleThreaded => "the tasks of a single-threaded loop cannot move to another thread",
            Self::TurnedOff => "rescuing is turned off",
            Self::NoThread => "the thread for a rescue could not be made",
        })
    }
}

fn plural(n: u64, one: &'static str, many: &'static str) -> &'static str {
    if n == 1 { one } else { many }
}

/// The most characters of a name or path that a report shows.
const SHOWN: usize = 200;

/// Somebody else's text inside of our line: without line breaks and other controls, and not too long.
pub(super) struct Clean<'a>(pub(super) &'a str);

impl fmt::Display for Clean<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (shown, char) in self.0.chars().enumerate() {
            match char {
                _ if shown == SHOWN => return f.write_char('…'),
                char if char.is_control() => write!(f, "{}", char.escape_default())?,
                char => f.write_char(char)?,
            }
        }
        Ok(())
    }
}
