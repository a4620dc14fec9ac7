//! Notices a future that was thrown away without ever being awaited: asyncio's "coroutine was never awaited".
//!
//! The compiler warns of `save(text);` on a line of its own, but not of a future that was stored, passed on or
//! dropped with a struct. [`#[coroutine]`](macro@crate::coroutine) wraps the future of an `async fn`; the wrapper
//! remembers whether it was polled, and where it was made, and speaks when it is dropped. Only in
//! [debug mode](crate::debug), that of the runtime in which it is dropped: there are honest reasons to drop a future unused. Not during a panic either:
//! then it is the panic's fault.

use std::future::Future;
use std::panic::Location;
use std::pin::Pin;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;

/// Wraps the future of an `async fn` called at `place`; what `#[coroutine]` expands to.
pub fn coroutine<F: Future>(
    name: &'static str,
    place: &'static Location<'static>,
    future: F,
) -> Coroutine<F> {
    Coroutine { future, name, place, polled: false }
}

pin_project! {
    /// The future of a function marked with [`#[coroutine]`](macro@crate::coroutine).
    #[derive(Debug)]
    #[must_use = "futures do nothing unless you `.await` or spawn them"]
    pub struct Coroutine<F> {
        #[pin]
        future: F,
        name: &'static str,
        place: &'static Location<'static>,
        polled: bool,
    }

    impl<F> PinnedDrop for Coroutine<F> {
        fn drop(this: Pin<&mut Self>) {
            if this.polled || !crate::debug::enabled() || std::thread::panicking() {
                return;
            }
            // A closed stderr is no reason to panic in a destructor.
            drop(std::io::Write::write_all(&mut std::io::stderr(), report(this.name, this.place).as_bytes()));
        }
    }
}

impl<F: Future> Future for Coroutine<F> {
    type Output = F::Output;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        *this.polled = true;
        this.future.poll(cx)
    }
}

fn report(name: &str, place: &Location<'_>) -> String {
    format!("coroutine '{name}' was never awaited (created at {}:{})\n", place.file(), place.line())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_report_names_coroutine_and_place() {
        let place = Location::caller();
        let text = report("save", place);
        let expected =
            format!("coroutine 'save' was never awaited (created at {}:{})\n", file!(), place.line());
        assert_eq!(text, expected);
    }

    #[test]
    fn the_value_passes_through_and_a_poll_is_remembered() {
        let mut wrapped = Box::pin(coroutine("answer", Location::caller(), std::future::ready(42)));
        assert!(!wrapped.polled);
        let poll = wrapped.as_mut().poll(&mut Context::from_waker(std::task::Waker::noop()));
        assert_eq!(poll, Poll::Ready(42));
        assert!(wrapped.polled);
    }
}
