//! Children that crash, exit, hang or are killed: that job fails, with an error that says so, and the pool goes on.

use std::time::Duration;

use unstuck::process::Options;

use crate::jobs::*;
use crate::support::{Folder, kill, lives, pool, pool_of, until};

#[unstuck::test]
async fn a_child_that_dies_by_a_signal_costs_one_job_and_the_error_names_the_signal() {
    let pool = pool(1);
    for signal in [11, 9, 15] {
        let before = pool.spawn(own_pid::job()).await.unwrap();
        let error = pool.spawn(dies_by::job(signal)).await.unwrap_err();
        assert!(error.is_worker_death() && !error.is_panic() && !error.is_cancelled(), "{error}");
        assert_eq!(
            (error.signal(), error.exit_code(), error.worker_pid()),
            (Some(signal), None, Some(before))
        );
        assert_ne!(pool.spawn(own_pid::job()).await.unwrap(), before);
    }
    assert_eq!((pool.statistics().lost, pool.statistics().started), (3, 4));
}

#[unstuck::test]
async fn a_child_that_aborts_leaves_its_last_words_in_the_error() {
    let error = pool(1).spawn(aborts::job("assertion failed: pixels > 0".into())).await.unwrap_err();
    assert_eq!(error.signal(), Some(6));
    assert!(error.stderr().unwrap().contains("assertion failed: pixels > 0"));
    assert!(error.to_string().contains("SIGABRT") && error.to_string().contains("pixels > 0"), "{error}");
}

#[unstuck::test]
async fn what_an_earlier_job_wrote_to_stderr_is_not_in_the_error_of_a_later_one() {
    let pool = pool(1);
    let first = pool.spawn(panics::job("the first".into())).await.unwrap_err();
    let second = pool.spawn(exits::job(3)).await.unwrap_err();
    assert!(first.stderr().unwrap().contains("the first"));
    assert_eq!(second.stderr(), Some(""));
}

#[unstuck::test]
#[cfg(target_os = "linux")]
async fn a_death_is_noticed_although_a_process_that_the_job_has_forked_holds_its_socket_open() {
    let (pool, folder) = (pool(1), Folder::new());
    let error = pool.spawn(dies_and_leaves_its_sockets::job(folder.mark("sleeper"))).await.unwrap_err();
    assert_eq!(error.signal(), Some(6), "{error}");
    let sleeper: u32 = folder.read("sleeper").parse().unwrap();
    until("what it has left is gone, too", || !lives(sleeper));
    assert_eq!(pool.spawn(double::job(21)).await.unwrap(), 42);
}

#[unstuck::test]
async fn a_job_that_exits_ends_its_child_and_the_error_has_the_code() {
    let pool = pool(1);
    for code in [0, 3] {
        let error = pool.spawn(exits::job(code)).await.unwrap_err();
        assert!(error.is_worker_death());
        assert_eq!((error.exit_code(), error.signal()), (Some(code), None));
    }
    assert_eq!(pool.spawn(double::job(1)).await.unwrap(), 2);
}

#[unstuck::test]
async fn a_stack_overflow_is_one_jobs_death() {
    let pool = pool(1);
    let error = pool.spawn(recurses::job(u64::MAX)).await.unwrap_err();
    assert!(matches!(error.signal(), Some(6 | 11)), "{error}");
    assert_eq!(pool.spawn(double::job(1)).await.unwrap(), 2);
}

#[unstuck::test]
async fn a_runaway_job_is_killed_at_its_time_and_the_pool_answers_again() {
    let pool = pool_of(1).timeout(Duration::from_millis(50)).build().unwrap();
    let error = pool.spawn(runs_for_ever::job()).await.unwrap_err();
    assert!(error.is_timeout() && !error.is_worker_death() && !error.is_cancelled());
    assert!(error.to_string().contains("longer than its limit of 50ms"), "{error}");
    assert!(!lives(error.worker_pid().unwrap()));
    assert_eq!(pool.handle().clone().no_timeout().spawn(double::job(1)).await.unwrap(), 2);
}

#[unstuck::test]
async fn a_job_that_floods_stderr_is_killed_at_its_time_all_the_same() {
    let pool = pool_of(1).timeout(Duration::from_millis(50)).build().unwrap();
    assert!(pool.spawn(floods_stderr::job()).await.unwrap_err().is_timeout());
    let cancelled = pool.handle().clone().no_timeout().spawn(floods_stderr::job());
    until("it runs", || pool.statistics().running == 1);
    assert!(cancelled.cancel() && cancelled.await.unwrap_err().is_cancelled());
}

#[unstuck::test]
async fn a_handle_may_have_a_limit_that_the_pool_has_not() {
    let pool = pool(1);
    let hasty = pool.handle().clone().timeout(Duration::from_millis(20));
    let folder = Folder::new();
    let slow = pool.spawn(waits::job(folder.mark("begun"), folder.mark("go")));
    let queued = hasty.spawn(runs_for_ever::job());
    folder.wait_for("begun");
    folder.put("go");
    slow.await.unwrap();
    assert!(queued.await.unwrap_err().is_timeout(), "time in the queue does not count");
}

#[unstuck::test]
async fn a_running_job_that_is_cancelled_is_killed_with_all_it_has_started() {
    let (pool, folder) = (pool(1), Folder::new());
    let job = pool.spawn(starts_another::job(folder.mark("other")));
    unstuck::to_thread({
        let path = folder.mark("other");
        move || until("it has started another", || std::path::Path::new(&path).exists())
    })
    .await
    .unwrap();
    let other: u32 = folder.read("other").parse().unwrap();
    let child = pool.children()[0];
    assert!(lives(other) && lives(child));
    assert!(job.cancel() && !job.cancel());
    assert!(job.await.unwrap_err().is_cancelled());
    until("both are dead", || !lives(other) && !lives(child));
    assert_eq!(pool.spawn(double::job(1)).await.unwrap(), 2);
}

#[unstuck::test]
async fn a_queued_job_that_is_cancelled_never_runs() {
    let (pool, folder) = (pool(1), Folder::new());
    let running = pool.spawn(waits::job(folder.mark("begun"), folder.mark("go")));
    let queued = pool.spawn(adds_line::job(folder.mark("ran")));
    assert!(queued.cancel());
    assert!(queued.await.unwrap_err().is_cancelled());
    folder.put("go");
    running.await.unwrap();
    pool.spawn(double::job(1)).await.unwrap(); // behind the cancelled one
    assert!(!folder.has("ran"));
}

#[unstuck::test]
async fn a_job_bound_to_its_handle_is_killed_with_it_and_others_go_on() {
    let (pool, folder) = (pool(2), Folder::new());
    let bound = pool.submit(runs_for_ever::job(), Options::new().cancel_on_drop());
    let free = pool.spawn(waits::job(folder.mark("begun"), folder.mark("go")));
    folder.wait_for("begun");
    until("both run", || pool.statistics().running == 2);
    drop((bound, free));
    until("the bound one is gone", || pool.statistics().running == 1);
    folder.put("go");
    until("the other has ended by itself", || pool.statistics().done == 1);
    assert_eq!(pool.statistics().lost, 1);
}

#[unstuck::test]
async fn a_job_cancelled_at_any_moment_of_its_childs_start_ends() {
    for moment in 0..40 {
        let pool = pool(1);
        let job = pool.spawn(runs_for_ever::job());
        std::thread::sleep(Duration::from_micros(150 * moment));
        assert!(job.cancel());
        assert!(job.await.unwrap_err().is_cancelled());
    }
}

#[unstuck::test]
async fn a_wait_that_is_over_kills_the_job_that_is_bound_to_it() {
    let pool = pool(1);
    let job = pool.submit(runs_for_ever::job(), Options::new().cancel_on_drop());
    assert!(unstuck::timeout(Duration::from_millis(20), job).await.is_err());
    assert_eq!(pool.spawn(double::job(1)).await.unwrap(), 2);
}

#[unstuck::test]
async fn a_child_killed_while_it_is_idle_costs_no_job() {
    let pool = pool(1);
    for n in 0..20 {
        let pid = pool.spawn(own_pid::job()).await.unwrap();
        kill(pid);
        // Sometimes the keeper has seen it by now, sometimes the job is on its way to a process that is dead.
        if n % 2 == 0 {
            until("it is dead", || !lives(pid));
        }
        assert_eq!(pool.spawn(double::job(n)).await.unwrap(), 2 * n);
    }
    assert_eq!(pool.statistics().lost, 0);
}

#[unstuck::test]
async fn a_child_that_wants_too_much_memory_dies_alone_and_its_error_says_so() {
    let pool = pool_of(1).memory_limit(2 << 30).build().unwrap();
    assert_eq!(pool.spawn(takes_memory::job(1 << 20)).await.unwrap(), 1 << 20);
    let error = pool.spawn(takes_memory::job(3 << 30)).await.unwrap_err();
    assert_eq!(error.signal(), Some(6), "{error}");
    assert!(error.stderr().unwrap().contains("memory allocation of"), "{error}");
    assert_eq!(pool.spawn(double::job(1)).await.unwrap(), 2);
}

#[unstuck::test]
async fn a_job_too_large_for_every_child_fails_instead_of_being_sent_for_ever() {
    let pool = pool_of(1).memory_limit(256 << 20).build().unwrap();
    let error = pool.spawn(increment::job(vec![0; 150 << 20])).await.unwrap_err();
    assert!(error.is_worker_death(), "{error}");
    assert_eq!(pool.statistics().started, 3);
    assert_eq!(pool.spawn(double::job(1)).await.unwrap(), 2);
}
