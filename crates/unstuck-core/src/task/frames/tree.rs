//! The frames of one task: which of them are pending, and which lie inside which.
//!
//! ```text
//!   the task ──┬── frame ──── frame ◄─ innermost: a request lands here
//!              └── join ◄──────────── and here, in the sibling
//! ```
//!
//! A frame enters the tree when its first poll returns pending, and so *after* those inside it, which were polled
//! during that poll. It then adopts them: they are the ones that were made since its poll began, under the parent that
//! it gets itself. A frame whose future is ready at once never comes here at all.

use std::sync::{Arc, Weak};
use std::task::Waker;

use super::flight::{Cancelled, Flight, REQUEST, Reason};
use crate::task::TaskRef;

/// A node's number, from 1; 0 is the task itself.
pub(super) type Key = u32;

/// A tree of so many nodes keeps its room when they are gone.
const SMALL: usize = 64;

/// No frame: the task itself.
pub(super) const ROOT: Key = 0;

#[derive(Default)]
pub(super) struct Tree {
    nodes: Vec<Option<Node>>,
    free: Vec<Key>,
    /// The innermost of those being polled.
    current: Key,
    /// Nodes made so far.
    made: u64,
    /// What landed here, to see whether it is still being dealt with.
    flights: Vec<Weak<Flight>>,
    /// Requests that landed, less those taken back by `uncancel`.
    pub(super) requests: u32,
    /// The reason of the request that is to land next; at the end of the task, of the one that ended it.
    pub(super) reason: Option<Reason>,
    /// Frames count no longer: the task is being destroyed.
    pub(super) doomed: bool,
}

struct Node {
    made: u64,
    parent: Key,
    children: u32,
    kind: Kind,
    /// What landed here and has not been seen yet; in a join, what is waiting for the end of the inner task.
    hit: Option<Cancelled>,
    /// A join that can take no part any more: nothing lands here, but around it.
    cut: bool,
    /// A join whose task was not told of what landed here, because it deals with another request.
    untold: bool,
}

impl Node {
    fn is_innermost(&self) -> bool {
        self.children == 0 && !self.cut
    }
}

pub(super) enum Kind {
    /// Called when something lands.
    Frame(Option<Waker>),
    /// The task that is awaited by value. `late`: a request found it finished, and waited for one poll.
    Join { task: TaskRef, late: bool },
}

/// Where a request landed, and what is to be done about it with nothing locked.
#[derive(Default)]
pub(super) struct Landing {
    pub(super) wakers: Vec<Waker>,
    /// Joins, with the moment they were made: their tasks are to be cancelled.
    pub(super) joins: Vec<(Key, u64, TaskRef, First)>,
    /// It landed in a frame.
    pub(super) in_frame: bool,
    /// A finished join is in the way: its value comes first.
    pub(super) late: bool,
}

/// True for the first request that reaches a join.
pub(super) type First = bool;

impl Tree {
    pub(super) fn made(&self) -> u64 {
        self.made
    }

    fn node(&mut self, key: Key) -> Option<&mut Node> {
        self.nodes.get_mut((key as usize).checked_sub(1)?)?.as_mut()
    }

    fn parent(&self, key: Key) -> Key {
        (key as usize)
            .checked_sub(1)
            .and_then(|at| self.nodes.get(at)?.as_ref())
            .map_or(ROOT, |node| node.parent)
    }

    /// Adds a pending node inside the current one; `since` is `made()` from before its poll began.
    pub(super) fn insert(&mut self, kind: Kind, since: u64) -> Key {
        let parent = self.current;
        self.made += 1;
        let node = Node { made: self.made, parent, children: 0, kind, hit: None, cut: false, untold: false };
        let key = match self.free.pop() {
            Some(key) => key,
            None => {
                self.nodes.push(None);
                u32::try_from(self.nodes.len()).unwrap_or_else(|_| panic!("2^32 frames in one task"))
            }
        };
        let children = if self.made - 1 > since { self.adopt(key, parent, since) } else { 0 };
        self.nodes[key as usize - 1] = Some(Node { children, ..node });
        if let Some(parent) = self.node(parent) {
            parent.children = parent.children + 1 - children;
        }
        key
    }

    /// Makes what was made under `parent` since then children of `key`.
    fn adopt(&mut self, key: Key, parent: Key, since: u64) -> u32 {
        let mut children = 0;
        for node in self.nodes.iter_mut().flatten() {
            if node.parent == parent && node.made > since {
                node.parent = key;
                children += u32::from(!node.cut);
            }
        }
        children
    }

    /// True if something that `insert` would adopt was made since then.
    pub(super) fn has_new(&self, since: u64) -> bool {
        self.made > since
            && self.nodes.iter().flatten().any(|node| node.parent == self.current && node.made > since)
    }

    /// Takes a node out. What it had is the user's: to be dropped with nothing locked.
    pub(super) fn remove(&mut self, key: Key) -> Option<(Kind, Option<Cancelled>)> {
        let node = self.nodes.get_mut((key as usize).checked_sub(1)?)?.take()?;
        if node.children > 0 {
            for child in self.nodes.iter_mut().flatten().filter(|child| child.parent == key) {
                child.parent = node.parent;
            }
        }
        if let Some(parent) = self.node(node.parent) {
            parent.children = parent.children + node.children - u32::from(!node.cut);
        }
        if self.current == key {
            self.current = node.parent;
        }
        self.free.push(key);
        if self.nodes.len() > SMALL {
            self.ease();
        }
        Some((node.kind, node.hit))
    }

    /// Of very many nodes few are left: gives back the room behind the last of them. It looks each time their number has
    /// halved, so that a look costs no more than the removals before it.
    #[cold]
    fn ease(&mut self) {
        let left = self.nodes.len() - self.free.len();
        if left > self.nodes.len() / 4 || !(left == 0 || left.is_power_of_two()) {
            return;
        }
        let used = self.nodes.iter().rposition(Option::is_some).map_or(0, |last| last + 1);
        self.nodes.truncate(used);
        self.nodes.shrink_to(2 * used);
        self.free.retain(|&key| key as usize <= used);
        self.free.shrink_to(2 * used);
    }

    /// A frame's poll begins: what landed in it, or the frame that was current until now.
    pub(super) fn enter(&mut self, key: Key, waker: &Waker) -> Enter {
        let previous = self.current;
        let Some(node) = self.node(key) else { return Enter::Current(previous) };
        if let Some(cancelled) = node.hit.take() {
            return Enter::Hit(cancelled);
        }
        let wakes = matches!(&node.kind, Kind::Frame(Some(old)) if old.will_wake(waker));
        self.current = key;
        if wakes { Enter::Current(previous) } else { Enter::NeedsWaker(previous) }
    }

    /// Leaves a waker with a frame; gives the old one back.
    pub(super) fn set_waker(&mut self, key: Key, waker: Waker) -> Option<Waker> {
        match &mut self.node(key)?.kind {
            Kind::Frame(old) => old.replace(waker),
            Kind::Join { .. } => None,
        }
    }

    /// A frame's poll is over.
    pub(super) fn leave(&mut self, previous: Key) {
        self.current = previous;
    }

    /// How many frames lie around what is being polled.
    pub(super) fn depth(&self) -> usize {
        self.depth_of(self.current)
    }

    /// How many frames lie around what is inside this one.
    pub(super) fn depth_of(&self, mut key: Key) -> usize {
        let mut depth = 0;
        while key != ROOT {
            depth += 1;
            key = self.parent(key);
        }
        depth
    }

    fn is_inside(&self, mut key: Key, scope: Key) -> bool {
        while key != scope && key != ROOT {
            key = self.parent(key);
        }
        key == scope
    }

    /// Lets a request land in the innermost nodes inside `scope`. `polled`: they have just been polled.
    pub(super) fn land(&mut self, scope: Key, origin: u64, reason: Option<&Reason>, polled: bool) -> Landing {
        let mut landing = Landing::default();
        if self.doomed && origin == REQUEST {
            return landing;
        }
        if polled {
            self.cut_left_joins();
        }
        let mut flight = None;
        for at in 0..self.nodes.len() {
            let key = at as Key + 1;
            let inside = scope == ROOT || (key != scope && self.is_inside(key, scope));
            let Some(node) = self.nodes[at].as_mut().filter(|node| inside && node.is_innermost()) else {
                continue;
            };
            let first = node.hit.is_none();
            match &mut node.kind {
                Kind::Frame(waker) => {
                    landing.wakers.extend(waker.take());
                    landing.in_frame = true;
                }
                Kind::Join { task, late } if first && task.is_done() => {
                    landing.late |= !(polled && *late);
                    *late |= polled;
                    continue;
                }
                Kind::Join { task, .. } => landing.joins.push((key, node.made, task.clone(), first)),
            }
            if first {
                let flight = flight.get_or_insert_with(|| Flight::new(origin, reason.cloned()));
                node.hit = Some(flight.part());
            }
        }
        if let Some(flight) = flight {
            self.note(&flight);
        }
        landing
    }

    /// Lets a flight that has been thrown land in the innermost nodes inside `scope` that have not been told. Gives besides
    /// the other flights that some of them have been told of, and are dealing with.
    pub(super) fn land_rest(&mut self, scope: Key, flight: &Arc<Flight>) -> (Landing, Vec<Arc<Flight>>) {
        let (mut landing, mut others) = (Landing::default(), Vec::<Arc<Flight>>::new());
        if self.doomed && flight.cause().0 == REQUEST {
            return (landing, others);
        }
        let mut left = Vec::new();
        for at in 0..self.nodes.len() {
            let key = at as Key + 1;
            let inside = key != scope && self.is_inside(key, scope);
            let Some(node) = self.nodes[at].as_mut().filter(|node| inside && node.is_innermost()) else {
                continue;
            };
            if let Some(hit) = &node.hit {
                if !hit.is_part_of(flight) && !others.iter().any(|other| hit.is_part_of(other)) {
                    others.push(hit.flight().clone());
                }
                continue;
            }
            match &mut node.kind {
                Kind::Frame(waker) => {
                    landing.wakers.extend(waker.take());
                    landing.in_frame = true;
                }
                // It has finished since it was polled. One more poll, and what is around it goes on and can be told; or
                // nobody polls it.
                Kind::Join { task, late } if task.is_done() => {
                    landing.late = true;
                    if std::mem::replace(late, true) {
                        left.push((key, node.made));
                    }
                    continue;
                }
                Kind::Join { task, .. } => landing.joins.push((key, node.made, task.clone(), true)),
            }
            node.hit = Some(flight.part());
        }
        for (key, made) in left {
            let none = self.cut(key, made);
            debug_assert!(none.is_none(), "nothing had landed there");
        }
        (landing, others)
    }

    /// What nodes were told of this flight, and have not looked at although they could.
    pub(super) fn blind<'a>(
        &'a mut self,
        flight: &'a Arc<Flight>,
    ) -> impl Iterator<Item = &'a mut Option<Cancelled>> {
        let told = move |node: &&mut Node| node.hit.as_ref().is_some_and(|hit| hit.is_part_of(flight));
        let could = |node: &&mut Node| match &node.kind {
            Kind::Frame(_) => true,
            Kind::Join { task, .. } => task.is_done(),
        };
        self.nodes.iter_mut().flatten().filter(told).filter(could).map(|node| &mut node.hit)
    }

    /// Remembers what landed.
    fn note(&mut self, flight: &Arc<Flight>) {
        self.flights.retain(|flight| flight.strong_count() > 0);
        self.flights.push(Arc::downgrade(flight));
    }

    /// Joins whose tasks have ended, and that the poll has passed by although it was made for them: nobody polls them.
    fn cut_left_joins(&mut self) {
        for at in 0..self.nodes.len() {
            let left = |node: &&Node| match &node.kind {
                Kind::Join { task, late } => *late && node.hit.is_none() && task.is_done(),
                Kind::Frame(_) => false,
            };
            if let Some(made) = self.nodes[at].as_ref().filter(left).map(|node| node.made) {
                let none = self.cut(at as Key + 1, made);
                debug_assert!(none.is_none());
            }
        }
    }

    /// From now on nothing lands in this join, but in what is around it. Gives what has landed, to be dropped with nothing
    /// locked.
    pub(super) fn cut(&mut self, key: Key, made: u64) -> Option<Cancelled> {
        let node = self.node(key).filter(|node| node.made == made && !node.cut)?;
        node.cut = true;
        let (hit, parent) = (node.hit.take(), node.parent);
        if let Some(parent) = self.node(parent) {
            parent.children -= 1;
        }
        hit
    }

    /// A join turned out to be finished: the request did not land there. Gives the part back, to be dropped with
    /// nothing locked.
    pub(super) fn miss(&mut self, key: Key, made: u64) -> Option<Cancelled> {
        self.node(key).filter(|node| node.made == made)?.hit.take()
    }

    /// Notes whether the task of a join was told of what landed there.
    pub(super) fn note_untold(&mut self, key: Key, made: u64, untold: bool) {
        if let Some(node) = self.node(key).filter(|node| node.made == made) {
            node.untold = untold;
        }
    }

    /// What was noted.
    pub(super) fn is_untold(&mut self, key: Key) -> bool {
        self.node(key).is_some_and(|node| node.untold)
    }

    /// The tasks that are awaited by value.
    pub(super) fn joined(&self) -> Vec<TaskRef> {
        let joins = self.nodes.iter().flatten().filter_map(|node| match &node.kind {
            Kind::Join { task, .. } => Some(task.clone()),
            Kind::Frame(_) => None,
        });
        joins.collect()
    }

    /// What is being dealt with.
    pub(super) fn open_flights(&self) -> Vec<Arc<Flight>> {
        self.flights.iter().filter_map(Weak::upgrade).filter(|flight| flight.is_open()).collect()
    }
}

/// What a frame finds when its poll begins.
pub(super) enum Enter {
    Hit(Cancelled),
    /// The frame that was current until now.
    Current(Key),
    /// As `Current`, and the waker in the frame is another one.
    NeedsWaker(Key),
}
