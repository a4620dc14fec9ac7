//! criterion's side: a bench group in which every runtime runs every workload.

use crate::kit::probe;
use crate::rt::{Rt, Smol, Tokio, Unstuck};
use crate::work::{Visitor, Workload};
use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, BenchmarkId, Criterion, SamplingMode, Throughput};
use std::time::Duration;

/// The runtimes with worker threads, all started, in the order of every table.
pub struct Runtimes {
    /// unstuck
    pub unstuck: Unstuck,
    /// tokio
    pub tokio: Tokio,
    /// smol
    pub smol: Smol,
}

impl Runtimes {
    /// Starts all of them with the same number of workers.
    pub fn start(workers: usize) -> Self {
        Self { unstuck: Unstuck::start(workers), tokio: Tokio::start(workers), smol: Smol::start(workers) }
    }
}

/// How many workers every runtime gets: two, or `UNSTUCK_BENCHES_WORKERS`.
pub fn workers() -> usize {
    match std::env::var("UNSTUCK_BENCHES_WORKERS") {
        Ok(number) => number.parse().expect("UNSTUCK_BENCHES_WORKERS is a number of threads"),
        Err(_) => 2,
    }
}

/// A bench of this workspace: few samples and short ones, for there are many series, and `compare` is for the rest.
pub fn criterion() -> Criterion {
    Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_millis(700))
        .nresamples(5_000)
        .without_plots()
        .configure_from_args()
}

/// Whether this is a real run (`cargo bench`), not a listing or a quick test of the benches: then tables are printed.
pub fn is_a_bench_run() -> bool {
    let asked = |what: &str| std::env::args().any(|argument| argument == what);
    asked("--bench") && !asked("--test") && !asked("--list")
}

/// The `main` of a bench: starts the runtimes, and has `show` fill the group.
pub fn main(name: &str, show: fn(&mut Group<'_>)) {
    probe::answer_and_exit(workers());
    let runtimes = Runtimes::start(workers());
    let mut criterion = criterion();
    {
        let mut group = Group { group: criterion.benchmark_group(name), runtimes: &runtimes };
        group.group.sampling_mode(SamplingMode::Flat);
        show(&mut group);
    }
    criterion.final_summary();
}

/// A criterion group and the runtimes it runs on.
pub struct Group<'a> {
    group: BenchmarkGroup<'a, WallTime>,
    /// The runtimes.
    pub runtimes: &'a Runtimes,
}

impl Group<'_> {
    /// Measures one thing of one runtime: `measure` is told how many rounds to run, and gives the time they took.
    pub fn bench(&mut self, work: &str, runtime: &str, mut measure: impl FnMut(u64) -> Duration) {
        let id = BenchmarkId::new(work.replace('/', "-"), runtime);
        self.group.bench_function(id, |bencher| bencher.iter_custom(&mut measure));
    }

    /// Sets what the time of a round is divided by, and how much measured time a series may take.
    pub fn size(&mut self, operations: u64, budget: Duration) {
        self.group.throughput(Throughput::Elements(operations)).measurement_time(budget);
        self.group.warm_up_time(budget.min(Duration::from_millis(200)));
    }

    fn workload<W: Workload, R: Rt>(&mut self, rt: &R) {
        self.bench(W::NAME, R::NAME, |rounds| W::measure(rt, rounds));
    }
}

impl Visitor for Group<'_> {
    fn visit<W: Workload>(&mut self) {
        self.size(W::OPS, W::BUDGET);
        self.workload::<W, _>(&self.runtimes.unstuck);
        self.workload::<W, _>(&self.runtimes.tokio);
        self.workload::<W, _>(&self.runtimes.smol);
    }
}
