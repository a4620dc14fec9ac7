//! Which tasks have waited in a slot for long enough to be stolen.
//!
//! A task in a slot is about to run on a warm core: taking it at once would turn every ping-pong into a quarrel
//! between two cores. It may be taken when its worker has not begun a new poll between two looks: then that worker is
//! busy with something long. Two looks a search are enough, because a look takes the line away from its owner.
//!
//! A poll may begin between the two, push into its slot, wake nobody because somebody searches, and block. So a searcher that
//! leaves such a slot behind searches once more. Without that one such task in sixty waited for the guard, 5 ms.

use super::worker::Worker;
use crate::sync::patience;
use crate::task::Runnable;

/// What a thief has seen of the others' slots in one search.
pub(super) struct Ages {
    /// Where each worker was at the first look.
    polls: Vec<u64>,
}

/// The round in which a search looks at the slots for the first time; the second time is its end. A glance is over before.
pub(super) const FIRST_LOOK: u32 = patience(64) / 4;

/// Who converses begins hundreds of polls in the length of a search, and would be disturbed by another one.
const FEW: u64 = 16;

impl Ages {
    pub(super) fn new() -> Self {
        Self { polls: Vec::new() }
    }

    /// Looks for the first time, from now on.
    pub(super) fn look(&mut self, thief: &Worker) {
        self.polls.clear();
        self.polls.extend(thief.seats().iter().map(|remote| remote.pulse.beat.polls()));
    }

    /// True after the first look.
    pub(super) fn have_begun(&self) -> bool {
        !self.polls.is_empty()
    }

    /// True if a task lies in a slot whose worker has begun but a few polls since the first look: the present one
    /// may be long. (What has aged was taken before this is asked.)
    pub(super) fn seem_young(&self, thief: &Worker) -> bool {
        thief.seats().iter().enumerate().any(|(nth, remote)| {
            let since = self.polls.get(nth).map_or(FEW, |&polls| remote.pulse.beat.polls() - polls);
            since < FEW && !remote.pulse.slot.is_empty()
        })
    }

    /// Looks for the second time, if it has looked before: gives what has aged.
    pub(super) fn aged(&self, thief: &Worker) -> Option<Runnable> {
        thief.seats().iter().zip(&self.polls).find_map(|(remote, &polls)| {
            let stands_still = remote.pulse.beat.polls() == polls;
            if stands_still { remote.pulse.steal() } else { None }
        })
    }
}
