//! [`sleep()`]: waiting for a while.
//!
//! ```text
//!              sleep(d), in a runtime            sleep(d), outside of one       sleep(ZERO)
//!                     │                                 │                            │
//!                     ▼           first poll            ▼                            ▼
//!   reset ────────► Fresh ◄──────────────────────── Homeless                       Yield
//!     ▲               │ first poll                                                   │ first poll: wakes itself
//!     │               ├───── already passed ─────► Over ◄────────────────────────────┘
//!     │               ▼                             ▲
//!     └──────────── Armed ──────── fired ───────────┘
//! ```
//! `Armed` is one state for the sleep and two for its timer: it is *fresh*, a note on the thread that polled (fresh.rs),
//! until that poll ends, and hangs in the wheel from then on. Which of the two, the thread knows. Dropping an armed sleep strikes
//! out the note, or takes the timer, and the waker in it, out of the wheel.
//!
//! # Two looks at the clock, not four
//! Looking at the clock costs more than arming a timer. A relative sleep looks once, when it is created; whether its
//! deadline has passed after that is for the driver to say. Only a sleep until a given instant looks when it is first
//! polled, since that instant may have been in the past all along.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use unstuck_core::guard;
use unstuck_core::inspect::{self, Await, On};

use crate::fresh::{self, Ticket};
use crate::handle::NoTimer;
use crate::instant::{Instant, nanos};
use crate::shared::{Armed, Home, Seen};
use crate::wheel::{Key, Moved};

/// Waits for `duration`; other tasks run meanwhile.
///
/// Time counts from this call, or from the first poll if the call is made outside of a runtime. `sleep(Duration::ZERO)`
/// makes exactly one trip through the ready queue; `sleep(Duration::MAX)` waits for ever.
///
/// ```no_run
/// # use std::time::Duration;
/// # use unstuck_time::sleep;
/// # async fn example() {
/// sleep(Duration::from_millis(100)).await;
/// let word = sleep(Duration::from_secs(1)).with("rested").await;
/// # }
/// ```
///
/// # Cancellation
/// Dropping it removes its timer; nothing is lost.
///
/// # Panics
/// When polled first on a thread that is in no runtime, or pending while its runtime shuts down.
#[inline]
pub fn sleep(duration: Duration) -> Sleep {
    Sleep::relative(duration, Home::here())
}

/// Waits until `deadline`; ready at once if that has passed.
///
/// # Cancellation
/// Dropping it removes its timer; nothing is lost.
///
/// # Panics
/// When polled first on a thread that is in no runtime, or pending while its runtime shuts down.
pub fn sleep_until(deadline: Instant) -> Sleep {
    Sleep::absolute(deadline, Home::here().map(|(home, _)| home))
}

/// The future of [`sleep()`] and [`sleep_until`]. 48 bytes, without an allocation or a shared pointer.
#[must_use = "a sleep does nothing unless you .await it"]
pub struct Sleep {
    /// The runtime's number; with `shard` the sleep's [`Home`].
    runtime: u64,
    /// In nanoseconds; a duration while the sleep is `Homeless`.
    deadline: u64,
    /// With `index` the timer's [`Key`] while `Armed`, with `place` its [`Ticket`].
    number: u64,
    /// Whom the timer would wake, while `Armed`.
    wakes: Wakes,
    index: u32,
    shard: u16,
    place: u8,
    state: State,
}

/// A waker's identity, to be compared as long as that waker is kept in the wheel.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Wakes {
    data: usize,
    vtable: usize,
}

impl Wakes {
    const NOBODY: Self = Self { data: 0, vtable: 0 };

    #[inline]
    fn of(waker: &Waker) -> Self {
        Self { data: waker.data().addr(), vtable: std::ptr::from_ref(waker.vtable()).addr() }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Relative, created outside of any runtime: time counts from the first poll.
    Homeless,
    /// Until an instant, created outside of any runtime.
    HomelessUntil,
    /// Not armed yet; the deadline lay in the future when it was made.
    Fresh,
    /// Not armed yet; nobody has compared the deadline with the clock.
    FreshUntil,
    /// Zero: one trip through the ready queue.
    Yield,
    Armed,
    Over,
}

impl Sleep {
    #[inline]
    pub(crate) fn relative(duration: Duration, here: Option<(Home, Instant)>) -> Self {
        let (home, deadline, state) = match here {
            Some((home, now)) => (home, (now + duration).as_nanos(), State::Fresh),
            None => (Home::NOWHERE, nanos(duration), State::Homeless),
        };
        Self::new(home, deadline, if duration.is_zero() { State::Yield } else { state })
    }

    #[inline]
    pub(crate) fn absolute(deadline: Instant, home: Option<Home>) -> Self {
        let (home, state) = match home {
            Some(home) => (home, State::FreshUntil),
            None => (Home::NOWHERE, State::HomelessUntil),
        };
        Self::new(home, deadline.as_nanos(), state)
    }

    #[inline]
    fn new(home: Home, deadline: u64, state: State) -> Self {
        let Home { id: runtime, shard } = home;
        Self { runtime, deadline, number: 0, wakes: Wakes::NOBODY, index: 0, shard, place: 0, state }
    }

    /// The same sleep, giving `value` at its end; asyncio's `sleep(delay, result)`.
    pub fn with<T>(self, value: T) -> SleepWith<T> {
        SleepWith { sleep: self, value: Some(value) }
    }

    /// When it ends. For a sleep that waits for its first poll to start: when it would end if that came now.
    pub fn deadline(&self) -> Instant {
        match self.state {
            State::Homeless => Instant::now() + Duration::from_nanos(self.deadline),
            State::Yield if self.runtime == 0 => Instant::now(),
            _ => Instant::from_nanos(self.deadline),
        }
    }

    /// True if it has ended: the next poll is ready.
    pub fn is_elapsed(&self) -> bool {
        match self.state {
            State::Over => true,
            State::Homeless | State::Yield => false,
            State::HomelessUntil => Instant::now().as_nanos() >= self.deadline,
            State::Fresh | State::FreshUntil | State::Armed => {
                self.home().with(|shared| shared.clock.now().as_nanos() >= self.deadline).unwrap_or(false)
            }
        }
    }

    /// Sets a new deadline, also for a sleep that has ended. A task that waits for it need not poll it again.
    pub fn reset(&mut self, deadline: Instant) {
        let moved = self.displace(deadline.as_nanos());
        self.deadline = deadline.as_nanos();
        self.state = if self.runtime == 0 { State::HomelessUntil } else { State::FreshUntil };
        match moved {
            Moved::Gone => {}
            Moved::Out(waker) => {
                if let Err(Due(waker)) = self.arm(waker) {
                    waker.wake(); // nobody polls: the driver has passed the new deadline already
                }
            }
            // Also if it is over: at the end of the poll in which it was armed the timer is due, and wakes who waits.
            Moved::Noted => self.state = if self.is_elapsed() { State::Over } else { State::Armed },
        }
    }

    /// Gives the timer another deadline, or takes it out.
    fn displace(&self, deadline: u64) -> Moved {
        if self.state != State::Armed {
            return Moved::Gone;
        }
        if fresh::displace(self.home(), self.ticket(), deadline) {
            return Moved::Noted;
        }
        let displaced = self.home().with(|shared| shared.displace(self.shard, self.key(), deadline));
        displaced.unwrap_or(Moved::Gone)
    }

    fn home(&self) -> Home {
        Home { id: self.runtime, shard: self.shard }
    }

    fn key(&self) -> Key {
        Key { number: self.number, index: self.index }
    }

    fn ticket(&self) -> Ticket {
        Ticket { key: self.key(), place: self.place }
    }

    /// Finds the runtime that a sleep created outside of one is polled in.
    #[cold]
    fn settle(&mut self) {
        let Some((home, now)) = Home::here() else { panic!("{}", NoTimer(())) };
        (self.runtime, self.shard) = (home.id, home.shard);
        if self.state == State::Homeless {
            self.deadline = (now + Duration::from_nanos(self.deadline)).as_nanos();
            self.state = State::Fresh;
        } else {
            self.state = State::FreshUntil;
        }
    }

    #[inline]
    fn first_poll(&mut self, cx: &Context<'_>) -> Poll<()> {
        let looks = self.state == State::FreshUntil;
        if let Some(ticket) = fresh::arm(self.home(), self.deadline, looks, cx.waker()) {
            (self.number, self.index, self.place) = (ticket.key.number, ticket.key.index, ticket.place);
            self.wakes = Wakes::of(cx.waker());
            self.state = State::Armed;
            return Poll::Pending;
        }
        match self.arm(cx.waker().clone()) {
            Ok(()) => Poll::Pending,
            Err(Due(_)) => Poll::Ready(()),
        }
    }

    /// Hangs the timer into the wheel. Ends as `Armed`, or as `Over` with the waker given back.
    fn arm(&mut self, waker: Waker) -> Result<(), Due> {
        fresh::make_way();
        let (shard, deadline, looks) = (self.shard, self.deadline, self.state == State::FreshUntil);
        self.wakes = Wakes::of(&waker);
        match self.home().with(|shared| shared.arm(shard, deadline, looks, waker)) {
            Some(Armed::Hung(key)) => {
                (self.number, self.index) = (key.number, key.index);
                self.state = State::Armed;
                Ok(())
            }
            Some(Armed::Due(waker)) => {
                self.state = State::Over;
                Err(Due(waker))
            }
            Some(Armed::ShutDown) | None => shut_down(),
        }
    }

    fn poll_again(&mut self, cx: &Context<'_>) -> Poll<()> {
        let (shard, key, deadline) = (self.shard, self.key(), self.deadline);
        // The lock is for those who must know; nearly always nothing has happened.
        let same = self.wakes == Wakes::of(cx.waker());
        if same && self.home().with(|shared| shared.still_waits(shard, deadline)) == Some(true) {
            return Poll::Pending;
        }
        match self.home().with(|shared| shared.look(shard, key, deadline, cx.waker())) {
            Some(Seen::Waiting) => Poll::Pending,
            Some(Seen::Loose) if same => Poll::Pending,
            Some(Seen::Loose) => {
                drop(self.disarm());
                self.first_poll(cx)
            }
            Some(Seen::Fired) => {
                inspect::gone(self.note());
                self.state = State::Over;
                Poll::Ready(())
            }
            Some(Seen::OtherWaker) => {
                // The waker is cloned and the old one dropped outside of the lock: both are foreign code.
                let waker = cx.waker().clone();
                self.wakes = Wakes::of(&waker);
                let unused = self.home().with(|shared| shared.replace_waker(shard, key, waker));
                drop(unused);
                Poll::Pending
            }
            Some(Seen::ShutDown) | None => {
                self.state = State::FreshUntil;
                shut_down()
            }
        }
    }

    /// Tells this sleep from others, for those who look at what awaits what.
    fn note(&self) -> usize {
        std::ptr::from_ref(self).addr()
    }

    /// Takes the timer out of the wheel; its waker if it had not fired.
    #[inline]
    fn disarm(&mut self) -> Option<Waker> {
        if self.state != State::Armed {
            return None;
        }
        self.state = State::FreshUntil;
        if fresh::cancel(self.home(), self.ticket()) {
            return None;
        }
        fresh::take_out(self.home(), self.key())
    }
}

/// The driver has passed the deadline: nobody will use this waker.
struct Due(Waker);

#[cold]
fn shut_down() -> ! {
    panic!(
        "the runtime that owns this timer has shut down: a sleep must not outlive the Runtime it was created in"
    )
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if matches!(self.state, State::Homeless | State::HomelessUntil) {
            self.settle();
        }
        let polled = match self.state {
            State::Armed => self.poll_again(cx),
            State::Over => Poll::Ready(()),
            State::Yield => {
                self.state = State::Over;
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            _ => self.first_poll(cx),
        };
        if self.state == State::Armed {
            let until = On::Moment(Duration::from_nanos(self.deadline));
            inspect::pending(cx, self.note(), || Await::new("sleep", until));
        }
        // It stays over, so it can say so later.
        if polled.is_ready() { guard::proceed(cx) } else { polled }
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        if self.state == State::Armed {
            inspect::gone(self.note());
        }
        drop(self.disarm());
    }
}

impl fmt::Debug for Sleep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sleep").field("deadline", &self.deadline()).field("state", &self.state).finish()
    }
}

/// The future of [`Sleep::with`].
#[derive(Debug)]
#[must_use = "a sleep does nothing unless you .await it"]
pub struct SleepWith<T> {
    sleep: Sleep,
    value: Option<T>,
}

/// The value is only moved, never polled.
impl<T> Unpin for SleepWith<T> {}

impl<T> Future for SleepWith<T> {
    type Output = T;

    /// # Panics
    /// When polled again after it gave its value.
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        ready!(Pin::new(&mut self.sleep).poll(cx));
        match self.value.take() {
            Some(value) => Poll::Ready(value),
            None => panic!("a sleep(..).with(value) was polled again after it gave its value"),
        }
    }
}
