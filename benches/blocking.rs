//! `cargo bench --bench blocking`: see `work/blocking.rs` for what each line measures.

use std::time::Duration;
use unstuck_benches::kit::group::{self, Group};
use unstuck_benches::kit::probe::ramp_up;
use unstuck_benches::rt::{Rt, Smol, Tokio, Unstuck};
use unstuck_benches::work;

fn main() {
    group::main("blocking", |group| {
        work::blocking::all(group);
        group.size(1, Duration::from_millis(700));
        ramp_up_of::<Unstuck>(group);
        ramp_up_of::<Tokio>(group);
        ramp_up_of::<Smol>(group);
    });
}

/// Every round is a fresh process, whose own start is not counted.
fn ramp_up_of<R: Rt>(group: &mut Group<'_>) {
    group.bench("ramp-up to 500 threads", R::NAME, |rounds| (0..rounds).map(|_| ramp_up::<R>()[0]).sum());
}
