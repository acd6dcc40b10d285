//! A library that holds the allocator, opened with `dlopen` by a C program without frame pointers:
//! its thread state lies in the static thread-local block of every thread, also of those that were
//! running before, and its stacks reach through the C code.

#![cfg(all(target_os = "linux", target_arch = "x86_64"))]

use std::path::PathBuf;
use std::process::Command;

const HOST: &str = r#"
#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
static int (*run)(void);
static pthread_barrier_t opened;
__attribute__((noinline)) static int inner(void) { return run() + 0; }
__attribute__((noinline)) static int outer(void) { int frames = inner(); return frames; }
static void *early(void *p) { pthread_barrier_wait(&opened); *(int *)p = outer(); return 0; }
int main(int count, char **words) {
    int in_main, in_thread = -2;
    pthread_t thread;
    pthread_barrier_init(&opened, 0, 2);
    pthread_create(&thread, 0, early, &in_thread);
    void *library = dlopen(words[count - 1], RTLD_NOW);
    if (!library) { puts(dlerror()); return 1; }
    run = (int (*)(void))dlsym(library, "plugin_double_free");
    pthread_barrier_wait(&opened);
    in_main = outer();
    pthread_join(thread, 0);
    printf("%d %d\n", in_main, in_thread);
    return 0;
}
"#;

/// The example is built here: running one test alone does not build it.
fn plugin() -> PathBuf {
    let mut build = Command::new(env!("CARGO"));
    build.args(["build", "--quiet", "--example", "plugin", "--manifest-path"]);
    build.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"));
    if !cfg!(debug_assertions) {
        build.arg("--release");
    }
    assert!(build.status().expect("cargo runs").success());
    // This test is <profile>/deps/plugin-HASH.
    let test = std::env::current_exe().expect("known");
    test.parent().and_then(|deps| deps.parent()).expect("two folders").join("examples/libplugin.so")
}

#[test]
fn an_opened_library_captures_stacks() {
    let dir = std::env::temp_dir().join(format!("alloc-gpa-plugin-{}", std::process::id()));
    std::fs::create_dir_all(&dir).expect("a temporary directory");
    let (source, host) = (dir.join("host.c"), dir.join("host"));
    std::fs::write(&source, HOST).expect("writable");
    let mut compiler = Command::new("cc");
    compiler.args(["-O1", "-fomit-frame-pointer", "-pthread", "-o"]).args([&host, &source]);
    assert!(compiler.arg("-ldl").status().expect("a C compiler named cc").success());
    let output = Command::new(&host).arg(plugin()).output().expect("runs");
    std::fs::remove_dir_all(&dir).expect("ours");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}");
    let frames: Vec<i32> = text.split_whitespace().filter_map(|word| word.parse().ok()).collect();
    // plugin_double_free, inner, outer, then main and libc's start, or the thread's.
    assert_eq!(frames.len(), 2, "{text}");
    assert!(frames.iter().all(|count| 5 <= *count), "{text}");
}
