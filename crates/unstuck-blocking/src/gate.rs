//! Lets so many through at a time and keeps the others in order: what a [`Limiter`](crate::Limiter) does. Promise:
//! **nobody is kept while there is room.**
//!
//! One lock guards the count and the line; every decision is one visit to it. Whoever leaves takes the first of the line
//! out *in the same visit*, with its permit, and sends it on its way. Whoever comes looks for room and gets into line in
//! one visit, too. So between any two visits either all permits are taken or the line is empty. models.rs runs this
//! through every interleaving, and shows that it fails when a leaver does not look at the line.
//!
//! A permit can be *lent*: its holder waits for something else and needs no room meanwhile. It comes back without
//! asking, so that there may be more inside than the limit says: at most one more for each that came back, and *nobody new
//! gets in before that is over*. models/gate.rs shows both.
//!
//! Why does it not wait until there is room? Because that could make a program hang that would not hang without a
//! limiter. A job may hold a lock of its own while it waits for something; the one that was let in meanwhile wants that
//! lock; if now the first had to wait until the second leaves, neither would ever go on. Nobody can see such a lock. And
//! why lend at all? Because a job that waits for one in this line would wait for ever. So a limiter bounds load; where one
//! more is one too many (four connections, and a fifth is refused), let no job wait for another one inside.

use std::collections::VecDeque;

use unstuck_core::sync::Mutex;

/// Deliberate faults, to show that the models would notice them.
pub(crate) const SOUND: u8 = 0;
pub(crate) const LEAVES_WITHOUT_LOOKING: u8 = 1;
pub(crate) const COMES_IN_TWO_VISITS: u8 = 2;

pub(crate) struct Gate<T, const FAULT: u8 = SOUND> {
    inner: Mutex<Inner<T>>,
}

struct Inner<T> {
    limit: usize,
    inside: usize,
    line: VecDeque<T>,
    longest: usize,
}

/// How many are where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) limit: usize,
    pub(crate) inside: usize,
    pub(crate) line: usize,
    pub(crate) longest: usize,
}

impl<T, const FAULT: u8> Gate<T, FAULT> {
    pub(crate) fn new(limit: usize) -> Self {
        Self { inner: Mutex::new(Inner { limit, inside: 0, line: VecDeque::new(), longest: 0 }) }
    }

    /// Gives `who` back with a permit, or keeps it until there is one. Before it is kept, `may_stay` is asked; if it
    /// must not, it comes back as an error.
    pub(crate) fn enter(&self, who: T, may_stay: impl FnOnce() -> bool) -> Result<Option<T>, T> {
        let mut inner = self.inner.lock();
        if inner.inside < inner.limit && inner.line.is_empty() {
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
        if FAULT == LEAVES_WITHOUT_LOOKING { None } else { inner.next() }
    }

    /// Takes a lent permit back, whatever the room.
    pub(crate) fn come_back(&self) {
        self.inner.lock().inside += 1;
    }

    /// Changes the limit. Those that this gives have permits now.
    #[must_use = "they have permits and wait for nothing else"]
    pub(crate) fn resize(&self, limit: usize) -> Vec<T> {
        let mut inner = self.inner.lock();
        inner.limit = limit;
        std::iter::from_fn(|| inner.next()).collect()
    }

    /// Takes those out of the line who `leave`.
    pub(crate) fn take_out(&self, leaves: impl Fn(&T) -> bool) -> Vec<T> {
        let mut inner = self.inner.lock();
        let (out, stay) = std::mem::take(&mut inner.line).into_iter().partition(|who| leaves(who));
        inner.line = stay;
        Vec::from_iter::<VecDeque<T>>(out)
    }

    pub(crate) fn counts(&self) -> Counts {
        let Inner { limit, inside, ref line, longest } = *self.inner.lock();
        Counts { limit, inside, line: line.len(), longest }
    }
}

impl<T> Inner<T> {
    fn next(&mut self) -> Option<T> {
        if self.inside >= self.limit {
            return None;
        }
        let next = self.line.pop_front()?;
        self.inside += 1;
        Some(next)
    }
}
