//! `cargo bench --bench timer`: see `work/timer.rs` for what each line measures. Prints how late sleepers wake, too.

use unstuck_benches::{kit::group, report, work};

fn main() {
    group::main("timer", |group| {
        work::timer::all(group);
        if group::is_a_bench_run() {
            report::lateness(group.runtimes).print();
        }
    });
}
