//! All runtimes in one process, round by round, medians: the figures to quote.
//!
//! `cargo run --release -p unstuck-benches --bin compare -- [FILTER] [--rounds N]`
//!
//! In each round every runtime runs the workload once, one after the other, so a noisy moment hits all of them; the
//! median over the rounds then forgets it. The rounds are short (20 ms a runtime), the whole takes under a minute.

use std::io::IsTerminal;
use std::time::{Duration, Instant};
use unstuck_benches::kit::group::{Runtimes, workers};
use unstuck_benches::kit::probe;
use unstuck_benches::kit::spread::{Spread, short};
use unstuck_benches::kit::table::Table;
use unstuck_benches::report;
use unstuck_benches::rt::{Rt, Smol, Tokio, Unstuck};
use unstuck_benches::work::{self, Visitor, Workload};

const HELP: &str = "\
compare [FILTER] [--rounds N]
  FILTER       only workloads whose name contains this (also: lateness, heartbeat, memory, ramp-up,
               \"cpu, heartbeat\", \"turning, heartbeat\")
  --rounds N   rounds a workload (11; fewer where a round is long)
  UNSTUCK_BENCHES_WORKERS sets the worker threads of every runtime (2)";

struct Options {
    filter: String,
    rounds: usize,
}

fn main() {
    probe::answer_and_exit(workers());
    let Some(options) = options(std::env::args().skip(1)) else {
        eprintln!("{HELP}");
        std::process::exit(2);
    };
    let wants = |name: &str| name.contains(&options.filter);
    let runtimes = Runtimes::start(workers());
    let mut compare = Compare { table: speed_table(&options), options: &options, runtimes: &runtimes };
    work::all(&mut compare);
    compare.table.print();
    if wants("to_thread") {
        adaptive_off(&options).print();
    }
    if wants("arm and cancel") {
        beside_io(&options).print();
    }
    if wants("lateness") {
        report::lateness(&runtimes).print();
    }
    if wants("heartbeat") {
        report::blockers(&runtimes).print();
    }
    if wants("turning, heartbeat") {
        report::turning(&runtimes).print();
    }
    if wants("cpu, heartbeat") {
        report::computing(&runtimes, workers(), options.rounds).print();
        report::crowd(&runtimes, workers(), options.rounds).print();
    }
    drop(runtimes);
    if wants("ramp-up") {
        ramp_up(options.rounds.min(5)).print();
        back_down().print();
    }
    if wants("memory") {
        memory().print();
    }
}

fn options(mut arguments: impl Iterator<Item = String>) -> Option<Options> {
    let mut options = Options { filter: String::new(), rounds: 11 };
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--rounds" => options.rounds = arguments.next()?.parse().ok().filter(|&rounds| rounds > 0)?,
            flag if flag.starts_with('-') => return None,
            filter => options.filter = filter.to_string(),
        }
    }
    Some(options)
}

const COLUMNS: [&str; 6] = ["workload", "unstuck", "tokio", "smol", "tokio/unstuck", "smol/unstuck"];

fn speed_table(options: &Options) -> Table {
    let (rounds, workers) = (options.rounds, workers());
    let title = format!("Time per operation: medians of {rounds} interleaved rounds, {workers} workers each");
    Table::new(title, &COLUMNS)
}

fn versus(table: &mut Table, name: &str, [unstuck, tokio, smol]: [f64; 3], show: fn(f64) -> String) {
    let ratio = |rival: f64| format!("{:.2}", rival / unstuck);
    table.row([name.to_string(), show(unstuck), show(tokio), show(smol), ratio(tokio), ratio(smol)]);
}

/// Runs every workload it is shown, and puts a line for each into the table.
struct Compare<'a> {
    options: &'a Options,
    runtimes: &'a Runtimes,
    table: Table,
}

impl Visitor for Compare<'_> {
    fn visit<W: Workload>(&mut self) {
        if !W::NAME.contains(&self.options.filter) {
            return;
        }
        progress(W::NAME);
        let Runtimes { unstuck, tokio, smol } = self.runtimes;
        let mut lines = (Line::new::<W, _>(unstuck), Line::new::<W, _>(tokio), Line::new::<W, _>(smol));
        let once = lines.0.whole + lines.1.whole + lines.2.whole;
        for _ in 0..rounds_within_budget(self.options.rounds, once) {
            lines.0.run::<W, _>(unstuck);
            lines.1.run::<W, _>(tokio);
            lines.2.run::<W, _>(smol);
        }
        progress("");
        versus(&mut self.table, W::NAME, [lines.0.median(), lines.1.median(), lines.2.median()], short);
    }
}

/// Says what is running now, to someone who watches.
fn progress(now: &str) {
    if std::io::stderr().is_terminal() {
        eprint!("\r{now:60}\r");
    }
}

/// One runtime's times of one workload.
struct Line {
    /// How often the workload is repeated in a round: about 20 ms.
    repeats: u64,
    /// How long a round takes with all its preparation.
    whole: Duration,
    /// Seconds an operation, one for each round.
    times: Vec<f64>,
}

impl Line {
    fn new<W: Workload, R: Rt>(rt: &R) -> Self {
        const ROUND: Duration = Duration::from_millis(20);
        W::measure(rt, 1);
        let start = Instant::now();
        let took = W::measure(rt, 1);
        let repeats = (ROUND.as_nanos() / took.as_nanos().max(1)).clamp(1, 100_000);
        let repeats = u64::try_from(repeats).expect("at most 100,000");
        let whole = start.elapsed() * u32::try_from(repeats).expect("at most 100,000");
        Self { repeats, whole, times: Vec::new() }
    }

    fn run<W: Workload, R: Rt>(&mut self, rt: &R) {
        let took = W::measure(rt, self.repeats);
        self.times.push(took.as_secs_f64() / (self.repeats * W::OPS) as f64);
    }

    fn median(&mut self) -> f64 {
        self.times.sort_unstable_by(f64::total_cmp);
        self.times[self.times.len() / 2]
    }
}

/// As many rounds as asked for, or as fit into three seconds; at least three.
fn rounds_within_budget(asked: usize, once: Duration) -> usize {
    let fit = (3.0 / once.as_secs_f64().max(1e-3)) as usize;
    asked.min(fit.max(3))
}

/// The lines about empty closures once more, with an unstuck that keeps none of them on its workers.
fn adaptive_off(options: &Options) -> Table {
    let unstuck = Unstuck::start_with(workers(), |it| it.adaptive_offload(false));
    let (tokio, smol) = (Tokio::start(workers()), Smol::start(workers()));
    let runtimes = Runtimes { unstuck, tokio, smol };
    let table = Table::new("The same with adaptive_offload(false): unstuck too goes to a thread", &COLUMNS);
    let mut compare = Compare { options, runtimes: &runtimes, table };
    compare.visit::<work::blocking::RoundTrip>();
    compare.visit::<work::blocking::BatchOf16>();
    compare.table
}

/// The lines about arming timers once more, beside a tokio with its I/O driver. A thread in epoll is woken by a system call.
fn beside_io(options: &Options) -> Table {
    let (unstuck, smol) = (Unstuck::start(workers()), Smol::start(workers()));
    let runtimes = Runtimes { unstuck, tokio: Tokio::start_with_io(workers()), smol };
    let table =
        Table::new("The same beside tokio with its I/O driver, as #[tokio::main] starts it", &COLUMNS);
    let mut compare = Compare { options, runtimes: &runtimes, table };
    compare.visit::<work::timer::ArmAndCancel>();
    compare.visit::<work::timer::ArmLaterAndCancel>();
    compare.visit::<work::timer::TimeoutsOneByOne>();
    compare.table
}

/// After 500 closures at once, until the threads are gone that ran them.
fn back_down() -> Table {
    let (alive, watched) = (work::blocking::KEEP_ALIVE, work::blocking::WATCHED);
    let title = format!(
        "And back: until the 500 threads are gone, idle ones staying {alive:?} where one may choose (smol: 500 ms); \
         watched for {watched:?}"
    );
    let mut table = Table::new(title, &["runtime", "took", "threads left"]);
    let seen = [
        (Unstuck::NAME, probe::back_down::<Unstuck>()),
        (Tokio::NAME, probe::back_down::<Tokio>()),
        (Smol::NAME, probe::back_down::<Smol>()),
    ];
    for (name, seen) in seen {
        let Some((took, left)) = seen else { continue };
        let took = if left == 0 { short(took.as_secs_f64()) } else { format!("over {watched:?}") };
        table.row([name.to_string(), took, left.to_string()]);
    }
    table
}

fn ramp_up(rounds: usize) -> Table {
    let mut table =
        Table::new("From an empty pool to 500 closures at once, each in a fresh process", &COLUMNS);
    let mut times = [const { Vec::new() }; 3];
    for _ in 0..rounds {
        times[0].push(probe::ramp_up::<Unstuck>());
        times[1].push(probe::ramp_up::<Tokio>());
        times[2].push(probe::ramp_up::<Smol>());
    }
    for (which, name) in
        ["to_thread, ramp-up to 500 threads", "..., the poll that submits them"].iter().enumerate()
    {
        let median = |times: &Vec<[Duration; 2]>| {
            let times = times.iter().map(|times| times[which]).collect();
            Spread::new(times).median().as_secs_f64()
        };
        versus(&mut table, name, times.each_ref().map(median), short);
    }
    table
}

fn memory() -> Table {
    let mut table = Table::new("Memory of 1,000,000 pending tasks, each in a fresh process", &COLUMNS);
    let bytes = [probe::memory::<Unstuck>(), probe::memory::<Tokio>(), probe::memory::<Smol>()];
    match bytes {
        [Some(unstuck), Some(tokio), Some(smol)] => {
            versus(&mut table, "bytes a pending task", [unstuck, tokio, smol], |bytes| format!("{bytes:.0}"));
        }
        _ => eprintln!("this system does not tell how much memory a process has in use"),
    }
    table
}
