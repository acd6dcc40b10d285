//! Who answers a name in this process: this library, or the program itself.
//!
//! The loader fills the global offset table before any code of this object runs, and asks the
//! program first: a program that exports a `malloc` of its own answers it for every library. The
//! table is read here, so nothing is looked up at run time: `dlsym` may allocate and lock.

use core::ffi::{CStr, c_void};
use core::mem::MaybeUninit;
use core::ptr;
use core::sync::atomic::AtomicPtr;
use core::sync::atomic::Ordering::Relaxed;

use crate::image::is_ours;

/// Returns the address that the whole process uses for a function name.
#[cfg(target_arch = "x86_64")]
macro_rules! global_address {
    ($name:expr) => {{
        let address: *mut core::ffi::c_void;
        // SAFETY: loads a word of the global offset table, which the loader filled before it ran
        // any code of this object; nothing is written but `address`.
        unsafe {
            core::arch::asm!(
                concat!("mov {}, qword ptr [rip + ", $name, "@GOTPCREL]"),
                out(reg) address,
                options(pure, nomem, nostack, preserves_flags),
            );
        }
        address
    }};
}

/// Returns the address that the whole process uses for a function name. (Not run.)
#[cfg(target_arch = "aarch64")]
macro_rules! global_address {
    ($name:expr) => {{
        let address: *mut core::ffi::c_void;
        // SAFETY: as on x86-64.
        unsafe {
            core::arch::asm!(
                concat!("adrp {0}, :got:", $name),
                concat!("ldr {0}, [{0}, :got_lo12:", $name, "]"),
                out(reg) address,
                options(pure, nomem, nostack, preserves_flags),
            );
        }
        address
    }};
}

pub(crate) use global_address;

/// Whether `address` is a function of this library, or a way to one of any other library that the
/// program took no part in: a program that is not position-independent and takes the address of
/// `free` has a stub for it, which then is `free`'s address for everybody.
pub(crate) fn is_not_replaced(address: *mut c_void) -> bool {
    is_ours(address) || is_stub(address)
}

/// Whether the object that holds `address` only has a stub there for another's function.
fn is_stub(address: *mut c_void) -> bool {
    /// `RTLD_DL_SYMENT` of `<dlfcn.h>`.
    const SYMBOL_ENTRY: core::ffi::c_int = 1;
    unsafe extern "C" {
        fn dladdr1(
            address: *const c_void,
            info: *mut libc::Dl_info,
            extra: *mut *const libc::Elf64_Sym,
            flags: core::ffi::c_int,
        ) -> core::ffi::c_int;
    }
    let mut info = MaybeUninit::uninit();
    let mut symbol: *const libc::Elf64_Sym = ptr::null();
    // SAFETY: both places are ours; with this flag the extra one gets a symbol (dladdr(3)). It
    // allocates nothing. It takes the loader's lock, which is free or ours: this is the first call
    // of the process, before it has a second thread.
    let found = unsafe { dladdr1(address, info.as_mut_ptr(), &raw mut symbol, SYMBOL_ENTRY) };
    if found == 0 {
        return false;
    }
    // SAFETY: null, or an entry of a loaded object's symbol table.
    unsafe { symbol.as_ref() }.is_some_and(|symbol| symbol.st_shndx == 0)
}

/// The next definition of a name, looked up once.
pub(crate) struct Next {
    name: &'static CStr,
    found: AtomicPtr<c_void>,
}

impl Next {
    /// A name that was not looked up yet.
    pub(crate) const fn new(name: &'static CStr) -> Self {
        Self { name, found: AtomicPtr::new(ptr::null_mut()) }
    }

    /// Returns the function, as the type that it has; `None` if there is none.
    ///
    /// # Safety
    ///
    /// `F` is the type of a pointer to the function of this name.
    pub(crate) unsafe fn function<F: Copy>(&self) -> Option<F> {
        const { assert!(size_of::<F>() == size_of::<*mut c_void>()) };
        let found = self.get();
        // SAFETY: not null, and of that type by this function's contract.
        (!found.is_null()).then(|| unsafe { core::mem::transmute_copy::<*mut c_void, F>(&found) })
    }

    /// Returns the address, or null. What is not there is looked for again: it may be loaded later.
    pub(crate) fn get(&self) -> *mut c_void {
        // Relaxed: the address of a function, the same for every thread that looks.
        let found = self.found.load(Relaxed);
        if !found.is_null() {
            return found;
        }
        let found = next(self.name);
        self.found.store(found, Relaxed);
        found
    }
}

/// Returns the next definition of `name` after this library's: what the program would use without
/// it. Null if there is none.
///
/// A library that was opened for itself alone (a Python module's libstdc++) is not among those that
/// the loader asks for everybody; it is asked by name.
fn next(name: &CStr) -> *mut c_void {
    // SAFETY: a C string.
    let found = unsafe { libc::dlsym(libc::RTLD_NEXT, name.as_ptr()) };
    if !found.is_null() && !is_ours(found) {
        return found;
    }
    let libraries = [c"libstdc++.so.6", c"libc++abi.so.1", c"libc++.so.1"];
    libraries
        .into_iter()
        .map(|library| of_loaded(library, name))
        .find(|found| !found.is_null())
        .unwrap_or(ptr::null_mut())
}

/// Returns what a library that is loaded already defines as `name`, or null.
fn of_loaded(library: &CStr, name: &CStr) -> *mut c_void {
    let flags = libc::RTLD_LAZY | libc::RTLD_NOLOAD;
    // SAFETY: a C string; the flags only ask for what is there.
    let handle = unsafe { libc::dlopen(library.as_ptr(), flags) };
    if handle.is_null() {
        return ptr::null_mut();
    }
    // The handle is kept: what is found in it must stay.
    // SAFETY: a live handle and a C string.
    let found = unsafe { libc::dlsym(handle, name.as_ptr()) };
    if is_ours(found) { ptr::null_mut() } else { found }
}
