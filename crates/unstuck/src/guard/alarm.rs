//! [`StallPolicy::Panic`](super::StallPolicy::Panic): a poll that does not come back ends the program that waits.
//!
//! Nobody can make another thread panic, and the thread that is stuck may be so for ever. So the one that panics is the one
//! that waits, in `block_on` or `run`: it is woken with the report, while the poll is still stuck. Promise: *each stall that is
//! reported is told to one of those who wait, now or when the next one begins to wait, or at the runtime's end.*

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Waker};
use std::time::Duration;

use unstuck_core::TaskId;
use unstuck_core::guard::{Sink, StallReport};
use unstuck_core::sync::Mutex;

/// A stall that goes on is reported again after four times as long. What is seen so much later than the report before it is
/// the same one.
const AGAIN: u32 = 3;

/// Rings once for each stall.
#[derive(Default)]
pub(crate) struct Alarm(Mutex<State>);

#[derive(Default)]
struct State {
    /// The report that nobody has been told of. One is enough to panic with: the first.
    untold: Option<StallReport>,
    /// The task of the last report, and how long its poll had lasted.
    last: Option<(Option<TaskId>, Duration)>,
    waiting: Vec<Waker>,
}

impl Alarm {
    /// A sink that rings, and hands the reports on.
    pub(crate) fn sink(self: &Arc<Self>, next: Option<Sink>) -> Sink {
        let alarm = self.clone();
        Arc::new(move |report| {
            alarm.ring(report);
            if let Some(next) = &next {
                next(report);
            }
        })
    }

    fn ring(&self, report: &StallReport) {
        if !super::is_to_blame(report.class) {
            return;
        }
        let mut state = self.0.lock();
        let again =
            state.last.is_some_and(|(task, lasted)| task == report.task && report.lasted >= AGAIN * lasted);
        state.last = Some((report.task, report.lasted));
        if again {
            return;
        }
        state.untold.get_or_insert_with(|| report.clone());
        let waiting = std::mem::take(&mut state.waiting);
        drop(state); // wakers are other people's code
        waiting.into_iter().for_each(Waker::wake);
    }

    /// Panics with the report that nobody has been told of, if there is one.
    #[track_caller]
    pub(crate) fn tell(&self) {
        if let Some(report) = self.untold() {
            panic!("a poll did not come back in time, and StallPolicy::Panic was asked for:\n{report}");
        }
    }

    /// The report that nobody has been told of; from now on somebody has.
    pub(crate) fn untold(&self) -> Option<StallReport> {
        self.0.lock().untold.take()
    }

    fn wait(&self, waker: &Waker) {
        let mut state = self.0.lock();
        if !state.waiting.iter().any(|other| other.will_wake(waker)) {
            state.waiting.push(waker.clone());
        }
    }
}

/// The same future; it panics when the alarm rings.
pub(crate) fn alarmed<F: Future>(
    alarm: Option<&Alarm>,
    mut future: Pin<&mut F>,
) -> impl Future<Output = F::Output> {
    let mut waits = Waits { alarm, waker: None };
    poll_fn(move |cx| {
        waits.check(cx);
        future.as_mut().poll(cx)
    })
}

/// Takes its waker back in the end.
struct Waits<'a> {
    alarm: Option<&'a Alarm>,
    waker: Option<Waker>,
}

impl Waits<'_> {
    fn check(&mut self, cx: &Context<'_>) {
        let Some(alarm) = self.alarm else { return };
        alarm.wait(cx.waker());
        self.waker = Some(cx.waker().clone());
        alarm.tell();
    }
}

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        if let (Some(alarm), Some(waker)) = (self.alarm, self.waker.take()) {
            alarm.0.lock().waiting.retain(|other| !other.will_wake(&waker));
        }
    }
}
