//! Who awaits whom: as a tree for people, as JSON for programs, as a picture for graphviz.
//!
//! The nodes are tasks, and the futures that `run` and `block_on` were given; an edge is a handle that is being awaited, or
//! a lock that the other one holds. What else a task awaits (a timer, a job …) hangs below it as a leaf. A tree begins at each task that nobody awaits;
//! tasks that await each other in a circle have no such beginning, and will wait for ever: they are shown as that.

mod dot;

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::fmt;
use std::panic::Location;
use std::time::Duration;

use super::json::{List, Task};
use super::{Await, On, TaskInfo};
use crate::task::TaskId;

/// Who awaits whom, at one moment.
///
/// `Display` draws it as trees; [`to_json`](Self::to_json) and [`to_dot`](Self::to_dot) give it to programs. See
/// [`debug::graph`](crate::debug::graph).
#[derive(Clone, Debug)]
pub struct Graph {
    tasks: Vec<TaskInfo>,
    /// The index of each task among them.
    index: HashMap<TaskId, usize>,
}

/// How a task waits for another one.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Edge {
    /// Awaits its handle.
    Joins,
    /// Awaits its handle by reference, and says so.
    Shielded,
    /// Wants a lock that the other one holds.
    Lock,
}

/// A tree is drawn no deeper than this; what hangs lower is drawn as a tree of its own further down.
const DEEPEST: usize = 64;

impl Graph {
    pub(crate) fn of(tasks: Vec<TaskInfo>) -> Self {
        let index = tasks.iter().enumerate().filter_map(|(at, task)| Some((task.id?, at))).collect();
        Self { tasks, index }
    }

    /// The futures that are no tasks, and the tasks by number.
    #[must_use]
    pub fn tasks(&self) -> &[TaskInfo] {
        &self.tasks
    }

    /// Circles of tasks that await each other: they will wait for ever, unless one is cancelled.
    #[must_use]
    pub fn cycles(&self) -> Vec<Vec<TaskId>> {
        let ids = |circle: Vec<usize>| circle.into_iter().filter_map(|at| self.tasks[at].id).collect();
        self.circles().into_iter().map(ids).collect()
    }

    /// The graph as a JSON object: `{"version":1,"tasks":[…],"cycles":[[1,2]]}`. Times are in microseconds.
    #[must_use]
    pub fn to_json(&self) -> String {
        let cycles = self.cycles();
        let cycles = cycles.iter().map(List);
        format!(r#"{{"version":1,"tasks":{},"cycles":{}}}"#, List(self.tasks.iter().map(Task)), List(cycles))
    }

    /// The graph in graphviz's language: `unstuck-ps pstree --dot | dot -Tsvg`.
    #[must_use]
    pub fn to_dot(&self) -> String {
        dot::Dot(self).to_string()
    }

    /// The tasks that this one waits for, and how.
    fn edges(&self, at: usize) -> impl Iterator<Item = (usize, Edge)> {
        self.tasks[at].awaits.iter().filter_map(|awaits| self.target(awaits))
    }

    /// The task that is waited for, if it is one and has not ended.
    fn target(&self, awaits: &Await) -> Option<(usize, Edge)> {
        let (id, edge) = match awaits.on {
            On::Task { id, shielded: false } => (id, Edge::Joins),
            On::Task { id, shielded: true } => (id, Edge::Shielded),
            On::Lock { holder, .. } => (holder?, Edge::Lock),
            _ => return None,
        };
        Some((*self.index.get(&id)?, edge))
    }

    /// Circles, each from the task in it that was found first. A walk in depth with its own stack: chains may be long.
    fn circles(&self) -> Vec<Vec<usize>> {
        let edges: Vec<Vec<usize>> =
            (0..self.tasks.len()).map(|at| self.edges(at).map(|(to, _)| to).collect()).collect();
        let mut circles = Vec::new();
        let mut left = HashSet::new();
        for start in 0..self.tasks.len() {
            if left.contains(&start) {
                continue;
            }
            // The way from `start` to here, each with the number of its edges that were followed; and who is on it.
            let mut path: Vec<(usize, usize)> = vec![(start, 0)];
            let mut on_path = HashMap::from([(start, 0)]);
            while let Some((at, next)) = path.last_mut() {
                let (here, edge) = (*at, edges[*at].get(*next).copied());
                *next += 1;
                match edge {
                    None => {
                        left.insert(here);
                        on_path.remove(&here);
                        path.pop();
                    }
                    Some(to) if left.contains(&to) => {}
                    Some(to) => match on_path.get(&to) {
                        Some(&begin) => circles.push(path[begin..].iter().map(|(at, _)| *at).collect()),
                        None => {
                            on_path.insert(to, path.len());
                            path.push((to, 0));
                        }
                    },
                }
            }
        }
        circles
    }
}

impl fmt::Display for Graph {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let awaited: HashSet<usize> =
            (0..self.tasks.len()).flat_map(|at| self.edges(at)).map(|(to, _)| to).collect();
        let roots = (0..self.tasks.len()).filter(|at| !awaited.contains(at));
        let mut drawing = Drawing { graph: self, drawn: HashSet::new(), path: Vec::new() };
        // Those that nobody awaits; then what is left: circles, and what hung too deep.
        for root in roots.chain(0..self.tasks.len()) {
            if !drawing.drawn.contains(&root) {
                writeln!(f, "{}", Line(&self.tasks[root]))?;
                drawing.below(f, root, "")?;
            }
        }
        Ok(())
    }
}

struct Drawing<'a> {
    graph: &'a Graph,
    drawn: HashSet<usize>,
    /// From the root to where we are.
    path: Vec<usize>,
}

impl Drawing<'_> {
    fn below(&mut self, f: &mut fmt::Formatter<'_>, at: usize, indent: &str) -> fmt::Result {
        self.drawn.insert(at);
        self.path.push(at);
        let task = &self.graph.tasks[at];
        // A task that has just ended may still be noted.
        let lives = |awaits: &&Await| match awaits.on {
            On::Task { .. } => self.graph.target(awaits).is_some(),
            _ => true,
        };
        let awaits: Vec<&Await> = task.awaits.iter().filter(lives).collect();
        let count = awaits.len();
        for (number, awaits) in awaits.into_iter().enumerate() {
            let last = number + 1 == count;
            let (branch, deeper) = if last { ("└── ", "    ") } else { ("├── ", "│   ") };
            write!(f, "{indent}{branch}")?;
            match self.graph.target(awaits) {
                None => writeln!(f, "{}", Leaf(awaits))?,
                Some((to, edge)) => {
                    f.write_str(match edge {
                        Edge::Joins => "",
                        Edge::Shielded => "(shielded) ",
                        Edge::Lock if self.path.contains(&to) => "lock, ",
                        Edge::Lock => "lock held by ",
                    })?;
                    self.child(f, to, &format!("{indent}{deeper}"))?;
                }
            }
        }
        self.path.pop();
        Ok(())
    }

    fn child(&mut self, f: &mut fmt::Formatter<'_>, to: usize, indent: &str) -> fmt::Result {
        let task = &self.graph.tasks[to];
        if let Some(begin) = self.path.iter().position(|&at| at == to) {
            f.write_str("cycle: ")?;
            for &at in &self.path[begin..] {
                write!(f, "{} → ", self.graph.tasks[at].name)?;
            }
            writeln!(f, "{}", task.name)
        } else if self.drawn.contains(&to) {
            writeln!(f, "{} (see above)", task.name)
        } else if self.path.len() >= DEEPEST {
            writeln!(f, "{} (see below)", task.name)
        } else {
            writeln!(f, "{}", Line(task))?;
            self.below(f, to, indent)
        }
    }
}

/// `fetch (task 3, src/main.rs:12) waiting, being cancelled`
pub(super) struct Line<'a>(pub(super) &'a TaskInfo);

impl fmt::Display for Line<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let task = self.0;
        f.write_str(&task.name)?;
        f.write_str(" (")?;
        if let Some(id) = task.id.filter(|id| *task.name != *format!("task-{id}")) {
            write!(f, "task {id}, ")?;
        }
        write!(f, "{}:{}) {}", file(task.place), task.place.line(), task.state)?;
        f.write_str(if task.cancelling { ", being cancelled" } else { "" })
    }
}

/// `sleep, 1.5s left`
pub(super) struct Leaf<'a>(pub(super) &'a Await);

impl fmt::Display for Leaf<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.what)?;
        match self.0.on {
            On::Moment(left) if left > CENTURY => f.write_str(", for ever"),
            On::Moment(left) if left >= HOUR => write!(f, ", {}h {}min left", hours(left), minutes(left)),
            On::Moment(left) => write!(f, ", {:?} left", rounded(left)),
            On::Place(place) => write!(f, " made at {}:{}", file(place), place.line()),
            On::Task { id, .. } => write!(f, " {id}"),
            _ => Ok(()),
        }
    }
}

/// Longer than anybody means.
const CENTURY: Duration = Duration::from_secs(100 * 365 * 24 * 3600);

const HOUR: Duration = Duration::from_secs(3600);

fn hours(time: Duration) -> u64 {
    time.as_secs() / 3600
}

fn minutes(time: Duration) -> u64 {
    time.as_secs() / 60 % 60
}

/// Down to what matters to a reader: seconds, milliseconds of some seconds, microseconds of short times.
fn rounded(time: Duration) -> Duration {
    let unit = match time.as_millis() {
        0..10 => 1,
        10..10_000 => 1_000,
        _ => 1_000_000,
    };
    let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
    Duration::from_micros(micros / unit * unit)
}

/// The file of a place, without detours: `tests/../main.rs` is `main.rs`.
pub(super) fn file(place: &'static Location<'static>) -> Cow<'static, str> {
    let path = place.file();
    if !path.contains("/../") {
        return path.into();
    }
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match (part, parts.last()) {
            ("..", Some(last)) if !matches!(*last, "" | "..") => drop(parts.pop()),
            _ => parts.push(part),
        }
    }
    parts.join("/").into()
}
