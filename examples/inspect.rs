//! Looking inside: which tasks there are, who awaits whom, and who waits in a circle.
//!
//! asyncio: `asyncio.all_tasks()`, `asyncio.print_call_graph()`. From another terminal: `UNSTUCK_INSPECT=1` for this
//! program, and `unstuck-ps pstree`.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use unstuck::{Deferred, Runtime, Task, all_tasks, debug, gather, sleep, task::Builder};

const SECOND: Duration = Duration::from_secs(1);

pub(crate) async fn tutorial() {
    let disk = Builder::new().name("disk").spawn(sleep(5 * SECOND));
    let cache = Builder::new().name("cache").spawn(sleep(2 * SECOND));
    let answer = Deferred::<u32>::new();
    let ready = answer.clone();
    let page = Builder::new().name("page").spawn(async move {
        let _all = gather!(disk, cache, ready).await;
    });

    // Two that wait for each other: nobody will ever wake them.
    let other: Arc<Mutex<Option<Task<()>>>> = Arc::default();
    let egg = Builder::new().name("egg").spawn({
        let other = other.clone();
        async move {
            let chicken = other.lock().unwrap().take().expect("it was put there");
            let _ = chicken.await;
        }
    });
    let chicken = Builder::new().name("chicken").spawn(async move { drop(egg.await) });
    *other.lock().unwrap() = Some(chicken);

    sleep(SECOND).await;
    show();

    answer.set_result(42).expect("set once");
    sleep(2 * SECOND).await;
    show();

    page.cancel();
    println!("{} tasks are left", all_tasks().len());
}

/// The graph, without the line of the main future: it says for how long that has been running.
fn show() {
    let graph = debug::graph();
    for line in graph.to_string().lines().filter(|line| !line.starts_with("main ")) {
        println!("{line}");
    }
    println!("{} circle", graph.cycles().len());
}

fn main() {
    let runtime = Runtime::builder().introspection(true).build_single().expect("the loop is made");
    runtime.run(tutorial());
}
