//! The jobs that the tests submit.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

#[unstuck::job]
pub(crate) fn double(n: u64) -> u64 {
    2 * n
}

#[unstuck::job]
pub(crate) fn own_pid() -> u32 {
    std::process::id()
}

/// Gives back every byte plus one.
#[unstuck::job]
pub(crate) fn increment(bytes: Vec<u8>) -> Vec<u8> {
    bytes.into_iter().map(|byte| byte.wrapping_add(1)).collect()
}

#[unstuck::job]
pub(crate) fn panics(message: String) {
    panic!("{message}");
}

#[unstuck::job]
pub(crate) fn panics_without_words() {
    std::panic::panic_any(42_u32);
}

#[unstuck::job]
pub(crate) fn aborts(last_words: String) {
    eprintln!("{last_words}");
    std::process::abort();
}

#[unstuck::job]
pub(crate) fn exits(code: i32) {
    std::process::exit(code);
}

/// As a segmentation fault or a `kill` does.
#[unstuck::job]
pub(crate) fn dies_by(signal: i32) {
    let signal = rustix::process::Signal::from_named_raw(signal).unwrap();
    loop {
        // More than once: at the first SIGSEGV, Rust's handler only gives way to the default.
        rustix::process::kill_process(rustix::process::getpid(), signal).unwrap();
        thread::sleep(Duration::from_millis(1));
    }
}

/// Overflows the stack.
#[unstuck::job]
pub(crate) fn recurses(depth: u64) -> u64 {
    if std::hint::black_box(depth) == 0 { 0 } else { recurses(depth - 1) + std::hint::black_box(1) }
}

#[unstuck::job]
pub(crate) fn runs_for_ever() {
    loop {
        std::hint::spin_loop();
    }
}

/// Leaves a mark with its process number, then waits for another mark.
#[unstuck::job]
pub(crate) fn waits(begun: String, go: String) -> u32 {
    fs::write(format!("{begun}.new"), std::process::id().to_string()).unwrap();
    fs::rename(format!("{begun}.new"), begun).unwrap();
    while !Path::new(&go).exists() {
        thread::sleep(Duration::from_millis(1));
    }
    std::process::id()
}

/// Returns when `count` jobs are in `folder` at the same time.
#[unstuck::job]
pub(crate) fn meets(folder: String, count: usize) -> u32 {
    fs::write(Path::new(&folder).join(std::process::id().to_string()), "").unwrap();
    while fs::read_dir(&folder).unwrap().count() < count {
        thread::sleep(Duration::from_millis(1));
    }
    std::process::id()
}

/// Says in `file` that `n` has begun, computes for `micros`, and gives `n`.
#[unstuck::job]
pub(crate) fn toils(file: String, n: u32, micros: u64) -> u32 {
    let mut file = fs::OpenOptions::new().create(true).append(true).open(file).unwrap();
    file.write_all(&n.to_le_bytes()).unwrap();
    let begun = std::time::Instant::now();
    while begun.elapsed() < Duration::from_micros(micros) {
        std::hint::spin_loop();
    }
    n
}

#[unstuck::job]
pub(crate) fn takes_memory(bytes: usize) -> usize {
    let memory = vec![1_u8; bytes];
    std::hint::black_box(&memory).len()
}

/// Starts a program that runs for ever, says its number, and goes on for ever itself.
#[unstuck::job]
#[expect(clippy::zombie_processes, reason = "it is to be killed together with its parent")]
pub(crate) fn starts_another(mark: String) {
    let child = Command::new("sleep").arg("1000").stdin(Stdio::null()).spawn().unwrap();
    fs::write(format!("{mark}.new"), child.id().to_string()).unwrap();
    fs::rename(format!("{mark}.new"), mark).unwrap();
    loop {
        thread::park();
    }
}

/// Dies, and leaves a process behind that has all of its sockets open, as one that it had forked would.
#[unstuck::job]
#[expect(clippy::zombie_processes, reason = "it is to be killed together with its parent")]
pub(crate) fn dies_and_leaves_its_sockets(mark: String) {
    let myself = rustix::process::getpid();
    let myself = rustix::process::pidfd_open(myself, rustix::process::PidfdFlags::empty()).unwrap();
    for open in fs::read_dir("/proc/self/fd").unwrap() {
        let open = open.unwrap();
        let is_socket =
            fs::read_link(open.path()).is_ok_and(|to| to.to_string_lossy().starts_with("socket:"));
        if is_socket {
            let number = open.file_name().to_str().unwrap().parse().unwrap();
            let none = rustix::process::PidfdGetfdFlags::empty();
            let socket = rustix::process::pidfd_getfd(&myself, number, none).unwrap();
            let sleeper = Command::new("sleep").arg("1000").stdin(Stdio::from(socket)).spawn().unwrap();
            fs::write(&mark, sleeper.id().to_string()).unwrap();
        }
    }
    std::process::abort();
}

#[unstuck::job]
pub(crate) fn writes_to_stderr(bytes: usize) -> usize {
    let line = [b'x'; 99];
    for _ in 0..bytes / 100 {
        std::io::stderr().write_all(&line).unwrap();
        std::io::stderr().write_all(b"\n").unwrap();
    }
    bytes
}

/// Writes to stderr on several threads, for ever.
#[unstuck::job]
pub(crate) fn floods_stderr() {
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| while std::io::stderr().write_all(&[b'x'; 4096]).is_ok() {});
        }
    });
}

/// A box in a box in a box.
#[derive(serde::Serialize, serde::Deserialize)]
pub(crate) struct Nest(Option<Box<Nest>>);

#[unstuck::job]
pub(crate) fn nests(depth: u32) -> Nest {
    (0..depth).fold(Nest(None), |inner, _| Nest(Some(Box::new(inner))))
}

/// Asks a child of its own for a nest, and says how deep it was. Who has read it has the `stack`, if that is not 0.
#[unstuck::job]
pub(crate) fn asks_for_a_nest(depth: u32, stack: usize) -> u32 {
    let pool = crate::support::pool_of(1).env("RUST_MIN_STACK", "100000000");
    let pool = if stack == 0 { pool } else { pool.stack_size(stack) };
    let mut nest = pool.build().unwrap().spawn(nests::job(depth)).wait().unwrap();
    std::iter::from_fn(|| {
        nest = *nest.0.take()?;
        Some(())
    })
    .map(|()| 1)
    .sum()
}

#[unstuck::job]
pub(crate) fn reads_stdin() -> String {
    std::io::read_to_string(std::io::stdin()).unwrap()
}

#[unstuck::job]
pub(crate) fn variable(name: String) -> Option<String> {
    std::env::var(name).ok()
}

/// Leaves one line more in a file.
#[unstuck::job]
pub(crate) fn adds_line(file: String) {
    let mut file = fs::OpenOptions::new().create(true).append(true).open(file).unwrap();
    file.write_all(b"x\n").unwrap();
}

/// Makes a pool in its own process.
#[unstuck::job]
pub(crate) fn asks_a_child_of_its_own(n: u64) -> u64 {
    let pool = crate::support::pool(1);
    pool.spawn(double::job(n)).wait().unwrap()
}

/// As its parent did: makes a pool, whose child leaves its number as a mark and goes on for ever.
#[unstuck::job]
pub(crate) fn has_a_child_of_its_own(begun: String, never: String) {
    let pool = crate::support::pool(1);
    let _ = pool.spawn(waits::job(begun, never)).wait();
}

/// Open files and threads of this process before and after fifty pools, some of whose children died.
#[unstuck::job]
pub(crate) fn makes_fifty_pools() -> [(usize, usize); 2] {
    let count = |folder| fs::read_dir(folder).unwrap().count();
    let now = || (count("/proc/self/fd"), count("/proc/self/task"));
    let before = now();
    for n in 0..50 {
        let pool = crate::support::pool(2);
        let dies = pool.spawn(exits::job(3));
        assert_eq!(pool.spawn(double::job(n)).wait().unwrap(), 2 * n);
        assert!(dies.wait().unwrap_err().is_worker_death());
    }
    // A thread that has ended is counted for a moment longer.
    crate::support::until("the threads are gone", || now().1 == before.1);
    [before, now()]
}

/// What the kernel says of the children that this process has, dead ones that nobody waited for included.
#[unstuck::job]
pub(crate) fn leaves_no_zombie() -> String {
    let pool = crate::support::pool(2);
    let jobs: Vec<_> = (0..6).map(|_| pool.spawn(dies_by::job(9))).collect();
    for job in jobs {
        assert!(job.wait().unwrap_err().is_worker_death());
    }
    drop(pool);
    let own = std::process::id().to_string();
    let stats = fs::read_dir("/proc").unwrap().filter_map(|entry| {
        let stat = entry.unwrap().path().join("stat");
        fs::read_to_string(stat).ok() // others come and go
    });
    // Behind the name: state, parent.
    let parent = |stat: &str| stat.rsplit_once(") ")?.1.split(' ').nth(1).map(str::to_owned);
    stats.filter(|stat| parent(stat).is_some_and(|parent| parent == own)).collect()
}

/// Shuts a pool of its own down while a job runs and another one is queued; what was said on stderr meanwhile.
#[unstuck::job]
pub(crate) fn says_what_its_shutdown_waits_for(begun: String, go: String, stderr: String) -> String {
    rustix::stdio::dup2_stderr(fs::File::create(&stderr).unwrap()).unwrap();
    let said = || fs::read_to_string(&stderr).unwrap();
    let pool = crate::support::pool_of(1).name("renderers").build().unwrap();
    let running = pool.spawn(waits::job(begun.clone(), go.clone()));
    crate::support::until("it runs", || Path::new(&begun).exists());
    let queued = pool.spawn(double::job(21));
    thread::scope(|scope| {
        scope.spawn(|| pool.shutdown());
        crate::support::until("it has said its lines", || said().contains("job 'waits' (from "));
        fs::write(&go, "").unwrap();
    });
    running.wait().unwrap();
    assert_eq!(queued.wait().unwrap(), 42);
    said()
}

/// Deletes these files, the program that runs here among them, and makes a pool in its own process.
#[unstuck::job]
pub(crate) fn deletes_its_program(files: Vec<String>, n: u64) -> u64 {
    files.iter().for_each(|file| fs::remove_file(file).unwrap());
    asks_a_child_of_its_own(n)
}

/// What a pool says when no file may be opened any more, and what it gives when some may be again.
#[unstuck::job]
pub(crate) fn runs_out_of_files() -> (String, u64) {
    let pool = crate::support::pool(1);
    let few = rustix::process::Rlimit { current: Some(64), maximum: Some(64) };
    rustix::process::setrlimit(rustix::process::Resource::Nofile, few).unwrap();
    let files: Vec<_> = std::iter::from_fn(|| fs::File::open("/dev/null").ok()).collect();
    let error = pool.spawn(double::job(1)).wait().unwrap_err();
    assert!(error.is_transport(), "{error}");
    drop(files);
    (error.to_string(), pool.spawn(double::job(21)).wait().unwrap())
}
