//! How to get from one frame to the one that called it, in 64 bits. Arithmetic only.
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

const TAG_SP: u64 = 1;
const TAG_FP: u64 = 2;
const TAG_FRAME_POINTER: u64 = 3;
const TAG_END: u64 = 4;
const TAG_NOT_CODE: u64 = 5;

impl Rule {
    /// Packs the rule; never 0. `None` if an offset does not fit: such a rule is used, not kept.
    ///
    /// Bits: 0-2 tag, 3 whether `fp_offset` is there, 4-31 `cfa_offset`, 32-47 `ra_offset`,
    /// 48-63 `fp_offset`, signed.
    pub(crate) fn pack(self) -> Option<u64> {
        let (base, cfa_offset, ra_offset, fp_offset) = match self {
            Self::FramePointer => return Some(TAG_FRAME_POINTER),
            Self::End => return Some(TAG_END),
            Self::NotCode => return Some(TAG_NOT_CODE),
            Self::Offsets { base, cfa_offset, ra_offset, fp_offset } => {
                (base, cfa_offset, ra_offset, fp_offset)
            }
        };
        if cfa_offset << 4 >> 4 != cfa_offset {
            return None;
        }
        let tag = match base {
            Base::Sp => TAG_SP,
            Base::Fp => TAG_FP,
        };
        let ra = i16::try_from(ra_offset).ok()?.cast_unsigned();
        let fp = i16::try_from(fp_offset.unwrap_or(0)).ok()?.cast_unsigned();
        Some(
            tag | u64::from(fp_offset.is_some()) << 3
                | u64::from((cfa_offset << 4).cast_unsigned())
                | u64::from(ra) << 32
                | u64::from(fp) << 48,
        )
    }

    /// Unpacks what [`pack`](Self::pack) returned.
    #[inline]
    pub(crate) fn unpack(bits: u64) -> Self {
        let base = match bits & 7 {
            TAG_SP => Base::Sp,
            TAG_FP => Base::Fp,
            TAG_FRAME_POINTER => return Self::FramePointer,
            TAG_END => return Self::End,
            _ => return Self::NotCode,
        };
        // The shifts leave exactly the field's bits, sign-extended.
        let signed = bits.cast_signed();
        Self::Offsets {
            base,
            cfa_offset: (signed << 32 >> 36) as i32,
            ra_offset: i32::from((signed >> 32) as i16),
            fp_offset: (bits & 8 != 0).then_some(i32::from((signed >> 48) as i16)),
        }
    }

    /// Returns the caller's registers by a packed rule, in the case that decides the speed: offsets,
    /// all reads allowed by `read`, and the stack pointer grows. Otherwise `None`: then
    /// [`step`](Self::step) says what it is.
    #[inline(always)]
    pub(crate) fn step_packed(
        bits: u64,
        registers: Registers,
        read: impl Fn(usize) -> Option<usize>,
    ) -> Option<Registers> {
        let tag = bits & 7;
        if tag != TAG_SP && tag != TAG_FP {
            return None;
        }
        let signed = bits.cast_signed();
        let start = if tag == TAG_SP { registers.sp } else { registers.fp };
        let cfa = start.wrapping_add_signed((signed << 32 >> 36) as isize);
        let pc = read(cfa.wrapping_add_signed((signed << 16 >> 48) as isize))?;
        let fp = if bits & 8 == 0 {
            registers.fp
        } else {
            read(cfa.wrapping_add_signed((signed >> 48) as isize))?
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

/// Removes the signature that AArch64 may keep in the upper bits of a return address.
#[inline]
pub(crate) fn strip(pc: usize) -> usize {
    if cfg!(target_arch = "aarch64") { pc & 0x0000_ffff_ffff_ffff } else { pc }
}

#[cfg(test)]
mod tests {
    use super::{Base, Lost, Registers, Rule};

    /// Packing loses nothing, over the corners of every field.
    #[test]
    fn rules_pack() {
        for rule in [Rule::FramePointer, Rule::End, Rule::NotCode] {
            assert_eq!(Rule::unpack(rule.pack().expect("fits")), rule);
        }
        for base in [Base::Sp, Base::Fp] {
            for cfa_offset in [0, 8, 16, -8, 4096, 0x7ff_ffff, -0x800_0000] {
                for ra_offset in [-8, 8, -32768, 32767] {
                    for fp_offset in [None, Some(-16), Some(0), Some(-32768), Some(32767)] {
                        let rule = Rule::Offsets { base, cfa_offset, ra_offset, fp_offset };
                        let bits = rule.pack().expect("fits");
                        assert_ne!(bits, 0);
                        assert_eq!(Rule::unpack(bits), rule);
                    }
                }
            }
        }
        let wide = |cfa_offset, ra_offset, fp_offset| {
            Rule::Offsets { base: Base::Sp, cfa_offset, ra_offset, fp_offset }.pack()
        };
        assert_eq!(wide(0x800_0000, -8, None), None);
        assert_eq!(wide(8, 32768, None), None);
        assert_eq!(wide(8, -8, Some(-32769)), None);
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
        for rule in [Rule::FramePointer, Rule::End, Rule::NotCode, rule(Base::Sp, -8, None)] {
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
