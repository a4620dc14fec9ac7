//! The command `unstuck-ps`: what the tasks of a live process are doing.
//!
//! A process that was started with `UNSTUCK_INSPECT=1` (or `Builder::inspect(true)`) answers on a Unix socket, on a thread
//! of its own (see the crate `unstuck-inspect`). This command finds the sockets of its user, asks, and shows the answer.
//! [`run`] is all of it, so that it can be tested; `main.rs` only calls it.

#![forbid(unsafe_code)]

mod args;
mod show;

use std::ffi::OsString;
use std::io::{self, Write};
use std::thread;

use serde_json::Value;
use unstuck_inspect::{Process, Request, ask, processes, why_not};

use args::{Args, Command};

/// Why it ends without success: 1 if what was asked for cannot be had, 2 if it was asked for in a wrong way.
#[derive(Debug)]
pub struct Failure {
    /// The exit status.
    pub status: u8,
    /// One line.
    pub message: String,
}

impl Failure {
    fn new(message: impl Into<String>) -> Self {
        Self { status: 1, message: message.into() }
    }
}

/// Does what the arguments (without the program's name) ask for, and writes to `out`.
///
/// # Errors
/// What went wrong, in one line. A reader of `out` that has gone is no error.
pub fn run(arguments: Vec<OsString>, out: &mut dyn Write) -> Result<(), Failure> {
    let args = args::parse(arguments)?;
    loop {
        let text = once(&args)?;
        let clear = if args.watch.is_some() { "\x1b[H\x1b[2J" } else { "" };
        let written = write!(out, "{clear}{text}").and_then(|()| out.flush());
        match (written, args.watch) {
            (Err(error), _) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(()),
            (Err(error), _) => return Err(Failure::new(format!("cannot write: {error}"))),
            (Ok(()), None) => return Ok(()),
            (Ok(()), Some(pause)) => thread::sleep(pause),
        }
    }
}

fn once(args: &Args) -> Result<String, Failure> {
    let request = match args.command {
        Command::Help => return Ok(args::HELP.into()),
        Command::Version => return Ok(concat!("unstuck-ps ", env!("CARGO_PKG_VERSION"), "\n").into()),
        Command::List => return list(args),
        Command::Ask(request) => request,
    };
    let process = find(args.pid)?;
    let line = ask(&process, &request)
        .map_err(|error| Failure::new(format!("process {} does not answer: {error}", process.pid)))?;
    let answer = read(&process, &line)?;
    Ok(if args.json { line + "\n" } else { show::answer(&request, &answer) })
}

/// The processes that can be asked.
fn list(args: &Args) -> Result<String, Failure> {
    let living = processes();
    let answers: Vec<(Process, Option<Value>)> = living
        .into_iter()
        .map(|process| {
            let line = ask(&process, &Request::Ps).ok();
            let answer = line.and_then(|line| read(&process, &line).ok());
            (process, answer)
        })
        .collect();
    if answers.is_empty() {
        return Err(Failure::new(NOBODY));
    }
    if args.json {
        let pids: Vec<u32> = answers.iter().map(|(process, _)| process.pid).collect();
        return Ok(format!("{}\n", serde_json::json!({ "version": unstuck_inspect::VERSION, "pids": pids })));
    }
    Ok(show::processes(&answers))
}

const NOBODY: &str =
    "no process of yours can be asked: start one with UNSTUCK_INSPECT=1 or Builder::inspect(true)";

/// The process with this number; the only one there is if no number was given.
fn find(pid: Option<u32>) -> Result<Process, Failure> {
    let mut living = processes();
    let numbers = || living.iter().map(|process| process.pid.to_string()).collect::<Vec<_>>().join(", ");
    match pid {
        Some(pid) => match living.iter().position(|process| process.pid == pid) {
            Some(at) => Ok(living.swap_remove(at)),
            None if living.is_empty() => {
                Err(Failure::new(format!("process {pid} cannot be asked: {}", why_not(pid))))
            }
            None => Err(Failure::new(format!(
                "process {pid} cannot be asked: {}. These can be: {}",
                why_not(pid),
                numbers()
            ))),
        },
        None if living.len() > 1 => {
            Err(Failure::new(format!("which process? say its number first: {}", numbers())))
        }
        None => living.pop().ok_or_else(|| Failure::new(NOBODY)),
    }
}

/// Reads an answer; one that says what is wrong is an error.
fn read(process: &Process, line: &str) -> Result<Value, Failure> {
    let answer: Value = serde_json::from_str(line)
        .map_err(|_| Failure::new(format!("process {} gave an answer that is none", process.pid)))?;
    if let Some(wrong) = answer["error"].as_str() {
        return Err(Failure::new(format!("process {}: {}", process.pid, show::clean(wrong))));
    }
    if answer["version"] != unstuck_inspect::VERSION {
        return Err(Failure::new(format!(
            "process {} answers in another version of the protocol: use the unstuck-ps that goes with its unstuck",
            process.pid
        )));
    }
    Ok(answer)
}
