//! From the unwind tables of a module (`.eh_frame_hdr`, `.eh_frame`) to a rule for one address.
//!
//! The tables are parsed by gimli; the instructions are run here, for two registers only, so that a
//! row takes some 100 bytes: gimli's own row holds 192 registers, and unwinding through framehop,
//! which keeps four of those, takes 14 KiB of stack, which a thread with a small one does not have.
#![forbid(unsafe_code)]

use gimli::{
    BaseAddresses, CallFrameInstruction, CallFrameInstructionIter, DW_EH_PE_datarel,
    DW_EH_PE_sdata4, DW_EH_PE_udata4, DwEhPe, EhFrame, EhFrameHdr, EhFrameOffset, Encoding,
    EndianSlice, NativeEndian, Operation, Register, UnwindExpression, UnwindSection,
};

use super::rule::{Base, Lost, Registers, Rule, strip};

type Bytes<'a> = EndianSlice<'a, NativeEndian>;

/// The DWARF numbers of stack pointer, frame pointer and return address.
#[cfg(target_arch = "aarch64")]
const NUMBERS: (Register, Register, Register) = (Register(31), Register(29), Register(30));
#[cfg(not(target_arch = "aarch64"))]
const NUMBERS: (Register, Register, Register) = (Register(7), Register(6), Register(16));

/// The unwind tables of one module, and where they lie.
#[derive(Clone, Copy)]
pub(crate) struct Tables<'a> {
    pub(crate) hdr: &'a [u8],
    pub(crate) hdr_addr: usize,
    pub(crate) eh_frame: &'a [u8],
    pub(crate) eh_frame_addr: usize,
}

/// What the tables say about an address.
pub(crate) enum Found {
    /// A rule that always holds there.
    Rule(Rule),
    /// The caller's registers, computed for this one frame, and whether the caller was interrupted
    /// by a signal: then its `pc` is the next instruction and not a return address.
    Step(Registers, Interrupted),
}

/// Whether a frame was interrupted by a signal instead of making a call.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Interrupted {
    Yes,
    No,
}

/// Where a register's value in the caller is found.
#[derive(Clone, Copy)]
enum Saved {
    /// It has none: for the return address, the end of the stack.
    Undefined,
    Same,
    /// At CFA + offset.
    At(i64),
    /// It is CFA + offset.
    Is(i64),
    /// At the address that the expression computes.
    AtExpression(UnwindExpression<usize>),
    /// It is what the expression computes.
    IsExpression(UnwindExpression<usize>),
    /// In another register, which is not followed.
    Elsewhere,
}

#[derive(Clone, Copy)]
enum Cfa {
    Register(Register, i64),
    Expression(UnwindExpression<usize>),
}

/// The state of the table at one address.
#[derive(Clone, Copy)]
struct Row {
    cfa: Cfa,
    fp: Saved,
    ra: Saved,
}

/// Length of what `.eh_frame_hdr` begins with, in bytes.
const HDR_HEAD_LEN: usize = 12;
/// How deep `remember_state` may nest; compilers use 1.
const REMEMBERED_MAX: usize = 4;
/// The most values an expression may hold; those of signal frames and PLTs hold 3.
const VALUES_MAX: usize = 8;

impl Tables<'_> {
    /// Returns what the tables say about `lookup`, an address inside the frame's last instruction;
    /// `None` if nothing. `read` returns the word at an address, or `None`.
    ///
    /// # Errors
    ///
    /// [`Lost`] if the frame needs computing, and that fails.
    pub(crate) fn find(
        &self,
        lookup: usize,
        registers: Registers,
        read: &dyn Fn(usize) -> Option<usize>,
    ) -> Result<Option<Found>, Lost> {
        let Some((row, machine)) = self.row(lookup) else { return Ok(None) };
        if let Some(rule) = row.as_rule() {
            return Ok(Some(Found::Rule(rule)));
        }
        let registers = machine.step(&row, registers, read).ok_or(Lost)?;
        let interrupted = if machine.signal { Interrupted::Yes } else { Interrupted::No };
        Ok(Some(Found::Step(registers, interrupted)))
    }

    /// Returns how far in `.eh_frame` the description lies that the search table names for `lookup`; it may be
    /// of other code. Only tables as linkers write them are read: twelve bytes, the last four the number of
    /// entries, each the offsets from the header's start of code and of its description.
    ///
    /// gimli's own search takes a table for right: a damaged one makes its numbers overflow.
    fn description_of(&self, lookup: usize) -> Option<usize> {
        let (head, rest) = self.hdr.split_first_chunk::<HDR_HEAD_LEN>()?;
        let [version, pointer, count, table, _, _, _, _, entry_count @ ..] = *head;
        let is_usual = version == 1
            && [DW_EH_PE_sdata4, DW_EH_PE_udata4].contains(&DwEhPe(pointer).format())
            && DwEhPe(count) == DW_EH_PE_udata4
            && DwEhPe(table) == DwEhPe(DW_EH_PE_datarel.0 | DW_EH_PE_sdata4.0);
        let entry_count = usize::try_from(u32::from_ne_bytes(entry_count)).ok()?;
        let entries = rest.as_chunks::<8>().0.get(..entry_count).filter(|_| is_usual)?;
        let addr_at = |[a, b, c, d]: [u8; 4]| {
            self.hdr_addr.wrapping_add_signed(i32::from_ne_bytes([a, b, c, d]) as isize)
        };
        let halves = |&[a, b, c, d, e, f, g, h]: &[u8; 8]| ([a, b, c, d], [e, f, g, h]);
        let after = entries.partition_point(|entry| addr_at(halves(entry).0) <= lookup);
        let (_, description) = halves(entries.get(after.checked_sub(1)?)?);
        addr_at(description).checked_sub(self.eh_frame_addr)
    }

    fn row(&self, lookup: usize) -> Option<(Row, Machine<'_>)> {
        let offset = EhFrameOffset(self.description_of(lookup)?);
        let bases = BaseAddresses::default().set_eh_frame(self.eh_frame_addr as u64);
        let mut section = EhFrame::new(self.eh_frame, NativeEndian);
        section.set_address_size(8);
        let fde = section.fde_from_offset(&bases, offset, EhFrame::cie_from_offset).ok()?;
        if !fde.contains(lookup as u64) {
            return None;
        }
        let cie = fde.cie();
        let machine =
            Machine { section, encoding: cie.encoding(), signal: cie.is_signal_trampoline() };
        let mut program = Program {
            row: Row { cfa: Cfa::Register(NUMBERS.0, 0), fp: Saved::Same, ra: RA_AT_START },
            initial: None,
            remembered: [None; REMEMBERED_MAX],
            depth: 0,
            data_align: cie.data_alignment_factor(),
            code_align: cie.code_alignment_factor(),
            at: fde.initial_address(),
        };
        program.run(cie.instructions(&section, &bases), u64::MAX)?;
        program.initial = Some(program.row);
        program.run(fde.instructions(&section, &bases), lookup as u64)?;
        Some((program.row, machine))
    }
}

/// On x86-64 a table always says where the return address is; on AArch64 it is in its register
/// until the table says that it was stored.
const RA_AT_START: Saved =
    if cfg!(target_arch = "aarch64") { Saved::Same } else { Saved::Undefined };

struct Program {
    row: Row,
    /// What the CIE's instructions set up, for `restore`.
    initial: Option<Row>,
    remembered: [Option<Row>; REMEMBERED_MAX],
    depth: usize,
    data_align: i64,
    code_align: u64,
    at: u64,
}

impl Program {
    /// Runs the instructions that hold at `lookup`; `None` if they make no sense.
    fn run(
        &mut self,
        mut instructions: CallFrameInstructionIter<'_, Bytes<'_>>,
        lookup: u64,
    ) -> Option<()> {
        use CallFrameInstruction as I;
        while let Some(instruction) = instructions.next().ok()? {
            match instruction {
                I::SetLoc { address } => self.at = address,
                I::AdvanceLoc { delta } => {
                    self.at = self.at.wrapping_add(u64::from(delta).wrapping_mul(self.code_align));
                }
                I::DefCfa { register, offset } => {
                    self.row.cfa = Cfa::Register(register, i64::try_from(offset).ok()?);
                }
                I::DefCfaSf { register, factored_offset } => {
                    self.row.cfa = Cfa::Register(register, self.scaled(factored_offset)?);
                }
                I::DefCfaRegister { register } => self.redefine(Some(register), None)?,
                I::DefCfaOffset { offset } => {
                    self.redefine(None, Some(i64::try_from(offset).ok()?))?;
                }
                I::DefCfaOffsetSf { factored_offset } => {
                    self.redefine(None, Some(self.scaled(factored_offset)?))?;
                }
                I::DefCfaExpression { expression } => self.row.cfa = Cfa::Expression(expression),
                I::RememberState => {
                    *self.remembered.get_mut(self.depth)? = Some(self.row);
                    self.depth += 1;
                }
                I::RestoreState => {
                    self.depth = self.depth.checked_sub(1)?;
                    self.row = self.remembered[self.depth]?;
                }
                other => self.save(other)?,
            }
            if lookup < self.at {
                // The row before this one holds; an advance changes nothing else.
                break;
            }
        }
        Some(())
    }

    /// Runs an instruction about a saved register.
    fn save(&mut self, instruction: CallFrameInstruction<usize>) -> Option<()> {
        use CallFrameInstruction as I;
        let (register, saved) = match instruction {
            I::Undefined { register } => (register, Saved::Undefined),
            I::SameValue { register } => (register, Saved::Same),
            I::Offset { register, factored_offset } => {
                (register, Saved::At(self.scaled(i64::try_from(factored_offset).ok()?)?))
            }
            I::OffsetExtendedSf { register, factored_offset } => {
                (register, Saved::At(self.scaled(factored_offset)?))
            }
            I::ValOffset { register, factored_offset } => {
                (register, Saved::Is(self.scaled(i64::try_from(factored_offset).ok()?)?))
            }
            I::ValOffsetSf { register, factored_offset } => {
                (register, Saved::Is(self.scaled(factored_offset)?))
            }
            I::Register { dest_register, .. } => (dest_register, Saved::Elsewhere),
            I::Expression { register, expression } => (register, Saved::AtExpression(expression)),
            I::ValExpression { register, expression } => {
                (register, Saved::IsExpression(expression))
            }
            I::Restore { register } => {
                let initial = self.initial?;
                (register, if register == NUMBERS.1 { initial.fp } else { initial.ra })
            }
            // The rest is about arguments and signed return addresses, which `strip` deals with.
            _ => return Some(()),
        };
        if register == NUMBERS.1 {
            self.row.fp = saved;
        } else if register == NUMBERS.2 {
            self.row.ra = saved;
        }
        Some(())
    }

    fn redefine(&mut self, register: Option<Register>, offset: Option<i64>) -> Option<()> {
        let Cfa::Register(old_register, old_offset) = self.row.cfa else { return None };
        self.row.cfa =
            Cfa::Register(register.unwrap_or(old_register), offset.unwrap_or(old_offset));
        Some(())
    }

    fn scaled(&self, offset: i64) -> Option<i64> {
        offset.checked_mul(self.data_align)
    }
}

impl Row {
    /// Returns the row as a rule that can be kept; `None` if it must be computed each time.
    fn as_rule(&self) -> Option<Rule> {
        let ra_offset = match self.ra {
            Saved::Undefined => return Some(Rule::End),
            Saved::At(offset) => i32::try_from(offset).ok()?,
            _ => return None,
        };
        let fp_offset = match self.fp {
            Saved::Same | Saved::Undefined => None,
            Saved::At(offset) => Some(i32::try_from(offset).ok()?),
            _ => return None,
        };
        let Cfa::Register(register, offset) = self.cfa else { return None };
        let base = match register {
            _ if register == NUMBERS.0 => Base::Sp,
            _ if register == NUMBERS.1 => Base::Fp,
            _ => return None,
        };
        let rule =
            Rule::Offsets { base, cfa_offset: i32::try_from(offset).ok()?, ra_offset, fp_offset };
        rule.pack().map(|_| rule)
    }
}

/// What a row is computed with.
struct Machine<'a> {
    section: EhFrame<Bytes<'a>>,
    encoding: Encoding,
    /// Whether the frame is that of a signal's return, which interrupted its caller.
    signal: bool,
}

impl Machine<'_> {
    fn step(
        &self,
        row: &Row,
        registers: Registers,
        read: &dyn Fn(usize) -> Option<usize>,
    ) -> Option<Registers> {
        let cfa = match row.cfa {
            Cfa::Register(register, offset) => {
                value(register, registers)?.wrapping_add_signed(offset as isize)
            }
            Cfa::Expression(expression) => self.compute(expression, None, registers, read)?,
        };
        let saved = |saved, now| match saved {
            Saved::Undefined | Saved::Same => Some(now),
            Saved::At(offset) => read(cfa.wrapping_add_signed(offset as isize)),
            Saved::Is(offset) => Some(cfa.wrapping_add_signed(offset as isize)),
            Saved::AtExpression(expression) => {
                read(self.compute(expression, Some(cfa), registers, read)?)
            }
            Saved::IsExpression(expression) => self.compute(expression, Some(cfa), registers, read),
            Saved::Elsewhere => None,
        };
        let next = Registers {
            pc: strip(saved(row.ra, registers.pc)?),
            sp: cfa,
            fp: saved(row.fp, registers.fp)?,
        };
        // An ordinary frame only goes up; a signal's may lead from an alternate stack anywhere.
        let advances = if self.signal { next != registers } else { registers.sp < cfa };
        advances.then_some(next)
    }

    /// Computes a DWARF expression, with `first` on its stack.
    fn compute(
        &self,
        expression: UnwindExpression<usize>,
        first: Option<usize>,
        registers: Registers,
        read: &dyn Fn(usize) -> Option<usize>,
    ) -> Option<usize> {
        let mut values = Values { items: [0; VALUES_MAX], len: 0 };
        if let Some(first) = first {
            values.push(first)?;
        }
        let mut operations = expression.get(&self.section).ok()?.operations(self.encoding);
        while let Some(operation) = operations.next().ok()? {
            match operation {
                Operation::RegisterOffset { register, offset, .. } => {
                    values
                        .push(value(register, registers)?.wrapping_add_signed(offset as isize))?;
                }
                Operation::UnsignedConstant { value } => values.push(value as usize)?,
                Operation::SignedConstant { value } => {
                    values.push((value as isize).cast_unsigned())?;
                }
                Operation::PlusConstant { value } => {
                    let sum = values.pop()?.wrapping_add(value as usize);
                    values.push(sum)?;
                }
                Operation::Deref { size: 8, space: false, .. } => {
                    let word = read(values.pop()?)?;
                    values.push(word)?;
                }
                Operation::Pick { index } => {
                    let at = values.len.checked_sub(1 + usize::from(index))?;
                    values.push(values.items[at])?;
                }
                Operation::Drop => {
                    values.pop()?;
                }
                Operation::Nop => {}
                other => values.binary(&other)?,
            }
        }
        values.pop()
    }
}

/// The stack of an expression.
struct Values {
    items: [usize; VALUES_MAX],
    len: usize,
}

impl Values {
    fn push(&mut self, value: usize) -> Option<()> {
        *self.items.get_mut(self.len)? = value;
        self.len += 1;
        Some(())
    }

    fn pop(&mut self) -> Option<usize> {
        self.len = self.len.checked_sub(1)?;
        Some(self.items[self.len])
    }

    /// Replaces the two topmost values by the result of an operation on them.
    fn binary(&mut self, operation: &Operation<Bytes<'_>>) -> Option<()> {
        let (b, a) = (self.pop()?, self.pop()?);
        let shift = u32::try_from(b).unwrap_or(u32::MAX);
        let (signed_a, signed_b) = (a.cast_signed(), b.cast_signed());
        let result = match operation {
            Operation::Plus => a.wrapping_add(b),
            Operation::Minus => a.wrapping_sub(b),
            Operation::Mul => a.wrapping_mul(b),
            Operation::And => a & b,
            Operation::Or => a | b,
            Operation::Xor => a ^ b,
            Operation::Shl => a.checked_shl(shift).unwrap_or(0),
            Operation::Shr => a.checked_shr(shift).unwrap_or(0),
            Operation::Eq => usize::from(a == b),
            Operation::Ne => usize::from(a != b),
            Operation::Lt => usize::from(signed_a < signed_b),
            Operation::Le => usize::from(signed_a <= signed_b),
            Operation::Gt => usize::from(signed_b < signed_a),
            Operation::Ge => usize::from(signed_b <= signed_a),
            _ => return None,
        };
        self.push(result)
    }
}

/// Returns the value of a register that is followed.
fn value(register: Register, registers: Registers) -> Option<usize> {
    match register {
        _ if register == NUMBERS.0 => Some(registers.sp),
        _ if register == NUMBERS.1 => Some(registers.fp),
        _ if register == NUMBERS.2 => Some(registers.pc),
        _ => None,
    }
}

/// Returns the address of `.eh_frame` that the header at `hdr_addr`, whose first bytes are given,
/// points to.
pub(crate) fn eh_frame_addr(hdr: &[u8], hdr_addr: usize) -> Option<usize> {
    let bases = BaseAddresses::default().set_eh_frame_hdr(hdr_addr as u64);
    match EhFrameHdr::new(hdr, NativeEndian).parse(&bases, 8).ok()?.eh_frame_ptr() {
        gimli::Pointer::Direct(addr) => usize::try_from(addr).ok(),
        gimli::Pointer::Indirect(_) => None,
    }
}
