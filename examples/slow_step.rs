//! Who holds up the loop? asyncio: `run(main(), debug=True)`, `slow_callback_duration`.
//!
//! On one thread nothing else runs while a task is between two awaits. In debug mode (`Builder::debug`, or `UNSTUCK_DEBUG=1`
//! in the environment) a step of 100 ms or more is reported, while it is still going on: asyncio says it afterwards. Here
//! the report goes to `on_stall`; without that it is some lines on standard error.
//!
//! Watch for: the tasks with quick steps are not in the list, however long they sleep; a plain function that was given to
//! `call_soon` is.

use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use unstuck::{Handle, Runtime, StallReport, sleep, task::Builder};
use unstuck_examples::SECOND;

fn main() {
    tutorial(|_| thread::sleep(Duration::from_millis(250)));
}

/// What has been reported so far: who, and from where.
pub(crate) type Reports = Arc<Mutex<Vec<String>>>;

/// `blocks` is a call that does not come back for so long that it is reported.
pub(crate) fn tutorial(blocks: fn(&Reports)) {
    let reports = Reports::default();
    let told = reports.clone();
    let event_loop = Runtime::builder()
        .debug(true)
        .on_stall(move |report: &StallReport| {
            let name = report.name.as_deref().unwrap_or("main");
            let line = format!("{name} (from {})", report.place.unwrap().file());
            let mut told = told.lock().unwrap();
            // A step that goes on is reported again, at four times the threshold.
            if told.last() != Some(&line) {
                told.push(line);
            }
        })
        .build_single()
        .expect("the loop is made");
    event_loop.run(async {
        let polite = Builder::new().name("polite").spawn(sleep(SECOND / 4));
        let listed = reports.clone();
        let rude = Builder::new().name("rude").spawn(async move { blocks(&listed) });
        let listed = reports.clone();
        Handle::current().call_soon(move || blocks(&listed));
        rude.await.unwrap();
        polite.await.unwrap();
        for report in &*reports.lock().unwrap() {
            println!("held up the loop: {report}");
        }
    });
}
