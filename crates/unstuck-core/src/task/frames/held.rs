//! Taking a throw: what a frame, or the task itself, does with a cancellation that comes out of what is inside of it.
//!
//! It lands there, and what is inside is dropped. But siblings of whoever threw it may have opened frames that do not
//! know of it yet: before the throw, or after it in the same poll, or as joins that hide. Those are told first, as parts
//! of the same flight, and the throw is *held*: it waits for them as it waited for the parts it began with.

//!
//! Others may be in the middle of another flight, of a second request for example. Then the throw waits for that one, too:
//! what is inside is dropped when all that was begun there has ended.

use std::task::Context;

use super::Owner;
use super::flight::{Cancelled, Waiting};
use super::owner::Rest;
use super::tree::Key;

/// A throw that was taken and has not landed, where one may be.
#[derive(Default)]
pub(super) struct Held {
    /// What it waits for, its own flight first.
    waits: Vec<Waiting>,
}

impl Held {
    pub(super) const fn new() -> Self {
        Self { waits: Vec::new() }
    }

    /// True if one is.
    pub(super) fn is_some(&self) -> bool {
        !self.waits.is_empty()
    }

    /// After a poll of what is inside `scope`, which returned pending, and in which this was `thrown`: the cancellation, if
    /// it lands now. `hidden`: there are joins inside that are no frames yet.
    pub(super) fn take(
        &mut self,
        thrown: Option<Cancelled>,
        (owner, scope): (&Owner, Key),
        hidden: bool,
        cx: &Context<'_>,
    ) -> Option<Cancelled> {
        let frames = owner.frames();
        let cancelled = match thrown {
            Some(cancelled) if self.waits.is_empty() => cancelled,
            more => {
                drop(more); // all of them end in one cancellation of what is inside
                let over = self.waits.iter_mut().all(|wait| wait.is_over(frames, cx));
                self.waits.first().filter(|_| over)?.another()
            }
        };
        // All who were told have answered. Is there anybody new?
        if hidden {
            frames.expose();
        }
        let rest = frames.tell_rest(owner.as_task(), scope, cancelled.flight());
        if !(hidden || rest.told) && rest.flights.is_empty() {
            self.waits.clear();
            return Some(cancelled);
        }
        self.wait(cancelled, &rest, frames.depth_of(scope), cx)
    }

    /// Waits for these as well; gives the cancellation back if it has waited often enough.
    fn wait(
        &mut self,
        cancelled: Cancelled,
        rest: &Rest,
        depth: usize,
        cx: &Context<'_>,
    ) -> Option<Cancelled> {
        if let Some(first) = self.waits.first_mut() {
            if !first.looks_again(cx) {
                self.waits.clear();
                return Some(cancelled);
            }
        } else {
            self.waits.push(Waiting::begin(cancelled, depth, cx)?);
            cx.waker().wake_by_ref(); // what hides comes to light in the next poll
        }
        let others = rest.flights.iter().filter_map(|flight| Waiting::begin(flight.part(), depth, cx));
        self.waits.extend(others);
        None
    }
}
