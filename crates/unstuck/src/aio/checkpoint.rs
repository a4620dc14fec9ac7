//! A place in a long computation where others may have a turn.

pub use unstuck_core::Checkpoint;

/// Lets the other tasks have a turn if this one has held its worker for long; otherwise it is ready at once.
///
/// For loops that compute and have to stay in their task. It may stand in the innermost loop: while nobody minds it costs
/// two loads, and no clock is read. The [guard](crate::Builder::stall_guard) marks a poll that has lasted half of the
/// [threshold](crate::Builder::stall_threshold) (2.5 ms unless set); the next checkpoint then goes to the back of the
/// queue, once, and the computation goes on with a new start.
///
/// ```
/// # unstuck::run(async {
/// let mut sum = 0_u64;
/// for number in 0..100_000 {
///     sum = sum.wrapping_mul(31).wrapping_add(number);
///     unstuck::checkpoint().await;
/// }
/// # assert_ne!(sum, 0);
/// # });
/// ```
///
/// Without a guard (on a single-threaded loop, with [`StallPolicy::Off`](crate::StallPolicy::Off), on a paused clock, and in
/// the main future of [`run`](crate::run())) it reads the real clock each time, about 25 ns, and yields when 2.5 ms have
/// passed since the first checkpoint after this thread's last yield. That may be one yield more than needed.
///
/// Long computations have a better place: [`cpu`](crate::cpu()). To yield every time, take
/// [`yield_now`](crate::yield_now()).
///
/// # Cancellation
/// The task can be cancelled here when it yields: a request is at most so long in coming.
pub fn checkpoint() -> Checkpoint {
    unstuck_core::checkpoint()
}
