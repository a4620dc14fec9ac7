//! The tutorial as a person runs it: each program by itself, on the real clock. What they print is golden.rs's business;
//! here they have to start, to end, and to have nothing to complain of.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// Their whole lesson is to compute for seconds, much longer in a debug build. golden.rs gives them less to do.
const SLOW: &[&str] = &["cpu_bound_single", "cpu_bound_multi", "cpu_bound_offloaded"];

/// Nobody waits for longer than this, not even on a very busy machine.
const PATIENCE: Duration = Duration::from_secs(180);

#[test]
fn every_example_runs_to_its_end() {
    // All at once: they only sleep.
    let mut running: Vec<_> = names()
        .into_iter()
        .filter(|name| !SLOW.contains(&name.as_str()))
        .map(|name| (start(&name), name))
        .collect();
    assert!(running.len() > 20, "the examples with an expected output");
    for (child, name) in &mut running {
        let status = wait(child).unwrap_or_else(|| panic!("the example {name} waits for ever"));
        assert!(status.success(), "the example {name} failed: {status}");
    }
}

/// The examples of the tutorial: those with an expected output.
fn names() -> Vec<String> {
    let expected = Path::new(env!("CARGO_MANIFEST_DIR")).join("expected");
    let files = fs::read_dir(expected).expect("the folder can be read");
    let stem = |path: PathBuf| path.file_stem().expect("a file has a name").to_string_lossy().into_owned();
    files.map(|file| stem(file.expect("the folder can be read").path())).collect()
}

/// Starts the program that `cargo test` built beside this test.
fn start(name: &str) -> Child {
    let here = std::env::current_exe().expect("a test knows its own file");
    let built = here.parent().and_then(Path::parent).expect("target/PROFILE/deps/TEST").join("examples");
    let program = built.join(name).with_extension(std::env::consts::EXE_EXTENSION);
    assert!(
        program.exists(),
        "run `cargo build -p unstuck-examples --examples` first: {}",
        program.display()
    );
    Command::new(program)
        .env("RUST_BACKTRACE", "0")
        .stdout(Stdio::null())
        .spawn()
        .expect("the example starts")
}

/// Waits for a child; one that does not end is killed.
fn wait(child: &mut Child) -> Option<ExitStatus> {
    let begun = Instant::now();
    loop {
        if let Some(status) = child.try_wait().expect("a child can be waited for") {
            return Some(status);
        }
        if begun.elapsed() > PATIENCE {
            child.kill().and_then(|()| child.wait()).expect("a child can be killed");
            return None;
        }
        thread::sleep(Duration::from_millis(5));
    }
}
