//! What the loom models share.

use std::future::Future;
use std::io::Write;
use std::panic;
use std::pin::{Pin, pin};
use std::sync::{Arc, Once};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use crate::sync::{Condvar, Mutex};

/// Runs `f` in every interleaving with at most two preemptions (or `LOOM_MAX_PREEMPTIONS`), or in as many as fit into a
/// minute (or `LOOM_MAX_DURATION`, in milliseconds).
///
/// Any panic ends the process at once. Otherwise the runtime under test might do its duty and contain the very panic
/// by which loom reports what it found.
pub(crate) fn model(f: impl Fn() + Send + Sync + 'static) {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        panic::set_hook(Box::new(|what| {
            let _ = writeln!(std::io::stderr(), "{what}"); // not eprintln: the test harness would swallow it
            std::process::abort();
        }));
    });
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound.get_or_insert(2);
    builder.max_duration.get_or_insert(Duration::from_secs(60));
    builder.max_branches = 20_000;
    builder.check(f);
}

/// Sleeps until called.
#[derive(Default)]
pub(crate) struct Bell {
    rung: Mutex<bool>,
    condvar: Condvar,
}

impl Bell {
    pub(crate) fn ring(&self) {
        *self.rung.lock() = true;
        self.condvar.notify_all();
    }

    pub(crate) fn wait(&self) {
        let mut rung = self.rung.lock();
        while !std::mem::take(&mut *rung) {
            self.condvar.wait(&mut rung);
        }
    }
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.ring();
    }
}

/// Polls `future` until it is ready. A wake that never comes is a deadlock, which loom reports.
pub(crate) fn block_on<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    let bell = Arc::new(Bell::default());
    loop {
        if let Poll::Ready(value) = poll(future.as_mut(), &bell) {
            return value;
        }
        bell.wait();
    }
}

/// Polls once; `bell` rings when it is worth another try.
pub(crate) fn poll<F: Future>(future: Pin<&mut F>, bell: &Arc<Bell>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(&Waker::from(bell.clone())))
}
