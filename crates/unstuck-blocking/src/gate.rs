//! Lets so many through at a time and keeps the others in order: what a [`Limiter`](crate::Limiter) does. Promise:
//! **nobody is kept while there is room.**
//!
//! One lock guards the count and the line; every decision is one visit to it. Whoever leaves takes the first of the line
//! out *in the same visit*, with its permit, and sends it on its way. Whoever comes looks for room and gets into line in
//! one visit, too. So between any two visits either all permits are taken or the line is empty. models.rs runs this
//! through every interleaving, and shows that it fails when a leaver does not look at the line.
//!
//! A permit can be *lent*: its holder waits for something else and needs no room meanwhile. As with the lock of a condition
//! variable, it is taken back before the holder goes on: **there are never more inside than the limit**, and who comes back
//! goes before everybody in the line. (Only a limit that shrinks leaves more inside than it says, until they leave.)
//!
//! # Why lend, and why wait to get it back?
//! Because a job that waits for one in this line would wait for ever if it kept its permit. And because a limit that one
//! more may pass is none: where four connections are allowed, the fifth is refused. Before, a permit came back at once,
//! whatever the room, since a wait for room can be for ever: the one that was let in meanwhile may want a lock of the
//! user's that the first one holds across its wait. But that is what a lock held across any wait risks, everybody can see
//! it in their own code, and nobody who is promised a limit can see the one more. So the limit is exact, and who waits for
//! a second to come back [says so](Gate::come_back), with names.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use unstuck_core::job::{Doubled, sweep};
use unstuck_core::sync::{Condvar, Mutex, wait_for};

/// Deliberate faults, to show that the models would notice them.
pub(crate) const SOUND: u8 = 0;
pub(crate) const LEAVES_WITHOUT_LOOKING: u8 = 1;
pub(crate) const COMES_IN_TWO_VISITS: u8 = 2;
pub(crate) const COMES_BACK_WITHOUT_ASKING: u8 = 3;
pub(crate) const LEAVES_WITHOUT_A_WORD: u8 = 4;

/// A shorter line is not worth a sweep.
const SHORT: usize = 64;

pub(crate) struct Gate<T, const FAULT: u8 = SOUND> {
    inner: Mutex<Inner<T>>,
    /// Notified when there may be room for one who comes back.
    room: Condvar,
}

struct Inner<T> {
    limit: usize,
    inside: usize,
    /// Those who have lent their permits, and want to go on.
    returning: usize,
    line: VecDeque<T>,
    longest: usize,
    doubled: Doubled,
}

/// How many are where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) limit: usize,
    pub(crate) inside: usize,
    pub(crate) returning: usize,
    pub(crate) line: usize,
    pub(crate) longest: usize,
}

impl<T, const FAULT: u8> Gate<T, FAULT> {
    pub(crate) fn new(limit: usize) -> Self {
        let inner = Inner {
            limit,
            inside: 0,
            returning: 0,
            line: VecDeque::new(),
            longest: 0,
            doubled: Doubled::from(SHORT),
        };
        Self { inner: Mutex::new(inner), room: Condvar::new() }
    }

    /// Gives `who` back with a permit, or keeps it until there is one. Before it is kept, `may_stay` is asked; if it
    /// must not, it comes back as an error.
    pub(crate) fn enter(&self, who: T, may_stay: impl FnOnce() -> bool) -> Result<Option<T>, T> {
        let mut inner = self.inner.lock();
        if inner.has_room() && inner.line.is_empty() {
            inner.inside += 1;
            return Ok(Some(who));
        }
        if FAULT == COMES_IN_TWO_VISITS {
            drop(inner);
            inner = self.inner.lock();
        }
        if !may_stay() {
            return Err(who);
        }
        inner.line.push_back(who);
        inner.longest = inner.longest.max(inner.line.len());
        Ok(None)
    }

    /// Gives a permit back, or lends it. Whom this gives has it now.
    #[must_use = "it has a permit and waits for nothing else"]
    pub(crate) fn leave(&self) -> Option<T> {
        let mut inner = self.inner.lock();
        inner.inside -= 1;
        if inner.returning > 0 && FAULT != LEAVES_WITHOUT_A_WORD {
            self.room.notify_one();
        }
        if FAULT == LEAVES_WITHOUT_LOOKING { None } else { inner.next() }
    }

    /// Takes a lent permit back as soon as there is room; blocks this thread until then. Calls `tell`, with the lock free,
    /// if that takes longer than `silence`.
    pub(crate) fn come_back(&self, silence: Duration, tell: impl FnOnce()) {
        let mut inner = self.inner.lock();
        inner.returning += 1;
        if inner.is_full() && FAULT != COMES_BACK_WITHOUT_ASKING {
            let begun = Instant::now();
            let mut tell = Some(tell);
            while inner.is_full() {
                let left = silence.saturating_sub(begun.elapsed());
                if tell.is_none() {
                    self.room.wait(&mut inner);
                } else if left.is_zero() {
                    drop(inner);
                    tell.take().into_iter().for_each(|tell| tell());
                    inner = self.inner.lock();
                } else {
                    wait_for(&self.room, &mut inner, left);
                }
            }
        }
        inner.returning -= 1;
        inner.inside += 1;
    }

    /// Changes the limit. Those that this gives have permits now.
    #[must_use = "they have permits and wait for nothing else"]
    pub(crate) fn resize(&self, limit: usize) -> Vec<T> {
        let mut inner = self.inner.lock();
        inner.limit = limit;
        if inner.returning > 0 {
            self.room.notify_all();
        }
        std::iter::from_fn(|| inner.next()).collect()
    }

    /// Takes those out of a line that has grown long who are `gone`, if there seem to be any.
    pub(crate) fn sweep(&self, gone: impl Fn(&T) -> bool) -> Vec<T> {
        let mut inner = self.inner.lock();
        if !inner.doubled.is(inner.line.len()) {
            return Vec::new();
        }
        let swept = sweep(&mut inner.line, gone);
        let left = inner.line.len();
        inner.doubled.swept(left);
        swept
    }

    /// Takes those out of the line who `leave`.
    pub(crate) fn take_out(&self, leaves: impl Fn(&T) -> bool) -> Vec<T> {
        let mut inner = self.inner.lock();
        let (out, stay) = std::mem::take(&mut inner.line).into_iter().partition(|who| leaves(who));
        inner.line = stay;
        Vec::from_iter::<VecDeque<T>>(out)
    }

    pub(crate) fn counts(&self) -> Counts {
        let Inner { limit, inside, returning, ref line, longest, .. } = *self.inner.lock();
        Counts { limit, inside, returning, line: line.len(), longest }
    }
}

impl<T> Inner<T> {
    /// There is room for somebody new. Those who come back go first.
    fn has_room(&self) -> bool {
        self.inside + self.returning < self.limit
    }

    /// There is no room for one who comes back.
    fn is_full(&self) -> bool {
        self.inside >= self.limit
    }

    fn next(&mut self) -> Option<T> {
        if !self.has_room() {
            return None;
        }
        let next = self.line.pop_front()?;
        self.inside += 1;
        Some(next)
    }
}
