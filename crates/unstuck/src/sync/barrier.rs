//! Waiting until all have come.

use std::error::Error;
use std::fmt;
use std::sync::Arc;

use unstuck_core::sync::Mutex;

use super::budget::may_go_on;
use super::noted::awaited_as;
use crate::Deferred;

/// Waits until so many have come, then lets all of them go on: asyncio's `Barrier`. It can be used again and again.
///
/// Clones are the same barrier. Places are dealt in the order of coming; that of one who leaves goes to the next who
/// comes.
///
/// ```
/// use unstuck::sync::Barrier;
///
/// # unstuck::run(async {
/// let start = Barrier::new(3);
/// let runners: Vec<_> = (0..3).map(|_| {
///     let start = start.clone();
///     unstuck::spawn(async move { start.wait().await.unwrap() })
/// }).collect();
/// let mut places: Vec<_> = unstuck::gather(runners).await.into_iter().map(Result::unwrap).collect();
/// places.sort();
/// assert_eq!(places, [0, 1, 2]); // one of them is 0: it may do what is to be done once
/// # });
/// ```
///
/// # Cancellation
/// A wait that is dropped is not counted any more: the others wait for somebody else to come.
#[derive(Clone)]
pub struct Barrier(Arc<Mutex<State>>);

struct State {
    /// Which places are taken in this round.
    places: Vec<bool>,
    broken: bool,
    /// Those who wait now await clones of it. It is set when all have come, cancelled when the barrier breaks.
    round: Deferred<()>,
}

/// The barrier was [aborted](Barrier::abort), or [reset](Barrier::reset) while one waited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BrokenBarrier;

impl Barrier {
    /// One for so many.
    ///
    /// # Panics
    /// Panics when `parties` is zero: nobody could ever wait.
    #[track_caller]
    #[must_use]
    pub fn new(parties: usize) -> Self {
        assert!(parties > 0, "a barrier for nobody: give the number of those who wait for each other");
        let state = State { places: vec![false; parties], broken: false, round: Deferred::new() };
        Self(Arc::new(Mutex::new(state)))
    }

    /// Waits until all have come. Gives each one's place, from 0 on.
    ///
    /// # Cancellation
    /// Dropping the wait takes it back: one is missing again.
    ///
    /// # Errors
    /// The barrier is broken, or was reset meanwhile.
    pub async fn wait(&self) -> Result<usize, BrokenBarrier> {
        may_go_on().await;
        let (place, round) = {
            let mut state = self.0.lock();
            if state.broken {
                return Err(BrokenBarrier);
            }
            // Never none: when the last one is taken a new round begins.
            let place = state.places.iter().position(|taken| !taken).unwrap_or(0);
            state.places[place] = true;
            if state.waiting() == state.places.len() {
                let round = state.begin();
                drop(state);
                let _ = round.set_result(()); // nobody else ends a round that is not the present one
                return Ok(place);
            }
            (place, state.round.clone())
        };
        let _leaves = Leaves { barrier: self, round: round.clone(), place };
        awaited_as("barrier", round).await.map(|()| place).map_err(|_| BrokenBarrier)
    }

    /// Waits on a plain thread.
    ///
    /// # Errors
    /// As [`wait`](Self::wait).
    ///
    /// # Panics
    /// Panics inside async code, which it would stall: use [`wait`](Self::wait).
    #[track_caller]
    pub fn wait_blocking(&self) -> Result<usize, BrokenBarrier> {
        unstuck_core::wait_here("wait_blocking", self.wait())
    }

    /// Sends those who wait away with an error, and makes the barrier as new.
    pub fn reset(&self) {
        self.end_round(false);
    }

    /// Breaks the barrier: who waits, and who comes until a [`reset`](Self::reset), gets an error.
    pub fn abort(&self) {
        self.end_round(true);
    }

    fn end_round(&self, broken: bool) {
        let mut state = self.0.lock();
        state.broken = broken;
        let round = state.begin();
        drop(state);
        round.cancel();
    }

    /// How many it is for.
    #[must_use]
    pub fn parties(&self) -> usize {
        self.0.lock().places.len()
    }

    /// How many wait now: asyncio's `n_waiting`.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.0.lock().waiting()
    }

    /// True from [`abort`](Self::abort) to [`reset`](Self::reset).
    #[must_use]
    pub fn is_broken(&self) -> bool {
        self.0.lock().broken
    }
}

impl State {
    fn waiting(&self) -> usize {
        self.places.iter().filter(|taken| **taken).count()
    }

    /// A new round begins; gives the one that ends.
    fn begin(&mut self) -> Deferred<()> {
        self.places.fill(false);
        std::mem::take(&mut self.round)
    }
}

/// Whoever leaves while their round goes on is not counted any more.
struct Leaves<'a> {
    barrier: &'a Barrier,
    round: Deferred<()>,
    place: usize,
}

impl Drop for Leaves<'_> {
    fn drop(&mut self) {
        let mut state = self.barrier.0.lock();
        if state.round == self.round {
            state.places[self.place] = false;
        }
    }
}

impl fmt::Debug for Barrier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.0.lock();
        f.debug_struct("Barrier")
            .field("parties", &state.places.len())
            .field("waiting", &state.waiting())
            .field("broken", &state.broken)
            .finish()
    }
}

impl fmt::Display for BrokenBarrier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the barrier is broken, or was reset while this waited: reset() makes it usable again")
    }
}

impl Error for BrokenBarrier {}
