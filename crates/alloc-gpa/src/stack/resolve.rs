//! Names for addresses, in the process itself: at report time, outside every lock of the allocator.

use core::ffi::CStr;
use core::ptr;

use crate::sys::{errno::KeepErrno, thread};

/// One function at an address. The texts live for the call they are given to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ResolvedFrame<'a> {
    /// Demangled, without the hash.
    pub(crate) function: Option<&'a str>,
    pub(crate) file: Option<&'a std::path::Path>,
    pub(crate) line: Option<u32>,
}

/// Gives the functions at the return address `pc` to `each`: those that were inlined there first,
/// innermost first, then the one they were inlined into; nothing if there are no symbols. Of a library
/// that was opened after the first call, only exported functions are known.
///
/// Allocates, takes the loader's lock, and takes some 200 ms the first time. The thread should be
/// inside the allocator; if it is not, it is for this call.
pub(crate) fn resolve(pc: usize, each: &mut dyn FnMut(ResolvedFrame<'_>)) {
    let _inside = thread::enter();
    let _errno = KeepErrno::new();
    let mut found = false;
    backtrace::resolve(ptr::without_provenance_mut(pc), |symbol| {
        found = true;
        let function = symbol.name().map(|name| format!("{name:#}"));
        let frame = ResolvedFrame {
            function: function.as_deref(),
            file: symbol.filename(),
            line: symbol.lineno(),
        };
        each(frame);
    });
    if !found {
        // `backtrace` lists the libraries once; the loader also knows those opened since.
        resolve_exported(pc, each);
    }
}

/// Gives the exported function at the return address `pc`, if there is one.
fn resolve_exported(pc: usize, each: &mut dyn FnMut(ResolvedFrame<'_>)) {
    let mut info = libc::Dl_info {
        dli_fname: ptr::null(),
        dli_fbase: ptr::null_mut(),
        dli_sname: ptr::null(),
        dli_saddr: ptr::null_mut(),
    };
    // SAFETY: any address may be asked for; `info` is ours to write.
    let known = unsafe { libc::dladdr(ptr::without_provenance(pc.wrapping_sub(1)), &raw mut info) };
    if known == 0 || info.dli_sname.is_null() {
        return;
    }
    // SAFETY: a name that the loader gives is a C string in the library's symbol table, which
    // stays while the library is open; it is copied at once.
    let symbol = unsafe { CStr::from_ptr(info.dli_sname) }.to_bytes().to_vec();
    let name = format!("{:#}", backtrace::SymbolName::new(&symbol));
    each(ResolvedFrame { function: Some(&name), file: None, line: None });
}
