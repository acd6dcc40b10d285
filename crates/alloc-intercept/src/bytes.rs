//! The work itself: copies, fills and searches that are never compiled into calls of libc.

#[cfg(target_arch = "x86_64")]
use core::arch::asm;
#[cfg(target_arch = "x86_64")]
use core::arch::x86_64::{
    __m128i, _mm_cmpeq_epi8, _mm_movemask_epi8, _mm_set1_epi8, _mm_setzero_si128,
};

/// Reads a byte in a way that no compiler makes something else of.
///
/// # Safety
///
/// It may be read.
#[inline(always)]
unsafe fn get(from: *const u8) -> u8 {
    // SAFETY: the caller's contract.
    unsafe { from.read_volatile() }
}

/// Copies `len` bytes; the ranges may overlap.
///
/// # Safety
///
/// As `memmove`'s.
#[inline]
pub(crate) unsafe fn copy(to: *mut u8, from: *const u8, len: usize) {
    if to.addr().wrapping_sub(from.addr()) < len {
        // SAFETY: the same contract.
        unsafe { copy_backward(to, from, len) };
    } else {
        // SAFETY: the same contract, and `to` does not lie in what is still to be read.
        unsafe { copy_forward(to, from, len) };
    }
}

/// Copies from the first byte on.
///
/// # Safety
///
/// As `memmove`'s; `to` is not among the `len` bytes that begin at `from`, or is `from`.
#[cfg(target_arch = "x86_64")]
#[inline]
unsafe fn copy_forward(to: *mut u8, from: *const u8, len: usize) {
    // SAFETY: copies `len` bytes upwards (the ABI keeps the direction flag clear), which the contract
    // allows; the three registers are the instruction's operands.
    unsafe {
        asm!(
            "rep movsb",
            inout("rcx") len => _,
            inout("rdi") to => _,
            inout("rsi") from => _,
            options(nostack, preserves_flags),
        );
    }
}

/// As on x86-64. (Not run.)
///
/// # Safety
///
/// As there.
#[cfg(not(target_arch = "x86_64"))]
#[inline]
unsafe fn copy_forward(to: *mut u8, from: *const u8, len: usize) {
    for index in 0..len {
        // SAFETY: below `len`.
        let byte = unsafe { get(from.wrapping_add(index)) };
        // SAFETY: below `len`.
        unsafe { to.wrapping_add(index).write_volatile(byte) };
    }
}

/// Copies from the last byte on.
///
/// # Safety
///
/// As `memmove`'s.
unsafe fn copy_backward(to: *mut u8, from: *const u8, len: usize) {
    let mut left = len;
    // Words as long as none is read after it was written: the ranges may lie a byte apart.
    while 8 <= left {
        left -= 8;
        // SAFETY: eight bytes below `len`.
        let word = unsafe { from.wrapping_add(left).cast::<u64>().read_unaligned() };
        // SAFETY: as above; all that is read later lies before `from + left`, at most where this
        // word lies, which was read already.
        unsafe { store(to.wrapping_add(left), word) };
    }
    while left != 0 {
        left -= 1;
        // SAFETY: below `len`.
        let byte = unsafe { get(from.wrapping_add(left)) };
        // SAFETY: below `len`.
        unsafe { to.wrapping_add(left).write_volatile(byte) };
    }
}

/// Writes eight bytes at any address, in a way that no compiler makes something else of.
///
/// # Safety
///
/// They may be written.
#[inline(always)]
unsafe fn store(to: *mut u8, word: u64) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: the contract; the instruction takes any address.
    unsafe {
        asm!("mov qword ptr [{}], {}", in(reg) to, in(reg) word, options(nostack, preserves_flags));
    }
    #[cfg(not(target_arch = "x86_64"))]
    for (index, byte) in word.to_ne_bytes().into_iter().enumerate() {
        // SAFETY: the contract.
        unsafe { to.wrapping_add(index).write_volatile(byte) };
    }
}

/// Writes `byte` to `len` bytes.
///
/// # Safety
///
/// They may be written.
#[cfg(target_arch = "x86_64")]
#[inline]
pub(crate) unsafe fn fill(to: *mut u8, byte: u8, len: usize) {
    // SAFETY: writes `len` bytes upwards (the ABI keeps the direction flag clear), which the
    // contract allows.
    unsafe {
        asm!(
            "rep stosb",
            inout("rcx") len => _,
            inout("rdi") to => _,
            in("al") byte,
            options(nostack, preserves_flags),
        );
    }
}

/// As on x86-64. (Not run.)
///
/// # Safety
///
/// As there.
#[cfg(not(target_arch = "x86_64"))]
#[inline]
pub(crate) unsafe fn fill(to: *mut u8, byte: u8, len: usize) {
    for index in 0..len {
        // SAFETY: below `len`.
        unsafe { to.wrapping_add(index).write_volatile(byte) };
    }
}

/// Returns how far from `from` the first `byte` or, with `OR_NUL`, zero byte is; `len` if there is
/// none before.
///
/// # Safety
///
/// The bytes up to it, or `len` of them, may be read.
#[cfg(target_arch = "x86_64")]
#[inline]
#[target_feature(enable = "sse2")]
unsafe fn search<const OR_NUL: bool>(from: *const u8, byte: u8, len: usize) -> usize {
    const LANES: usize = size_of::<__m128i>();
    if len == 0 {
        return 0;
    }
    let wanted = _mm_set1_epi8(byte.cast_signed());
    let zero = _mm_setzero_si128();
    // Whole aligned vectors: one that holds a byte which may be read lies in that byte's page.
    let skew = from.addr() % LANES;
    let mut at = from.wrapping_sub(skew);
    let mut done = 0_usize.wrapping_sub(skew);
    loop {
        // SAFETY: aligned, and in the page of a byte that may be read: of `from`, or of the first
        // byte after those that were searched.
        let vector = unsafe { load(at) };
        let mut hits = _mm_movemask_epi8(_mm_cmpeq_epi8(vector, wanted));
        if OR_NUL {
            hits |= _mm_movemask_epi8(_mm_cmpeq_epi8(vector, zero));
        }
        let mut hits = hits.cast_unsigned();
        if done.cast_signed() < 0 {
            hits &= u32::MAX << skew;
        }
        if hits != 0 {
            return done.wrapping_add(hits.trailing_zeros() as usize).min(len);
        }
        done = done.wrapping_add(LANES);
        if len <= done {
            return len;
        }
        at = at.wrapping_add(LANES);
    }
}

/// Loads an aligned vector: by an instruction that no compiler looks into, as the vector may begin
/// before what it holds, or end behind it.
///
/// # Safety
///
/// It lies in a page that may be read.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
unsafe fn load(at: *const u8) -> __m128i {
    let vector;
    // SAFETY: reads sixteen bytes at an aligned address that may be read.
    unsafe {
        asm!(
            "movdqa {}, xmmword ptr [{}]",
            out(xmm_reg) vector,
            in(reg) at,
            options(nostack, preserves_flags, readonly),
        );
    }
    vector
}

/// As on x86-64. (Not run.)
///
/// # Safety
///
/// As there.
#[cfg(not(target_arch = "x86_64"))]
#[inline]
unsafe fn search<const OR_NUL: bool>(from: *const u8, byte: u8, len: usize) -> usize {
    for index in 0..len {
        // SAFETY: no hit before.
        let found = unsafe { get(from.wrapping_add(index)) };
        if found == byte || (OR_NUL && found == 0) {
            return index;
        }
    }
    len
}

/// Returns how far the first `byte` is; `len` if it is not among as many.
///
/// # Safety
///
/// The bytes up to it, or `len` of them, may be read.
#[inline]
pub(crate) unsafe fn find(from: *const u8, byte: u8, len: usize) -> usize {
    // SAFETY: the same contract.
    unsafe { search::<false>(from, byte, len) }
}

/// Returns how far the first `byte` or zero byte is; `len` if none is among as many.
///
/// # Safety
///
/// The bytes up to it, or `len` of them, may be read.
#[inline]
pub(crate) unsafe fn find_or_nul(from: *const u8, byte: u8, len: usize) -> usize {
    // SAFETY: the same contract.
    unsafe { search::<true>(from, byte, len) }
}

/// Returns how far the last `byte` among `len` is.
///
/// # Safety
///
/// The bytes may be read.
pub(crate) unsafe fn find_last(from: *const u8, byte: u8, len: usize) -> Option<usize> {
    // SAFETY: below `len`.
    (0..len).rev().find(|index| unsafe { get(from.wrapping_add(*index)) } == byte)
}

/// Returns how far the first difference is, or with `STOP_AT_NUL` a zero byte in both; `len` if there
/// is none before.
///
/// # Safety
///
/// The bytes up to it, or `len` of them, of each may be read.
pub(crate) unsafe fn compare<const STOP_AT_NUL: bool>(
    left: *const u8,
    right: *const u8,
    len: usize,
) -> usize {
    for index in 0..len {
        // SAFETY: no end before.
        let byte = unsafe { get(left.wrapping_add(index)) };
        // SAFETY: as above.
        let other = unsafe { get(right.wrapping_add(index)) };
        if byte != other || (STOP_AT_NUL && byte == 0) {
            return index;
        }
    }
    len
}

/// Returns the difference of the bytes at `index`, as C's comparisons do.
///
/// # Safety
///
/// Both may be read.
pub(crate) unsafe fn difference(left: *const u8, right: *const u8, index: usize) -> i32 {
    // SAFETY: the caller's contract.
    let byte = unsafe { get(left.wrapping_add(index)) };
    // SAFETY: the caller's contract.
    let other = unsafe { get(right.wrapping_add(index)) };
    i32::from(byte) - i32::from(other)
}

#[cfg(test)]
mod tests {
    use std::vec::Vec;

    use super::*;

    /// A page of bytes with a few values, so that searches and comparisons hit.
    fn page(seed: u64) -> Vec<u8> {
        let mut state = seed | 1;
        let mut next = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state % 40) as u8
        };
        (0..600).map(|_| next()).collect()
    }

    #[test]
    fn copies_keep_what_overlaps() {
        for seed in 1..4 {
            for len in (0..70).chain([255, 256, 300]) {
                for (from, to) in [(0, 0), (0, 1), (1, 0), (7, 15), (16, 3), (100, 290), (290, 99)]
                {
                    let mut bytes = page(seed);
                    let mut expected = bytes.clone();
                    expected.copy_within(from..from + len, to);
                    let start = bytes.as_mut_ptr();
                    let (to, from) = (start.wrapping_add(to), start.wrapping_add(from));
                    // SAFETY: both ranges lie in `bytes`.
                    unsafe { copy(to, from, len) };
                    assert_eq!(bytes, expected, "{len} bytes");
                }
            }
        }
    }

    #[test]
    fn fills_write_what_is_asked() {
        for (start, len) in [(0, 0), (0, 1), (3, 100), (9, 591)] {
            let mut bytes = page(5);
            let mut expected = bytes.clone();
            expected[start..start + len].fill(77);
            let place = bytes.as_mut_ptr().wrapping_add(start);
            // SAFETY: the range lies in `bytes`.
            unsafe { fill(place, 77, len) };
            assert_eq!(bytes, expected);
        }
    }

    #[test]
    fn searches_agree_with_slices() {
        for seed in 1..20 {
            let bytes = page(seed);
            for start in 0..40 {
                for len in (0..50).chain([200, 500]) {
                    let slice = &bytes[start..start + len];
                    let byte = (seed + start as u64) as u8 % 45;
                    let first = |hit: &dyn Fn(u8) -> bool| {
                        slice.iter().position(|byte| hit(*byte)).unwrap_or(len)
                    };
                    // SAFETY: `len` bytes may be read.
                    let found = unsafe { find(slice.as_ptr(), byte, len) };
                    assert_eq!(found, first(&|other| other == byte));
                    // SAFETY: as above.
                    let found = unsafe { find_or_nul(slice.as_ptr(), byte, len) };
                    assert_eq!(found, first(&|other| other == byte || other == 0));
                    // SAFETY: as above.
                    let found = unsafe { find_last(slice.as_ptr(), byte, len) };
                    assert_eq!(found, slice.iter().rposition(|other| *other == byte));
                }
            }
        }
    }

    #[test]
    fn comparisons_stop_at_the_first_difference() {
        let left = page(3);
        for at in [0, 1, 50, 599] {
            let mut right = left.clone();
            right[at] ^= 0x80;
            // SAFETY: both have as many bytes.
            let found = unsafe { compare::<false>(left.as_ptr(), right.as_ptr(), 600) };
            assert_eq!(found, at);
            let nul = left.iter().position(|byte| *byte == 0).expect("a zero byte");
            // SAFETY: as above.
            let found = unsafe { compare::<true>(left.as_ptr(), right.as_ptr(), 600) };
            assert_eq!(found, at.min(nul));
            // SAFETY: as above.
            let sign = unsafe { difference(left.as_ptr(), right.as_ptr(), at) }.signum();
            assert_eq!(sign, -1);
        }
    }
}
