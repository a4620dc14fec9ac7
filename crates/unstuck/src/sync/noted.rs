//! Waits that say what they wait for, to whoever looks ([`crate::debug::graph`]).

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;
use unstuck_core::inspect::{self, Await, On};

use crate::{Deferred, DeferredError};

/// `future`, with a note of what is awaited while it is pending. Costs a look at a flag while nobody takes notes.
pub(super) fn noted<F: Future>(what: &'static str, on: On, future: F) -> Noted<F> {
    Noted { future, awaits: Await::new(what, on), key: 0 }
}

pin_project! {
    /// The future of [`noted`].
    pub(super) struct Noted<F> {
        #[pin]
        future: F,
        awaits: Await,
        // The future's place once it was noted, 0 before.
        key: usize,
    }

    impl<F> PinnedDrop for Noted<F> {
        fn drop(this: Pin<&mut Self>) {
            if this.key != 0 {
                inspect::gone(this.key);
            }
        }
    }
}

impl<F: Future> Future for Noted<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let place = std::ptr::from_ref(&*self).addr();
        let this = self.project();
        let polled = this.future.poll(cx);
        if polled.is_pending() && inspect::is_on() {
            *this.key = place;
            inspect::pending(cx, place, || *this.awaits);
        }
        polled
    }
}

/// A wait for something that is made of a `Deferred`.
pub(super) fn awaited_as<T: Clone>(what: &'static str, deferred: Deferred<T>) -> AwaitedAs<T> {
    AwaitedAs(what, deferred)
}

/// The future of [`awaited_as`].
pub(super) struct AwaitedAs<T>(&'static str, Deferred<T>);

impl<T: Clone> Future for AwaitedAs<T> {
    type Output = Result<T, DeferredError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let what = self.0;
        self.1.poll_as(what, cx)
    }
}
