//! Wipes the unused part of a stack: what code left there looks like pointers to what it lost, as soon as
//! frames of other calls lie over it, or another thread has got the stack.

/// What libc keeps of an ended thread's stack, and the frames of a search, lie in these bytes.
const WIPED_LEN: usize = 64 << 10;
/// What must be left of a stack to wipe that much of it.
const ROOM_LEN: usize = WIPED_LEN + (16 << 10);

/// Overwrites the stack below the caller's frame, unless there is little of it.
///
/// Inlined, so that nothing is left between that frame and what is wiped: the frames of what the caller calls
/// next will lie there.
#[inline(always)]
pub(super) fn wipe_stack() {
    if has_room() {
        wipe();
    }
}

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
