//! The command line: every option explained, every mistake one line.
//!
//! clap reports a mistake in five lines (what, tip, usage, where to look). Someone who mistyped an option wants the
//! first; `--help` is there for the rest.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, error::ErrorKind};

use crate::mode::Mode;

/// Runs one HTTP service in several ways and shows what blocking does to everybody else.
///
/// Clients load /digest (computes) and /page (blocks on a slow peer) while one more asks /health every millisecond.
/// Prints a table and a bar chart, and writes a timeline in which the stalls can be seen.
#[derive(Debug, Parser)]
#[command(name = "contrast", version)]
pub(crate) struct Options {
    /// How long to measure each mode, in seconds.
    #[arg(long, value_name = "SECONDS", default_value = "6", value_parser = seconds)]
    seconds: f64,

    /// The directory whose files /digest hashes; hidden files and `target` are left out.
    #[arg(long, value_name = "DIR", default_value = ".")]
    pub(crate) dir: PathBuf,

    /// Which ways to run the service; several with commas between them.
    #[arg(long, value_name = "MODE", value_enum, value_delimiter = ',', default_value = "all")]
    mode: Vec<Choice>,

    /// Clients that request /digest, one request after the other, with a pause between.
    #[arg(long, value_name = "N", default_value = "2", value_parser = clients)]
    pub(crate) digest_clients: usize,

    /// Clients that request /page, one request after the other, with a pause between.
    #[arg(long, value_name = "N", default_value = "4", value_parser = clients)]
    pub(crate) page_clients: usize,

    /// How long one /digest computes, in milliseconds; the amount of data is chosen to fit.
    #[arg(long, value_name = "MS", default_value = "60", value_parser = milliseconds)]
    digest_ms: u64,

    /// How long the peer that /page asks takes to answer, in milliseconds.
    #[arg(long, value_name = "MS", default_value = "80", value_parser = milliseconds)]
    peer_ms: u64,

    /// How long these clients pause between an answer and the next request, in milliseconds.
    #[arg(long, value_name = "MS", default_value = "20", value_parser = pause)]
    pause_ms: u64,

    /// Worker threads of the multi-threaded runtime [default: one for each core].
    #[arg(long, value_name = "N", value_parser = threads)]
    workers: Option<usize>,

    /// Threads that compute, in the offloaded mode [default: one core fewer than there are].
    #[arg(long, value_name = "N", value_parser = threads)]
    cpu_threads: Option<usize>,

    /// Where to write the timeline; folders are made as needed.
    #[arg(long, value_name = "FILE", default_value = "target/contrast.svg")]
    pub(crate) out: PathBuf,
}

/// One value of `--mode`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Choice {
    /// All of them, one after the other.
    All,
    /// One thread; handlers compute and block on it, as in a naive asyncio program.
    SingleInline,
    /// A thread for each core; handlers still compute and block on them, and nobody notices (the stall guard is off).
    MultiInline,
    /// The same with the stall guard on: what waits behind a stuck handler is given to another thread.
    Rescued,
    /// A thread for each core; handlers hand blocking calls to `to_thread` and computing to `cpu`.
    Offloaded,
}

impl Options {
    /// Reads the command line; help and mistakes have been printed when this gives an exit code.
    pub(crate) fn read() -> Result<Self, ExitCode> {
        Self::try_parse().map_err(|error| match error.kind() {
            ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
                // A closed stdout is no mistake in the command line.
                drop(error.print());
                ExitCode::SUCCESS
            }
            _ => {
                eprintln!("contrast: {} (--help explains all options)", one_line(&error.to_string()));
                ExitCode::from(2)
            }
        })
    }

    /// The modes to run, each once, in a fixed order.
    pub(crate) fn modes(&self) -> Vec<Mode> {
        let chosen = |choice| self.mode.contains(&choice) || self.mode.contains(&Choice::All);
        Mode::ALL.into_iter().filter(|mode| chosen(Choice::from(*mode))).collect()
    }

    pub(crate) fn length(&self) -> Duration {
        Duration::from_secs_f64(self.seconds)
    }

    pub(crate) fn digest_time(&self) -> Duration {
        Duration::from_millis(self.digest_ms)
    }

    pub(crate) fn pause(&self) -> Duration {
        Duration::from_millis(self.pause_ms)
    }

    pub(crate) fn workers(&self) -> usize {
        self.workers.unwrap_or_else(cores)
    }

    /// Threads that compute.
    ///
    /// One core stays with those who answer: where all of them compute, each hand-over from client to reactor to
    /// worker and back waits until the kernel takes a core away from a computation, a millisecond or so each time.
    pub(crate) fn cpu_threads(&self) -> usize {
        self.cpu_threads.unwrap_or_else(|| cores().saturating_sub(1).max(1))
    }

    pub(crate) fn peer_time(&self) -> Duration {
        Duration::from_millis(self.peer_ms)
    }
}

impl From<Mode> for Choice {
    fn from(mode: Mode) -> Self {
        match mode {
            Mode::SingleInline => Choice::SingleInline,
            Mode::MultiInline => Choice::MultiInline,
            Mode::Rescued => Choice::Rescued,
            Mode::Offloaded => Choice::Offloaded,
        }
    }
}

/// Cores this process may use, counted as the runtime counts them.
pub(crate) fn cores() -> usize {
    num_cpus::get()
}

/// clap's message up to the first empty line, without its `error: `.
fn one_line(message: &str) -> String {
    let lines = message.lines().map(str::trim).take_while(|line| !line.is_empty());
    let joined = lines.collect::<Vec<_>>().join(" ");
    joined.strip_prefix("error: ").unwrap_or(&joined).to_owned()
}

fn seconds(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(value) if (0.1..=600.0).contains(&value) => Ok(value),
        _ => Err("a number from 0.1 to 600 is needed".into()),
    }
}

fn milliseconds(text: &str) -> Result<u64, String> {
    within(text, 1, 10_000)
}

fn pause(text: &str) -> Result<u64, String> {
    within(text, 0, 10_000)
}

fn clients(text: &str) -> Result<usize, String> {
    Ok(usize::try_from(within(text, 0, 256)?).expect("at most 256"))
}

fn threads(text: &str) -> Result<usize, String> {
    Ok(usize::try_from(within(text, 1, 256)?).expect("at most 256"))
}

fn within(text: &str, least: u64, most: u64) -> Result<u64, String> {
    match text.parse() {
        Ok(value) if (least..=most).contains(&value) => Ok(value),
        _ => Err(format!("a whole number from {least} to {most} is needed")),
    }
}
