//! The life of one keeper: a thread that has at most one worker process, and gives it jobs one at a time.
//!
//! Start reading at [`Keeper::serve`]: everything that can happen to a job happens there.
//!
//! # Which job fails when a process dies
//! The one that the process had begun, and no other. A process that was killed while idle costs nothing: the keeper
//! finds the socket closed before it has sent anything. If it dies at the moment a job is sent, somebody has to know
//! whether the job began, because a job that is silently done twice is worse than one that fails. The kernel knows: a
//! socket that is closed with unread data in it ends with a *reset* on the other side, not with an *end*. A reset means
//! that the question was not read to its end, so the job has not begun, and goes to the next process. An end means
//! that the question was read, so the job may have begun, and fails. This costs nothing, unlike a message "I begin" for each
//! job. (Where the kernel does not tell, every death is an end: a job more may fail, none is done twice.)
//!
//! A job that kills three processes in a row before they could read it fails as well; say, one that is larger than their
//! memory.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags};
use unstuck_core::Loss;
use unstuck_core::job::say;

use crate::parcel::{Parcel, Sender, failure};
use crate::pool::Shared;
use crate::roster::{Next, NotMade};
use crate::seat::{Killed, Seat};
use crate::wire::Kind;
use crate::worker::{Idle, Silence, Worker, poll_for};

/// A job is sent to so many processes that die before they have read it.
const TRIES: usize = 3;

/// A process that dies idle after a shorter life than this, without having done a job, is not replaced before a job needs
/// it: it would die again.
const INFANCY: Duration = Duration::from_secs(1);

/// Makes a keeper, with a job or to be idle.
pub(crate) fn hire(shared: &Arc<Shared>, first: Option<Parcel>) {
    // Relaxed: a number for names.
    let id = shared.hired.fetch_add(1, Ordering::Relaxed);
    let name = format!("{}-{id}", shared.recipe.name);
    // The job goes into the thread by way of the seat, so that it is not lost with a thread that is not made.
    let made = Seat::new().map(Arc::new).and_then(|seat| {
        let keeper =
            Keeper { shared: shared.clone(), seat: seat.clone(), worker: None, born: Instant::now() };
        let (bring, first_job) = std::sync::mpsc::sync_channel(1);
        // It runs the user's Deserialize, the destructors of values that nobody wants, and wakers: no small stack.
        let mut thread = thread::Builder::new().name(name);
        if let Some(bytes) = shared.recipe.stack_size {
            thread = thread.stack_size(bytes);
        }
        thread.spawn(move || keeper.live(first_job.recv().ok().flatten()))?;
        Ok(bring)
    });
    match made {
        // The thread waits for exactly this message.
        Ok(bring) => _ = bring.send(first),
        Err(error) => not_made(shared, first, &error),
    }
}

fn not_made(shared: &Shared, first: Option<Parcel>, error: &io::Error) {
    let stranded = match shared.roster.not_made(first) {
        NotMade::Stranded(parcels) => parcels,
        NotMade::Queued => Vec::new(),
        NotMade::Idle(seat, parcel) => {
            seat.give(parcel);
            Vec::new()
        }
    };
    if stranded.is_empty() {
        say(format_args!("no thread for another worker process of '{}' ({error})", shared.recipe.name));
    }
    for parcel in stranded {
        let why = format!("no thread can be made that looks after one ({error})");
        parcel.sender.lost(Loss::Transport(why), None, String::new());
    }
}

/// How a job went.
enum Outcome {
    /// The answer lies in the worker's inbox.
    Answered,
    /// There is none: why, which process, and its last words.
    Lost(Loss, Option<u32>, String),
    /// It was taken back before it began.
    Cancelled,
}

struct Keeper {
    shared: Arc<Shared>,
    seat: Arc<Seat>,
    worker: Option<Worker>,
    /// When the present process was started.
    born: Instant,
}

/// Gives the seat up, however the thread ends.
struct Leaving(Arc<Shared>, Arc<Seat>);

impl Drop for Leaving {
    fn drop(&mut self) {
        if self.0.roster.gone(&self.1) {
            hire(&self.0, None);
        }
    }
}

impl Keeper {
    fn live(mut self, first: Option<Parcel>) {
        self.shared.roster.arrived(&self.seat);
        let _leaving = Leaving(self.shared.clone(), self.seat.clone());
        let mut next = first.map_or_else(|| self.shared.roster.next(&self.seat), Next::Job);
        loop {
            let parcel = match next {
                Next::Job(parcel) => Some(parcel),
                Next::Wait => self.idle(),
                Next::Leave => None,
            };
            let Some(parcel) = parcel else { break };
            next = self.serve(parcel);
        }
        self.dismiss();
    }

    /// Does one job, whatever happens, and says what comes next.
    fn serve(&mut self, parcel: Parcel) -> Next<Parcel> {
        let Parcel { frame, limit, sender } = parcel;
        let number = self.seat.begin(sender.running());
        let seat = self.seat.clone();
        let begun = sender.begin(Arc::new(move || seat.kill(number, Killed::Cancelled)));
        let outcome = if begun { self.send(&frame, limit) } else { Outcome::Cancelled };
        self.shared.spare.put(frame);
        // No kill for this job comes any more. A value that is here counts, even if its process was killed since.
        let killed = self.seat.end();
        // On the idle list before the answer is out: who submits the next job as soon as it has this answer finds a
        // warm process, and does not start another.
        let next = self.shared.roster.next(&self.seat);
        match outcome {
            Outcome::Answered => self.deliver(sender),
            Outcome::Lost(loss, worker, stderr) if killed.is_none() => {
                // Relaxed: statistics, here and below.
                self.shared.lost.fetch_add(1, Ordering::Relaxed);
                sender.lost(loss, worker, stderr);
            }
            Outcome::Lost(..) => {
                self.shared.lost.fetch_add(1, Ordering::Relaxed);
                drop(sender); // which cancels it
            }
            Outcome::Cancelled => drop(sender),
        }
        if killed.is_some() {
            self.bury();
        }
        let limit = self.shared.recipe.max_jobs;
        if self.worker.as_ref().is_some_and(|worker| limit.is_some_and(|limit| worker.jobs() >= limit)) {
            self.dismiss();
        }
        next
    }

    /// Sends a job to the process, or to the next one if it has died before it could read it.
    fn send(&mut self, frame: &[u8], limit: Option<Duration>) -> Outcome {
        let mut tries = 0;
        loop {
            let worker = match self.worker() {
                Ok(worker) => worker,
                Err((loss, stderr)) => return Outcome::Lost(loss, None, stderr),
            };
            tries += 1;
            worker.begin();
            let pid = Some(worker.pid());
            let until = limit.and_then(|limit| Instant::now().checked_add(limit));
            match worker.ask(frame, until) {
                Ok(()) => return Outcome::Answered,
                Err(Silence::DeadBefore) if tries < TRIES && self.seat.killed().is_none() => self.bury(),
                Err(Silence::Dead | Silence::DeadBefore) => {
                    let (loss, stderr) = self.autopsy();
                    return Outcome::Lost(loss, pid, stderr);
                }
                Err(Silence::Late) => {
                    return Outcome::Lost(Loss::TimedOut(limit.unwrap_or_default()), pid, self.kill());
                }
                Err(Silence::Nonsense(why)) => {
                    let loss = Loss::Transport(format!("it sent what is no answer: {why}"));
                    return Outcome::Lost(loss, pid, self.kill());
                }
            }
        }
    }

    /// Ends a job with the answer that the process has given.
    fn deliver(&mut self, sender: Box<dyn Sender>) {
        // Relaxed: a statistic.
        self.shared.done.fetch_add(1, Ordering::Relaxed);
        let Some(worker) = &mut self.worker else { return };
        let mut sender = Some(sender);
        let failure = worker.answer(|kind, body| match (kind, sender.take()) {
            (Kind::Done, Some(sender)) => {
                sender.done(body);
                None
            }
            (kind, waits) => {
                sender = waits;
                Some(failure(kind, body))
            }
        });
        if let (Some(failure), Some(sender)) = (failure.flatten(), sender) {
            sender.lost(failure, Some(worker.pid()), worker.stderr());
        }
    }

    /// The process, started now if there is none.
    fn worker(&mut self) -> Result<&mut Worker, (Loss, String)> {
        if self.worker.is_none() {
            if self.seat.killed().is_some() {
                return Err((Loss::Transport("the job was stopped before".to_owned()), String::new()));
            }
            let worker = Worker::start(&self.shared.recipe, &self.seat)?;
            self.born = Instant::now();
            // Relaxed: a statistic.
            self.shared.started.fetch_add(1, Ordering::Relaxed);
            self.worker = Some(worker);
        }
        match &mut self.worker {
            Some(worker) => Ok(worker),
            None => Err((Loss::Transport("there is none".to_owned()), String::new())),
        }
    }

    /// Waits for a job. None means: leave.
    fn idle(&mut self) -> Option<Parcel> {
        let stays = self.shared.roster.counts().0 <= self.shared.recipe.rules.min;
        if stays && self.worker.is_none() {
            // One of those that are to be warm. If it cannot be had, the first job will say why.
            let _ = self.worker();
        }
        let mut until = Instant::now().checked_add(self.shared.recipe.keep_alive);
        loop {
            let event = match &mut self.worker {
                Some(worker) => worker.idle(self.seat.hears(), until),
                None => wait_for_bell(&self.seat, until),
            };
            match event {
                Idle::Called => match self.seat.answer() {
                    Some(parcel) => return Some(parcel),
                    None if self.shared.roster.may_leave(&self.seat, false) => return None,
                    None => {}
                },
                // If it may not leave, it is one of those that stay, or a job is on its way: no clock from now on.
                Idle::Expired if self.shared.roster.may_leave(&self.seat, true) => return None,
                Idle::Expired => until = None,
                Idle::Dead => {
                    let useful = self.worker.as_ref().is_some_and(|worker| worker.jobs() > 0);
                    let grown = useful || self.born.elapsed() >= INFANCY;
                    self.bury();
                    if self.shared.roster.may_leave(&self.seat, true) {
                        return None;
                    }
                    if grown && self.shared.roster.is_idle(&self.seat) {
                        let _ = self.worker();
                    }
                }
            }
        }
    }

    fn bury(&mut self) {
        self.worker.take().map(|worker| worker.bury(&self.seat));
    }

    fn dismiss(&mut self) {
        if let Some(worker) = self.worker.take() {
            worker.dismiss(&self.seat);
        }
    }

    fn kill(&mut self) -> String {
        self.worker.take().map(|worker| worker.kill(&self.seat)).unwrap_or_default()
    }

    fn autopsy(&mut self) -> (Loss, String) {
        match self.worker.take() {
            Some(worker) => worker.autopsy(&self.seat),
            None => (Loss::Transport("it is gone".to_owned()), String::new()),
        }
    }
}

/// For a keeper without a process.
fn wait_for_bell(seat: &Seat, until: Option<Instant>) -> Idle {
    loop {
        let left = until.map(|until| until.saturating_duration_since(Instant::now()));
        let mut bell = [PollFd::new(seat.hears(), PollFlags::IN)];
        let ready = poll_for(&mut bell, left);
        if !bell[0].revents().is_empty() {
            return Idle::Called;
        }
        if !ready && left.is_some_and(|left| left.is_zero()) {
            return Idle::Expired;
        }
    }
}
