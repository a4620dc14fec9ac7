//! What can go wrong with a job that was done in another process, and what its error tells.
//!
//! A thread's job ends with a value or a panic. A process can also die, be killed, or never have understood the
//! question. The pool of processes makes these errors; their questions are asked of [`JoinError`] like all others.

use std::any::Any;
use std::fmt;
use std::time::Duration;

use super::{JoinError, Kind, message, write_panic};

/// A job that was lost, or failed, in another process.
#[doc(hidden)]
pub struct Away {
    pub what: Loss,
    /// The worker process, if one had been started.
    pub worker: Option<u32>,
    /// The end of what it wrote to stderr during the job.
    pub stderr: String,
}

/// How it was lost.
#[doc(hidden)]
pub enum Loss {
    /// The worker process died by this signal.
    Signal(i32),
    /// The worker process exited with this code.
    Exit(i32),
    /// The job took longer than this and was killed.
    TimedOut(Duration),
    /// The job panicked.
    Panicked(Box<dyn Any + Send + 'static>),
    /// Arguments or result could not be turned into bytes, or back.
    Codec(String),
    /// There was no worker process to send it to.
    Transport(String),
}

impl JoinError {
    fn away(&self) -> Option<&Away> {
        match self.kind() {
            Some(Kind::Away(away)) => Some(away),
            _ => None,
        }
    }

    fn loss(&self) -> Option<&Loss> {
        self.away().map(|away| &away.what)
    }

    /// True if the worker process that ran the job died: killed, crashed or exited. Nobody knows how far the job got.
    pub fn is_worker_death(&self) -> bool {
        matches!(self.loss(), Some(Loss::Signal(_) | Loss::Exit(_)))
    }

    /// The signal that killed the worker process: 11 for a segmentation fault, 9 for `kill -9`, 6 for an abort.
    pub fn signal(&self) -> Option<i32> {
        match self.loss() {
            Some(Loss::Signal(signal)) => Some(*signal),
            _ => None,
        }
    }

    /// The code with which the job ended its worker process.
    pub fn exit_code(&self) -> Option<i32> {
        match self.loss() {
            Some(Loss::Exit(code)) => Some(*code),
            _ => None,
        }
    }

    /// True if the job ran longer than its pool of processes allows, and was killed.
    pub fn is_timeout(&self) -> bool {
        matches!(self.loss(), Some(Loss::TimedOut(_)))
    }

    /// True if arguments or result could not be turned into bytes, or back.
    pub fn is_codec(&self) -> bool {
        matches!(self.loss(), Some(Loss::Codec(_)))
    }

    /// True if no worker process could be started or reached; the job has not run.
    pub fn is_transport(&self) -> bool {
        matches!(self.loss(), Some(Loss::Transport(_)))
    }

    /// The process that ran the job, if it was another one than this.
    pub fn worker_pid(&self) -> Option<u32> {
        self.away().and_then(|away| away.worker)
    }

    /// The end of what the worker process wrote to stderr during the job; `None` if the job was for no other process.
    pub fn stderr(&self) -> Option<&str> {
        self.away().map(|away| away.stderr.as_str())
    }
}

impl Away {
    /// The panic, or itself.
    pub(super) fn into_panic(mut self: Box<Self>) -> Result<Box<dyn Any + Send + 'static>, Box<Self>> {
        match self.what {
            Loss::Panicked(payload) => Ok(payload),
            other => {
                self.what = other;
                Err(self)
            }
        }
    }

    pub(super) fn is_panic(&self) -> bool {
        matches!(self.what, Loss::Panicked(_))
    }

    pub(super) fn panic_message(&self) -> Option<&str> {
        match &self.what {
            Loss::Panicked(payload) => message(payload.as_ref()),
            _ => None,
        }
    }
}

/// The most bytes of stderr that `Display` shows: its end, where the reason usually stands.
const SHOWN: usize = 1024;

impl fmt::Display for Away {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let worker =
            self.worker.map_or_else(|| "worker process".to_owned(), |pid| format!("worker process {pid}"));
        match &self.what {
            Loss::Signal(signal) => {
                write!(f, " was lost: its {worker} was killed by signal {signal}")?;
                name(*signal).map_or(Ok(()), |name| write!(f, " ({name})"))?;
            }
            Loss::Exit(code) => write!(f, " was lost: its {worker} exited with code {code}")?,
            Loss::TimedOut(limit) => write!(f, " was killed: it ran longer than its limit of {limit:?}")?,
            Loss::Panicked(payload) => write_panic(f, payload.as_ref())?,
            Loss::Codec(why) => write!(f, " could not travel to its worker process and back: {why}")?,
            Loss::Transport(why) => write!(f, " did not run, for want of a worker process: {why}")?,
        }
        let text = self.stderr.trim_end();
        if text.is_empty() {
            return Ok(());
        }
        let begin = text.len().saturating_sub(SHOWN);
        let begin = (begin..=text.len()).find(|&at| text.is_char_boundary(at)).unwrap_or(0);
        f.write_str(if begin > 0 { "\n  the end of its stderr:" } else { "\n  its stderr:" })?;
        text[begin..].lines().try_for_each(|line| write!(f, "\n  | {line}"))
    }
}

impl fmt::Debug for Away {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Away({:?})", self.to_string().trim_start())
    }
}

/// The names of the signals that kill, as far as their numbers are the same on all Unix systems.
fn name(signal: i32) -> Option<&'static str> {
    const NAMES: [(i32, &str); 10] = [
        (1, "SIGHUP"),
        (2, "SIGINT"),
        (3, "SIGQUIT"),
        (4, "SIGILL"),
        (6, "SIGABRT"),
        (8, "SIGFPE"),
        (9, "SIGKILL"),
        (11, "SIGSEGV"),
        (13, "SIGPIPE"),
        (15, "SIGTERM"),
    ];
    NAMES.iter().find(|(number, _)| *number == signal).map(|(_, name)| *name)
}

#[cfg(test)]
mod tests {
    use std::panic::Location;

    use super::*;
    use crate::Origin;

    fn error(what: Loss, stderr: &str) -> JoinError {
        let origin = Origin::new("job", Location::caller()).with_name(Some("thumbnail".into()));
        JoinError::lost(origin, Away { what, worker: Some(42), stderr: stderr.into() })
    }

    #[test]
    fn a_death_names_the_signal_the_process_and_its_last_words() {
        let error = error(Loss::Signal(11), "one\ntwo\n");
        let text = error.to_string();
        assert!(text.contains("its worker process 42 was killed by signal 11 (SIGSEGV)"), "{text}");
        assert!(text.ends_with("its stderr:\n  | one\n  | two"), "{text}");
        assert!(error.is_worker_death() && !error.is_panic() && !error.is_cancelled() && !error.is_timeout());
        assert_eq!((error.signal(), error.exit_code(), error.worker_pid()), (Some(11), None, Some(42)));
    }

    #[test]
    fn a_panic_elsewhere_is_a_panic_like_any_other() {
        let error = error(Loss::Panicked(Box::new("boom".to_owned())), "");
        assert!(error.is_panic() && !error.is_worker_death());
        assert_eq!(error.panic_message(), Some("boom"));
        assert!(error.to_string().ends_with("panicked: boom"), "{error}");
        assert_eq!(*error.try_into_panic().unwrap().downcast::<String>().unwrap(), "boom");
    }

    #[test]
    fn only_the_end_of_a_long_stderr_is_shown() {
        let error = error(Loss::Exit(3), &format!("{}the reason", "ä".repeat(50_000)));
        let text = error.to_string();
        assert!(text.len() < 2 * SHOWN && text.ends_with("the reason"), "{} bytes", text.len());
        assert!(error.stderr().unwrap().len() > 100_000);
        assert!(error.try_into_panic().unwrap_err().is_worker_death());
    }
}
