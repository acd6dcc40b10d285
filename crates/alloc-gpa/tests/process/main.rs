//! A whole process under the checking allocator: each case runs as a child of this program, which
//! looks at the child's output, exit status and records.
//!
//! It has no harness of the compiler's: the children shall be plain programs, which a harness' threads
//! would not be. The allocator is that of the example, which is one of the children.

mod cases;
#[path = "../../examples/leaky.rs"]
#[allow(dead_code, reason = "one child calls what its `main` calls")]
mod leaky;
mod run;

use libtest_mimic::{Arguments, Trial};
use run::{Run, line_of};
use serde_json::Value;

fn main() {
    let args = std::env::args_os().skip(1).collect::<Vec<_>>();
    if args.first().is_some_and(|arg| arg == "child") {
        let name = args[1].to_str().expect("cases have plain names");
        return cases::run(name);
    }
    let arguments = Arguments::from_args();
    let tests = TESTS.iter().map(|&(name, test)| {
        Trial::test(name, move || {
            test();
            Ok(())
        })
    });
    libtest_mimic::run(&arguments, tests.collect()).exit();
}

const TESTS: [(&str, fn()); 29] = [
    ("leaks_are_told_with_file_and_line", leaks_are_told_with_file_and_line),
    ("a_clean_program_says_nothing", a_clean_program_says_nothing),
    ("modes_of_a_global_allocator", modes_of_a_global_allocator),
    ("bad_settings_are_one_line_and_status_2", bad_settings_are_one_line_and_status_2),
    ("the_policy_decides_about_the_status", the_policy_decides_about_the_status),
    ("records_say_what_happened", records_say_what_happened),
    ("hostile_names_are_escaped", hostile_names_are_escaped),
    ("what_something_leads_to_is_no_leak", what_something_leads_to_is_no_leak),
    ("lost_and_indirect_are_told_apart", lost_and_indirect_are_told_apart),
    ("who_holds_what_is_told", who_holds_what_is_told),
    ("first_bytes_are_told_on_request", first_bytes_are_told_on_request),
    ("a_process_asks", a_process_asks),
    ("growth_is_recorded", growth_is_recorded),
    ("repeats_are_counted", repeats_are_counted),
    ("a_signal_asks_for_a_report", a_signal_asks_for_a_report),
    ("damage_is_told_before_the_end", damage_is_told_before_the_end),
    ("a_forked_child_reports_its_own", a_forked_child_reports_its_own),
    ("a_bare_fork_opens_a_file_of_its_own", a_bare_fork_opens_a_file_of_its_own),
    ("a_vfork_leaves_the_parents_file_alone", a_vfork_leaves_the_parents_file_alone),
    ("exit_handlers_come_first", exit_handlers_come_first),
    ("a_process_that_leaves_by_force_has_no_end", a_process_that_leaves_by_force_has_no_end),
    ("closed_descriptors_lose_no_record", closed_descriptors_lose_no_record),
    ("a_closed_standard_error_is_no_trouble", a_closed_standard_error_is_no_trouble),
    ("many_findings_are_capped", many_findings_are_capped),
    ("threads_at_work_raise_no_finding", threads_at_work_raise_no_finding),
    ("blocks_of_other_threads_are_no_leaks", blocks_of_other_threads_are_no_leaks),
    ("stack_overflows_are_told_by_std", stack_overflows_are_told_by_std),
    ("traps_are_findings", traps_are_findings),
    ("an_own_handler_passes_traps_on", an_own_handler_passes_traps_on),
];

/// An `Rc` cycle and a forgotten buffer: each with the line that made it.
fn leaks_are_told_with_file_and_line() {
    let done = Run::new("leaky").text();
    assert_eq!((done.status, done.stdout.as_str()), (Some(0), "done\n"));
    let source = include_str!("../../examples/leaky.rs");
    let cycle = format!("leaky.rs:{}", line_of(source, "// leaks: a cycle"));
    let forgotten = format!("leaky.rs:{}", line_of(source, "// leaks: forgotten"));
    let paragraphs = done.stderr.split("alloc-gpa: ").skip(1).collect::<Vec<_>>();
    let [first, second, third, summary] = paragraphs[..] else { panic!("{}", done.stderr) };
    let first_frame = |paragraph: &str| paragraph.lines().nth(1).map(str::to_owned).unwrap();
    assert!(first.starts_with("1 block lost, 1000 bytes"), "{}", done.stderr);
    assert!(first_frame(first).ends_with(&forgotten), "{}", done.stderr);
    assert!(second.starts_with("1 block lost, 136 bytes"), "{}", done.stderr);
    assert!(first_frame(second).ends_with(&cycle), "{}", done.stderr);
    assert!(third.starts_with("1 block held by lost ones only, 136 bytes"), "{}", done.stderr);
    assert!(first_frame(third).ends_with(&cycle), "{}", done.stderr);
    let expected =
        "findings: 0; blocks lost: 2 (1136 bytes), held by lost ones only: 1 (136 bytes)";
    assert!(summary.starts_with(expected), "{summary}");
}

fn a_clean_program_says_nothing() {
    let done = Run::new("clean").text();
    let all = (done.status, done.stdout.as_str(), done.stderr.as_str());
    assert_eq!(all, (Some(0), "clean\n", ""));
}

/// The modes of a program whose global allocator this is: what is guarded is checked, and the rest is
/// the system's.
fn modes_of_a_global_allocator() {
    for options in ["guard=every", "guard=every,guard_align=left", "guard=sampled:1"] {
        let done = Run::new("double_free").options(&format!("{options},on_finding=exit:9")).text();
        assert_eq!(done.status, Some(9), "{options}: {}", done.stderr);
        assert_eq!(done.stderr.matches("double free").count(), 1, "{}", done.stderr);
        let done = Run::new("clean").options(options).text();
        let all = (done.status, done.stdout.as_str(), done.stderr.as_str());
        assert_eq!(all, (Some(0), "clean\n", ""), "{options}");
    }
    let done = Run::new("clean").options("guard=sampled:2").records();
    let [records] = &done.records[..] else { panic!("{:?}", done.records) };
    assert_eq!(records.only("end")["leaks_counted"], "none");
    let notes = records.of("note").map(|line| line["text"].as_str().unwrap()).collect::<Vec<_>>();
    assert!(notes.iter().any(|note| note.starts_with("sampled: ")), "{notes:?}");
    assert!(notes.iter().any(|note| note.starts_with("leaks: not looked for")), "{notes:?}");
}

fn bad_settings_are_one_line_and_status_2() {
    for (value, line) in [
        ("stack=3", "unknown key `stack`; the keys are stacks, history, "),
        ("stacks=x\ny", "`x\\x0ay` is no value of `stacks`; it takes off, or 1 to 32"),
    ] {
        let done = Run::new("clean").options(value).text();
        assert_eq!((done.status, done.stdout.as_str()), (Some(2), ""));
        let start = format!("alloc-gpa: ALLOC_GPA: {line}");
        assert!(done.stderr.starts_with(&start), "{}", done.stderr);
        assert_eq!(done.stderr.lines().count(), 1, "{}", done.stderr);
    }
}

/// Standard output that C's streams still hold is not lost when the status is changed.
fn the_policy_decides_about_the_status() {
    for (policy, status) in
        [("continue", 3), ("record", 3), ("exit:9", 9), ("exit:0", 0), ("abort", 23)]
    {
        let done = Run::new("lost").options(&format!("on_finding={policy}")).text();
        assert_eq!(done.status, Some(status), "{policy}");
        assert_eq!(done.stdout, "buffered by C\n", "{policy}");
    }
    // Under `alloc-check` the status is the program's own, whatever the variable says.
    let done = Run::new("lost").options("on_finding=exit:9").records();
    assert_eq!((done.status, done.stderr.as_str()), (Some(3), ""));
    let done = Run::new("double_free").options("on_finding=exit:9").text();
    assert_eq!(done.status, Some(9));
    assert_eq!(done.stderr.matches("double free").count(), 1, "{}", done.stderr);
}

/// Each kind of line, with what must be in it.
fn records_say_what_happened() {
    let done = Run::new("double_free").records();
    assert_eq!(
        (done.status, done.stderr.as_str()),
        (Some(0), ""),
        "nothing on inherited descriptors"
    );
    let [records] = &done.records[..] else { panic!("{:?}", done.records) };
    let start = records.only("start");
    assert_eq!((&start["v"], &start["forked"]), (&1.into(), &false.into()));
    assert_eq!(start["argv"][2], "double_free");
    let kinds = records.of("finding").map(|line| line["kind"].clone()).collect::<Vec<_>>();
    assert_eq!(kinds, ["double_free", "size_mismatch", "align_mismatch", "size_mismatch"]);
    let first = records.of("finding").next().unwrap();
    assert_eq!((&first["block"]["size"], &first["offset"]), (&40.into(), &0.into()));
    for stack in ["here", "allocated", "freed"] {
        let frames = records.stack(&first[stack]);
        assert!(1 < frames.len(), "{stack}");
        for frame in frames {
            let (module, addr) = (frame[0].as_i64().unwrap(), frame[1].as_u64().unwrap());
            let module = records.of("module").find(|line| line["id"] == module);
            let module = module.expect("every frame's module was written before");
            let range = module["start"].as_u64().unwrap()..=module["end"].as_u64().unwrap();
            assert!(range.contains(&(module["bias"].as_u64().unwrap() + addr)), "{frame}");
        }
    }
    let end = records.only("end");
    assert_eq!((&end["leaks_counted"], &end["status"]), (&"scan".into(), &0.into()));
    assert_eq!(end["findings"], 4);
    assert_eq!(records.lines.last(), Some(end), "the last line");
    assert_eq!(records.of("leak").count(), 0);
}

/// A thread's name and arguments are strangers' bytes; every line stays JSON.
fn hostile_names_are_escaped() {
    use std::os::unix::ffi::OsStrExt;
    let argument = std::ffi::OsStr::from_bytes(b"\"\\\xff\n\x01");
    let long = "x".repeat(300);
    let done = Run::new("hostile_name").argument(argument).argument(long.as_ref()).records();
    let [records] = &done.records[..] else { panic!("{:?}", done.records) };
    let argv = &records.only("start")["argv"];
    assert_eq!(argv[3], "\"\\\u{ff}\n\u{1}");
    assert_eq!(argv[4].as_str().map(str::len), Some(256));
    assert_eq!(records.only("finding")["thread"], "a\"\\\u{1}\u{e9}b");
}

fn what_something_leads_to_is_no_leak() {
    for case in [
        "static",
        "stack",
        "block",
        "interior",
        "last_byte",
        "thread_local",
        "other_heap",
        "mapping",
        "sealed",
        "large",
    ] {
        let done = Run::new(case).records();
        let [records] = &done.records[..] else { panic!("{case}: {:?}", done.records) };
        assert_eq!(records.leaks(), [], "{case}");
        let end = records.only("end");
        assert_eq!((&end["lost_blocks"], &end["leaks_counted"]), (&0.into(), &"scan".into()));
        let kept = end["reachable_bytes"].as_u64().unwrap();
        assert!(cases::SIZE as u64 <= kept, "{case}: {kept}");
    }
}

fn lost_and_indirect_are_told_apart() {
    let size = cases::SIZE as u64;
    for (case, expected) in [
        ("hidden", &[("lost", 1, size)][..]),
        ("one_past_the_end", &[("lost", 1, size)]),
        ("chain", &[("lost", 1, size), ("indirect", 2, 2 * size)]),
        ("ring", &[("lost", 1, size), ("indirect", 2, 2 * size)]),
        ("ring_with_a_tail", &[("lost", 1, size), ("indirect", 3, 3 * size)]),
        ("large_chain", &[("lost", 1, 8 << 20), ("indirect", 1, size)]),
        ("many", &[("lost", 100, 5050)]),
    ] {
        let done = Run::new(case).records();
        let [records] = &done.records[..] else { panic!("{case}: {:?}", done.records) };
        let mut sums = std::collections::BTreeMap::<_, (u64, u64)>::new();
        for (kind, count, bytes) in records.leaks() {
            let sum = sums.entry(std::cmp::Reverse(kind)).or_default();
            *sum = (sum.0 + count, sum.1 + bytes);
        }
        let found = sums.iter().map(|(kind, sum)| (kind.0.as_str(), sum.0, sum.1));
        assert_eq!(found.collect::<Vec<_>>(), expected, "{case}");
        if case == "many" {
            let leak = records.only("leak");
            assert_eq!((&leak["min"], &leak["max"]), (&1.into(), &100.into()));
        }
    }
}

/// An indirect leak names the stack of what holds it; a ring has a way back, a chain has none.
fn who_holds_what_is_told() {
    for (case, loops) in [("chain", false), ("ring", true), ("ring_with_a_tail", true)] {
        let done = Run::new(case).records();
        let [records] = &done.records[..] else { panic!("{case}: {:?}", done.records) };
        let lost = records.of("leak").find(|leak| leak["kind"] == "lost").expect("a lost block");
        assert!(lost["holder"].is_null(), "{case}: {lost}");
        assert!(lost["addr"].as_u64().is_some_and(|addr| addr != 0), "{case}: {lost}");
        for held in records.of("leak").filter(|leak| leak["kind"] == "indirect") {
            assert_eq!(held["holder"], lost["stack"], "{case}: {held}");
        }
        let mut ways = records.of("leak").filter(|leak| !leak["cycle"].is_null());
        let way = ways.next();
        assert!(ways.next().is_none(), "{case}: one cycle is told once: {:?}", records.lines);
        assert_eq!(way.is_some(), loops, "{case}");
        if let Some(way) = way {
            let kind = if case == "ring" { "lost" } else { "indirect" };
            assert_eq!((&way["kind"], &way["cycle"][0]), (&kind.into(), &way["stack"]), "{way}");
            let stacks = way["cycle"].as_array().unwrap();
            assert_eq!(stacks.len(), 3, "{way}");
            assert!(stacks.iter().all(|id| !records.stack(id).is_empty()), "{way}");
        }
    }
    let text = Run::new("ring").text().stderr;
    assert!(text.contains("in a cycle: it leads back to itself by way of"), "{text}");
    assert!(text.contains("held by what is from "), "{text}");
}

fn first_bytes_are_told_on_request() {
    let done = Run::new("lost").options("dump=3").records();
    let [records] = &done.records[..] else { panic!("{:?}", done.records) };
    assert_eq!(records.only("leak")["dump"], "000000");
    let done = Run::new("lost").records();
    assert!(done.records[0].only("leak")["dump"].is_null());
    let text = Run::new("lost").options("dump=16").text().stderr;
    let line = format!("    {} ................\n", "00 ".repeat(16));
    assert!(text.contains(&line), "{text}");
}

/// A program looks for its leaks and goes on; under `alloc-check` they are in the records as well, told
/// from those of the end.
fn a_process_asks() {
    let done = Run::new("asks").text();
    assert_eq!((done.status, done.stdout.as_str()), (Some(0), "asked lost\n"), "{}", done.stderr);
    let done = Run::new("asks").records();
    assert_eq!(done.status, Some(0), "{}", done.stderr);
    let [records] = &done.records[..] else { panic!("{:?}", done.records) };
    let ids: Vec<_> = records.of("snapshot").map(|line| line["id"].as_u64().unwrap()).collect();
    assert_eq!(ids, (1..=8).collect::<Vec<_>>());
    assert!(records.of("snapshot").all(|line| line["why"] == "request"));
    let size = cases::SIZE as u64;
    let found: Vec<_> = records
        .of("leak_at")
        .filter(|line| line["kind"] == "lost")
        .map(|line| (line["snapshot"].as_u64().unwrap(), line["bytes"].as_u64().unwrap()))
        .collect();
    // One place or two: the blocks of one function, in one or two lines of the source.
    let sum = |id| found.iter().filter(|found| found.0 == id).map(|found| found.1).sum::<u64>();
    assert_eq!((1..=8).map(sum).collect::<Vec<_>>(), [0, 0, size, size, size, 2 * size, 0, size]);
    for line in records.of("live") {
        let id = line["snapshot"].as_u64().unwrap();
        assert!((1..=8).contains(&id) && line["blocks"].as_u64() != Some(0), "{line}");
        assert!(!records.stack(&line["stack"]).is_empty());
    }
    assert_eq!(records.leaks(), [("lost".to_owned(), 1, size)]);
}

fn growth_is_recorded() {
    let done = Run::new("grows").options("live=exit,every=1,sample=10").records();
    let [records] = &done.records[..] else { panic!("{:?}", done.records) };
    let count: u64 = done.stdout.trim().parse().unwrap();
    let samples: Vec<_> = records.of("sample").collect();
    assert!(10 <= samples.len(), "{samples:?}");
    for pair in samples.windows(2) {
        for key in ["ms", "allocations"] {
            assert!(pair[0][key].as_u64() <= pair[1][key].as_u64(), "{pair:?}");
        }
    }
    let most = samples.iter().map(|line| line["live_bytes"].as_u64().unwrap()).max().unwrap();
    assert!(count * 4000 <= most + (1 << 17), "{count} {most}");
    assert!(samples.iter().all(|line| 1 << 20 < line["resident_bytes"].as_u64().unwrap()));
    let why: Vec<_> = records.of("snapshot").map(|line| line["why"].as_str().unwrap()).collect();
    // Two at least; each is told as memory is taken, at whatever time that is.
    let [every @ .., "exit"] = &why[..] else { panic!("{why:?}") };
    assert!(2 <= every.len() && every.iter().all(|why| *why == "every"), "{why:?}");
    let last = why.len() as u64;
    let exit = records.of("snapshot").last().unwrap();
    assert_eq!(exit["complete"], true, "{exit}");
    let live = |id: u64| {
        records.of("live").filter(move |line| line["snapshot"] == id).map(|line| {
            ["bytes", "total_bytes", "total_blocks"].map(|key| line[key].as_u64().unwrap_or(0))
        })
    };
    // What grew most is the program's: in the second snapshot more.
    let most: Vec<_> = (1..=last).map(|id| live(id).map(|live| live[0]).max().unwrap()).collect();
    assert!(most[0] < most[1], "{most:?}");
    // At the exit the blocks were freed: they are in the totals.
    let total = live(last).find(|live| live[2] == count).expect("the place that allocated most");
    assert_eq!(total, [0, count * 4000, count]);
    // Without records, the growth is printed.
    let text = Run::new("grows").options("every=1").text().stderr;
    assert!(text.contains("blocks live after "), "{text}");
    assert!(text.contains("grows at "), "{text}");
    let text = Run::new("lost").options("live=exit").text().stderr;
    assert!(text.contains("alloc-gpa: live: "), "{text}");
}

/// A signal is answered while the process runs: with leaks, what is live, and what grew.
fn a_signal_asks_for_a_report() {
    let options = "report_on=SIGUSR2,sample=off";
    let done = Run::new("asked").options(options).records();
    assert_eq!((done.status, done.stdout.as_str()), (Some(0), "went on\n"));
    let [records] = &done.records[..] else { panic!("{:?}", done.records) };
    let why: Vec<_> = records.of("snapshot").map(|line| line["why"].as_str().unwrap()).collect();
    assert_eq!(why, ["request"; 2]);
    let lost: Vec<_> = records
        .of("leak_at")
        .filter(|line| line["kind"] == "lost")
        .map(|line| (line["snapshot"].as_u64().unwrap(), line["bytes"].as_u64().unwrap()))
        .collect();
    let size = cases::SIZE as u64;
    // Both blocks are of one place.
    assert_eq!(lost, [(1, size), (2, 3 * size)]);
    let guarded = Run::new("asked").options("report_on=SIGUSR2,sample=off,guard=every").records();
    let [guarded] = &guarded.records[..] else { panic!("{:?}", guarded.records) };
    let lost = guarded.of("leak_at").filter(|line| line["kind"] == "lost");
    let lost: Vec<_> = lost.map(|line| line["bytes"].as_u64().unwrap()).collect();
    assert_eq!(lost, [size, 3 * size]);
    let text = Run::new("asked").options(options).text().stderr;
    assert_eq!(text.matches("alloc-gpa: asked to report: ").count(), 2, "{text}");
    assert!(text.contains("+1 block live after "), "{text}");
    // Without the setting the signal does what it always does.
    let done = Run::new("asked").options("sample=off").text();
    assert_eq!((done.status, done.stdout.as_str()), (None, ""));
}

fn repeats_are_counted() {
    let done = Run::new("repeats").records();
    let [records] = &done.records[..] else { panic!("{:?}", done.records) };
    assert_eq!(records.of("finding").count(), 2);
    assert!(records.of("finding").all(|line| line["count"] == 1));
    let repeat = records.only("repeat");
    assert_eq!((&repeat["finding"], &repeat["count"]), (&1.into(), &5.into()));
}

fn damage_is_told_before_the_end() {
    let done = Run::new("damages").records();
    let [records] = &done.records[..] else { panic!("{:?}", done.records) };
    assert_eq!(records.only("finding")["kind"], "overflow");
    assert_eq!(records.of("end").count(), 0);
    assert_ne!(records.of("sample").count(), 0);
}

/// The child's leak is the child's alone, the parent's the parent's; findings likewise.
fn a_forked_child_reports_its_own() {
    let done = Run::new("fork").records();
    assert_eq!(done.status, Some(0));
    let [parent, child] = &done.records[..] else { panic!("{:?}", done.records) };
    let (parent, child) =
        if child.only("start")["forked"] == true { (parent, child) } else { (child, parent) };
    assert_eq!(parent.only("start")["forked"], false);
    assert_eq!(child.only("start")["ppid"], parent.only("start")["pid"]);
    assert_eq!(parent.leaks(), [("lost".to_owned(), 1, 1000)]);
    assert_eq!(child.leaks(), [("lost".to_owned(), 1, 77)]);
    assert_eq!(parent.of("finding").count(), 1);
    assert_eq!(child.of("finding").count(), 1, "the same fault again, in the child");
    assert_eq!(child.only("end")["status"], 5);
    assert_eq!(child.only("end")["live_blocks"], 1);
}

fn a_bare_fork_opens_a_file_of_its_own() {
    let done = Run::new("bare_fork").records();
    assert_eq!(done.status, Some(0));
    assert_eq!(done.records.len(), 2);
    for records in &done.records {
        let forked = records.only("start")["forked"] == Value::Bool(true);
        assert_eq!(records.of("finding").count(), usize::from(forked));
        assert_eq!(records.of("end").count(), usize::from(!forked));
    }
}

/// The child runs in its parent's memory; each has its file, and the parent's goes on.
fn a_vfork_leaves_the_parents_file_alone() {
    let done = Run::new("shared_memory").records();
    assert_eq!(done.status, Some(0));
    assert_eq!(done.records.len(), 2);
    for records in &done.records {
        let forked = records.only("start")["forked"] == Value::Bool(true);
        assert_eq!(records.of("finding").count(), if forked { 1 } else { 2 });
        assert_eq!(records.of("end").count(), usize::from(!forked));
    }
}

/// A block that an exit handler frees is no leak: the search comes after the handlers.
fn exit_handlers_come_first() {
    let done = Run::new("exit_handler").records();
    let [records] = &done.records[..] else { panic!("{:?}", done.records) };
    assert_eq!(records.leaks(), []);
    assert_eq!(records.of("finding").count(), 0);
}

fn a_process_that_leaves_by_force_has_no_end() {
    let done = Run::new("leave_by_force").records();
    let [records] = &done.records[..] else { panic!("{:?}", done.records) };
    assert_eq!(done.status, Some(4));
    assert_eq!((records.of("start").count(), records.of("end").count()), (1, 0));
}

/// A program that closes all descriptors and opens files under their numbers: the records go on in
/// their file, and into no other.
fn closed_descriptors_lose_no_record() {
    let done = Run::new("close_all").records();
    assert_eq!((done.status, done.stdout.as_str()), (Some(0), ""));
    let [records] = &done.records[..] else { panic!("{:?}", done.records) };
    assert_eq!(records.of("finding").count(), 2);
    assert_eq!(records.of("end").count(), 1);
}

fn a_closed_standard_error_is_no_trouble() {
    let done = Run::new("closed_standard_error").text();
    assert_eq!((done.status, done.stderr.as_str()), (Some(0), ""));
}

fn many_findings_are_capped() {
    let done = Run::new("many_findings").options("stacks=off").records();
    let [records] = &done.records[..] else { panic!("{:?}", done.records) };
    assert_eq!(records.of("finding").count(), 10_000);
    let note = records.only("note")["text"].as_str().unwrap();
    assert!(note.starts_with("degraded: more findings"), "{note}");
}

/// The last sweep passes over slabs whose memory is being given back.
fn threads_at_work_raise_no_finding() {
    for _ in 0..10 {
        let done = Run::new("busy_threads").records();
        let [records] = &done.records[..] else { panic!("{:?}", done.records) };
        assert_eq!((done.status, records.of("finding").next()), (Some(0), None));
    }
}

fn blocks_of_other_threads_are_no_leaks() {
    let done = Run::new("other_thread").records();
    let [records] = &done.records[..] else { panic!("{:?}", done.records) };
    assert_eq!(records.leaks(), []);
}

/// The allocator's handler does not silence std's, whichever came first.
fn stack_overflows_are_told_by_std() {
    for (case, thread) in [("overflow", "main"), ("overflow_in_thread", "deep")] {
        for guard in ["off", "every"] {
            let done = Run::new(case).options(&format!("guard={guard}")).text();
            assert_eq!(done.status, None, "killed by a signal: {}", done.stderr);
            let expected = format!("thread '{thread}'");
            let told = done.stderr.contains("has overflowed its stack");
            assert!(told && done.stderr.contains(&expected), "{guard}: {}", done.stderr);
        }
    }
}

/// Each access is one finding, with the line of the access and what the block was.
fn traps_are_findings() {
    let source = include_str!("cases.rs");
    let place = |mark| format!("cases.rs:{}", line_of(source, mark));
    for guard_impl in ["madvise", "mprotect"] {
        let options = format!("guard=every,guard_align=exact,guard_impl={guard_impl}");
        let done = Run::new("trap").options(&options).text();
        assert_eq!((done.status, done.stdout.as_str()), (Some(0), "goes on\n"), "{}", done.stderr);
        let paragraphs = done.stderr.split("alloc-gpa: ").skip(1).collect::<Vec<_>>();
        let [first, second, ..] = paragraphs[..] else { panic!("{}", done.stderr) };
        for (paragraph, words, mark) in [
            (first, "read past the end: a block of 40 bytes", "// reads past the end"),
            (second, "write after free: a block of 40 bytes", "// writes after the free"),
        ] {
            assert!(paragraph.starts_with(words), "{}", done.stderr);
            let here = paragraph.lines().nth(2).unwrap_or_default();
            assert!(here.ends_with(&place(mark)), "{here}: {}", done.stderr);
        }
        assert_eq!(done.stderr.matches("write after free").count(), 1, "{}", done.stderr);
    }
}

/// A handler that a program installs later is the one in force; it passes on what is not its own.
fn an_own_handler_passes_traps_on() {
    let done = Run::new("own_handler").options("guard=every,guard_align=exact").text();
    assert_eq!((done.status, done.stdout.as_str()), (Some(6), "goes on\n"), "{}", done.stderr);
    assert_eq!(done.stderr.matches("; trapped").count(), 2, "{}", done.stderr);
}
