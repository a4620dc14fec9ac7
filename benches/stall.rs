//! `cargo bench --bench stall -- [FILTER]`: polls that do not come back, and what the stall guard costs when they do.
//!
//! FILTER is one of the tables: gaps, storm, idle, guard. No criterion here: what matters is the worst case and how
//! often it is that bad. In each round every runtime plays each scenario once, one after the other. The column *bar* is
//! there to read the others by; a slow machine fails nothing.

use std::thread;
use std::time::Duration;
use unstuck::StallPolicy;
use unstuck_benches::kit::group::{Runtimes, is_a_bench_run, workers};
use unstuck_benches::kit::heart::Bystander;
use unstuck_benches::kit::probe::{self, BLOCKED, GUARD_OFF, IDLE, KEEP_ALIVE};
use unstuck_benches::kit::spread::{Spread, short};
use unstuck_benches::kit::table::Table;
use unstuck_benches::rt::{Rt, Smol, Tokio, Unstuck};
use unstuck_benches::work::stall::{self, Hold, Start};
use unstuck_benches::work::{Workload, offload, spawn, wake};

fn main() {
    probe::answer_and_exit(workers());
    if !is_a_bench_run() {
        println!("only `cargo bench` runs this; the tests of work/stall.rs play the scenarios");
        return;
    }
    let filter = filter(std::env::args().skip(1));
    let wanted = |name: &str| name.contains(&filter);
    if wanted("gaps") {
        gaps().print();
    }
    if wanted("storm") {
        storm().print();
    }
    if wanted("idle") {
        idle().print();
    }
    if wanted("guard") {
        guard().print();
    }
}

/// The first argument that is none of those which `cargo bench` hands to every bench (`--save-baseline NAME`).
fn filter(mut arguments: impl Iterator<Item = String>) -> String {
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--bench" => {}
            flag if flag.starts_with('-') => drop(arguments.next()),
            _ => return argument,
        }
    }
    String::new()
}

/// Polls that stick, in a certain way.
#[derive(Clone, Copy)]
enum Scenario {
    OneSleeps,
    Every(Hold, Duration),
    Loops,
    /// With so many other workers held.
    Ready(Start, usize),
}

const LONG: Duration = Duration::from_millis(500);
const BRIEF: Duration = Duration::from_millis(50);

impl Scenario {
    /// What is seen in it, with the bar for unstuck.
    fn lines(self) -> Vec<(String, &'static str)> {
        let ready =
            |how: &str, who: &str| format!("{how} by a poll that then sleeps 20 ms, {who}: until it runs");
        match self {
            Self::OneSleeps => vec![("one poll sleeps 500 ms: worst gap of a 5 ms ticker".into(), "≤ 15 ms")],
            Self::Every(hold, time) => {
                let what = match hold {
                    Hold::Sleeps => "sleeps",
                    Hold::Spins => "spins",
                };
                let who = format!("every worker {what} {} ms", time.as_millis());
                let bar = match (hold, time) {
                    (_, LONG) => "as for 50 ms",
                    (Hold::Sleeps, _) => "≤ 10 ms",
                    (Hold::Spins, _) => "≤ 15 ms",
                };
                vec![
                    (format!("{who}: worst gap of a 1 ms heartbeat"), bar),
                    ("…: until 1,000 short tasks are done".into(), "–"),
                ]
            }
            Self::Loops => {
                vec![("two tasks loop {sleep 50 ms; yield}: worst gap of a 1 ms heartbeat".into(), "–")]
            }
            Self::Ready(Start::Spawned, 0) => vec![(ready("spawned", "a worker idle"), "≤ 0.1 ms")],
            Self::Ready(Start::Woken, 0) => vec![(ready("woken", "a worker idle"), "≤ 0.1 ms")],
            Self::Ready(Start::Spawned, _) => vec![(ready("spawned", "no worker idle"), "≤ 10 ms")],
            Self::Ready(Start::Woken, _) => vec![(ready("woken", "no worker idle"), "≤ 10 ms")],
        }
    }

    fn rounds(self) -> usize {
        match self {
            Self::OneSleeps | Self::Loops | Self::Every(_, LONG) => 3,
            Self::Every(..) => 9,
            Self::Ready(..) => 15,
        }
    }

    /// Plays it once; a time for each line.
    fn play<R: Rt>(self, rt: &R) -> Vec<Duration> {
        match self {
            Self::OneSleeps => vec![stall::one_worker_sleeps(rt, LONG)],
            Self::Every(hold, time) => {
                let seen = stall::every_worker(rt, workers(), hold, time);
                vec![seen.gap, seen.short]
            }
            Self::Loops => {
                let late = offload::beside_two_blockers(rt, Duration::from_millis(600));
                vec![offload::BEAT + late.max()]
            }
            Self::Ready(start, held) => {
                vec![stall::made_ready_by_a_stuck_poll(rt, held, start, Duration::from_millis(20))]
            }
        }
    }
}

/// What others suffer from polls that stick.
fn gaps() -> Table {
    let title = format!("Polls that stick, {} workers each: medians and worst of several rounds", workers());
    let columns = ["", "unstuck", "worst", "bar", "tokio", "worst", "smol", "worst", "no runtime: worst"];
    let mut table = Table::new(title, &columns);
    let all = Runtimes::start(workers());
    let held = workers() - 1;
    for scenario in [
        Scenario::OneSleeps,
        Scenario::Every(Hold::Sleeps, BRIEF),
        Scenario::Every(Hold::Spins, BRIEF),
        Scenario::Every(Hold::Sleeps, LONG),
        Scenario::Every(Hold::Spins, LONG),
        Scenario::Loops,
        Scenario::Ready(Start::Spawned, 0),
        Scenario::Ready(Start::Woken, 0),
        Scenario::Ready(Start::Spawned, held),
        Scenario::Ready(Start::Woken, held),
    ] {
        let bystander = Bystander::start();
        let mut seen: Vec<[Vec<Duration>; 3]> = Vec::new();
        for _ in 0..scenario.rounds() {
            seen.push([scenario.play(&all.unstuck), scenario.play(&all.tokio), scenario.play(&all.smol)]);
        }
        let machine = short(bystander.stop().as_secs_f64());
        for (nth, (name, bar)) in scenario.lines().into_iter().enumerate() {
            let times = |who: usize| {
                let spread = Spread::new(seen.iter().map(|round| round[who][nth]).collect());
                [spread.median(), spread.max()].map(|time| short(time.as_secs_f64()))
            };
            let ours = times(0).to_vec();
            let others = [times(1), times(2)].concat();
            table.row([vec![name], ours, vec![bar.into()], others, vec![machine.clone()]].concat());
        }
    }
    table
}

/// A thousand polls that block, in a fresh process for each runtime. They sleep, so all can run at once.
fn storm() -> Table {
    let title = format!(
        "{} polls that sleep {} ms each, spawned at once, each runtime in a fresh process; keep-alive {} ms",
        stall::BLOCKING,
        BLOCKED.as_millis(),
        KEEP_ALIVE.as_millis()
    );
    let columns = [
        "runtime",
        "worst gap of a 1 ms heartbeat",
        "beats/s",
        "task from outside: p50",
        "p99",
        "worst",
        "all done",
        "ran not once",
        "most threads",
        "threads left",
    ];
    let mut table = Table::new(title, &columns);
    let names = [Unstuck::NAME, Tokio::NAME, Smol::NAME];
    let storms = thread::scope(|scope| {
        names
            .map(|name| scope.spawn(move || probe::storm(name)))
            .map(|storm| storm.join().expect("a storm ends"))
    });
    for (name, storm) in names.into_iter().zip(storms) {
        let mut row = vec![name.to_string()];
        row.extend([short(storm.gap), format!("{:.0}", storm.beats)]);
        row.extend(storm.outside.map(short));
        row.extend([short(storm.took), storm.wrong.to_string()]);
        match storm.threads {
            Some(threads) => row.extend(threads.map(|count| count.to_string())),
            None => row.extend(["?", "?"].map(ToString::to_string)),
        }
        table.row(row);
    }
    table
}

/// Nothing to do, in a fresh process for each runtime, all at the same time.
fn idle() -> Table {
    let title = format!("A runtime with nothing to do, for {} s, in a fresh process", IDLE.as_secs());
    let mut table =
        Table::new(title, &["runtime", "threads", "context switches of all threads", "time they ran"]);
    let names = [Unstuck::NAME, GUARD_OFF, Tokio::NAME, Smol::NAME];
    let seen = thread::scope(|scope| {
        names
            .map(|name| scope.spawn(move || probe::idle(name)))
            .map(|idle| idle.join().expect("a child ends"))
    });
    for (name, seen) in names.into_iter().zip(seen) {
        let cells = match seen {
            Some((threads, did)) => {
                [threads.to_string(), did.wake_ups.to_string(), short(did.ran.as_secs_f64())]
            }
            None => ["?", "?", "?"].map(ToString::to_string),
        };
        table.row([vec![name.to_string()], cells.to_vec()].concat());
    }
    table
}

/// Times that [`guard`] starts its three runtimes anew, and rounds that it plays with each three.
const SETS: usize = 24;
const ROUNDS: usize = 7;

/// What the guard costs when nothing sticks: three runtimes in one process, with it, without it, and without it again.
///
/// Two runtimes that are set up alike differ by 2 % and more for as long as they live: where the allocator put their threads' heaps,
/// which of them came first. So each set of rounds has three new ones, made in another order.
fn guard() -> Table {
    let title = format!(
        "The guard's own cost: medians of {SETS} sets of new runtimes, {ROUNDS} interleaved rounds each, {} workers each",
        workers()
    );
    let columns = ["workload", "guard on", "guard off", "on/off", "bar", "off/off (noise)"];
    let mut table = Table::new(title, &columns);
    cost::<wake::YieldAlone>(&mut table);
    cost::<wake::Yield>(&mut table);
    cost::<spawn::JoinManyInTask>(&mut table);
    table
}

/// On, off and off again.
const POLICIES: [StallPolicy; 3] = [StallPolicy::Rescue, StallPolicy::Off, StallPolicy::Off];

/// They take turns at who is made first, and at who goes first; the medians of times and of the ratios.
fn cost<W: Workload>(table: &mut Table) {
    const ROUND: Duration = Duration::from_millis(10);
    let (mut times, mut ratios) = ([const { Vec::new() }; 3], [const { Vec::new() }; 2]);
    for set in 0..SETS {
        let mut all = [const { None }; 3];
        for turn in 0..3 {
            let who = (set + turn) % 3;
            all[who] = Some(Unstuck::start_with(workers(), |it| it.stall_guard(POLICIES[who])));
        }
        let all = all.map(|it| it.expect("each had its turn"));
        // Once to warm up; the last one's time says how often a round repeats it.
        let [.., once] = all.each_ref().map(|it| W::measure(it, 1) + W::measure(it, 1));
        let repeats = (2 * ROUND.as_nanos() / once.as_nanos().max(1)).clamp(1, 1_000) as u64;
        let mut here = [const { Vec::new() }; 2];
        for round in 0..ROUNDS {
            let mut now = [0.0; 3];
            for turn in 0..3 {
                let who = (set + round + turn) % 3;
                now[who] = W::measure(&all[who], repeats).as_secs_f64() / (repeats * W::OPS) as f64;
                times[who].push(now[who]);
            }
            here[0].push(now[0] / now[1]);
            here[1].push(now[2] / now[1]);
        }
        for (ratios, here) in ratios.iter_mut().zip(here) {
            ratios.push(median(here));
        }
    }
    let [on, off, _] = times.map(|times| short(median(times)));
    let [on_off, noise] = ratios.map(|ratios| format!("{:.3}", median(ratios)));
    table.row([W::NAME.to_string(), on, off, on_off, "≤ 1.01".into(), noise]);
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    values[values.len() / 2]
}
