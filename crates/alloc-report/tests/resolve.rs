//! `alloc-check resolve`, and the names of variables.

mod support;

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::process::Stdio;

use support::address;
use support::setup::{Setup, path_text, stderr};

/// `resolve` filters standard input or a file.
#[test]
fn resolve() {
    let setup = Setup::new();
    let mark = address(&setup.program, "mark");
    let place = format!("{}+{mark:#x}", path_text(&setup.program));
    // A line that holds nothing else is a stack; the library's own frame is cut off.
    let library = path_text(&setup.library).replace("fake.so", "liballoc_preload.so");
    fs::copy(&setup.library, &library).unwrap();
    let text = format!("at {place}\n  {library}+0x10\n  {place}\n\nend");
    fs::write(setup.path("text"), &text).unwrap();
    let output = setup.bare().args(["resolve", "text"]).output().unwrap();
    let source = support::fixture("program.c");
    let source = source.to_str().unwrap();
    let wanted = format!(
        "at inner {source}:11 (inlined into) outer {source}:15\n  inner  {source}:11  (inlined)\n  \
         outer  {source}:15\n\nend"
    );
    assert_eq!(String::from_utf8(output.stdout).unwrap(), wanted);
    let mut child =
        setup.bare().arg("resolve").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    assert_eq!(String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap(), wanted);
    let output = setup.bare().args(["resolve", "--full-stacks", "text"]).output().unwrap();
    assert!(String::from_utf8(output.stdout).unwrap().contains("liballoc_preload.so+0x10\n"));
}

/// A stack from a pipe is shown before the next line comes.
#[test]
fn resolve_does_not_wait() {
    let setup = Setup::new();
    let mark = address(&setup.program, "mark");
    let mut child =
        setup.bare().arg("resolve").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    writeln!(stdin, "first\n    {}+{mark:#x}", path_text(&setup.program)).unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut next = || lines.next().unwrap().unwrap();
    assert_eq!(next(), "first");
    assert!(next().starts_with("    inner "));
    assert!(next().starts_with("    outer "));
    drop(stdin);
    assert!(child.wait().unwrap().success());
}

/// An address of a variable has its name, in a report and in text.
#[test]
fn variables_are_named() {
    let setup = Setup::new();
    let table = address(&setup.program, "table");
    let program = path_text(&setup.program);
    let module = format!(
        r#"{{"t":"module","id":3,"path":"{program}","start":65536,"end":131072,"bias":65536}}"#
    );
    let finding = |addr: u64| {
        format!(
            r#"{{"t":"finding","kind":"invalid_free","addr":{addr},"detail":"address in program"}}"#
        )
    };
    let addr = 65_536 + table + 8;
    setup.record(&[&module, &finding(addr)]);
    let text = stderr(&setup.run(&["--json", "r.json"], &[]));
    let line = format!("free of {addr:#x}, which is no block: the variable table + 8 of program\n");
    assert!(text.starts_with(&line), "{text}");
    let json = fs::read(setup.path("r.json")).unwrap();
    let json: serde_json::Value = serde_json::from_slice(&json).unwrap();
    assert_eq!(json["findings"][0]["global"], "table + 8 of program");
    // In the header of the file there is none.
    setup.record(&[&module, &finding(65_536 + 16)]);
    let text = stderr(&setup.run(&[], &[]));
    assert!(text.contains("which is no block: an address in program\n"), "{text}");
    fs::write(setup.path("text"), format!("at {program}+{:#x}.", table + 1)).unwrap();
    let output = setup.bare().args(["resolve", "text"]).output().unwrap();
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "at table + 1 of program.");
}
