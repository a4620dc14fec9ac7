//! What happens while jobs wait: rule 4 of the roll.
//!
//! Who waits does not count, and another may come in its place while threads may be added. When no more may be, it waits all
//! the same: the queue *stands still* until one of the waits ends, as most do by themselves. Only a *circle* never goes on:
//! all wait for jobs of this very pool. Then the last one's wait is refused.

use super::{Call, Inner, Roll, Rules};

/// A wait that was allowed.
#[derive(Debug)]
pub(crate) struct Allowed {
    pub(crate) call: Call,
    /// All wait, and no more threads may be added.
    pub(crate) last: bool,
    /// What [`Roll::stands_still`] is to be asked with.
    pub(crate) turns: u64,
}

/// How things go when somebody has waited for long: of the first job in the queue this was said, if nothing has happened.
pub(crate) struct Goes<E> {
    pub(crate) turns: u64,
    pub(crate) nowhere: Option<E>,
}

impl<T, R, const FAULT: u8> Roll<T, R, FAULT> {
    /// The job on this thread waits: its place may be taken. `in_shift` is false for one that no shift runs; `bound` says that
    /// only a job of this pool can end the wait.
    ///
    /// # Errors
    /// With what `circle` gives, if all wait so, and it finds that nothing they wait for has happened.
    pub(crate) fn waits<E>(
        &self,
        in_shift: bool,
        bound: bool,
        circle: impl FnOnce() -> Option<E>,
    ) -> Result<Allowed, E> {
        let mut inner = self.inner.lock();
        inner.absent(in_shift, bound, 1);
        let call = inner.call_if_missing(&self.rules);
        let last = call == Call::Nobody && inner.all_wait(&self.rules);
        if last && inner.all_are_bound() {
            if let Some(why) = circle() {
                inner.absent(in_shift, bound, -1);
                return Err(why);
            }
        }
        Ok(Allowed { call, last, turns: inner.turns })
    }

    /// The wait is over. A thread that has no shift does not look at the queue: another one is called to it.
    pub(crate) fn goes_on(&self, in_shift: bool, bound: bool) -> Call {
        let mut inner = self.inner.lock();
        inner.absent(in_shift, bound, -1);
        inner.turns += 1;
        if in_shift { Call::Nobody } else { inner.call_if_nobody_comes(&self.rules) }
    }

    /// The last one to wait asks again, some time later; none if others work now.
    ///
    /// # Errors
    /// As [`waits`](Self::waits).
    pub(crate) fn stands_still<D, E>(
        &self,
        turns: u64,
        circle: impl FnOnce() -> Option<D>,
        describe: impl FnOnce(&T, usize) -> E,
    ) -> Result<Option<Goes<E>>, D> {
        let inner = self.inner.lock();
        if !inner.all_wait(&self.rules) {
            return Ok(None);
        }
        if inner.all_are_bound() {
            if let Some(why) = circle() {
                return Err(why);
            }
        }
        let first = inner.nested.front().or(inner.queue.front()).filter(|_| inner.turns == turns);
        let nowhere = first.map(|first| describe(first, inner.queued()));
        Ok(Some(Goes { turns: inner.turns, nowhere }))
    }
}

impl<T, R> Inner<T, R> {
    /// Nobody goes on with the queue, and nobody may be added.
    fn all_wait(&self, rules: &Rules) -> bool {
        let waiting = self.waiting + self.lost;
        let room =
            self.main + self.lost < rules.threads || waiting > self.extra && self.extra < rules.max_extra;
        waiting > 0 && self.able(rules) == 0 && !room
    }

    fn all_are_bound(&self) -> bool {
        self.bound == self.waiting + self.lost
    }

    fn absent(&mut self, in_shift: bool, bound: bool, one: isize) {
        let count = |count: &mut usize| {
            *count = count.checked_add_signed(one).expect("as many come back as have left");
        };
        count(if in_shift { &mut self.waiting } else { &mut self.lost });
        if bound {
            count(&mut self.bound);
        }
    }
}
