//! Other systems: the same doors, and behind them one sentence that says why they stay shut.

use std::io;
use std::marker::PhantomData;
use std::time::Duration;

use crate::Frame;
use crate::error::{Reason, Unavailable};

/// Registering works, so that callers need no `cfg`.
#[derive(Debug)]
pub(crate) struct Mine {
    pub(crate) thread: u64,
    here: PhantomData<*const ()>,
}

/// Never made.
#[derive(Clone, Debug)]
pub(crate) enum Capture {}

#[allow(clippy::unnecessary_wraps, reason = "the same door as on Linux")]
pub(crate) fn register() -> io::Result<Mine> {
    Ok(Mine { thread: 0, here: PhantomData })
}

pub(crate) fn capture(_thread: u64, _limit: Duration) -> Result<Capture, Unavailable> {
    Err(Reason::Unsupported.into())
}

#[cfg_attr(test, allow(dead_code, reason = "there is none to try it on"))]
impl Capture {
    pub(crate) fn unwind(&self) -> Vec<usize> {
        match *self {}
    }
}

pub(crate) fn symbolise(_addresses: &[usize]) -> Vec<Frame> {
    Vec::new()
}
