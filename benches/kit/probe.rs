//! Questions that only a fresh process can answer: what a million pending tasks weigh, how fast an empty pool grows, how
//! often the threads of a runtime with nothing to do wake up.
//!
//! The program starts itself again with the question in an environment variable, the child prints its numbers and
//! ends. So no runtime inherits a heap another one has warmed, no pool is asked to grow that has grown before, and
//! every thread there is belongs to the one runtime.
//!
//! Promise: a `main` that uses this calls [`answer_and_exit`] before anything else.

use crate::kit::process::{self, Activity, resident_bytes};
use crate::rt::{Rt, Smol, Tokio, Unstuck, in_task};
use crate::work::{blocking, stall};
use std::future::pending;
use std::hint::black_box;
use std::process::{Command, exit};
use std::thread;
use std::time::Duration;
use unstuck::{Builder, StallPolicy};

const QUESTION: &str = "UNSTUCK_BENCHES_QUESTION";

/// How many pending tasks [`memory`] weighs.
pub const PENDING: usize = 1_000_000;

/// How long [`idle`] watches.
pub const IDLE: Duration = Duration::from_secs(10);

/// How long each poll of [`storm`] blocks.
pub const BLOCKED: Duration = Duration::from_millis(20);

/// How long a thread that the guard has added stays idle in [`storm`]; a second more is waited until threads are counted.
pub const KEEP_ALIVE: Duration = Duration::from_millis(300);

/// unstuck without its stall guard, for [`idle`].
pub const GUARD_OFF: &str = "unstuck, guard off";

/// In a child of the functions below, answers and ends the process; elsewhere does nothing.
pub fn answer_and_exit(workers: usize) {
    let Ok(question) = std::env::var(QUESTION) else { return };
    let (what, name) = question.split_once(' ').expect("a question and a runtime");
    match name {
        Unstuck::NAME => {
            let set =
                |it: Builder| it.rescue_keep_alive(KEEP_ALIVE).blocking_keep_alive(blocking::KEEP_ALIVE);
            answer(what, &Unstuck::start_with(workers, set));
        }
        GUARD_OFF => answer(what, &Unstuck::start_with(workers, |it| it.stall_guard(StallPolicy::Off))),
        Tokio::NAME => answer(what, &Tokio::start_with_keep_alive(workers, blocking::KEEP_ALIVE)),
        Smol::NAME => answer(what, &Smol::start(workers)),
        _ => panic!("no runtime is called {name}"),
    }
    exit(0);
}

/// Bytes of memory a pending task takes, its handle not counted; `None` where the system does not tell.
pub fn memory<R: Rt>() -> Option<f64> {
    ask(R::NAME, "memory").first().copied()
}

/// How long a fresh pool takes until [`blocking::RAMP`] closures run at once, and how long the poll that submits them.
pub fn ramp_up<R: Rt>() -> [Duration; 2] {
    match ask(R::NAME, "ramp-up")[..] {
        [all, submitted] => [all, submitted].map(Duration::from_secs_f64),
        _ => panic!("two figures"),
    }
}

/// How long after that it takes until the pool's threads are gone, and how many are left if that takes too long. By the
/// runtime's type.
pub fn back_down<R: Rt>() -> Option<(Duration, u64)> {
    match ask(R::NAME, "back-down")[..] {
        [time, left] => Some((Duration::from_secs_f64(time), left as u64)),
        _ => None,
    }
}

/// A runtime with nothing to do, for [`IDLE`]: how many threads it has, and what they do. By the runtime's name.
pub fn idle(name: &str) -> Option<(u64, Activity)> {
    match ask(name, "idle")[..] {
        [threads, wake_ups, ran] => {
            Some((threads as u64, Activity { wake_ups: wake_ups as u64, ran: Duration::from_secs_f64(ran) }))
        }
        _ => None,
    }
}

/// What [`stall::storm`] saw. Times in seconds.
#[derive(Debug)]
pub struct Storm {
    /// The longest time between two beats of a heart of 1 ms.
    pub gap: f64,
    /// How often it beat in a second.
    pub beats: f64,
    /// How long tasks from outside waited: the median, the 99th percentile and the worst.
    pub outside: [f64; 3],
    /// Until all was done.
    pub took: f64,
    /// Tasks that did not run exactly once.
    pub wrong: f64,
    /// The most threads, and those left after the keep-alive, where the system tells.
    pub threads: Option<[f64; 2]>,
}

/// 1,000 polls that block for [`BLOCKED`] each. By the runtime's name.
pub fn storm(name: &str) -> Storm {
    let answer = ask(name, "storm");
    let at = |nth: usize| answer[nth];
    Storm {
        gap: at(0),
        beats: at(1),
        outside: [at(2), at(3), at(4)],
        took: at(5),
        wrong: at(6),
        threads: (answer.len() == 9).then(|| [at(7), at(8)]),
    }
}

fn ask(name: &str, what: &str) -> Vec<f64> {
    let program = std::env::current_exe().expect("this program can be found");
    let child = Command::new(program).env(QUESTION, format!("{what} {name}")).output();
    let output = child.expect("this program starts again");
    assert!(output.status.success(), "{what} of {name}: {}", String::from_utf8_lossy(&output.stderr));
    let answer = String::from_utf8_lossy(&output.stdout);
    answer.split_whitespace().map(|number| number.parse().expect("the child prints numbers")).collect()
}

/// Prints the numbers, as many as the system tells.
fn answer<R: Rt>(what: &str, rt: &R) {
    let numbers = match what {
        "memory" => Vec::from_iter(bytes_per_pending_task(rt)),
        "ramp-up" => blocking::ramp_up(rt).map(|time| time.as_secs_f64()).to_vec(),
        "back-down" => back_down_in_numbers(rt),
        "idle" => watch_it_idle(rt).unwrap_or_default(),
        "storm" => watch_a_storm(rt),
        _ => panic!("no probe is called {what}"),
    };
    for number in numbers {
        println!("{number}");
    }
}

fn back_down_in_numbers<R: Rt>(rt: &R) -> Vec<f64> {
    let seen = blocking::back_down(rt);
    seen.map_or(Vec::new(), |(time, left)| vec![time.as_secs_f64(), left as f64])
}

fn bytes_per_pending_task<R: Rt>(rt: &R) -> Option<f64> {
    in_task(rt, async {
        // The room for the handles is touched before the first weighing, so that it is not weighed.
        let mut tasks: Vec<Option<R::Task<u64>>> = Vec::with_capacity(PENDING);
        tasks.resize_with(PENDING, || black_box(None));
        let before = resident_bytes()?;
        for some in tasks.chunks_mut(1_000) {
            // Batches, with a turn for the new tasks to be polled, so that no queue has to hold a million.
            for (nth, task) in (0..).zip(&mut *some) {
                *task = Some(R::spawn(wait_for_ever(nth)));
            }
            R::yield_now().await;
        }
        R::sleep(Duration::from_millis(200)).await;
        let after = resident_bytes()?;
        // The process ends here, so nothing is measured that comes after.
        tasks.into_iter().flatten().for_each(R::cancel);
        Some(after.saturating_sub(before) as f64 / PENDING as f64)
    })
}

/// A future with one word of state.
async fn wait_for_ever(number: u64) -> u64 {
    pending::<()>().await;
    black_box(number)
}

/// Some work, then nothing to do but to wait for a timer that is far away; gives threads, wake-ups and seconds of work.
fn watch_it_idle<R: Rt>(rt: &R) -> Option<Vec<f64>> {
    in_task(rt, async {
        R::detach(R::spawn(R::sleep(Duration::from_secs(3600))));
        for _ in 0..1_000 {
            R::spawn(R::yield_now()).await;
        }
    });
    // Until everyone has gone to sleep.
    thread::sleep(Duration::from_millis(500));
    let before = process::others()?;
    thread::sleep(IDLE);
    let after = process::others()?;
    let wake_ups = after.wake_ups.saturating_sub(before.wake_ups);
    // This thread is none of the runtime's.
    let threads = process::threads()?.saturating_sub(1);
    Some(vec![threads as f64, wake_ups as f64, after.ran.saturating_sub(before.ran).as_secs_f64()])
}

fn watch_a_storm<R: Rt>(rt: &R) -> Vec<f64> {
    let storm = stall::storm(rt, BLOCKED, KEEP_ALIVE + Duration::from_secs(1));
    let took = storm.took.as_secs_f64();
    let mut numbers = vec![storm.gap.as_secs_f64(), storm.beats as f64 / took];
    let outside = &storm.outside;
    let outside = [outside.median(), outside.percentile(99), outside.max()];
    numbers.extend(outside.map(|time| time.as_secs_f64()));
    numbers.extend([took, storm.wrong as f64]);
    // This thread is none of the runtime's.
    numbers.extend(storm.threads.into_iter().flat_map(|(most, left)| [most as f64 - 1.0, left as f64 - 1.0]));
    numbers
}
