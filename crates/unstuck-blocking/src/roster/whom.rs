//! Whom to call for the jobs in the queue: rules 2, 3, 5 and 6 of the roster, each a few lines under its lock.

use std::time::Duration;

use super::door::Comer;
use super::{Asks, Call, Inner, Rules};
use crate::lanes::Lane;
use crate::seat::Waited;

impl<T> Inner<T> {
    /// Rules 2 and 3: who is to come for the jobs in the queue?
    pub(super) fn call(&mut self, rules: &Rules) -> Call {
        let call = self.call_idle();
        let missing = self.arriving < self.lanes.ready() && self.threads < self.most(rules);
        if !matches!(call, Call::Nobody) || !missing || self.starting >= rules.starters {
            return call;
        }
        self.threads += 1;
        self.arriving += 1;
        self.starting += 1;
        Call::Start
    }

    /// As [`call`](Self::call), also for the first one at the door: the queue may have no jobs, if its bound is 0.
    pub(super) fn call_also_outside(&mut self, rules: &Rules) -> Call {
        let call = self.call(rules);
        if !matches!(call, Call::Nobody) {
            return call;
        }
        let Some(comer) = self.door.pop() else { return call };
        let Comer { ticket, job, brought } = comer;
        self.lanes.push(job, Lane::Users);
        let call = self.call(rules);
        if matches!(call, Call::Nobody) && self.is_too_long(rules) {
            if let Some(job) = self.lanes.unpush(Lane::Users) {
                self.door.put_back(Comer { ticket, job, brought });
            }
        }
        call
    }

    /// The first one at the door comes in.
    pub(super) fn let_in(&mut self) -> bool {
        let comer = self.door.pop();
        let came = comer.is_some();
        if let Some(comer) = comer {
            self.lanes.push(comer.job, Lane::Users);
        }
        came
    }

    /// As many come in from the door as there is room for.
    pub(super) fn let_in_who_may(&mut self, rules: &Rules) {
        while !self.door.is_empty() && self.lanes.queued() < self.arriving.saturating_add(rules.bound) {
            self.let_in();
        }
    }

    /// More jobs are queued than the bound allows, those not counted that somebody is coming for.
    pub(super) fn is_too_long(&self, rules: &Rules) -> bool {
        self.lanes.queued().saturating_sub(self.arriving) > rules.bound
    }

    /// As [`call`](Self::call), but starts nobody.
    pub(super) fn call_idle(&mut self) -> Call {
        let ready = self.lanes.ready();
        if ready == 0 {
            return Call::Nobody;
        }
        if let Some(seat) = self.spinner.take() {
            seat.call();
            self.arriving += 1;
            return Call::Nobody;
        }
        if self.arriving >= ready {
            return Call::Nobody;
        }
        if let Some(seat) = self.parked.pop() {
            seat.call();
            self.arriving += 1;
            return Call::Wake(seat);
        }
        Call::Nobody
    }

    /// As many threads may exist now.
    pub(super) fn most(&self, rules: &Rules) -> usize {
        self.lanes.room().saturating_add(self.absent.min(rules.max_lent))
    }

    /// Remembers the longest queue; the length if it is a remarkable one.
    pub(super) fn note_length(&mut self) -> Option<usize> {
        let length = self.lanes.queued();
        self.longest = self.longest.max(length);
        if length < self.tell_at {
            return None;
        }
        self.tell_at = length.saturating_mul(2);
        Some(length)
    }

    /// Rule 5: the oldest goes, the next becomes the oldest and has to look at the clock.
    pub(super) fn remove_oldest(&mut self) {
        self.parked.remove(0);
        if let Some(next) = self.parked.first() {
            next.set_oldest(true);
            // Under the lock, which costs others a few µs once in a keep-alive, and spares every caller a case.
            next.unpark();
        }
    }

    /// Adjusts how long to spin: a pool whose jobs come far apart should not burn a core's time after each.
    pub(super) fn learn(&mut self, asks: Asks, called: bool, longest: Duration) {
        match asks {
            Asks::Spun if called => self.spin = longest,
            Asks::Spun => {
                self.spin = if self.spin > SHORTEST_SPIN { self.spin / 2 } else { Duration::ZERO };
            }
            Asks::Parked(Waited::Called { soon: true }) => self.spin = longest,
            Asks::Parked(_) | Asks::Ready(_) => {}
        }
    }
}

/// Below this, spinning gives up altogether until a parked thread is called so soon that it would have paid.
const SHORTEST_SPIN: Duration = Duration::from_micros(5);
