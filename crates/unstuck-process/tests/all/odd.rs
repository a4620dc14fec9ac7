//! Odd programs, odd settings, and a system that has nothing left to give.

use std::time::Duration;

use crate::jobs::*;
use crate::support::{Folder, pool, pool_of};

#[unstuck::test]
async fn a_program_that_was_started_through_a_link_and_whose_file_is_gone_may_have_a_pool() {
    let folder = Folder::new();
    let (file, link) = (folder.mark("program"), folder.mark("link"));
    std::fs::copy(std::env::current_exe().unwrap(), &file).unwrap();
    std::os::unix::fs::symlink(&file, &link).unwrap();
    let serve = ["unstuck_process_child::serve", "--exact", "--nocapture", "--quiet", "--test-threads=1"];
    let pool = pool_of(1).program(&link, serve).build().unwrap();
    assert_eq!(pool.spawn(deletes_its_program::job(vec![file, link], 21)).await.unwrap(), 42);
}

#[unstuck::test]
async fn where_no_file_may_be_opened_the_job_fails_and_a_later_one_does_not() {
    let (error, doubled) = pool(1).spawn(runs_out_of_files::job()).await.unwrap();
    assert!(error.contains("Too many open files") && doubled == 42, "{error}, {doubled}");
}

#[unstuck::test]
async fn a_limit_may_be_no_time_or_all_time() {
    let patient = pool_of(1).start_timeout(Duration::MAX).timeout(Duration::MAX).keep_alive(Duration::MAX);
    assert_eq!(patient.build().unwrap().spawn(double::job(21)).await.unwrap(), 42);

    let error =
        pool_of(1).timeout(Duration::ZERO).build().unwrap().spawn(runs_for_ever::job()).await.unwrap_err();
    assert!(error.is_timeout(), "{error}");
    let error =
        pool_of(1).start_timeout(Duration::ZERO).build().unwrap().spawn(double::job(1)).await.unwrap_err();
    assert!(error.to_string().contains("it was not ready within 0ns"), "{error}");

    let hasty = pool_of(1).keep_alive(Duration::ZERO).build().unwrap();
    for n in 0..3 {
        assert_eq!(hasty.spawn(double::job(n)).await.unwrap(), 2 * n);
    }
}

#[unstuck::test]
async fn a_pool_of_any_number_of_children_maps_what_there_is() {
    let pool = pool_of(usize::MAX).build().unwrap();
    let doubled: Vec<u64> = pool.map(1..=3, double::job).try_collect().await.unwrap();
    assert_eq!(doubled, [2, 4, 6]);
}

#[unstuck::test]
async fn a_child_without_memory_for_anything_is_an_error_and_not_a_wait() {
    let pool = pool_of(1).memory_limit(1).build().unwrap();
    let error = pool.spawn(takes_memory::job(1 << 28)).await.unwrap_err();
    assert!(error.is_transport() || error.is_worker_death(), "{error}");
}

#[unstuck::test]
async fn a_result_that_is_deep_is_read_on_a_stack_as_large_as_other_threads_have_or_as_one_says() {
    let pool = pool(1);
    assert_eq!(pool.spawn(asks_for_a_nest::job(1_000, 0)).await.unwrap(), 1_000);
    assert_eq!(pool.spawn(asks_for_a_nest::job(20_000, 64 << 20)).await.unwrap(), 20_000);
}

#[test]
fn jobs_given_up_in_the_queue_do_not_pile_up() {
    let (pool, folder) = (pool(1), Folder::new());
    let first = pool.spawn(waits::job(folder.mark("begun"), folder.mark("go")));
    folder.wait_for("begun");
    for _ in 0..1_000 {
        assert!(pool.spawn(increment::job(vec![0; 100_000])).cancel());
    }
    assert!(pool.statistics().queued <= 16, "{:?}", pool.statistics());
    let last = pool.spawn(double::job(21));
    folder.put("go");
    first.wait().unwrap();
    assert_eq!(last.wait().unwrap(), 42);
}
