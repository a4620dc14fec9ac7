//! Timers: what it costs to arm one that never fires, and how late those are that do.

use super::{Visitor, Workload, time_here, time_in_task};
use crate::kit::channel::Latch;
use crate::kit::spread::Spread;
use crate::rt::{Rt, in_task};
use std::future::{Future, pending, poll_fn};
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

/// The group `timer`.
pub fn all(visitor: &mut impl Visitor) {
    visitor.visit::<ArmAndCancel>();
    visitor.visit::<ArmLaterAndCancel>();
    visitor.visit::<Timeout>();
    visitor.visit::<ArmManyAndCancel>();
    visitor.visit::<TimeoutsOneByOne>();
    visitor.visit::<TimeoutsAtOnce>();
    visitor.visit::<CancelSleeping>();
    visitor.visit::<SleepOne>();
}

const FAR: Duration = Duration::from_secs(10);

/// Polls once, which arms a timer.
fn arm(sleep: Pin<&mut impl Future<Output = ()>>, cx: &mut Context<'_>) {
    assert!(sleep.poll(cx).is_pending(), "its time is not over yet");
}

/// A sleep of some seconds is made, polled once, dropped; then the next, of another length. There is no other timer, so a
/// runtime that sleeps until the next one may have to be told of each.
pub struct ArmAndCancel;

impl Workload for ArmAndCancel {
    const NAME: &'static str = "arm and cancel a timer";
    const OPS: u64 = 1_000;

    fn measure<R: Rt>(rt: &R, rounds: u64) -> Duration {
        time_in_task(rt, rounds, arm_and_cancel::<R>)
    }
}

/// The same while a timer waits that comes before all of them: nobody has to be told of any.
pub struct ArmLaterAndCancel;

impl Workload for ArmLaterAndCancel {
    const NAME: &'static str = "arm and cancel, an earlier one waits";
    const OPS: u64 = 1_000;

    fn measure<R: Rt>(rt: &R, rounds: u64) -> Duration {
        time_in_task(rt, rounds, || async {
            let mut earlier = pin!(R::sleep(Duration::from_millis(900)));
            repeat::<R>(1, |cx| arm(earlier.as_mut(), cx)).await;
            arm_and_cancel::<R>().await;
        })
    }
}

async fn arm_and_cancel<R: Rt>() {
    let mut lengths = (1_000..60_000).step_by(7_919).cycle();
    let mut next = || Duration::from_millis(lengths.next().unwrap_or(0));
    repeat::<R>(ArmAndCancel::OPS, |cx| arm(pin!(R::sleep(next())), cx)).await;
}

/// A time limit of 10 s around something that takes one turn: the limit is armed, and not reached.
pub struct Timeout;

impl Workload for Timeout {
    const NAME: &'static str = "timeout around a yield";
    const OPS: u64 = 1_000;

    fn measure<R: Rt>(rt: &R, rounds: u64) -> Duration {
        time_in_task(rt, rounds, || async {
            for _ in 0..Self::OPS {
                assert!(R::timeout(FAR, R::yield_now()).await.is_some());
            }
        })
    }
}

/// 1,000,000 sleeps of 10 s armed at once (each in a box), then all dropped.
pub struct ArmManyAndCancel;

impl Workload for ArmManyAndCancel {
    const NAME: &'static str = "1,000,000 timers at once, dropped";
    const OPS: u64 = 1_000_000;
    const BUDGET: Duration = Duration::from_millis(200);

    fn measure<R: Rt>(rt: &R, rounds: u64) -> Duration {
        time_in_task(rt, rounds, || async {
            let mut armed = Vec::with_capacity(1_000_000);
            let more = |cx: &mut Context<'_>| {
                let mut sleep = Box::pin(R::sleep(FAR));
                arm(sleep.as_mut(), cx);
                armed.push(sleep);
            };
            repeat::<R>(Self::OPS, more).await;
        })
    }
}

/// A time limit of 10 s around something that never comes.
fn bounded<R: Rt>() -> impl Future<Output = Option<()>> + Send {
    R::timeout(FAR, pending())
}

/// Calls `step` as often as told, with the task's own waker, and gives way every hundred times.
///
/// No poll should last; and what is more, tokio arms 128 timers in a poll and no more: from then on its cooperative
/// budget is used up, and its `sleep` says "not yet" without a timer.
async fn repeat<R: Rt>(times: u64, mut step: impl FnMut(&mut Context<'_>) + Send) {
    for begun in (0..times).step_by(100) {
        poll_fn(|cx| {
            (begun..times.min(begun + 100)).for_each(|_| step(cx));
            Poll::Ready(())
        })
        .await;
        if begun > 0 {
            R::yield_now().await;
        }
    }
}

/// 1,000,000 timeouts, each made, polled once and dropped before the next.
pub struct TimeoutsOneByOne;

impl Workload for TimeoutsOneByOne {
    const NAME: &'static str = "1,000,000 timeouts, one by one";
    const OPS: u64 = 1_000_000;
    const BUDGET: Duration = Duration::from_millis(200);

    fn measure<R: Rt>(rt: &R, rounds: u64) -> Duration {
        in_task(
            rt,
            time_here(rounds, || {
                repeat::<R>(Self::OPS, |cx| assert!(pin!(bounded::<R>()).poll(cx).is_pending()))
            }),
        )
    }
}

/// 1,000,000 timeouts (each in a box), all made and polled once before the first is dropped.
pub struct TimeoutsAtOnce;

impl Workload for TimeoutsAtOnce {
    const NAME: &'static str = "1,000,000 timeouts at once, dropped";
    const OPS: u64 = 1_000_000;
    const BUDGET: Duration = Duration::from_millis(200);

    fn measure<R: Rt>(rt: &R, rounds: u64) -> Duration {
        time_in_task(rt, rounds, || async {
            let mut waiting = Vec::with_capacity(1_000_000);
            let more = |cx: &mut Context<'_>| {
                let mut one = Box::pin(bounded::<R>());
                assert!(one.as_mut().poll(cx).is_pending());
                waiting.push(one);
            };
            repeat::<R>(Self::OPS, more).await;
        })
    }
}

/// 100,000 tasks sleep; a task cancels them. Measured until the last of their futures, and so its timer, is gone.
pub struct CancelSleeping;

impl CancelSleeping {
    const TASKS: usize = 100_000;

    /// Spawns the sleepers, and waits until all their timers are armed.
    async fn sleepers<R: Rt>(gone: &Latch) -> Vec<R::Task<()>> {
        let armed = Latch::new(Self::TASKS);
        let sleeper = |_| {
            let (armed, gone) = (armed.clone(), CountOnDrop(gone.clone()));
            R::spawn(async move {
                let _gone = gone;
                let mut nap = pin!(R::sleep(FAR));
                repeat::<R>(1, |cx| assert!(nap.as_mut().poll(cx).is_pending())).await;
                armed.count_down();
                nap.await;
            })
        };
        let tasks = (0..Self::TASKS).map(sleeper).collect();
        armed.wait().await;
        tasks
    }
}

struct CountOnDrop(Latch);

impl Drop for CountOnDrop {
    fn drop(&mut self) {
        self.0.count_down();
    }
}

impl Workload for CancelSleeping {
    const NAME: &'static str = "cancel 100,000 sleeping";
    const OPS: u64 = Self::TASKS as u64;
    const BUDGET: Duration = Duration::from_millis(200);

    fn measure<R: Rt>(rt: &R, rounds: u64) -> Duration {
        in_task(rt, async move {
            let mut took = Duration::ZERO;
            for _ in 0..rounds {
                let gone = Latch::new(Self::TASKS);
                let tasks = Self::sleepers::<R>(&gone).await;
                let start = Instant::now();
                tasks.into_iter().for_each(R::cancel);
                gone.wait().await;
                took += start.elapsed();
            }
            took
        })
    }
}

/// One sleep of 1 ms after another: the figure is how long each really takes.
pub struct SleepOne;

impl Workload for SleepOne {
    const NAME: &'static str = "sleep 1 ms";
    const OPS: u64 = 1;

    fn measure<R: Rt>(rt: &R, rounds: u64) -> Duration {
        time_in_task(rt, rounds, || async { R::sleep(Duration::from_millis(1)).await })
    }
}

/// How late a task wakes from sleeps of 1 ms, one after another.
pub fn lateness_of_one<R: Rt>(rt: &R, sleeps: usize) -> Spread {
    let times = in_task(rt, async move {
        let mut times = Vec::with_capacity(sleeps);
        for _ in 0..sleeps {
            let due = Instant::now() + Duration::from_millis(1);
            R::sleep(Duration::from_millis(1)).await;
            times.push(due.elapsed());
        }
        times
    });
    Spread::new(times)
}

/// How late 100,000 tasks wake whose sleeps all end within the same 100 ms.
///
/// Every task waits for its own moment, spread evenly and in no order, in a span that begins once all timers are
/// armed.
///
/// # Panics
/// Panics when arming them took so long that the span had begun.
pub fn lateness_in_a_storm<R: Rt>(rt: &R) -> Spread {
    const SLEEPERS: u64 = 100_000;
    let times = in_task(rt, async {
        let begin = Instant::now() + Duration::from_secs(1);
        let armed = Latch::new(SLEEPERS as usize);
        let sleeper = |nth: u64| {
            // 7919 is prime and no divisor of 100,000: every microsecond of the span is hit once.
            let due = begin + Duration::from_micros(nth * 7_919 % SLEEPERS);
            let armed = armed.clone();
            R::spawn(async move {
                let mut sleep = pin!(R::sleep(due.saturating_duration_since(Instant::now())));
                arm(sleep.as_mut(), &mut Context::from_waker(Waker::noop()));
                armed.count_down();
                sleep.await;
                due.elapsed()
            })
        };
        let sleepers: Vec<_> = (0..SLEEPERS).map(sleeper).collect();
        armed.wait().await;
        assert!(Instant::now() < begin, "{} had not armed all timers before the first was due", R::NAME);
        let mut times = Vec::with_capacity(sleepers.len());
        for sleeper in sleepers {
            times.push(sleeper.await);
        }
        times
    });
    Spread::new(times)
}
