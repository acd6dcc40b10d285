//! Programs that every system has: the same output and the same status as without the library.

use std::path::Path;

use crate::harness::{STRATEGIES, bare, command, run};

/// Runs a script with the library and without.
#[track_caller]
fn same(script: &str) {
    let mut without = bare("/bin/sh");
    let without = run(without.args(["-c", script]));
    for strategy in STRATEGIES {
        let mut with = command("/bin/sh", strategy);
        // What a program keeps on purpose does not change its status.
        let with = run(with.args(["-c", script]).env("ALLOC_GPA", "on_finding=continue"));
        assert_eq!(
            (&with.out, with.code),
            (&without.out, without.code),
            "{strategy}: {script}: {}",
            with.err
        );
        let found = ["double free", "invalid free", "wrong size", "write past", "write after"];
        for words in found {
            assert!(!with.err.contains(words), "{strategy}: {script}: {}", with.err);
        }
    }
}

/// Whether a program is there; says so if not.
fn has(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).any(|dir| dir.join(program).is_file());
    if !found {
        println!("skipped: there is no {program}");
    }
    found
}

#[test]
fn shell_scripts() {
    same("i=0; while [ $i -lt 200 ]; do i=$((i + 1)); x=$(echo $i); done; echo $x; exit 5");
    same(
        "printf 'b\\na\\nc\\n' | sort | sed 's/a/A/' | awk '{ n += NR; print } END { print n }'; false",
    );
}

#[test]
fn lists_of_files() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    // Without the blocks on the disk, which some systems give a file later than its bytes.
    let list = "sed '/^total /d'";
    same(&format!("ls -lR {0} | {list}; find {0} -type f | xargs cat | cksum", folder.display()));
}

#[test]
fn python_with_threads() {
    if has("python3") {
        same(
            "python3 -c '
import threading, json
out = []
def work(n):
    out.append(len(json.dumps([{str(i): [i] * n} for i in range(300)])))
threads = [threading.Thread(target=work, args=(n,)) for n in range(1, 9)]
[t.start() for t in threads]
[t.join() for t in threads]
print(sorted(out), sum(range(10 ** 5)))'",
        );
    }
}

#[test]
fn perl() {
    if has("perl") {
        same(
            "perl -e 'my %h; $h{$_ % 1000} .= \"x$_\" for 1..50000; print length(join \"\", map { $h{$_} } sort keys %h), \"\\n\"; exit 3'",
        );
    }
}

#[test]
fn the_c_compiler() {
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/programs");
    same(&format!(
        "cc -O2 -S -o - {0}/c_rules.c | cksum; cc -c -o /dev/null {0}/none.c 2>/dev/null",
        sources.display()
    ));
}

#[test]
fn tar_and_xz() {
    if has("tar") && has("xz") {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
        same(&format!(
            "tar -cf - -C {0} --sort=name src tests | xz -T2 -6 | xz -d | cksum",
            folder.display()
        ));
    }
}
