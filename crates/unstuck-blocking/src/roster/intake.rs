//! How jobs get into the queue, or in front of it, or back.

use unstuck_core::sync::MutexGuard;

use super::{Call, Inner, LETS_ALL_WAIT, Refused, Roster, Submitted};
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
                let (_, swept) = inner.door.join(job, gone);
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
        let (ticket, _) = inner.door.join(job, |_| false);
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
            let stuck = FAULT != LETS_ALL_WAIT && inner.is_stuck();
            return Err(if stuck { Refused::Stuck(job) } else { Refused::Full(job) });
        }
        inner.lanes.push(job, lane);
        let call = inner.call(&self.rules);
        if matches!(call, Call::Nobody) {
            let full = lane == Lane::Users && inner.is_too_long(&self.rules);
            let stuck = FAULT != LETS_ALL_WAIT && inner.is_stuck();
            if full || stuck {
                if let Some(job) = inner.lanes.unpush(lane) {
                    return Err(if stuck { Refused::Stuck(job) } else { Refused::Full(job) });
                }
            }
        }
        Ok(Submitted { call, tell: inner.note_length() })
    }

    /// Queues a job that was accepted before, however long the queue, and after the closing too. Gives it back only if
    /// every thread's job waits.
    pub(crate) fn admit(&self, job: T, lane: Lane) -> Result<Call, T> {
        let mut inner = self.inner.lock();
        inner.lanes.push(job, lane);
        let call = inner.call(&self.rules);
        if matches!(call, Call::Nobody) && inner.is_stuck() {
            if let Some(job) = inner.lanes.unpush(lane) {
                return Err(job);
            }
        }
        inner.note_length();
        Ok(call)
    }
}
