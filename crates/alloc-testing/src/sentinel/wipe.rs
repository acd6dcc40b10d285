//! Wipes the unused part of a stack: what code left there looks like pointers to what it lost, as soon as
//! frames of other calls lie over it, or another thread has got the stack. And the registers, for as long as the thread
//! is there.

/// What libc keeps of an ended thread's stack, and the frames of a search, lie in these bytes.
const WIPED_LEN: usize = 64 << 10;
/// What must be left of a stack to wipe that much of it.
const ROOM_LEN: usize = WIPED_LEN + (16 << 10);

/// Overwrites the stack below the caller's frame, unless there is little of it, and registers.
///
/// Inlined, so that nothing is left between that frame and what is wiped: the frames of what the caller calls
/// next will lie there.
#[inline(always)]
pub(super) fn wipe_stack() {
    if has_room() {
        wipe();
    }
    wipe_registers();
}

/// Clears the registers that no caller expects to be kept: a vector that a block's address was copied with stands there
/// until somebody needs the register, which may be never, and a search looks at all of a thread that keeps still.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
fn wipe_registers() {
    if std::arch::is_x86_feature_detected!("avx512f") {
        // SAFETY: the processor has these registers, all of which the compiler is told of.
        unsafe {
            core::arch::asm!(
                "vpxord zmm16, zmm16, zmm16",
                "vpxord zmm17, zmm17, zmm17",
                "vpxord zmm18, zmm18, zmm18",
                "vpxord zmm19, zmm19, zmm19",
                "vpxord zmm20, zmm20, zmm20",
                "vpxord zmm21, zmm21, zmm21",
                "vpxord zmm22, zmm22, zmm22",
                "vpxord zmm23, zmm23, zmm23",
                "vpxord zmm24, zmm24, zmm24",
                "vpxord zmm25, zmm25, zmm25",
                "vpxord zmm26, zmm26, zmm26",
                "vpxord zmm27, zmm27, zmm27",
                "vpxord zmm28, zmm28, zmm28",
                "vpxord zmm29, zmm29, zmm29",
                "vpxord zmm30, zmm30, zmm30",
                "vpxord zmm31, zmm31, zmm31",
                clobber_abi("sysv64"),
                options(nomem, nostack, preserves_flags),
            );
        }
    }
    if std::arch::is_x86_feature_detected!("avx") {
        // SAFETY: as above.
        unsafe {
            core::arch::asm!(
                "vzeroall",
                clobber_abi("sysv64"),
                options(nomem, nostack, preserves_flags)
            );
        }
    } else {
        // SAFETY: as above; every processor of this kind has them.
        unsafe {
            core::arch::asm!(
                "pxor xmm0, xmm0",
                "pxor xmm1, xmm1",
                "pxor xmm2, xmm2",
                "pxor xmm3, xmm3",
                "pxor xmm4, xmm4",
                "pxor xmm5, xmm5",
                "pxor xmm6, xmm6",
                "pxor xmm7, xmm7",
                "pxor xmm8, xmm8",
                "pxor xmm9, xmm9",
                "pxor xmm10, xmm10",
                "pxor xmm11, xmm11",
                "pxor xmm12, xmm12",
                "pxor xmm13, xmm13",
                "pxor xmm14, xmm14",
                "pxor xmm15, xmm15",
                clobber_abi("sysv64"),
                options(nomem, nostack, preserves_flags),
            );
        }
    }
    // SAFETY: as above.
    unsafe {
        core::arch::asm!(
            "xor eax, eax",
            "xor ecx, ecx",
            "xor edx, edx",
            "xor esi, esi",
            "xor edi, edi",
            "xor r8d, r8d",
            "xor r9d, r9d",
            "xor r10d, r10d",
            "xor r11d, r11d",
            clobber_abi("sysv64"),
            options(nomem, nostack),
        );
    }
}

/// Elsewhere no search looks at them.
#[cfg(not(target_arch = "x86_64"))]
fn wipe_registers() {}

#[cfg(target_arch = "x86_64")]
#[inline(always)]
fn wipe() {
    // SAFETY: writes zeros to the bytes below the stack pointer, of which `has_room` found enough on this
    // thread's stack. The compiler keeps nothing there across the block, since it is not `nostack`.
    unsafe {
        core::arch::asm!(
            "mov {at}, rsp",
            "2:",
            "sub {at}, 8",
            "mov qword ptr [{at}], 0",
            "sub {count}, 1",
            "jnz 2b",
            at = out(reg) _,
            count = inout(reg) WIPED_LEN / 8 => _,
        );
    }
}

/// A frame of its own stays as it was, which may hide a leak.
#[cfg(not(target_arch = "x86_64"))]
#[inline(never)]
fn wipe() {
    core::hint::black_box(&mut [0u8; WIPED_LEN]);
}

/// Whether so much of the calling thread's stack is left.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[inline(never)]
fn has_room() -> bool {
    let here = 0u8;
    let mut attributes = core::mem::MaybeUninit::<libc::pthread_attr_t>::uninit();
    // SAFETY: no preconditions.
    let own = unsafe { libc::pthread_self() };
    // SAFETY: a living thread, and room for its attributes.
    if unsafe { libc::pthread_getattr_np(own, attributes.as_mut_ptr()) } != 0 {
        return false;
    }
    let (mut low, mut len) = (core::ptr::null_mut(), 0);
    // SAFETY: the attributes were written by the call above; both places are ours.
    unsafe { libc::pthread_attr_getstack(attributes.as_ptr(), &raw mut low, &raw mut len) };
    // SAFETY: written above, and used no more.
    unsafe { libc::pthread_attr_destroy(attributes.as_mut_ptr()) };
    let room = (&raw const here).addr().checked_sub(low.addr());
    room.is_some_and(|room| room < len && ROOM_LEN < room)
}

/// Leaks are not searched for there.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
fn has_room() -> bool {
    false
}
