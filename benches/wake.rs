//! `cargo bench --bench wake`: see `work/wake.rs` for what each line measures.

use unstuck_benches::{kit::group, work};

fn main() {
    group::main("wake", |group| work::wake::all(group));
}
