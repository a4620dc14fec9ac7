//! `cargo bench --bench spawn`: see `work/spawn.rs` for what each line measures.

use unstuck_benches::{kit::group, work};

fn main() {
    group::main("spawn", |group| work::spawn::all(group));
}
