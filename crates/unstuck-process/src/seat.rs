//! The place of one worker process: what others may do to it while its keeper is busy or asleep.
//!
//! Two things come from outside. A *call*: here is a job, or there is none any more, look for yourself. It rings the
//! bell, a socket that the idle keeper polls beside its process. And a *kill*: the job that runs must stop. It goes to the
//! process directly; the keeper finds the socket closed and then asks the seat who did it.
//!
//! The rule that keeps a kill from hitting a stranger: a process number is used under the lock only, and taken out of the
//! seat, under the lock, before anybody waits for the process. Until it is waited for, no other process gets its number.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;

use unstuck_core::job::RunningJob;
use unstuck_core::sync::{Mutex, MutexGuard};

use crate::os;
use crate::parcel::Parcel;

pub(crate) struct Seat {
    inside: Mutex<Inside>,
    /// Ringing it makes `hears` readable. Never waited for: a bell that rings already need not ring again.
    bell: UnixStream,
    hears: UnixStream,
}

#[derive(Default)]
struct Inside {
    /// A job for the keeper, put here by whoever took the seat off the list of idle ones.
    parcel: Option<Parcel>,
    /// The process, from its start until somebody waits for it.
    pid: Option<u32>,
    /// The number of the job that runs, counted from 1 in this seat, and its entry in reports.
    running: Option<(u64, RunningJob)>,
    count: u64,
    /// The running job was stopped by us, and why.
    killed: Option<Killed>,
}

/// Why a job was stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Killed {
    /// Somebody cancelled it.
    Cancelled,
    /// The pool has ended.
    Shutdown,
}

impl Seat {
    pub(crate) fn new() -> io::Result<Self> {
        let (bell, hears) = UnixStream::pair()?;
        bell.set_nonblocking(true)?;
        hears.set_nonblocking(true)?;
        Ok(Self { inside: Mutex::default(), bell, hears })
    }

    fn inside(&self) -> MutexGuard<'_, Inside> {
        self.inside.lock()
    }

    /// Hands the keeper a job. Only for whoever took the seat off the idle list.
    pub(crate) fn give(&self, parcel: Parcel) {
        self.inside().parcel = Some(parcel);
        self.ring();
    }

    /// Wakes the keeper, if it is idle.
    pub(crate) fn ring(&self) {
        let _ = (&self.bell).write(&[1]);
    }

    /// What the idle keeper polls.
    pub(crate) fn hears(&self) -> &UnixStream {
        &self.hears
    }

    /// Silences the bell, and takes the job if there is one.
    pub(crate) fn answer(&self) -> Option<Parcel> {
        let mut rings = [0; 16];
        while matches!((&self.hears).read(&mut rings), Ok(count) if count == rings.len()) {}
        self.inside().parcel.take()
    }

    /// A process was started, which can be killed from now on. If the job was stopped while it was being started, that is
    /// done now.
    pub(crate) fn has_process(&self, pid: u32) {
        let mut inside = self.inside();
        inside.pid = Some(pid);
        if inside.killed.is_some() {
            os::kill_group(pid);
        }
    }

    /// The process is about to be waited for: from now on its number is not ours.
    pub(crate) fn has_no_process(&self) {
        self.inside().pid = None;
    }

    /// A job begins; its number, for [`kill`](Self::kill).
    pub(crate) fn begin(&self, job: RunningJob) -> u64 {
        let mut inside = self.inside();
        inside.count += 1;
        // A cancel was for an earlier job; the pool's end is for all.
        inside.killed = inside.killed.filter(|why| *why == Killed::Shutdown);
        inside.running = Some((inside.count, job));
        inside.count
    }

    /// The job is over: no kill for it comes any more. Says whether one has come.
    pub(crate) fn end(&self) -> Option<Killed> {
        let mut inside = self.inside();
        inside.running = None;
        inside.killed.take()
    }

    /// Whether the running job has been stopped.
    pub(crate) fn killed(&self) -> Option<Killed> {
        self.inside().killed
    }

    /// Stops the job of this number, if it still runs: its process is killed.
    pub(crate) fn kill(&self, number: u64, why: Killed) {
        let mut inside = self.inside();
        if inside.running.as_ref().is_some_and(|(running, _)| *running == number) {
            inside.kill(why);
        }
    }

    /// Stops whatever is going on here.
    pub(crate) fn kill_any(&self, why: Killed) {
        self.inside().kill(why);
    }

    /// The job that runs, for reports.
    pub(crate) fn running(&self) -> Option<RunningJob> {
        self.inside().running.as_ref().map(|(_, job)| job.clone())
    }

    /// The process, if there is one.
    pub(crate) fn pid(&self) -> Option<u32> {
        self.inside().pid
    }
}

impl Inside {
    fn kill(&mut self, why: Killed) {
        self.killed.get_or_insert(why);
        if let Some(pid) = self.pid {
            os::kill_group(pid);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::{CommandExt, ExitStatusExt};
    use std::process::{Child, Command, Stdio};

    use unstuck_core::job::Options;
    use unstuck_core::job::errand::errand;

    use super::*;

    fn process() -> Child {
        Command::new("sleep").arg("1000").stdin(Stdio::null()).process_group(0).spawn().unwrap()
    }

    fn job() -> RunningJob {
        RunningJob::with_token(errand::<()>(Options::new()).0.token())
    }

    #[test]
    fn a_kill_that_comes_while_the_process_is_being_started_reaches_it() {
        let seat = Seat::new().unwrap();
        let number = seat.begin(job());
        seat.kill(number, Killed::Cancelled);
        let mut process = process();
        seat.has_process(process.id());
        assert_eq!(process.wait().unwrap().signal(), Some(9));
        assert_eq!(seat.end(), Some(Killed::Cancelled));
    }

    #[test]
    fn a_kill_for_a_job_that_is_over_hits_nobody() {
        let seat = Seat::new().unwrap();
        let mut process = process();
        seat.has_process(process.id());
        let first = seat.begin(job());
        assert_eq!(seat.end(), None);
        seat.kill(first, Killed::Cancelled);
        let second = seat.begin(job());
        seat.kill(first, Killed::Cancelled);
        assert_eq!((seat.killed(), process.try_wait().unwrap()), (None, None));
        seat.kill(second, Killed::Cancelled);
        assert_eq!(process.wait().unwrap().signal(), Some(9));
    }

    #[test]
    fn the_end_of_the_pool_stops_the_job_that_begins_afterwards_too() {
        let seat = Seat::new().unwrap();
        seat.kill_any(Killed::Shutdown);
        seat.begin(job());
        assert_eq!(seat.killed(), Some(Killed::Shutdown));
    }
}
