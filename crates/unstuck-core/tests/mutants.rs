//! Proof that the models can fail: each mutant is the crate with one step of a protocol taken out, and some model must
//! notice.
//!
//! `cargo test -p unstuck-core --test mutants -- --ignored` builds and checks all of them (a few minutes); an ordinary
//! `cargo test` only makes sure that every mutant still finds the line it changes. A mutant is text, so that the
//! protocols themselves carry no trace of their tests.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus};
use std::time::{Duration, Instant};
use std::{env, fs, thread};

struct Mutant {
    /// What is missing.
    without: &'static str,
    file: &'static str,
    /// Occurs once in `file`…
    text: &'static str,
    /// … and is replaced by this.
    by: &'static str,
    /// The test that must fail.
    model: &'static str,
}

include!("mutants/loom.rs");
include!("mutants/shuttle.rs");

fn sources() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

impl Mutant {
    fn mutated(&self, src: &Path) -> Result<String, String> {
        let source = fs::read_to_string(src.join(self.file)).map_err(|e| e.to_string())?;
        match source.matches(self.text).count() {
            1 => Ok(source.replace(self.text, self.by)),
            n => Err(format!("{}: {:?} occurs {n} times; update tests/mutants", self.file, self.text)),
        }
    }
}

#[test]
fn every_mutant_finds_the_line_it_changes() {
    let src = sources().join("src");
    let lost: Vec<_> = LOOM.iter().chain(SHUTTLE).filter_map(|mutant| mutant.mutated(&src).err()).collect();
    assert!(lost.is_empty(), "{lost:#?}");
}

#[test]
#[ignore = "builds the crate once for every mutant"]
fn loom_notices_every_step_taken_out() {
    hunt("unstuck_loom", LOOM);
}

#[test]
#[ignore = "builds the crate once for every mutant"]
fn shuttle_notices_every_step_taken_out() {
    hunt("unstuck_shuttle", SHUTTLE);
}

/// Builds each mutant in a copy of the workspace that has only this crate, and runs its model.
fn hunt(cfg: &str, mutants: &[Mutant]) {
    let laboratory = Laboratory::new(cfg);
    let only = env::var("MUTANT").unwrap_or_default();
    let mut survivors = Vec::new();
    for mutant in mutants.iter().filter(|mutant| mutant.without.contains(&only)) {
        // Shuttle tries schedules at random: one unlucky run proves nothing.
        let begun = Instant::now();
        let found = [1, 4, 16].iter().any(|&patience| laboratory.try_out(mutant, patience));
        let (answer, took) = (if found { "fails" } else { "PASSES" }, begun.elapsed().as_secs());
        println!("{} without {}: {answer} ({took} s with its build)", mutant.model, mutant.without);
        if !found {
            survivors.push(mutant.without);
        }
    }
    assert!(survivors.is_empty(), "no model notices that these are missing: {survivors:#?}");
}

struct Laboratory {
    home: PathBuf,
    cfg: String,
}

impl Laboratory {
    fn new(cfg: &str) -> Self {
        let home = Path::new(env!("CARGO_TARGET_TMPDIR")).join("mutants").join(cfg);
        let root = sources().join("../..");
        let member = home.join("crates/unstuck-core");
        for stale in ["crates", "sound"] {
            let _ = fs::remove_dir_all(home.join(stale));
        }
        copy(&sources().join("src"), &home.join("sound")); // who edits meanwhile does not disturb the hunt
        copy(&home.join("sound"), &member.join("src"));
        fs::copy(sources().join("Cargo.toml"), member.join("Cargo.toml")).expect("a manifest");
        // Optional, and not used by any model; but the manifest names it.
        copy(&root.join("crates/unstuck-stack"), &home.join("crates/unstuck-stack"));
        fs::copy(root.join("Cargo.lock"), home.join("Cargo.lock")).expect("a lock file");
        let workspace = fs::read_to_string(root.join("Cargo.toml")).expect("a workspace");
        let members = workspace.lines().find(|line| line.starts_with("members = ")).expect("it has members");
        let alone = workspace.replace(members, r#"members = ["crates/unstuck-core"]"#);
        fs::write(home.join("Cargo.toml"), alone).expect("a workspace of its own");
        Self { home, cfg: cfg.to_owned() }
    }

    /// True if the mutant's model fails, or hangs. `patience` times as many schedules as usual are tried.
    fn try_out(&self, mutant: &Mutant, patience: usize) -> bool {
        let file = self.home.join("crates/unstuck-core/src").join(mutant.file);
        fs::write(
            &file,
            mutant.mutated(&self.home.join("sound")).expect("see every_mutant_finds_the_line_it_changes"),
        )
        .expect("writable");
        let model = self.build(mutant);
        fs::copy(self.home.join("sound").join(mutant.file), &file).expect("put back");
        let log = self.home.join("log");
        let output = fs::File::create(&log).expect("writable");
        let mut child = Command::new(model)
            .args(["--exact", mutant.model])
            .env("SHUTTLE_SCHEDULES", (2_000 * patience).to_string())
            .env("LOOM_MAX_DURATION", (LIMIT.as_secs() - 10).to_string()) // on a slow machine, too
            .stdout(output.try_clone().expect("another handle"))
            .stderr(output)
            .spawn()
            .expect("the model starts");
        let ended = wait(&mut child);
        let text = String::from_utf8_lossy(&fs::read(&log).expect("readable")).into_owned();
        assert!(text.contains("running 1 test"), "{}: there is no such model: {text}", mutant.without);
        if env::var_os("MUTANT").is_some() {
            println!("{text}");
        }
        !ended.is_some_and(|status| status.success())
    }

    /// The test binary of the crate as it lies there.
    fn build(&self, mutant: &Mutant) -> PathBuf {
        let output = Command::new(env!("CARGO"))
            .current_dir(&self.home)
            .args(["test", "--release", "--lib", "-p", "unstuck-core", "--no-run"])
            .env("CARGO_TARGET_DIR", self.home.join("target"))
            .env("RUSTFLAGS", format!("--cfg {} -Awarnings", self.cfg))
            // Built often, run shortly.
            .envs([("CARGO_INCREMENTAL", "1"), ("CARGO_PROFILE_RELEASE_DEBUG", "false")])
            .env("CARGO_PROFILE_RELEASE_OPT_LEVEL", "1")
            .env("CARGO_TERM_COLOR", "never")
            .output()
            .expect("cargo runs");
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "without {} it does not build: {text}", mutant.without);
        // "  Executable unittests src/lib.rs (target/…/unstuck_core-0123456789abcdef)"
        let path = text.rsplit_once('(').and_then(|(_, path)| path.split_once(')'));
        self.home.join(path.unwrap_or_else(|| panic!("cargo names no executable: {text}")).0)
    }
}

/// A mutant's model stops by itself before that, unless it hangs.
const LIMIT: Duration = Duration::from_secs(180);

/// Waits for a model's end. `None` if it hangs, and had to be stopped.
fn wait(child: &mut Child) -> Option<ExitStatus> {
    let deadline = Instant::now() + LIMIT;
    while Instant::now() < deadline {
        if let Some(status) = child.try_wait().expect("it is our child") {
            return Some(status);
        }
        thread::sleep(Duration::from_millis(5));
    }
    child.kill().expect("it is our child");
    child.wait().expect("it is our child");
    None
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a folder");
    for entry in fs::read_dir(from).expect("readable").flatten() {
        let (from, to) = (entry.path(), to.join(entry.file_name()));
        if from.is_dir() {
            copy(&from, &to);
        } else {
            fs::copy(&from, &to).expect("copied");
        }
    }
}
