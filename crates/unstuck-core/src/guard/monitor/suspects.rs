//! Who is served last while something is stuck.
//!
//! When a thousand tasks of one kind are spawned and each of them blocks, rescue alone is not enough: what was rescued
//! would wait its turn behind hundreds that block as well. So the monitor remembers the places in the source whose tasks
//! have stalled lately. Tasks from such a place, when they have to be moved, go to a queue of their own, which workers
//! serve when there is nothing else to do (and now and then all the same, so that nobody starves).

use std::time::{Duration, Instant};

use super::Place;

/// A place is suspect when its tasks have stalled this often …
const SUSPICIOUS: u32 = 2;

/// … and the last time no longer ago than this.
const GRUDGE: Duration = Duration::from_secs(1);

/// The places whose tasks stalled lately.
#[derive(Default)]
pub(super) struct Suspects(Vec<(Place, u32, Instant)>);

impl Suspects {
    /// True if it is suspect now and was not before.
    pub(super) fn note(&mut self, place: Place, now: Instant) -> bool {
        self.0.retain(|&(_, _, last)| now - last < GRUDGE);
        match self.0.iter_mut().find(|(other, _, _)| *other == place) {
            Some((_, stalls, last)) => {
                (*stalls, *last) = (*stalls + 1, now);
                *stalls == SUSPICIOUS
            }
            None => {
                self.0.push((place, 1, now));
                false
            }
        }
    }

    pub(super) fn are_none(&self) -> bool {
        self.0.iter().all(|&(_, stalls, _)| stalls < SUSPICIOUS)
    }

    pub(super) fn contain(&self, place: Place, now: Instant) -> bool {
        self.0
            .iter()
            .any(|&(other, stalls, last)| other == place && stalls >= SUSPICIOUS && now - last < GRUDGE)
    }
}

/// When the tasks that nobody has taken are sorted: a look at each of them takes 45 ns, and there may be 100,000.
#[derive(Default)]
pub(super) struct Sorting {
    /// Ticks until the next time.
    pub(super) wait: u32,
    /// Ticks from the last time to the next.
    pause: u32,
}

/// The longest pause: with 100,000 tasks a tenth of the monitor's time.
const LONGEST_PAUSE: u32 = 16;

impl Sorting {
    /// It found so many: twice as long a pause after it was for nothing.
    pub(super) fn found(&mut self, suspects: usize) {
        self.pause = if suspects > 0 { 1 } else { (2 * self.pause).clamp(1, LONGEST_PAUSE) };
        self.wait = self.pause;
    }
}

#[cfg(test)]
mod tests {
    use std::panic::Location;

    use super::*;

    #[test]
    fn a_place_is_suspect_from_its_second_stall_until_it_has_been_good_for_a_while() {
        let (here, there) = (place(), place());
        let (mut suspects, now) = (Suspects::default(), Instant::now());
        assert!(!suspects.note(here, now));
        assert!(!suspects.contain(here, now) && suspects.are_none());
        assert!(suspects.note(here, now) && !suspects.note(here, now));
        assert!(suspects.contain(here, now) && !suspects.contain(there, now));
        assert!(!suspects.contain(here, now + GRUDGE));
        suspects.note(there, now + GRUDGE);
        assert_eq!(suspects.0.len(), 1, "what is forgiven is forgotten");
    }

    #[track_caller]
    fn place() -> Place {
        Location::caller()
    }
}
