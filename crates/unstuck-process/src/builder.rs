//! What a pool's child processes are like.

use std::ffi::OsString;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use unstuck_core::job::Shutdown;

use crate::inside;
use crate::parcel::frame_of;
use crate::pool::ProcessPool;
use crate::portable::{PortableJob, Registry};
use crate::roster::Rules;

/// Builds a [`ProcessPool`].
///
/// ```
/// use std::time::Duration;
/// use unstuck::process::ProcessPool;
///
/// # fn main() -> std::io::Result<()> {
/// # unstuck::process::serve_if_child();
/// let pool = ProcessPool::builder()
///     .max_children(4)
///     .timeout(Duration::from_secs(30)) // a job that runs longer is killed
///     .memory_limit(512 << 20) // a child that wants more than 512 MiB dies, alone
///     .max_jobs_per_child(1_000) // whatever leaks is gone after that
///     .build()?;
/// # drop(pool);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
#[must_use = "a builder does nothing until build()"]
pub struct Builder {
    recipe: Recipe,
    initializer: Option<Result<Vec<u8>, String>>,
    limit: Option<Duration>,
    on_drop: Shutdown,
}

/// How each child of a pool is made.
#[derive(Clone)]
pub(crate) struct Recipe {
    pub(crate) name: Arc<str>,
    pub(crate) program: PathBuf,
    pub(crate) arguments: Vec<OsString>,
    pub(crate) environment: Vec<(OsString, OsString)>,
    pub(crate) rules: Rules,
    pub(crate) keep_alive: Duration,
    pub(crate) start_limit: Duration,
    pub(crate) memory_limit: Option<u64>,
    pub(crate) max_jobs: Option<u64>,
    /// The frame that a new child is sent first.
    pub(crate) initializer: Option<Vec<u8>>,
    pub(crate) forward_stderr: bool,
    /// Of the keepers.
    pub(crate) stack_size: Option<usize>,
    /// In test binaries the harness of the child would print.
    pub(crate) quiet_stdout: bool,
}

/// What the kernel runs is the program that runs now, even if its file has been replaced or deleted since.
const MYSELF: &str = "/proc/self/exe";

/// How long a dropped pool waits for its jobs: as long as a dropped runtime for its tasks.
const PATIENCE: Duration = Duration::from_secs(10);

impl Builder {
    pub(crate) fn new() -> Self {
        let mut on_drop = Shutdown::wait();
        on_drop.limit = Some(PATIENCE);
        let arguments: Vec<OsString> = inside::arguments().into_iter().map(OsString::from).collect();
        Self {
            recipe: Recipe {
                name: "unstuck-proc".into(),
                program: PathBuf::new(),
                quiet_stdout: !arguments.is_empty(),
                arguments,
                environment: Vec::new(),
                rules: Rules { min: 0, max: num_cpus::get() },
                keep_alive: Duration::from_secs(10),
                start_limit: Duration::from_secs(10),
                memory_limit: None,
                max_jobs: None,
                initializer: None,
                forward_stderr: true,
                stack_size: None,
            },
            initializer: None,
            limit: None,
            on_drop,
        }
    }

    /// No more children than this at a time; further jobs wait in the queue. One for each CPU unless set.
    pub fn max_children(mut self, max: usize) -> Self {
        self.recipe.rules.max = max;
        self
    }

    /// So many children are started by [`build`](Self::build), stay however idle they are, and are replaced when they
    /// die. 0 unless set.
    pub fn min_children(mut self, min: usize) -> Self {
        self.recipe.rules.min = min;
        self
    }

    /// How long an idle child stays. 10 s unless set; `Duration::MAX` keeps them for ever.
    pub fn keep_alive(mut self, keep_alive: Duration) -> Self {
        self.recipe.keep_alive = keep_alive;
        self
    }

    /// A job that runs for longer than `limit` is killed, with its child and what that has started. Time in the queue
    /// does not count. No limit unless set; [`Handle::timeout`](crate::Handle::timeout) sets it for some jobs.
    pub fn timeout(mut self, limit: Duration) -> Self {
        self.limit = Some(limit);
        self
    }

    /// No child gets more than so many bytes of address space (`RLIMIT_AS`), the program itself included. One that
    /// wants more usually aborts, and its job's error says so. Linux keeps this limit; macOS does not.
    pub fn memory_limit(mut self, bytes: u64) -> Self {
        self.recipe.memory_limit = Some(bytes);
        self
    }

    /// A child that has had so many jobs is replaced: whatever it has leaked goes with it.
    pub fn max_jobs_per_child(mut self, jobs: u64) -> Self {
        self.recipe.max_jobs = Some(jobs.max(1));
        self
    }

    /// A job that every new child runs before its first one: to load a model, or to open a connection.
    ///
    /// If it fails, the child is no child: the job that it was started for fails with an error that says why.
    #[expect(clippy::needless_pass_by_value, reason = "as for every other job")]
    pub fn initializer<J: PortableJob<Output = ()>>(mut self, job: J) -> Self {
        self.initializer = Some(frame_of(&job));
        self
    }

    /// How long a child may take from its start until it is ready, initializer included. 10 s unless set.
    pub fn start_timeout(mut self, limit: Duration) -> Self {
        self.recipe.start_limit = limit;
        self
    }

    /// The stack in bytes of the threads that look after the children, one each, in this process; std's default (2 MiB)
    /// unless set. Only touched pages take memory.
    ///
    /// They read the results of jobs, and serde reads a value in a value in a value by recursion: a list of boxes some
    /// thousands deep, or a syntax tree, may need more. A stack that is too small ends **this** program, as everywhere in
    /// Rust. (Arguments are written by the thread that submits; the child's side is the stack of its `main`.)
    pub fn stack_size(mut self, bytes: usize) -> Self {
        self.recipe.stack_size = Some(bytes);
        self
    }

    /// What the pool is called in messages, and its threads before their number.
    pub fn name(mut self, name: impl Into<Arc<str>>) -> Self {
        self.recipe.name = name.into();
        self
    }

    /// Sets an environment variable for the children.
    pub fn env(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.recipe.environment.push((name.into(), value.into()));
        self
    }

    /// Starts this program instead of the one that runs, with `arguments`. It must know the same jobs: another name of
    /// the same build.
    pub fn program<A: Into<OsString>>(
        mut self,
        path: impl Into<PathBuf>,
        arguments: impl IntoIterator<Item = A>,
    ) -> Self {
        self.recipe.program = path.into();
        self.recipe.arguments = arguments.into_iter().map(Into::into).collect();
        self.recipe.quiet_stdout = false;
        self
    }

    /// Whether what children write to stderr appears on ours, too. Yes unless set; the error of a lost job has the end
    /// of it in any case.
    pub fn forward_stderr(mut self, forward: bool) -> Self {
        self.recipe.forward_stderr = forward;
        self
    }

    /// What dropping the pool does. Unless set, it waits for all jobs, but for ten seconds at the most.
    pub fn on_drop(mut self, how: Shutdown) -> Self {
        self.on_drop = how;
        self
    }

    /// Makes the pool. It has no children until the first job, unless [`min_children`](Self::min_children) says so.
    ///
    /// # Errors
    /// If `max_children` is 0 or below `min_children`; if two jobs have the same name; if the initializer's arguments
    /// cannot be written down; if the name contains a NUL byte; or if this process is itself a child that has not
    /// called [`serve_if_child`](crate::serve_if_child), and would make children without end.
    pub fn build(mut self) -> io::Result<ProcessPool> {
        let invalid = |why: String| Err(io::Error::new(io::ErrorKind::InvalidInput, why));
        if inside::unserved() {
            return Err(io::Error::other(
                "this process is a child of a process pool, and would start children without end: call \
                 unstuck::process::serve_if_child() first in main",
            ));
        }
        let Rules { min, max } = self.recipe.rules;
        if max == 0 || max < min {
            return invalid(format!("a pool needs max_children of at least 1 and of min_children ({min})"));
        }
        if self.recipe.name.contains('\0') {
            return invalid("a thread's name cannot contain a NUL byte".to_owned());
        }
        if let Some(twice) = Registry::get().twice() {
            return invalid(format!(
                "two jobs are called '{twice}', so a child could not tell them apart: rename one"
            ));
        }
        self.recipe.initializer = match self.initializer.transpose() {
            Ok(frame) => frame,
            Err(why) => {
                return invalid(format!("the initializer's arguments cannot be written down ({why})"));
            }
        };
        if self.recipe.program.as_os_str().is_empty() {
            let own = Path::new(MYSELF);
            self.recipe.program = if own.exists() { own.to_owned() } else { std::env::current_exe()? };
        }
        Ok(ProcessPool::new(self.recipe, self.limit, self.on_drop))
    }
}

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder")
            .field("name", &self.recipe.name)
            .field("children", &self.recipe.rules)
            .field("keep_alive", &self.recipe.keep_alive)
            .field("timeout", &self.limit)
            .field("on_drop", &self.on_drop)
            .finish_non_exhaustive()
    }
}
