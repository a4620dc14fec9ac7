//! What the tests share: pools, conditions, and places where a job in another process can be seen.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use unstuck::process::{Builder, ProcessPool};

/// A condition that has not come true after this long never will.
const PATIENCE: Duration = Duration::from_secs(180);

/// Waits for `condition`.
#[track_caller]
pub(crate) fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !condition() {
        assert!(begun.elapsed() < PATIENCE, "waited {PATIENCE:?} in vain until {what}");
        thread::sleep(Duration::from_millis(1));
    }
}

/// Pools of at most `max` children that do not fill the tests' output. However slow the machine is, a child has the time to
/// start, and does not leave within a test.
pub(crate) fn pool_of(max: usize) -> Builder {
    ProcessPool::builder()
        .max_children(max)
        .forward_stderr(false)
        .start_timeout(PATIENCE)
        .keep_alive(Duration::MAX)
}

/// A pool of at most `max` children.
pub(crate) fn pool(max: usize) -> ProcessPool {
    pool_of(max).build().unwrap()
}

/// A folder of one's own, in which jobs leave marks; gone at the end.
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("unstuck-process-{}-{number}", std::process::id()));
        fs::create_dir(&path).unwrap();
        Self(path)
    }

    /// The path of a mark, for a job.
    pub(crate) fn mark(&self, name: &str) -> String {
        self.0.join(name).to_str().unwrap().to_owned()
    }

    pub(crate) fn path(&self) -> String {
        self.0.to_str().unwrap().to_owned()
    }

    /// Leaves a mark that a job waits for.
    pub(crate) fn put(&self, name: &str) {
        fs::write(self.0.join(name), "").unwrap();
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.0.join(name).exists()
    }

    /// What was written into a mark.
    pub(crate) fn read(&self, name: &str) -> String {
        fs::read_to_string(self.0.join(name)).unwrap()
    }

    #[track_caller]
    pub(crate) fn wait_for(&self, name: &str) {
        until(name, || self.has(name));
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// True while there is such a process, zombies included.
pub(crate) fn exists(pid: u32) -> bool {
    Path::new(&format!("/proc/{pid}")).exists()
}

/// True for a process that runs: it exists, and is no zombie.
pub(crate) fn lives(pid: u32) -> bool {
    fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| {
        let state = stat.rsplit(") ").next().and_then(|rest| rest.chars().next());
        !matches!(state, Some('Z' | 'X'))
    })
}

/// As `kill -9` does.
pub(crate) fn kill(pid: u32) {
    let pid = rustix::process::Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
    let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
}
