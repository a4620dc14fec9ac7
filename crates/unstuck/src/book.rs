//! The READMEs and the book, as doctests: every snippet in them compiles and runs with `cargo test`.
//!
//! Only `rustdoc --test` sees this module, so nobody else needs the files it includes.

#[doc = include_str!("../../../README.md")]
mod readme {}

#[doc = include_str!("../README.md")]
mod crate_readme {}

#[doc = include_str!("../../../docs/src/introduction.md")]
mod introduction {}

#[doc = include_str!("../../../docs/src/stalls.md")]
mod stalls {}

#[doc = include_str!("../../../docs/src/inspect.md")]
mod inspect {}

#[doc = include_str!("../../../docs/src/asyncio.md")]
mod asyncio {}

#[doc = include_str!("../../../docs/src/waiting.md")]
#[cfg(feature = "sync")]
mod waiting {}

#[doc = include_str!("../../../docs/src/cancellation.md")]
mod cancellation {}

#[doc = include_str!("../../../docs/src/offload.md")]
mod offload {}

#[cfg(feature = "process")]
#[doc = include_str!("../../../docs/src/process.md")]
mod process {}

#[doc = include_str!("../../../docs/src/time.md")]
mod time {}

#[doc = include_str!("../../../docs/src/design.md")]
mod design {}

#[doc = include_str!("../../../docs/src/faults.md")]
mod faults {}
