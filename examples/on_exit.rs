//! What becomes of tasks that are left at the end. asyncio: `run` cancels and awaits them; there is nothing else.
//!
//! Each part runs the same main future, which spawns a task that needs two seconds, and ends after one. Watch for the last
//! line of the task: with `Cancel` its await is cancelled and its cleanup runs; with `Drain` it comes to its end; with
//! `Detach` a single-threaded loop drops it where it stands, and says so (a multi-threaded runtime would let it go on).
//!
//! In a program: `#[unstuck::main(on_exit = "drain")]`.

use unstuck::{Builder, OnExit, Runner, Runtime, sleep, task};
use unstuck_examples::{SECOND, say};

fn main() {
    tutorial(Runtime::builder);
}

pub(crate) fn tutorial(builder: impl Fn() -> Builder) {
    for on_exit in [OnExit::Cancel, OnExit::Drain, OnExit::Detach] {
        println!("OnExit::{on_exit:?}");
        builder().on_exit(on_exit).build_single().unwrap().run(leaves_a_task());
    }

    println!("A runner: several runs, and the end comes with close()");
    let mut runner = Runner::from(builder().build_single().unwrap());
    runner.run(leaves_a_task()).unwrap();
    runner.run(async { say!("the second run; the task is still there") }).unwrap();
    runner.close();
}

async fn leaves_a_task() {
    task::Builder::new()
        .name("left")
        .spawn(async {
            let cleanup = Cleanup;
            sleep(2 * SECOND).await;
            say!("the task has come to its end");
            std::mem::forget(cleanup);
        })
        .detach();
    sleep(SECOND).await;
    say!("main has come to its end");
}

struct Cleanup;

impl Drop for Cleanup {
    fn drop(&mut self) {
        say!("the task cleans up");
    }
}
