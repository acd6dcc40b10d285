//! How to get from one frame to the one that called it, in 24 bits. Arithmetic only.
#![forbid(unsafe_code)]

/// The registers that unwinding follows. `pc` is a return address, except in the innermost frame of
/// a signal handler's interrupted code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Registers {
    pub(crate) pc: usize,
    pub(crate) sp: usize,
    pub(crate) fp: usize,
}

/// What stands at a code address.
///
/// The *CFA* of a frame is the value of the stack pointer before the call that made it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rule {
    /// CFA = base + `cfa_offset`; the return address lies at CFA + `ra_offset`, the caller's frame
    /// pointer at CFA + `fp_offset`, or it is unchanged. All in bytes.
    Offsets { base: Base, cfa_offset: i32, ra_offset: i32, fp_offset: Option<i32> },
    /// No unwind information: the frame pointer points to the caller's, with the return address
    /// behind it; checked at each step.
    FramePointer,
    /// The outermost frame: it has no caller.
    End,
    /// The address is not code.
    NotCode,
}

/// What a [`Rule::Offsets`] counts from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Base {
    Sp,
    Fp,
}

/// Why a walk ends before the outermost frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Lost;

/// The bytes of a machine word on the stack.
const WORD: usize = size_of::<usize>();

/// Bits of a packed rule.
pub(crate) const PACKED_BITS: u32 = 24;

const TAG_SP: u32 = 1;
const TAG_FP: u32 = 2;
const TAG_FRAME_POINTER: u32 = 3;
const TAG_END: u32 = 4;
const TAG_NOT_CODE: u32 = 5;

/// Bits of the number of words below the CFA at which the one saved register lies that may lie anywhere:
/// the frame pointer where a call pushes the return address, else the return address.
const SAVED_BITS: u32 = 6;
const SAVED_SHIFT: u32 = 3;
const HAS_FP: u32 = 1 << 9;
const CFA_SHIFT: u32 = 10;
const CFA_WORDS_MAX: u32 = (1 << (PACKED_BITS - CFA_SHIFT)) - 1;

impl Rule {
    /// Packs the rule into [`PACKED_BITS`]; never 0. `None` if an offset does not fit, which is rare:
    /// a frame of 128 KiB and more, or registers that are not saved where compilers do.
    ///
    /// Bits: 0-2 tag; 3-8 words below the CFA: on x86-64 of the frame pointer, the return address
    /// being in the first, on AArch64 of the return address, the frame pointer being below it; 9
    /// whether the frame pointer was saved; 10-23 words from the base to the CFA.
    pub(crate) fn pack(self) -> Option<u32> {
        let (base, cfa_offset, ra_offset, fp_offset) = match self {
            Self::FramePointer => return Some(TAG_FRAME_POINTER),
            Self::End => return Some(TAG_END),
            Self::NotCode => return Some(TAG_NOT_CODE),
            Self::Offsets { base, cfa_offset, ra_offset, fp_offset } => {
                (base, cfa_offset, ra_offset, fp_offset)
            }
        };
        let saved = if cfg!(target_arch = "aarch64") { Some(ra_offset) } else { fp_offset };
        let saved = saved.map_or(Some(0), |offset| words(offset.checked_neg()?))?;
        let tag = match base {
            Base::Sp => TAG_SP,
            Base::Fp => TAG_FP,
        };
        let cfa = words(cfa_offset)?;
        if saved >> SAVED_BITS != 0 || CFA_WORDS_MAX < cfa {
            return None;
        }
        let fp_bit = if fp_offset.is_some() { HAS_FP } else { 0 };
        let bits = tag | saved << SAVED_SHIFT | fp_bit | cfa << CFA_SHIFT;
        (Self::unpack(bits) == self).then_some(bits)
    }

    /// Unpacks what [`pack`](Self::pack) returned.
    #[inline]
    pub(crate) fn unpack(bits: u32) -> Self {
        let base = match bits & 7 {
            TAG_SP => Base::Sp,
            TAG_FP => Base::Fp,
            TAG_FRAME_POINTER => return Self::FramePointer,
            TAG_END => return Self::End,
            _ => return Self::NotCode,
        };
        let word = WORD as i32;
        let (ra_words, fp_words) = saved_words(bits);
        Self::Offsets {
            base,
            cfa_offset: (bits >> CFA_SHIFT).cast_signed() * word,
            ra_offset: -(ra_words.cast_signed() * word),
            fp_offset: (bits & HAS_FP != 0).then_some(-(fp_words.cast_signed() * word)),
        }
    }

    /// Whether the packed rule is one for code that no table describes, or for no code: new modules
    /// may know better.
    pub(crate) fn is_unknown(bits: u32) -> bool {
        matches!(bits & 7, TAG_FRAME_POINTER | TAG_NOT_CODE)
    }

    /// Returns the caller's registers by a packed rule, in the case that decides the speed: offsets,
    /// all reads allowed by `read`, and the stack pointer grows. Otherwise `None`: then
    /// [`step`](Self::step) says what it is.
    #[inline(always)]
    pub(crate) fn step_packed(
        bits: u32,
        registers: Registers,
        read: impl Fn(usize) -> Option<usize>,
    ) -> Option<Registers> {
        let tag = bits & 7;
        if tag != TAG_SP && tag != TAG_FP {
            return None;
        }
        let start = if tag == TAG_SP { registers.sp } else { registers.fp };
        let cfa = start.wrapping_add((bits >> CFA_SHIFT) as usize * WORD);
        let (ra_words, fp_words) = saved_words(bits);
        let pc = read(cfa.wrapping_sub(ra_words as usize * WORD))?;
        let fp = if bits & HAS_FP == 0 {
            registers.fp
        } else {
            read(cfa.wrapping_sub(fp_words as usize * WORD))?
        };
        (registers.sp < cfa).then(|| Registers { pc: strip(pc), sp: cfa, fp })
    }

    /// Returns the caller's registers, `None` at the outermost frame. `read` returns the word at an
    /// address, or `None`.
    ///
    /// # Errors
    ///
    /// [`Lost`] if memory cannot be read, or the stack pointer would not grow.
    #[inline]
    pub(crate) fn step(
        self,
        registers: Registers,
        read: impl Fn(usize) -> Option<usize>,
    ) -> Result<Option<Registers>, Lost> {
        let Registers { sp, fp, .. } = registers;
        let (cfa, pc, fp) = match self {
            Self::Offsets { base, cfa_offset, ra_offset, fp_offset } => {
                let start = match base {
                    Base::Sp => sp,
                    Base::Fp => fp,
                };
                let cfa = start.wrapping_add_signed(cfa_offset as isize);
                let pc = read(cfa.wrapping_add_signed(ra_offset as isize)).ok_or(Lost)?;
                let fp = match fp_offset {
                    Some(at) => read(cfa.wrapping_add_signed(at as isize)).ok_or(Lost)?,
                    None => fp,
                };
                (cfa, pc, fp)
            }
            Self::FramePointer => {
                if fp == 0 {
                    return Ok(None);
                }
                if fp < sp {
                    return Err(Lost);
                }
                let pc = read(fp.wrapping_add(WORD)).ok_or(Lost)?;
                (fp.wrapping_add(2 * WORD), pc, read(fp).ok_or(Lost)?)
            }
            Self::End => return Ok(None),
            Self::NotCode => return Err(Lost),
        };
        if cfa <= sp { Err(Lost) } else { Ok(Some(Registers { pc: strip(pc), sp: cfa, fp })) }
    }
}

/// Whether a step by the packed rule reads the caller's frame pointer from the stack.
pub(crate) fn has_fp(bits: u32) -> bool {
    bits & HAS_FP != 0 || bits & 7 == TAG_FRAME_POINTER
}

/// Whether where it goes depends on the frame pointer.
pub(crate) fn uses_fp(bits: u32) -> bool {
    matches!(bits & 7, TAG_FP | TAG_FRAME_POINTER)
}

/// Returns how many words below the CFA return address and frame pointer lie, by a packed rule.
#[inline(always)]
pub(crate) fn saved_words(bits: u32) -> (u32, u32) {
    if bits & 7 == TAG_FRAME_POINTER {
        return (1, 2);
    }
    let saved = bits >> SAVED_SHIFT & ((1 << SAVED_BITS) - 1);
    if cfg!(target_arch = "aarch64") { (saved, saved + 1) } else { (1, saved) }
}

/// Returns an offset in words, if it is positive and whole.
fn words(offset: i32) -> Option<u32> {
    let offset = u32::try_from(offset).ok()?;
    (offset % WORD as u32 == 0).then_some(offset / WORD as u32)
}

/// Removes the signature that AArch64 may keep in the upper bits of a return address.
#[inline]
pub(crate) fn strip(pc: usize) -> usize {
    if cfg!(target_arch = "aarch64") { pc & 0x0000_ffff_ffff_ffff } else { pc }
}

#[cfg(test)]
mod tests {
    use super::{Base, Lost, PACKED_BITS, Registers, Rule};

    /// Packing loses nothing, over the corners of every field.
    #[test]
    fn rules_pack() {
        for rule in [Rule::FramePointer, Rule::End, Rule::NotCode] {
            assert_eq!(Rule::unpack(rule.pack().expect("fits")), rule);
        }
        for base in [Base::Sp, Base::Fp] {
            for cfa_offset in [0, 8, 16, 4096, 0x1fff8] {
                for ra_offset in [-8, -16, -504] {
                    for fp_offset in [None, Some(-16), Some(-24), Some(-504)] {
                        let rule = Rule::Offsets { base, cfa_offset, ra_offset, fp_offset };
                        let fits = if cfg!(target_arch = "aarch64") {
                            fp_offset.is_none_or(|fp_offset| fp_offset == ra_offset - 8)
                        } else {
                            ra_offset == -8
                        };
                        assert_eq!(rule.pack().is_some(), fits, "{rule:?}");
                        let Some(bits) = rule.pack() else { continue };
                        assert!(bits != 0 && bits >> PACKED_BITS == 0);
                        assert_eq!(Rule::unpack(bits), rule);
                    }
                }
            }
        }
        let wide = |cfa_offset, ra_offset, fp_offset| {
            Rule::Offsets { base: Base::Sp, cfa_offset, ra_offset, fp_offset }.pack()
        };
        for odd in [-8, 4, 0x20000, i32::MAX, i32::MIN] {
            assert_eq!(wide(odd, -8, None), None);
        }
        for odd in [8, -4, -512, i32::MIN] {
            assert_eq!(wide(8, odd, Some(odd)), None);
            assert_eq!(wide(8, -8, Some(odd)), None);
        }
    }

    /// Each rule reads where it says, and a walk never goes down or in place.
    #[test]
    fn steps_go_up() {
        let registers = Registers { pc: 1, sp: 1000, fp: 2000 };
        let read = |addr: usize| Some(addr + 1);
        let rule = |base, cfa_offset, fp_offset| Rule::Offsets {
            base,
            cfa_offset,
            ra_offset: -8,
            fp_offset,
        };
        assert_eq!(
            rule(Base::Sp, 32, Some(-16)).step(registers, read),
            Ok(Some(Registers { pc: 1025, sp: 1032, fp: 1017 }))
        );
        assert_eq!(
            rule(Base::Fp, 16, None).step(registers, read),
            Ok(Some(Registers { pc: 2009, sp: 2016, fp: 2000 }))
        );
        assert_eq!(
            Rule::FramePointer.step(registers, read),
            Ok(Some(Registers { pc: 2009, sp: 2016, fp: 2001 }))
        );
        for rule in [rule(Base::Sp, 32, Some(-16)), rule(Base::Fp, 16, None)] {
            let bits = rule.pack().expect("fits");
            let quick = Rule::step_packed(bits, registers, read);
            assert_eq!(Ok(quick), rule.step(registers, read));
            assert_eq!(Rule::step_packed(bits, registers, |_| None), None);
        }
        for rule in [Rule::FramePointer, Rule::End, Rule::NotCode, rule(Base::Sp, 0, None)] {
            let bits = rule.pack().expect("fits");
            assert_eq!(Rule::step_packed(bits, registers, read), None);
        }
        assert_eq!(Rule::End.step(registers, read), Ok(None));
        assert_eq!(Rule::NotCode.step(registers, read), Err(Lost));
        assert_eq!(rule(Base::Sp, 0, None).step(registers, read), Err(Lost));
        assert_eq!(rule(Base::Sp, -8, None).step(registers, read), Err(Lost));
        assert_eq!(rule(Base::Sp, 16, None).step(registers, |_| None), Err(Lost));
        let low = Registers { fp: 992, ..registers };
        assert_eq!(Rule::FramePointer.step(low, read), Err(Lost));
        assert_eq!(Rule::FramePointer.step(Registers { fp: 0, ..registers }, read), Ok(None));
    }
}
