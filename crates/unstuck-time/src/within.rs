//! A future within a limit: what [`timeout()`](crate::timeout()) and [`TimeLimit`](crate::TimeLimit) share.
//!
//! A timeout is a *scope*: when its time is over it cancels what is inside, waits until that has ended, and then answers.
//!
//! ```text
//!               value ─────────────────────────────────────────────► Ok
//!   Running ──► time over, nothing inside can catch a cancellation ► dropped ─► Elapsed
//!    ▲     └──► time over ──► Ending ── its own cancellation comes out ──────► Elapsed
//!    │                          │ ├──── a value all the same ────────────────► Ok
//!    └── deadline moved away ◄──┘ └──── another cancellation comes out ──────► Throwing: goes on outwards
//!        before it was told
//! ```
//!
//! What can catch a cancellation is a frame: `catch_cancel`, a task awaited by value, a task group. Without one inside
//! this is a future and a timer: no lock, no allocation.
//!
//! Of nested timeouts whose time is over at once only the outermost answers, as in asyncio; and a timeout whose inside was
//! asked to end by anybody else, too, leaves the answer to them ([`scope`]). So the timer is looked at before the future is
//! polled, and the future is polled all the same: a value that is ready wins.
//!
//! Whoever catches the cancellation finds [`Elapsed`] as its reason, and so can keep it as the source of another error:
//! Python's `__context__`.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::OnceLock;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;
use unstuck_core::scope::{self, Around};
use unstuck_core::{Cancelled, Frame, Inside, Reason, Resume, Step};

use crate::sleep::Sleep;
use crate::timeout::Elapsed;

/// When the time is over.
pub(crate) trait Limit {
    /// The first poll begins.
    fn begins(&mut self);

    /// Asked before each poll but the first, and when the first has returned pending.
    fn is_over(&mut self, cx: &mut Context<'_>) -> bool;

    /// A poll has returned pending: true if the deadline was moved meanwhile, and is to be looked at again. From here to
    /// the next look, whoever moves it wakes the task.
    fn was_moved(&mut self, cx: &Context<'_>) -> bool;

    /// What is inside is to be cancelled for this limit's sake: false if the deadline was moved at the last moment.
    fn expires(&mut self) -> bool;
}

/// A deadline that nobody moves; `None` never comes.
impl Limit for Option<Sleep> {
    #[inline]
    fn begins(&mut self) {}

    #[inline]
    fn is_over(&mut self, cx: &mut Context<'_>) -> bool {
        self.as_mut().is_some_and(|sleep| Pin::new(sleep).poll(cx).is_ready())
    }

    #[inline]
    fn was_moved(&mut self, _cx: &Context<'_>) -> bool {
        false
    }

    #[inline]
    fn expires(&mut self) -> bool {
        true
    }
}

pin_project! {
    #[must_use = "futures do nothing unless you `.await` or spawn them"]
    pub(crate) struct Within<F, L> {
        #[pin]
        future: Option<F>,
        // Behind the future: dropped after what is inside it.
        frame: Frame,
        limit: L,
        phase: Phase,
    }
}

#[derive(Debug)]
enum Phase {
    /// Not polled yet. `over`: the deadline had passed before.
    New {
        over: bool,
    },
    Running(Around),
    /// The time is over, and what is inside has been told so under this origin, or is to be.
    Ending {
        origin: u64,
        told: bool,
        around: Around,
    },
    /// A cancellation goes on outwards. Boxed: it is seldom, and a timeout is to be small.
    Throwing(Box<Resume<()>>),
}

impl<F, L> Within<F, L> {
    pub(crate) fn new(future: F, limit: L, over: bool) -> Self {
        Self { future: Some(future), frame: Frame::transparent(), limit, phase: Phase::New { over } }
    }

    pub(crate) fn limit(&self) -> &L {
        &self.limit
    }

    pub(crate) fn limit_mut(self: Pin<&mut Self>) -> &mut L {
        self.project().limit
    }

    pub(crate) fn get_ref(&self) -> Option<&F> {
        self.future.as_ref()
    }

    pub(crate) fn get_mut(&mut self) -> Option<&mut F> {
        self.future.as_mut()
    }

    pub(crate) fn into_inner(self) -> Option<F> {
        self.future
    }
}

impl<F: Future, L: Limit> Future for Within<F, L> {
    type Output = Result<F::Output, Elapsed>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let (mut new, mut entered_over) = (false, false);
        match *this.phase {
            Phase::New { over } => {
                this.limit.begins();
                (new, entered_over) = (!over, over);
                let around = scope::around();
                *this.phase = if over { Phase::begin_ending(around) } else { Phase::Running(around) };
            }
            Phase::Running(around) if this.limit.is_over(cx) => *this.phase = Phase::begin_ending(around),
            _ => {}
        }
        loop {
            let Some(future) = this.future.as_mut().as_pin_mut() else { return this.phase.throw_on(cx) };
            let inner = |cx: &mut Context<'_>| match *this.phase {
                Phase::Ending { origin, .. } if entered_over => {
                    scope::entered_over(origin, || future.poll(cx))
                }
                Phase::Ending { origin, .. } => scope::inside_over(origin, || future.poll(cx)),
                _ => future.poll(cx),
            };
            let step = this.frame.poll(cx, inner);
            entered_over = false;
            let cancelled = match step {
                Step::Ready(value) => return Poll::Ready(Ok(value)),
                Step::Cancelled(cancelled) => Some(cancelled),
                Step::Pending if this.phase.is_to_tell(this.limit, std::mem::take(&mut new), cx) => {
                    match this.phase.tell(this.frame) {
                        Inside::Landed | Inside::Later => continue,
                        Inside::Empty => None,
                    }
                }
                Step::Pending => return Poll::Pending,
            };
            this.future.set(None);
            *this.frame = Frame::transparent(); // nothing is inside any more: nothing may land here
            match this.phase.answer(cancelled) {
                None => return Poll::Ready(Err(Elapsed::new())),
                Some(cancelled) => *this.phase = Phase::Throwing(Box::new(cancelled.resume())),
            }
        }
    }
}

impl Phase {
    fn begin_ending(around: Around) -> Self {
        Phase::Ending { origin: scope::new_origin(), told: false, around }
    }

    /// The inside has returned pending: is its time over?
    #[inline]
    fn is_to_tell(&mut self, limit: &mut impl Limit, new: bool, cx: &mut Context<'_>) -> bool {
        let around = match *self {
            Phase::Running(around) if new || limit.was_moved(cx) => around,
            Phase::Ending { told: false, .. } if limit.expires() => return true,
            Phase::Ending { told: false, around, .. } => around, // moved
            _ => return false,
        };
        loop {
            if !limit.is_over(cx) {
                if limit.was_moved(cx) {
                    continue;
                }
                *self = Phase::Running(around);
                return false;
            }
            if limit.expires() {
                *self = Self::begin_ending(around);
                return true;
            }
        }
    }

    /// Cancels what is inside.
    fn tell(&mut self, frame: &mut Frame) -> Inside {
        let Phase::Ending { origin, told, .. } = self else { return Inside::Later };
        let inside = frame.cancel_inside(*origin, Some(reason()));
        *told = inside == Inside::Landed;
        inside
    }

    /// What is inside has ended by this cancellation, or was dropped: what goes on outwards, if we do not answer.
    fn answer(&self, cancelled: Option<Cancelled>) -> Option<Cancelled> {
        match (self, cancelled) {
            (Phase::Ending { origin, .. }, Some(other)) if other.origin() != *origin => Some(other),
            (Phase::Ending { around, .. }, _) => around.asked_since(reason()),
            (_, other) => other,
        }
    }

    fn throw_on<T>(&mut self, cx: &mut Context<'_>) -> Poll<T> {
        match self {
            Phase::Throwing(resume) => {
                Pin::new(&mut **resume).poll(cx).map(|()| unreachable!("it never gives a value"))
            }
            _ => panic!("a timeout was polled again after it had given its result"),
        }
    }
}

/// Why it cancels: the same for all.
fn reason() -> &'static Reason {
    static REASON: OnceLock<Reason> = OnceLock::new();
    REASON.get_or_init(|| Reason::new(Elapsed::new()))
}

impl<F: fmt::Debug, L: fmt::Debug> fmt::Debug for Within<F, L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Within")
            .field("future", &self.future)
            .field("limit", &self.limit)
            .finish_non_exhaustive()
    }
}
