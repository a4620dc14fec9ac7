//! What is noted about one task.

use std::cell::RefCell;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::Await;
use super::info::Running;
use crate::guard::ThreadProbe;

/// What is noted about a task, or about a future that is polled outside of tasks.
#[derive(Default)]
pub(crate) struct Notes {
    polls: u64,
    busy: Duration,
    /// The poll that is going on: since when, and where.
    poll: Option<(Instant, Who)>,
    awaits: Vec<Note>,
}

struct Note {
    key: usize,
    /// Stays when the task is polled again.
    kept: bool,
    awaits: Await,
}

/// A thread: its name, and how to ask the kernel about it.
#[derive(Clone)]
struct Who {
    name: Arc<str>,
    probe: Option<ThreadProbe>,
}

thread_local! {
    /// This thread, when it is noted for the first time: two system calls.
    static MYSELF: RefCell<Option<Who>> = const { RefCell::new(None) };
}

impl Who {
    fn am_i() -> Self {
        let look = || {
            let thread = std::thread::current();
            Self { name: thread.name().unwrap_or("a thread").into(), probe: ThreadProbe::of_this_thread() }
        };
        let known = MYSELF.try_with(|myself| myself.borrow_mut().get_or_insert_with(look).clone());
        known.unwrap_or_else(|_| look()) // the thread is ending
    }
}

impl Notes {
    /// A poll begins.
    pub(crate) fn begin(&mut self) {
        self.awaits.retain(|note| note.kept);
        self.polls += 1;
        self.poll = Some((Instant::now(), Who::am_i()));
    }

    /// The poll is over.
    pub(crate) fn end(&mut self) {
        if let Some((since, _)) = self.poll.take() {
            self.busy += since.elapsed();
        }
    }

    /// Notes what is awaited; what was noted under that key before is struck out.
    pub(super) fn awaits(&mut self, key: usize, awaits: Await, kept: bool) {
        match self.awaits.iter_mut().find(|note| note.key == key) {
            Some(note) => *note = Note { key, kept, awaits },
            None => self.awaits.push(Note { key, kept, awaits }),
        }
    }

    pub(super) fn gone(&mut self, key: usize) {
        self.awaits.retain(|note| note.key != key);
    }

    pub(super) fn polls(&self) -> u64 {
        self.polls
    }

    /// The time spent in polls, the present one included.
    pub(super) fn busy(&self) -> Duration {
        self.busy + self.poll.as_ref().map_or(Duration::ZERO, |(since, _)| since.elapsed())
    }

    /// Where it is being polled. Asks the kernel, so take a copy of the notes' lock's content first.
    pub(super) fn running(&self) -> Option<(Running, Option<ThreadProbe>)> {
        let (since, who) = self.poll.as_ref()?;
        Some((Running { thread: who.name.clone(), lasted: since.elapsed(), call: None }, who.probe))
    }

    pub(super) fn list(&self) -> Vec<Await> {
        self.awaits.iter().map(|note| note.awaits).collect()
    }
}
