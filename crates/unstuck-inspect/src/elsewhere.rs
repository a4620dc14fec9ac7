//! Systems where nobody can be asked.

use std::io;
use std::path::{Path, PathBuf};

use crate::{Answer, Request};

/// A process that can be asked.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Process {
    /// Its number.
    pub pid: u32,
    /// Its socket.
    pub socket: PathBuf,
}

/// Answers the owner of this process; not on this system.
#[derive(Debug)]
pub struct Server(std::convert::Infallible);

impl Server {
    /// Gives an error.
    ///
    /// # Errors
    /// Always.
    pub fn start(_: &str, _: &Answer) -> io::Result<Self> {
        Err(unsupported())
    }

    /// Where the socket lies.
    #[must_use]
    pub fn path(&self) -> &Path {
        match self.0 {}
    }
}

/// None.
#[must_use]
pub fn processes() -> Vec<Process> {
    Vec::new()
}

/// Why no process can be asked.
#[must_use]
pub fn why_not(_: u32) -> String {
    unsupported().to_string()
}

/// Gives an error.
///
/// # Errors
/// Always.
pub fn ask(_: &Process, _: &Request) -> io::Result<String> {
    Err(unsupported())
}

fn unsupported() -> io::Error {
    io::Error::new(io::ErrorKind::Unsupported, "processes can be inspected on Linux only")
}
