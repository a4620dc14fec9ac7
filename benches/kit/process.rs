//! What the system tells about this process: memory, threads, wake-ups. `None` where there is no `/proc`.

use std::fs;
use std::path::Path;
use std::time::Duration;

/// The memory this process has in use.
pub fn resident_bytes() -> Option<u64> {
    let kib = field(Path::new("/proc/self/status"), "VmRSS:")?;
    Some(kib * 1024)
}

/// How many threads this process has.
pub fn threads() -> Option<u64> {
    field(Path::new("/proc/self/status"), "Threads:")
}

/// What threads have done since they began.
#[derive(Clone, Copy, Debug)]
pub struct Activity {
    /// How often they got a processor: each time they had gone to sleep, and each time somebody else had pushed them off.
    pub wake_ups: u64,
    /// How long they had a processor.
    pub ran: Duration,
}

/// What all threads there are, but this one, have done.
pub fn others() -> Option<Activity> {
    let this = fs::read_link("/proc/thread-self").ok()?;
    let mut sum = Activity { wake_ups: 0, ran: Duration::ZERO };
    for thread in fs::read_dir("/proc/self/task").ok()?.flatten() {
        if Some(thread.file_name().as_os_str()) == this.file_name() {
            continue;
        }
        // A thread that has ended meanwhile is none of those there are.
        if let Some(Activity { wake_ups, ran }) = activity(&thread.path()) {
            sum.wake_ups += wake_ups;
            sum.ran += ran;
        }
    }
    Some(sum)
}

fn activity(thread: &Path) -> Option<Activity> {
    let times = fs::read_to_string(thread.join("schedstat")).ok()?;
    let ran = Duration::from_nanos(times.split(' ').next()?.parse().ok()?);
    let status = thread.join("status");
    let switches =
        field(&status, "voluntary_ctxt_switches:")? + field(&status, "nonvoluntary_ctxt_switches:")?;
    Some(Activity { wake_ups: switches, ran })
}

fn field(file: &Path, name: &str) -> Option<u64> {
    let text = fs::read_to_string(file).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;
    use std::thread::sleep;

    #[test]
    fn a_thread_that_slept_has_been_woken() {
        let this = Path::new("/proc/thread-self");
        let before = activity(this).unwrap();
        for _ in 0..3 {
            sleep(Duration::from_millis(1));
        }
        let after = activity(this).unwrap();
        assert!(after.wake_ups >= before.wake_ups + 3 && after.ran > before.ran, "{before:?} {after:?}");
        assert!(resident_bytes().is_some() && threads().is_some() && others().is_some());
    }
}
