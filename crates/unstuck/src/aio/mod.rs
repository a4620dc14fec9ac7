//! asyncio's way of speaking, on top of the mechanisms.

pub(crate) mod as_completed;
pub(crate) mod call;
pub(crate) mod checkpoint;
pub(crate) mod coroutine;
pub(crate) mod deferred;
pub(crate) mod gather;
pub(crate) mod no_stalls;
pub(crate) mod run;
pub(crate) mod task_group;
pub(crate) mod timed;
pub(crate) mod wait;
pub(crate) mod wait_for;
pub(crate) mod yield_now;
