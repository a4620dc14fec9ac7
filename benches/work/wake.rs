//! Waking tasks that exist already.

use super::{Visitor, Workload, time_in_task};
use crate::kit::channel::Mailbox;
use crate::rt::Rt;
use std::future::{Future, poll_fn};
use std::sync::mpsc;
use std::task::Poll;
use std::time::{Duration, Instant};

/// The group `wake`.
pub fn all(visitor: &mut impl Visitor) {
    visitor.visit::<YieldAlone>();
    visitor.visit::<Yield>();
    visitor.visit::<WakeItself>();
    visitor.visit::<PingPongSpawned>();
    visitor.visit::<PingPongOne>();
    visitor.visit::<PingPongMany>();
    visitor.visit::<Outside>();
}

/// 10 tasks that each do something 1,000 times.
async fn ten_tasks<R: Rt, F>(turn: fn() -> F)
where
    F: Future<Output = ()> + Send + 'static,
{
    let tasks = [(); 10].map(|()| {
        R::spawn(async move {
            for _ in 0..1_000 {
                turn().await;
            }
        })
    });
    for task in tasks {
        task.await;
    }
}

/// One task yields, with nobody to yield to.
pub struct YieldAlone;

impl Workload for YieldAlone {
    const NAME: &'static str = "yield, 1 task × 10,000";
    const OPS: u64 = 10_000;

    fn measure<R: Rt>(rt: &R, rounds: u64) -> Duration {
        time_in_task(rt, rounds, || async {
            for _ in 0..Self::OPS {
                R::yield_now().await;
            }
        })
    }
}

/// Yields by the runtime's own `yield_now`.
pub struct Yield;

impl Workload for Yield {
    const NAME: &'static str = "yield, 10 tasks × 1,000";
    const OPS: u64 = 10_000;

    fn measure<R: Rt>(rt: &R, rounds: u64) -> Duration {
        time_in_task(rt, rounds, || ten_tasks::<R, _>(|| async { R::yield_now().await }))
    }
}

/// Wakes itself by its waker and returns `Pending`: what a hand-written future does.
pub struct WakeItself;

async fn wake_itself() {
    let mut woken = false;
    poll_fn(|cx| {
        if woken {
            return Poll::Ready(());
        }
        woken = true;
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

impl Workload for WakeItself {
    const NAME: &'static str = "wake oneself, 10 tasks × 1,000";
    const OPS: u64 = 10_000;

    fn measure<R: Rt>(rt: &R, rounds: u64) -> Duration {
        time_in_task(rt, rounds, || ten_tasks::<R, _>(wake_itself))
    }
}

/// Answers so many messages with themselves.
async fn pong(turns: u64, ball: Mailbox, back: Mailbox) {
    for _ in 0..turns {
        back.send(ball.receive().await);
    }
}

/// Spawns a partner, plays so many turns with it.
async fn play<R: Rt>(turns: u64) {
    let (ball, back) = (Mailbox::default(), Mailbox::default());
    R::detach(R::spawn(pong(turns, ball.clone(), back.clone())));
    for turn in 0..turns {
        ball.send(turn);
        assert_eq!(back.receive().await, turn);
    }
}

async fn play_in_pairs<R: Rt>(pairs: usize, turns: u64) {
    let pairs: Vec<_> = (0..pairs).map(|_| R::spawn(play::<R>(turns))).collect();
    for pair in pairs {
        pair.await;
    }
}

/// 1,000 fresh pairs play one turn each: two spawns, two wake-ups.
pub struct PingPongSpawned;

impl Workload for PingPongSpawned {
    const NAME: &'static str = "ping-pong, 1,000 fresh pairs";
    const OPS: u64 = 1_000;

    fn measure<R: Rt>(rt: &R, rounds: u64) -> Duration {
        time_in_task(rt, rounds, || play_in_pairs::<R>(1_000, 1))
    }
}

/// One pair plays 1,000 turns.
pub struct PingPongOne;

impl Workload for PingPongOne {
    const NAME: &'static str = "ping-pong, 1 pair × 1,000 turns";
    const OPS: u64 = 1_000;

    fn measure<R: Rt>(rt: &R, rounds: u64) -> Duration {
        time_in_task(rt, rounds, || play_in_pairs::<R>(1, 1_000))
    }
}

/// 100 pairs play 100 turns each.
pub struct PingPongMany;

impl Workload for PingPongMany {
    const NAME: &'static str = "ping-pong, 100 pairs × 100 turns";
    const OPS: u64 = 10_000;

    fn measure<R: Rt>(rt: &R, rounds: u64) -> Duration {
        time_in_task(rt, rounds, || play_in_pairs::<R>(100, 100))
    }
}

/// A thread outside wakes a task of a sleeping runtime and waits for its answer.
pub struct Outside;

impl Workload for Outside {
    const NAME: &'static str = "wake from outside, there and back";
    const OPS: u64 = 100;

    fn measure<R: Rt>(rt: &R, rounds: u64) -> Duration {
        let turns = rounds * Self::OPS;
        let ball = Mailbox::default();
        let (back, answers) = mpsc::channel();
        let task = rt.spawn_outside({
            let ball = ball.clone();
            async move {
                for _ in 0..turns {
                    back.send(ball.receive().await).expect("the thread outside waits for it");
                }
            }
        });
        let start = Instant::now();
        for turn in 0..turns {
            ball.send(turn);
            assert_eq!(answers.recv(), Ok(turn));
        }
        let took = start.elapsed();
        rt.block_on(task);
        took
    }
}
