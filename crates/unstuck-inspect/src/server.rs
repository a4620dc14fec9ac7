//! The thread that answers.

use std::fs::{self, Permissions};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use rustix::net::{Shutdown, shutdown, sockopt::socket_peercred};

use crate::{Answer, Request, client, place};

/// Who connects and says nothing, or does not listen, is left after this long: others may want to ask.
const PATIENCE: Duration = Duration::from_secs(2);

/// No request is longer.
const LONGEST: u64 = 256;

/// After an accept that failed (no file descriptors left, say) the next one is tried this much later.
const PAUSE: Duration = Duration::from_millis(100);

/// Answers the owner of this process, until it is dropped.
#[derive(Debug)]
pub struct Server {
    shared: Arc<Shared>,
    path: PathBuf,
    thread: Option<thread::JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    listener: UnixListener,
    over: AtomicBool,
}

impl Server {
    /// Answers with `answer`, on a thread of this name.
    ///
    /// # Errors
    /// There is no folder that belongs to this user alone; or the system's, when the socket or the thread cannot be made.
    pub fn start(name: &str, answer: &Answer) -> io::Result<Self> {
        let mut outcome = Err(io::ErrorKind::NotFound.into());
        for folder in place::candidates() {
            outcome = place::secure(&folder).and_then(|()| Self::start_in(&folder, name, answer.clone()));
            if outcome.is_ok() {
                break;
            }
        }
        outcome
    }

    /// As [`start`](Self::start), with the socket in `folder`.
    ///
    /// # Errors
    /// The system's.
    pub fn start_in(folder: &Path, name: &str, answer: Answer) -> io::Result<Self> {
        client::remove_stale(folder);
        let pid = std::process::id();
        let (unready, path) = (folder.join(format!("{pid}.unready")), place::socket(folder, pid));
        let _ = fs::remove_file(&unready); // of a process that had our number and was killed at this very moment
        let listener = UnixListener::bind(&unready)?;
        // It gets its name when it is closed to others and answers: who finds it by name can rely on both.
        fs::set_permissions(&unready, Permissions::from_mode(0o600))
            .and_then(|()| fs::rename(&unready, &path))
            .inspect_err(|_| drop(fs::remove_file(&unready)))?;
        let shared = Arc::new(Shared { listener, over: AtomicBool::new(false) });
        let mut server = Self { shared: shared.clone(), path, thread: None };
        let thread = thread::Builder::new().name(name.into());
        server.thread = Some(thread.spawn(move || shared.serve(&answer))?);
        Ok(server)
    }

    /// Where the socket lies.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
        // Release: pairs with the Acquire in `serve`.
        self.shared.over.store(true, Ordering::Release);
        let _ = shutdown(&self.shared.listener, Shutdown::Both); // ends the accept
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn serve(&self, answer: &Answer) {
        loop {
            let accepted = self.listener.accept();
            // Acquire: pairs with the Release in `drop`.
            if self.over.load(Ordering::Acquire) {
                return;
            }
            match accepted {
                // Whatever goes wrong here is the asker's concern, and told to them where that is possible.
                Ok((stream, _)) => drop(attend(&stream, answer)),
                Err(_) => thread::sleep(PAUSE),
            }
        }
    }
}

/// Answers one request.
fn attend(stream: &UnixStream, answer: &Answer) -> io::Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let asker = socket_peercred(stream)?.uid.as_raw();
    let reply = if may_ask(asker, place::user()) {
        let mut line = String::new();
        BufReader::new(stream.take(LONGEST)).read_line(&mut line)?;
        match Request::parse(&line) {
            Ok(request) => catch_unwind(AssertUnwindSafe(|| answer(&request)))
                .unwrap_or_else(|_| refusal("looking at the tasks failed")),
            Err(wrong) => refusal(&wrong),
        }
    } else {
        refusal("this process answers its owner only")
    };
    let mut stream = stream;
    stream.write_all(reply.as_bytes())?;
    stream.write_all(b"\n")
}

/// Only the owner: what a task is called and where it comes from is nobody else's business, and its end even less.
fn may_ask(asker: u32, owner: u32) -> bool {
    asker == owner
}

/// An answer that is none.
fn refusal(why: &str) -> String {
    // What cannot stand in a JSON string does not belong into a reason.
    let why: String = why.chars().filter(|c| !c.is_control() && !matches!(c, '"' | '\\')).collect();
    format!(r#"{{"version":{},"error":"{why}"}}"#, crate::VERSION)
}

#[cfg(test)]
mod tests;
