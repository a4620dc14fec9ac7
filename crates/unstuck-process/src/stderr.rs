//! What a worker process writes to stderr: passed on to ours, and its end kept for the error of a job that is lost.

use std::io::{self, Read, Write};
use std::process::ChildStderr;

use crate::os;

/// So much is kept: a panic's message with a backtrace.
const KEPT: usize = 16 * 1024;

/// The most that is taken at a time, as much as a pipe holds unless somebody widens it: who floods it writes faster than we
/// read and pass on, so an unlimited look would never end, and nobody would look at the clock or hear the bell.
const SIP: usize = 64 * 1024;

/// The most that is taken of what lies in the pipe at the end of a job: as much as a pipe can be widened to without
/// privileges. Something that escaped the kill (it has a session of its own) may hold the pipe and write for ever.
const LAST: usize = 1024 * 1024;

/// The pipe, and the end of what came through it during the present job.
pub(crate) struct Stderr<P = ChildStderr> {
    pub(crate) pipe: P,
    kept: Vec<u8>,
    forward: bool,
    ended: bool,
}

impl Stderr {
    pub(crate) fn new(pipe: ChildStderr, forward: bool) -> io::Result<Self> {
        os::do_not_wait(&pipe)?;
        Ok(Self::of(pipe, forward))
    }
}

impl<P: Read> Stderr<P> {
    fn of(pipe: P, forward: bool) -> Self {
        Self { pipe, kept: Vec::new(), forward, ended: false }
    }

    /// A job begins: what was written before is not its.
    pub(crate) fn begin(&mut self) {
        self.kept.clear();
    }

    /// Takes something of what lies in the pipe, if anything does. There may be more.
    pub(crate) fn sip(&mut self) {
        self.drain(SIP);
    }

    /// Takes what lies in the pipe at the end of a job. After an answer, or after a death, that is all there is: it was
    /// written before.
    pub(crate) fn finish(&mut self) {
        self.drain(LAST);
    }

    fn drain(&mut self, most: usize) {
        let mut piece = [0; 4096];
        let mut taken = 0;
        while !self.ended && taken < most {
            match self.pipe.read(&mut piece) {
                Ok(0) => self.ended = true,
                Ok(count) => {
                    self.take(&piece[..count]);
                    taken += count;
                }
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
        self.finish();
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

#[cfg(test)]
mod tests {
    use super::*;

    /// The pipe of a process that writes faster than anybody reads.
    struct Flood(usize);

    impl Read for Flood {
        fn read(&mut self, piece: &mut [u8]) -> io::Result<usize> {
            self.0 += piece.len();
            assert!(self.0 < 64 << 20, "nobody would have looked at the clock meanwhile");
            piece.fill(b'x');
            Ok(piece.len())
        }
    }

    #[test]
    fn a_flood_keeps_nobody_who_has_something_else_to_look_after() {
        let mut stderr = Stderr::of(Flood(0), false);
        stderr.sip();
        assert!(!stderr.ended() && stderr.pipe.0 > 0);
    }

    #[test]
    fn the_last_words_in_a_flood_are_its_end_so_far() {
        let mut stderr = Stderr::of(Flood(0), false);
        stderr.begin();
        let text = stderr.text();
        assert!(text.len() >= KEPT && text.bytes().all(|byte| byte == b'x'));
    }
}
