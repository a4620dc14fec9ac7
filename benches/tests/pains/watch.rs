//! Watches a process from outside: does it end, and with what words? Does it hang for good?

use std::fs::{self, File};
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// Tells a child what to play.
pub(crate) const PLAY: &str = "UNSTUCK_BENCHES_PLAY";

/// A condition that has not come true after this long never will.
const PATIENCE: Duration = Duration::from_secs(300);

/// Between two looks, and how many in a row must see nobody awake.
const BETWEEN: Duration = Duration::from_millis(50);
const LOOKS: u32 = 10;

/// How it went.
#[derive(Debug)]
pub(crate) enum Watched {
    Ended { status: ExitStatus, said: String },
    Hangs { said: String },
}

impl Watched {
    pub(crate) fn hangs(&self) -> bool {
        matches!(self, Watched::Hangs { .. })
    }

    /// What one that ended well has said.
    #[track_caller]
    pub(crate) fn said(self) -> String {
        match self {
            Watched::Ended { status, said } if status.success() => said,
            other => panic!("it did not end well: {other:?}"),
        }
    }

    pub(crate) fn signal(&self) -> Option<i32> {
        match self {
            Watched::Ended { status, .. } => status.signal(),
            Watched::Hangs { .. } => None,
        }
    }
}

/// What can be seen of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Look {
    pub(crate) threads: usize,
    /// How often its threads have gone to sleep, or lost their CPU.
    pub(crate) sleeps: u64,
    /// None of them is awake.
    asleep: bool,
}

/// A process that plays; killed when this is dropped.
pub(crate) struct Process {
    child: Child,
    /// What it says on stdout and stderr.
    file: PathBuf,
}

impl Process {
    fn start(name: &str) -> Self {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let file = std::env::temp_dir().join(format!("unstuck-pains-{}-{number}", std::process::id()));
        let said = File::create(&file).unwrap();
        // For those that share a CPU, and harmless for the others.
        let child = Command::new("taskset")
            .args(["-c", if name.ends_with("share") { one_cpu() } else { "0-1023".into() }.as_str()])
            .arg(std::env::current_exe().unwrap())
            .args(["--exact", "plays::play_one", "--ignored", "--nocapture", "--quiet", "--test-threads=1"])
            .env(PLAY, name)
            .env("RUST_BACKTRACE", "0")
            .stdin(Stdio::null())
            .stdout(said.try_clone().unwrap())
            .stderr(said)
            .spawn()
            .unwrap();
        Self { child, file }
    }

    /// Without the words of the harness.
    fn said(&self) -> String {
        let text = fs::read_to_string(&self.file).unwrap();
        let own = text.lines().filter_map(|line| line.strip_prefix("> "));
        own.collect::<Vec<_>>().join("\n")
    }

    pub(crate) fn now(&self) -> Look {
        let mut look = Look { threads: 0, sleeps: 0, asleep: true };
        for task in fs::read_dir(format!("/proc/{}/task", self.child.id())).unwrap() {
            // It may end while we look.
            let Ok(status) = fs::read_to_string(task.unwrap().path().join("status")) else { continue };
            let field =
                |name| status.lines().find_map(|line: &str| line.strip_prefix(name)).unwrap_or("").trim();
            look.threads += 1;
            look.sleeps += field("voluntary_ctxt_switches:").parse::<u64>().unwrap_or(0);
            look.sleeps += field("nonvoluntary_ctxt_switches:").parse::<u64>().unwrap_or(0);
            look.asleep &= field("State:").starts_with('S');
        }
        look
    }

    #[track_caller]
    pub(crate) fn until(&self, what: &str, condition: impl Fn(Look) -> bool) {
        let begun = Instant::now();
        while !condition(self.now()) {
            assert!(begun.elapsed() < PATIENCE, "waited in vain until {what}: {:?}", self.now());
            thread::sleep(BETWEEN);
        }
    }

    /// Until it has said this.
    #[track_caller]
    fn until_said(&self, word: &str) {
        self.until(word, |_| self.said().contains(word));
    }
}

/// A CPU that this process may use.
fn one_cpu() -> String {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let allowed = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:")).unwrap();
    allowed.trim().split([',', '-']).next().unwrap().to_owned()
}

/// How nice this process is: field 19 of proc(5).
pub(crate) fn niceness() -> i32 {
    let stat = fs::read_to_string("/proc/self/stat").unwrap();
    let behind_the_name = stat.rsplit_once(") ").unwrap().1;
    behind_the_name.split(' ').nth(16).unwrap().parse().unwrap()
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_file(&self.file);
    }
}

/// Plays until it ends, or hangs for good.
#[track_caller]
pub(crate) fn watch(name: &str) -> Watched {
    let mut process = Process::start(name);
    let begun = Instant::now();
    let (mut last, mut quiet) = (None, 0);
    loop {
        if let Some(status) = process.child.try_wait().unwrap() {
            return Watched::Ended { status, said: process.said() };
        }
        let now = process.now();
        let same = now.asleep && last.replace(now) == Some(now) && !process.said().is_empty();
        quiet = if same { quiet + 1 } else { 0 };
        if quiet == LOOKS {
            return Watched::Hangs { said: process.said() };
        }
        assert!(begun.elapsed() < PATIENCE, "'{name}' neither ends nor sleeps: {now:?}\n{}", process.said());
        thread::sleep(BETWEEN);
    }
}

/// Plays until it has said that it is "done", and then lets `look` look at it.
#[track_caller]
pub(crate) fn play(name: &str, look: impl FnOnce(&Process)) {
    let process = Process::start(name);
    process.until_said("done");
    look(&process);
}

/// What a script says; `None` where there is no Python.
pub(crate) fn python(script: &str) -> Option<String> {
    let file = std::env::temp_dir().join(format!("unstuck-pains-{}.py", std::process::id()));
    fs::write(&file, script).unwrap();
    let output = Command::new("python3").arg(&file).stdin(Stdio::null()).output();
    let _ = fs::remove_file(&file);
    match output {
        Ok(output) if output.status.success() => {
            Some(String::from_utf8_lossy(&output.stdout).trim().to_owned())
        }
        Ok(output) => panic!("{}", String::from_utf8_lossy(&output.stderr)),
        Err(_) => None,
    }
}
