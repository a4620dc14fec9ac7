//! What the tests share: conditions to wait for, gates that hold jobs, processes of one's own.

use std::io::Read;
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

/// A condition that has not come true after this long never will. Machines may be slow: only who waits in vain loses by it.
pub(crate) const PATIENCE: Duration = Duration::from_secs(180);

/// Waits for `condition`, on a thread that may block.
#[track_caller]
pub(crate) fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !condition() {
        assert!(begun.elapsed() < PATIENCE, "waited {PATIENCE:?} in vain until {what}");
        thread::sleep(Duration::from_millis(1));
    }
}

/// Waits for `condition` in a task: gives the others their turns in between.
pub(crate) async fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !condition() {
        assert!(begun.elapsed() < PATIENCE, "waited {PATIENCE:?} in vain until {what}");
        unstuck::yield_now().await;
    }
}

/// Holds threads until it is opened. Clones are the same gate.
#[derive(Clone, Default)]
pub(crate) struct Gate(Arc<Inside>);

#[derive(Default)]
struct Inside {
    /// Whether it is open, and how many threads have come to it so far.
    state: Mutex<(bool, usize)>,
    changed: Condvar,
}

impl Gate {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Blocks this thread until the gate is open.
    pub(crate) fn pass(&self) {
        let mut state = self.0.state.lock().unwrap();
        state.1 += 1;
        self.0.changed.notify_all();
        drop(self.0.changed.wait_while(state, |(open, _)| !*open).unwrap());
    }

    /// How many threads have come to the gate so far.
    pub(crate) fn arrived(&self) -> usize {
        self.0.state.lock().unwrap().1
    }

    /// Blocks until `count` threads have come.
    #[track_caller]
    pub(crate) fn wait_for(&self, count: usize) {
        until("enough threads stand at the gate", || self.arrived() >= count);
    }

    pub(crate) fn open(&self) {
        self.0.state.lock().unwrap().0 = true;
        self.0.changed.notify_all();
    }
}

/// Counts how many are inside at once, and the most there ever were.
#[derive(Default)]
pub(crate) struct Crowd {
    now: AtomicUsize,
    most: AtomicUsize,
}

impl Crowd {
    pub(crate) fn visit(&self, stay: impl FnOnce()) {
        let now = self.now.fetch_add(1, Ordering::SeqCst) + 1;
        self.most.fetch_max(now, Ordering::SeqCst);
        stay();
        self.now.fetch_sub(1, Ordering::SeqCst);
    }

    pub(crate) fn most(&self) -> usize {
        self.most.load(Ordering::SeqCst)
    }
}

/// Says when it is dropped.
pub(crate) struct OnDrop<F: FnMut()>(pub(crate) F);

impl<F: FnMut()> Drop for OnDrop<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}

/// For [`OnDrop`]: counts the drops.
pub(crate) fn counts(counter: &Arc<AtomicUsize>) -> impl FnMut() + Send + use<> {
    let counter = counter.clone();
    move || _ = counter.fetch_add(1, Ordering::SeqCst)
}

/// The threads of this process: the name that the kernel knows each by, and its `status` file.
pub(crate) fn threads() -> Vec<(String, String)> {
    let mut threads = Vec::new();
    for entry in std::fs::read_dir("/proc/self/task").unwrap() {
        // A thread may end while we look.
        let Ok(status) = std::fs::read_to_string(entry.unwrap().path().join("status")) else { continue };
        threads.push((field(&status, "Name:").to_owned(), status));
    }
    threads
}

/// A line of a `/proc/../status` file.
pub(crate) fn field<'a>(status: &'a str, name: &str) -> &'a str {
    let line = status.lines().find(|line| line.starts_with(name));
    line.unwrap_or_else(|| panic!("{name} in\n{status}"))[name.len()..].trim()
}

/// A number of this process's status, in KiB where it is a size.
pub(crate) fn own_number(name: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    field(&status, name).trim_end_matches(" kB").parse().unwrap()
}

/// Checks that `round` leaves less than `limit` KiB behind.
///
/// What leaks does so every time. A heap that happens to grow, for one thread more than ever before, or by a huge page, does
/// so now and then: one round out of ten is enough.
#[track_caller]
pub(crate) fn leaves_little_memory(limit: u64, mut round: impl FnMut()) {
    let mut grown = Vec::new();
    for _ in 0..10 {
        let before = own_number("VmRSS:");
        round();
        grown.push(own_number("VmRSS:").saturating_sub(before));
        if grown.last().is_some_and(|grown| *grown < limit) {
            return;
        }
    }
    panic!("it leaves something behind every time, in KiB: {grown:?}");
}

/// Checks that for `length` nobody wakes up among the threads whose names begin so. Gives their names.
#[track_caller]
pub(crate) fn sleep_soundly(length: Duration, names: &[&str]) -> Vec<String> {
    let ours = || turns(|name| names.iter().any(|begin| name.starts_with(begin)));
    let (before, after) = turns_within(length, ours);
    assert_eq!(after, before);
    before.into_iter().map(|(name, _)| name).collect()
}

/// How often each of these threads had got a CPU when all were asleep, and how often `length` later.
///
/// Who wakes every thread from outside, as SIGSTOP, a debugger and a frozen container do, wakes this one as well, which
/// only sleeps: then it is done again.
pub(crate) fn turns_within(length: Duration, ours: impl Fn() -> Turns) -> (Turns, Turns) {
    let own = || {
        let status = std::fs::read_to_string("/proc/thread-self/status").unwrap();
        field(&status, "voluntary_ctxt_switches:").parse::<u64>().unwrap()
    };
    loop {
        // On a busy machine somebody on the way to bed may stand still for long, but is not asleep then.
        let mut before = ours();
        until("all of them are asleep", || {
            thread::sleep(Duration::from_millis(100));
            let now = ours();
            now.iter().all(|(_, turns)| turns.is_some()) && std::mem::replace(&mut before, now.clone()) == now
        });
        let naps = own();
        thread::sleep(length);
        if own() == naps + 1 {
            return (before, ours());
        }
    }
}

/// The names of threads, and how often each has got a CPU; none of one that is awake.
pub(crate) type Turns = Vec<(String, Option<u64>)>;

/// How often each thread that is `ours` has got a CPU so far, because it was woken or because others had pushed it off.
pub(crate) fn turns(ours: impl Fn(&str) -> bool) -> Turns {
    let count = |status: &str| {
        let count = |kind| field(status, kind).parse::<u64>().unwrap();
        let turns = count("voluntary_ctxt_switches:") + count("nonvoluntary_ctxt_switches:");
        field(status, "State:").starts_with('S').then_some(turns)
    };
    let ours = threads().into_iter().filter(|(name, _)| ours(name));
    ours.map(|(name, status)| (name, count(&status))).collect()
}

/// A CPU that this process may use, for `taskset -c`.
pub(crate) fn one_cpu() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let allowed = field(&status, "Cpus_allowed_list:");
    allowed.split([',', '-']).next().unwrap().to_owned()
}

/// Waits until this process has no more threads than when the test's body began. A thread that has been joined is
/// counted by the kernel for a moment longer.
#[track_caller]
pub(crate) fn until_threads_are_gone() {
    let own = OWN_THREADS.get().expect("only in alone() and in_child()");
    until("all threads have gone", || own_number("Threads:") == *own);
}

/// The harness's own: its main thread and the one that runs the test.
static OWN_THREADS: OnceLock<u64> = OnceLock::new();

/// Open file descriptors of this process.
pub(crate) fn open_files() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

/// Says in a child which test it was started for.
const ROLE: &str = "UNSTUCK_TEST_ALONE";

/// Is this process one that a test has started?
pub(crate) fn is_child() -> bool {
    std::env::var_os(ROLE).is_some()
}

/// Runs the body of a test in a process of its own, where nothing else is counted, limited, stopped or killed.
///
/// The test binary starts itself again with the name of the calling test, which follows from the closure's type.
pub(crate) fn alone<F: FnOnce()>(body: F) {
    if let Some(output) = in_child(&[], body) {
        assert!(output.status.success(), "{}\n{}", output.status, text(&output));
    }
}

/// As [`alone`], behind a command such as `taskset -c 0`, and however it ends: the parent gets its output, the child
/// `None` after the body.
pub(crate) fn in_child<F: FnOnce()>(behind: &[&str], body: F) -> Option<Output> {
    let name = std::any::type_name::<F>();
    let name = name.split_once("::").map_or(name, |(_, path)| path).trim_end_matches("::{{closure}}");
    if std::env::var(ROLE).is_ok_and(|role| role == name) {
        OWN_THREADS.get_or_init(|| own_number("Threads:"));
        body();
        return None;
    }
    let binary = std::env::current_exe().unwrap();
    let (program, arguments) =
        behind.split_first().map_or((binary.as_os_str(), &[][..]), |(first, rest)| ((*first).as_ref(), rest));
    let mut command = Command::new(program);
    command.args(arguments);
    if !behind.is_empty() {
        command.arg(&binary);
    }
    command.args(["--exact", name, "--nocapture", "--test-threads=1"]);
    command.env(ROLE, name).env("RUST_BACKTRACE", "0").stdin(Stdio::null());
    let output = finish(command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap());
    assert!(text(&output).contains("running 1 test"), "no test is called {name}:\n{}", text(&output));
    Some(output)
}

/// For [`in_child`]: the child's stderr is a file, so that it can wait for what it says itself ([`has_said`]).
pub(crate) const STDERR_IN_A_FILE: [&str; 4] =
    ["sh", "-c", r#"said=$(mktemp); "$@" 2>"$said"; code=$?; cat "$said" >&2; rm "$said"; exit $code"#, "sh"];

/// Has this child said that?
pub(crate) fn has_said(words: &str) -> bool {
    let said = std::fs::read_link("/proc/self/fd/2").unwrap();
    std::fs::read_to_string(&said).unwrap().contains(words)
}

/// What a child printed.
pub(crate) fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

/// Waits for a child, and kills it if it hangs.
fn finish(mut child: Child) -> Output {
    fn reader(mut from: impl Read + Send + 'static) -> thread::JoinHandle<Vec<u8>> {
        thread::spawn(move || {
            let mut all = Vec::new();
            let _ = from.read_to_end(&mut all);
            all
        })
    }
    let stdout = reader(child.stdout.take().unwrap());
    let stderr = reader(child.stderr.take().unwrap());
    let begun = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        if begun.elapsed() > 3 * PATIENCE {
            let _ = child.kill();
        }
        thread::sleep(Duration::from_millis(2));
    };
    Output { status, stdout: stdout.join().unwrap(), stderr: stderr.join().unwrap() }
}
