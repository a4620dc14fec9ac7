//! Each result as it comes. asyncio: `for result in asyncio.as_completed(aws, timeout=…)`.
//!
//! `gather` gives all results at the end, in the order of the arguments. `as_completed` gives each one when it is there, the
//! quickest first.
//!
//! Watch for: the whole may have a timeout. When it is over, one error comes, and the tasks that are left go on.

use unstuck::{as_completed, sleep, spawn};
use unstuck_examples::{SECOND, say};

fn main() {
    unstuck::run_single(tutorial());
}

/// A page that takes so long to come.
async fn fetch(page: &'static str, seconds: u32) -> &'static str {
    sleep(seconds * SECOND).await;
    page
}

pub(crate) async fn tutorial() {
    let mut pages = as_completed([fetch("slow", 3), fetch("quick", 1), fetch("middling", 2)]);
    while let Some(page) = pages.next().await {
        say!("{page}, and {} to come", pages.len());
    }

    let mut tasks = [fetch("quick", 1), fetch("slow", 10)].map(spawn);
    let mut pages = as_completed(&mut tasks).timeout(5 * SECOND);
    while let Some(page) = pages.next().await {
        match page {
            Ok(page) => say!("{}", page.unwrap()),
            Err(elapsed) => say!("no more of them: {elapsed}"),
        }
    }
    for task in pages.into_pending() {
        say!("{} came all the same, later", task.await.unwrap());
    }
}
