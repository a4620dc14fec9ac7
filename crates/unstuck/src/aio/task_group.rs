//! Tasks that belong together: asyncio's `TaskGroup`.
//!
//! The promise: when the scope is left, all that was started in it has really ended, however it is left.
//!
//! ```text
//!             body gives a value              all children ended, no failure
//!   Open ───────────────────────────► Waiting ──────────────────────────────► Ok
//!    │                                   │
//!    │ a child fails; the body fails,    │ a child fails;
//!    │ panics, or is cancelled           │ a cancellation lands
//!    ▼                                   ▼
//!   Aborting: spawns are refused, children are cancelled, the body too ─────► once all have ended: the panic of the
//!                                                                             body, else Err, else the cancellation
//! ```
//!
//! The children are tasks like any other, and the scope holds their handles: it polls them *by reference*, so that a
//! cancellation lands in the body, or in the scope, and never takes a child along unasked. The body is polled in a frame, which
//! gives the group the means to cancel it for a reason of its own, and to know that cancellation again when it comes out.
//!
//! # Why not …
//! * *a guard that cancels in its destructor*: a destructor cannot wait, so what was started would outlive the scope.
//! * *tasks that borrow from the scope*: a future can be forgotten, and then they would read freed memory. Use `gather` for
//!   futures that borrow.
//!
//! The idea is trio's nursery; the rules are asyncio's.

mod child;
mod error;
#[cfg(test)]
mod tests;

use std::any::Any;
use std::fmt;
use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};

use futures_util::stream::{FuturesUnordered, Stream};
use unstuck_core::job::contain;
use unstuck_core::sync::Mutex;
use unstuck_core::{Cancelled, Frame, Inside, Step, Task, TaskRef, catch_cancel, scope};

pub use child::{Child, NoValue};
use child::{Drawer, Ended, Ender, Held};
pub use error::{GroupError, GroupFailure};

/// Runs `body` with a group to spawn tasks into, and waits until all of them have ended: asyncio's `TaskGroup`.
///
/// ```
/// use std::error::Error;
/// use unstuck::task_group;
///
/// type Problem = Box<dyn Error + Send + Sync>;
///
/// # unstuck::run(async {
/// let sum = task_group(|group| async move {
///     let a = group.spawn(async { Ok::<_, Problem>("20".parse::<u32>()?) });
///     let b = group.spawn(async { Ok("22".parse::<u32>()?) });
///     Ok::<_, Problem>(a.await? + b.await?)
/// })
/// .await
/// .unwrap();
/// assert_eq!(sum, 42);
/// # });
/// ```
///
/// The first failure, of a child or of the body, *aborts* the group: it takes no more tasks, and its children and the body
/// are cancelled. The group waits for their end, cleanup included, and then gives all failures in one [`GroupError`].
/// Cancelling one child is no failure. Children may spawn into the group too, through a clone of it; what they add is waited
/// for, also after the body has ended.
///
/// Not for a few futures that should just run side by side ([`gather!`](macro@crate::gather) needs no tasks and may borrow),
/// and not for tasks that are to outlive this place ([`spawn`](crate::spawn)). Children must be [`Send`]; on a single-threaded
/// loop there is [`spawn_local`](TaskGroup::spawn_local).
///
/// # Cancellation
/// Cancelling the task, or a timeout around this, cancels the body and the children, waits for their end, and then goes on
/// outwards. If one of them fails meanwhile, its error is what you get, as in asyncio: the cancellation comes at your next
/// await, a timeout has its value. Just dropping the future cancels the children and cannot wait for them.
///
/// # Errors
/// [`GroupError`] if a child or the body gave an error, or a child panicked.
///
/// # Panics
/// A panic of the body goes on when all children have ended.
pub async fn task_group<T, E, F>(body: impl FnOnce(TaskGroup<E>) -> F) -> Result<T, GroupError<E>>
where
    F: Future<Output = Result<T, E>>,
{
    let group = TaskGroup { shared: Arc::default() };
    let mut scope = Scope {
        shared: group.shared.clone(),
        children: FuturesUnordered::new(),
        failures: Vec::new(),
        untold: Vec::new(),
        aborting: false,
    };
    let end = scope.run(body(group)).await;
    if !matches!(end, BodyEnd::Value(_)) {
        scope.abort();
    }
    let (mut value, mut panicked, mut cancelled, mut last) = (None, None, None, None);
    match end {
        BodyEnd::Value(given) => value = Some(given),
        BodyEnd::Failed(error) => last = Some(GroupFailure::Error(error)),
        BodyEnd::Panicked(panic) => panicked = Some(panic),
        BodyEnd::Aborted => {}
        BodyEnd::Cancelled(request) => cancelled = Some(request),
    }
    while let Err(request) = scope.all_children().await {
        scope.abort();
        keep(&mut cancelled, request);
    }
    if let Some(panic) = panicked {
        resume_unwind(panic);
    }
    let mut failures = std::mem::take(&mut scope.failures);
    failures.extend(last);
    if let Some(cancelled) = cancelled {
        if failures.is_empty() {
            return cancelled.resume().await;
        }
        scope::value_first(cancelled);
    }
    match value {
        Some(value) if failures.is_empty() => Ok(value),
        _ => Err(GroupError::new(failures)),
    }
}

/// Several cancellations go on as one: the last, but a request from outside before that of a timeout around us.
fn keep(kept: &mut Option<Cancelled>, new: Cancelled) {
    *kept = Some(match kept.take() {
        Some(old) if old.origin() == 0 => old.and(new),
        Some(old) => new.and(old),
        None => new,
    });
}

/// Where the tasks of a [`task_group`] are spawned. Clones are the same group.
pub struct TaskGroup<E> {
    shared: Arc<Mutex<Shared<E>>>,
}

struct Shared<E> {
    /// Takes no more tasks: it is aborting, or has ended.
    closed: bool,
    /// Spawns under way: the scope waits for them.
    coming: usize,
    /// Spawned, and not seen by the scope yet.
    new: Vec<Held<E>>,
    /// There is no scope any more that would see them.
    gone: bool,
    /// The scope's.
    waker: Option<Waker>,
}

impl<E: Send + 'static> TaskGroup<E> {
    /// Spawns a child. Its value comes from awaiting the [`Child`], which may also be dropped: the group waits anyway.
    ///
    /// If the child gives an error or panics, the group is aborted. After that, and after the group's end, a `future` is dropped
    /// without being polled, and awaiting the child [says so](NoValue::is_refused).
    ///
    /// # Panics
    /// Panics outside a runtime.
    #[track_caller]
    pub fn spawn<T, F>(&self, future: F) -> Child<T>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, E>> + Send + 'static,
    {
        let Some(entry) = Entry::new(&self.shared) else { return Child::refused() };
        let drawer = Drawer::new();
        entry.adopt(crate::spawn(child::run(future, drawer.clone())), drawer)
    }
}

impl<E: 'static> TaskGroup<E> {
    /// As [`spawn`](Self::spawn), for a child that need not be [`Send`], on the single-threaded loop of this thread.
    ///
    /// ```
    /// use std::cell::Cell;
    /// use std::rc::Rc;
    /// use unstuck::task_group;
    ///
    /// unstuck::run_single(async {
    ///     let count = Rc::new(Cell::new(0));
    ///     task_group(|group| async move {
    ///         for _ in 0..3 {
    ///             let count = count.clone();
    ///             group.spawn_local(async move {
    ///                 count.set(count.get() + 1);
    ///                 Ok::<_, String>(())
    ///             });
    ///         }
    ///         Ok(count)
    ///     })
    ///     .await
    ///     .map(|count| assert_eq!(count.get(), 3))
    ///     .unwrap();
    /// });
    /// ```
    ///
    /// # Panics
    /// Panics where no single-threaded loop runs.
    #[track_caller]
    pub fn spawn_local<T, F>(&self, future: F) -> Child<T>
    where
        T: 'static,
        F: Future<Output = Result<T, E>> + 'static,
    {
        let Some(entry) = Entry::new(&self.shared) else { return Child::refused() };
        let drawer = Drawer::new();
        entry.adopt(crate::spawn_local(child::run(future, drawer.clone())), drawer)
    }
}

impl<E> TaskGroup<E> {
    /// True once the group takes no more tasks: it is aborting or has ended.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.shared.lock().closed
    }
}

impl<E> Clone for TaskGroup<E> {
    fn clone(&self) -> Self {
        Self { shared: self.shared.clone() }
    }
}

impl<E> fmt::Debug for TaskGroup<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TaskGroup").field("closed", &self.shared.lock().closed).finish_non_exhaustive()
    }
}

impl<E> Default for Shared<E> {
    fn default() -> Self {
        Self { closed: false, coming: 0, new: Vec::new(), gone: false, waker: None }
    }
}

/// A spawn under way. The task is made with nothing locked; still the scope cannot end without it.
struct Entry<'a, E>(&'a Mutex<Shared<E>>);

impl<'a, E> Entry<'a, E> {
    fn new(shared: &'a Mutex<Shared<E>>) -> Option<Self> {
        let mut locked = shared.lock();
        if locked.closed {
            return None;
        }
        locked.coming += 1;
        drop(locked);
        Some(Self(shared))
    }

    /// The group has one child more. If it was dropped meanwhile, the child is cancelled as the others were.
    fn adopt<T>(self, task: Task<Result<(), E>>, drawer: Arc<Drawer<T>>) -> Child<T> {
        let (held, child) = child::new(task, drawer);
        let mut locked = self.0.lock();
        if locked.gone {
            drop(locked);
            held.task.cancel();
        } else {
            locked.new.push(held);
        }
        child
    }
}

impl<E> Drop for Entry<'_, E> {
    fn drop(&mut self) {
        let mut locked = self.0.lock();
        locked.coming -= 1;
        let waker = locked.waker.take();
        drop(locked);
        if let Some(waker) = waker {
            contain("a waker", || waker.wake());
        }
    }
}

/// How the body ended.
enum BodyEnd<T, E> {
    Value(T),
    Failed(E),
    Panicked(Box<dyn Any + Send>),
    /// By the group's own cancellation.
    Aborted,
    Cancelled(Cancelled),
}

/// The group as seen by who waits for it. Dropping it cancels the children.
struct Scope<E> {
    shared: Arc<Mutex<Shared<E>>>,
    children: FuturesUnordered<Held<E>>,
    failures: Vec<GroupFailure<E>>,
    /// The ends of children that failed, until the body is cancelled: it is not to see that they gave no value.
    untold: Vec<Ender>,
    aborting: bool,
}

impl<E> Scope<E> {
    /// Polls the body and the children, until the body has ended.
    async fn run<T>(&mut self, body: impl Future<Output = Result<T, E>>) -> BodyEnd<T, E> {
        let mut frame = Frame::new();
        let mut body = pin!(Some(body)); // declared after the frame: dropped before it
        let origin = scope::new_origin();
        let (mut told, mut waited) = (false, false);
        let end = poll_fn(|cx| {
            loop {
                let _ = self.poll_children(cx);
                if self.aborting && !std::mem::replace(&mut waited, true) {
                    cx.waker().wake_by_ref(); // the children were cancelled first: they have the first turn
                    return Poll::Pending;
                }
                if self.aborting && !told {
                    match frame.cancel_inside(origin, None) {
                        Inside::Landed => told = true,
                        Inside::Later => {}
                        Inside::Empty => return Poll::Ready(BodyEnd::Aborted),
                    }
                }
                if told {
                    self.untold.clear();
                }
                let step = frame.poll(cx, |cx| {
                    let Some(body) = body.as_mut().as_pin_mut() else {
                        unreachable!("it is there until the end")
                    };
                    let poll = || match catch_unwind(AssertUnwindSafe(|| body.poll(cx))) {
                        Ok(poll) => poll.map(Ok),
                        Err(panic) => Poll::Ready(Err(panic)),
                    };
                    if told { scope::inside_over(origin, poll) } else { poll() }
                });
                return Poll::Ready(match step {
                    Step::Ready(Ok(Ok(value))) => BodyEnd::Value(value),
                    Step::Ready(Ok(Err(error))) => BodyEnd::Failed(error),
                    Step::Ready(Err(panic)) => BodyEnd::Panicked(panic),
                    Step::Cancelled(own) if own.origin() == origin => BodyEnd::Aborted,
                    Step::Cancelled(cancelled) => BodyEnd::Cancelled(cancelled),
                    Step::Pending if self.aborting && !told => continue, // a value came first
                    Step::Pending => return Poll::Pending,
                });
            }
        })
        .await;
        body.set(None);
        end
    }

    /// Waits until all children have ended, or a cancellation lands.
    async fn all_children(&mut self) -> Result<(), Cancelled> {
        catch_cancel(poll_fn(|cx| {
            loop {
                let ended = self.poll_children(cx);
                self.untold.clear(); // there is no body any more
                ready!(ended);
                if self.close_if_empty() {
                    return Poll::Ready(());
                }
            }
        }))
        .await
    }

    /// Takes note of the children that have ended. Ready when there are none at the moment.
    fn poll_children(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            let coming = self.take_new(cx.waker());
            match Pin::new(&mut self.children).poll_next(cx) {
                Poll::Ready(Some(Ended { failure, end })) => {
                    if let Some(failure) = failure {
                        self.failures.push(failure);
                        self.abort();
                        self.untold.extend(end);
                    }
                }
                Poll::Ready(None) if !coming => return Poll::Ready(()),
                Poll::Ready(None) | Poll::Pending => return Poll::Pending,
            }
        }
    }

    /// Takes over the new children, and leaves a waker for the next. True if some are on their way.
    fn take_new(&mut self, waker: &Waker) -> bool {
        let waker = waker.clone();
        let mut shared = self.shared.lock();
        let old = shared.waker.replace(waker);
        let new = std::mem::take(&mut shared.new);
        let coming = shared.coming > 0;
        drop(shared);
        drop(old);
        for child in new {
            if self.aborting {
                child.task.cancel();
            }
            self.children.push(child);
        }
        coming
    }

    /// The end: from now on spawns are refused. False if one has come meanwhile.
    fn close_if_empty(&self) -> bool {
        let mut shared = self.shared.lock();
        let empty = shared.coming == 0 && shared.new.is_empty();
        shared.closed |= empty;
        empty
    }

    /// No more tasks, and an end to those that there are.
    fn abort(&mut self) {
        if !std::mem::replace(&mut self.aborting, true) {
            self.shared.lock().closed = true;
            let children: Vec<TaskRef> = self.children.iter().map(|child| child.task.watch()).collect();
            for child in children {
                child.cancel();
            }
        }
    }
}

impl<E> Drop for Scope<E> {
    fn drop(&mut self) {
        self.abort();
        let mut shared = self.shared.lock();
        shared.gone = true;
        let new = std::mem::take(&mut shared.new);
        drop(shared);
        for child in &new {
            child.task.cancel();
        }
    }
}
