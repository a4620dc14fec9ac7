//! What a worker process writes to stderr: passed on to ours, and its end kept for the error of a job that is lost.

use std::io::{self, Read, Write};
use std::process::ChildStderr;

use crate::os;

/// So much is kept: a panic's message with a backtrace.
const KEPT: usize = 16 * 1024;

/// The pipe, and the end of what came through it during the present job.
pub(crate) struct Stderr {
    pub(crate) pipe: ChildStderr,
    kept: Vec<u8>,
    forward: bool,
    ended: bool,
}

impl Stderr {
    pub(crate) fn new(pipe: ChildStderr, forward: bool) -> io::Result<Self> {
        os::do_not_wait(&pipe)?;
        Ok(Self { pipe, kept: Vec::new(), forward, ended: false })
    }

    /// A job begins: what was written before is not its.
    pub(crate) fn begin(&mut self) {
        self.kept.clear();
    }

    /// Takes what lies in the pipe. After an answer, or after a death, that is all there is: it was written before.
    pub(crate) fn drain(&mut self) {
        let mut piece = [0; 4096];
        while !self.ended {
            match self.pipe.read(&mut piece) {
                Ok(0) => self.ended = true,
                Ok(count) => self.take(&piece[..count]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    self.ended = error.kind() != io::ErrorKind::WouldBlock;
                    return;
                }
            }
        }
    }

    /// True if nobody can write any more: there is nothing to wait for.
    pub(crate) fn ended(&self) -> bool {
        self.ended
    }

    /// The end of what the present job wrote.
    pub(crate) fn text(&mut self) -> String {
        self.drain();
        String::from_utf8_lossy(&self.kept).into_owned()
    }

    fn take(&mut self, piece: &[u8]) {
        if self.forward {
            let _ = io::stderr().write_all(piece);
        }
        self.kept.extend_from_slice(piece);
        // Cut seldom, so that a flood costs each byte only two moves.
        if self.kept.len() > 2 * KEPT {
            self.kept.drain(..self.kept.len() - KEPT);
        }
    }
}
