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

/// A throw that was taken and has not landed, where one may be: it waits for its own flight, and for others.
#[derive(Default)]
pub(super) struct Held(Option<Waiting>);

impl Held {
    pub(super) const fn new() -> Self {
        Self(None)
    }

    /// True if one is.
    pub(super) fn is_some(&self) -> bool {
        self.0.is_some()
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
        let cancelled = match (&mut self.0, thrown) {
            (None, thrown) => thrown?,
            (Some(waiting), more) => {
                if let Some(more) = more {
                    waiting.meet(more, frames.depth_of(scope), cx);
                }
                if !waiting.is_over(frames, cx) {
                    return None;
                }
                waiting.another()
            }
        };
        // All who were told have answered. Is there anybody new?
        if hidden {
            frames.expose();
        }
        let rest = frames.tell_rest(owner.as_task(), scope, cancelled.flight());
        if !(hidden || rest.told) && rest.flights.is_empty() {
            self.0 = None;
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
        match &mut self.0 {
            Some(waiting) => {
                if !waiting.looks_again(cx) {
                    self.0 = None;
                    return Some(cancelled);
                }
                drop(cancelled); // one more part of what waits
            }
            None => {
                self.0 = Waiting::begin(cancelled, depth, cx);
                cx.waker().wake_by_ref(); // what hides comes to light in the next poll
            }
        }
        let waiting = self.0.as_mut()?;
        for flight in &rest.flights {
            waiting.meet(flight.part(), depth, cx);
        }
        None
    }
}
