//! What a process answers to `unstuck-ps`.
//!
//! A process has one socket, however many runtimes: it is there while one of them wants to be looked at. The thread
//! behind it (`unstuck-inspect`) knows nothing of tasks and asks [`answer`]. That takes no lock under which user code
//! runs, so it answers while every worker is stuck.

use std::collections::VecDeque;
use std::env;
use std::io;
use std::process;
use std::sync::{Arc, OnceLock, Weak};
use std::time::Instant;

use unstuck_core::guard::{Sink, StallReport};
use unstuck_core::sync::Mutex;
use unstuck_inspect::{Answer, Request, Server, VERSION};

use super::json::{List, Stall, Task, Text};
use crate::runtime::Handle;
use crate::runtime::stack::Stack;

/// A runtime that may be looked at, until this is dropped.
#[derive(Debug)]
pub(crate) struct Served(Weak<Stack>);

/// The runtimes that may be looked at, with their names.
static RUNTIMES: Mutex<Vec<(String, Weak<Stack>)>> = Mutex::new(Vec::new());

/// There while one of them may. Its lock is held while it starts and ends, and never taken by its thread.
static SERVER: Mutex<Option<Server>> = Mutex::new(None);

/// The last reports of stalls, and when they came.
static STALLS: Mutex<VecDeque<(Instant, StallReport)>> = Mutex::new(VecDeque::new());

/// So many of them.
const REMEMBERED: usize = 32;

/// True if the environment asks for it: `UNSTUCK_INSPECT` is neither empty nor 0. Read once.
pub(crate) fn in_environment() -> bool {
    static FOUND: OnceLock<bool> = OnceLock::new();
    *FOUND
        .get_or_init(|| env::var_os("UNSTUCK_INSPECT").is_some_and(|value| !value.is_empty() && value != "0"))
}

/// Lets the runtime called `name` be looked at.
pub(crate) fn serve(name: &str, handle: &Handle) -> io::Result<Served> {
    let mut server = SERVER.lock();
    if server.is_none() {
        let answer: Answer = Arc::new(answer);
        *server = Some(Server::start("unstuck-inspect", &answer)?);
    }
    let stack = handle.downgrade();
    RUNTIMES.lock().push((name.into(), stack.clone()));
    Ok(Served(stack))
}

impl Drop for Served {
    fn drop(&mut self) {
        let mut server = SERVER.lock();
        let mut runtimes = RUNTIMES.lock();
        runtimes.retain(|(_, stack)| !stack.ptr_eq(&self.0));
        if runtimes.is_empty() {
            drop(runtimes); // its thread may be about to look at them, and is waited for
            *server = None;
        }
    }
}

/// A sink that remembers each report and passes it on.
pub(crate) fn remembering(next: Option<Sink>) -> Sink {
    Arc::new(move |report| {
        let mut stalls = STALLS.lock();
        if stalls.len() == REMEMBERED {
            stalls.pop_front();
        }
        stalls.push_back((Instant::now(), report.clone()));
        drop(stalls);
        if let Some(next) = &next {
            next(report);
        }
    })
}

fn answer(request: &Request) -> String {
    let runtimes = runtimes();
    let content = match request {
        Request::Ps => {
            format!(r#""runtimes":{}"#, List(runtimes.iter().map(|(name, handle)| ps(name, handle))))
        }
        Request::Tree => format!(r#""text":{}"#, Text(&each(&runtimes, |handle| handle.graph().to_string()))),
        Request::Dot => format!(r#""text":{}"#, Text(&each(&runtimes, |handle| handle.graph().to_dot()))),
        Request::Cancel(id) => match runtimes.iter().find_map(|(_, handle)| handle.find(*id)) {
            Some(task) => {
                let (name, asked) = (task.name(), task.cancel());
                format!(r#""cancelled":{asked},"name":{}"#, Text(&name))
            }
            None => format!(r#""error":"there is no unfinished task {id}""#),
        },
        Request::Stalls => {
            // How long ago, first of all: writing a report may look up the names in its backtrace, which takes a while.
            let ago = |(when, report): &(Instant, StallReport)| (when.elapsed(), report.clone());
            let stalls: Vec<_> = STALLS.lock().iter().map(ago).collect();
            format!(r#""stalls":{}"#, List(stalls.iter().map(|(ago, report)| Stall(*ago, report))))
        }
        _ => r#""error":"this process does not know that request: it is older than what asks it""#.into(),
    };
    let program = env::args_os().next().unwrap_or_default();
    let program = Text(&program.to_string_lossy()).to_string();
    format!(r#"{{"version":{VERSION},"pid":{},"program":{program},{content}}}"#, process::id())
}

fn runtimes() -> Vec<(String, Handle)> {
    let runtimes = RUNTIMES.lock();
    let living = runtimes.iter().filter_map(|(name, stack)| Some((name.clone(), stack.upgrade()?)));
    living.map(|(name, stack)| (name, Handle::new(stack))).collect()
}

fn ps(name: &str, handle: &Handle) -> String {
    let (tasks, cycles) = {
        let graph = handle.graph();
        (List(graph.tasks().iter().map(Task)).to_string(), graph.cycles())
    };
    format!(r#"{{"name":{},"tasks":{tasks},"cycles":{}}}"#, Text(name), List(cycles.iter().map(List)))
}

/// A text of each runtime, under its name if there are several.
fn each(runtimes: &[(String, Handle)], text: impl Fn(&Handle) -> String) -> String {
    let several = runtimes.len() > 1;
    let texts = runtimes.iter().map(|(name, handle)| {
        let title = if several { format!("# runtime {name}\n") } else { String::new() };
        title + &text(handle)
    });
    texts.collect()
}
