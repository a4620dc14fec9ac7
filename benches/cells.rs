//! The task cell by itself: ours, and the one of `async-task`, each in a loop on one thread.
//!
//! `cargo run --release -p unstuck-benches --bin cells`
//!
//! Ours runs in unstuck's single-threaded loop, which files each task in a registry and asks its driver for timers once
//! a turn. `async-task` runs in the plainest loop there is, without either, but with what a cell must do: panics become
//! the outcome, and a number and a place are kept. The third is `async-executor`'s `StaticExecutor`, what smol makes of
//! `async-task`. Medians of interleaved rounds.

use atomic_waker::AtomicWaker;
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::panic::Location;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Instant;
use unstuck_benches::kit::table::Table;

const ROUNDS: usize = 31;

fn main() {
    let title = format!("Nanoseconds an operation on one thread, medians of {ROUNDS} interleaved rounds");
    let mut table = Table::new(title, &["workload", Own::NAME, AsyncTask::NAME, StaticExecutor::NAME]);
    for work in [Work::Spawn, Work::SpawnOne, Work::Yield, Work::PingPong(1), Work::PingPong(100)] {
        let mut times = [const { Vec::new() }; 3];
        for _ in 0..ROUNDS {
            times[0].push(time::<Own>(work));
            times[1].push(time::<AsyncTask>(work));
            times[2].push(time::<StaticExecutor>(work));
        }
        let [own, bare, smol] = times.map(|mut times| {
            times.sort_unstable_by(f64::total_cmp);
            format!("{:.1}", times[ROUNDS / 2])
        });
        table.row([format!("{work:?}"), own, bare, smol]);
    }
    table.print();
}

/// 10,000 of something.
#[derive(Clone, Copy, Debug)]
enum Work {
    /// Spawn them all, then join them all.
    Spawn,
    /// Spawn one, await it.
    SpawnOne,
    /// Ten tasks that yield.
    Yield,
    /// So many pairs of tasks that wake each other by turns.
    PingPong(usize),
}

const MANY: usize = 10_000;

impl Work {
    async fn run<L: Loop>(self) {
        match self {
            Work::Spawn => join((0..MANY).map(|_| L::spawn(async {}))).await,
            Work::SpawnOne => {
                for _ in 0..MANY {
                    L::spawn(async {}).await;
                }
            }
            Work::Yield => {
                let yields = || async {
                    for _ in 0..MANY / 10 {
                        futures_lite::future::yield_now().await;
                    }
                };
                join((0..10).map(|_| L::spawn(yields()))).await;
            }
            Work::PingPong(pairs) => {
                join((0..pairs).flat_map(|_| {
                    let (ping, pong) = (Arc::new(Ball::default()), Arc::new(Ball::default()));
                    let turns = MANY / pairs;
                    [
                        L::spawn(play(ping.clone(), pong.clone(), turns, true)),
                        L::spawn(play(pong, ping, turns, false)),
                    ]
                }))
                .await;
            }
        }
    }
}

async fn join(tasks: impl Iterator<Item = impl Future<Output = ()>>) {
    for task in tasks.collect::<Vec<_>>() {
        task.await;
    }
}

async fn play(mine: Arc<Ball>, other: Arc<Ball>, turns: usize, serves: bool) {
    for _ in 0..turns {
        if serves {
            other.throw();
            mine.catch().await;
        } else {
            mine.catch().await;
            other.throw();
        }
    }
}

#[derive(Default)]
struct Ball {
    here: AtomicBool,
    waker: AtomicWaker,
}

impl Ball {
    fn throw(&self) {
        self.here.store(true, Ordering::Release); // pairs with the Acquire in `catch`
        self.waker.wake();
    }

    async fn catch(&self) {
        poll_fn(|cx| {
            for registered in [false, true] {
                if self.here.swap(false, Ordering::Acquire) {
                    return Poll::Ready(());
                }
                if !registered {
                    self.waker.register(cx.waker());
                }
            }
            Poll::Pending
        })
        .await;
    }
}

fn time<L: Loop>(work: Work) -> f64 {
    L::run(async {
        let start = Instant::now();
        for _ in 0..3 {
            work.run::<L>().await;
        }
        start.elapsed().as_secs_f64() * 1e9 / (3 * MANY) as f64
    })
}

/// A loop on one thread.
trait Loop {
    const NAME: &'static str;
    type Task: Future<Output = ()>;
    #[track_caller]
    fn spawn(future: impl Future<Output = ()> + Send + 'static) -> Self::Task;
    fn run<T>(future: impl Future<Output = T>) -> T;
}

/// Our cell, in our loop.
struct Own;

pin_project_lite::pin_project! {
    struct Unwrapped {
        #[pin]
        task: unstuck_core::Task<()>,
    }
}

impl Future for Unwrapped {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.project().task.poll(cx).map(|result| result.expect("no task fails here"))
    }
}

impl Loop for Own {
    const NAME: &'static str = "own cell";
    type Task = Unwrapped;

    fn spawn(future: impl Future<Output = ()> + Send + 'static) -> Unwrapped {
        Unwrapped { task: unstuck_core::spawn(future) }
    }

    fn run<T>(future: impl Future<Output = T>) -> T {
        let local = unstuck_core::LocalLoop::new(Box::new(unstuck_core::driver::ThreadDriver::new()));
        let _entered = local.handle().enter();
        local.block_on(future)
    }
}

/// `async-task`'s cell, in a loop that does nothing else.
struct AsyncTask;

/// What our header keeps as well. Kept, not read.
struct Whose(#[expect(dead_code)] u64, #[expect(dead_code)] &'static Location<'static>);

thread_local! {
    static READY: RefCell<VecDeque<async_task::Runnable<Whose>>> = const { RefCell::new(VecDeque::new()) };
    static NUMBER: Cell<u64> = const { Cell::new(0) };
}

struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Release); // pairs with the Acquire in `run`
    }
}

impl Loop for AsyncTask {
    const NAME: &'static str = "async-task";
    type Task = async_task::Task<(), Whose>;

    fn spawn(future: impl Future<Output = ()> + Send + 'static) -> Self::Task {
        let whose = Whose(NUMBER.replace(NUMBER.get() + 1), Location::caller());
        let (runnable, task) = async_task::Builder::new()
            .propagate_panic(true)
            .metadata(whose)
            .spawn(|_| future, |runnable| READY.with_borrow_mut(|ready| ready.push_back(runnable)));
        runnable.schedule();
        task
    }

    fn run<T>(future: impl Future<Output = T>) -> T {
        let mut future = pin!(future);
        let woken = Arc::new(Woken(AtomicBool::new(true)));
        let waker = Waker::from(woken.clone());
        loop {
            if woken.0.swap(false, Ordering::Acquire) {
                if let Poll::Ready(value) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
                    return value;
                }
            }
            for _ in 0..64 {
                let Some(runnable) = READY.with_borrow_mut(VecDeque::pop_front) else { break };
                runnable.run();
            }
        }
    }
}

/// `async-task`'s cell, as smol uses it.
struct StaticExecutor;

static EXECUTOR: async_executor::StaticExecutor = async_executor::StaticExecutor::new();

impl Loop for StaticExecutor {
    const NAME: &'static str = "StaticExecutor";
    type Task = async_task::Task<()>;

    fn spawn(future: impl Future<Output = ()> + Send + 'static) -> Self::Task {
        EXECUTOR.spawn(future)
    }

    fn run<T>(future: impl Future<Output = T>) -> T {
        futures_lite::future::block_on(EXECUTOR.run(future))
    }
}
