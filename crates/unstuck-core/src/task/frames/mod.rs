//! Cancellation frames: asyncio's promise on top of drop. Cleanup may await, and a cancellation may be caught.
//!
//! Without them cancelling is dropping: the future goes away at the await point where it stands, and its destructors
//! are all the cleanup there is. A *frame* is a future that takes part instead. What a request does:
//!
//! ```text
//!  cancel() ─1─► CANCEL in the task's word ─2─► lands in the innermost pending frames ─3─► the frame drops what is
//!                        │                        │ (a hit, and a wake)                     inside it, and answers:
//!                        │ no frame               │ a join: the inner task is               4 value: swallowed
//!                        ▼                        │ cancelled, its end awaited              5 resume(): thrown to the
//!                 the future is dropped           ▼                                           next frame outwards
//! ```
//!
//! 1. `TaskRef::request`; for a main future `Canceller`. From any thread, at any time.
//! 2. `Frames::deliver`: before the task's next poll, or right after the poll that it is in. By whoever polls the task, so
//!    the tree of frames changes on one thread at a time; its lock is for those who ask for counts and reasons.
//! 3. `Frame::poll` finds the hit *before* it polls what is inside.
//! 4. A `Cancelled` that is dropped.
//! 5. `Resume::poll` puts the cancellation into the thread's context and returns pending. The first frame whose future
//!    has returned pending takes it from there: polls nest, so that is the innermost one around. If no frame does, the
//!    task's `run` finds it, and the task ends.
//!
//! # Promises
//! * *Innermost, and only once.* Edge-triggered: after a request has landed, cleanup awaits freely. The next one lands
//!   again, perhaps in the middle of the cleanup.
//! * *Siblings* in one task (`join!`) are hit by the same request, and none of them is dropped before all have answered
//!   (`flight.rs`). One that opens a frame while another cleans up, or in the very poll in which it throws, is told as well
//!   (`held.rs`).
//! * *Nobody waits for what stands still.* A frame that is not polled any more (it lies in a variable after a `select!`)
//!   gets 32 polls of the task to notice that something landed in it, and then the others go on without it.
//! * *No value is lost* to a request that came too late: a future that gives one in the same poll wins, and so does a
//!   finished task that is awaited; the request stays for the next await. Only who cancels itself and then returns is
//!   cancelled all the same, as in asyncio.
//! * *Inward*: `task.await` is a frame. The request goes to the inner task, and the waiter goes on when that has ended: with
//!   its value if it caught the request, else cancelled in its turn. `(&mut task).await` is none: the inner task is left
//!   alone. A task that deals with a request already is not told a second time by a waiter's first, which
//!   stays with the waiter if there is a value.
//! * *Nobody else pays.* A task without frames has no tree, and no more than a look at a flag after each poll.
//!
//! # Joins hide until they are wanted
//! Every `task.await` is a frame, but hardly any of them ever sees a cancellation. So one that is pending only leaves a note
//! (HIDDEN, in the task's word from one poll to the next). A request that finds the note waits for one more poll, in which
//! every pending join enters the tree ([`Frames::expose`]), and lands after it; a scope that cancels what is inside of it does
//! the same. That poll is one that any waker might have caused. The note is good as long as each poll of the task comes by
//! each of its pending joins, which is so when they are given the task's own waker. In a `FuturesUnordered`, which hands out
//! wakers of its own and polls nobody else, a join enters the tree at once.
//!
//! A join that is given the task's own waker and is then left out of its polls is not awaited, whoever still has its future (in
//! a variable after a `select!`): nobody would notice the end of its task either. It is not taken along, just as a cancellation
//! in asyncio takes along what is awaited and no other task that somebody knows. The price: a combinator that gives its children
//! the task's waker and polls them by turns, waking itself, is taken for one that awaits the child it polled last.
//!
//! # Why not …
//! * *frames on the heap, linked by pointers into each other*: futures move between their first poll and their last only
//!   inside pins, but they are dropped in any order and on any thread. Numbers in a small tree need no proof.
//! * *a frame that registers before its first poll*: then a timeout around a future that is ready at once would pay for
//!   a lock and a slot. So frames register late, and adopt (`tree.rs`).
//! * *joins that enter the tree when they are first pending*: two locked sections and an allocation for the first, 100 ns
//!   of the 240 that spawning a task and awaiting it then took.
//! * *throwing by unwinding*: a panic can be caught by anyone's `catch_unwind`, costs microseconds, and `panic = "abort"`
//!   would turn each cancellation into the end of the process.
//!
//! The idea of delivering to scopes comes from trio's and anyio's cancel scopes, the rules from asyncio's `Task.cancel`.

mod catch;
mod flight;
mod held;
mod main;
#[cfg(all(test, unstuck_loom))]
mod models;
mod owner;
mod request;
pub mod scope;
mod tree;

use std::fmt;
use std::task::{Context, Poll, Waker};

pub use catch::{CatchCancel, catch_cancel, finally};
pub(crate) use flight::Flight;
pub use flight::{Cancelled, Reason, Resume};
use held::Held;
pub use main::Canceller;
pub(crate) use main::Main;
pub(crate) use owner::{Delivery, Frames, MainRef, Owner};
use tree::{Enter, Key, Kind};

use super::TaskRef;
use super::header::Header;
use crate::context;

/// A place where cancellations land, for futures that are scopes: `catch_cancel`, timeouts, task groups.
///
/// It belongs into the future behind what it surrounds, so that it is dropped after that.
pub struct Frame {
    link: Option<Link>,
    catches: bool,
    /// In its last poll joins inside returned pending that are no frames yet.
    hides: bool,
    held: Held,
}

/// What a poll inside a [`Frame`] gave.
#[derive(Debug)]
pub enum Step<T> {
    /// The value.
    Ready(T),
    /// Nothing yet.
    Pending,
    /// A cancellation has landed here. Drop what is inside, then answer: resume it, or give a value.
    Cancelled(Cancelled),
}

/// A node in the tree of its owner.
pub(crate) struct Link {
    owner: Owner,
    key: Key,
}

impl Frame {
    /// A frame that requests from outside land in.
    #[must_use]
    pub const fn new() -> Self {
        Self { link: None, catches: true, hides: false, held: Held::new() }
    }

    /// A frame that is a scope for those inside it, and otherwise lets requests pass. It costs nothing as long as there
    /// is no other frame inside.
    #[must_use]
    pub const fn transparent() -> Self {
        Self { link: None, catches: false, hides: false, held: Held::new() }
    }

    /// Polls what lies inside. `inner` is not called when a cancellation has landed here.
    pub fn poll<T>(
        &mut self,
        cx: &mut Context<'_>,
        inner: impl FnOnce(&mut Context<'_>) -> Poll<T>,
    ) -> Step<T> {
        if self.link.as_ref().is_some_and(|link| !context::is_current(&link.owner)) {
            self.link = None; // moved to another task
        }
        let hidden = context::take_hidden_joins();
        let since = match &self.link {
            None => context::with_frames(|frames| frames.and_then(|frames| frames.look(|tree| tree.made()))),
            Some(_) => None,
        };
        let leave = match self.link.as_ref().map(|link| link.enter(cx)).transpose() {
            Err(cancelled) => {
                context::put_hidden_joins(hidden);
                return Step::Cancelled(cancelled);
            }
            Ok(leave) => leave,
        };
        let (poll, thrown) = poll(cx, inner, leave);
        self.hides = context::take_hidden_joins();
        context::put_hidden_joins(hidden || self.hides);
        match poll {
            Poll::Ready(value) => {
                self.held = Held::new();
                drop(thrown); // the value wins
                Step::Ready(value)
            }
            Poll::Pending => self.pending(thrown, since.unwrap_or(0), cx),
        }
    }

    /// After a poll that returned pending.
    #[inline]
    fn pending<T>(&mut self, thrown: Option<Box<Cancelled>>, since: u64, cx: &Context<'_>) -> Step<T> {
        if self.link.is_none() {
            self.register(thrown.is_some(), cx, since);
        }
        if thrown.is_none() && !self.held.is_some() {
            return Step::Pending;
        }
        self.thrown(thrown.map(|thrown| *thrown), cx)
    }

    /// After a poll in which something was thrown, or while something is held.
    #[cold]
    fn thrown<T>(&mut self, thrown: Option<Cancelled>, cx: &Context<'_>) -> Step<T> {
        match &self.link {
            Some(Link { owner, key }) => match self.held.take(thrown, (owner, *key), self.hides, cx) {
                Some(cancelled) => Step::Cancelled(cancelled),
                None => Step::Pending,
            },
            None => thrown.map_or(Step::Pending, Step::Cancelled),
        }
    }

    /// From now on this is a frame, if it is worth it.
    fn register(&mut self, thrown: bool, cx: &Context<'_>, since: u64) {
        let has_new = || {
            context::with_frames(|frames| frames.and_then(|frames| frames.look(|tree| tree.has_new(since))))
        };
        if self.catches || thrown || has_new() == Some(true) {
            self.link = Link::new(Kind::Frame(Some(cx.waker().clone())), since);
        }
    }

    /// Cancels what lies inside, for a reason of this frame's own: the innermost frames in it get a cancellation that
    /// [came from](Cancelled::origin) `origin`. To be called right after a poll.
    pub fn cancel_inside(&mut self, origin: u64, reason: Option<&Reason>) -> Inside {
        if std::mem::take(&mut self.hides) {
            owner::expose();
            return Inside::Later;
        }
        let Some(link) = &self.link else { return Inside::Empty };
        match link.owner.frames().land(link.owner.as_task(), link.key, (origin, reason), true) {
            Delivery::Landed => Inside::Landed,
            Delivery::Later => Inside::Later,
            Delivery::Nowhere => Inside::Empty,
        }
    }
}

/// What [`Frame::cancel_inside`] found.
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Inside {
    /// Frames, which will answer: poll on.
    Landed,
    /// A task that has just finished: poll, its value comes first; then try again.
    Later,
    /// No frame: drop what is inside.
    Empty,
}

impl Default for Frame {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Frame").field("pending", &self.link.is_some()).finish_non_exhaustive()
    }
}

/// Polls `inner`, and takes what is thrown in it. What a sibling has thrown before stays as it is.
fn poll<T>(
    cx: &mut Context<'_>,
    inner: impl FnOnce(&mut Context<'_>) -> Poll<T>,
    leave: Option<Leave<'_>>,
) -> (Poll<T>, Option<Box<Cancelled>>) {
    let before = context::set_thrown_aside();
    let poll = inner(cx);
    drop(leave);
    (poll, before.exchange())
}

impl Link {
    /// A node in the tree of whoever is being polled; none if that is not ours.
    fn new(kind: Kind, since: u64) -> Option<Self> {
        let owner = context::owner()?;
        let key = owner.frames().with(|tree| tree.insert(kind, since));
        Some(Self { owner, key })
    }

    /// A poll begins: what has landed here, or a guard for the time of the poll.
    fn enter(&self, cx: &Context<'_>) -> Result<Leave<'_>, Cancelled> {
        let frames = self.owner.frames();
        let previous = match frames.with(|tree| tree.enter(self.key, cx.waker())) {
            Enter::Hit(cancelled) => return Err(cancelled),
            Enter::Current(previous) => previous,
            Enter::NeedsWaker(previous) => {
                let waker = cx.waker().clone();
                drop(frames.with(|tree| tree.set_waker(self.key, waker)));
                previous
            }
        };
        Ok(Leave { frames, previous })
    }

    /// A join of `task` in the tree of whoever is being polled.
    pub(super) fn join(task: &TaskRef) -> Option<Self> {
        let since = u64::MAX; // nothing to adopt: polling a join polls nothing else
        Self::new(Kind::Join { task: task.clone(), late: false }, since)
    }

    /// The value came before a request that had landed here: the request is made again. What a scope asks for is not: it
    /// has its value.
    pub(super) fn give_back(&self, request: Cancelled) {
        let (from_outside, reason) = (request.origin() == flight::REQUEST, request.reason().cloned());
        drop(request);
        if from_outside {
            self.owner.request_again(reason);
        }
    }

    /// True if what landed in this join stayed here: its task dealt with another request already.
    pub(super) fn is_untold(&self) -> bool {
        self.owner.frames().look(|tree| tree.is_untold(self.key)).unwrap_or(false)
    }

    /// True while this is in the tree of whoever is being polled.
    pub(super) fn is_current(&self) -> bool {
        context::is_current(&self.owner)
    }

    /// Takes the node out; gives what has landed in it.
    pub(super) fn remove(&self) -> Option<Cancelled> {
        let (kind, hit) = self.owner.frames().look(|tree| tree.remove(self.key)).flatten()?;
        drop(kind);
        hit
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        drop(self.remove());
    }
}

/// The current frame of the tree is set back when the poll is over, also by a panic.
struct Leave<'a> {
    frames: &'a Frames,
    previous: Key,
}

impl Drop for Leave<'_> {
    fn drop(&mut self) {
        self.frames.with(|tree| tree.leave(self.previous));
    }
}

/// Delivers a request to a task that is being run; false if there is no frame, and the future is to be dropped. `polled`:
/// the future has just been polled.
#[cold]
pub(super) fn lands(header: &Header, polled: bool) -> bool {
    if !polled && header.state.has_hidden_joins() && !header.frames().is_some_and(Frames::are_doomed) {
        header.expose();
        return true; // after that poll it lands
    }
    if !header.state.take_cancel() {
        return true; // taken back meanwhile
    }
    let delivery =
        header.frames().map_or(Delivery::Nowhere, |frames| frames.deliver(Some(header.into()), polled));
    if delivery == Delivery::Later {
        header.state.cancel_again();
    }
    context::forget_notes(); // wakers that the delivery called: there will be a poll
    delivery != Delivery::Nowhere
}

/// A request has come during a poll. True if there are joins in the task that are no frames yet: one more poll, and they
/// are.
#[cold]
pub(super) fn exposes(header: &Header) -> bool {
    let hidden = context::take_hidden_joins() && !header.frames().is_some_and(Frames::are_doomed);
    if hidden {
        header.expose();
    }
    hidden
}

/// A cancellation was thrown and no frame has taken it, in this poll or before. True if the task ends by it; remembers its
/// reason for those who await the task.
#[cold]
pub(super) fn ends_by_throw(header: &Header, waker: &Waker) -> bool {
    let Some(owner) = context::owner() else { return false };
    let (frames, cx) = (owner.frames(), Context::from_waker(waker));
    let Some(cancelled) = frames.take_thrown(&owner, context::has_hidden_joins(), &cx) else {
        context::note_held(frames.holds());
        return false;
    };
    if let Some(reason) = cancelled.reason() {
        header.extra.get_or_make().frames().set_reason(reason.clone());
    }
    true
}

/// The task has ended in another way than by the throw that it holds.
#[cold]
pub(super) fn lets_go(header: &Header) {
    if let Some(frames) = header.frames() {
        frames.let_go();
    }
}
