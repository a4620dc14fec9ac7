//! How punctually the kernel wakes a thread.
//!
//! Linux lets a timed sleep end up to 50 µs late, so that it can wake several threads at once. A worker sleeps for the
//! sake of others: with the slack, every `sleep` of every task would be 50 µs late. The setting is the thread's own.

/// Asks the kernel to end this thread's timed sleeps on time. Does nothing where there is no such setting.
pub fn be_punctual() {
    #[cfg(target_os = "linux")]
    {
        // One nanosecond is the smallest. Refused only by kernels without the call, and then nothing is lost.
        let _ = rustix::thread::set_current_timer_slack(std::num::NonZeroU64::new(1));
    }
}
