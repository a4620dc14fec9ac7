//! The contrast example from outside: what it prints, what it writes, and how it fails. Never how fast anything is:
//! half a second on a busy machine proves nothing, and the program says so itself when it is run for longer.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

const TITLES: [&str; 4] = [
    "single-threaded, inline",
    "multi-threaded, inline",
    "multi-threaded, inline, rescued",
    "multi-threaded, to_thread + cpu",
];

#[test]
fn every_mode_gets_a_row_a_bar_and_a_lane() {
    let folder = folder_with_a_file("every-mode");
    let picture = folder.join("made/on/demand/timeline.svg");
    let output = contrast(&["--seconds", "0.5", "--dir", &text(&folder), "--out", &text(&picture)]);
    assert!(output.status.success(), "{}", stderr(&output));

    let printed = String::from_utf8(output.stdout).unwrap();
    for title in TITLES {
        let start = format!("{title} "); // one title is the beginning of another
        let lines: Vec<_> = printed.lines().filter(|line| line.starts_with(&start)).collect();
        assert_eq!(lines.len(), 2, "a row and a bar for {title}:\n{printed}");
        let numbers = lines[0][title.len()..].split_whitespace().filter(|word| word.parse::<f64>().is_ok());
        assert_eq!(numbers.count(), 5, "digests, pages, p50, p99, max: {}", lines[0]);
        assert!(lines[1].contains(['█', '▏']), "a bar: {}", lines[1]);
    }
    assert!(printed.contains("With to_thread and cpu, /health has a p99 of "), "{printed}");

    let svg = fs::read_to_string(&picture).unwrap();
    assert!(svg.starts_with("<svg ") && svg.ends_with("</svg>\n"));
    assert_eq!(svg.matches("class=\"name\"").count(), TITLES.len(), "a lane for each mode");
    assert_eq!(svg.matches("http").count(), 1, "only its namespace: nothing is loaded from elsewhere");
    assert!(!svg.contains("NaN") && !svg.contains("inf"));
    assert!(svg.matches("h0M").count() > 100, "dots");
}

#[test]
fn one_mode_can_be_asked_for_alone() {
    let folder = folder_with_a_file("one-mode");
    let picture = text(&folder.join("timeline.svg"));
    let output = contrast(&[
        "--seconds=0.2",
        "--mode=offloaded",
        "--workers=2",
        "--digest-ms=5",
        "--peer-ms=5",
        "--digest-clients=1",
        "--page-clients=0",
        "--dir",
        &text(&folder),
        "--out",
        &picture,
    ]);
    assert!(output.status.success(), "{}", stderr(&output));
    let printed = String::from_utf8(output.stdout).unwrap();
    assert!(printed.contains(TITLES[3]));
    assert!(
        !printed.contains(TITLES[0]) && !printed.contains(TITLES[1]) && !printed.contains(TITLES[2]),
        "{printed}"
    );
}

#[test]
fn a_directory_that_does_not_exist_is_one_line_and_no_success() {
    fails_in_one_line(&["--dir", "/does/not/exist"], 1, "cannot read /does/not/exist: ");
}

#[test]
fn a_directory_without_files_is_one_line_and_no_success() {
    let folder = fresh_folder("nothing-in-it");
    fails_in_one_line(&["--dir", &text(&folder)], 1, "no files to hash in ");
}

#[test]
fn an_output_that_cannot_be_written_is_known_before_the_measuring() {
    let folder = folder_with_a_file("output");
    // A folder where the file should be.
    fails_in_one_line(
        &["--seconds", "600", "--dir", &text(&folder), "--out", &text(&folder)],
        1,
        "cannot write ",
    );
}

#[test]
fn wrong_options_are_one_line_and_no_success() {
    fails_in_one_line(&["--colour"], 2, "unexpected argument '--colour' found");
    fails_in_one_line(&["--seconds", "soon"], 2, "a number from 0.1 to 600 is needed");
    fails_in_one_line(&["--workers", "0"], 2, "a whole number from 1 to 256 is needed");
    fails_in_one_line(&["--mode", "sideways"], 2, "single-inline");
    fails_in_one_line(&["--out"], 2, "--out <FILE>");
}

#[test]
fn help_explains_every_option() {
    let output = contrast(&["--help"]);
    assert!(output.status.success());
    let help = String::from_utf8(output.stdout).unwrap();
    let lines: Vec<_> = help.lines().map(str::trim).collect();
    let options: Vec<_> = lines.iter().enumerate().filter(|(_, line)| line.starts_with("--")).collect();
    assert!(options.len() >= 10, "{help}");
    for (at, option) in options {
        let explained = lines[at + 1].starts_with(char::is_uppercase) && lines[at + 1].contains(' ');
        assert!(explained, "{option} needs a sentence:\n{help}");
    }
}

fn fails_in_one_line(arguments: &[&str], code: i32, expected: &str) {
    let output = contrast(arguments);
    let message = stderr(&output);
    assert_eq!(output.status.code(), Some(code), "{message}");
    assert_eq!(message.lines().count(), 1, "{message}");
    assert!(message.starts_with("contrast: ") && message.contains(expected), "{message}");
    assert!(output.stdout.is_empty());
}

/// Runs the example that `cargo test` built beside this test.
fn contrast(arguments: &[&str]) -> Output {
    let here = std::env::current_exe().expect("a test knows its own file");
    let built = here.parent().and_then(Path::parent).expect("target/PROFILE/deps/TEST").join("examples");
    let program = built.join("contrast").with_extension(std::env::consts::EXE_EXTENSION);
    assert!(
        program.exists(),
        "run `cargo build -p unstuck-examples --examples` first: {}",
        program.display()
    );
    Command::new(program).args(arguments).output().expect("the example starts")
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn text(path: &Path) -> String {
    path.to_str().expect("test paths are UTF-8").to_owned()
}

fn folder_with_a_file(name: &str) -> PathBuf {
    let folder = fresh_folder(name);
    fs::write(folder.join("poem.txt"), "one task that blocks\nmust not stall the others\n".repeat(200))
        .unwrap();
    folder
}

fn fresh_folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("contrast").join(name);
    drop(fs::remove_dir_all(&folder));
    fs::create_dir_all(&folder).unwrap();
    folder
}
