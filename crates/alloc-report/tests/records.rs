//! Reading and printing of record files written by hand.

mod support;

use std::io::{Read, Write};
use std::process::Stdio;

use alloc_report::{LeakDetail, Outcome, Report, Run, Suppressions, Symboliser, TextOptions};
use support::{END, Records, plain, start, text};

const MODULE: &str =
    r#"{"t":"module","id":0,"path":"/gone/app","start":0,"end":1,"bias":0,"build_id":""}"#;
const LIBRARY: &str = r#"{"t":"module","id":1,"path":"/gone/liballoc_preload.so","start":0,"end":1,"bias":0,"build_id":""}"#;

/// A process with a double free and a leak.
fn faulty(pid: i32) -> Vec<String> {
    vec![
        start(pid),
        MODULE.to_owned(),
        LIBRARY.to_owned(),
        r#"{"t":"stack","id":1,"frames":[[1,80],[0,4096],[0,4352]]}"#.to_owned(),
        r#"{"t":"stack","id":2,"frames":[[1,96],[0,8192],[-1,140737488355327]]}"#.to_owned(),
        format!(
            r#"{{"t":"finding","kind":"double_free","addr":64,"offset":0,"block":{{"addr":64,"size":100,"align":16}},"size":0,"align":0,"thread":"app","tid":{pid},"here":2,"allocated":1,"freed":2,"detail":"","count":1}}"#
        ),
        r#"{"t":"leak","kind":"lost","stack":1,"count":2,"bytes":4112,"min":16,"max":4096}"#
            .to_owned(),
        r#"{"t":"leak","kind":"lost","stack":2,"count":1,"bytes":16,"min":16,"max":16}"#.to_owned(),
        r#"{"t":"leak","kind":"indirect","stack":2,"count":4,"bytes":40,"min":10,"max":10}"#
            .to_owned(),
        r#"{"t":"leak","kind":"reachable","stack":2,"count":1,"bytes":1,"min":1,"max":1}"#
            .to_owned(),
        END.to_owned(),
    ]
}

fn write(records: &Records, name: &str, lines: &[String]) {
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    records.file(name, &lines);
}

/// All of a report, to the byte.
#[test]
fn golden_text() {
    let records = Records::new();
    write(&records, "7-0.jsonl", &faulty(7));
    let wanted = "\
double free of a 100-byte block (offset 0)
  here
    app+0x2000
    0x7fffffffffff
  allocated
    app+0x1000
    app+0x1100
  freed first
    app+0x2000
    0x7fffffffffff

3 leaks, 4,128 bytes, from 2 places (blocks that nothing points to)
  2 blocks, 4,112 bytes (16 to 4,096 each)
    app+0x1000
    app+0x1100

  1 block, 16 bytes
    app+0x2000
    0x7fffffffffff

4 blocks, 40 bytes, held only by lost ones
1 block, 1 byte, still reachable
1 finding, 3 blocks lost (4,128 bytes), 12,406 allocations, peak 1.8 MiB
";
    let mut report = records.read();
    assert_eq!(plain(&report), wanted);
    report.symbolise(&mut Symboliser::new(), |_, _| ());
    assert_eq!(plain(&report), wanted, "nothing can be resolved");
}

/// A clean run is one line.
#[test]
fn nothing_found_is_one_line() {
    let records = Records::new();
    records.file("7-0.jsonl", &[&start(7), &END.replace("1900000", "1536")]);
    assert_eq!(plain(&records.read()), "no findings, 12,406 allocations, peak 1.5 KiB\n");
}

/// What was counted is said: nothing, or every live block.
#[test]
fn what_was_counted_is_said() {
    let records = Records::new();
    records.file("7-0.jsonl", &[&start(7), &END.replace("scan", "none")]);
    let text = plain(&records.read());
    assert_eq!(text, "no findings, leaks not counted, 12,406 allocations, peak 1.8 MiB\n");
    let lines = faulty(7).join("\n").replace("scan", "exact");
    records.bytes("7-0.jsonl", lines.as_bytes());
    assert!(plain(&records.read()).contains("(all blocks that were not freed)"));
}

/// The same fault in two processes, at the same places in the same files, is one.
#[test]
fn processes_are_joined() {
    let records = Records::new();
    write(&records, "7-0.jsonl", &faulty(7));
    // The same stacks under other ids, as if the modules had been met in another order.
    let other = faulty(8).join("\n").replace(r#""id":0"#, r#""id":5"#);
    let other = other.replace("[0,", "[5,");
    records.bytes("8-0.jsonl", other.as_bytes());
    let report = records.read();
    assert_eq!(report.findings().len(), 1);
    assert_eq!(report.findings()[0].count, 2);
    assert_eq!((report.totals().lost.blocks, report.totals().lost.bytes), (6, 8256));
    let text = plain(&report);
    assert!(text.starts_with("double free of a 100-byte block (offset 0), 2 times  [app 7]\n"));
    assert!(text.contains("6 leaks, 8,256 bytes, from 2 places"), "{text}");
    let last =
        "2 findings, 6 blocks lost (8,256 bytes), 24,812 allocations, peak 1.8 MiB, 2 processes\n";
    assert!(text.ends_with(last), "{text}");
}

/// Processes without an end are told apart: replaced by exec, or cut.
#[test]
fn ends_are_told_apart() {
    let records = Records::new();
    // No process has such an id.
    let pid = i32::MAX;
    records.file(&format!("{pid}-0.jsonl"), &[&start(pid)]);
    records.file(&format!("{pid}-1.jsonl"), &[&start(pid)]);
    records.file("7-0.jsonl", &[&start(7), END]);
    let report = records.read();
    let outcomes: Vec<_> = report.processes().iter().map(|process| &process.outcome).collect();
    assert!(matches!(outcomes[..], [Outcome::Ended(_), Outcome::Replaced, Outcome::Cut]));
    let text = plain(&report);
    assert!(text.contains("1 process ended without exit handlers: its leaks were not counted\n"));
    assert!(text.contains("1 process called exec: leaks from before it were not counted\n"));
    assert!(text.ends_with("no findings, 12,406 allocations, peak 1.8 MiB, 3 processes\n"));
}

/// A process that is alive and was told to write here still runs; another one with its pid does not
/// count as it.
#[test]
fn running_processes_are_known() {
    let records = Records::new();
    let mut child = std::process::Command::new("cat")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .env("ALLOC_GPA_RECORDS", records.path())
        .spawn()
        .unwrap();
    // Once it answers it is past exec, and /proc shows its environment.
    child.stdin.as_mut().unwrap().write_all(b"x").unwrap();
    child.stdout.as_mut().unwrap().read_exact(&mut [0]).unwrap();
    let pid = i32::try_from(child.id()).unwrap();
    records.file(&format!("{pid}-0.jsonl"), &[&start(pid)]);
    let own = i32::try_from(std::process::id()).unwrap();
    records.file(&format!("{own}-0.jsonl"), &[&start(own)]);
    let totals = records.read().totals();
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!((totals.running, totals.cut), (1, 1));
    assert_eq!(records.read().totals().running, 0);
}

/// Half a line at the end of a file is what a killed process leaves; what came before counts.
#[test]
fn cut_files_are_read() {
    let whole = faulty(7).join("\n") + "\n";
    let wanted = {
        let records = Records::new();
        records.bytes("7-0.jsonl", whole.as_bytes());
        records.read().totals()
    };
    for len in 0..=whole.len() {
        let records = Records::new();
        records.bytes("7-0.jsonl", &whole.as_bytes()[..len]);
        let mut report = records.read();
        report.symbolise(&mut Symboliser::new(), |_, _| ());
        let totals = report.totals();
        assert!(totals.lost.blocks <= wanted.lost.blocks && totals.findings <= wanted.findings);
        assert!(!plain(&report).contains("could not be understood"), "cut at {len}");
    }
}

/// Lines that mean nothing are counted, and hide nothing.
#[test]
fn damaged_lines_are_counted() {
    let records = Records::new();
    let (long, deep) = ("x".repeat(3 << 20), "[".repeat(100_000));
    records.file(
        "7-0.jsonl",
        &[
            &start(7),
            "",
            "not json",
            &long,
            &deep,
            "{\"t\":\"leak\",\"kind\":\"lost\"}",
            "{\"t\":\"leak\",\"kind\":\"stolen\",\"stack\":0,\"count\":1,\"bytes\":1}",
            "{\"t\":\"stack\",\"id\":-1,\"frames\":[]}",
            "{\"t\":\"stack\",\"id\":1,\"frames\":[[9,1]]}",
            "{\"t\":\"later\",\"x\":1}",
            "{\"t\":\"note\",\"text\":\"degraded: no stacks\",\"later\":1}",
            "{\"t\":\"leak\",\"kind\":\"lost\",\"stack\":99,\"count\":1,\"bytes\":18446744073709551615}",
            "{\"t\":\"leak\",\"kind\":\"lost\",\"stack\":99,\"count\":1,\"bytes\":18446744073709551615}",
            END,
        ],
    );
    let report = records.read();
    let text = plain(&report);
    assert!(text.contains("note: 7 lines of the records could not be understood"), "{text}");
    assert!(text.contains("note: degraded: no stacks\n"));
    assert!(text.contains("no stack was recorded"));
    assert_eq!(report.totals().lost.bytes, u64::MAX);
}

/// Notes of different text are kept up to a limit, and counted beyond it.
#[test]
fn notes() {
    let records = Records::new();
    let notes: Vec<String> =
        (0..300).map(|n| format!(r#"{{"t":"note","text":"degraded: {n}"}}"#)).collect();
    let lines: Vec<String> = [vec![start(7)], notes, vec![END.to_owned()]].concat();
    write(&records, "7-0.jsonl", &lines);
    write(&records, "8-0.jsonl", &lines);
    let text = plain(&records.read());
    assert!(text.starts_with("note: degraded: 0 (2 processes)\n"), "{text}");
    // 20 shown of 256 kept; 44 of each process not kept.
    assert!(text.contains("note: 324 more notes not shown\n"), "{text}");
}

/// A process that could not tell all places apart says how many blocks there were.
#[test]
fn leaks_of_no_known_place() {
    let records = Records::new();
    let totals =
        r#""lost_blocks":10,"lost_bytes":5000,"indirect_blocks":4,"indirect_bytes":40,"status""#;
    let lines = faulty(7).join("\n").replace(r#""status""#, totals);
    records.bytes("7-0.jsonl", lines.as_bytes());
    let report = records.read();
    let totals = report.totals();
    assert_eq!((totals.lost.blocks, totals.lost.bytes), (10, 5000));
    assert_eq!((totals.indirect.blocks, totals.reachable.blocks), (4, 1));
    assert!(plain(&report).contains("  7 blocks, 872 bytes\n    no stack was recorded\n"));
}

/// Only regular files with the right names are opened, and another version is refused.
#[test]
fn strange_files() {
    let records = Records::new();
    let dir = records.path();
    records.bytes("notes.txt", b"x").bytes("-1-0.jsonl", b"x").bytes("7.jsonl", b"x");
    std::fs::create_dir(dir.join("9-0.jsonl")).unwrap();
    std::os::unix::fs::symlink("/etc/passwd", dir.join("10-0.jsonl")).unwrap();
    support::tool("mkfifo", &[dir.join("11-0.jsonl").to_str().unwrap()]);
    let report = records.read();
    assert!(report.processes().is_empty());
    assert_eq!(plain(&report).matches("note: not read: ").count(), 3);
    records.file("12-0.jsonl", &[r#"{"t":"start","v":2,"pid":12}"#]);
    let error = Report::read(dir).unwrap_err().to_string();
    assert!(error.ends_with("12-0.jsonl: version 2 of the records; this reader knows version 1"));
    assert!(Report::read(&dir.join("missing")).is_err());
}

/// Nothing that a stranger named reaches the terminal as a control sequence.
#[test]
fn hostile_names_are_escaped() {
    let records = Records::new();
    let evil = r"\u001b]0;x\u0007\u009b2J\r\n\u202e";
    let lines = [
        format!(r#"{{"t":"start","v":1,"pid":7,"exe":"/bin/{evil}","argv":["{evil}"]}}"#),
        format!(r#"{{"t":"module","id":0,"path":"/gone/{evil}"}}"#),
        r#"{"t":"stack","id":1,"frames":[[0,16]]}"#.to_owned(),
        format!(
            r#"{{"t":"finding","kind":"{evil}","thread":"{evil}","tid":9,"here":1,"detail":"{evil}"}}"#
        ),
        format!(r#"{{"t":"note","text":"{evil}"}}"#),
    ];
    write(&records, "7-0.jsonl", &lines);
    write(&records, "8-0.jsonl", &lines);
    let mut report = records.read();
    report.suppress(Suppressions::parse("\u{1b}[31m\u{9b}".as_bytes()).unwrap());
    let text = plain(&report);
    let hostile = |c: char| (c.is_control() && c != '\n') || c == '\u{202e}';
    assert!(!text.contains(hostile), "{text:?}");
    assert!(text.contains("\\x1b]0;x\\x07\\x9b2J\\x0d\\x0a\\u{202e}"));
    let mut json = Vec::new();
    report.render_json(&mut json, &Run::default()).unwrap();
    let json = String::from_utf8(json).unwrap();
    assert!(!json.contains(|c: char| c.is_ascii_control() && c != '\n'));
    let parsed: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(parsed["findings"][0]["detail"], "\u{1b}]0;x\u{7}\u{9b}2J\r\n\u{202e}");
}

/// Suppressions take away from findings and leaks what they match, and are accounted for.
#[test]
fn suppressions() {
    let records = Records::new();
    write(&records, "7-0.jsonl", &faulty(7));
    let mut report = records.read();
    report.suppress(Suppressions::parse(b"overflow:*\nleak:*/app\nnothing*\n").unwrap());
    let text = plain(&report);
    assert!(text.starts_with("double free"));
    assert!(!text.contains("leaks,"), "{text}");
    assert!(text.contains("suppressed: 0 findings, 8 blocks not freed (4,169 bytes)\n"));
    assert!(text.contains("unused suppression in line 1: overflow:*\n"));
    assert!(text.contains("unused suppression in line 3: nothing*\n"));
    assert!(text.ends_with("1 finding, 12,406 allocations, peak 1.8 MiB\n"));
    report.suppress(Suppressions::parse(b"*\n").unwrap());
    assert_eq!(report.totals().findings, 0);
    assert_eq!(
        plain(&report),
        "suppressed: 1 finding, 8 blocks not freed (4,169 bytes)\n\
         no findings, 12,406 allocations, peak 1.8 MiB\n"
    );
    report.suppress(Suppressions::default());
    assert_eq!(report.totals().findings, 1);
}

/// Options decide how much is shown; totals stay.
#[test]
fn options() {
    let records = Records::new();
    write(&records, "7-0.jsonl", &faulty(7));
    let report = records.read();
    let none = text(&report, &TextOptions { stacks_max: 0, ..TextOptions::default() });
    let wanted = "\
1 finding at 1 other place not shown
3 leaks, 4,128 bytes, from 2 places (blocks that nothing points to)
  3 blocks, 4,128 bytes, from 2 other places not shown
";
    assert!(none.starts_with(wanted), "{none}");
    let one = text(&report, &TextOptions { stacks_max: 1, ..TextOptions::default() });
    assert!(one.contains("  1 block, 16 bytes, from 1 other place not shown\n"), "{one}");
    let summary = TextOptions { leaks: LeakDetail::Summary, ..TextOptions::default() };
    let summary = text(&report, &summary);
    assert!(summary.contains("3 leaks, 4,128 bytes") && !summary.contains("2 blocks, 4,112"));
    let off = text(&report, &TextOptions { leaks: LeakDetail::Off, ..TextOptions::default() });
    assert!(!off.contains("3 leaks") && !off.contains("reachable"));
    let last = "1 finding, leaks not considered, 12,406 allocations, peak 1.8 MiB\n";
    assert!(off.ends_with(last), "{off}");
    let color = text(&report, &TextOptions { color: true, ..TextOptions::default() });
    assert!(color.contains("\u{1b}["));
    assert_eq!(anstream::adapter::strip_str(&color).to_string(), plain(&report));
}

/// Each kind has its words; an absurd request is no fault, an unknown kind is.
#[test]
fn words_for_each_kind() {
    let block = r#""block":{"addr":64,"size":100,"align":16}"#;
    let cases = [
        ("double_free", "double free of a 100-byte block (offset -2)", 1),
        ("invalid_free", "free of a pointer before the start of a 100-byte block (offset -2)", 1),
        ("resize_after_free", "realloc of a freed 100-byte block (offset -2)", 1),
        ("size_mismatch", "wrong size: 7 bytes given for a 100-byte block", 1),
        ("align_mismatch", "wrong alignment: 8 given for a 100-byte block aligned to 16", 1),
        ("overflow", "write past the end of a 100-byte block (offset -2)", 1),
        ("underflow", "write before the start of a 100-byte block (offset -2)", 1),
        ("use_after_free", "write to a freed 100-byte block (offset -2)", 1),
        ("read_after_free", "read of a freed 100-byte block (offset -2)", 1),
        ("overflow_read", "read past the end of a 100-byte block (offset -2)", 1),
        ("underflow_read", "read before the start of a 100-byte block (offset -2)", 1),
        ("other_allocator", "a 100-byte block given to another allocator than its own", 1),
        ("family_mismatch", "mismatched free of a 100-byte block", 1),
        ("invalid_request", "absurd request of 7 bytes, aligned to 8", 0),
        ("brand_new", "brand_new: a 100-byte block (offset -2)", 1),
    ];
    for (kind, words, faults) in cases {
        let records = Records::new();
        let finding =
            format!(r#"{{"t":"finding","kind":"{kind}","offset":-2,{block},"size":7,"align":8}}"#);
        records.file("7-0.jsonl", &[&start(7), &finding, END]);
        let report = records.read();
        assert!(plain(&report).starts_with(&format!("{words}\n")), "{}", plain(&report));
        assert_eq!(report.totals().findings, faults, "{kind}");
    }
}

/// What a trap caught has the stack of the access itself.
#[test]
fn trapped_accesses_are_where_they_happen() {
    for (kind, label) in [("use_after_free", "written"), ("read_after_free", "read")] {
        let records = Records::new();
        let stack = |id: u32| format!(r#"{{"t":"stack","id":{id},"frames":[[-1,{}]]}}"#, id * 16);
        let finding = format!(
            r#"{{"t":"finding","kind":"{kind}","offset":4,"block":{{"addr":64,"size":100,"align":16}},"here":1,"allocated":2,"freed":3,"detail":"trapped"}}"#
        );
        records.file("7-0.jsonl", &[&start(7), &stack(1), &stack(2), &stack(3), &finding, END]);
        let text = plain(&records.read());
        let wanted = format!("  {label}\n    0x10\n  allocated\n    0x20\n  freed\n    0x30\n\n");
        assert!(text.contains(&wanted), "{text}");
    }
}

/// Damage is noticed later than it is done; a free that notices it is said once.
#[test]
fn damage_is_noticed() {
    for (freed, wanted) in [
        (1, "  noticed\n    0x10\n  allocated\n    0x20\n\n"),
        (3, "  noticed\n    0x10\n  allocated\n    0x20\n  freed\n    0x30\n\n"),
    ] {
        let records = Records::new();
        let stack = |id: u32| format!(r#"{{"t":"stack","id":{id},"frames":[[-1,{}]]}}"#, id * 16);
        let finding = format!(
            r#"{{"t":"finding","kind":"overflow","here":1,"allocated":2,"freed":{freed}}}"#
        );
        records.file("7-0.jsonl", &[&start(7), &stack(1), &stack(2), &stack(3), &finding, END]);
        let text = plain(&records.read());
        let (title, rest) = text.split_once('\n').unwrap();
        assert_eq!(title, "write past the end of a block");
        assert!(rest.starts_with(wanted), "{rest}");
    }
}

/// The JSON document holds everything, each stack and frame once, and what text shows of them.
#[test]
fn json() {
    let records = Records::new();
    write(&records, "7-0.jsonl", &faulty(7));
    let report = records.read();
    let run = Run { command: vec!["app".into()], status: Some(0), ..Run::default() };
    let mut json = Vec::new();
    report.render_json(&mut json, &run).unwrap();
    let json: serde_json::Value = serde_json::from_slice(&json).unwrap();
    assert_eq!(json["schema"], "alloc-report");
    assert_eq!(json["version"], alloc_report::JSON_VERSION);
    assert_eq!(json["run"]["command"][0], "app");
    assert_eq!(json["totals"]["lost"]["bytes"], 4128);
    assert_eq!(json["leaks_counted"][0], "scan");
    assert_eq!(json["leaks"].as_array().unwrap().len(), 4);
    let index = |value: &serde_json::Value| usize::try_from(value.as_u64().unwrap()).unwrap();
    let stack = &json["stacks"][index(&json["findings"][0]["allocated"])];
    assert_eq!(stack["shown"], serde_json::json!([1, 3]));
    let frame = &json["frames"][index(&stack["frames"][1])];
    assert_eq!((&frame["module"], &frame["addr"]), (&"/gone/app".into(), &4096.into()));
    assert_eq!(json["stacks"].as_array().unwrap().len(), 2);
    assert_eq!(json["frames"].as_array().unwrap().len(), 6);
    assert_eq!(json["processes"][0]["outcome"], "ended");
    assert_eq!(json["processes"][0]["leaks_counted"], "scan");
}

/// What is known of a leak stands below its size: its tag, what it holds, its cycle, its first bytes.
#[test]
fn more_about_leaks() {
    let records = Records::new();
    let stack = |id: u32| format!(r#"{{"t":"stack","id":{id},"frames":[[-1,{}]]}}"#, id * 16);
    let leak = |kind: &str, stack: u32, more: &str| {
        format!(
            r#"{{"t":"leak","kind":"{kind}","stack":{stack},"count":2,"bytes":40,"min":8,"max":32{more}}}"#
        )
    };
    let dump = "48656c6c6f2c20776f726c64210a00ff41";
    let lines = [
        start(7),
        stack(1),
        stack(2),
        stack(3),
        leak(
            "lost",
            1,
            &format!(r#","tag":"cache\u001b","cycle":[1,2],"addr":64,"dump":"{dump}""#),
        ),
        leak("lost", 2, r#","cycle":[2]"#),
        leak("lost", 3, r#","dump":"zz""#),
        leak("indirect", 3, r#","holder":1"#),
        leak("indirect", 2, r#","holder":1"#),
        leak("indirect", 2, r#","holder":0"#),
        leak("indirect", 2, r#","holder":1"#),
        END.to_owned(),
    ];
    write(&records, "7-0.jsonl", &lines);
    let wanted = "\
6 leaks, 120 bytes, from 3 places (blocks that nothing points to)
  2 blocks, 40 bytes (8 to 32 each)
    tagged cache\\x1b
    with 6 more blocks, 120 bytes, that only these hold
    a cycle of blocks that hold each other: 0x10 → 0x20 → the first
    0x10
      0000  48 65 6c 6c 6f 2c 20 77 6f 72 6c 64 21 0a 00 ff  Hello, world!...
      0010  41                                               A

  2 blocks, 40 bytes (8 to 32 each)
    a cycle: blocks of this place hold each other
    0x20

  2 blocks, 40 bytes (8 to 32 each)
    0x30

8 blocks, 160 bytes, held only by lost ones
";
    let report = records.read();
    let text = plain(&report);
    assert!(text.starts_with(wanted), "{text}");
    assert_eq!(report.leaks().len(), 6, "the same stack held by others is another leak");
}

/// A finding that was met more often than it was written counts as often as the process says.
#[test]
fn repeated_findings() {
    let records = Records::new();
    let finding = |kind: &str| format!(r#"{{"t":"finding","kind":"{kind}"}}"#);
    let repeat = |finding: u32| format!(r#"{{"t":"repeat","finding":{finding},"count":9}}"#);
    let lines = [
        start(7),
        finding("double_free"),
        finding("overflow"),
        finding("overflow"),
        repeat(1),
        repeat(5),
        END.to_owned(),
    ];
    write(&records, "7-0.jsonl", &lines);
    let report = records.read();
    let counts: Vec<u64> = report.findings().iter().map(|finding| finding.count).collect();
    assert_eq!(counts, [1, 10]);
    assert!(plain(&report).contains("note: 1 line of the records could not be understood\n"));
}

/// Of a process that never came to its end, the last search for leaks counts, and a note says so.
#[test]
fn leaks_found_before_the_end() {
    let found = |snapshot: u32, count: u32| {
        format!(
            r#"{{"t":"leak_at","snapshot":{snapshot},"kind":"lost","stack":0,"count":{count},"bytes":8}}"#
        )
    };
    let mut lines = vec![start(i32::MAX), found(1, 50), found(2, 3), found(2, 4)];
    let records = Records::new();
    write(&records, "7-0.jsonl", &lines);
    let report = records.read();
    assert_eq!(report.totals().lost.blocks, 7);
    assert!(plain(&report).contains("are of its last search, not of its end\n"));
    lines.push(END.to_owned());
    write(&records, "7-0.jsonl", &lines);
    assert_eq!(records.read().totals().lost.blocks, 0);
}

/// Samples and snapshots are read; those that cannot be are counted.
#[test]
fn growth_is_read() {
    let records = Records::new();
    let sample = |ms: u64| format!(r#"{{"t":"sample","ms":{ms},"live_bytes":{}}}"#, ms * 2);
    let mut lines = vec![start(7)];
    lines.extend((0..10_000).map(sample));
    lines.push(sample(3));
    lines.push(r#"{"t":"live","snapshot":4,"stack":0,"blocks":1,"bytes":1}"#.to_owned());
    lines.push(r#"{"t":"snapshot","id":4,"why":"every"}"#.to_owned());
    lines.push(r#"{"t":"live","snapshot":4,"stack":0,"blocks":1,"bytes":1}"#.to_owned());
    lines.push(END.to_owned());
    write(&records, "7-0.jsonl", &lines);
    let report = records.read();
    let samples = &report.processes()[0].samples;
    assert!((2_048..=4_096).contains(&samples.len()), "{}", samples.len());
    let last = samples.last().unwrap();
    assert_eq!((samples[0].ms, last.ms, last.live_bytes), (0, 9_999, 19_998));
    assert!(samples.windows(2).all(|pair| pair[0].ms < pair[1].ms));
    assert_eq!(report.snapshots()[0].live.len(), 1);
    assert!(plain(&report).contains("note: 2 lines of the records could not be understood\n"));
}

/// Two functions that free in one line what is not theirs are two findings.
#[test]
fn mismatches_are_told_apart() {
    let records = Records::new();
    let finding = |detail: &str| {
        format!(r#"{{"t":"finding","kind":"family_mismatch","here":1,"detail":"{detail}"}}"#)
    };
    let stack = r#"{"t":"stack","id":1,"frames":[[-1,16]]}"#;
    let (first, second) = (finding("freed by free"), finding("freed by operator delete"));
    records.file("7-0.jsonl", &[&start(7), stack, &first, &second, &first, END]);
    let report = records.read();
    let counts: Vec<u64> = report.findings().iter().map(|finding| finding.count).collect();
    assert_eq!(counts, [2, 1]);
}
