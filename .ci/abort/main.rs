//! Uses everything once in a program whose panics abort. With the argument `panic`, a task panics: the process must end.

use std::time::Duration;

use unstuck::{cpu, gather, run, run_single, sleep, spawn, to_thread, wait_for};

async fn everything() -> u32 {
    let task = spawn(async {
        sleep(Duration::from_millis(1)).await;
        20
    });
    let (called, computed) = gather!(to_thread(|| 10), cpu(|| 12)).await;
    let slow = spawn(sleep(Duration::MAX));
    assert!(wait_for(slow, Duration::from_millis(1)).await.is_err());
    let leftover = spawn(sleep(Duration::MAX));
    drop(leftover); // cancelled at the end
    task.await.unwrap() + called.unwrap() + computed.unwrap()
}

fn main() {
    assert_eq!(run(everything()), 42);
    assert_eq!(run_single(everything()), 42);
    if std::env::args().nth(1).as_deref() == Some("panic") {
        run(async {
            let _ = spawn(async { panic!("this panic is wanted: it must abort") }).await.map(|(): ()| ());
        });
    }
}
