//! Who is told of Ctrl-C: one desk for the process.
//!
//! ```text
//!   nobody is interested      the system's default: the process ends
//!   somebody waits            every waiter is told, once
//!   only runs                 1st: their main futures are cancelled · 2nd: the process ends, in the handler itself
//! ```
//! The handler (`unix.rs`) writes a byte, a thread reads it and comes here. The thread lives as long as somebody is
//! interested.

use std::io;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use unstuck_core::sync::Mutex;
use unstuck_core::{Cancelled, Canceller};

use super::system;

/// The process's one.
static DESK: Mutex<Desk> = Mutex::new(Desk { next: 0, runs: Vec::new(), waiters: Vec::new(), thread: false });

struct Desk {
    next: u64,
    runs: Vec<(u64, Canceller)>,
    waiters: Vec<(u64, Arc<Mutex<Told>>)>,
    /// The thread that listens is there.
    thread: bool,
}

/// What a waiter is told.
#[derive(Debug, Default)]
struct Told {
    told: bool,
    waker: Option<Waker>,
}

/// A run that Ctrl-C interrupts, as long as this lives.
#[derive(Debug)]
pub(crate) struct Interrupts {
    number: u64,
}

/// Somebody who waits for the next Ctrl-C.
#[derive(Debug)]
pub(super) struct Waiting {
    number: u64,
    told: Arc<Mutex<Told>>,
}

/// Why the main future was cancelled, if it was by Ctrl-C.
struct Interrupt;

/// True if Ctrl-C was what cancelled the main future; false if somebody else came first.
pub(crate) fn is_interrupt(cancelled: &Cancelled) -> bool {
    cancelled.reason().is_some_and(|reason| reason.downcast_ref::<Interrupt>().is_some())
}

impl Interrupts {
    /// From now on the first Ctrl-C cancels by `canceller`. `None` if the program handles it already, or if the system
    /// lets us not listen: then Ctrl-C does what it would do without us.
    pub(crate) fn listen(canceller: &Canceller) -> Option<Self> {
        let mut desk = DESK.lock();
        if system::is_taken() || desk.open().is_err() {
            return None;
        }
        let number = desk.number();
        desk.runs.push((number, canceller.clone()));
        desk.set();
        Some(Self { number })
    }
}

impl Drop for Interrupts {
    fn drop(&mut self) {
        let mut desk = DESK.lock();
        desk.runs.retain(|(number, _)| *number != self.number);
        desk.set();
    }
}

/// From now on Ctrl-C is for whoever holds this.
pub(super) fn wait() -> io::Result<Waiting> {
    let mut desk = DESK.lock();
    desk.open()?;
    let (number, told) = (desk.number(), Arc::default());
    desk.waiters.push((number, Arc::clone(&told)));
    desk.set();
    Ok(Waiting { number, told })
}

impl Waiting {
    pub(super) fn poll(&self, cx: &mut Context<'_>) -> Poll<()> {
        let waker = cx.waker().clone(); // the user's code: not under the lock
        let mut told = self.told.lock();
        if told.told {
            return Poll::Ready(());
        }
        let old = told.waker.replace(waker);
        drop(told);
        drop(old);
        Poll::Pending
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let mut desk = DESK.lock();
        let before = desk.waiters.len();
        desk.waiters.retain(|(number, _)| *number != self.number);
        if desk.waiters.len() != before {
            desk.set(); // otherwise it was told, and the desk has been set since
        }
    }
}

impl Desk {
    /// The handler is installed and the thread there.
    fn open(&mut self) -> io::Result<()> {
        system::install()?;
        if !self.thread {
            let listen = || while system::next().is_some_and(answer) {};
            std::thread::Builder::new().name("unstuck-signals".into()).stack_size(64 << 10).spawn(listen)?;
            self.thread = true;
        }
        Ok(())
    }

    fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    fn is_idle(&self) -> bool {
        self.runs.is_empty() && self.waiters.is_empty()
    }

    /// Interest has changed: tells the handler what to do next, and the thread to go if there is none.
    fn set(&self) {
        system::leave_to_default(self.is_idle());
        if self.runs.is_empty() {
            system::end_at_once(false);
        }
        if self.is_idle() {
            system::knock();
        }
    }
}

/// What the thread read: a signal, or a knock. False if the thread may go.
fn answer(byte: system::Byte) -> bool {
    let mut desk = DESK.lock();
    if byte == system::Byte::Knock {
        desk.thread = !desk.is_idle();
        return desk.thread;
    }
    let waiters = std::mem::take(&mut desk.waiters);
    let runs: Vec<_> = match waiters.is_empty() {
        true => desk.runs.iter().map(|(_, canceller)| canceller.clone()).collect(),
        false => Vec::new(),
    };
    if !runs.is_empty() {
        system::end_at_once(true);
    }
    desk.set();
    drop(desk);
    for (_, told) in waiters {
        let mut told = told.lock();
        told.told = true;
        let waker = told.waker.take();
        drop(told);
        unstuck_core::job::contain("a waker", || waker.into_iter().for_each(Waker::wake));
    }
    for canceller in runs {
        canceller.cancel_with(Interrupt);
    }
    true
}
