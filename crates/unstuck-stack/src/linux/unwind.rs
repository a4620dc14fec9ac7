//! From a copied stack to the addresses of the calls on it.
//!
//! `framehop` follows the compiler's unwind tables (`.eh_frame`), which hold for every instruction, so a thread may be
//! stopped anywhere. It is given bytes and numbers and touches no memory of the process: what it makes of a stack that
//! was caught in an odd moment can be wrong, never unsound.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Mutex, PoisonError};

use framehop::{CacheNative, ExplicitModuleSectionInfo, MayAllocateDuringUnwind, Module, Unwinder as _};
use framehop::{UnwindRegsNative, UnwinderNative};

use super::modules::{self, Changes};
use super::slot::{Copied, Registers};

/// More frames than anyone reads; an end for stacks that go round in circles.
const MOST_FRAMES: usize = 512;

/// The tables, and what was learned from them, as long as the modules stay the same.
struct Prepared {
    changes: Changes,
    unwinder: UnwinderNative<Vec<u8>, MayAllocateDuringUnwind>,
    cache: CacheNative<MayAllocateDuringUnwind>,
}

static PREPARED: Mutex<Option<Prepared>> = Mutex::new(None);

/// An address within each call on the stack, the innermost first.
pub(super) fn unwind(copied: &Copied) -> Vec<usize> {
    let mut prepared = PREPARED.lock().unwrap_or_else(PoisonError::into_inner);
    let changes = modules::changes();
    let prepared = match &mut *prepared {
        Some(prepared) if prepared.changes == changes => prepared,
        outdated => outdated.insert(prepare(changes)),
    };
    let mut addresses = Vec::new();
    // Tables are input too. If a strange one makes the unwinder panic, what was found so far is still good.
    let _ = catch_unwind(AssertUnwindSafe(|| walk(prepared, copied, &mut addresses)));
    addresses
}

fn walk(prepared: &mut Prepared, copied: &Copied, addresses: &mut Vec<usize>) {
    let Prepared { unwinder, cache, .. } = prepared;
    let mut read = |address: u64| {
        let distance = address.checked_sub(copied.start).filter(|distance| distance % 8 == 0).ok_or(())?;
        copied.words.get((distance / 8) as usize).copied().ok_or(())
    };
    let registers = start(&copied.registers, unwinder);
    let mut frames = unwinder.iter_frames(copied.registers.pc, registers, cache, &mut read);
    // An error is an end as well: the copy was cut, or a caller has no tables.
    while let Ok(Some(frame)) = frames.next() {
        addresses.push(frame.address_for_lookup() as usize);
        if addresses.len() == MOST_FRAMES {
            break;
        }
    }
}

#[cfg(target_arch = "x86_64")]
fn start<U>(registers: &Registers, _unwinder: &U) -> UnwindRegsNative {
    UnwindRegsNative::new(registers.pc, registers.sp, registers.fp)
}

/// Return addresses may be signed (pointer authentication); the bits above the highest code address are the signature.
#[cfg(target_arch = "aarch64")]
fn start<U: framehop::Unwinder>(registers: &Registers, unwinder: &U) -> UnwindRegsNative {
    let mask = framehop::aarch64::PtrAuthMask::from_max_known_address(unwinder.max_known_code_address());
    UnwindRegsNative::new_with_ptr_auth_mask(mask, registers.lr, registers.sp, registers.fp)
}

fn prepare(changes: Changes) -> Prepared {
    let mut unwinder = UnwinderNative::new();
    for module in modules::loaded() {
        // Addresses "as stated in the file" are ours, too: everything is where the loader put it.
        let base = module.range.start;
        let mut sections = ExplicitModuleSectionInfo { base_svma: base, ..Default::default() };
        if let Some(tables) = module.tables {
            sections.eh_frame_hdr_svma = Some(tables.index);
            sections.eh_frame_hdr = Some(tables.index_bytes);
            sections.eh_frame_svma = Some(tables.frames);
            sections.eh_frame = Some(tables.frames_bytes);
        }
        unwinder.add_module(Module::new(String::new(), module.range, base, sections));
    }
    Prepared { changes, unwinder, cache: CacheNative::new() }
}
