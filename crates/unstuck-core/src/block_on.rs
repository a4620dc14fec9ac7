//! Waiting for a future on a plain thread.
//!
//! The thread polls the future itself and sleeps in between. It is no worker: tasks never run here, so a task that
//! blocks cannot delay the future that the program waits for, and the future may borrow from the caller's stack.

use std::cell::Cell;
use std::future::Future;
use std::panic::Location;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use crate::context;
use crate::job::{self, Awaits, Lent};
use crate::sync::atomic::{AtomicU32, Ordering};
use crate::sync::{Instant, hint, patience, thread, thread_local};
use crate::task::{Cancelled, Canceller, Home};

const AWAKE: u32 = 0;
const ASLEEP: u32 = 1;
const WOKEN: u32 = 2;

/// So long a thread looks at the state before it sleeps: a wake-up through the kernel costs the waker 4–17 µs and takes 40 µs to
/// arrive (measured on 2 cores), and a longer look takes a core away from a worker. By the clock, because a pause takes 15 ns on one
/// server and 40 ns on the next.
const LOOK: Duration = Duration::from_micros(10);

/// It looks this often between two looks at the clock.
const SPINS: u32 = patience(8);

/// Rounds of these at most, for the case that the clock stands.
const ROUNDS: u32 = patience(1_000);

/// A thread that so many waits in a row outlasted looks only for a moment the next time: where other programs keep the cores
/// busy, or both sides share one, a look keeps whom we wait for from running.
const MISSES: u32 = 3;

/// Every so many waits it looks as long as ever: things may have changed.
const PROBE: u32 = 16;

thread_local! {
    /// How many waits of this thread in a row went on after it had looked.
    static MISSED: Cell<u32> = const { Cell::new(0) };
}

struct Signal {
    state: AtomicU32,
    thread: thread::Thread,
    home: Option<Arc<dyn Home>>,
}

impl Wake for Signal {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        // Release: pairs with the Acquire in `sleep`, after which the future is polled.
        if self.state.swap(WOKEN, Ordering::AcqRel) == ASLEEP {
            if let Some(home) = &self.home {
                home.outside_wakes();
            }
            self.thread.unpark();
        }
    }
}

impl Signal {
    /// Looks for a while whether a wake comes, which spares both sides the kernel.
    fn look(&self) {
        let missed = MISSED.with(Cell::get);
        let limit = if missed < MISSES || missed % PROBE == 0 { LOOK } else { Duration::ZERO };
        let start = Instant::now();
        for _ in 0..ROUNDS {
            for _ in 0..SPINS {
                // Acquire: pairs with the Release in `wake_by_ref`.
                if self.state.load(Ordering::Acquire) == WOKEN {
                    MISSED.with(|missed| missed.set(0));
                    return;
                }
                hint::spin_loop();
            }
            if start.elapsed() >= limit {
                break;
            }
        }
        MISSED.with(|count| count.set(missed.wrapping_add(1)));
    }

    /// Sleeps until woken; at once if woken since the last sleep. An error if the pool of this thread forbids it. `awaits`
    /// says for what.
    fn sleep(&self, awaits: impl FnOnce() -> Awaits) -> Result<(), String> {
        self.look();
        // On a pool's thread: another one may work meanwhile (job/host.rs).
        // Acquire: as above.
        let mut lent =
            if self.state.load(Ordering::Acquire) == AWAKE { Some(job::lend(awaits())?) } else { None };
        let mut forbidden = Ok(());
        // Acquire: as above.
        if self.state.compare_exchange(AWAKE, ASLEEP, Ordering::AcqRel, Ordering::Acquire).is_ok() {
            // After the exchange, not before: a waker between the two counts us awake early, never late.
            if let Some(home) = &self.home {
                home.outside_sleeps();
            }
            // Acquire: pairs with the Release in `wake_by_ref`.
            while self.state.load(Ordering::Acquire) == ASLEEP && forbidden.is_ok() {
                forbidden = park(lent.as_mut());
            }
        }
        // Acquire: pairs with the Release of a wake that came meanwhile; the poll that follows answers it.
        if self.state.swap(AWAKE, Ordering::Acquire) == ASLEEP {
            // Nobody woke us: the pool did not let us sleep on.
            if let Some(home) = &self.home {
                home.outside_wakes();
            }
        }
        forbidden
    }
}

/// Parks, for no longer than the pool of this thread has said; asks it then.
fn park(lent: Option<&mut Lent>) -> Result<(), String> {
    let Some((lent, patience)) = lent.and_then(|lent| lent.patience().map(|patience| (lent, patience)))
    else {
        thread::park();
        return Ok(());
    };
    let begun = Instant::now();
    thread::park_timeout(patience);
    if begun.elapsed() < patience { Ok(()) } else { lent.ask_again() }
}

/// Runs `future` to its end on this thread, as a part of `home`'s runtime.
#[track_caller]
pub(crate) fn block_on<F: Future>(
    home: Arc<dyn Home>,
    place: &'static Location<'static>,
    future: F,
) -> F::Output {
    uncancelled(block_on_with(home, place, &Canceller::new(), future))
}

/// As [`block_on`]; gives an error when the future was cancelled.
#[track_caller]
pub(crate) fn block_on_with<F: Future>(
    home: Arc<dyn Home>,
    place: &'static Location<'static>,
    canceller: &Canceller,
    future: F,
) -> Result<F::Output, Cancelled> {
    refuse_inside("block_on");
    match run(Some(home), place, canceller, future) {
        Ok(outcome) => outcome,
        Err(why) => panic!("block_on() would never return: {why}"),
    }
}

/// The value of a main future that nobody could cancel, but by resuming a cancellation that was somebody else's.
#[track_caller]
pub(crate) fn uncancelled<T>(outcome: Result<T, Cancelled>) -> T {
    outcome.unwrap_or_else(|cancelled| {
        panic!("the main future resumed a cancellation, and there is nobody to take it: {cancelled}")
    })
}

/// Blocks this thread until `future`, which belongs to whatever runtime, is ready. `call` is what the user called.
#[track_caller]
pub fn wait<F: Future>(call: &str, future: F) -> F::Output {
    match try_wait(call, future) {
        Ok(value) => value,
        Err(why) => panic!("{call}() would never return: {why}"),
    }
}

/// As [`wait`]; an error says why the pool that this thread works for cannot let it wait.
#[track_caller]
pub(crate) fn try_wait<F: Future>(call: &str, future: F) -> Result<F::Output, String> {
    refuse_inside(call);
    run(None, Location::caller(), &Canceller::new(), future).map(uncancelled)
}

fn run<F: Future>(
    home: Option<Arc<dyn Home>>,
    place: &'static Location<'static>,
    canceller: &Canceller,
    future: F,
) -> Result<Result<F::Output, Cancelled>, String> {
    let _outside = context::as_outside();
    let _awake = home.clone().map(AwakeOutside::new);
    let signal = Arc::new(Signal { state: AtomicU32::new(AWAKE), thread: thread::current(), home });
    let waker = Waker::from(signal.clone());
    let mut cx = Context::from_waker(&waker);
    let seen = signal.home.as_ref().and_then(|home| home.registry().outsiders().list(place, &waker));
    let mut future = pin!(Some(future));
    // Nobody else can end it.
    let mine = Arc::strong_count(canceller.main()) == 1;
    loop {
        let mut poll = || canceller.main().poll(future.as_mut(), &mut cx);
        let (polled, jobs) = job::noting(|| match &seen {
            None => poll(),
            Some(seen) => seen.around(poll),
        });
        if let Poll::Ready(outcome) = polled {
            return Ok(outcome);
        }
        signal.sleep(|| {
            // Ours, the waker's and the canceller's; then one in each job that was polled, and no other.
            let only_jobs = mine && !jobs.is_empty() && Arc::strong_count(&signal) == 3 + jobs.len();
            if only_jobs { Awaits::Jobs(jobs) } else { Awaits::Something }
        })?;
    }
}

/// Panics when this thread runs async code.
#[doc(hidden)]
#[track_caller]
pub fn refuse_inside(call: &str) {
    if context::is_inside() {
        let who =
            context::current_task().map_or("async code".into(), |task| format!("task '{}'", task.name()));
        panic!(
            "{call}() inside {who} would stall the thread that runs it: .await the future instead, or call {call}() \
             in a closure given to to_thread(..)"
        );
    }
}

/// Counts this thread as awake as long as it lives.
struct AwakeOutside(Arc<dyn Home>);

impl AwakeOutside {
    fn new(home: Arc<dyn Home>) -> Self {
        home.outside_wakes();
        Self(home)
    }
}

impl Drop for AwakeOutside {
    fn drop(&mut self) {
        self.0.outside_sleeps();
    }
}
