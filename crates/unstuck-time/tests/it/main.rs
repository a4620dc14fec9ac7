//! What the timers promise, seen from outside: a driver, a clock, and futures polled by hand.
#![cfg(not(unstuck_loom))]

mod clock;
mod driver;
mod fresh;
mod interval;
mod sleep;
mod support;
mod threads;
mod timeout;
