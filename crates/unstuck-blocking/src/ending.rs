//! How a shutdown waits: for the threads that exist, and for those that are yet to be made.

use std::thread;
use std::time::{Duration, Instant};

use unstuck_core::job::say;

use crate::pool::Shared;

/// Waits for the threads to end, and does not do so in silence.
pub(crate) fn wait(shared: &Shared, limit: Option<Duration>) {
    const SILENCE: Duration = Duration::from_secs(1);
    if is_over_within(shared, limit.unwrap_or(SILENCE)) || limit.is_some() {
        return;
    }
    let running = shared.census.running();
    let queued = shared.roster.counts().queued + shared.census.held();
    say(format_args!("the shutdown of '{}' waits for {} jobs", shared.recipe.name, running.len() + queued));
    for job in running.iter().take(10) {
        say(format_args!("  {job}"));
    }
    while !is_over_within(shared, Duration::from_secs(3_600)) {}
}

/// Waits until no thread is left, and none is to come; false if `limit` passed before.
///
/// The roster counts a thread in the visit that accepts the job it is for, the census when somebody is about to make it: so
/// both are asked. In between are a few instructions.
fn is_over_within(shared: &Shared, limit: Duration) -> bool {
    let begun = Instant::now();
    loop {
        let left = limit.saturating_sub(begun.elapsed());
        if !shared.census.wait_until_empty(Some(left)) {
            return false;
        }
        if shared.roster.counts().threads == 0 && shared.census.wait_until_empty(Some(Duration::ZERO)) {
            return true;
        }
        if left.is_zero() {
            return false;
        }
        thread::sleep(Duration::from_micros(100));
    }
}
