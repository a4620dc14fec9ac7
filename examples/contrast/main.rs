//! One service, four ways to run it, and a client that asks "are you well?" every millisecond.
//!
//! # The problem, to be seen
//! An async runtime is a promise: a thousand requests share a few threads, because each of them gives its thread back
//! whenever it waits. One handler that computes for 60 ms, or calls a library that blocks, breaks the promise for all
//! the others; nothing fails, the service is just slow for everybody at once, and no log says why.
//!
//! This program makes it visible. A real HTTP service (hyper on unstuck) has three pages:
//! * `/health` answers at once;
//! * `/digest` computes: SHA-256 over the files of a directory, some 60 ms of honest work;
//! * `/page` waits: a blocking client (`ureq`) asks a peer that needs 80 ms to answer.
//!
//! Clients load `/digest` and `/page`; one more asks `/health` every millisecond and notes how long each answer took.
//! The same handlers run inline on one thread, inline on all threads, inline with the stall guard, which sends another
//! thread when one sticks, and with their work handed to `to_thread` and `cpu`. Out comes a table, a bar chart, and a
//! timeline (SVG) in which the stalls are red.
//!
//! # What keeps the measurement honest
//! Clients, peer and clock live on plain threads with blocking sockets: nothing of theirs can stall with the runtime.
//! Pings are sent on schedule whether or not the last one was answered, and count from the moment they were *due*:
//! otherwise a stall of half a second would be one slow answer among thousands instead of the 500 it is ("coordinated
//! omission", Gil Tene). Every answer's content is checked.
//!
//! # The rooms
//! [`options`] what can be asked for · [`mode`] the ways to run, the only room that starts a runtime · [`service`] the
//! three handlers, inline and offloaded · [`hyper_rt`] hyper on unstuck · [`input`] the files and the hashing ·
//! [`load`] the clients, over [`client`] · [`peer`] the slow peer · [`report`] table and bars · [`timeline`] the SVG.

mod client;
mod hyper_rt;
mod input;
mod load;
mod mode;
mod options;
mod peer;
mod report;
mod service;
mod timeline;

use std::fs::File;
use std::io::{self, IsTerminal, Write};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use indicatif::{ProgressBar, ProgressStyle};

use crate::input::Input;
use crate::load::{Progress, Run};
use crate::options::Options;
use crate::peer::Peer;
use crate::service::Service;

/// A failure, in one line that says what to do about it.
pub(crate) type Failure = String;

fn main() -> ExitCode {
    let options = match Options::read() {
        Ok(options) => options,
        Err(code) => return code,
    };
    match contrast(&options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("contrast: {failure}");
            ExitCode::FAILURE
        }
    }
}

fn contrast(options: &Options) -> Result<(), Failure> {
    let input = Input::load(&options.dir)?;
    // Opened before the measuring: a path that cannot be written should not cost half a minute.
    let mut picture = create(&options.out)?;
    let input = Arc::new(input.calibrated(options.digest_time()));
    let peer = Peer::start(options.peer_time()).map_err(|e| format!("cannot start the slow peer: {e}"))?;

    say(&report::header(options, &input))?;
    let mut runs = Vec::new();
    for mode in options.modes() {
        let service = Service::new(mode.style(), input.clone(), peer.address());
        let bar = progress_bar(mode.title());
        let run = mode::measure(mode, options, &service, &Progress::to(&bar))
            .map_err(|e| format!("{}: {e}", mode.title()))?;
        bar.finish_and_clear();
        runs.push(run);
    }
    let colours = io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    say(&report::results(&runs, colours))?;

    let drawn = timeline::draw(options, &input, &runs);
    picture
        .write_all(drawn.as_bytes())
        .map_err(|e| format!("cannot write {}: {e}", options.out.display()))?;
    say(&format!("timeline: {}\n", options.out.display()))
}

fn create(path: &Path) -> Result<File, Failure> {
    let failure =
        |e: io::Error| format!("cannot write {}: {e} (choose another place with --out)", path.display());
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(failure)?;
    }
    File::create(path).map_err(failure)
}

/// One line on stderr that follows the run; where stderr is no terminal, a plain line for each mode.
fn progress_bar(title: &str) -> ProgressBar {
    let bar = ProgressBar::new(0);
    if bar.is_hidden() {
        eprintln!("running: {title}");
        return bar;
    }
    let style = ProgressStyle::with_template("{prefix} {wide_bar} {msg}").expect("the template is valid");
    bar.with_style(style.progress_chars("█▉▊▋▌▍▎▏ "))
        .with_prefix(format!("{title:<width$}", width = report::TITLE))
}

/// Prints to stdout; a reader that has gone away (`| head`) is no failure.
fn say(text: &str) -> Result<(), Failure> {
    match io::stdout().write_all(text.as_bytes()) {
        Err(e) if e.kind() != io::ErrorKind::BrokenPipe => Err(format!("cannot write to stdout: {e}")),
        _ => Ok(()),
    }
}

/// All runs of one program, in the order they were made.
pub(crate) type Runs = [Run];
