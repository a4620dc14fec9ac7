//! The threads at the seats: how a worker thread starts and ends, and what the guard's monitor may do.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use super::{Config, Hook, Remote, Shared, Worker};
use crate::context;
use crate::guard::{
    Address, AskForStack, Asked, Class, Guard, Look, LookAtCrowd, Monitor, Place, Replacement, Sight,
    StallPolicy, StallReport, ThreadProbe, Watched, is_anybody_special,
};
use crate::handle::Handle;
use crate::job::contain;
use crate::sync::atomic::Ordering;
use crate::sync::thread;
use crate::task::TaskId;

/// Starts a worker thread at a seat that is on duty.
pub(super) fn start(shared: &Arc<Shared>, seat: usize) -> io::Result<thread::JoinHandle<()>> {
    let config = &shared.config;
    let mut builder = thread::Builder::new().name(thread_name(config, seat));
    if let Some(bytes) = config.stack_size {
        builder = builder.stack_size(bytes);
    }
    let mine = shared.clone();
    start_counted(shared, builder, move || {
        let _entered = context::enter(Handle::new(mine.clone()));
        let mut body = || sit(&mine, seat);
        match &mine.config.around {
            Some(around) => around(seat, &mut body),
            None => body(),
        }
        mine.remotes[seat].duty.vacate();
    })
}

fn thread_name(config: &Config, seat: usize) -> String {
    let kind = if seat < config.workers { "" } else { "rescue-" };
    format!("{}-{kind}{seat}", config.name)
}

/// Starts the guard's monitor, if there is to be one.
pub(super) fn start_monitor(shared: &Arc<Shared>) -> io::Result<Option<thread::JoinHandle<()>>> {
    let config = &shared.config;
    if config.guard.policy == StallPolicy::Off {
        return Ok(None);
    }
    let monitor = Monitor::new(shared.clone(), config.guard.clone(), &config.name);
    let builder = thread::Builder::new().name(format!("{}-guard", config.name));
    start_counted(shared, builder, move || monitor.run()).map(Some)
}

/// Starts a thread that the scheduler's end waits for.
fn start_counted(
    shared: &Arc<Shared>,
    builder: thread::Builder,
    body: impl FnOnce() + Send + 'static,
) -> io::Result<thread::JoinHandle<()>> {
    *shared.alive.lock() += 1;
    let gone = Gone(shared.clone());
    builder.spawn(move || {
        let _gone = gone;
        body();
    })
}

/// Counts a thread out, however it ends, also if it never began.
struct Gone(Arc<Shared>);

impl Drop for Gone {
    fn drop(&mut self) {
        *self.0.alive.lock() -= 1;
        self.0.ended.notify_all();
    }
}

/// The life of a worker thread.
fn sit(shared: &Arc<Shared>, seat: usize) {
    let remote = &shared.remotes[seat];
    let Some(local) = remote.local.lock().take() else { return };
    remote.parker.bind();
    let asked = Asked::from_now_on(shared.is_guarded() && shared.config.guard.backtrace);
    *remote.address.lock() = asked.address();
    *remote.probe.lock() = ThreadProbe::of_this_thread();
    hook(shared.config.on_start.as_ref(), "on_thread_start");
    let local = Worker::new(shared.clone(), seat, local).work();
    hook(shared.config.on_stop.as_ref(), "on_thread_stop");
    *remote.probe.lock() = None;
    *remote.address.lock() = Address::nobody();
    *remote.local.lock() = Some(local);
}

/// A hook's panic is reported and goes no further.
fn hook(hook: Option<&Hook>, name: &str) {
    if let Some(hook) = hook {
        contain(name, || hook());
    }
}

/// Finds a seat that can start to work: a spare one, else an empty one with a new thread.
fn add(shared: &Arc<Shared>) -> Replacement {
    for remote in shared.occupied() {
        if remote.duty.recall() {
            remote.parker.unpark(&shared.driver);
            return Replacement::AtWork;
        }
    }
    for (seat, remote) in shared.remotes.iter().enumerate() {
        if !remote.duty.occupy() {
            continue;
        }
        if remote.local.lock().is_none() || start(shared, seat).is_err() {
            remote.duty.vacate();
            return Replacement::NoThread;
        }
        // Release: pairs with the Acquire in `occupied`.
        shared.seats.fetch_max(seat + 1, Ordering::AcqRel);
        return Replacement::AtWork;
    }
    Replacement::NoSeat
}

impl Watched for Arc<Shared> {
    fn seats(&self) -> usize {
        self.remotes.len()
    }

    fn workers(&self) -> usize {
        self.config.workers
    }

    fn sight(&self, seat: usize) -> Option<Sight> {
        self.remotes[seat].pulse.beat.look()
    }

    fn look(&self, seat: usize) -> Option<Look> {
        (*self.remotes[seat].probe.lock())?.look()
    }

    fn hurry(&self, seat: usize, epoch: u64) {
        self.remotes[seat].pulse.beat.hurry(epoch);
    }

    fn slow_step(&self, task: u64) -> Option<Duration> {
        if is_anybody_special() { self.registry.find(task)?.slow_step() } else { None }
    }

    fn take_from(&self, seat: usize, is_suspect: &dyn Fn(Place) -> bool) -> usize {
        let remote = &self.remotes[seat];
        let mut moved = 0;
        // As many as lie here now. A stuck poll may go on spawning, faster than they can be moved, and the monitor has other
        // seats to look at; what comes later is found at the next tick.
        let queued = (0..remote.stealer.len()).map_while(|_| remote.stealer.steal());
        for task in queued.chain(std::iter::from_fn(|| remote.pulse.steal())) {
            let queue = if is_suspect(task.whose().1) { &self.suspects } else { &self.injector };
            queue.push(task);
            moved += 1;
        }
        if moved > 0 {
            self.wake_one();
        }
        moved
    }

    fn sort(&self, is_suspect: &dyn Fn(Place) -> bool) -> usize {
        // Once through the queue, front to back: what stays keeps its order.
        let mut found = 0;
        for _ in 0..self.injector.len() {
            let Some(task) = self.injector.steal() else { break };
            if is_suspect(task.whose().1) {
                self.suspects.push(task);
                found += 1;
            } else {
                self.injector.push(task);
            }
        }
        found
    }

    fn tend_driver(&self) -> bool {
        let tended = self.driver.poll();
        if tended {
            self.left_driver();
        }
        tended
    }

    fn has_work(&self) -> bool {
        Shared::has_work(self)
    }

    fn wake_sleeper(&self) -> bool {
        self.wake_one();
        self.idle.is_searching() || self.idle.asleep() > 0
    }

    fn is_replaced(&self, seat: usize) -> bool {
        !self.remotes[seat].duty.is_working()
    }

    fn replace(&self, seat: usize, epoch: u64) -> Replacement {
        let added = add(self);
        if added == Replacement::AtWork {
            // Only now: a worker is never lost before another works in its place. If it has come back meanwhile, it
            // retires all the same.
            let Remote { duty, pulse, parker, .. } = &**self.remotes[seat];
            let marked = duty.mark_lost();
            // At the end of all a worker that comes back leaves, and its seat is empty.
            debug_assert!(marked || self.is_drained(), "only the monitor marks, and once");
            if !pulse.beat.is_at(epoch) {
                parker.unpark(&self.driver); // it may lie in its bed already, and shall notice
            }
        }
        added
    }

    fn all_asleep(&self) -> bool {
        self.idle.all_asleep()
    }

    fn is_over(&self) -> bool {
        self.is_drained()
    }

    fn describe(&self, seat: usize, sight: Sight) -> StallReport {
        let mut report = StallReport::new(Class::Unknown, Duration::ZERO);
        report.task = Some(TaskId::new(sight.task));
        report.name = self.registry.find(sight.task).map(|task| task.name());
        report.place = Some(sight.place);
        report.worker = thread_name(&self.config, seat);
        report.call = (*self.remotes[seat].probe.lock()).and_then(ThreadProbe::doing);
        report
    }

    fn crowd(&self) -> LookAtCrowd {
        let shared = self.clone();
        Box::new(move || {
            let mut calls: Vec<(String, usize)> = Vec::new();
            for remote in shared.occupied().iter().filter(|remote| remote.pulse.beat.look().is_some()) {
                let Some(call) = (*remote.probe.lock()).and_then(ThreadProbe::doing) else { continue };
                match calls.iter_mut().find(|(name, _)| name == call.name()) {
                    Some((_, workers)) => *workers += 1,
                    None => calls.push((call.name().to_owned(), 1)),
                }
            }
            calls.sort_by_key(|&(_, workers)| std::cmp::Reverse(workers));
            calls
        })
    }

    fn stack(&self, seat: usize, epoch: u64) -> AskForStack {
        let shared = self.clone();
        Box::new(move |limit| {
            let Remote { address, pulse, .. } = &**shared.remotes[seat];
            let address = address.lock().clone();
            address.ask(limit, || pulse.beat.is_at(epoch))
        })
    }

    fn guard(&self) -> &Guard {
        &self.guard
    }
}
