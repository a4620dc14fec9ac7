//! The tables about delays: how late things happen, which an average would hide.

use crate::kit::group::Runtimes;
use crate::kit::spread::{Spread, short};
use crate::kit::table::Table;
use crate::rt::{Rt, Smol, SmolSingle, Tokio, TokioSingle, Unstuck, UnstuckSingle};
use crate::work::{cpu, offload, timer};
use std::time::Duration;

/// The columns that [`delays`] fills.
const DELAYS: [&str; 4] = ["times", "late: p50", "p99", "max"];

fn delays(spread: &Spread) -> Vec<String> {
    let late = [spread.median(), spread.percentile(99), spread.max()];
    [vec![spread.count().to_string()], late.map(|time| short(time.as_secs_f64())).to_vec()].concat()
}

/// A table whose last columns are [`DELAYS`].
fn table(title: &str, columns: &[&str]) -> Table {
    Table::new(title, &[columns, &DELAYS].concat())
}

/// How late sleepers wake: one alone, and 100,000 within 100 ms.
pub fn lateness(runtimes: &Runtimes) -> Table {
    let mut table = table("How late sleepers wake", &["sleepers", "runtime"]);
    one_sleeper(&mut table, &runtimes.unstuck);
    one_sleeper(&mut table, &runtimes.tokio);
    one_sleeper(&mut table, &runtimes.smol);
    storm(&mut table, &runtimes.unstuck);
    storm(&mut table, &runtimes.tokio);
    storm(&mut table, &runtimes.smol);
    table
}

/// unstuck in other manners than its own: compute threads that do not step back, or share one budget with workers.
struct Manners {
    evenly: Unstuck,
    budget: Unstuck,
    budget_alone: Unstuck,
}

impl Manners {
    const NAMES: [&str; 6] = [
        Unstuck::NAME,
        "unstuck, even priority",
        "unstuck, and a budget",
        "unstuck, a budget alone",
        Tokio::NAME,
        Smol::NAME,
    ];

    fn start(workers: usize) -> Self {
        let with = |low, budget| {
            Unstuck::start_with(workers, |builder| builder.cpu_low_priority(low).cpu_budget(budget))
        };
        Self { evenly: with(false, false), budget: with(true, true), budget_alone: with(false, true) }
    }
}

/// Batches in a row, so that there are enough beats: the p99 of 170 beats is the second worst of them.
const BATCHES: u64 = 4;

/// What 64 jobs of 1 ms cost on each runtime and on rayon alone, and how late a heartbeat is beside them.
pub fn computing(runtimes: &Runtimes, workers: usize, rounds: usize) -> Table {
    let title = format!(
        "64 × 1 ms in cpu and a heartbeat of 1 ms beside them; the batch in units of rayon alone: medians of {rounds}"
    );
    let mut table = table(&title, &["runtime", "a batch", "of rayon's"]);
    let rayon = rayon::ThreadPoolBuilder::new().num_threads(workers).build().expect("rayon starts");
    let manners = Manners::start(workers);
    let mut hearts = [const { Vec::new() }; 6];
    let mut batches = [const { Vec::new() }; 7];
    for _ in 0..rounds {
        let Runtimes { unstuck, tokio, smol } = runtimes;
        let seen = [
            cpu::beside_the_heart(unstuck, BATCHES),
            cpu::beside_the_heart(&manners.evenly, BATCHES),
            cpu::beside_the_heart(&manners.budget, BATCHES),
            cpu::beside_the_heart(&manners.budget_alone, BATCHES),
            cpu::beside_the_heart(tokio, BATCHES),
            cpu::beside_the_heart(smol, BATCHES),
        ];
        for (nth, (took, beats)) in seen.into_iter().enumerate() {
            batches[nth].push(took / BATCHES as u32);
            hearts[nth].push(beats);
        }
        batches[6].push(cpu::on_rayon_alone(&rayon, BATCHES) / BATCHES as u32);
    }
    let medians = batches.map(|times| Spread::new(times).median().as_secs_f64());
    let alone = medians[6];
    for ((name, beats), batch) in Manners::NAMES.into_iter().zip(hearts).zip(medians) {
        let start = vec![name.into(), short(batch), format!("{:.2}", batch / alone)];
        table.row([start, delays(&Spread::all(beats))].concat());
    }
    table.row(["rayon alone", &short(alone), "1.00", "", "", "", ""].map(Into::into));
    table
}

/// The same work beside a task that computes without end and closures that wait.
pub fn crowd(runtimes: &Runtimes, workers: usize, rounds: usize) -> Table {
    let title = format!(
        "64 × 1 ms in cpu, 64 × 1 ms asleep in threads, a task that computes 200 µs a poll, a heartbeat: medians of {rounds}"
    );
    let mut table = table(&title, &["runtime", "a batch", "polls/s"]);
    let manners = Manners::start(workers);
    let mut seen = [const { (Vec::new(), Vec::new(), Vec::new()) }; 6];
    for _ in 0..rounds {
        let Runtimes { unstuck, tokio, smol } = runtimes;
        let round = [
            cpu::in_a_crowd(unstuck),
            cpu::in_a_crowd(&manners.evenly),
            cpu::in_a_crowd(&manners.budget),
            cpu::in_a_crowd(&manners.budget_alone),
            cpu::in_a_crowd(tokio),
            cpu::in_a_crowd(smol),
        ];
        for (all, cpu::Crowd { batch, polls, late }) in seen.iter_mut().zip(round) {
            all.0.push(batch);
            all.1.push(polls);
            all.2.push(late);
        }
    }
    for (name, (batches, mut polls, beats)) in Manners::NAMES.into_iter().zip(seen) {
        polls.sort_unstable_by(f64::total_cmp);
        let batch = Spread::new(batches).median().as_secs_f64();
        let start = vec![name.into(), short(batch), format!("{:.0}", polls[polls.len() / 2])];
        table.row([start, delays(&Spread::all(beats))].concat());
    }
    table
}

fn one_sleeper<R: Rt>(table: &mut Table, rt: &R) {
    let spread = timer::lateness_of_one(rt, 300);
    table.row([vec!["one, 1 ms".into(), R::NAME.into()], delays(&spread)].concat());
}

fn storm<R: Rt>(table: &mut Table, rt: &R) {
    let spread = timer::lateness_in_a_storm(rt);
    table.row([vec!["100,000 within 100 ms".into(), R::NAME.into()], delays(&spread)].concat());
}

/// How late a heartbeat is while two tasks block both workers, 50 ms at a time.
pub fn blockers(runtimes: &Runtimes) -> Table {
    let title = "A heartbeat of 1 ms beside two tasks that block their threads, 50 ms at a time, for 600 ms";
    let mut table = table(title, &["runtime"]);
    beside_blockers(&mut table, &runtimes.unstuck);
    beside_blockers(&mut table, &runtimes.tokio);
    beside_blockers(&mut table, &runtimes.smol);
    table
}

fn beside_blockers<R: Rt>(table: &mut Table, rt: &R) {
    let spread = offload::beside_two_blockers(rt, Duration::from_millis(600));
    table.row([vec![R::NAME.into()], delays(&spread)].concat());
}

/// How late a heartbeat is beside closures of `to_thread` that are short, and then are not.
pub fn turning(runtimes: &Runtimes) -> Table {
    let title = "A heartbeat of 1 ms beside two tasks whose to_thread calls are short 200 times and then take 50 ms, for 1 s";
    let mut table = table(title, &["runtime"]);
    beside_a_turning_site(&mut table, &runtimes.unstuck);
    beside_a_turning_site(&mut table, &runtimes.tokio);
    beside_a_turning_site(&mut table, &runtimes.smol);
    table
}

fn beside_a_turning_site<R: Rt>(table: &mut Table, rt: &R) {
    let spread = offload::beside_a_turning_site(rt, Duration::from_secs(1));
    table.row([vec![R::NAME.into()], delays(&spread)].concat());
}

/// What a batch of jobs takes, and what a heartbeat suffers beside it, for each kind of job, lane and runtime.
pub fn offload(runtimes: &Runtimes, workers: usize) -> Table {
    let title = format!("{} jobs of 5 ms, and a heartbeat of 1 ms beside them, for 250 ms", offload::JOBS);
    let mut table = table(&title, &["a job", "runtime", "the batch"]);
    let singles = (UnstuckSingle::start(workers), TokioSingle::start(workers), SmolSingle::start(workers));
    for cell in offload::CELLS {
        batch(&mut table, cell, &runtimes.unstuck);
        batch(&mut table, cell, &runtimes.tokio);
        batch(&mut table, cell, &runtimes.smol);
        batch(&mut table, cell, &singles.0);
        batch(&mut table, cell, &singles.1);
        batch(&mut table, cell, &singles.2);
    }
    table
}

fn batch<R: Rt>(table: &mut Table, (kind, lane): (offload::Kind, offload::Lane), rt: &R) {
    let (took, beats) = offload::observe(rt, kind, lane, Duration::from_millis(250));
    let start = vec![format!("{kind} {lane}"), R::NAME.into(), short(took.as_secs_f64())];
    table.row([start, delays(&beats)].concat());
}
