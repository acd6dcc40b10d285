//! The programs, each with commands whose output is the same on every run.

use std::path::Path;

use anyhow::Result;

use super::fixtures;

/// One command to run with and without the checker.
pub(crate) struct Program {
    pub(crate) name: &'static str,
    /// Programs or files that must be there, and the Debian package that brings each.
    pub(crate) needs: &'static [(&'static str, &'static str)],
    /// Makes the input in the program's folder.
    pub(crate) prepare: fn(&Path) -> Result<()>,
    /// Called before each run with the program's folder and a fresh one, in which it will run.
    pub(crate) before: fn(&Path, &Path) -> Result<()>,
    pub(crate) command: &'static [&'static str],
    /// A file of the program's folder.
    pub(crate) stdin: Option<&'static str>,
    /// A file that the run writes, to be compared as well.
    pub(crate) writes: Option<&'static str>,
}

/// Nothing but a command.
pub(crate) const PLAIN: Program = Program {
    name: "",
    needs: &[("timeout", "coreutils")],
    prepare: |_| Ok(()),
    before: |_, _| Ok(()),
    command: &[],
    stdin: None,
    writes: None,
};

const PYTHON: &[(&str, &str)] = &[("python3", "python3")];
const GIT: &[(&str, &str)] = &[("git", "git")];
const HEADERS: (&str, &str) = ("/usr/include/stdio.h", "libc6-dev");

/// Four threads fill lists and dictionaries of their own, and the main one adds up.
const PYTHON_THREADS: &str = "
import threading
totals = [0] * 4
def work(index):
    words = {}
    for i in range(60000):
        words[str(i)] = [index] * (i % 50)
        if i % 3 == 0:
            words.pop(str(i // 2), None)
    totals[index] = sum(len(list) for list in words.values())
threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
for thread in threads: thread.start()
for thread in threads: thread.join()
print(totals)
";

const PERL: &str = r#"
use strict;
my %count;
my $text = join " ", map { chr(97 + $_ * 7 % 26) x (1 + $_ % 9) } 1 .. 200000;
$count{$_}++ for split / /, $text;
my @lines = map { sprintf "%-12s %d", $_, $count{$_} } sort keys %count;
(my $upper = $text) =~ s/([aeiou]+)/uc $1/ge;
my @nested = map { { id => $_, list => [ 1 .. $_ % 20 ] } } 1 .. 20000;
my $sum = 0;
$sum += scalar @{ $_->{list} } for @nested;
print "$_\n" for @lines;
print length($upper), " ", ($upper =~ tr/AEIOU//), " $sum\n";
"#;

const BASH: &str = "
total=0
for i in $(seq 1 300); do
    words=$(echo \"$i $((i * i))\" | tr ' ' '\\n' | sort -n | tail -1)
    total=$((total + words))
done
(exit 7); echo \"$total $?\"
";

/// Runs git's collector on a copy, checks the result, and prints what is the same on every run.
const GIT_GC: &str = "git -c pack.threads=2 -c pack.window=5 gc --quiet --prune=now && \
                      git fsck --full --no-progress && git rev-list --objects --all | sort";

pub(crate) const PROGRAMS: &[Program] = &[
    Program { name: "ls", needs: &[HEADERS], command: &["ls", "-lR", "/usr/include"], ..PLAIN },
    Program {
        name: "git log",
        needs: GIT,
        prepare: fixtures::repository,
        command: &["git", "-C", "../repository", "log", "--stat"],
        ..PLAIN
    },
    Program {
        name: "git gc",
        needs: GIT,
        prepare: fixtures::repository,
        before: fixtures::copy_repository,
        command: &["sh", "-c", GIT_GC],
        ..PLAIN
    },
    Program {
        name: "python3, json",
        needs: PYTHON,
        prepare: fixtures::json,
        command: &["python3", "-m", "json.tool", "../large.json"],
        ..PLAIN
    },
    Program {
        name: "python3, threads",
        needs: PYTHON,
        command: &["python3", "-c", PYTHON_THREADS],
        ..PLAIN
    },
    Program {
        name: "python3, sum",
        needs: PYTHON,
        command: &["python3", "-c", "print(sum(range(10**6)))"],
        ..PLAIN
    },
    Program { name: "perl", needs: &[("perl", "perl")], command: &["perl", "-e", PERL], ..PLAIN },
    Program {
        name: "gcc",
        needs: &[("gcc", "gcc"), HEADERS],
        prepare: fixtures::c_source,
        command: &["gcc", "-O2", "-g", "-c", "../large.c", "-o", "large.o"],
        writes: Some("large.o"),
        ..PLAIN
    },
    Program {
        name: "sqlite3",
        needs: &[("sqlite3", "sqlite3")],
        prepare: fixtures::sql,
        command: &["sqlite3", ":memory:"],
        stdin: Some("workload.sql"),
        ..PLAIN
    },
    Program {
        name: "cargo check",
        needs: &[("cargo", "cargo")],
        before: fixtures::small_crate,
        command: &["cargo", "check", "--offline", "--quiet", "--message-format=json"],
        ..PLAIN
    },
    Program { name: "bash", needs: &[("bash", "bash")], command: &["bash", "-c", BASH], ..PLAIN },
    Program {
        name: "tar",
        needs: &[("tar", "tar"), HEADERS],
        command: &["tar", "--sort=name", "-cf", "tree.tar", "-C", "/usr", "include"],
        writes: Some("tree.tar"),
        ..PLAIN
    },
    Program {
        name: "xz",
        needs: &[("xz", "xz-utils"), ("tar", "tar"), HEADERS],
        prepare: fixtures::tree,
        command: &["xz", "-1", "-T2", "--block-size=4MiB", "-c", "../tree.tar"],
        ..PLAIN
    },
];
