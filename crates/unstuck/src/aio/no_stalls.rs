//! What `#[unstuck::test(no_stalls)]` expands to: a test that fails when one of its polls does not come back.
//!
//! The tasks are watched by the runtime's own guard. The test's body is not: on the multi-threaded runtime it is polled
//! by the thread that called `block_on`, which is no worker. It gets a lookout of its own.

use std::future::Future;
use std::panic::Location;
use std::sync::Arc;
use std::time::Duration;

use unstuck_core::guard::{GuardConfig, Lookout, Sink, StallReport};
use unstuck_core::sync::Mutex;

use crate::guard::is_to_blame;
use crate::runtime::Builder;

/// Runs `test` on the multi-threaded runtime of `builder`.
///
/// # Panics
/// When the test does, and after it when a poll has taken too long.
#[track_caller]
pub fn no_stalls<F: Future>(builder: Builder, test: F) -> F::Output {
    let stalls = Stalls::default();
    let runtime = stalls.told_by(builder).build().expect("the runtime could not be started");
    let config = GuardConfig { threshold: limit(), on_stall: Some(stalls.sink()), ..GuardConfig::default() };
    let lookout = Lookout::new("unstuck-test", &config).expect("the guard could not be started");
    let value = runtime.run(lookout.watch(Location::caller(), test));
    drop(lookout); // the last report has been delivered now, as the runtime's have
    stalls.assert_none();
    value
}

/// Runs `test` on the single-threaded loop of `builder`.
///
/// # Panics
/// As [`no_stalls`].
#[track_caller]
pub fn no_stalls_single<F: Future>(builder: Builder, test: F) -> F::Output {
    let stalls = Stalls::default();
    let event_loop =
        stalls.told_by(builder).slow_step(limit()).build_single().expect("the loop could not be made");
    let value = event_loop.run(test);
    stalls.assert_none();
    value
}

/// How long a poll may take: what the guard reports elsewhere.
fn limit() -> Duration {
    GuardConfig::default().report_after
}

/// The reports of one test.
#[derive(Clone, Default)]
struct Stalls(Arc<Mutex<Vec<StallReport>>>);

impl Stalls {
    fn told_by(&self, builder: Builder) -> Builder {
        let sink = self.sink();
        builder.on_stall(move |report| sink(report))
    }

    fn sink(&self) -> Sink {
        let stalls = self.0.clone();
        Arc::new(move |report| {
            if is_to_blame(report.class) {
                let mut stalls = stalls.lock();
                // A stall that goes on is reported again: the last word is the best.
                stalls.retain(|earlier| !is_earlier(earlier, report));
                stalls.push(report.clone());
            }
        })
    }

    #[track_caller]
    fn assert_none(&self) {
        let stalls = self.0.lock();
        let texts: Vec<String> = stalls.iter().map(ToString::to_string).collect();
        assert!(
            texts.is_empty(),
            "no poll of this test may take more than {:?}:\n{}",
            limit(),
            texts.join("\n")
        );
    }
}

fn is_earlier(earlier: &StallReport, report: &StallReport) -> bool {
    (earlier.task, &earlier.worker) == (report.task, &report.worker) && earlier.lasted < report.lasted
}
