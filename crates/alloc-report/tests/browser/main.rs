//! The page in a real browser: what it shows, and that its controls work.
//!
//! Not among the tests that `cargo test` runs by itself, since it needs Chromium and the viewer that
//! Valgrind brings: `cargo xtask ci browser` installs both and runs it.

mod client;
#[path = "../support/mod.rs"]
mod support;

use std::fs;
use std::path::{Path, PathBuf};

use alloc_report::{HtmlOptions, Report, Run};
use client::Browser;
use serde_json::json;
use support::{END, Records, start};

/// Where Debian's package `valgrind` puts DHAT's viewer.
const DHAT_VIEWER: &str = "/usr/libexec/valgrind/dh_view.html";

/// Two processes with findings, leaks of each kind, growth, and names that would like to be HTML.
fn records() -> Records {
    let hostile = "</script><script>window.stolen = 1</script><img src=x onerror=window.stolen=1>";
    let module = |id: u32, path: &str| {
        format!(r#"{{"t":"module","id":{id},"path":{},"start":0,"end":9,"bias":0}}"#, json!(path))
    };
    let stack = |id: u32, frames: &str| format!(r#"{{"t":"stack","id":{id},"frames":[{frames}]}}"#);
    let leak = |kind: &str, stack: u32, count: u32, bytes: u32, more: &str| {
        format!(
            r#"{{"t":"leak","kind":"{kind}","stack":{stack},"count":{count},"bytes":{bytes},"min":1,"max":{bytes}{more}}}"#
        )
    };
    let first = [
        start(7),
        module(0, "/gone/app"),
        module(1, &format!("/gone/{hostile}")),
        stack(1, "[0,16],[0,512],[0,4096]"),
        stack(2, "[0,32],[0,512],[0,4096]"),
        stack(3, "[1,48],[0,768],[0,4096]"),
        format!(
            r#"{{"t":"finding","kind":"overflow_read","addr":170,"offset":106,"block":{{"addr":64,"size":100,"align":16}},"thread":{},"tid":8,"here":2,"allocated":1,"detail":"trapped"}}"#,
            json!(hostile)
        ),
        leak("lost", 1, 30, 6000, r#","cycle":[1,2],"dump":"48656c6c6f00""#),
        leak("lost", 2, 2, 9000, ""),
        leak("indirect", 3, 5, 1000, r#","holder":1"#),
        leak("reachable", 3, 100, 500, &format!(r#","tag":{}"#, json!(hostile))),
        format!(r#"{{"t":"note","text":{}}}"#, json!(format!("degraded: {hostile}"))),
    ];
    let snapshots = [(1, 40, 500), (2, 900, 4_500)].map(|(id, ms, bytes)| {
        format!(
            r#"{{"t":"snapshot","id":{id},"ms":{ms},"why":"every"}}
{{"t":"live","snapshot":{id},"stack":2,"blocks":{id},"bytes":{bytes}}}"#
        )
    });
    let samples = (0..50_u64).map(|index| {
        let bytes = 1000 * index * (index % 7 + 1);
        format!(
            r#"{{"t":"sample","ms":{},"live_bytes":{bytes},"live_blocks":{},"allocations":{}}}"#,
            index * 20,
            index * 3,
            index * 5
        )
    });
    let lines: Vec<String> =
        first.into_iter().chain(snapshots).chain(samples).chain([END.to_owned()]).collect();
    let records = Records::new();
    records.bytes("7-0.jsonl", (lines.join("\n") + "\n").as_bytes());
    let child = start(8).replace(r#""ppid":1"#, r#""ppid":7"#);
    records.file("8-0.jsonl", &[&child, END]);
    records
}

fn page(records: &Records) -> PathBuf {
    let report = Report::read(records.path()).unwrap();
    let run = Run {
        command: vec!["./app".to_owned(), "--title=<b>x</b>".to_owned()],
        status: Some(3),
        began_ms: Some(1_772_385_605_000),
        ran_ms: Some(1_234),
        ..Run::default()
    };
    let path = records.path().join("report.html");
    let mut file = fs::File::create(&path).unwrap();
    report.render_html(&mut file, &run, &HtmlOptions::default()).unwrap();
    path
}

fn opened() -> (Browser, Records) {
    let records = records();
    let path = page(&records);
    let mut browser = Browser::start();
    browser.open(&path);
    (browser, records)
}

const VISIBLE: &str = "[...document.querySelectorAll('#leak-table tbody tr')].filter((row) => !row.hidden)\
     .map((row) => row.dataset.kind + ' ' + row.dataset.bytes).join(', ')";

/// All that the records say is there, as text, and nothing of it acts; nothing is loaded, nothing
/// fails.
#[test]
fn page_is_complete_and_harmless() {
    let (mut browser, _records) = opened();
    assert_eq!(browser.text("document.title"), "1 finding, 32 blocks lost · app");
    assert_eq!(browser.text("document.querySelector('h1').textContent"), "./app --title=<b>x</b>");
    let body = browser.text("document.body.innerText");
    for text in [
        "read past the end of a 100-byte block (offset 106)",
        "2026-03-01 17:20:05 UTC",
        "ran 1.23 s",
        "exit status 3",
        "2 processes",
        "degraded: </script><script>window.stolen = 1</script>",
        "└─ app",
        "What grew in app 7 from its first snapshot (at 40 ms) to its last (900 ms)",
        "+3.9 KiB\t+1\t500 bytes\t4.3 KiB\t",
    ] {
        assert!(body.contains(text), "{text:?} is not in {body}");
    }
    let all = browser.text("document.body.textContent");
    assert!(all.contains("0000  48 65 6c 6c 6f 00") && all.contains("Hello."), "{all}");
    assert!(
        all.contains("a cycle of blocks that hold each other: app+0x10 → app+0x20 → the first")
    );
    assert!(all.contains("held by what was allocated in app+0x10"));
    assert_eq!(browser.eval("window.stolen === undefined && document.images.length === 0"), true);
    assert_eq!(browser.eval("document.scripts.length"), 2);
    assert_eq!(browser.complaints(), [""; 0]);
}

/// The page's policy runs no script but ours, even if one got in.
#[test]
fn policy_holds() {
    let (mut browser, _records) = opened();
    browser.eval(
        "(() => { const one = document.createElement('script'); one.textContent = 'window.stolen = 1'; \
         document.body.append(one); const image = new Image(); image.src = 'file:///etc/hostname'; \
         document.body.append(image); })()",
    );
    let complaints = browser.complaints();
    assert_eq!(browser.eval("window.stolen === undefined"), true);
    assert!(complaints.iter().any(|one| one.contains("script-src")), "{complaints:?}");
    assert!(complaints.iter().any(|one| one.contains("img-src")), "{complaints:?}");
}

/// Headings sort, by keyboard too, and say so; the filter and the kinds hide rows and count the rest.
#[test]
fn table_sorts_and_filters() {
    let (mut browser, _records) = opened();
    let head = |key: &str| format!("document.querySelector('#leak-table [data-key={key}]')");
    let sorted = |key: &str| format!("{}.closest('th').ariaSort", head(key));
    let first = "lost 9000, lost 6000, indirect 1000, reachable 500";
    assert_eq!(browser.text(VISIBLE), first);
    browser.click(&head("bytes"));
    assert_eq!(browser.text(VISIBLE), first);
    assert_eq!(browser.text(&sorted("bytes")), "descending");
    browser.click(&head("bytes"));
    assert_eq!(browser.text(VISIBLE), "reachable 500, indirect 1000, lost 6000, lost 9000");
    assert_eq!(browser.text(&sorted("bytes")), "ascending");
    browser.click(&head("count"));
    assert_eq!(browser.text(VISIBLE), "reachable 500, lost 6000, indirect 1000, lost 9000");
    assert_eq!(browser.text(&sorted("bytes")), "none");
    browser.eval(&format!("{}.focus()", head("name")));
    let enter = json!({"type": "keyDown", "key": "Enter", "code": "Enter", "text": "\r",
        "windowsVirtualKeyCode": 13});
    browser.call("Input.dispatchKeyEvent", enter);
    assert_eq!(browser.text(&sorted("name")), "ascending");

    let count = "document.getElementById('leak-count').value";
    assert_eq!(browser.text(count), "4 places, 137 blocks, 16.1 KiB");
    browser.eval("document.getElementById('leak-filter').focus()");
    browser.type_text("App+0x300 HELD");
    assert_eq!(browser.text(VISIBLE), "indirect 1000");
    browser.eval("document.getElementById('leak-filter').select()");
    browser.type_text("no such function");
    assert_eq!(browser.text(VISIBLE), "");
    assert_eq!(browser.text(count), "0 places, 0 blocks, 0 bytes");
    browser.eval("document.getElementById('leak-filter').select()");
    browser.press("Delete");
    browser.eval("document.getElementById('leak-filter').value = ''");
    browser.eval("document.getElementById('leak-filter').dispatchEvent(new Event('input'))");
    browser.click("document.querySelector('.leak-kind[value=lost]')");
    assert_eq!(browser.text(count), "2 places, 105 blocks, 1.5 KiB");
    assert_eq!(browser.complaints(), [""; 0]);
}

/// Many findings are sifted by kind and by text; from the twenty-first on their stacks are folded away.
#[test]
fn findings_are_sifted() {
    let records = Records::new();
    let stacks =
        (1..26).map(|id| format!(r#"{{"t":"stack","id":{id},"frames":[[-1,{}]]}}"#, 4096 * id));
    let findings = (1..26).map(|id| {
        let kind = if id % 5 == 0 { "overflow" } else { "double_free" };
        format!(r#"{{"t":"finding","kind":"{kind}","here":{id},"tid":7,"addr":{id}}}"#)
    });
    let lines: Vec<String> = [start(7)].into_iter().chain(stacks).chain(findings).collect();
    records.bytes("7-0.jsonl", (lines.join("\n") + "\n").as_bytes());
    let path = page(&records);
    let mut browser = Browser::start();
    browser.open(&path);
    let count = "document.getElementById('finding-count').value";
    assert_eq!(browser.text(count), "25 findings shown");
    assert_eq!(browser.eval("document.querySelectorAll('.fold').length"), 5);
    browser.click("document.querySelector('.finding-kind[value=double_free]')");
    assert_eq!(browser.text(count), "5 findings shown");
    browser.eval("document.getElementById('finding-filter').focus()");
    browser.type_text("0x5000");
    assert_eq!(browser.text(count), "1 finding shown");
    let shown = "[...document.querySelectorAll('.card')].filter((card) => !card.hidden)[0].id";
    assert_eq!(browser.text(shown), "finding-5");
    assert_eq!(browser.complaints(), [""; 0]);
}

/// A frame by its label, and its width in the chart.
fn frame(name: &str) -> String {
    format!(
        "[...document.querySelectorAll('#icicle g')].find((one) => one.ariaLabel.startsWith('{name},'))"
    )
}

fn width(browser: &mut Browser, name: &str) -> f64 {
    let width = browser.eval(&format!("{}.querySelector('rect').width.baseVal.value", frame(name)));
    width.as_f64().unwrap()
}

/// Frames are as wide as their share; a click makes one as wide as the chart, Escape undoes it; arrows
/// move; what is searched is marked; the other metric and the other order change the shares.
#[test]
fn call_paths_zoom() {
    let (mut browser, _records) = opened();
    let whole = width(&mut browser, "everything");
    let near = |found: f64, wanted: f64| assert!((found - wanted).abs() < 2.0, "{found} {wanted}");
    near(width(&mut browser, "app+0x1000"), whole);
    near(width(&mut browser, "app+0x200"), whole * 15_000.0 / 16_500.0);
    near(width(&mut browser, "app+0x20"), whole * 9_000.0 / 16_500.0);

    browser.click(&frame("app+0x20"));
    near(width(&mut browser, "app+0x20"), whole);
    assert_eq!(browser.eval(&format!("{} === undefined", frame("app+0x10"))), true);
    assert_eq!(browser.eval("document.getElementById('path-reset').disabled"), false);
    browser.press("Escape");
    near(width(&mut browser, "app+0x20"), whole * 9_000.0 / 16_500.0);

    let focused = "document.activeElement.ariaLabel.split(',')[0]";
    assert_eq!(browser.text(focused), "everything");
    for (key, wanted) in [
        ("ArrowDown", "app+0x1000"),
        ("ArrowDown", "app+0x200"),
        ("ArrowDown", "app+0x20"),
        ("ArrowRight", "app+0x10"),
        ("ArrowLeft", "app+0x20"),
        ("ArrowUp", "app+0x200"),
    ] {
        browser.press(key);
        assert_eq!(browser.text(focused), wanted, "{key}");
    }
    let info = browser.text("document.getElementById('path-info').textContent");
    assert!(info.starts_with("app+0x200  14.6 KiB in 32 blocks, 90.9 % of everything"), "{info}");
    browser.press("Enter");
    near(width(&mut browser, "app+0x200"), whole);
    browser.click("document.getElementById('path-reset')");
    near(width(&mut browser, "app+0x200"), whole * 15_000.0 / 16_500.0);

    browser.eval("document.getElementById('path-search').focus()");
    browser.type_text("0x20");
    assert_eq!(browser.eval("document.querySelectorAll('#icicle .hit').length"), 2);
    let hits = browser.text("document.getElementById('path-hits').value");
    assert_eq!(hits, "90.9 % in what is highlighted");

    let choose = |id: &str, value: &str| {
        format!(
            "(() => {{ const one = document.getElementById('{id}'); one.value = '{value}'; \
             one.dispatchEvent(new Event('change')); }})()"
        )
    };
    browser.eval(&choose("path-metric", "0"));
    near(width(&mut browser, "app+0x200"), whole * 32.0 / 137.0);
    browser.eval(&choose("path-kind", "lost"));
    near(width(&mut browser, "app+0x200"), whole);
    browser.eval(&choose("path-order", "site"));
    near(width(&mut browser, "app+0x10"), whole * 30.0 / 32.0);
    assert_eq!(browser.complaints(), [""; 0]);
}

/// The pointer reads values off a plot, and leaves it as it was.
#[test]
fn plots_are_read() {
    let (mut browser, _records) = opened();
    assert_eq!(browser.eval("document.querySelectorAll('.plot').length"), 2);
    let label = "document.querySelector('.growth .value').textContent";
    let before = browser.text(label);
    assert_eq!(before, "peak 328.1 KiB, at the end 47.8 KiB");
    browser.point_at("document.querySelector('.plot')");
    assert!(browser.text(label).ends_with(" ms"), "{}", browser.text(label));
    assert_eq!(browser.eval("document.querySelectorAll('.plot .dot').length"), 1);
    browser.point_at("document.querySelector('h1')");
    assert_eq!(browser.text(label), before);
    assert_eq!(browser.complaints(), [""; 0]);
}

/// Narrow, wide, dark and light windows, and paper.
#[test]
fn page_fits_everywhere() {
    let (mut browser, _records) = opened();
    let mut backgrounds = Vec::new();
    for scheme in ["light", "dark"] {
        let feature = json!({"name": "prefers-color-scheme", "value": scheme});
        browser.call("Emulation.setEmulatedMedia", json!({"features": [feature]}));
        let color = browser.text("getComputedStyle(document.body).backgroundColor");
        backgrounds.push(color);
    }
    assert_eq!(backgrounds, ["rgb(246, 246, 248)", "rgb(17, 18, 22)"]);
    for width in [360, 800, 1920] {
        let size = json!({"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": false});
        browser.call("Emulation.setDeviceMetricsOverride", size);
        let overflow = browser.eval("document.documentElement.scrollWidth - innerWidth");
        assert!(overflow.as_i64().unwrap() <= 0, "{width}: {overflow} too wide");
    }
    let pdf = browser.call("Page.printToPDF", json!({"printBackground": true}));
    assert!(pdf["data"].as_str().unwrap().len() > 10_000);
    assert_eq!(browser.complaints(), [""; 0]);
}

/// DHAT's own viewer takes the profile, and shows its totals and stacks.
#[test]
fn dhat_viewer_opens_the_profile() {
    let records = records();
    let path = records.path().join("profile.json");
    let report = Report::read(records.path()).unwrap();
    let run = Run { command: vec!["./app".to_owned()], ran_ms: Some(1_234), ..Run::default() };
    report.render_dhat(&mut fs::File::create(&path).unwrap(), &run).unwrap();
    let mut browser = Browser::start();
    browser.open(Path::new(DHAT_VIEWER));
    let document = browser.call("DOM.getDocument", json!({}));
    let input = json!({"nodeId": document["root"]["nodeId"], "selector": "input[type=file]"});
    let input = browser.call("DOM.querySelector", input);
    let files = json!({"nodeId": input["nodeId"], "files": [path]});
    browser.call("DOM.setFileInputFiles", files);
    let loaded = "new Promise((done) => { const look = () => { const text = document.body.textContent; \
         if (text.includes('Allocated at') || text.includes('rror')) done(text); \
         else setTimeout(look, 20); }; look(); })";
    let text = browser.text(loaded);
    for wanted in [
        "Mode:    blocks that were never freed",
        "Command: ./app",
        "16,500 bytes (100%",
        "in 137 blocks (100%",
        "9,000 bytes (54.55%",
        "0x20: app+0x20",
    ] {
        assert!(text.contains(wanted), "{wanted:?} is not in {text}");
    }
    // Its own files are beside it.
    let complaints = browser.complaints().into_iter();
    let complaints = complaints.filter(|one| !one.contains("Network.requestWillBeSent"));
    assert_eq!(complaints.collect::<Vec<_>>(), [""; 0]);
}
