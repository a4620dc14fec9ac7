//! The main future of `run` and `block_on`. It is no task, but it can be cancelled, and has frames.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use super::flight::{Cancelled, REQUEST, Reason};
use super::owner::{Delivery, Frames, MainRef, Owner};
use crate::context;
use crate::job::contain;
use crate::sync::Mutex;
use crate::sync::atomic::{AtomicBool, Ordering};

/// What a main future has of a task: it can be cancelled.
#[derive(Default)]
pub(crate) struct Main {
    frames: Frames,
    /// In the last poll joins returned pending that are no frames yet. Set and read by whoever polls.
    hides: AtomicBool,
    state: Mutex<MainState>,
}

#[derive(Default)]
struct MainState {
    waker: Option<Waker>,
    /// A request is to be delivered.
    requested: bool,
    ended: bool,
}

/// Cancels the main future that [`Handle::block_on_with`](crate::Handle::block_on_with) runs, from anywhere.
///
/// The main future of a runtime is no task, but it has frames all the same: a request lands in the innermost one, and
/// where there is none the future is dropped.
#[derive(Clone, Default)]
pub struct Canceller(Arc<Main>);

impl Canceller {
    /// For one main future, to be started with it.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Asks the main future to end; false if it has ended. One that has not started yet will not.
    #[allow(clippy::must_use_candidate)] // asking is what people do it for
    pub fn cancel(&self) -> bool {
        self.0.request(None)
    }

    /// As [`cancel`](Self::cancel), and says why.
    #[allow(clippy::must_use_candidate)]
    pub fn cancel_with<R: std::any::Any + Send + Sync>(&self, reason: R) -> bool {
        self.0.request(Some(Reason::new(reason)))
    }

    pub(crate) fn main(&self) -> &Arc<Main> {
        &self.0
    }
}

impl fmt::Debug for Canceller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Canceller").field("ended", &self.0.state.lock().ended).finish_non_exhaustive()
    }
}

impl Main {
    pub(crate) fn frames(&self) -> &Frames {
        &self.frames
    }

    pub(super) fn request(&self, reason: Option<Reason>) -> bool {
        let mut state = self.state.lock();
        if state.ended {
            return false;
        }
        let waker = state.waker.take();
        // Under the lock, so that the end of the future comes before or after all of it.
        let old = reason.map(|reason| self.frames.with(|tree| tree.reason.replace(reason)));
        state.requested = true;
        drop(state);
        drop(old);
        if let Some(waker) = waker {
            contain("a waker", || waker.wake());
        }
        true
    }

    /// One turn of the main future. `future` is empty once it has ended.
    pub(crate) fn poll<F: Future>(
        self: &Arc<Self>,
        mut future: Pin<&mut Option<F>>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<F::Output, Cancelled>> {
        let mut requested = self.listen(cx.waker());
        let entered = context::enter_main(self, cx.waker());
        let mut polled = false;
        let outcome = loop {
            let hidden = self.hides.swap(false, Ordering::Relaxed); // our own note
            if requested && hidden {
                self.frames.expose(); // one more poll, and they are frames
            } else if requested {
                match self.frames.deliver(None, polled) {
                    Delivery::Landed => requested = false,
                    Delivery::Later => {}
                    Delivery::Nowhere => {
                        let reason = self.frames.look(|tree| tree.reason.take()).flatten();
                        break Err(Cancelled::new(REQUEST, reason));
                    }
                }
            }
            let Some(running) = future.as_mut().as_pin_mut() else { return Poll::Pending };
            if let Poll::Ready(value) = running.poll(cx) {
                break Ok(value);
            }
            let hidden = context::take_hidden_joins();
            let me = Owner::Main(MainRef(self.clone()));
            if let Some(cancelled) = self.frames.take_thrown(&me, hidden, cx) {
                break Err(cancelled);
            }
            polled = true;
            self.hides.store(hidden, Ordering::Relaxed); // our own note
            // A request that comes during the poll has called the waker.
            if !requested {
                return Poll::Pending;
            }
        };
        let waker = {
            let mut state = self.state.lock();
            state.ended = true;
            state.waker.take()
        };
        drop(waker);
        future.set(None);
        drop(entered);
        Poll::Ready(outcome)
    }

    /// Whom a request has to wake. True if one has come meanwhile, which is the caller's to deliver.
    fn listen(&self, waker: &Waker) -> bool {
        let mut state = self.state.lock();
        if state.waker.as_ref().is_some_and(|old| old.will_wake(waker)) {
            return std::mem::take(&mut state.requested);
        }
        drop(state);
        let waker = waker.clone(); // as its destructor the user's, at least by its type: not under the lock
        state = self.state.lock();
        let old = state.waker.replace(waker);
        let requested = std::mem::take(&mut state.requested);
        drop(state);
        drop(old);
        requested
    }
}
