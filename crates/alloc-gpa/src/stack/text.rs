//! Stacks as lines of text.

use core::fmt::{self, Write};

use super::{Trace, modules, trim};

/// Writes the stack from the user's first frame on, a function a line, with file and line where they
/// are known. Resolves symbols: for report time only.
pub(crate) fn write_resolved(trace: &Trace, out: &mut dyn Write) -> fmt::Result {
    let mut result = Ok(());
    trim::for_each_frame(trace, &mut |pc, frame| {
        if result.is_err() {
            return;
        }
        result = match (frame.function, frame.file) {
            (Some(function), Some(file)) => {
                let line = frame.line.unwrap_or(0);
                writeln!(out, "    {function} at {}:{line}", file.display())
            }
            (Some(function), None) => writeln!(out, "    {function}"),
            (None, _) => write_address(pc, out),
        };
    });
    result
}

/// Writes the whole stack as lines `/path/module+0xOFFSET`, which `addr2line` understands: each
/// offset is an address in the file, inside the call. Takes no lock and no memory.
pub(crate) fn write_addresses(trace: &Trace, out: &mut dyn Write) -> fmt::Result {
    trace.as_slice().iter().try_for_each(|pc| write_address(*pc, out))
}

/// Writes one frame that has no symbol.
fn write_address(pc: usize, out: &mut dyn Write) -> fmt::Result {
    let call = pc.wrapping_sub(1);
    match modules::lookup(call) {
        Some(module) => {
            let path = module.path.escape_ascii();
            writeln!(out, "    {path}+{:#x}", call.wrapping_sub(module.bias))
        }
        None => writeln!(out, "    {call:#x}"),
    }
}
