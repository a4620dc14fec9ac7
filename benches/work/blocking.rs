//! Closures that wait, on the runtime's pool for such.
//!
//! The lines that begin with *to_thread* ask for what users write: unstuck keeps calls that have shown to be short on the
//! worker. Those that begin with *pool* always go to a thread and back, in every runtime: they compare the pools.

use super::{Visitor, Workload, time_in_task};
use crate::kit::process::threads;
use crate::rt::{Rt, in_task};
use std::path::PathBuf;
use std::sync::{Arc, Barrier, OnceLock};
use std::time::{Duration, Instant};

/// The group `blocking`.
pub fn all(visitor: &mut impl Visitor) {
    visitor.visit::<RoundTrip>();
    visitor.visit::<BatchOf16>();
    visitor.visit::<PoolRoundTrip>();
    visitor.visit::<PoolBatchOf16>();
    visitor.visit::<PoolFromOutside>();
    visitor.visit::<ThousandSleeps>();
    visitor.visit::<FileReads>();
}

/// An empty closure, there and back, one after another.
pub struct RoundTrip;

impl Workload for RoundTrip {
    const NAME: &'static str = "to_thread, empty, there and back";
    const OPS: u64 = 100;

    fn measure<R: Rt>(rt: &R, rounds: u64) -> Duration {
        time_in_task(rt, rounds, || async {
            for _ in 0..Self::OPS {
                R::to_thread(|| ()).await;
            }
        })
    }
}

/// 16 empty closures at once, then all are awaited.
pub struct BatchOf16;

impl Workload for BatchOf16 {
    const NAME: &'static str = "to_thread, empty, 16 at once";
    const OPS: u64 = 16;

    fn measure<R: Rt>(rt: &R, rounds: u64) -> Duration {
        time_in_task(rt, rounds, || async {
            let jobs = [(); 16].map(|()| R::to_thread(|| ()));
            for job in jobs {
                job.await;
            }
        })
    }
}

/// An empty closure, to a thread of the pool and back, one after another.
pub struct PoolRoundTrip;

impl Workload for PoolRoundTrip {
    const NAME: &'static str = "pool, empty, there and back";
    const OPS: u64 = 100;

    fn measure<R: Rt>(rt: &R, rounds: u64) -> Duration {
        time_in_task(rt, rounds, || async {
            for _ in 0..Self::OPS {
                R::in_pool(|| ()).await;
            }
        })
    }
}

/// 16 empty closures for the pool at once, then all are awaited: tokio's own bench.
pub struct PoolBatchOf16;

impl Workload for PoolBatchOf16 {
    const NAME: &'static str = "pool, empty, 16 at once";
    const OPS: u64 = 16;

    fn measure<R: Rt>(rt: &R, rounds: u64) -> Duration {
        time_in_task(rt, rounds, || async {
            let jobs = [(); 16].map(|()| R::in_pool(|| ()));
            for job in jobs {
                job.await;
            }
        })
    }
}

/// A plain thread submits 10,000 empty closures to the pool and waits for all.
pub struct PoolFromOutside;

impl Workload for PoolFromOutside {
    const NAME: &'static str = "pool, 10,000 empty closures from outside";
    const OPS: u64 = 10_000;

    fn measure<R: Rt>(rt: &R, rounds: u64) -> Duration {
        let start = Instant::now();
        for _ in 0..rounds {
            let jobs: Vec<_> = (0..Self::OPS).map(|_| rt.in_pool_outside(|| ())).collect();
            rt.block_on(async {
                for job in jobs {
                    job.await;
                }
            });
        }
        start.elapsed()
    }
}

/// 64 closures that each read a file of 64 KiB (which the kernel has in memory), at once.
pub struct FileReads;

/// The files of [`FileReads`], made once; the system cleans its temporary directory up.
fn files() -> &'static [PathBuf] {
    static FILES: OnceLock<Vec<PathBuf>> = OnceLock::new();
    FILES.get_or_init(|| {
        let directory = std::env::temp_dir().join("unstuck-benches");
        std::fs::create_dir_all(&directory).expect("a directory for the files to read");
        let file = |n| {
            let path = directory.join(format!("{n}.bin"));
            std::fs::write(&path, vec![0_u8; 64 * 1024]).expect("a file to read");
            path
        };
        (0..64).map(file).collect()
    })
}

impl Workload for FileReads {
    const NAME: &'static str = "pool, 64 × read a file of 64 KiB, all";
    const OPS: u64 = 1;

    fn measure<R: Rt>(rt: &R, rounds: u64) -> Duration {
        files(); // made before the time is taken
        time_in_task(rt, rounds, || async {
            let read =
                |path: &'static PathBuf| R::in_pool(move || std::fs::read(path).map_or(0, |data| data.len()));
            let jobs: Vec<_> = files().iter().map(read).collect();
            for job in jobs {
                assert_eq!(job.await, 64 * 1024);
            }
        })
    }
}

/// 1,000 closures that sleep 1 ms each, at once; the figure is the time until all have ended.
pub struct ThousandSleeps;

impl Workload for ThousandSleeps {
    const NAME: &'static str = "to_thread, 1,000 × sleep 1 ms, all";
    const OPS: u64 = 1;

    fn measure<R: Rt>(rt: &R, rounds: u64) -> Duration {
        time_in_task(rt, rounds, || async {
            let sleep = |_| R::to_thread(|| std::thread::sleep(Duration::from_millis(1)));
            let jobs: Vec<_> = (0..1_000).map(sleep).collect();
            for job in jobs {
                job.await;
            }
        })
    }
}

/// How many threads [`ramp_up`] asks for: the smallest default cap of the pools compared.
pub const RAMP: usize = 500;

/// An idle thread of the pool stays so long, where the pool lets one choose, when [`back_down`] watches.
pub const KEEP_ALIVE: Duration = Duration::from_millis(300);

/// How long [`back_down`] watches.
pub const WATCHED: Duration = Duration::from_secs(3);

/// How long after [`ramp_up`] it takes until the process has no more threads than before it, if that comes to pass within
/// [`WATCHED`], and how many more it has then. `None` where the system does not tell.
pub fn back_down<R: Rt>(rt: &R) -> Option<(Duration, u64)> {
    // The runtime's own threads are up.
    in_task(rt, async { R::spawn(R::yield_now()).await });
    let before = threads()?;
    ramp_up(rt);
    let start = Instant::now();
    loop {
        let more = threads()?.saturating_sub(before);
        if more == 0 || start.elapsed() >= WATCHED {
            return Some((start.elapsed(), more));
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// How long it takes until 500 closures run at the same time, each on its own thread; and how long the poll took that
/// submitted them.
///
/// Only a fresh pool can tell, so this is asked in a fresh process ([`crate::kit::probe`]).
pub fn ramp_up<R: Rt>(rt: &R) -> [Duration; 2] {
    in_task(rt, async {
        let start = Instant::now();
        let all_run = Arc::new(Barrier::new(RAMP));
        let job = |_| {
            let all_run = all_run.clone();
            R::to_thread(move || {
                all_run.wait();
            })
        };
        let jobs: Vec<_> = (0..RAMP).map(job).collect();
        let submitted = start.elapsed();
        for job in jobs {
            job.await;
        }
        [start.elapsed(), submitted]
    })
}
