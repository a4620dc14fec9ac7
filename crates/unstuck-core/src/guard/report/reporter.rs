//! The thread that delivers reports.
//!
//! A sink is the user's code: it may write to a full disk, take a lock that the stuck task holds, or panic. So the
//! monitor never calls it. It leaves a draft in a short queue and goes on; a full queue is a lost report, and counted.
//! What is slow about a report (the names in a backtrace) belongs into the draft: it becomes a report on the reporter's
//! thread.
//!
//! The thread is made for the first report, so that a program without stalls has none. If it cannot be made, the
//! report is lost, and the next one tries again.

use std::collections::VecDeque;
use std::fmt;
use std::io::{self, Write};
use std::panic::{self, AssertUnwindSafe};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::schedule::{Admit, Budget};
use super::{Head, Rest, StallReport};
use crate::job;
use crate::sync::{Condvar, Mutex, thread, wait_for};

/// Where reports go: called on a thread of its own, one report after the other.
///
/// It may block, and it may panic: that is said once on stderr, and the next report comes all the same.
pub(crate) type Sink = Arc<dyn Fn(&StallReport) + Send + Sync>;

/// Writes reports to stderr.
pub(crate) fn to_stderr() -> Sink {
    Arc::new(|report| {
        // What is known goes out at once: the names in a backtrace take a while, and the program may end meanwhile. They are
        // looked up before the rest is written, so that nobody else waits for stderr.
        job::say(format_args!("{}", Head(report)));
        let rest = Rest(report).to_string();
        let _ = writeln!(io::stderr(), "{rest}");
    })
}

/// Reports that wait for a slow sink. More would be old news when they arrive.
pub(super) const ROOM: usize = 16;

/// Long enough for a report to stderr, whose backtrace finds its names in 0.1 to 0.2 s the first time; short enough for the
/// end of a program.
const FAREWELL: Duration = Duration::from_millis(500);

/// A report in the making, and how many were left out before it.
type Draft = (Box<dyn FnOnce() -> StallReport + Send>, u64);

/// Delivers reports to a sink, on a thread of its own. Dropped, it delivers what is queued, but does not wait long for
/// a sink that is stuck: its thread ends when the sink returns.
pub(crate) struct Reporter {
    name: String,
    budget: Budget,
    desk: Arc<Desk>,
    thread: Option<thread::ThreadId>,
    /// The longest that a drop waits for the last reports.
    pub(super) farewell: Duration,
}

/// What became of a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sent {
    /// It will be delivered.
    Queued,
    /// There were too many lately. It is counted.
    Suppressed,
    /// The queue is full, or there is no thread. It is counted.
    Lost,
}

/// What the reporter and its thread share.
struct Desk {
    sink: Sink,
    tray: Mutex<Tray>,
    changed: Condvar,
}

struct Tray {
    drafts: VecDeque<Draft>,
    /// The thread is at a report.
    delivering: bool,
    stage: Stage,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Reports come and go.
    Open,
    /// No more will come; the thread ends when it has delivered what is there.
    Closing,
    /// The thread is over.
    Ended,
}

impl Reporter {
    /// A reporter of the runtime called `runtime`. No thread is made yet.
    pub(crate) fn new(runtime: &str, sink: Sink) -> Self {
        let tray = Tray { drafts: VecDeque::new(), delivering: false, stage: Stage::Open };
        let desk = Desk { sink, tray: Mutex::new(tray), changed: Condvar::new() };
        Self {
            name: format!("{runtime}-reports"),
            budget: Budget::default(),
            desk: Arc::new(desk),
            thread: None,
            farewell: FAREWELL,
        }
    }

    /// Queues a report, unless there were too many lately. `draft` makes it, later and on the reporter's thread; what
    /// it says of suppressed reports is filled in. Never waits for the sink.
    pub(crate) fn report(
        &mut self,
        draft: impl FnOnce() -> StallReport + Send + 'static,
        now: Instant,
    ) -> Sent {
        self.report_by(draft, now, start)
    }

    /// True if a draft would have to wait: the thread is at another one.
    pub(crate) fn is_busy(&self) -> bool {
        let tray = self.desk.tray.lock();
        tray.delivering || !tray.drafts.is_empty()
    }

    /// How many reports were left out since the last one that will be delivered.
    #[cfg(test)]
    pub(crate) fn suppressed(&self) -> u64 {
        self.budget.suppressed()
    }

    /// [`report`](Self::report) with a way to start the thread.
    pub(super) fn report_by(
        &mut self,
        draft: impl FnOnce() -> StallReport + Send + 'static,
        now: Instant,
        start: impl FnOnce(String, Box<dyn FnOnce() + Send>) -> io::Result<thread::ThreadId>,
    ) -> Sent {
        let Admit::Yes { suppressed } = self.budget.admit(now) else { return Sent::Suppressed };
        let queued = self.ensure_thread(start) && self.desk.put((Box::new(draft), suppressed));
        if queued {
            Sent::Queued
        } else {
            self.budget.lost(suppressed);
            Sent::Lost
        }
    }

    fn ensure_thread(
        &mut self,
        start: impl FnOnce(String, Box<dyn FnOnce() + Send>) -> io::Result<thread::ThreadId>,
    ) -> bool {
        if self.thread.is_none() {
            let desk = Arc::clone(&self.desk);
            self.thread = start(self.name.clone(), Box::new(move || desk.deliver())).ok();
        }
        self.thread.is_some()
    }
}

impl Drop for Reporter {
    fn drop(&mut self) {
        // A sink that drops its own runtime gets here on the reporter's thread, which cannot wait for itself.
        let Some(_) = self.thread.filter(|&reporter| reporter != thread::current().id()) else {
            self.desk.tray.lock().stage = Stage::Closing;
            return;
        };
        let since = Instant::now();
        let mut tray = self.desk.tray.lock();
        tray.stage = Stage::Closing;
        self.desk.changed.notify_all();
        while tray.stage != Stage::Ended {
            let left = self.farewell.saturating_sub(since.elapsed());
            if left.is_zero() {
                // The sink is stuck: what is queued would come when nobody expects it any more.
                let late = std::mem::take(&mut tray.drafts);
                drop(tray);
                drop(late);
                return;
            }
            wait_for(&self.desk.changed, &mut tray, left);
        }
    }
}

impl fmt::Debug for Reporter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reporter").field("name", &self.name).finish_non_exhaustive()
    }
}

fn start(name: String, body: Box<dyn FnOnce() + Send>) -> io::Result<thread::ThreadId> {
    Ok(thread::Builder::new().name(name).spawn(body)?.thread().id())
}

impl Desk {
    /// Leaves a draft for the reporter's thread. False if there is no room for it.
    fn put(&self, draft: Draft) -> bool {
        let mut tray = self.tray.lock();
        if tray.drafts.len() >= ROOM {
            return false;
        }
        tray.drafts.push_back(draft);
        drop(tray);
        self.changed.notify_all();
        true
    }

    /// The reporter's thread.
    fn deliver(&self) {
        let mut said = false;
        while let Some((draft, suppressed)) = self.next() {
            let delivered = panic::catch_unwind(AssertUnwindSafe(|| {
                (self.sink)(&StallReport { suppressed, ..draft() });
            }));
            let Err(payload) = delivered else { continue };
            if !said {
                said = true;
                job::report("a stall report or its sink (said once)", payload);
            } else if let Err(second) = panic::catch_unwind(AssertUnwindSafe(|| drop(payload))) {
                // Whatever a payload's destructor throws is not worth a third try.
                std::mem::forget(second);
            }
        }
    }

    /// Waits for a draft. None when the reporter was dropped and nothing is left.
    fn next(&self) -> Option<Draft> {
        let mut tray = self.tray.lock();
        loop {
            let draft = tray.drafts.pop_front();
            tray.delivering = draft.is_some();
            if draft.is_some() {
                return draft;
            }
            if tray.stage != Stage::Open {
                tray.stage = Stage::Ended;
                self.changed.notify_all();
                return None;
            }
            self.changed.wait(&mut tray);
        }
    }
}
