//! Whom to call, and which job is next: rules 1, 2, 4 and 5 of the roll, each a few lines under its lock.

use std::collections::VecDeque;

use super::{Call, Inner, Kind, OUTSIDE_TURN, Rules};

impl<T, R> Inner<T, R> {
    /// How many shifts go on with the queue, or will: those on threads that wait do not.
    pub(super) fn able(&self, rules: &Rules) -> usize {
        let main = self.main.min(rules.threads.saturating_sub(self.lost));
        (main + self.extra).saturating_sub(self.waiting)
    }

    /// Arriving shifts that will find a thread.
    pub(super) fn on_their_way(&self, rules: &Rules) -> usize {
        self.arriving.saturating_sub((self.main + self.lost).saturating_sub(rules.threads))
    }

    /// Rule 4: a shift on a free thread, else on an extra one, if fewer go on than there are threads.
    pub(super) fn call(&mut self, rules: &Rules) -> Call {
        let call = match () {
            () if self.able(rules) >= rules.threads => return Call::Nobody,
            () if self.main + self.lost < rules.threads => Call::Main,
            // Rule 5: for what jobs have submitted, or if nobody goes on.
            () if self.nested.is_empty() && self.able(rules) > 0 => return Call::Nobody,
            () if self.waiting + self.lost > self.extra && self.extra < rules.max_extra => Call::Extra,
            () => return Call::Nobody,
        };
        match call {
            Call::Extra => self.extra += 1,
            _ => self.main += 1,
        }
        self.arriving += 1;
        self.open += 1;
        call
    }

    /// A call if more jobs are queued than shifts arrive.
    pub(super) fn call_if_missing(&mut self, rules: &Rules) -> Call {
        if self.on_their_way(rules) >= self.queued() { Call::Nobody } else { self.call(rules) }
    }

    /// A call if jobs are queued and no shift arrives.
    pub(super) fn call_if_nobody_comes(&mut self, rules: &Rules) -> Call {
        if self.queued() == 0 || self.on_their_way(rules) > 0 { Call::Nobody } else { self.call(rules) }
    }

    pub(super) fn queued(&self) -> usize {
        self.queue.len() + self.nested.len()
    }

    pub(super) fn discard(&mut self) -> VecDeque<T> {
        let mut all = std::mem::take(&mut self.queue);
        all.append(&mut self.nested);
        all
    }

    /// The next job for such a shift.
    pub(super) fn take(&mut self, rules: &Rules, kind: Kind, first: bool) -> Option<T> {
        let able = self.able(rules);
        if kind.guest {
            // One job; what is left is for the one it called.
            return if first { self.nested.pop_front().or_else(|| self.queue.pop_front()) } else { None };
        }
        if able > rules.threads {
            return None; // after waits there may be more at work than threads
        }
        if kind.extra {
            let alone = first && able <= 1;
            return self.nested.pop_front().or_else(|| if alone { self.queue.pop_front() } else { None });
        }
        self.taken = self.taken.wrapping_add(1);
        if self.taken % OUTSIDE_TURN == 0 {
            return self.queue.pop_front().or_else(|| self.nested.pop_front());
        }
        self.nested.pop_front().or_else(|| self.queue.pop_front())
    }

    pub(super) fn counts_out(&mut self, kind: Kind) {
        if kind.extra {
            self.extra -= 1;
        } else {
            self.main -= 1;
        }
    }

    pub(super) fn begins(&mut self, what: R) -> usize {
        if let Some(place) = self.free.pop() {
            self.running[place] = Some(what);
            return place;
        }
        self.running.push(Some(what));
        self.running.len() - 1
    }

    pub(super) fn ends(&mut self, place: usize) -> Option<R> {
        self.free.push(place);
        self.done += 1;
        self.running[place].take()
    }
}
