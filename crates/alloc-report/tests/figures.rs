//! What grew, and where the memory went: as text, as a page, and as JSON.

mod support;

use alloc_report::{HtmlOptions, Run, TextOptions};
use support::{Records, plain, start, text};

const END: &str = r#"{"t":"end","allocations":5000,"frees":4990,"live_blocks":10,"live_bytes":4128,"peak_bytes":1900000,"total_bytes":123456789,"leaks_counted":"scan","status":0,"kept":{"in_use":65536,"retired":1024,"stock":0,"records":8192},"stacks_recalled":9990,"stacks_walked":10,"rule_lookups":200,"rule_misses":50,"rule_evictions":3}"#;

fn records() -> Records {
    let lines = [
        &start(7),
        r#"{"t":"stack","id":1,"frames":[[-1,4096]]}"#,
        r#"{"t":"stack","id":2,"frames":[[-1,8192]]}"#,
        r#"{"t":"snapshot","id":1,"ms":1000,"why":"every"}"#,
        r#"{"t":"live","snapshot":1,"stack":1,"blocks":3,"bytes":300}"#,
        r#"{"t":"live","snapshot":1,"stack":2,"blocks":9,"bytes":90}"#,
        r#"{"t":"snapshot","id":2,"ms":3500,"why":"every"}"#,
        r#"{"t":"live","snapshot":2,"stack":1,"blocks":13,"bytes":3300}"#,
        r#"{"t":"live","snapshot":2,"stack":2,"blocks":1,"bytes":10}"#,
        r#"{"t":"class","slot_size":32,"live_blocks":9,"live_bytes":128,"total_blocks":4000}"#,
        r#"{"t":"class","slot_size":0,"live_blocks":1,"live_bytes":4000,"total_blocks":1000}"#,
        r#"{"t":"tag","name":"par\u001bser","live_blocks":2,"live_bytes":20,"peak_bytes":2048,"total_blocks":30,"total_bytes":300}"#,
        END,
    ];
    let records = Records::new();
    records.file("7-0.jsonl", &lines);
    records
}

/// What grew is told without being asked for, the most first; what shrank is only in the sum.
#[test]
fn growth_as_text() {
    let report = records().read();
    let expected = "what grew in app 7 between 1 s and 3.5 s: +2,920 bytes, +2 blocks in all
  +3,000 bytes, +10 blocks (now 3,300 bytes, 13 blocks)
    0x1000

no findings, 5,000 allocations, peak 1.8 MiB\n";
    assert_eq!(plain(&report), expected);
}

/// Figures are told on request; names of strangers have no control characters.
#[test]
fn figures_as_text() {
    let report = records().read();
    let text = text(&report, &TextOptions { statistics: true, ..TextOptions::default() });
    let expected = "memory of app 7
  5,000 allocations, 123,456,789 bytes in all; 4,990 frees
  alive at the end: 10 blocks, 4,128 bytes; peak 1.8 MiB
  held at the end: 64.0 KiB in use, 1.0 KiB retired, 0 bytes to be used again, 8.0 KiB of records
  10,000 stacks captured, 99.9 % of them remembered
  rules of the unwinder: 200 looked for, 75.0 % of them at hand, 3 evicted
        slot   blocks alive      bytes alive      blocks ever
          32              9              128            4,000
   own pages              1            4,000            1,000
  tag par\\x1bser: 2 blocks, 20 bytes alive; peak 2.0 KiB; 30 blocks, 300 bytes ever
";
    assert!(text.contains(expected), "{text}");
}

/// The page and JSON have the same.
#[test]
fn figures_in_other_formats() {
    let report = records().read();
    let mut page = Vec::new();
    report.render_html(&mut page, &Run::default(), &HtmlOptions::default()).unwrap();
    let page = String::from_utf8(page).unwrap();
    for words in [
        "<h2>Memory</h2>",
        "5,000 allocations, 123,456,789 bytes in all; 4,990 frees",
        "<td class=\"num\">own pages</td>",
        "<td class=\"mono\">par\\x1bser</td>",
        "What grew in app 7 from its first snapshot (at 1 s) to its last (3.5 s)",
        "<b>+2.9 KiB</b>",
    ] {
        assert!(page.contains(words), "{words:?} is not in {page}");
    }
    let mut json = Vec::new();
    report.render_json(&mut json, &Run::default()).unwrap();
    let json: serde_json::Value = serde_json::from_slice(&json).unwrap();
    let process = &json["processes"][0];
    assert_eq!(process["captures"]["rule_misses"], 50);
    assert_eq!(process["kept"]["records"], 8192);
    assert_eq!(process["classes"][0]["total_blocks"], 4000);
    assert_eq!(process["tags"][0]["peak_bytes"], 2048);
    assert_eq!(json["totals"]["total_bytes"], 123_456_789);
    assert_eq!(
        (&json["grown"][0]["bytes"], &json["grown"][0]["blocks"]),
        (&2920.into(), &2.into())
    );
}

/// However many classes and names the records claim, a bounded number is kept, and the rest counted.
#[test]
fn figures_are_bounded() {
    let class = r#"{"t":"class","slot_size":32,"total_blocks":1}"#;
    let mut lines = vec![start(7)];
    lines.extend(std::iter::repeat_n(class.to_owned(), 300));
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    let records = Records::new();
    records.file("7-0.jsonl", &lines);
    let report = records.read();
    assert_eq!(report.processes()[0].classes.len(), 256);
    assert!(plain(&report).contains("note: 44 lines of the records could not be understood"));
}
