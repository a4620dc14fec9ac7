//! What whoever looks is given.

use std::fmt;
use std::panic::Location;
use std::sync::Arc;
use std::time::Duration;

use super::{Await, Notes, On, held};
use crate::guard::{Call, ThreadProbe};
use crate::task::{Registry, TaskId, TaskRef};

/// A task, or a future given to `run` or `block_on`, at one moment.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct TaskInfo {
    /// The task's number. None for a future that is no task.
    pub id: Option<TaskId>,
    /// The name it was given, or `task-` and its number; `main` for a future that is no task.
    pub name: Arc<str>,
    /// The place in the source that spawned it, or called `run` or `block_on`.
    pub place: &'static Location<'static>,
    /// What it is up to.
    pub state: TaskState,
    /// A cancellation is requested and not delivered yet.
    pub cancelling: bool,
    /// How often it was polled. Counted while introspection is on.
    pub polls: u64,
    /// The time it spent in polls, the present one included. Counted while introspection is on.
    pub busy: Duration,
    /// What it awaits, as far as that makes itself known. Nothing while introspection is off.
    pub awaits: Vec<Await>,
}

/// What a task is up to.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TaskState {
    /// It awaits something.
    Waiting,
    /// It waits for its turn.
    Ready,
    /// A thread polls it. While introspection is on it is known which one, and since when.
    Running(Option<Running>),
    /// It has ended.
    Done,
}

/// A poll that is going on.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Running {
    /// The name of the thread.
    pub thread: Arc<str>,
    /// How long the poll has taken so far.
    pub lasted: Duration,
    /// The system call that the thread sleeps in, where the system says so.
    pub call: Option<Call>,
}

/// A task at this moment, which is `now` on the time line of its runtime's clock.
pub fn info(task: &TaskRef, now: Duration) -> TaskInfo {
    let (seen, cancelling) = (Seen::read(task.noted(Seen::of), now), task.is_cancelling());
    let state = match seen.running {
        _ if task.is_done() => TaskState::Done,
        Some(running) => TaskState::Running(Some(running)),
        None if task.is_running() => TaskState::Running(None),
        None if task.is_scheduled() => TaskState::Ready,
        None => TaskState::Waiting,
    };
    TaskInfo {
        id: Some(task.id()),
        name: task.name(),
        place: task.place(),
        state,
        cancelling,
        polls: seen.polls,
        busy: seen.busy,
        awaits: seen.awaits,
    }
}

/// Every future that is no task, and every unfinished task by number; it is `now` on the time line of their clock.
pub(crate) fn everything(registry: &Registry, mut tasks: Vec<TaskRef>, now: Duration) -> Vec<TaskInfo> {
    let outsiders = registry.outsiders().snapshot();
    let mut all: Vec<TaskInfo> = outsiders
        .iter()
        .map(|outsider| {
            let seen = Seen::read(Some(Seen::of(&outsider.notes.lock())), now);
            TaskInfo {
                id: None,
                name: "main".into(),
                place: outsider.place,
                state: seen.running.map_or(TaskState::Waiting, |running| TaskState::Running(Some(running))),
                cancelling: false,
                polls: seen.polls,
                busy: seen.busy,
                awaits: seen.awaits,
            }
        })
        .collect();
    tasks.sort_by_key(TaskRef::id);
    all.extend(tasks.iter().map(|task| info(task, now)).filter(|info| info.state != TaskState::Done));
    all
}

/// What was noted, copied under the lock.
#[derive(Default)]
struct Seen {
    polls: u64,
    busy: Duration,
    running: Option<Running>,
    probe: Option<ThreadProbe>,
    awaits: Vec<Await>,
}

impl Seen {
    fn of(notes: &Notes) -> Self {
        let (running, probe) =
            notes.running().map_or((None, None), |(running, probe)| (Some(running), probe));
        Self { polls: notes.polls(), busy: notes.busy(), running, probe, awaits: notes.list() }
    }

    /// What takes longer, with no lock held: asks the kernel, and says of moments how far they are.
    fn read(seen: Option<Self>, now: Duration) -> Self {
        let mut seen = seen.unwrap_or_default();
        if let (Some(running), Some(probe)) = (&mut seen.running, seen.probe) {
            running.call = probe.doing();
        }
        for each in &mut seen.awaits {
            match &mut each.on {
                On::Moment(moment) => *moment = moment.saturating_sub(now),
                On::Lock { lock, holder } => *holder = held::holder(*lock),
                _ => {}
            }
        }
        seen
    }
}

impl fmt::Display for TaskState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TaskState::Waiting => f.write_str("waiting"),
            TaskState::Ready => f.write_str("ready"),
            TaskState::Running(None) => f.write_str("RUNNING"),
            TaskState::Running(Some(running)) => write!(f, "RUNNING {running}"),
            TaskState::Done => f.write_str("done"),
        }
    }
}

impl fmt::Display for Running {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lasted = match self.lasted {
            short if short < Duration::from_millis(10) => Duration::from_micros(short.subsec_micros().into()),
            long => Duration::from_millis(u64::try_from(long.as_millis()).unwrap_or(u64::MAX)),
        };
        write!(f, "for {lasted:?} on {}", self.thread)?;
        self.call.as_ref().map_or(Ok(()), |call| write!(f, " in {call}"))
    }
}
