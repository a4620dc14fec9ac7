#![allow(unsafe_code)] // The loader lists what it has mapped in C structs, and the tables lie in that memory.

//! The unwind tables of the program and its libraries.
//!
//! The loader keeps `.eh_frame_hdr` and `.eh_frame` mapped, since panics need them. We copy them: a table that is
//! borrowed could be unmapped by `dlclose` while we read. The copy is made while the loader lists its modules, because
//! it lets none go in that time. It is kept until the list changes.

use std::ffi::{c_int, c_void};
use std::mem;
use std::ops::Range;

use super::peek;

/// One loaded program or library. Addresses are those of this process.
pub(super) struct Module {
    pub(super) range: Range<u64>,
    pub(super) tables: Option<Tables>,
}

pub(super) struct Tables {
    pub(super) index: Range<u64>,
    pub(super) index_bytes: Vec<u8>,
    pub(super) frames: Range<u64>,
    pub(super) frames_bytes: Vec<u8>,
}

/// How many modules were loaded and unloaded so far: while it is the same, so are the modules.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Changes {
    loaded: u64,
    unloaded: u64,
}

/// The loader's counts.
pub(super) fn changes() -> Changes {
    let mut changes = Changes::default();
    visit(&mut |info, _| {
        changes = Changes { loaded: info.dlpi_adds, unloaded: info.dlpi_subs };
        Next::Stop
    });
    changes
}

/// All modules, with copies of their tables.
pub(super) fn loaded() -> Vec<Module> {
    let mut modules = Vec::new();
    visit(&mut |info, headers| {
        modules.extend(module(info.dlpi_addr, headers));
        Next::GoOn
    });
    modules
}

enum Next {
    GoOn,
    Stop,
}

type Visitor<'a> = dyn FnMut(&libc::dl_phdr_info, &[libc::Elf64_Phdr]) -> Next + 'a;

/// Calls `visitor` for each module, while the loader keeps them all.
fn visit(mut visitor: &mut Visitor<'_>) {
    // SAFETY: `each` is called during this call only, with the pointer that we pass: a `&mut &mut Visitor`.
    unsafe { libc::dl_iterate_phdr(Some(each), (&raw mut visitor).cast()) };
}

extern "C" fn each(info: *mut libc::dl_phdr_info, size: usize, visitor: *mut c_void) -> c_int {
    if size < mem::size_of::<libc::dl_phdr_info>() {
        return 1; // a loader from before 2005: no counts
    }
    // SAFETY: `visit` passed it, is waiting for us, and does not use it meanwhile.
    let visitor = unsafe { &mut *visitor.cast::<&mut Visitor<'_>>() };
    // SAFETY: the loader passes a struct of `size` bytes, which we have compared, for the length of this call.
    let info = unsafe { &*info };
    let headers = if info.dlpi_phdr.is_null() {
        &[]
    } else {
        // SAFETY: the loader's own list of so many headers; it lies in the module, which stays mapped during the call.
        unsafe { std::slice::from_raw_parts(info.dlpi_phdr, usize::from(info.dlpi_phnum)) }
    };
    match visitor(info, headers) {
        Next::GoOn => 0,
        Next::Stop => 1,
    }
}

/// Only from within `visit`: the module must stay mapped.
fn module(base: u64, headers: &[libc::Elf64_Phdr]) -> Option<Module> {
    let segments = || {
        let loaded = headers.iter().filter(|header| header.p_type == libc::PT_LOAD);
        loaded.map(|header| (header.p_flags, at(base, header)))
    };
    let start = segments().map(|(_, range)| range.start).min()?;
    let end = segments().map(|(_, range)| range.end).max()?;
    // A range may be read if it lies within one readable segment.
    let readable = |address: u64| {
        segments()
            .find(|(flags, range)| flags & libc::PF_R != 0 && range.contains(&address))
            .map(|(_, range)| address..range.end)
    };
    let tables = headers.iter().find(|header| header.p_type == libc::PT_GNU_EH_FRAME).and_then(|header| {
        let index = at(base, header);
        let index = index.start..index.end.min(readable(index.start)?.end);
        let index_bytes = bytes(&index);
        // The section's own end is not written anywhere; the unwinder does not need it.
        let frames = readable(frames_address(index.start, &index_bytes)?)?;
        let frames_bytes = bytes(&frames);
        Some(Tables { index, index_bytes, frames, frames_bytes })
    });
    Some(Module { range: start..end, tables })
}

/// What a header describes, as far as the file fills it: beyond lies zeroed data, no table.
fn at(base: u64, header: &libc::Elf64_Phdr) -> Range<u64> {
    let start = base.wrapping_add(header.p_vaddr);
    start..start.saturating_add(header.p_filesz)
}

/// Where `.eh_frame` begins: the index says so, in the one encoding that linkers write (relative, four bytes signed).
fn frames_address(index_address: u64, index: &[u8]) -> Option<u64> {
    const VERSION: u8 = 1;
    const RELATIVE_I32: u8 = 0x1b;
    let [VERSION, RELATIVE_I32, _, _, a, b, c, d] = *index.first_chunk::<8>()? else { return None };
    let distance = i64::from(i32::from_le_bytes([a, b, c, d]));
    Some((index_address + 4).wrapping_add_signed(distance))
}

/// Copies a range that `module` found readable.
fn bytes(range: &Range<u64>) -> Vec<u8> {
    let mut bytes = Vec::with_capacity((range.end - range.start) as usize + 16);
    let mut address = range.start & !7;
    while address < range.end {
        // SAFETY: an aligned word that begins or ends within `range`, so it lies on a page of it. The range lies in a
        // readable segment of a module that the loader keeps mapped while it calls us.
        bytes.extend_from_slice(&unsafe { peek::word(address) }.to_ne_bytes());
        address += 8;
    }
    bytes.drain(..(range.start & 7) as usize);
    bytes.truncate((range.end - range.start) as usize);
    bytes
}
