//! Context variables: what code knows without being told, such as whose request it serves. Python's `contextvars`.
//!
//! A *context* is a set of variables with their values. Every task has one of its own, a copy of its creator's at the
//! moment of the spawn; so does every job of a pool, and every plain thread. Code changes the context it runs in, and
//! nobody else's.
//!
//! # How it is built
//! A context is a pointer to a list that is shared until somebody changes it: a copy costs one count. A task's context
//! lies with the other things that few tasks have (`task/extra.rs`), so a task without variables has none, and a spawn
//! asks one flag: has any variable of this process ever been set?
//!
//! # Promises, each held by a test below or in the facade
//! * A value that is set is seen by the code that set it, by tasks and jobs it starts afterwards, and by nobody else.
//! * No user code (a value's clone or destructor) runs while a context is locked or borrowed.
//!
//! # Why not …
//! * **A map that is swapped in and out of a thread-local with each poll**, as Python does: every poll of every task would
//!   pay for it. The task that is being polled is known already, and its context is found through it.
//! * **A tree that shares its parts**: programs have a handful of variables, and a list of ten is copied in 50 ns.

use std::any::Any;
use std::cell::RefCell;
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;
// Not `crate::sync`: no protocol, and they live in statics, which a model's atomics cannot.
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crate::context::current_task;
use crate::job::contain;
use crate::sync::thread_local;
use crate::task::TaskRef;

/// A variable with a value in each context. Make it a `static`.
pub struct ContextVar<T: 'static> {
    name: &'static str,
    default: Option<fn() -> T>,
    /// Zero until the variable is set for the first time.
    id: AtomicU64,
}

/// A set of variables with their values.
///
/// Changes that code makes inside [`run`](Self::run) stay in this context; tasks and jobs started there have copies.
#[derive(Default)]
pub struct Context {
    values: Option<Arc<Vec<Entry>>>,
    /// Which context this is, for tokens; zero until one is given out.
    id: u64,
}

#[derive(Clone)]
struct Entry {
    var: u64,
    value: Value,
}

type Value = Arc<dyn Any + Send + Sync>;

/// What a variable was before [`ContextVar::set`]; gives it back with [`ContextVar::reset`].
#[must_use = "needed to reset the variable; `let _ = var.set(..)` if it is to stay"]
pub struct Token<T> {
    var: u64,
    context: u64,
    previous: Option<Value>,
    of: PhantomData<fn() -> T>,
}

/// A token was given to another variable or in another context than it came from. It is given back: where it belongs
/// it is still good.
pub struct WrongToken<T>(pub Token<T>);

/// Has any variable ever been set? Relaxed wherever it is used: values reach other threads by ways that order them (a
/// spawn, a job), and the flag travels with them.
static IN_USE: AtomicBool = AtomicBool::new(false);

/// Deals numbers to variables and contexts.
static NUMBERS: AtomicU64 = AtomicU64::new(1);

thread_local! {
    /// The context of code that is in no task.
    static THREAD: RefCell<Context> = const { RefCell::new(Context::new()) };
}

/// True once any variable has been set in this process: before, no context needs to be copied.
#[inline]
pub(crate) fn in_use() -> bool {
    IN_USE.load(Ordering::Relaxed)
}

impl<T: Clone + Send + Sync + 'static> ContextVar<T> {
    /// A variable that has no value where nobody has set it. `name` is for people.
    #[must_use]
    pub const fn new(name: &'static str) -> Self {
        Self { name, default: None, id: AtomicU64::new(0) }
    }

    /// A variable that has the value `default()` where nobody has set it.
    #[must_use]
    pub const fn with_default(name: &'static str, default: fn() -> T) -> Self {
        Self { name, default: Some(default), id: AtomicU64::new(0) }
    }

    /// Its value here: what was set in this context or came with it, else the default, else nothing.
    pub fn get(&self) -> Option<T> {
        let value = in_use().then(|| here(|context| context.find(self.id.load(Ordering::Relaxed)))).flatten();
        match value {
            Some(value) => value.downcast_ref::<T>().cloned(),
            None => self.default.map(|default| default()),
        }
    }

    /// Its value here, or `other` if it has none.
    pub fn get_or(&self, other: T) -> T {
        self.get().unwrap_or(other)
    }

    /// Gives it a value in this context. The token gives back what was there before.
    pub fn set(&self, value: T) -> Token<T> {
        IN_USE.store(true, Ordering::Relaxed);
        let var = self.number();
        let value: Value = Arc::new(value);
        let (previous, context) = here(|context| (context.insert(var, value), context.number()));
        Token { var, context, previous, of: PhantomData }
    }

    /// Makes it what it was before the [`set`](Self::set) that gave `token`.
    ///
    /// # Errors
    /// The token came from another variable, or from another context.
    pub fn reset(&self, token: Token<T>) -> Result<(), WrongToken<T>> {
        if token.var != self.id.load(Ordering::Relaxed) {
            return Err(WrongToken(token));
        }
        let Token { var, context: from, mut previous, .. } = token;
        let replaced = here(|context| {
            if context.id != from {
                return None;
            }
            Some(match previous.take() {
                Some(value) => context.insert(var, value),
                None => context.remove(var),
            })
        });
        // What was replaced is dropped here, where nothing is locked.
        if replaced.is_some() {
            Ok(())
        } else {
            Err(WrongToken(Token { var, context: from, previous, of: PhantomData }))
        }
    }

    /// Its name.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Its number, dealt when it is first needed.
    fn number(&self) -> u64 {
        let id = self.id.load(Ordering::Relaxed); // only uniqueness matters, here and below
        if id != 0 {
            return id;
        }
        let new = NUMBERS.fetch_add(1, Ordering::Relaxed);
        self.id
            .compare_exchange(0, new, Ordering::Relaxed, Ordering::Relaxed)
            .map_or_else(|other| other, |_| new)
    }
}

impl Context {
    /// One in which nothing is set.
    #[must_use]
    pub const fn new() -> Self {
        Self { values: None, id: 0 }
    }

    /// A copy of the context that this code runs in: Python's `copy_context()`.
    #[must_use]
    pub fn copy() -> Self {
        if in_use() { here(|context| context.duplicate()) } else { Self::new() }
    }

    /// Calls `f` in this context. What it sets is there the next time.
    pub fn run<R>(&mut self, f: impl FnOnce() -> R) -> R {
        let place = Place::here();
        place.swap(self);
        let _back = Back { place, context: self };
        f()
    }

    /// The number of variables that are set.
    #[must_use]
    pub fn len(&self) -> usize {
        self.values.as_ref().map_or(0, |values| values.len())
    }

    /// True if nothing is set.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// True if nothing was ever set in it.
    pub(crate) fn is_new(&self) -> bool {
        self.values.is_none() && self.id == 0
    }

    /// The same values in a context of its own.
    fn duplicate(&self) -> Self {
        Self { values: self.values.clone(), id: 0 }
    }

    /// Drops the values that nobody else has, each by itself: a panic of one must not meet that of another.
    pub(crate) fn fall_apart(self) {
        for entry in self.values.and_then(Arc::into_inner).into_iter().flatten() {
            contain("a context variable's destructor", || drop(entry));
        }
    }

    fn number(&mut self) -> u64 {
        if self.id == 0 {
            self.id = NUMBERS.fetch_add(1, Ordering::Relaxed); // only uniqueness matters
        }
        self.id
    }

    fn find(&self, var: u64) -> Option<Value> {
        let values = self.values.as_ref()?;
        values.iter().find(|entry| entry.var == var).map(|entry| entry.value.clone())
    }

    /// Puts a value in, and gives the one that was there. No value is dropped or cloned here.
    fn insert(&mut self, var: u64, value: Value) -> Option<Value> {
        let values = Arc::make_mut(self.values.get_or_insert_default());
        match values.iter_mut().find(|entry| entry.var == var) {
            Some(entry) => Some(std::mem::replace(&mut entry.value, value)),
            None => {
                values.push(Entry { var, value });
                None
            }
        }
    }

    /// Takes a value out. No value is dropped or cloned here.
    fn remove(&mut self, var: u64) -> Option<Value> {
        let values = Arc::make_mut(self.values.as_mut()?);
        let at = values.iter().position(|entry| entry.var == var)?;
        Some(values.swap_remove(at).value)
    }
}

/// A copy of this code's context for a task or job it starts; `None` if nothing is set.
#[inline]
pub(crate) fn inherited() -> Option<Context> {
    if in_use() { copied() } else { None }
}

#[cold]
fn copied() -> Option<Context> {
    let context = here(|context| context.duplicate());
    (!context.is_empty()).then_some(context)
}

/// Where the context of this code lies.
enum Place {
    Task(TaskRef),
    Thread,
}

impl Place {
    fn here() -> Self {
        current_task().map_or(Place::Thread, Place::Task)
    }

    /// Gives `f` the context, which is locked or borrowed meanwhile: `f` runs no user code.
    fn with<R>(&self, f: impl FnOnce(&mut Context) -> R) -> R {
        match self {
            Place::Task(task) => task.with_context(f),
            Place::Thread => {
                let mut f = Some(f);
                let found = THREAD.try_with(|context| f.take().map(|f| f(&mut context.borrow_mut())));
                match (found, f) {
                    (Ok(Some(value)), _) => value,
                    // The thread is ending, and its thread-locals have gone: nothing is set there any more.
                    (_, Some(f)) => f(&mut Context::new()),
                    (_, None) => unreachable!("f is taken only when it is called"),
                }
            }
        }
    }

    fn swap(&self, other: &mut Context) {
        self.with(|context| std::mem::swap(context, other));
    }
}

fn here<R>(f: impl FnOnce(&mut Context) -> R) -> R {
    Place::here().with(f)
}

/// Puts things back when [`Context::run`] ends, also by a panic.
struct Back<'a> {
    place: Place,
    context: &'a mut Context,
}

impl Drop for Back<'_> {
    fn drop(&mut self) {
        self.place.swap(self.context);
    }
}

impl<T> fmt::Debug for ContextVar<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ContextVar").field(&self.name).finish()
    }
}

impl fmt::Debug for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Context").field("variables", &self.len()).finish()
    }
}

impl<T> fmt::Debug for Token<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Token").finish_non_exhaustive()
    }
}

impl<T> fmt::Debug for WrongToken<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "WrongToken({self})")
    }
}

impl<T> fmt::Display for WrongToken<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the token came from another variable or another context: reset it where set() gave it")
    }
}

impl<T> std::error::Error for WrongToken<T> {}

#[cfg(test)]
#[cfg(not(any(unstuck_loom, unstuck_shuttle)))]
mod tests;
