//! Waits that are ready at once share in their task's budget.

use std::future::poll_fn;

use unstuck_core::guard::proceed;

/// Ready, unless this poll has had its share: then others have their turn first.
///
/// Awaited before a wait begins, never at its end: who gives way holds no permit and no item, and stands in no line that others
/// could be held up in. On a plain thread it is always ready.
#[inline]
pub(super) async fn may_go_on() {
    poll_fn(|cx| proceed(cx)).await;
}
