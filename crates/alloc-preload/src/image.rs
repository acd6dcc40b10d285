//! Loaded objects, as their headers in memory describe them.

use core::ffi::c_void;

unsafe extern "C" {
    /// The first byte of this object in memory; the linker defines it.
    #[link_name = "__ehdr_start"]
    static IMAGE: libc::Elf64_Ehdr;
}

/// Whether an address lies in this library.
pub(crate) fn is_ours(address: *mut c_void) -> bool {
    let base = &raw const IMAGE;
    base.addr() <= address.addr() && address.addr() < end(base)
}

/// Returns where the loaded object ends whose first byte, its ELF header, is at `base`.
///
/// The object is one that the loader mapped whole, with its first page readable.
pub(crate) fn end(base: *const libc::Elf64_Ehdr) -> usize {
    // SAFETY: an ELF header that the loader mapped, by this function's callers.
    let header = unsafe { base.read_unaligned() };
    // SAFETY: the loader needs the program headers in memory too, in the first page.
    let first = unsafe { base.cast::<u8>().add(header.e_phoff as usize) };
    let (mut low, mut high) = (usize::MAX, 0);
    for index in 0..usize::from(header.e_phnum) {
        // SAFETY: one of the object's `e_phnum` program headers.
        let at = unsafe { first.cast::<libc::Elf64_Phdr>().add(index) };
        // SAFETY: as above.
        let segment = unsafe { at.read_unaligned() };
        if segment.p_type == libc::PT_LOAD {
            low = low.min(segment.p_vaddr as usize & !4095);
            high = high.max((segment.p_vaddr + segment.p_memsz) as usize);
        }
    }
    // The first segment is at `base`, wherever the file wants it.
    base.addr() + high.saturating_sub(low).next_multiple_of(4096)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Code, data and zero data of this object are its own; a stack and libc are not.
    #[test]
    fn own_addresses_are_told_from_others() {
        static DATA: u8 = 1;
        static ZERO: [u8; 1 << 16] = [0; 1 << 16];
        let local = 0u8;
        assert!(is_ours((&raw const DATA).cast_mut().cast()));
        assert!(is_ours((&raw const ZERO[(1 << 16) - 1]).cast_mut().cast()));
        assert!(is_ours(is_ours as *mut c_void));
        assert!(!is_ours((&raw const local).cast_mut().cast()));
        // SAFETY: no preconditions; the result is an address in libc's memory.
        assert!(!is_ours(unsafe { libc::__errno_location() }.cast()));
    }
}
