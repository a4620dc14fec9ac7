//! Two fences that pair with each other, one of which costs next to nothing.
//!
//! Two threads that must not overlook each other both write something, go through a fence, and then read what the other
//! one writes. If one of them is there all the time and the other hardly ever, the kernel can make the fence for both:
//! `membarrier` (Linux 4.14) interrupts every core on which a thread of this process runs. So the one who is there all the
//! time need only keep the compiler from exchanging its two steps.
//!
//! Where there is no such call (other systems, sandboxes that forbid it), both fences are ordinary ones. So they are in a
//! model: what a model finds to be true with them is true with the kernel's, which orders at least as much.
//!
//! The idea is Dice's, Huang's and Yang's (asymmetric Dekker synchronization, 2001); the call is Desnoyers's (2010).

use crate::sync::atomic::{Ordering, fence};

/// Both fences, as this process can have them.
pub(crate) struct Lopsided {
    by_kernel: bool,
}

impl Lopsided {
    /// To be made before any thread goes through one of its fences. The first one in a process with many threads may take
    /// some milliseconds.
    pub(crate) fn new() -> Self {
        Self { by_kernel: kernel::register() }
    }

    /// Between the two steps of who is there all the time. Pairs with [`heavy`](Self::heavy) alone.
    #[inline]
    pub(crate) fn light(&self) {
        if self.by_kernel {
            std::sync::atomic::compiler_fence(Ordering::SeqCst); // the kernel does the rest, in `heavy`
        } else {
            fence(Ordering::SeqCst); // pairs with the one in `heavy`
        }
    }

    /// Between the two steps of who hardly ever comes. False if the kernel refuses today what it granted before: then the
    /// second step tells nothing.
    #[must_use]
    pub(crate) fn heavy(&self) -> bool {
        if self.by_kernel {
            return kernel::fence_everybody();
        }
        fence(Ordering::SeqCst); // pairs with the one in `light`
        true
    }
}

#[cfg(all(target_os = "linux", not(any(unstuck_loom, unstuck_shuttle, miri))))]
mod kernel {
    use rustix::thread::{MembarrierCommand, membarrier};

    pub(super) fn register() -> bool {
        membarrier(MembarrierCommand::RegisterPrivateExpedited).is_ok()
    }

    pub(super) fn fence_everybody() -> bool {
        membarrier(MembarrierCommand::PrivateExpedited).is_ok()
    }
}

#[cfg(not(all(target_os = "linux", not(any(unstuck_loom, unstuck_shuttle, miri)))))]
mod kernel {
    pub(super) fn register() -> bool {
        false
    }

    pub(super) fn fence_everybody() -> bool {
        false
    }
}
