//! With the feature `tracing`: each report is an event.

use unstuck_core::guard::{Sink, StallReport};

/// Where reports go unless somebody else was named: to whoever collects `tracing`'s events.
pub(crate) fn default_sink() -> Option<Sink> {
    Some(std::sync::Arc::new(to_tracing()))
}

/// Makes a `tracing` event of each report, for [`Builder::on_stall`](crate::Builder::on_stall): a warning with the target
/// `unstuck::stall`. Needs the feature `tracing`.
///
/// It is what happens anyway unless there is an `on_stall` of your own, or [debug mode](crate::debug) writes to stderr. The fields
/// are those of the [`StallReport`]: `task`, `name`, `place`, `worker`, `class`, `call`, `lasted_ms`, `behind`, `done`, `way_out`,
/// `backtrace`, `suppressed`.
///
/// ```
/// let runtime = unstuck::Runtime::builder()
///     .on_stall({
///         let event = unstuck::guard::to_tracing();
///         move |report| {
///             event(report);
///             // and a counter of your own …
///         }
///     })
///     .build()
///     .unwrap();
/// # drop(runtime);
/// ```
pub fn to_tracing() -> impl Fn(&StallReport) + Send + Sync + 'static {
    |report| {
        // The names in a backtrace cost a tenth of a second the first time: only if somebody listens.
        if !tracing::enabled!(target: "unstuck::stall", tracing::Level::WARN) {
            return;
        }
        tracing::warn!(
            target: "unstuck::stall",
            task = report.task.map(tracing::field::display),
            name = report.name.as_deref(),
            place = report.place.map(tracing::field::display),
            worker = report.worker.as_str(),
            class = %report.class,
            call = report.call.as_ref().map(tracing::field::display),
            lasted_ms = report.lasted.as_secs_f64() * 1e3,
            behind = %report.behind,
            done = %report.action,
            way_out = report.way_out(),
            backtrace = %report.backtrace,
            suppressed = report.suppressed,
            "a poll has not come back"
        );
    }
}
