//! A plain rayon pool is an executor too.
//!
//! The impl lives here because trait and type must meet where one of them is at home; only the `rayon` feature, which
//! unstuck-cpu turns on, adds the dependency.

use super::{Executor, Job, JobHandle, Options, job};

impl<J: Job> Executor<J> for rayon::ThreadPool {
    /// Spawns the job on the pool. A panic is the job's error: rayon alone would abort the process.
    fn submit(&self, work: J, options: Options) -> JobHandle<J::Output> {
        let (queued, handle) = job(work, options);
        self.spawn(move || {
            queued.run();
        });
        handle
    }
}
