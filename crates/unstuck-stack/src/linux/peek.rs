#![allow(unsafe_code)] // Reads memory that the Rust program has not lent to us; the contract is below.

//! One word of memory, read as the machine sees it.
//!
//! Another frame's stack holds padding, dead values and half-built structs. A Rust read of such bytes as an integer
//! would be undefined behaviour, and sanitizers rightly complain about it. An assembler's load has no such notion: it
//! gives what lies there. It is as fast as a loop of plain loads that is not vectorised.

use std::arch::asm;

/// The word at `address`.
///
/// # Safety
///
/// The eight bytes from `address` on are mapped and readable, and stay so until this returns.
#[inline(always)]
pub(super) unsafe fn word(address: u64) -> u64 {
    let value: u64;
    // SAFETY: the caller says that the bytes are readable. The instruction writes one register and no memory, leaves
    // the flags alone and uses no stack.
    unsafe {
        #[cfg(target_arch = "x86_64")]
        asm!("mov {}, qword ptr [{}]", out(reg) value, in(reg) address, options(nostack, preserves_flags, readonly));
        #[cfg(target_arch = "aarch64")]
        asm!("ldr {}, [{}]", out(reg) value, in(reg) address, options(nostack, preserves_flags, readonly));
    }
    value
}
