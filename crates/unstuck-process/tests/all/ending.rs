//! How pools end, and what they leave behind: nothing.

use std::time::Duration;

use unstuck::process::Shutdown;

use crate::jobs::*;
use crate::support::{Folder, exists, kill, lives, pool, pool_of, until};

#[test]
fn a_shutdown_waits_for_queued_jobs_and_refuses_later_ones() {
    let pool = pool(1);
    let jobs: Vec<_> = (0..5).map(|n| pool.spawn(double::job(n))).collect();
    pool.shutdown();
    let sum: u64 = jobs.into_iter().map(|job| job.wait().unwrap()).sum();
    assert_eq!(sum, 20);
    let late = pool.spawn(double::job(1)).wait().unwrap_err();
    assert!(late.is_rejected() && late.to_string().contains("has shut down"), "{late}");
    pool.shutdown(); // a second time, nothing happens
}

#[test]
fn a_limited_shutdown_cancels_queued_jobs_kills_running_ones_and_names_them() {
    let (pool, folder) = (pool(1), Folder::new());
    let stuck = pool.spawn(waits::job(folder.mark("begun"), folder.mark("never")));
    let queued = pool.spawn(double::job(1));
    folder.wait_for("begun");
    let pid = pool.children()[0];
    let report = pool.shutdown_timeout(Duration::from_millis(10));
    assert_eq!((report.running.len(), report.cancelled), (1, 1));
    assert!(report.to_string().contains("job 'waits' (from"), "{report}");
    assert!(report.is_complete() && !exists(pid), "a process that is stuck can be killed");
    assert!(stuck.wait().unwrap_err().is_cancelled());
    assert!(queued.wait().unwrap_err().is_cancelled());
}

#[test]
fn a_shutdown_says_after_a_second_which_jobs_it_waits_for() {
    let folder = Folder::new();
    let (begun, go, stderr) = (folder.mark("begun"), folder.mark("go"), folder.mark("stderr"));
    let said = pool(1).spawn(says_what_its_shutdown_waits_for::job(begun, go, stderr)).wait().unwrap();
    assert!(said.contains("unstuck: the shutdown of 'renderers' waits for 2 jobs"), "{said}");
    assert!(said.contains("job 'waits' (from "), "{said}");
}

/// asyncio's `kill_workers`: the running job never ends, later jobs are refused.
#[test]
fn a_pool_that_is_ended_by_force_does_nothing_more_and_ending_it_again_is_no_error() {
    let never_used = pool(1);
    assert!(never_used.shutdown_timeout(Duration::ZERO).running.is_empty());
    assert!(never_used.spawn(double::job(1)).wait().unwrap_err().is_rejected());

    let (pool, folder) = (pool(1), Folder::new());
    let running = pool.spawn(waits::job(folder.mark("begun"), folder.mark("never")));
    folder.wait_for("begun");
    assert_eq!(pool.shutdown_timeout(Duration::ZERO).running.len(), 1);
    assert!(running.wait().unwrap_err().is_cancelled());
    assert!(pool.shutdown_timeout(Duration::ZERO).running.is_empty());
    assert!(pool.spawn(double::job(1)).wait().unwrap_err().is_rejected());
}

#[test]
fn a_detached_pool_lets_its_jobs_end() {
    let (pool, folder) = (pool_of(1).on_drop(Shutdown::detach()).build().unwrap(), Folder::new());
    let running = pool.spawn(waits::job(folder.mark("begun"), folder.mark("go")));
    let queued = pool.spawn(double::job(1));
    folder.wait_for("begun");
    drop(pool);
    folder.put("go");
    let pid = running.wait().unwrap();
    assert_eq!(queued.wait().unwrap(), 2);
    until("its child is gone", || !exists(pid));
}

#[test]
fn a_dropped_pool_has_done_its_jobs_and_its_children_are_gone() {
    let pool = pool_of(2).min_children(1).build().unwrap();
    let jobs: Vec<_> = (0..10).map(|_| pool.spawn(own_pid::job())).collect();
    drop(pool);
    for job in jobs {
        assert!(!exists(job.wait().unwrap()));
    }
}

#[test]
fn a_pool_dropped_with_a_job_that_never_ends_kills_it_at_its_limit() {
    let mut limited = Shutdown::wait();
    limited.limit = Some(Duration::from_millis(20));
    let pool = pool_of(1).on_drop(limited).build().unwrap();
    let job = pool.spawn(runs_for_ever::job());
    drop(pool);
    assert!(job.wait().unwrap_err().is_cancelled());
}

#[test]
fn idle_children_leave_after_the_keep_alive_and_come_again_for_the_next_job() {
    let pool = pool_of(3).keep_alive(Duration::from_millis(20)).build().unwrap();
    let meeting = Folder::new();
    let jobs: Vec<_> = (0..3).map(|_| pool.spawn(meets::job(meeting.path(), 3))).collect();
    let pids: Vec<_> = jobs.into_iter().map(|job| job.wait().unwrap()).collect();
    until("all children have left", || pool.children().is_empty() && !pids.iter().any(|pid| exists(*pid)));
    assert_eq!(pool.spawn(double::job(1)).wait().unwrap(), 2);
}

#[test]
fn nothing_wakes_up_while_a_pool_is_idle() {
    let pool = pool_of(1).name("idle-pool").keep_alive(Duration::MAX).build().unwrap();
    let pid = pool.spawn(own_pid::job()).wait().unwrap();
    // Every switch of the keeper and of its child; both are asleep when the number no longer changes.
    let switches = || {
        let tasks = std::fs::read_dir("/proc/self/task").unwrap().map(|entry| entry.unwrap().path());
        let keeper = tasks
            .filter_map(|task| std::fs::read_to_string(task.join("status")).ok())
            .find(|status| status.contains("idle-pool-"))
            .unwrap();
        let child = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        [keeper, child].map(|status| {
            let line = status.lines().find(|line| line.starts_with("voluntary_ctxt_switches")).unwrap();
            line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap()
        })
    };
    let mut before = switches();
    until("half a second passes without a wake-up", || {
        std::thread::sleep(Duration::from_millis(500));
        let now = switches();
        std::mem::replace(&mut before, now) == now
    });
}

#[test]
fn children_die_with_a_parent_that_is_killed() {
    let (pool, folder) = (pool(1), Folder::new());
    let job = pool.spawn(has_a_child_of_its_own::job(folder.mark("grandchild"), folder.mark("never")));
    folder.wait_for("grandchild");
    let grandchild: u32 = folder.read("grandchild").parse().unwrap();
    assert!(lives(grandchild));
    kill(pool.children()[0]);
    assert_eq!(job.wait().unwrap_err().signal(), Some(9));
    until("the orphan is dead", || !lives(grandchild));
}

#[test]
fn fifty_pools_leave_no_file_and_no_thread() {
    let [before, after] = pool(1).spawn(makes_fifty_pools::job()).wait().unwrap();
    assert_eq!(before, after, "(open files, threads)");
}

#[test]
fn no_dead_child_is_left_to_be_waited_for() {
    assert_eq!(pool(1).spawn(leaves_no_zombie::job()).wait().unwrap(), "");
}
