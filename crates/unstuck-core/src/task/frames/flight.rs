//! A cancellation under way: from where it landed to where it is answered.
//!
//! A request that lands in several frames at once (siblings in one `join!`) is one *flight* with a *part* for each of
//! them. A part is a [`Cancelled`], and its owner settles it: by dropping it, which swallows the cancellation, or by
//! [resuming](Cancelled::resume) it, which throws it on to the next frame outwards.
//!
//! A throw waits until the flight's other parts are settled, and until throws from deeper frames have landed. Otherwise
//! the first sibling to finish its cleanup would have the others dropped in the middle of theirs.
//!
//! A sibling may have opened a frame since the request landed, with cleanup in it that the throw would skip; perhaps in
//! the very poll of the throw. So whoever takes a throw looks at what it would drop (`held.rs`).
//!
//! What is waited for must be going on. A frame that was told, but that nobody polls (its future lies in a variable, say,
//! after a `select!`), gets a few polls of the task to notice, and then the flight goes on without it.

use std::any::Any;
use std::error::Error;
use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use super::{Frames, owner};
use crate::context;
use crate::job::contain;
use crate::sync::Mutex;
use crate::task::TaskRef;

/// Why somebody cancelled: any value, shared by everyone who sees the cancellation.
#[derive(Clone)]
pub struct Reason(Arc<dyn Any + Send + Sync>);

impl Reason {
    /// Wraps `value`. A value that is a `Reason` already stays the same one.
    pub fn new<R: Any + Send + Sync>(value: R) -> Self {
        let mut value = Some(value);
        match (&mut value as &mut dyn Any).downcast_mut::<Option<Reason>>().and_then(Option::take) {
            Some(reason) => reason,
            None => match value {
                Some(value) => Self(Arc::new(value)),
                None => unreachable!("taken only as a Reason"),
            },
        }
    }

    /// The value, if it is a `T`.
    #[must_use]
    pub fn downcast_ref<T: Any>(&self) -> Option<&T> {
        self.0.downcast_ref()
    }

    /// The value, if it is text.
    #[must_use]
    pub fn text(&self) -> Option<&str> {
        self.downcast_ref::<&'static str>().copied().or_else(|| self.downcast_ref().map(String::as_str))
    }
}

impl fmt::Debug for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.text().unwrap_or(".."), f)
    }
}

/// A cancellation that has landed here: what [`catch_cancel`](super::catch_cancel) gives instead of a value, asyncio's
/// caught `CancelledError`.
///
/// Clean up, then [`resume`](Self::resume) it, or drop it to go on as if nothing had happened. As long as it lives the
/// cancellation counts as being dealt with: siblings that were cancelled with this code wait for it, and the end of the
/// runtime does not interrupt it. So drop it when you mean to go on.
#[must_use = "dropping it swallows the cancellation; `.resume().await` passes it on"]
pub struct Cancelled {
    /// None once it is settled.
    flight: Option<Arc<Flight>>,
    /// Parts of other flights that this one has met: they are settled with it.
    others: Vec<Cancelled>,
}

/// What all parts of one cancellation share.
pub(crate) struct Flight {
    /// The scope that asked for it, or [`REQUEST`].
    origin: u64,
    reason: Option<Reason>,
    parts: Mutex<Parts>,
}

/// The origin of a request from outside: `cancel()`.
pub(crate) const REQUEST: u64 = 0;

#[derive(Default)]
struct Parts {
    /// Parts that are neither swallowed nor waiting to be thrown.
    open: usize,
    /// Parts that wait to be thrown.
    throws: Vec<Throw>,
    /// Made so far.
    numbers: u64,
    /// To be cancelled if all parts are swallowed: a task whose runtime ends while it cleans up.
    then: Option<TaskRef>,
}

struct Throw {
    number: u64,
    depth: usize,
    /// None once it was called; the next poll leaves another.
    waker: Option<Waker>,
}

impl Flight {
    pub(super) fn new(origin: u64, reason: Option<Reason>) -> Arc<Self> {
        Arc::new(Self { origin, reason, parts: Mutex::default() })
    }

    /// Who asked for it, and why.
    pub(super) fn cause(&self) -> (u64, Option<&Reason>) {
        (self.origin, self.reason.as_ref())
    }

    /// One more part.
    pub(super) fn part(self: &Arc<Self>) -> Cancelled {
        self.parts.lock().open += 1;
        Cancelled { flight: Some(self.clone()), others: Vec::new() }
    }

    /// True while somebody deals with it.
    pub(super) fn is_open(&self) -> bool {
        let parts = self.parts.lock();
        parts.open > 0 || !parts.throws.is_empty()
    }

    /// If somebody deals with it, remembers to cancel `task` should they all swallow it.
    pub(super) fn cancel_if_swallowed(&self, task: &TaskRef) -> bool {
        let mut parts = self.parts.lock();
        let open = parts.open > 0 || !parts.throws.is_empty();
        if open && parts.then.is_none() {
            parts.then = Some(task.clone());
        }
        open
    }

    /// A part is swallowed. What was waiting for that is called.
    fn swallow(&self) {
        let mut parts = self.parts.lock();
        parts.open -= 1;
        let throws = parts.ready();
        let then = parts.swallowed();
        drop(parts);
        call(throws);
        if let Some(task) = then {
            task.cancel();
        }
    }
}

impl Parts {
    /// The wakers of the throws, if it is their turn.
    fn ready(&mut self) -> Vec<Waker> {
        if self.open > 0 {
            Vec::new()
        } else {
            self.throws.iter_mut().filter_map(|throw| throw.waker.take()).collect()
        }
    }

    /// If all of it is swallowed: what was to be cancelled then.
    fn swallowed(&mut self) -> Option<TaskRef> {
        if self.open == 0 && self.throws.is_empty() { self.then.take() } else { None }
    }

    /// True if the throw with this number may land now.
    fn may_land(&self, number: u64) -> bool {
        let depth = self.throws.iter().find(|throw| throw.number == number).map_or(0, |throw| throw.depth);
        self.open == 0 && self.throws.iter().all(|throw| throw.depth <= depth)
    }
}

fn call(wakers: Vec<Waker>) {
    for waker in wakers {
        contain("a waker", || waker.wake());
    }
}

impl Cancelled {
    /// A cancellation that a scope asks for itself.
    pub(super) fn new(origin: u64, reason: Option<Reason>) -> Self {
        Flight::new(origin, reason).part()
    }

    /// Why, if whoever cancelled said so.
    #[must_use]
    pub fn reason(&self) -> Option<&Reason> {
        self.flight().reason.as_ref()
    }

    /// The scope that asked for it; 0 for a request from outside.
    #[doc(hidden)]
    #[must_use]
    pub fn origin(&self) -> u64 {
        self.flight().origin
    }

    /// Goes on with the cancellation: asyncio's bare `raise`.
    ///
    /// It is thrown from where this is awaited, lands in the next frame outwards (or ends the task) and takes everything
    /// in between with it. So the future never gives a value, and may stand for a value of any type.
    ///
    /// ```no_run
    /// # use unstuck_core as unstuck;
    /// # async fn work() -> u32 { 1 }
    /// # async fn undo() {}
    /// # async fn example() -> u32 {
    /// match unstuck::catch_cancel(work()).await {
    ///     Ok(value) => value,
    ///     Err(cancelled) => {
    ///         undo().await;
    ///         cancelled.resume().await
    ///     }
    /// }
    /// # }
    /// ```
    ///
    /// # Panics
    /// When it is awaited on another runtime than this one.
    pub fn resume<T>(self) -> Resume<T> {
        Resume { stage: Stage::Open(self), output: PhantomData }
    }

    /// Two that have met go on as one: as the request from outside, if the other is that, else as this one. Neither is settled
    /// before the other, so that their siblings wait for both.
    #[doc(hidden)]
    pub fn and(self, other: Self) -> Self {
        let swap = self.origin() != REQUEST && other.origin() == REQUEST;
        let (mut one, other) = if swap { (other, self) } else { (self, other) };
        one.others.push(other);
        one
    }

    /// Apart from what it has met.
    pub(crate) fn split(mut self) -> (Self, Option<Self>) {
        let others = std::mem::take(&mut self.others);
        (self, others.into_iter().reduce(Self::and))
    }

    pub(crate) fn is_part_of(&self, flight: &Arc<Flight>) -> bool {
        Arc::ptr_eq(self.flight(), flight)
    }

    pub(super) fn flight(&self) -> &Arc<Flight> {
        let Some(flight) = &self.flight else { unreachable!("settled only by what consumes it") };
        flight
    }
}

impl Drop for Cancelled {
    fn drop(&mut self) {
        if let Some(flight) = &self.flight {
            flight.swallow();
        }
    }
}

impl fmt::Debug for Cancelled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cancelled").field("reason", &self.reason()).finish_non_exhaustive()
    }
}

impl fmt::Display for Cancelled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.reason().and_then(Reason::text) {
            Some(text) => write!(f, "cancelled: {text}"),
            None => f.write_str("cancelled"),
        }
    }
}

impl Error for Cancelled {}

/// The future of [`Cancelled::resume`]. It never gives a value.
#[must_use = "the cancellation goes on when this is awaited"]
pub struct Resume<T> {
    stage: Stage,
    output: PhantomData<fn() -> T>,
}

enum Stage {
    Open(Cancelled),
    Waiting(Waiting),
    Thrown(Arc<Flight>),
    Moving,
}

impl<T> Future for Resume<T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        self.stage = match std::mem::replace(&mut self.stage, Stage::Moving) {
            Stage::Open(cancelled) => match Waiting::begin(cancelled, owner::depth(), cx) {
                Some(waiting) => throw(waiting, cx),
                None => Stage::Moving,
            },
            Stage::Waiting(waiting) => throw(waiting, cx),
            other => other,
        };
        Poll::Pending
    }
}

/// Throws if it may.
fn throw(mut waiting: Waiting, cx: &Context<'_>) -> Stage {
    match context::owner() {
        Some(owner) if !waiting.is_over(owner.frames(), cx) => return Stage::Waiting(waiting),
        _ => {}
    }
    let cancelled = waiting.another();
    let flight = cancelled.flight().clone();
    context::throw(cancelled);
    Stage::Thrown(flight)
}

impl<T> Drop for Resume<T> {
    fn drop(&mut self) {
        // Dropped by a sibling, before anything above saw it: then there is nothing to land.
        if let Stage::Thrown(flight) = &self.stage {
            drop(context::withdraw(flight));
        }
    }
}

impl<T> fmt::Debug for Resume<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Resume").finish_non_exhaustive()
    }
}

/// A part that waits for the others of its flight: it is settled, but not swallowed. Dropping it swallows it.
pub(super) struct Waiting {
    flight: Arc<Flight>,
    number: u64,
    looks: u8,
    /// It waits for these flights, too.
    others: Vec<Waiting>,
}

/// How many polls of the task somebody gets who has been told of a cancellation and does nothing about it; and how often a
/// throw lets siblings go first that have opened a new frame meanwhile. Who swallows cancellations in an endless loop
/// would hold it up for ever.
pub(super) const LOOKS: u8 = 32;

impl Waiting {
    /// Begins to wait, at this depth of frames.
    pub(super) fn begin(mut cancelled: Cancelled, depth: usize, cx: &Context<'_>) -> Option<Self> {
        let met = std::mem::take(&mut cancelled.others).into_iter();
        let met = met.filter_map(|other| Self::begin(other, depth, cx)).collect();
        let flight = cancelled.flight.take()?;
        let waker = cx.waker().clone();
        let mut parts = flight.parts.lock();
        parts.open -= 1;
        let others = parts.ready();
        parts.numbers += 1;
        let number = parts.numbers;
        parts.throws.push(Throw { number, depth, waker: Some(waker) });
        drop(parts);
        call(others);
        Some(Self { flight, number, looks: 0, others: met })
    }

    /// Waits for the flight of this one as well; see [`Cancelled::and`].
    pub(super) fn meet(&mut self, other: Cancelled, depth: usize, cx: &Context<'_>) {
        let Some(mut other) = Self::begin(other, depth, cx) else { return };
        if self.flight.origin != REQUEST && other.flight.origin == REQUEST {
            std::mem::swap(&mut self.flight, &mut other.flight);
            std::mem::swap(&mut self.number, &mut other.number);
        }
        self.others.push(other);
    }

    /// True if the others are settled; else the task is woken when they are. `frames`: where they are.
    pub(super) fn is_over(&mut self, frames: &Frames, cx: &Context<'_>) -> bool {
        if !self.others.iter_mut().all(|other| other.is_over(frames, cx)) {
            return false;
        }
        let mut waker = Some(cx.waker().clone());
        let mut parts = self.flight.parts.lock();
        let over = parts.may_land(self.number);
        if let Some(throw) = parts.throws.iter_mut().find(|throw| throw.number == self.number) {
            std::mem::swap(&mut throw.waker, &mut waker);
        }
        drop(parts);
        drop(waker); // the user's code: not under the lock
        if over {
            return true;
        }
        // Those who have not even looked yet do so in the next polls, or nobody polls them.
        if frames.has_blind(&self.flight) {
            if self.looks_again(cx) {
                return false;
            }
            drop(frames.take_blind(&self.flight));
        }
        self.flight.parts.lock().may_land(self.number)
    }

    /// Asks for another poll, if there may be one more.
    pub(super) fn looks_again(&mut self, cx: &Context<'_>) -> bool {
        let again = self.looks < LOOKS;
        if again {
            self.looks += 1;
            cx.waker().wake_by_ref();
        }
        again
    }

    /// One more part: what goes on when the wait is over. It keeps the flight open when this is dropped.
    pub(super) fn another(&self) -> Cancelled {
        let mut part = self.flight.part();
        part.others.extend(self.others.iter().map(Self::another));
        part
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let mut parts = self.flight.parts.lock();
        let left = parts.leave(self.number);
        let throws = parts.ready();
        let then = parts.swallowed();
        drop(parts);
        drop(left);
        call(throws);
        if let Some(task) = then {
            task.cancel();
        }
    }
}

impl Parts {
    /// Takes a throw off the list. Its waker is the user's: dropped by the caller, not under the lock.
    fn leave(&mut self, number: u64) -> Option<Throw> {
        let at = self.throws.iter().position(|throw| throw.number == number)?;
        Some(self.throws.swap_remove(at))
    }
}
