//! Where the rivals hang, leak or lose, and we do not: rows of the table in `crates/unstuck/tests/all/offload/README.md`,
//! each played by the rival that it names and by us, every time in a process of its own (plays.rs).
//!
//! No clock decides. A process *hangs for good* when all its threads sleep and, look after look, none of them has been
//! awake in between: there is no timer in these plays, so nobody is left who could wake anybody.

#![cfg(target_os = "linux")]

mod plays;
mod watch;

use watch::{Watched, niceness, play, python, watch};

#[test]
fn a_job_that_waits_for_one_behind_it_hangs_for_good_in_the_pools_of_tokio_smol_and_rayon() {
    for rival in ["tokio: behind", "smol: behind", "rayon: behind"] {
        assert!(watch(rival).hangs(), "{rival} did not hang");
    }
    assert_eq!(watch("unstuck: behind").said(), "42");
    assert_eq!(watch("unstuck: behind, cpu").said(), "42");
}

#[test]
fn a_file_waits_for_ever_behind_calls_that_fill_tokios_pool() {
    assert!(watch("tokio: file").hangs());
    assert_eq!(watch("unstuck: file").said(), "read");
}

#[test]
fn a_queue_of_tokios_takes_all_there_is_and_tells_nobody() {
    assert_eq!(watch("tokio: queue").said(), "0 of 20000 refused");
    assert_eq!(watch("unstuck: queue").said(), "19900 of 20000 refused");
}

#[test]
fn a_closure_in_tokios_pool_never_hears_that_it_was_cancelled() {
    assert!(watch("tokio: cancel").hangs());
    assert_eq!(watch("unstuck: cancel").said(), "it heard");
}

#[test]
fn dropping_a_runtime_of_tokios_with_a_stuck_job_hangs_without_a_word() {
    let Watched::Hangs { said } = watch("tokio: drop") else { panic!("it did not hang") };
    assert_eq!(said, "begun", "it said something after all");
    let said = watch("unstuck: drop").said();
    assert!(said.contains("job 'stuck' (from ") && said.ends_with("gone"), "{said}");
}

#[test]
fn without_a_thread_tokio_panics_at_whoever_submits_and_we_give_the_job_an_error() {
    assert!(watch("tokio: no thread").said().contains("submitting panicked: OS can't spawn"));
    assert!(watch("unstuck: no thread").said().contains("no thread could be made for it"));
}

#[test]
fn a_panic_in_a_closure_ends_the_process_in_rayon() {
    const SIGABRT: i32 = 6;
    assert_eq!(watch("rayon: panic").signal(), Some(SIGABRT));
    assert_eq!(watch("unstuck: panic").said(), "its error: oh; the next: 42");
}

#[test]
fn after_200_jobs_smols_threads_stay_and_wake_up_again_and_again() {
    // Both leave a process of no more than a few threads behind, if they let them go.
    play("smol: burst", |process| {
        process.until("each of the 200 has woken up three times for nothing", |now| {
            now.sleeps > 600 || now.threads < 100
        });
        assert!(process.now().threads > 200, "{:?}", process.now());
    });
    play("unstuck: burst", |process| {
        process.until("the threads have left", |now| now.threads < 10);
    });
}

#[test]
fn on_a_cpu_that_they_share_rayons_threads_take_as_much_as_tokios_and_ours_leave_the_tasks_more() {
    if niceness() > 14 {
        eprintln!("nobody can step back any further here");
        return;
    }
    let share = |name| watch(name).said().parse::<f64>().unwrap();
    let (theirs, ours) = (share("tokio and rayon: share"), share("unstuck: share"));
    // In CPU time of the thread that computes, where the worker has had 1.
    assert!(theirs > 0.7 && ours < 0.5, "theirs {theirs}, ours {ours}");
}

#[test]
fn one_killed_child_breaks_pythons_process_pool() {
    let script = "
import os, signal
from concurrent.futures import ProcessPoolExecutor
if __name__ == '__main__':
    pool = ProcessPoolExecutor(1)
    os.kill(pool.submit(os.getpid).result(), signal.SIGKILL)
    try:
        while True:
            pool.submit(os.getpid).result()
    except Exception as error:
        print(type(error).__name__)
    try:
        print(pool.submit(os.getpid).result())
    except Exception as error:
        print('still', type(error).__name__)
";
    if let Some(said) = python(script) {
        assert_eq!(said, "BrokenProcessPool\nstill BrokenProcessPool");
    }
    assert_eq!(watch("unstuck: killed child").said(), "it was killed by 9; the next: 42");
}
