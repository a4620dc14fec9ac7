//! What goes over the socket between parent and child: frames.
//!
//! ```text
//!   ┌─────────┬───────┬──────────────────────┐
//!   │ length  │ kind  │ body                 │      length: 4 bytes, little endian, of kind and body
//!   │ 4 bytes │ 1     │ length − 1 bytes     │
//!   └─────────┴───────┴──────────────────────┘
//!   parent → child   Hello  limits of the child           child → parent   Ready     fingerprint of the registry
//!                    Run    name, then the arguments                       Done      the output
//!                                                                          Panicked  the message
//!                                                                          Garbled   why something cannot be read
//!                                                                          Unknown   the name that has no job
//! ```
//! Bodies are [postcard](https://docs.rs/postcard), whose format is written down and stable. One question is under way
//! at a time, so frames need no numbers: the next frame is the answer.

use std::io::{self, Read};

use serde::{Deserialize, Serialize};
use unstuck_core::sync::Mutex;

/// Length and kind.
pub(crate) const HEADER: usize = 5;

/// The most that one read asks for, beyond what a frame is known to need.
const CHUNK: usize = 16 * 1024;

/// A frame grows by at most this much before its bytes have really come, whatever its header claims.
const TRUST: usize = 4 * 1024 * 1024;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Kind {
    Hello = 1,
    Run = 2,
    Ready = 3,
    Done = 4,
    Panicked = 5,
    Garbled = 6,
    Unknown = 7,
}

impl Kind {
    fn read(byte: u8) -> io::Result<Self> {
        use Kind::{Done, Garbled, Hello, Panicked, Ready, Run, Unknown};
        let kinds = [Hello, Run, Ready, Done, Panicked, Garbled, Unknown];
        let found = kinds.into_iter().find(|kind| *kind as u8 == byte);
        found.ok_or_else(|| invalid(format!("a frame of the unknown kind {byte}")))
    }
}

/// The first thing that a child hears.
#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Hello {
    /// `RLIMIT_AS` in bytes.
    pub(crate) memory: Option<u64>,
}

/// The first thing that a child says.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Ready {
    pub(crate) fingerprint: u64,
}

/// An empty frame, to append a body to and [`seal`].
pub(crate) fn begin(kind: Kind) -> Vec<u8> {
    begin_in(Vec::new(), kind)
}

/// Keeps the memory of one large frame for the next: fresh memory costs a page fault for each 4 KiB, and that is a third of
/// the time that a megabyte takes to the other side.
#[derive(Default)]
pub(crate) struct Spare(Mutex<Vec<u8>>);

impl Spare {
    /// Frames of less come from the allocator's own store.
    const LARGE: usize = 64 * 1024;

    /// An empty buffer, with room if there is one to spare.
    pub(crate) fn take(&self) -> Vec<u8> {
        std::mem::take(&mut *self.0.lock())
    }

    /// The frame has been sent.
    pub(crate) fn put(&self, mut frame: Vec<u8>) {
        if (Self::LARGE..=TRUST).contains(&frame.capacity()) {
            frame.clear();
            // What was there is dropped with the lock free.
            let _other = std::mem::replace(&mut *self.0.lock(), frame);
        }
    }
}

/// Makes an empty frame of a buffer.
pub(crate) fn begin_in(mut buffer: Vec<u8>, kind: Kind) -> Vec<u8> {
    buffer.clear();
    buffer.extend([0, 0, 0, 0, kind as u8]);
    buffer
}

/// Writes the length into a frame whose body is complete.
pub(crate) fn seal(mut frame: Vec<u8>) -> Result<Vec<u8>, String> {
    let length = u32::try_from(frame.len() - 4)
        .map_err(|_| format!("{} bytes are too many for one frame of 4 GiB", frame.len()))?;
    frame[..4].copy_from_slice(&length.to_le_bytes());
    Ok(frame)
}

/// A whole frame with `body` in it.
pub(crate) fn frame(kind: Kind, body: &impl Serialize) -> Result<Vec<u8>, String> {
    seal(postcard::to_extend(body, begin(kind)).map_err(|error| error.to_string())?)
}

/// Puts frames together from whatever pieces arrive.
#[derive(Default)]
pub(crate) struct Inbox {
    /// What has arrived is `buffer[..filled]`.
    buffer: Vec<u8>,
    filled: usize,
}

impl Inbox {
    /// Reads once. 0 is the end of the stream.
    pub(crate) fn fill(&mut self, from: &mut impl Read) -> io::Result<usize> {
        let wanted = match self.needed() {
            Some(needed) if needed > self.filled => needed.min(self.filled + TRUST),
            _ => self.filled + CHUNK,
        };
        if self.buffer.len() < wanted {
            self.buffer.resize(wanted, 0);
        }
        let count = from.read(&mut self.buffer[self.filled..])?;
        self.filled += count;
        Ok(count)
    }

    /// The next frame, if it has arrived as a whole.
    pub(crate) fn next(&self) -> io::Result<Option<(Kind, &[u8])>> {
        match self.needed() {
            Some(needed) if needed < HEADER => Err(invalid("a frame without a kind".to_owned())),
            Some(needed) if needed <= self.filled => {
                Ok(Some((Kind::read(self.buffer[4])?, &self.buffer[HEADER..needed])))
            }
            _ => Ok(None),
        }
    }

    /// Forgets the frame that [`next`](Self::next) gave; keeps a small buffer for the next one.
    pub(crate) fn pop(&mut self) {
        let Some(needed) = self.needed() else { return };
        self.buffer.copy_within(needed..self.filled, 0);
        self.filled -= needed;
        if self.buffer.len() > TRUST && self.filled < CHUNK {
            self.buffer.truncate(CHUNK);
            self.buffer.shrink_to_fit();
        }
    }

    /// How long the frame at the front is, header included, if its length has arrived.
    fn needed(&self) -> Option<usize> {
        let length = self.buffer[..self.filled].first_chunk::<4>()?;
        usize::try_from(u32::from_le_bytes(*length)).ok()?.checked_add(4)
    }
}

fn invalid(why: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives its bytes a few at a time.
    struct Drip<'a>(&'a [u8], usize);

    impl Read for Drip<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let count = self.1.min(self.0.len()).min(buffer.len());
            buffer[..count].copy_from_slice(&self.0[..count]);
            self.0 = &self.0[count..];
            Ok(count)
        }
    }

    fn all(mut stream: impl Read) -> Vec<(Kind, Vec<u8>)> {
        let mut inbox = Inbox::default();
        let mut found = Vec::new();
        loop {
            while let Some((kind, body)) = inbox.next().unwrap() {
                found.push((kind, body.to_vec()));
                inbox.pop();
            }
            if inbox.fill(&mut stream).unwrap() == 0 {
                return found;
            }
        }
    }

    #[test]
    fn frames_survive_being_cut_anywhere() {
        let mut stream = frame(Kind::Run, &"name").unwrap();
        stream.extend(frame(Kind::Done, &()).unwrap());
        stream.extend(frame(Kind::Panicked, &vec![7_u8; 100_000]).unwrap());
        for size in [1, 2, 3, 5, 7, 100, 100_000] {
            let frames = all(Drip(&stream, size));
            let kinds: Vec<_> = frames.iter().map(|(kind, _)| *kind).collect();
            assert_eq!(kinds, [Kind::Run, Kind::Done, Kind::Panicked], "{size} at a time");
            assert_eq!(postcard::from_bytes::<&str>(&frames[0].1).unwrap(), "name");
            assert_eq!(postcard::from_bytes::<Vec<u8>>(&frames[2].1).unwrap(), vec![7_u8; 100_000]);
        }
    }

    #[test]
    fn a_frame_of_megabytes_arrives_and_its_buffer_goes() {
        let body = serde_bytes::ByteBuf::from(vec![3_u8; 3 * TRUST]);
        let stream = frame(Kind::Done, &body).unwrap();
        let mut inbox = Inbox::default();
        let mut drip = Drip(&stream, usize::MAX);
        while inbox.next().unwrap().is_none() {
            assert!(inbox.fill(&mut drip).unwrap() > 0);
        }
        inbox.pop();
        assert!(inbox.buffer.capacity() < TRUST);
    }

    #[test]
    fn nonsense_is_an_error_and_not_an_endless_wait() {
        for nonsense in [[0_u8; 16], [5, 0, 0, 0, 99, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]] {
            let mut inbox = Inbox::default();
            inbox.fill(&mut &nonsense[..]).unwrap();
            assert!(inbox.next().is_err());
        }
    }
}
