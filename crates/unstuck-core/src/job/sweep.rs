//! Queues in which jobs lie that were given up.
//!
//! Cancelling a job drops its closure and leaves an empty shell in the queue, which whoever comes for it throws away. If
//! nobody comes, because every thread is stuck, and somebody tries again and again with a timeout around each try, shells
//! would pile up without end, and fill a queue that has a bound. So long queues are swept: whenever one has doubled, a few
//! of its jobs are looked at, and if one of those is a shell, all shells go. Each job is looked at once or twice in its
//! life, mostly never.

use std::collections::VecDeque;

/// So many are looked at before a sweep.
const LOOKS: usize = 16;

/// Takes those out of `queue` that are `gone`, if a look at a few finds one; to be dropped with no lock held.
#[must_use = "dropping a job may run user code: let go of the lock first"]
pub fn sweep<T>(queue: &mut VecDeque<T>, gone: impl Fn(&T) -> bool) -> Vec<T> {
    // Odd, so that it does not keep step with those who give up every other job.
    let step = (queue.len() / LOOKS) | 1;
    if !queue.iter().step_by(step).any(&gone) {
        return Vec::new();
    }
    let (out, stay) = std::mem::take(queue).into_iter().partition(gone);
    *queue = stay;
    VecDeque::into(out)
}

/// Says when a queue is to be swept: when it has doubled.
#[derive(Debug)]
pub struct Doubled {
    least: usize,
    next: usize,
}

impl Doubled {
    /// Not before it is `least` long.
    #[must_use]
    pub fn from(least: usize) -> Self {
        Self { least, next: least }
    }

    /// True if a queue of this length is to be swept now.
    #[must_use]
    pub fn is(&self, length: usize) -> bool {
        length >= self.next
    }

    /// It has been swept, and is this long now.
    pub fn swept(&mut self, length: usize) {
        self.next = length.saturating_mul(2).max(self.least);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shell_goes_and_the_others_keep_their_order() {
        let mut queue: VecDeque<u32> = (0..1_000).collect();
        let out = sweep(&mut queue, |n| n % 2 == 1);
        assert!(out.len() == 500 && out.iter().all(|n| n % 2 == 1));
        assert!(queue.len() == 500 && queue.iter().is_sorted());
    }

    #[test]
    fn a_queue_without_shells_is_hardly_looked_at() {
        let looks = std::cell::Cell::new(0);
        let mut queue: VecDeque<u32> = (0..100_000).collect();
        let out = sweep(&mut queue, |_| {
            looks.set(looks.get() + 1);
            false
        });
        assert!(out.is_empty() && looks.get() <= LOOKS + 1, "{}", looks.get());
    }

    #[test]
    fn a_line_of_shells_does_not_grow() {
        let (mut queue, mut doubled) = (VecDeque::new(), Doubled::from(64));
        for n in 0..10_000 {
            queue.push_back(n);
            if doubled.is(queue.len()) {
                let _gone = sweep(&mut queue, |&n| n > 0);
                doubled.swept(queue.len());
            }
            assert!(queue.len() <= 64);
        }
        assert_eq!(queue.front(), Some(&0));
    }
}
