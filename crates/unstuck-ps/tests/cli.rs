//! The command as it is used: another process runs tasks, some of them stuck, and is asked.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Output, Stdio};
use std::sync::{Arc, Barrier};
use std::time::Duration;

use unstuck::{Runtime, sleep, task};

/// What is asked: run in a process of its own until its standard input ends.
#[test]
#[ignore = "a process for the other tests"]
fn asked() {
    let runtime = Runtime::builder()
        .worker_threads(2)
        .max_rescue_threads(0)
        .thread_name("web")
        .inspect(true)
        .build()
        .unwrap();
    let spawn = |name: &str| task::Builder::new().name(name);
    let _entered = runtime.enter();
    let disk = spawn("disk").spawn(sleep(Duration::from_secs(3600)));
    let page = spawn("page").spawn(async move { drop(disk.await) });
    while !runtime.handle().graph().to_string().contains("sleep, ") {
        std::thread::yield_now();
    }
    // A blocking call in each worker: nobody is left to run anything.
    let (all_stuck, release) = (Arc::new(Barrier::new(3)), Arc::new(Barrier::new(3)));
    for name in ["stuck 1", "stuck 2"] {
        let (all_stuck, release) = (all_stuck.clone(), release.clone());
        spawn(name)
            .spawn(async move {
                all_stuck.wait();
                release.wait();
            })
            .detach();
    }
    all_stuck.wait();
    println!("\nready {}", page.id());
    std::io::stdin().read_to_end(&mut Vec::new()).unwrap();
    release.wait();
    let cancelled = page.wait().is_err();
    println!("\nover {cancelled}");
}

struct Asked {
    folder: PathBuf,
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: BufReader<std::process::ChildStdout>,
}

impl Asked {
    fn start(name: &str) -> Self {
        let folder = folder(name);
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--ignored", "--exact", "asked", "--nocapture"])
            .env("XDG_RUNTIME_DIR", &folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (stdin, stdout) = (child.stdin.take(), BufReader::new(child.stdout.take().unwrap()));
        let mut asked = Self { folder, child, stdin, stdout };
        asked.says("ready ");
        asked
    }

    /// Waits for a line that begins so.
    fn says(&mut self, word: &str) -> String {
        loop {
            let mut line = String::new();
            assert!(self.stdout.read_line(&mut line).unwrap() > 0, "it ended before it said {word:?}");
            if let Some(rest) = line.strip_prefix(word) {
                return rest.trim().to_owned();
            }
        }
    }

    fn ps(&self, arguments: &[&str]) -> Output {
        command(&self.folder, arguments)
    }

    fn ok(&self, arguments: &[&str]) -> String {
        let output = self.ps(arguments);
        assert!(output.status.success(), "{arguments:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    }
}

impl Drop for Asked {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

fn folder(name: &str) -> PathBuf {
    let folder = std::env::temp_dir().join(format!("unstuck-ps-{}-{name}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    folder
}

fn command(folder: &PathBuf, arguments: &[&str]) -> Output {
    let program = env!("CARGO_BIN_EXE_unstuck-ps");
    Command::new(program).args(arguments).env("XDG_RUNTIME_DIR", folder).output().unwrap()
}

/// The one line on standard error of a command that failed.
fn error(output: &Output) -> &str {
    let text = std::str::from_utf8(&output.stderr).unwrap();
    assert!(text.starts_with("unstuck-ps: ") && text.lines().count() == 1, "{text}");
    text
}

#[test]
fn while_every_worker_is_stuck_it_shows_who_runs_where_and_cancels() {
    let mut asked = Asked::start("stuck");
    let pid = asked.child.id().to_string();

    let list = asked.ok(&[]);
    assert!(list.lines().next().unwrap().ends_with("PID  TASKS  RUNNING  PROGRAM"), "{list}");
    let row = list.lines().find(|line| line.trim_start().starts_with(&pid)).unwrap();
    assert_eq!(row.split_whitespace().collect::<Vec<_>>()[1..3], ["4", "2"], "{list}");

    let ps = asked.ok(&[&pid, "ps"]);
    assert_eq!(ps.matches("RUNNING for ").count(), 2, "{ps}");
    assert!(ps.contains(" on web-0") && ps.contains(" on web-1") && ps.contains("tests/cli.rs:"), "{ps}");
    assert!(ps.contains("waiting for sleep ("), "{ps}");

    let tree = asked.ok(&[&pid, "pstree"]);
    let page = tree.lines().position(|line| line.starts_with("page (task ")).unwrap();
    let below: Vec<&str> = tree.lines().skip(page + 1).take(2).collect();
    assert!(below[0].starts_with("└── disk (task ") && below[1].starts_with("    └── sleep, "), "{tree}");
    assert!(asked.ok(&["pstree", "--dot"]).starts_with("digraph awaits {"));
    let json = asked.ok(&["ps", "--json"]);
    assert!(json.starts_with(&format!(r#"{{"version":1,"pid":{pid},"#)) && json.ends_with("}\n"), "{json}");

    let stalls = loop {
        let stalls = asked.ok(&["stalls"]);
        if stalls.contains("has not come back from a poll") {
            break stalls; // the guard takes a moment
        }
    };
    assert!(stalls.contains(" ago: task ") && stalls.contains("'stuck "), "{stalls}");

    let id = tree.lines().find_map(|line| line.strip_prefix("page (task ")?.split(',').next()).unwrap();
    assert_eq!(asked.ok(&["cancel", id]), format!("task {id} 'page' was asked to end\n"));
    assert!(asked.ok(&["ps"]).contains("being cancelled"));
    let none = asked.ps(&["cancel", "999999"]);
    assert_eq!(
        (none.status.code(), error(&none).ends_with("there is no unfinished task 999999\n")),
        (Some(1), true)
    );

    drop(asked.stdin.take());
    assert_eq!(asked.says("over "), "true");
    assert!(asked.child.wait().unwrap().success());
    assert_eq!(asked.ps(&[&pid, "ps"]).status.code(), Some(1));
}

#[test]
fn with_several_processes_it_wants_to_know_which() {
    let one = Asked::start("several");
    let mut two = Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "asked", "--nocapture"])
        .env("XDG_RUNTIME_DIR", &one.folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    while one.ok(&["list"]).lines().count() < 3 {
        assert!(two.try_wait().unwrap().is_none());
    }
    let which = one.ps(&["ps"]);
    let (first, second) = (one.child.id().min(two.id()), one.child.id().max(two.id()));
    assert_eq!(
        error(&which),
        format!("unstuck-ps: which process? say its number first: {first}, {second}\n")
    );
    assert!(one.ok(&[&first.to_string()]).contains("STATE"));
    // Killed, it leaves its socket behind, which the next look removes.
    two.kill().unwrap();
    two.wait().unwrap();
    assert_eq!(one.ok(&["list"]).lines().count(), 2);
    assert!(!one.folder.join(format!("unstuck/{}.sock", two.id())).exists());
}

#[test]
fn what_cannot_be_had_is_told_in_one_line() {
    let folder = folder("nobody");
    let nobody = command(&folder, &["ps"]);
    assert_eq!(nobody.status.code(), Some(1));
    assert!(error(&nobody).contains("no process of yours can be asked: start one with UNSTUCK_INSPECT=1"));
    let nobody = command(&folder, &["4194305", "ps"]); // more than the kernel ever counts to
    assert!(error(&nobody).contains("process 4194305 cannot be asked: there is no such process"));
    let mute = command(&folder, &[&std::process::id().to_string(), "ps"]);
    assert!(error(&mute).contains("cannot be asked: it does not listen; start it with UNSTUCK_INSPECT=1"));
    let wrong = command(&folder, &["top"]);
    assert_eq!((wrong.status.code(), error(&wrong).contains("no such command: top")), (Some(2), true));
    let help = command(&folder, &["--help"]);
    assert!(help.status.success());
    let help = String::from_utf8(help.stdout).unwrap();
    for word in ["ps ", "pstree", "stalls", "cancel ID", "--json", "--watch", "Exit status"] {
        assert!(help.contains(word), "{help}");
    }
    let _ = fs::remove_dir_all(&folder);
}
