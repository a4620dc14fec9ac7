//! Ten thousand jobs while a child is killed every 50 ms; less often where a child needs so long to start that no job would
//! ever be done.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use crate::jobs::{meets, toils};
use crate::support::{Folder, kill, pool};

const JOBS: u32 = 10_000;
const CHILDREN: usize = 3;

/// Exactly the killed jobs fail, each with an error that says so; no job is done twice; the pool ends at full strength.
#[unstuck::test]
async fn exactly_the_killed_jobs_fail_of_ten_thousand_and_the_pool_ends_at_full_strength() {
    let pool = Arc::new(pool(CHILDREN));
    let folder = Folder::new();
    let killed = Arc::new(Mutex::new(HashSet::new()));
    let over = Arc::new(AtomicBool::new(false));
    let killer = thread::spawn({
        let (pool, killed, over) = (pool.clone(), killed.clone(), over.clone());
        move || {
            let (mut turn, mut enough) = (0, 0);
            loop {
                thread::sleep(Duration::from_millis(50));
                if over.load(Ordering::SeqCst) {
                    return;
                }
                if pool.statistics().done < enough {
                    continue;
                }
                (turn, enough) = (turn + 1, pool.statistics().done + 30);
                let children = pool.children();
                if let Some(pid) = children.get(turn % children.len().max(1)) {
                    killed.lock().unwrap().insert(*pid);
                    kill(*pid);
                }
            }
        }
    });

    let jobs: Vec<_> = (0..JOBS).map(|n| pool.spawn(toils::job(folder.mark("begun"), n, 200))).collect();
    let (mut lost, mut stillborn) = (HashMap::new(), HashSet::new());
    for (n, job) in (0..JOBS).zip(jobs) {
        match job.await {
            Ok(value) => assert_eq!(value, n),
            // On a slow machine a child may be killed that is only about to start.
            Err(error) if error.is_transport() => {
                assert!(error.to_string().contains("before it was ready (signal: 9 (SIGKILL))"), "{error}");
                stillborn.insert(n);
            }
            Err(error) => {
                assert_eq!(error.signal(), Some(9), "{error}");
                assert!(error.to_string().contains("was killed by signal 9 (SIGKILL)"), "{error}");
                let before = lost.insert(error.worker_pid().unwrap(), n);
                assert_eq!(before, None, "one death, one job");
            }
        }
    }
    over.store(true, Ordering::SeqCst);
    killer.join().unwrap();

    let killed = killed.lock().unwrap().clone();
    assert!(lost.keys().all(|pid| killed.contains(pid)), "a job failed whose child was not killed");
    assert!(!killed.is_empty() && lost.len() + stillborn.len() <= killed.len());

    // Who failed has begun, in the child that was killed, and nobody began twice: not even those who failed.
    let marks = std::fs::read(folder.mark("begun")).unwrap();
    let mut begun = vec![0; JOBS as usize];
    for mark in marks.chunks_exact(4) {
        begun[u32::from_le_bytes(mark.try_into().unwrap()) as usize] += 1;
    }
    let once = |n: u32| match begun[n as usize] {
        0 => stillborn.contains(&n) || lost.values().any(|lost| *lost == n),
        1 => !stillborn.contains(&n),
        _ => false,
    };
    assert!((0..JOBS).all(once));
    let failed = lost.len() + stillborn.len();
    assert!(failed > 0, "{} children were killed, and none had a job: nothing was tried", killed.len());
    assert_eq!(pool.statistics().lost, failed as u64);
    println!("{} children killed, {failed} jobs lost", killed.len());

    let meeting = Folder::new();
    let all: Vec<_> = (0..CHILDREN).map(|_| pool.spawn(meets::job(meeting.path(), CHILDREN))).collect();
    for job in all {
        job.await.unwrap();
    }
}
