//! Tasks from outside: two buffers, one of which is filled while the other is emptied.
//!
//! ```text
//!   who pushes ──► back: pushed, pushed, pushed …      front: … taken, taken ──► who fetches
//!                    └────────── when the front is empty they are exchanged ─────────┘
//! ```
//!
//! So those who push and those who fetch meet only for the few instructions of an exchange, once in as many tasks as have
//! gathered meanwhile. And whether there is anything, two counters tell without a lock.
//!
//! # Why not crossbeam's
//! We had it. It is a list of blocks that who pushes allocates, one for 63 tasks, and who fetches frees: memory of one thread that
//! another gives back. glibc locks the first thread's arena for that, again and again in the very moment in which that thread
//! allocates the next task; one of the two then sleeps, and the other pays for its waking. Ten thousand tasks from a thread
//! outside cost 240 ns each, and 135 with an allocator that had room for such blocks beside its locks. These buffers stay where
//! they are. (The idea of a locked list of tasks from outside is tokio's; that of exchanging two buffers is old.)

use std::collections::VecDeque;

use crossbeam_utils::CachePadded;

use super::Local;
use crate::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use crate::sync::{Mutex, lock_soon};
use crate::task::Runnable;

/// A buffer with room for so many tasks keeps it, 8 KiB.
const SHORT: usize = 1024;

/// The queue for tasks from outside, first in first out.
pub(crate) struct Injector<T = Runnable> {
    back: CachePadded<End<T>>,
    front: CachePadded<End<T>>,
    /// A buffer has more room than it should keep when there is nothing to do.
    is_long: AtomicBool,
}

/// One of the two buffers, and how many tasks have passed this end so far.
struct End<T> {
    tasks: Mutex<VecDeque<T>>,
    passed: AtomicUsize,
}

impl<T> End<T> {
    fn new() -> CachePadded<Self> {
        CachePadded::new(Self { tasks: Mutex::new(VecDeque::new()), passed: AtomicUsize::new(0) })
    }

    /// To be called under the lock.
    #[inline]
    fn count(&self, tasks: usize) {
        // Relaxed: only who has the lock writes it. Release: pairs with the Acquire in `len`.
        self.passed.store(self.passed.load(Ordering::Relaxed).wrapping_add(tasks), Ordering::Release);
    }
}

impl Injector {
    /// So many are taken at once at the most.
    pub(crate) const BATCH: usize = 63;

    /// Moves about half of what is there to `to`, of `limit` tasks at most, and gives the first of it.
    pub(crate) fn steal_into(&self, to: &Local, limit: usize) -> Option<Runnable> {
        self.take(self.len().div_ceil(2).min(limit), |task| to.push(task))
    }
}

impl<T> Injector<T> {
    pub(crate) fn new() -> Self {
        Self { back: End::new(), front: End::new(), is_long: AtomicBool::new(false) }
    }

    #[inline]
    pub(crate) fn push(&self, task: T) {
        let mut tasks = lock_soon(&self.back.tasks);
        tasks.push_back(task);
        self.back.count(1);
    }

    /// Takes the first.
    pub(crate) fn steal(&self) -> Option<T> {
        self.take(1, |_| unreachable!("one is taken, and given back"))
    }

    /// Takes so many: gives the first, and the others to `keep`. Nobody waits here: where others are just taking or pushing
    /// there is another look soon.
    fn take(&self, count: usize, mut keep: impl FnMut(T)) -> Option<T> {
        if self.is_empty() {
            return None; // before a lock
        }
        let mut tasks = self.front.tasks.try_lock()?;
        let mut first = None;
        let mut taken = 0;
        while taken < count.max(1) {
            if tasks.is_empty() {
                self.exchange(&mut tasks);
            }
            let Some(task) = tasks.pop_front() else { break };
            taken += 1;
            match first {
                None => first = Some(task),
                Some(_) => keep(task),
            }
        }
        self.front.count(taken);
        first
    }

    /// Gives what has been pushed to those who take, and an empty buffer for it.
    fn exchange(&self, empty: &mut VecDeque<T>) {
        let Some(mut back) = self.back.tasks.try_lock() else { return };
        if empty.capacity().max(back.capacity()) > SHORT {
            self.is_long.store(true, Ordering::Relaxed); // a hint
        }
        if empty.capacity() > SHORT && back.len() < empty.capacity() / 4 {
            empty.shrink_to(empty.capacity() / 2);
        }
        std::mem::swap(empty, &mut back);
    }

    /// There is nothing to do: gives back what a long queue took.
    pub(crate) fn tidy(&self) {
        if !self.is_long.load(Ordering::Relaxed) || !self.is_empty() {
            return; // as above
        }
        let mut front = self.front.tasks.lock();
        let mut back = self.back.tasks.lock();
        if front.is_empty() && back.is_empty() {
            let rooms = (std::mem::take(&mut *front), std::mem::take(&mut *back));
            self.is_long.store(false, Ordering::Relaxed); // as above
            drop((back, front)); // before the memory
            drop(rooms);
        }
    }

    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many there are. A glance: none of those is overlooked that the caller knows of.
    #[inline]
    pub(crate) fn len(&self) -> usize {
        // Acquire: pairs with the Release in `count`. In this order: whoever took a task had seen it pushed, so the difference is
        // never negative.
        let taken = self.front.passed.load(Ordering::Acquire);
        self.back.passed.load(Ordering::Acquire).wrapping_sub(taken)
    }
}

#[cfg(all(test, not(any(unstuck_loom, unstuck_shuttle))))]
mod tests {
    use super::*;

    #[test]
    fn what_was_pushed_first_is_taken_first_whichever_buffer_it_is_in() {
        let injector = Injector::new();
        let (mut next, mut kept) = (0, Vec::new());
        for round in 0..20 {
            (0..round).for_each(|i| injector.push(next + i));
            next += round;
            let first = injector.take(round / 2 + 1, |task| kept.push(task));
            if let Some(first) = first {
                let at = kept.partition_point(|&task| task < first);
                kept.insert(at, first);
            }
            assert_eq!(kept, (0..kept.len()).collect::<Vec<_>>());
            assert_eq!(injector.len(), next - kept.len());
        }
        while let Some(task) = injector.steal() {
            kept.push(task);
        }
        assert!(injector.is_empty() && kept == (0..next).collect::<Vec<_>>());
    }

    #[test]
    fn what_a_burst_took_is_given_back_when_there_is_nothing_to_do() {
        let injector = Injector::new();
        let room = |injector: &Injector<u8>| {
            injector.back.tasks.lock().capacity() + injector.front.tasks.lock().capacity()
        };
        (0..100_000).for_each(|_| injector.push(0));
        assert!(injector.take(100_000, |_| {}).is_some());
        assert!(room(&injector) >= 100_000);
        injector.tidy();
        assert_eq!(room(&injector), 0, "after one burst");
        for _ in 0..2 {
            (0..100_000).for_each(|_| injector.push(0));
            assert!(injector.take(100_000, |_| {}).is_some());
        }
        assert!(room(&injector) >= 100_000);
        injector.push(0);
        injector.tidy();
        assert_eq!(injector.steal(), Some(0), "what is there stays");
        injector.tidy();
        assert_eq!(room(&injector), 0);
    }

    #[test]
    fn a_buffer_that_is_longer_than_what_comes_shrinks() {
        let injector = Injector::new();
        (0..100_000).for_each(|_| injector.push(0));
        for _ in 0..40 {
            injector.push(0);
            assert!(injector.take(usize::MAX, |_| {}).is_some());
        }
        for end in [&injector.back, &injector.front] {
            assert!(end.tasks.lock().capacity() <= SHORT);
        }
    }
}

#[cfg(all(test, unstuck_loom))]
mod models {
    use loom::thread;
    use std::sync::Arc;

    use super::*;

    #[test]
    fn each_task_is_taken_once_and_whoever_knows_of_one_sees_it() {
        loom::model(|| {
            let injector = Arc::new(Injector::new());
            let pusher = {
                let injector = injector.clone();
                thread::spawn(move || (1..=2).for_each(|task| injector.push(task)))
            };
            let thief = {
                let injector = injector.clone();
                thread::spawn(move || injector.steal().unwrap_or(0))
            };
            assert!(injector.len() <= 2, "never less than none");
            injector.push(4);
            let mut sum = injector.steal().unwrap_or(0);
            pusher.join().unwrap();
            sum += thief.join().unwrap();
            assert_eq!(injector.is_empty(), sum == 7, "all pushes have been seen");
            while let Some(task) = injector.steal() {
                sum += task;
            }
            assert_eq!(sum, 7);
        });
    }
}
