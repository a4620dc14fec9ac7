//! `cargo bench --bench offload`: work that computes or waits, inline or handed away, on one thread or many.
//!
//! criterion's figure is the time of a batch; the table after it says how late a heartbeat was beside it. The lesson is
//! told in `work/offload.rs`.

use std::time::Duration;
use unstuck_benches::kit::group::{self, Group, is_a_bench_run, workers};
use unstuck_benches::report;
use unstuck_benches::rt::{Rt, SmolSingle, TokioSingle, UnstuckSingle};
use unstuck_benches::work::offload::{CELLS, JOBS, measure};

fn main() {
    group::main("offload", batches);
}

fn batches(group: &mut Group<'_>) {
    group.size(JOBS as u64, Duration::from_millis(300));
    let runtimes = group.runtimes;
    batches_of(group, &runtimes.unstuck);
    batches_of(group, &runtimes.tokio);
    batches_of(group, &runtimes.smol);
    batches_of(group, &UnstuckSingle::start(workers()));
    batches_of(group, &TokioSingle::start(workers()));
    batches_of(group, &SmolSingle::start(workers()));
    if is_a_bench_run() {
        report::offload(runtimes, workers()).print();
        report::blockers(runtimes).print();
    }
}

fn batches_of<R: Rt>(group: &mut Group<'_>, rt: &R) {
    for (kind, lane) in CELLS {
        group.bench(&format!("{kind} {lane}"), R::NAME, |batches| measure(rt, kind, lane, batches));
    }
}
