//! What a pool is for: values, errors, large arguments, order, limits.

use std::collections::HashSet;
use std::time::Duration;

use unstuck::process::{Options, ProcessPool};
use unstuck::run_in_executor;

use crate::jobs::*;
use crate::support::{Folder, kill, pool, pool_of, until};

#[unstuck::test]
async fn a_job_runs_in_another_process_and_gives_its_value() {
    let pool = pool(1);
    assert_eq!(pool.spawn(double::job(21)).await.unwrap(), 42);
    let pid = pool.spawn(own_pid::job()).await.unwrap();
    assert_ne!(pid, std::process::id());
    assert_eq!(pool.children(), [pid]);
}

#[unstuck::test]
async fn the_pool_is_an_executor_like_the_others_and_its_jobs_run_in_the_others_too() {
    let processes = pool(1);
    let threads = unstuck::offload::ThreadPool::builder().max_threads(1).build().unwrap();
    assert_eq!(run_in_executor(&processes, double::job(1)).await.unwrap(), 2);
    assert_eq!(run_in_executor(processes.handle(), double::job(2)).await.unwrap(), 4);
    assert_eq!(run_in_executor(&threads, double::job(3)).await.unwrap(), 6);
    assert_eq!(double(4), 8);
}

#[test]
fn a_plain_thread_can_wait_for_a_job() {
    assert_eq!(pool(1).spawn(double::job(4)).wait().unwrap(), 8);
}

#[unstuck::test]
async fn a_child_stays_warm_and_takes_job_after_job() {
    let pool = pool(4);
    let mut pids = HashSet::new();
    for _ in 0..20 {
        pids.insert(pool.spawn(own_pid::job()).await.unwrap());
    }
    assert_eq!(pids.len(), 1);
    assert_eq!(pool.statistics().started, 1);
}

#[unstuck::test]
async fn jobs_run_side_by_side_up_to_the_limit_and_not_beyond() {
    let (pool, folder) = (pool(3), Folder::new());
    let jobs: Vec<_> = (0..3).map(|_| pool.spawn(meets::job(folder.path(), 3))).collect();
    let more: Vec<_> = (0..9).map(|_| pool.spawn(own_pid::job())).collect();
    let mut pids = HashSet::new();
    for job in jobs {
        pids.insert(job.await.unwrap());
    }
    assert_eq!(pids.len(), 3);
    for job in more {
        assert!(pids.contains(&job.await.unwrap()));
    }
}

#[unstuck::test]
async fn a_panic_is_the_jobs_error_and_the_child_goes_on() {
    let pool = pool(1);
    let pid = pool.spawn(own_pid::job()).await.unwrap();
    let error = pool.spawn(panics::job("no such picture".into())).await.unwrap_err();
    assert!(error.is_panic() && !error.is_worker_death());
    assert_eq!(error.panic_message(), Some("no such picture"));
    assert_eq!((error.name(), error.worker_pid()), (Some("panics"), Some(pid)));
    assert!(error.stderr().unwrap().contains("jobs.rs"), "the hook's line, with the place: {error}");
    assert!(error.to_string().contains("work.rs"), "the place that submitted it: {error}");
    let wordless = pool.spawn(panics_without_words::job()).await.unwrap_err();
    assert!(wordless.is_panic() && wordless.panic_message().is_none());
    assert_eq!(pool.spawn(own_pid::job()).await.unwrap(), pid);
}

#[unstuck::test]
async fn a_megabyte_travels_there_and_back() {
    let pool = pool(1);
    let bytes: Vec<u8> = (0..1 << 20).map(|n: u32| n.to_le_bytes()[0]).collect();
    let answer = pool.spawn(increment::job(bytes.clone())).await.unwrap();
    assert!(answer == increment(bytes));
    let empty = pool.spawn(increment::job(Vec::new())).await.unwrap();
    assert_eq!(empty, Vec::<u8>::new());
}

#[unstuck::test]
async fn thirty_megabytes_travel_while_other_jobs_go_on() {
    let pool = pool(2);
    let large = pool.spawn(increment::job(vec![1; 30 << 20]));
    for n in 0..50 {
        assert_eq!(pool.spawn(double::job(n)).await.unwrap(), 2 * n);
    }
    assert!(large.await.unwrap().iter().all(|byte| *byte == 2));
}

#[unstuck::test]
async fn a_child_may_write_more_to_stderr_than_a_pipe_holds() {
    let pool = pool(1);
    assert_eq!(pool.spawn(writes_to_stderr::job(1 << 20)).await.unwrap(), 1 << 20);
}

#[unstuck::test]
async fn a_job_finds_nothing_on_stdin_and_the_variables_that_the_pool_sets() {
    let pool = pool_of(1).env("UNSTUCK_TEST_COLOUR", "green").build().unwrap();
    assert_eq!(pool.spawn(reads_stdin::job()).await.unwrap(), "");
    let colour = pool.spawn(variable::job("UNSTUCK_TEST_COLOUR".into())).await.unwrap();
    assert_eq!(colour.as_deref(), Some("green"));
}

#[unstuck::test]
async fn a_job_may_have_a_pool_of_its_own() {
    assert_eq!(pool(1).spawn(asks_a_child_of_its_own::job(5)).await.unwrap(), 10);
}

#[unstuck::test]
async fn results_of_a_map_come_in_the_items_order_and_errors_at_their_place() {
    let pool = pool(2);
    let doubled: Vec<u64> = pool.map(0..100, double::job).try_collect().await.unwrap();
    assert_eq!(doubled, (0..100).map(|n| 2 * n).collect::<Vec<_>>());

    let results: Vec<_> = pool.map([0, 3, 0], exits::job).collect().await;
    let codes: Vec<_> = results.into_iter().map(|result| result.unwrap_err().exit_code()).collect();
    assert_eq!(codes, [Some(0), Some(3), Some(0)]);
}

#[unstuck::test]
async fn a_map_takes_only_so_many_items_ahead_so_they_may_be_endless() {
    let pool = pool(2);
    let mut taken = 0;
    let items = (1_u64..).inspect(|n| taken = *n);
    let mut map = pool.map(items, double::job).lookahead(3);
    assert_eq!(map.next().await.unwrap().unwrap(), 2);
    assert_eq!(map.next().await.unwrap().unwrap(), 4);
    drop(map);
    assert_eq!(taken, 4, "two taken, and never more than three ahead");
}

#[unstuck::test]
async fn a_child_is_replaced_after_its_number_of_jobs() {
    let pool = pool_of(1).max_jobs_per_child(3).build().unwrap();
    let mut pids = Vec::new();
    for _ in 0..7 {
        pids.push(pool.spawn(own_pid::job()).await.unwrap());
    }
    assert!(pids[0] == pids[2] && pids[2] != pids[3] && pids[3] == pids[5] && pids[5] != pids[6], "{pids:?}");
}

#[unstuck::test]
async fn every_child_runs_the_initializer_before_its_first_job() {
    let folder = Folder::new();
    let pool = pool_of(2).initializer(adds_line::job(folder.mark("starts"))).build().unwrap();
    let meeting = Folder::new();
    let (one, two) = (pool.spawn(meets::job(meeting.path(), 2)), pool.spawn(meets::job(meeting.path(), 2)));
    assert_ne!(one.await.unwrap(), two.await.unwrap());
    assert_eq!(folder.read("starts"), "x\nx\n");
}

#[unstuck::test]
async fn an_initializer_that_fails_is_the_error_of_the_job_that_needed_the_child() {
    let pool = pool_of(1).initializer(panics::job("no model".into())).build().unwrap();
    let error = pool.spawn(double::job(1)).await.unwrap_err();
    assert!(error.is_transport(), "{error}");
    assert!(error.to_string().contains("its initializer failed: no model"), "{error}");
    let pool = pool_of(1).initializer(exits::job(3)).build().unwrap();
    let error = pool.spawn(double::job(1)).await.unwrap_err();
    assert!(error.to_string().contains("its initializer ended the process"), "{error}");
}

#[unstuck::test]
async fn children_that_are_to_stay_warm_are_there_before_the_first_job_and_come_back_when_killed() {
    let pool = pool_of(2).min_children(2).keep_alive(Duration::ZERO).build().unwrap();
    until("both are warm", || pool.children().len() == 2 && pool.statistics().started == 2);
    let pid = pool.spawn(own_pid::job()).await.unwrap();
    assert!(pool.children().contains(&pid));
    assert_eq!(pool.statistics().started, 2);
    kill(pid);
    until("another one is warm", || pool.statistics().started == 3 && pool.children().len() == 2);
    assert!(!pool.children().contains(&pid));
}

/// What a child does whose program has forgotten to let it serve: the test below starts it.
#[test]
#[ignore = "the test below runs it as a child"]
fn a_main_that_does_not_serve() {
    let refused = ProcessPool::builder().build().unwrap_err();
    eprintln!("refused: {refused}");
}

#[unstuck::test]
async fn a_child_that_does_not_serve_can_make_no_pool_so_that_nothing_starts_itself_for_ever() {
    let arguments = ["work::a_main_that_does_not_serve", "--exact", "--ignored", "--nocapture"];
    let pool = pool_of(1).program(std::env::current_exe().unwrap(), arguments).build().unwrap();
    let error = pool.spawn(double::job(1)).await.unwrap_err();
    assert!(error.is_transport(), "{error}");
    let words = error.stderr().unwrap();
    assert!(words.contains("refused: this process is a child of a process pool"), "{error}");
}

#[unstuck::test]
async fn a_program_that_does_not_serve_is_an_error_that_says_what_to_call() {
    let pool = pool_of(1).program("/bin/true", [""; 0]).build().unwrap();
    let error = pool.spawn(double::job(1)).await.unwrap_err();
    assert!(error.is_transport() && error.to_string().contains("serve_if_child() first in main"), "{error}");

    let hangs = pool_of(1).program("/bin/sleep", ["1000"]).start_timeout(Duration::from_millis(50));
    let error = hangs.build().unwrap().spawn(double::job(1)).await.unwrap_err();
    assert!(error.to_string().contains("it was not ready within 50ms"), "{error}");

    let pool = pool_of(1).program("/no/such/program", [""; 0]).build().unwrap();
    let error = pool.spawn(double::job(1)).await.unwrap_err();
    assert!(error.to_string().contains("/no/such/program cannot be started"), "{error}");
}

#[test]
fn a_pool_that_could_never_run_a_job_is_refused() {
    for builder in
        [ProcessPool::builder().max_children(0), ProcessPool::builder().max_children(1).min_children(2)]
    {
        assert_eq!(builder.build().unwrap_err().kind(), std::io::ErrorKind::InvalidInput);
    }
}

#[unstuck::test]
async fn a_job_has_the_name_that_it_was_given_or_its_functions() {
    let pool = pool(1);
    let named = pool.submit(exits::job(1), Options::new().name("page 7")).await.unwrap_err();
    let unnamed = pool.spawn(exits::job(1)).await.unwrap_err();
    assert_eq!((named.name(), unnamed.name()), (Some("page 7"), Some("exits")));
}
