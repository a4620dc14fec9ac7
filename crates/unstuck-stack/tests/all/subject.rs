//! A thread to be looked at.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use unstuck_stack::{Capture, Frame, Token, capture, register, symbolise};

/// Far longer than a thread needs. A test never waits for it to pass.
pub(crate) const AMPLE: Duration = Duration::from_secs(180);

/// Tells the thread to stop; also how a test and its thread take turns.
#[derive(Clone, Default)]
pub(crate) struct Flag(Arc<AtomicBool>);

impl Flag {
    pub(crate) fn raise(&self) {
        self.0.store(true, Ordering::SeqCst);
    }

    pub(crate) fn is_up(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }

    pub(crate) fn wait(&self) {
        while !self.is_up() {
            thread::sleep(Duration::from_millis(1)); // between looks: leaves the processor to the others
        }
    }
}

/// A registered thread that runs a function until it is told to stop.
pub(crate) struct Subject {
    pub(crate) token: Token,
    stop: Flag,
    thread: Option<JoinHandle<()>>,
}

impl Subject {
    pub(crate) fn new(work: impl FnOnce(&Flag) + Send + 'static) -> Subject {
        Self::with_stack(2 * 1024 * 1024, work)
    }

    pub(crate) fn with_stack(size: usize, work: impl FnOnce(&Flag) + Send + 'static) -> Subject {
        let (hello, token) = mpsc::channel();
        let stop = Flag::default();
        let stopped = stop.clone();
        let body = move || {
            let registered = register().unwrap();
            hello.send(registered.thread()).unwrap();
            work(&stopped);
        };
        let thread = thread::Builder::new().stack_size(size).spawn(body).unwrap();
        Subject { token: token.recv().unwrap(), stop, thread: Some(thread) }
    }

    pub(crate) fn capture(&self) -> Capture {
        capture(self.token, AMPLE).unwrap()
    }

    pub(crate) fn frames(&self) -> Vec<Frame> {
        symbolise(&self.capture().unwind())
    }

    /// Waits until it is seen in `function`. The compiler may merge functions that do the same, so those that are looked for
    /// each end with a `black_box` of their own name.
    pub(crate) fn wait_until_in(&self, function: &str) {
        let started = Instant::now();
        loop {
            let frames = self.frames();
            if names(&frames, function) {
                return;
            }
            assert!(started.elapsed() < AMPLE, "not seen in {function}, but in {frames:#?}");
            thread::yield_now();
        }
    }

    /// In how many of `times` captures `function` was on the stack.
    pub(crate) fn seen_in(&self, function: &str, times: usize) -> usize {
        self.wait_until_in(function);
        let seen = (0..times).filter(|_| names(&self.frames(), function)).count();
        println!("{function}: {seen} of {times}");
        seen
    }

    pub(crate) fn stop(mut self) {
        self.end();
    }

    fn end(&mut self) {
        self.stop.raise();
        if let Some(Err(panic)) = self.thread.take().map(JoinHandle::join) {
            assert!(thread::panicking(), "the subject panicked: {:?}", panic.downcast_ref::<String>());
        }
    }
}

impl Drop for Subject {
    fn drop(&mut self) {
        self.end();
    }
}

/// With line tables only, names come without their path.
pub(crate) fn names(frames: &[Frame], function: &str) -> bool {
    frames.iter().any(|frame| frame.function.rsplit("::").next() == Some(function))
}
