//! What the terminal shows: a table, bars, and one sentence that draws the conclusion from the numbers.
//!
//! The bars are logarithmic, from a tenth of a millisecond up: modes differ by factors of a hundred, and a linear bar
//! would show one long one and three invisible ones.

use std::fmt::Write as _;
use std::time::Duration;

use crate::Runs;
use crate::input::Input;
use crate::load::Run;
use crate::mode::Mode;
use crate::options::{Options, cores};

/// Columns of the titles.
pub(crate) const TITLE: usize = 32;

/// Columns of the longest bar.
const BAR: usize = 40;

/// Where a bar begins.
const SHORTEST: Duration = Duration::from_micros(100);

/// From here on somebody notices.
pub(crate) const SLOW: Duration = Duration::from_millis(5);

/// From here on the service stands still.
pub(crate) const STALL: Duration = Duration::from_millis(50);

/// How long `/health` took, all in all.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Health {
    pub(crate) p50: Duration,
    pub(crate) p99: Duration,
    pub(crate) max: Duration,
}

impl Health {
    pub(crate) fn of(run: &Run) -> Self {
        let mut times: Vec<_> = run.pings.iter().map(|ping| ping.took).collect();
        times.sort_unstable();
        Self { p50: percentile(&times, 50), p99: percentile(&times, 99), max: percentile(&times, 100) }
    }
}

/// The smallest time that `percent` of all do not exceed (nearest rank).
fn percentile(sorted: &[Duration], percent: usize) -> Duration {
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    sorted.get(rank - 1).copied().unwrap_or_default()
}

/// What is about to be measured.
pub(crate) fn header(options: &Options, input: &Input) -> String {
    let mut text = String::new();
    let skipped = match input.skipped {
        0 => String::new(),
        some => format!(" ({some} could not be read)"),
    };
    // Writing to a string cannot fail.
    let _ = writeln!(
        text,
        "/health  answers at once; asked every millisecond\n\
         /digest  SHA-256 over {:.1} MB, about {} ms of computing; {} clients\n\
         {:9}input: {} files, {:.1} MB, from {}{skipped}\n\
         /page    a blocking call to a peer that takes {} ms; {} clients\n\
         machine  {} cores; multi-threaded: {} workers, and {} for computing when offloaded\n",
        megabytes(input.per_digest),
        options.digest_time().as_millis(),
        options.digest_clients,
        "",
        input.files(),
        megabytes(input.total),
        options.dir.display(),
        options.peer_time().as_millis(),
        options.page_clients,
        cores(),
        options.workers(),
        options.cpu_threads(),
    );
    text
}

/// Table, bars, conclusion.
pub(crate) fn results(runs: &Runs, colours: bool) -> String {
    let mut text = table(runs);
    text.push_str(&bars(runs, colours));
    text.push_str(&conclusion(runs));
    text
}

fn table(runs: &Runs) -> String {
    let mut text = format!(
        "{:TITLE$} {:>9} {:>9} {:>12} {:>9} {:>9}\n",
        "", "digests/s", "pages/s", "/health p50", "p99", "max"
    );
    for run in runs {
        let health = Health::of(run);
        let _ = writeln!(
            text,
            "{:TITLE$} {:>9.1} {:>9.1} {:>12} {:>9} {:>9}",
            run.mode.title(),
            run.digests,
            run.pages,
            pretty(health.p50),
            pretty(health.p99),
            pretty(health.max),
        );
    }
    text
}

fn bars(runs: &Runs, colours: bool) -> String {
    let mut text = String::from("\n/health p99, logarithmic\n");
    let longest = runs.iter().map(|run| Health::of(run).p99).max().unwrap_or_default().max(SLOW);
    for run in runs {
        let p99 = Health::of(run).p99;
        let share = logarithm(p99) / logarithm(longest);
        let bar = bar(share);
        let bar = match (colours, p99) {
            (false, _) => bar,
            (true, p99) if p99 < SLOW => format!("\x1b[32m{bar}\x1b[0m"),
            (true, p99) if p99 < STALL => format!("\x1b[33m{bar}\x1b[0m"),
            (true, _) => format!("\x1b[31m{bar}\x1b[0m"),
        };
        let _ = writeln!(text, "{:TITLE$} {bar} {}", run.mode.title(), pretty(p99));
    }
    text.push('\n');
    text
}

/// A bar in eighths of a column.
fn bar(share: f64) -> String {
    let eighths = (share.clamp(0.0, 1.0) * (BAR * 8) as f64).round() as usize;
    let rest = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"][eighths % 8];
    let bar = "█".repeat(eighths / 8) + rest;
    if bar.is_empty() { "▏".into() } else { bar }
}

fn logarithm(time: Duration) -> f64 {
    (time.as_secs_f64() / SHORTEST.as_secs_f64()).max(1.0).ln()
}

/// What the numbers say, whichever way they fall.
fn conclusion(runs: &Runs) -> String {
    let find = |mode| runs.iter().find(|run| run.mode == mode);
    let Some(offloaded) = find(Mode::Offloaded) else { return String::new() };
    let p99 = Health::of(offloaded).p99;
    let mut text = format!("With to_thread and cpu, /health has a p99 of {}", pretty(p99));
    if let Some(single) = find(Mode::SingleInline) {
        let inline = Health::of(single).p99;
        let _ = write!(
            text,
            "; inline on one thread it is {} ({})",
            pretty(inline),
            times(inline.as_secs_f64() / p99.as_secs_f64())
        );
    }
    if let Some(multi) = find(Mode::MultiInline) {
        let inline = Health::of(multi).p99;
        let _ = write!(text, ".\nInline on many threads it is {}", pretty(inline));
        if let Some(rescued) = find(Mode::Rescued) {
            let _ = write!(text, ", with the stall guard {}", pretty(Health::of(rescued).p99));
        }
        let digests = times(offloaded.digests / multi.digests);
        let pages = times(offloaded.pages / multi.pages);
        let _ = write!(text, ".\nAgainst multi-threaded inline: digests {digests}, pages {pages}");
    }
    text.push_str(".\n\n");
    text
}

fn times(factor: f64) -> String {
    match factor {
        f if !f.is_finite() => "not measured".into(),
        f if f >= 10.0 => format!("× {f:.0}"),
        f => format!("× {f:.1}"),
    }
}

/// A time in three digits.
pub(crate) fn pretty(time: Duration) -> String {
    match time.as_secs_f64() * 1e3 {
        ms if ms >= 1000.0 => format!("{:.2} s", ms / 1e3),
        ms if ms >= 100.0 => format!("{ms:.0} ms"),
        ms if ms >= 10.0 => format!("{ms:.1} ms"),
        ms => format!("{ms:.2} ms"),
    }
}

pub(crate) fn megabytes(bytes: usize) -> f64 {
    bytes as f64 / 1e6
}
