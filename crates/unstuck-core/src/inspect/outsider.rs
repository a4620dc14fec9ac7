//! Futures that are no tasks: what `run` and `block_on` were given.
//!
//! The thread that called them polls them itself, so no registry knows them. While notes are taken they are listed, with
//! what they await: a graph without the program's main future would lack its root.

use std::cell::RefCell;
use std::panic::Location;
use std::sync::{Arc, Weak};
use std::task::Waker;

use super::{Await, Notes};
use crate::sync::Mutex;

/// A future that is polled outside of tasks.
pub(crate) struct Outsider {
    pub(super) place: &'static Location<'static>,
    pub(super) notes: Mutex<Notes>,
    /// What its own waker points to, to tell it from others.
    waker: usize,
}

/// The outsiders of a runtime.
#[derive(Default)]
pub(crate) struct Outsiders(Mutex<Vec<Weak<Outsider>>>);

thread_local! {
    /// The outsider that is being polled here.
    static HERE: RefCell<Option<Arc<Outsider>>> = const { RefCell::new(None) };
}

impl Outsiders {
    /// Lists a future that was given to a call at `place` and is polled with `waker`; nothing if nobody looks.
    pub(crate) fn list(&self, place: &'static Location<'static>, waker: &Waker) -> Option<Arc<Outsider>> {
        super::is_on().then(|| {
            let waker = waker.data().addr();
            let outsider = Arc::new(Outsider { place, notes: Mutex::new(Notes::default()), waker });
            let mut list = self.0.lock();
            list.retain(|other| other.strong_count() > 0);
            list.push(Arc::downgrade(&outsider));
            outsider
        })
    }

    pub(super) fn snapshot(&self) -> Vec<Arc<Outsider>> {
        self.0.lock().iter().filter_map(Weak::upgrade).collect()
    }
}

impl Outsider {
    /// Polls it.
    pub(crate) fn around<R>(self: &Arc<Self>, poll: impl FnOnce() -> R) -> R {
        struct Leave(Option<Arc<Outsider>>);
        impl Drop for Leave {
            fn drop(&mut self) {
                let outer = self.0.take();
                if let Some(over) = HERE.with(|here| std::mem::replace(&mut *here.borrow_mut(), outer)) {
                    over.notes.lock().end();
                }
            }
        }
        self.notes.lock().begin();
        let _leave = Leave(HERE.with(|here| here.borrow_mut().replace(self.clone())));
        poll()
    }

    pub(super) fn awaits(&self, key: usize, awaits: Await, waker: *const ()) {
        self.notes.lock().awaits(key, awaits, waker.addr() != self.waker);
    }

    pub(super) fn gone(&self, key: usize) {
        self.notes.lock().gone(key);
    }
}

/// Gives `f` the outsider that is being polled on this thread, if one is.
pub(super) fn here(f: impl FnOnce(&Outsider)) {
    let here = HERE.try_with(|here| here.borrow().clone()).ok().flatten(); // a thread may be ending
    if let Some(outsider) = here {
        f(&outsider);
    }
}
