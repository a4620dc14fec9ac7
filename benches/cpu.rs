//! `cargo bench --bench cpu`: see `work/cpu.rs` for what each line measures.

use unstuck_benches::{kit::group, work};

fn main() {
    group::main("cpu", |group| work::cpu::all(group));
}
