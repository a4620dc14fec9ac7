//! `cargo bench --bench cpu`: see `work/cpu.rs` for what each line measures.

use unstuck_benches::kit::group::{self, is_a_bench_run, workers};
use unstuck_benches::{report, work};

fn main() {
    group::main("cpu", |group| {
        work::cpu::all(group);
        if is_a_bench_run() {
            report::computing(group.runtimes, workers(), 11).print();
        }
    });
}
