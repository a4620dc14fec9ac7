//! The asking side.

use std::fs;
use std::io::{self, Read, Write};
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::{Request, place};

/// A process that can be asked.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Process {
    /// Its number.
    pub pid: u32,
    /// Its socket.
    pub socket: PathBuf,
}

/// Looking at a million tasks takes a second or so, and so do the names of the first backtrace in a large program; where the
/// asked one hardly gets a CPU, both take a minute.
const PATIENCE: Duration = Duration::from_secs(180);

/// This user's processes that can be asked, by number.
///
/// A socket whose process is gone is removed. A folder that is not this user's alone is passed over.
#[must_use]
pub fn processes() -> Vec<Process> {
    let folders = place::candidates().into_iter().filter(|folder| place::is_ours_alone(folder).is_ok());
    let mut found: Vec<Process> = folders.flat_map(|folder| living(&folder)).collect();
    found.sort();
    found.dedup_by_key(|process| process.pid);
    found
}

/// Why a process that is not among [`processes`] cannot be asked, and what to do about it.
#[must_use]
pub fn why_not(pid: u32) -> String {
    let Ok(owner) = fs::metadata(format!("/proc/{pid}")).map(|is| is.uid()) else {
        return "there is no such process".into();
    };
    if owner == place::user() {
        "it does not listen; start it with UNSTUCK_INSPECT=1, or build its runtime with inspect(true)".into()
    } else {
        format!("it is not yours; ask as its owner: sudo -u '#{owner}' unstuck-ps {pid}")
    }
}

/// Asks a process, and gives its answer: a line of JSON.
///
/// # Errors
/// The system's: nobody listens, it does not answer, it ended meanwhile.
pub fn ask(process: &Process, request: &Request) -> io::Result<String> {
    let mut stream = UnixStream::connect(&process.socket)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    // A server that does not want us may have answered and gone by now: its answer counts.
    let written = writeln!(stream, "{request}");
    let mut answer = String::new();
    let read = stream.read_to_string(&mut answer);
    if answer.ends_with('\n') {
        answer.pop();
        return Ok(answer);
    }
    written.and(read).and(Err(io::Error::new(io::ErrorKind::UnexpectedEof, "it did not answer")))
}

/// Removes the sockets of processes that are gone.
pub(crate) fn remove_stale(folder: &Path) {
    drop(living(folder));
}

fn living(folder: &Path) -> Vec<Process> {
    let mut living = Vec::new();
    for (pid, socket) in place::sockets(folder) {
        match UnixStream::connect(&socket) {
            Ok(_) => living.push(Process { pid, socket }),
            // A socket has its name only while somebody listens: nobody does any more.
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => drop(fs::remove_file(&socket)),
            Err(_) => {}
        }
    }
    living
}
