//! How jobs get into the queue, or in front of it, or back.

use unstuck_core::sync::MutexGuard;

use super::{Call, Inner, Refused, Roster, Submitted};
use crate::lanes::Lane;

impl<T, const FAULT: u8> Roster<T, FAULT> {
    /// Queues a job, or gives it back.
    pub(crate) fn submit(&self, job: T, lane: Lane) -> Result<Submitted, Refused<T>> {
        self.try_submit(&mut self.inner.lock(), job, lane)
    }

    /// As [`submit`](Self::submit), but a job that finds no room waits at the door; `gone` says which of those there nobody
    /// wants any more. Gives those, to be dropped.
    pub(crate) fn submit_or_queue_outside(
        &self,
        job: T,
        lane: Lane,
        gone: impl Fn(&T) -> bool,
    ) -> Result<(Submitted, Vec<T>), Refused<T>> {
        let mut inner = self.inner.lock();
        match self.try_submit(&mut inner, job, lane) {
            Ok(submitted) => Ok((submitted, Vec::new())),
            Err(Refused::Full(job)) => {
                let (_, swept) = inner.door.join(job, false, gone);
                Ok((Submitted { call: Call::Nobody, tell: None }, swept))
            }
            Err(refused) => Err(refused),
        }
    }

    /// As [`submit`](Self::submit), but waits until the queue has room. Blocks this thread.
    pub(crate) fn submit_when_shorter(&self, job: T, lane: Lane) -> Result<Submitted, Refused<T>> {
        let mut inner = self.inner.lock();
        let job = match self.try_submit(&mut inner, job, lane) {
            Err(Refused::Full(job)) => job,
            outcome => return outcome,
        };
        let (ticket, _) = inner.door.join(job, true, |_| false);
        inner.bringers += 1;
        while inner.door.keeps(ticket) {
            self.shorter.wait(&mut inner);
        }
        inner.bringers -= 1;
        Ok(Submitted { call: Call::Nobody, tell: None })
    }

    fn try_submit(
        &self,
        inner: &mut MutexGuard<'_, Inner<T>>,
        job: T,
        lane: Lane,
    ) -> Result<Submitted, Refused<T>> {
        if inner.closed {
            return Err(Refused::Closed(job));
        }
        if lane == Lane::Users && !inner.door.is_empty() {
            return Err(Refused::Full(job));
        }
        inner.lanes.push(job, lane);
        let call = inner.call(&self.rules);
        if matches!(call, Call::Nobody) && lane == Lane::Users && inner.is_too_long(&self.rules) {
            if let Some(job) = inner.lanes.unpush(lane) {
                return Err(Refused::Full(job));
            }
        }
        Ok(Submitted { call, tell: inner.note_length() })
    }

    /// Queues a job that was accepted before, however long the queue, and after the closing too. Gives it back only if the
    /// closing has given back what was queued: this one comes late, and is to be treated like those.
    pub(crate) fn admit(&self, job: T, lane: Lane) -> Result<Call, T> {
        let mut inner = self.inner.lock();
        if inner.discards {
            return Err(job);
        }
        inner.lanes.push(job, lane);
        let call = inner.call(&self.rules);
        inner.note_length();
        Ok(call)
    }
}
