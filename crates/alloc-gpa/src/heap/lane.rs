//! Sixteen bytes at a time: how patterns are written and compared.
//!
//! Bytes are read by instructions that the compiler does not see through: a program that is at fault
//! may write there at the same time, and that is what we look for.

use core::ptr::NonNull;

/// Bytes of a lane.
pub(super) const LANE_LEN: usize = 16;

#[cfg(target_arch = "x86_64")]
mod imp {
    use core::arch::asm;
    use core::arch::x86_64::{
        __m128i, _MM_HINT_T0, _mm_cmpeq_epi8, _mm_movemask_epi8, _mm_or_si128, _mm_prefetch,
        _mm_set1_epi64x, _mm_setzero_si128, _mm_storeu_si128, _mm_xor_si128,
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
