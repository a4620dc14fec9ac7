//! Jobs that another process knows by name.
//!
//! A closure is an address and some captured bytes; neither means anything elsewhere. What can travel is a *name* that
//! both sides know, and arguments that serde can write down. `#[unstuck::job]` makes both from a function.
//!
//! Both sides are the same program, so they know the same names: each job files itself in a registry that the linker
//! collects (the crate `inventory`), and the two compare a fingerprint of it before the first job.

use std::collections::HashMap;
use std::sync::OnceLock;

use serde::Serialize;
use serde::de::DeserializeOwned;
use unstuck_core::Job;

/// A job that another process can run: it has a name there, and its fields and its output can be written down.
///
/// [`#[unstuck::job]`](https://docs.rs/unstuck/latest/unstuck/attr.job.html) on a function makes one, and that is nearly
/// always what you want:
///
/// ```
/// #[unstuck::job]
/// fn repeat(word: String, times: usize) -> String {
///     word.repeat(times)
/// }
///
/// assert_eq!(repeat("ab".into(), 2), "abab"); // still a function
/// let job = repeat::job("ab".into(), 2); // and a job, for any executor
/// # drop(job);
/// ```
///
/// By hand it is a type with serde's traits, [`Job`], a name of its own, and [`register!`](crate::register):
///
/// ```
/// use serde::{Deserialize, Serialize};
/// use unstuck::offload::Job;
/// use unstuck::process::{PortableJob, register};
///
/// #[derive(Serialize, Deserialize)]
/// struct Add(u32, u32);
///
/// impl Job for Add {
///     type Output = u32;
///     fn run(self) -> u32 {
///         self.0 + self.1
///     }
/// }
///
/// impl PortableJob for Add {
///     const NAME: &'static str = "my program's Add";
/// }
///
/// register!(Add);
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot travel to another process",
    label = "this is not a job that another process knows by name",
    note = "a process pool takes named jobs, not closures: write `#[unstuck::job] fn work(..) -> T {{ .. }}` and submit `work::job(..)`",
    note = "if it need not be isolated or killed, give the closure to `unstuck::cpu` or `unstuck::to_thread`"
)]
pub trait PortableJob: Job<Output: Serialize + DeserializeOwned> + Serialize + DeserializeOwned {
    /// What it is called in the registry; unique in the program.
    const NAME: &'static str;

    /// Appends the output to `bytes`.
    ///
    /// # Errors
    /// If its `Serialize` says so.
    fn write_output(output: &Self::Output, bytes: Vec<u8>) -> Result<Vec<u8>, postcard::Error> {
        postcard::to_extend(output, bytes)
    }

    /// Reads an output.
    ///
    /// # Errors
    /// If its `Deserialize` says so.
    fn read_output(bytes: &[u8]) -> Result<Self::Output, postcard::Error> {
        postcard::from_bytes(bytes)
    }
}

/// Files a hand-written [`PortableJob`] in the registry, so that child processes find it.
#[macro_export]
macro_rules! register {
    ($job:ty) => {
        $crate::__private::inventory::submit! { $crate::__private::Entry::of::<$job>() }
    };
}

/// Arguments in, the output appended to what is there; or why not.
type Run = fn(&[u8], Vec<u8>) -> Result<Vec<u8>, String>;

/// A job in the registry: its name, and how bytes become bytes.
#[derive(Clone, Copy)]
pub struct Entry {
    pub(crate) name: &'static str,
    pub(crate) run: Run,
}

inventory::collect!(Entry);

impl Entry {
    /// The entry of `J`.
    #[must_use]
    pub const fn of<J: PortableJob>() -> Self {
        Self { name: J::NAME, run: run::<J> }
    }
}

/// In the child: reads the arguments, runs the job, appends its output to `reply`.
fn run<J: PortableJob>(arguments: &[u8], reply: Vec<u8>) -> Result<Vec<u8>, String> {
    let job: J = postcard::from_bytes(arguments)
        .map_err(|error| format!("its arguments cannot be read in the worker process ({error})"))?;
    let output = job.run();
    J::write_output(&output, reply).map_err(|error| format!("its result cannot be written down ({error})"))
}

/// Every job of this program, by name.
pub(crate) struct Registry {
    jobs: HashMap<&'static str, Entry>,
    twice: Option<&'static str>,
    fingerprint: u64,
}

impl Registry {
    pub(crate) fn get() -> &'static Self {
        static REGISTRY: OnceLock<Registry> = OnceLock::new();
        REGISTRY.get_or_init(|| Self::of(inventory::iter::<Entry>.into_iter().copied()))
    }

    fn of(entries: impl Iterator<Item = Entry>) -> Self {
        let mut jobs = HashMap::new();
        let mut twice = None;
        for entry in entries {
            if jobs.insert(entry.name, entry).is_some() {
                twice = Some(entry.name);
            }
        }
        let mut names: Vec<_> = jobs.keys().copied().collect();
        names.sort_unstable();
        let version = concat!(env!("CARGO_PKG_VERSION"), "\n");
        Self { twice, fingerprint: fnv1a(version, &names), jobs }
    }

    pub(crate) fn find(&self, name: &str) -> Option<Entry> {
        self.jobs.get(name).copied()
    }

    /// A name that two jobs share.
    pub(crate) fn twice(&self) -> Option<&'static str> {
        self.twice
    }

    /// Differs between programs that know different jobs, and between versions of this crate.
    pub(crate) fn fingerprint(&self) -> u64 {
        self.fingerprint
    }
}

/// The FNV-1a hash: the same on both sides, which std's hashers do not promise.
fn fnv1a(version: &str, names: &[&str]) -> u64 {
    let bytes = names.iter().flat_map(|name| name.bytes().chain([0]));
    version
        .bytes()
        .chain(bytes)
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(name: &'static str) -> Entry {
        Entry { name, run: |_, reply| Ok(reply) }
    }

    #[test]
    fn registries_with_the_same_names_have_the_same_fingerprint_in_any_order() {
        let one = Registry::of([entry("a"), entry("b")].into_iter());
        let two = Registry::of([entry("b"), entry("a")].into_iter());
        let other = Registry::of([entry("ab")].into_iter());
        assert_eq!(one.fingerprint(), two.fingerprint());
        assert_ne!(one.fingerprint(), other.fingerprint());
    }

    #[test]
    fn a_name_that_two_jobs_share_is_found() {
        assert_eq!(Registry::of([entry("a"), entry("a")].into_iter()).twice(), Some("a"));
        assert_eq!(Registry::of([entry("a"), entry("b")].into_iter()).twice(), None);
    }
}
