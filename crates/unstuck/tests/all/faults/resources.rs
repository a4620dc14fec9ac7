//! What a runtime takes it gives back.

use std::time::Duration;

use unstuck::{Runtime, sleep};

use crate::support::{alone, leaves_little_memory, open_files, until_threads_are_gone};

#[test]
fn a_thousand_runtimes_built_and_dropped_leave_no_thread_no_file_and_no_memory() {
    alone(|| {
        let round = || {
            let runtime = Runtime::builder().worker_threads(2).build().unwrap();
            drop(runtime.spawn(sleep(Duration::MAX)));
            runtime.block_on(async {
                assert_eq!(unstuck::to_thread(|| 1).await.unwrap(), 1);
                assert_eq!(unstuck::spawn(async { 2 }).await.unwrap(), 2);
            });
            drop(runtime);
            until_threads_are_gone();
        };
        let files = open_files();
        for _ in 0..200 {
            round();
        }
        assert_eq!(open_files(), files);
        // 800 leaked runtimes of a few KiB each would be several MiB.
        leaves_little_memory(2 * 1024, || (0..800).for_each(|_| round()));
        assert_eq!(open_files(), files);
    });
}

#[test]
fn the_threads_of_a_compute_pool_end_with_their_runtime() {
    alone(|| {
        for _ in 0..20 {
            let runtime = Runtime::builder().worker_threads(1).cpu_threads(2).build().unwrap();
            assert_eq!(runtime.handle().cpu(|| 42).wait().unwrap(), 42);
            drop(runtime);
            until_threads_are_gone();
        }
    });
}

#[test]
fn a_thousand_single_threaded_loops_leave_nothing() {
    alone(|| {
        let round = || unstuck::run_single(async { sleep(Duration::from_micros(1)).await });
        (0..200).for_each(|_| round());
        let files = open_files();
        leaves_little_memory(1024, || (0..800).for_each(|_| round()));
        assert_eq!(open_files(), files);
        until_threads_are_gone();
    });
}
