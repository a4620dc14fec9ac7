//! Polls that do not come back: what happens to everyone else meanwhile?
//!
//! Each scenario here makes workers stick in a poll, on purpose and in a known order, and gives what the others saw of
//! it: a heart (`kit/heart.rs`), a thousand short tasks, a task that was woken by the very poll that then blocks.
//!
//! *Every worker* is meant literally, so the tasks that hold the workers meet first (`Meeting`): a scenario in which
//! one worker happened to stay free says nothing, and is played again.

use crate::kit::channel::Mailbox;
use crate::kit::heart::Heart;
use crate::kit::process;
use crate::kit::spread::Spread;
use crate::rt::{Rt, in_task};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

/// Between two beats of the heart beside the scenarios, but for the first one.
const BEAT: Duration = Duration::from_millis(1);

/// What a poll does instead of coming back.
#[derive(Clone, Copy, Debug)]
pub enum Hold {
    /// Sits in a call that waits.
    Sleeps,
    /// Uses the processor until the time is over.
    Spins,
}

impl Hold {
    fn on(self, time: Duration) {
        match self {
            Self::Sleeps => thread::sleep(time),
            Self::Spins => {
                let start = Instant::now();
                while start.elapsed() < time {
                    std::hint::spin_loop();
                }
            }
        }
    }
}

/// So many polls wait for each other, each on a worker of its own.
#[derive(Clone)]
struct Meeting {
    missing: Arc<AtomicUsize>,
}

/// A worker that is free takes a task from another within a few microseconds; on a busy machine, within a few turns.
const PATIENCE: Duration = Duration::from_millis(20);

impl Meeting {
    fn of(polls: usize) -> Self {
        Self { missing: Arc::new(AtomicUsize::new(polls)) }
    }

    /// Waits, in this poll, until all are here. False if they were not in time.
    fn meet(&self) -> bool {
        // Relaxed: the count carries nothing but itself.
        self.missing.fetch_sub(1, Relaxed);
        let start = Instant::now();
        while self.missing.load(Relaxed) > 0 {
            if start.elapsed() > PATIENCE {
                return false;
            }
            thread::yield_now();
        }
        true
    }
}

/// Plays a scenario until it came about as meant; the last try counts as it is.
fn as_meant<T>(mut play: impl FnMut() -> (bool, T)) -> T {
    const TRIES: u32 = 10;
    for _ in 1..TRIES {
        if let (true, seen) = play() {
            return seen;
        }
    }
    play().1
}

/// A task sleeps as it should, wakes, and then holds its worker for `time`; a ticker of 5 ms runs beside it. The longest
/// time between two ticks.
///
/// The worker that wakes it is often the one that waited for the timers: then nobody watches them any more.
pub fn one_worker_sleeps<R: Rt>(rt: &R, time: Duration) -> Duration {
    const TICK: Duration = Duration::from_millis(5);
    in_task(rt, async move {
        let ticker = Heart::<R>::start(TICK).await;
        R::spawn(async move {
            R::sleep(4 * TICK).await;
            Hold::Sleeps.on(time);
        })
        .await;
        TICK + ticker.stop().await.max()
    })
}

/// Tasks that are done at once when they get a thread.
const SHORT: usize = 1_000;

/// Timers that end while the workers are held.
const TIMERS: usize = 100;

/// What the others saw of a time in which every worker was held.
pub struct Seen {
    /// The longest time between two beats of a heart of 1 ms.
    pub gap: Duration,
    /// From the moment when all workers were held until 1,000 short tasks were done, which those polls had spawned.
    pub short: Duration,
}

/// Every worker is held for `time` by a poll that has spawned its share of 1,000 short tasks; 100 timers end meanwhile.
pub fn every_worker<R: Rt>(rt: &R, workers: usize, hold: Hold, time: Duration) -> Seen {
    as_meant(|| {
        in_task(rt, async move {
            let heart = Heart::<R>::start(BEAT).await;
            let timers: Vec<_> = (0..TIMERS).map(|_| R::spawn(R::sleep(5 * BEAT))).collect();
            let meeting = Meeting::of(workers);
            let holder = |_| R::spawn(spawn_and_hold::<R>(SHORT / workers, meeting.clone(), hold, time));
            let holders: Vec<_> = (0..workers).map(holder).collect();
            let (mut as_meant, mut held, mut done) = (true, Vec::new(), Vec::new());
            for holder in holders {
                let (met, since, short) = holder.await;
                as_meant &= met;
                held.push(since);
                for task in short {
                    done.push(task.await);
                }
            }
            for timer in timers {
                timer.await;
            }
            let (held, done) = (held.into_iter().max(), done.into_iter().max());
            let short =
                done.zip(held).map_or(Duration::ZERO, |(done, held)| done.saturating_duration_since(held));
            (as_meant, Seen { gap: BEAT + heart.stop().await.max(), short })
        })
    })
}

/// In one poll: spawns short tasks, meets the other holders, holds the worker.
async fn spawn_and_hold<R: Rt>(
    short: usize,
    meeting: Meeting,
    hold: Hold,
    time: Duration,
) -> (bool, Instant, Vec<R::Task<Instant>>) {
    let short = (0..short).map(|_| R::spawn(async { Instant::now() })).collect();
    let met = meeting.meet();
    let held = Instant::now();
    hold.on(time);
    (met, held, short)
}

/// How a task becomes ready in a poll that then does not come back.
#[derive(Clone, Copy, Debug)]
pub enum Start {
    /// It is spawned there.
    Spawned,
    /// It waited, and is woken there.
    Woken,
}

/// A task wakes from a sleep; in that poll it makes another task ready, then holds its worker for `time`; so many other
/// workers are `held` for twice that. How long until the task that was made ready runs.
///
/// Many runtimes keep the task that became ready last in a slot of its own, to run it next on a warm processor. It is
/// fast, and it is a trap when there is no next.
pub fn made_ready_by_a_stuck_poll<R: Rt>(rt: &R, held: usize, start: Start, time: Duration) -> Duration {
    const MOMENT: Duration = Duration::from_millis(1);
    as_meant(|| {
        let meeting = Meeting::of(1 + held);
        in_task(rt, async move {
            let mailbox = Mailbox::default();
            let woken = match start {
                Start::Woken => Some(R::spawn(note_a_message(mailbox.clone()))),
                Start::Spawned => None,
            };
            // Until it waits for its message.
            R::sleep(MOMENT).await;
            let holders: Vec<_> =
                (0..held).map(|_| R::spawn(meet_and_sleep(meeting.clone(), 2 * time))).collect();
            let stuck = R::spawn(async move {
                R::sleep(MOMENT).await;
                let met = meeting.meet();
                let ready = Instant::now();
                let made = match woken {
                    None => R::spawn(async { Instant::now() }),
                    Some(woken) => {
                        mailbox.send(1);
                        woken
                    }
                };
                Hold::Sleeps.on(time);
                (met, ready, made)
            });
            let (mut as_meant, ready, made) = stuck.await;
            let ran = made.await;
            for holder in holders {
                as_meant &= holder.await;
            }
            (as_meant, ran.saturating_duration_since(ready))
        })
    })
}

async fn note_a_message(mailbox: Mailbox) -> Instant {
    mailbox.receive().await;
    Instant::now()
}

async fn meet_and_sleep(meeting: Meeting, time: Duration) -> bool {
    let met = meeting.meet();
    Hold::Sleeps.on(time);
    met
}

/// How many tasks of [`storm`] block.
pub const BLOCKING: usize = 1_000;

/// What the others saw of a storm of polls that block.
pub struct Storm {
    /// The longest time between two beats of a heart of 1 ms.
    pub gap: Duration,
    /// How often it beat: being late is no measure for a heart that stands still.
    pub beats: usize,
    /// How long tasks from outside took until they ran, one every 5 ms.
    pub outside: Spread,
    /// The most threads the process had, and how many it had after a rest, where the system tells.
    pub threads: Option<(u64, u64)>,
    /// Until the last of them was done.
    pub took: Duration,
    /// Tasks that did not run exactly once.
    pub wrong: usize,
}

/// 1,000 tasks that each sleep for `time` in their poll are spawned at once; when they are done the runtime has a rest.
pub fn storm<R: Rt>(rt: &R, time: Duration, rest: Duration) -> Storm {
    let over = Arc::new(AtomicBool::new(false));
    let storm = rt.spawn_outside(block_all::<R>(time, over.clone()));
    let (mut asked, mut most) = (Vec::new(), process::threads());
    // Relaxed: the flag carries nothing; what was seen comes through the task's handle.
    while !over.load(Relaxed) {
        asked.push((Instant::now(), rt.spawn_outside(async { Instant::now() })));
        most = most.max(process::threads());
        thread::sleep(Duration::from_millis(5));
    }
    let (heart, took, wrong) = rt.block_on(storm);
    let outside = asked.into_iter().map(|(asked, task)| rt.block_on(task).saturating_duration_since(asked));
    let outside = Spread::new(outside.collect());
    thread::sleep(rest);
    let (gap, beats) = (BEAT + heart.max(), heart.count());
    Storm { gap, beats, outside, threads: most.zip(process::threads()), took, wrong }
}

/// Spawns the tasks that block, awaits them, and says what a heart saw, how long it took, how many did not run once.
async fn block_all<R: Rt>(time: Duration, over: Arc<AtomicBool>) -> (Spread, Duration, usize) {
    let heart = Heart::<R>::start(BEAT).await;
    let ran: Arc<[AtomicUsize]> = (0..BLOCKING).map(|_| AtomicUsize::new(0)).collect();
    let start = Instant::now();
    let block = |nth: usize| {
        let ran = ran.clone();
        R::spawn(async move {
            ran[nth].fetch_add(1, Relaxed); // read when the task has been awaited
            Hold::Sleeps.on(time);
        })
    };
    let tasks: Vec<_> = (0..BLOCKING).map(block).collect();
    for task in tasks {
        task.await;
    }
    let took = start.elapsed();
    let wrong = ran.iter().filter(|ran| ran.load(Relaxed) != 1).count();
    let late = heart.stop().await;
    over.store(true, Relaxed); // seen by a loop that looks for nothing else
    (late, took, wrong)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rt::{Smol, Tokio, Unstuck};

    const MOMENT: Duration = Duration::from_millis(2);

    /// What they measure is the machine's in moments as short as these, so only their ends are tested, and what was run.
    fn play_all<R: Rt>(rt: &R) {
        let _ = one_worker_sleeps(rt, MOMENT);
        for hold in [Hold::Sleeps, Hold::Spins] {
            let _ = every_worker(rt, 2, hold, MOMENT);
        }
        for start in [Start::Spawned, Start::Woken] {
            for held in [0, 1] {
                let _ = made_ready_by_a_stuck_poll(rt, held, start, MOMENT);
            }
        }
        let storm = storm(rt, Duration::from_micros(100), Duration::ZERO);
        assert_eq!(storm.wrong, 0, "{}: every task ran exactly once", R::NAME);
    }

    #[test]
    fn every_scenario_comes_to_an_end_on_every_runtime() {
        play_all(&Unstuck::start(2));
        play_all(&Tokio::start(2));
        play_all(&Smol::start(2));
    }
}
