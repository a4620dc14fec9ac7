//! Choosing the threads oneself. asyncio: `loop.run_in_executor(executor, f)`.
//!
//! | asyncio | here | for |
//! |---|---|---|
//! | `None` | `DefaultExecutor` | calls that wait: the pool behind `to_thread` |
//! | `ThreadPoolExecutor(3)` | `ThreadPool` | the same, with a limit of your own: say, three database connections |
//! | `ProcessPoolExecutor()` | `CpuPool` | calls that compute: Rust's threads need no processes to compute side by side |
//! | | `rayon::ThreadPool` | the rayon pool you have already |
//!
//! Pools are scope guards, like Python's `with`: leaving the block waits for their jobs. So make and drop them outside
//! of async code, which must not wait like that.
//!
//! Watch for: each job names its pool; the late job is done before "all pools have ended".

use std::sync::mpsc;
use std::thread;

use unstuck::offload::{CpuPool, DefaultExecutor, ThreadPool};
use unstuck::{gather, run_in_executor};

fn main() {
    tutorial();
}

pub(crate) fn tutorial() {
    {
        let threads = ThreadPool::builder().max_threads(3).name("database").build().expect("a thread pool");
        let compute = CpuPool::builder().threads(2).name("compute").build().expect("a CPU pool");
        let rayon = rayon::ThreadPoolBuilder::new().num_threads(2).thread_name(|n| format!("rayon-{n}"));
        let rayon = rayon.build().expect("a rayon pool");
        let (go, wait_for_go) = mpsc::channel();

        unstuck::run(async {
            let (default, threads, compute, rayon) = gather!(
                run_in_executor(&DefaultExecutor, my_pool),
                run_in_executor(&threads, my_pool),
                run_in_executor(&compute, my_pool),
                run_in_executor(&rayon, my_pool),
            )
            .await;
            println!("DefaultExecutor:   {}", default.unwrap());
            println!("ThreadPool:        {}", threads.unwrap());
            println!("CpuPool:           {}", compute.unwrap());
            println!("rayon::ThreadPool: {}", rayon.unwrap());
        });

        let late = move || wait_for_go.recv().map(|()| println!("the late job is done"));
        drop(run_in_executor(&threads, late)); // dropping the handle lets the job go on
        println!("leaving the block");
        go.send(()).expect("the late job waits for it");
    }
    println!("all pools have ended");
}

/// The pool that this thread belongs to: its name without its number.
fn my_pool() -> String {
    let thread = thread::current();
    let name = thread.name().unwrap_or_default();
    name.trim_end_matches(|c: char| c.is_ascii_digit() || c == '-').to_owned()
}
