//! Whose frames they are: a task's, or those of the main future of `run` and `block_on`, which is no task.

use std::ptr::NonNull;
use std::sync::Arc;
use std::task::Context;

use super::flight::{Cancelled, Flight, REQUEST, Reason};
use super::held::Held;
use super::main::Main;
use super::tree::{Key, Landing, ROOT, Tree};
use crate::context;
use crate::handle::Handle;
use crate::job::contain;
use crate::sync::Mutex;
use crate::sync::atomic::{AtomicBool, Ordering};
use crate::task::{Header, TaskRef};

/// The tree of an owner, made when it is first needed.
#[derive(Default)]
pub(crate) struct Frames {
    tree: Mutex<Option<Box<Tree>>>,
    /// Joins enter the tree as soon as they are pending. Set and read by whoever polls the owner.
    exposed: AtomicBool,
    /// What was thrown and reached the owner itself.
    held: Mutex<Held>,
}

/// What became of a request.
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Delivery {
    /// It landed in a frame; poll the future.
    Landed,
    /// A task that is awaited has just finished: its value comes first, and the request stays.
    Later,
    /// There is no frame: drop the future.
    Nowhere,
}

impl Frames {
    /// Gives `f` the tree, which is made if it is not there. `f` runs no user code.
    pub(super) fn with<R>(&self, f: impl FnOnce(&mut Tree) -> R) -> R {
        f(self.tree.lock().get_or_insert_default())
    }

    /// Gives `f` the tree if there is one.
    pub(super) fn look<R>(&self, f: impl FnOnce(&mut Tree) -> R) -> Option<R> {
        self.tree.lock().as_deref_mut().map(f)
    }

    /// From now on joins enter the tree as soon as they are pending.
    pub(crate) fn expose(&self) {
        self.exposed.store(true, Ordering::Relaxed); // read in later polls only, which come after this one
    }

    /// True if joins are to enter the tree.
    #[inline]
    pub(crate) fn exposes(&self) -> bool {
        self.exposed.load(Ordering::Relaxed) // as in `expose`
    }

    /// Delivers a request from outside. `whose`: the task, if it is one.
    pub(super) fn deliver(&self, whose: Option<NonNull<Header>>, polled: bool) -> Delivery {
        let Some(reason) = self.look(|tree| tree.reason.clone()) else { return Delivery::Nowhere };
        let delivery = self.land(whose, ROOT, (REQUEST, reason.as_ref()), polled);
        if delivery == Delivery::Landed {
            drop(self.look(|tree| {
                tree.requests += 1;
                tree.reason.take()
            }));
        }
        delivery
    }

    /// Lets a request land inside `scope`, and does what follows from it.
    pub(super) fn land(
        &self,
        whose: Option<NonNull<Header>>,
        scope: Key,
        (origin, reason): (u64, Option<&Reason>),
        polled: bool,
    ) -> Delivery {
        loop {
            let Some(landing) = self.look(|tree| tree.land(scope, origin, reason, polled)) else {
                return Delivery::Nowhere;
            };
            self.expose(); // from now on a throw must know what it would drop
            match self.follow(whose, landing, reason) {
                (Delivery::Nowhere, true) => {} // once more: there may be a frame around what was cut
                (delivery, _) => return delivery,
            }
        }
    }

    /// What follows from a landing: frames are woken, and the tasks of joins cancelled. True if a join was cut.
    fn follow(
        &self,
        whose: Option<NonNull<Header>>,
        landing: Landing,
        reason: Option<&Reason>,
    ) -> (Delivery, bool) {
        let (mut landed, mut late, mut cut) = (landing.in_frame, landing.late, false);
        for waker in landing.wakers {
            contain("a waker", || waker.wake());
        }
        for (key, made, task, first) in landing.joins {
            let unwinds = first && task.is_unwinding();
            // Tasks that await each other in a circle cannot wait for each other's end.
            if unwinds && whose.is_some_and(|whose| waits_for(&task, whose)) {
                drop(self.look(|tree| tree.cut(key, made)));
                cut = true;
                continue;
            }
            let untold = unwinds && has_heard(&task);
            if untold || !first {
                self.look(|tree| tree.note_untold(key, made, untold));
            }
            if untold || task.request(reason.cloned()) || !first {
                landed = true;
            } else {
                late = true; // it has finished this moment
                drop(self.look(|tree| tree.miss(key, made)));
            }
        }
        let delivery = match (landed, late) {
            (true, _) => Delivery::Landed,
            (false, true) => Delivery::Later,
            (false, false) => Delivery::Nowhere,
        };
        (delivery, cut)
    }

    /// Requests that landed, less those taken back.
    pub(crate) fn requests(&self) -> u32 {
        self.look(|tree| tree.requests).unwrap_or(0)
    }

    /// Counts a request that joins another one on its way.
    pub(crate) fn count(&self) {
        self.with(|tree| tree.requests += 1);
    }

    /// Counts one less; false if there was none.
    pub(crate) fn uncount(&self) -> bool {
        self.look(|tree| {
            let counted = tree.requests > 0;
            tree.requests -= u32::from(counted);
            counted
        })
        .unwrap_or(false)
    }

    /// The reason of the request that is about to be made.
    pub(crate) fn set_reason(&self, reason: Reason) {
        drop(self.with(|tree| tree.reason.replace(reason)));
    }

    /// If something that landed in `task`, whose frames these are, is being dealt with: remembers to cancel the task
    /// should it be swallowed.
    pub(crate) fn cancel_if_swallowed(&self, task: &TaskRef) -> bool {
        let flights = self.look(|tree| tree.open_flights()).unwrap_or_default();
        flights.iter().any(|flight| flight.cancel_if_swallowed(task))
    }

    /// From now on requests land nowhere.
    pub(crate) fn doom(&self) {
        self.with(|tree| tree.doomed = true);
    }

    /// True if requests land nowhere.
    pub(crate) fn are_doomed(&self) -> bool {
        self.look(|tree| tree.doomed).unwrap_or(false)
    }

    /// Why the owner was cancelled, after its end.
    pub(crate) fn take_reason(&self) -> Option<Reason> {
        self.look(|tree| tree.reason.take()).flatten()
    }

    /// The tasks that the owner awaits by value.
    pub(crate) fn joined(&self) -> Vec<TaskRef> {
        self.look(|tree| tree.joined()).unwrap_or_default()
    }

    /// True while something that landed here is being dealt with.
    pub(crate) fn are_unwinding(&self) -> bool {
        self.look(|tree| !tree.open_flights().is_empty()).unwrap_or(false)
    }

    /// The same for a request from outside alone.
    pub(crate) fn deal_with_a_request(&self) -> bool {
        let flights = self.look(|tree| tree.open_flights()).unwrap_or_default();
        flights.iter().any(|flight| flight.cause().0 == REQUEST)
    }
}

/// True if `task`, which deals with a cancellation, need not be told of another: it would only be interrupted. That holds for
/// a request, and at the end of the runtime, which interrupts no cleanup. But one that deals with what a timeout or a group
/// inside of it asks for knows nothing of any request.
fn has_heard(task: &TaskRef) -> bool {
    let ending = || Handle::try_current().is_some_and(|home| home.is_closed());
    task.has_heard_of_a_request() || (ending() && task.frames().cancel_if_swallowed(task))
}

/// How far a circle of tasks that await each other is followed.
const CIRCLE: usize = 1000;

/// True if `task` awaits `other`, perhaps through others.
fn waits_for(task: &TaskRef, other: NonNull<Header>) -> bool {
    let mut chain = vec![task.clone()];
    let mut at = 0;
    while let Some(task) = chain.get(at).filter(|_| at < CIRCLE) {
        at += 1;
        for joined in task.joined() {
            if joined.as_raw() == other {
                return true;
            }
            if !chain.contains(&joined) {
                chain.push(joined);
            }
        }
    }
    false
}

/// Owns frames: what links in futures hold.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Owner {
    Task(TaskRef),
    Main(MainRef),
}

/// A main future, compared by identity.
#[derive(Clone)]
pub(crate) struct MainRef(pub(crate) Arc<Main>);

impl PartialEq for MainRef {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for MainRef {}

impl Owner {
    pub(super) fn as_task(&self) -> Option<NonNull<Header>> {
        match self {
            Owner::Task(task) => Some(task.as_raw()),
            Owner::Main(_) => None,
        }
    }

    pub(super) fn frames(&self) -> &Frames {
        match self {
            Owner::Task(task) => task.frames(),
            Owner::Main(main) => main.0.frames(),
        }
    }

    /// Asks for one more delivery of a request that met a value, which came first.
    pub(super) fn request_again(&self, reason: Option<Reason>) {
        self.frames().look(|tree| tree.requests = tree.requests.saturating_sub(1));
        match self {
            Owner::Task(task) => _ = task.request(reason),
            Owner::Main(main) => _ = main.0.request(reason),
        }
    }
}

/// From now on the joins of what is being polled are frames as soon as they are pending.
pub(super) fn expose() {
    if let Some(owner) = context::owner() {
        owner.frames().expose();
    }
}

/// How many frames lie around what is being polled.
pub(super) fn depth() -> usize {
    let depth = |frames: &Frames| frames.look(|tree| tree.depth());
    context::with_frames(|frames| frames.and_then(depth).unwrap_or(0))
}

/// What a throw would drop besides what throws it.
#[must_use]
#[derive(Default)]
pub(super) struct Rest {
    /// Frames that have just been told, and for which the flight waits; or that are to be told next.
    pub(super) told: bool,
    /// What others are dealing with already.
    pub(super) flights: Vec<Arc<Flight>>,
}

impl Frames {
    /// Lets a flight that has been thrown land in what would be dropped: frames inside `scope` that have not been told.
    pub(super) fn tell_rest(&self, whose: Option<NonNull<Header>>, scope: Key, flight: &Arc<Flight>) -> Rest {
        let Some((landing, flights)) = self.look(|tree| tree.land_rest(scope, flight)) else {
            return Rest::default();
        };
        self.expose();
        let (delivery, cut) = self.follow(whose, landing, flight.cause().1);
        Rest { told: delivery != Delivery::Nowhere || cut, flights }
    }

    /// How many frames lie around what is inside `scope`.
    pub(super) fn depth_of(&self, scope: Key) -> usize {
        self.look(|tree| tree.depth_of(scope)).unwrap_or(0)
    }

    /// True if somebody was told of this flight and has not looked yet.
    pub(super) fn has_blind(&self, flight: &Arc<Flight>) -> bool {
        self.look(|tree| tree.blind(flight).next().is_some()).unwrap_or(false)
    }

    /// Takes back what they were told.
    pub(super) fn take_blind(&self, flight: &Arc<Flight>) -> Vec<Cancelled> {
        self.look(|tree| tree.blind(flight).filter_map(Option::take).collect()).unwrap_or_default()
    }

    /// A cancellation that was thrown in the last poll, or before that, and that nobody inside has taken: given if it lands
    /// now. `hidden`: as for [`Held::take`].
    pub(super) fn take_thrown(&self, owner: &Owner, hidden: bool, cx: &Context<'_>) -> Option<Cancelled> {
        // Taken out meanwhile: only whoever polls comes here, and wakers may be the user's.
        let mut held = std::mem::take(&mut *self.held.lock());
        let landed = held.take(context::thrown(), (owner, ROOT), hidden, cx);
        *self.held.lock() = held;
        landed
    }

    /// True if a throw was taken, and has not landed yet.
    pub(super) fn holds(&self) -> bool {
        self.held.lock().is_some()
    }

    /// Lets go of what is held: the owner has ended.
    pub(super) fn let_go(&self) {
        let held = std::mem::take(&mut *self.held.lock());
        drop(held);
    }
}
