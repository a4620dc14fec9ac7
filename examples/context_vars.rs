//! What code knows without being told. Python: `contextvars`.
//!
//! Each task has a context of its own: a copy of its creator's at the moment of the spawn. So a variable set for one
//! request is seen by everything that serves this request, the calls it offloads too, and by nothing else.
//!
//! Watch for the names: both requests are served at the same time, and neither sees the other's. `handle` and `query` have
//! no argument for the user.

use unstuck::contextvars::ContextVar;
use unstuck::{gather, sleep, spawn, to_thread};
use unstuck_examples::{SECOND, say};

static USER: ContextVar<&'static str> = ContextVar::with_default("user", || "nobody");

fn main() {
    unstuck::run_single(tutorial());
}

pub(crate) async fn tutorial() {
    let requests = [("ada", 1), ("bob", 2)].map(|(name, seconds)| {
        spawn(async move {
            let _ = USER.set(name);
            handle(seconds).await;
        })
    });
    gather(requests).await;
    say!("main is {}", user());

    let token = USER.set("root");
    say!("main is {}", user());
    USER.reset(token).unwrap();
    say!("main is {} again", user());
}

async fn handle(seconds: u32) {
    say!("{} asks", user());
    sleep(seconds * SECOND).await; // the other one's turn
    let rows = to_thread(query).await.unwrap();
    let in_a_child = spawn(async { user() }).await.unwrap();
    say!("{} gets {rows}; a child of its task is {in_a_child}", user());
}

/// Runs on a thread of the pool.
fn query() -> String {
    format!("the rows of {}", user())
}

fn user() -> &'static str {
    USER.get().unwrap()
}
