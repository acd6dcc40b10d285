//! Sixteen bytes at a time: how patterns are written and compared.
//!
//! Bytes are read by instructions that the compiler does not see through: a program that is at fault
//! may write there at the same time, and that is what we look for.

use core::ptr::NonNull;

/// Bytes of a lane.
pub(super) const LANE_LEN: usize = 16;

/// What [`Lane::from_byte`] reads a part of.
static FROM_BYTE: [u8; 2 * LANE_LEN] = {
    let mut bytes = [0; 2 * LANE_LEN];
    let mut index = LANE_LEN;
    while index < 2 * LANE_LEN {
        bytes[index] = 0xff;
        index += 1;
    }
    bytes
};

impl Lane {
    /// Zero up to that byte, less than sixteen, and all ones from there on.
    #[inline]
    pub(super) fn from_byte(byte: usize) -> Self {
        // SAFETY: at most sixteen bytes before the end are left out.
        let at = unsafe { NonNull::from(&FROM_BYTE).cast::<u8>().add(LANE_LEN - byte % LANE_LEN) };
        // SAFETY: sixteen bytes from there are the table's.
        unsafe { Self::read(at) }
    }
}

#[cfg(target_arch = "x86_64")]
mod imp {
    use core::arch::asm;
    use core::arch::x86_64::{
        __m128i, _MM_HINT_T0, _mm_and_si128, _mm_cmpeq_epi8, _mm_loadu_si128, _mm_movemask_epi8,
        _mm_or_si128, _mm_prefetch, _mm_set1_epi64x, _mm_setzero_si128, _mm_storeu_si128,
        _mm_xor_si128,
    };

    use super::NonNull;

    /// Sixteen bytes.
    #[derive(Clone, Copy)]
    pub(in crate::heap) struct Lane(__m128i);

    impl Lane {
        /// All zero.
        #[inline]
        pub(in crate::heap) fn zero() -> Self {
            // SAFETY: needs SSE2, which every x86-64 has.
            Self(unsafe { _mm_setzero_si128() })
        }

        /// The word, twice.
        #[inline]
        pub(in crate::heap) fn of(word: u64) -> Self {
            // SAFETY: needs SSE2, which every x86-64 has.
            Self(unsafe { _mm_set1_epi64x(word.cast_signed()) })
        }

        /// Reads sixteen bytes at any alignment.
        ///
        /// # Safety
        ///
        /// They are mapped and may be read.
        #[inline]
        pub(in crate::heap) unsafe fn load(at: NonNull<u8>) -> Self {
            let lane: __m128i;
            // SAFETY: one load from memory that may be read (contract), of any alignment; nothing
            // else is read or written. What another thread writes meanwhile is seen or not.
            unsafe {
                asm!(
                    "movdqu {}, xmmword ptr [{}]",
                    out(xmm_reg) lane,
                    in(reg) at.as_ptr(),
                    options(readonly, nostack, preserves_flags),
                );
            }
            Self(lane)
        }

        /// Reads sixteen bytes that nobody writes.
        ///
        /// # Safety
        ///
        /// They may be read, and do not change meanwhile.
        #[inline]
        pub(in crate::heap) unsafe fn read(at: NonNull<u8>) -> Self {
            // SAFETY: the caller's contract; no alignment is needed.
            Self(unsafe { _mm_loadu_si128(at.cast().as_ptr()) })
        }

        /// The bits that both have.
        #[inline]
        pub(in crate::heap) fn and(self, other: Self) -> Self {
            // SAFETY: needs SSE2, which every x86-64 has.
            Self(unsafe { _mm_and_si128(self.0, other.0) })
        }

        /// The bits of either.
        #[inline]
        pub(in crate::heap) fn or(self, other: Self) -> Self {
            // SAFETY: needs SSE2, which every x86-64 has.
            Self(unsafe { _mm_or_si128(self.0, other.0) })
        }

        /// Writes the lane at any alignment.
        ///
        /// # Safety
        ///
        /// Sixteen bytes from there may be written.
        #[inline]
        pub(in crate::heap) unsafe fn store(self, at: NonNull<u8>) {
            // SAFETY: the caller's contract; no alignment is needed.
            unsafe { _mm_storeu_si128(at.cast().as_ptr(), self.0) };
        }

        /// The bits in which the two differ, together with those of `seen`.
        #[inline]
        pub(in crate::heap) fn differs(self, other: Self, seen: Self) -> Self {
            // SAFETY: needs SSE2, which every x86-64 has.
            let bits = unsafe { _mm_xor_si128(self.0, other.0) };
            // SAFETY: as above.
            Self(unsafe { _mm_or_si128(seen.0, bits) })
        }

        #[inline]
        pub(in crate::heap) fn is_zero(self) -> bool {
            // SAFETY: needs SSE2, which every x86-64 has.
            let zeros = unsafe { _mm_cmpeq_epi8(self.0, Self::zero().0) };
            // SAFETY: as above.
            let mask = unsafe { _mm_movemask_epi8(zeros) };
            mask == 0xffff
        }
    }

    /// Reads eight bytes at any alignment.
    ///
    /// # Safety
    ///
    /// They are mapped and may be read.
    #[inline]
    pub(in crate::heap) unsafe fn load_word(at: NonNull<u8>) -> u64 {
        let word: u64;
        // SAFETY: as in `Lane::load`.
        unsafe {
            asm!(
                "mov {}, qword ptr [{}]",
                out(reg) word,
                in(reg) at.as_ptr(),
                options(readonly, nostack, preserves_flags),
            );
        }
        word
    }

    /// Says that the line which holds the address will be used soon. Any address may be passed.
    #[inline]
    pub(in crate::heap) fn prefetch(at: *const u8) {
        // SAFETY: a hint, which faults for no address and changes nothing that is seen.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(at.cast()) };
    }
}

#[cfg(not(target_arch = "x86_64"))]
mod imp {
    use super::NonNull;

    /// Sixteen bytes.
    #[derive(Clone, Copy)]
    pub(in crate::heap) struct Lane([u8; 16]);

    impl Lane {
        /// All zero.
        #[inline]
        pub(in crate::heap) fn zero() -> Self {
            Self([0; 16])
        }

        /// The word, twice.
        #[inline]
        pub(in crate::heap) fn of(word: u64) -> Self {
            let bytes = word.to_ne_bytes();
            Self(core::array::from_fn(|index| bytes[index % 8]))
        }

        /// Reads sixteen bytes at any alignment.
        ///
        /// # Safety
        ///
        /// They are mapped and may be read.
        #[inline]
        pub(in crate::heap) unsafe fn load(at: NonNull<u8>) -> Self {
            // SAFETY: the caller's contract; bytes need no alignment.
            Self(unsafe { at.cast::<[u8; 16]>().read_volatile() })
        }

        /// Reads sixteen bytes that nobody writes.
        ///
        /// # Safety
        ///
        /// They may be read, and do not change meanwhile.
        #[inline]
        pub(in crate::heap) unsafe fn read(at: NonNull<u8>) -> Self {
            // SAFETY: the caller's contract; bytes need no alignment.
            Self(unsafe { at.cast::<[u8; 16]>().read() })
        }

        /// The bits that both have.
        #[inline]
        pub(in crate::heap) fn and(self, other: Self) -> Self {
            let [own, other] = [self, other].map(|lane| u128::from_ne_bytes(lane.0));
            Self((own & other).to_ne_bytes())
        }

        /// The bits of either.
        #[inline]
        pub(in crate::heap) fn or(self, other: Self) -> Self {
            let [own, other] = [self, other].map(|lane| u128::from_ne_bytes(lane.0));
            Self((own | other).to_ne_bytes())
        }

        /// Writes the lane at any alignment.
        ///
        /// # Safety
        ///
        /// Sixteen bytes from there may be written.
        #[inline]
        pub(in crate::heap) unsafe fn store(self, at: NonNull<u8>) {
            // SAFETY: the caller's contract; bytes need no alignment.
            unsafe { at.cast::<[u8; 16]>().write(self.0) };
        }

        /// The bits in which the two differ, together with those of `seen`.
        #[inline]
        pub(in crate::heap) fn differs(self, other: Self, seen: Self) -> Self {
            let [own, other, seen] = [self, other, seen].map(|lane| u128::from_ne_bytes(lane.0));
            Self((seen | own ^ other).to_ne_bytes())
        }

        #[inline]
        pub(in crate::heap) fn is_zero(self) -> bool {
            self.0 == [0; 16]
        }
    }

    /// Reads eight bytes at any alignment.
    ///
    /// # Safety
    ///
    /// They are mapped and may be read.
    #[inline]
    pub(in crate::heap) unsafe fn load_word(at: NonNull<u8>) -> u64 {
        // SAFETY: the caller's contract; bytes need no alignment.
        u64::from_ne_bytes(unsafe { at.cast::<[u8; 8]>().read_volatile() })
    }

    /// Says that the line which holds the address will be used soon: nothing here.
    #[inline]
    pub(in crate::heap) fn prefetch(_at: *const u8) {}
}

pub(super) use imp::{Lane, load_word, prefetch};
