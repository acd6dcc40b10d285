/// Returns the path of the program or library that the program's `pthread_create` lies in.
fn alloc_testing_object_of_pthread_create() -> std::path::PathBuf {
    let mut info = std::mem::MaybeUninit::<libc::Dl_info>::zeroed();
    let create = libc::pthread_create as *const ();
    // SAFETY: any address may be asked for; `info` is ours to write.
    let known = unsafe { libc::dladdr(create.cast(), info.as_mut_ptr()) };
    assert_ne!(known, 0);
    // SAFETY: written by the call, and all zero is a value, too.
    let name = unsafe { info.assume_init() }.dli_fname;
    // SAFETY: a C string of the loader's, which stays as long as the object.
    let name = unsafe { std::ffi::CStr::from_ptr(name) };
    std::fs::canonicalize(name.to_str().unwrap()).unwrap()
}
