//! The profiles that other tools read: pprof's, taken apart by a decoder written here from
//! `profile.proto` alone, and DHAT's, held against the rules of its viewer.

mod support;

use std::collections::HashMap;
use std::io::Read;

use alloc_report::{Report, Run};
use serde_json::Value;
use support::{END, Records, address, build_id, compile, start};

/// A field of a protobuf message: its number, and what it holds.
#[derive(Debug, Clone, PartialEq)]
enum Field {
    Number(u64),
    Bytes(Vec<u8>),
}

/// A protobuf message: its fields in the order of their bytes.
#[derive(Debug, Clone)]
struct Message(Vec<(u64, Field)>);

fn varint(bytes: &mut &[u8]) -> u64 {
    let (mut value, mut shift) = (0, 0);
    loop {
        let (byte, rest) = bytes.split_first().expect("a varint is cut");
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << shift;
        shift += 7;
        if byte & 0x80 == 0 {
            return value;
        }
    }
}

impl Message {
    fn decode(mut bytes: &[u8]) -> Self {
        let mut fields = Vec::new();
        while !bytes.is_empty() {
            let key = varint(&mut bytes);
            let field = match key & 7 {
                0 => Field::Number(varint(&mut bytes)),
                2 => {
                    let len = usize::try_from(varint(&mut bytes)).unwrap();
                    let (content, rest) = bytes.split_at(len);
                    bytes = rest;
                    Field::Bytes(content.to_vec())
                }
                other => panic!("wire type {other} is in no profile"),
            };
            fields.push((key >> 3, field));
        }
        Self(fields)
    }

    fn all(&self, number: u64) -> impl Iterator<Item = &Field> {
        self.0.iter().filter(move |field| field.0 == number).map(|field| &field.1)
    }

    fn messages(&self, number: u64) -> Vec<Self> {
        let bytes = self.all(number).map(|field| match field {
            Field::Bytes(bytes) => Self::decode(bytes),
            Field::Number(_) => panic!("field {number} is a number"),
        });
        bytes.collect()
    }

    /// The numbers of a field, packed or not.
    fn numbers(&self, number: u64) -> Vec<u64> {
        let mut numbers = Vec::new();
        for field in self.all(number) {
            match field {
                Field::Number(value) => numbers.push(*value),
                Field::Bytes(bytes) => {
                    let mut bytes = &bytes[..];
                    while !bytes.is_empty() {
                        numbers.push(varint(&mut bytes));
                    }
                }
            }
        }
        numbers
    }

    /// A field that stands once, or has its default.
    fn number(&self, number: u64) -> u64 {
        let numbers = self.numbers(number);
        assert!(numbers.len() < 2, "field {number} stands more than once");
        numbers.first().copied().unwrap_or(0)
    }
}

/// A profile with its strings.
struct Profile {
    message: Message,
    strings: Vec<String>,
}

impl Profile {
    fn of(report: &Report, run: &Run) -> Self {
        let mut compressed = Vec::new();
        report.render_pprof(&mut compressed, run).unwrap();
        assert_eq!(compressed[..2], [0x1f, 0x8b], "gzip's magic number");
        let mut bytes = Vec::new();
        flate2::read::GzDecoder::new(&compressed[..]).read_to_end(&mut bytes).unwrap();
        let message = Message::decode(&bytes);
        let strings = message.all(6).map(|field| match field {
            Field::Bytes(bytes) => String::from_utf8(bytes.clone()).unwrap(),
            Field::Number(_) => panic!("a string is a number"),
        });
        let strings = strings.collect();
        Self { message, strings }
    }

    fn string(&self, index: u64) -> &str {
        &self.strings[usize::try_from(index).unwrap()]
    }

    fn types(&self) -> Vec<String> {
        let types = self.message.messages(1);
        let name = |one: &Message| {
            format!("{}/{}", self.string(one.number(1)), self.string(one.number(2)))
        };
        types.iter().map(name).collect()
    }

    /// Messages by their id, each of which is given once.
    fn by_id(&self, field: u64) -> HashMap<u64, Message> {
        let messages = self.message.messages(field);
        let count = messages.len();
        let by_id: HashMap<_, _> = messages.into_iter().map(|one| (one.number(1), one)).collect();
        assert!(by_id.len() == count && !by_id.contains_key(&0));
        by_id
    }

    /// Each sample: its values, its label `kind`, and its stack as `function file:line`, innermost
    /// first, inlined ones with a `+` before them.
    fn samples(&self) -> Vec<(Vec<u64>, String, Vec<String>)> {
        let (locations, functions) = (self.by_id(4), self.by_id(5));
        let mut samples = Vec::new();
        for sample in self.message.messages(2) {
            let mut stack = Vec::new();
            for id in sample.numbers(1) {
                let lines = locations[&id].messages(4);
                for (index, line) in lines.iter().enumerate() {
                    let function = &functions[&line.number(1)];
                    let file = self.string(function.number(4)).rsplit('/').next().unwrap();
                    let inlined = if index + 1 < lines.len() { "+" } else { "" };
                    let name = self.string(function.number(2));
                    stack.push(format!("{inlined}{name} {file}:{}", line.number(2)));
                }
            }
            let labels = sample.messages(3);
            let labels = labels.iter().map(|label| {
                format!("{}={}", self.string(label.number(1)), self.string(label.number(2)))
            });
            samples.push((sample.numbers(2), labels.collect(), stack));
        }
        samples
    }
}

fn leak(kind: &str, stack: u32, count: u32, bytes: u32) -> String {
    format!(
        r#"{{"t":"leak","kind":"{kind}","stack":{stack},"count":{count},"bytes":{bytes},"min":1,"max":9}}"#
    )
}

/// A stack through inlined code of a real program, and one that nobody knows.
fn profiled(more: &[&str]) -> (tempfile::TempDir, Report) {
    let dir = tempfile::tempdir().unwrap();
    let program = dir.path().join("program");
    compile("program.c", &program, &["-g", "-O1", "-Wl,--build-id"]);
    let mark = address(&program, "mark") + 1;
    let records = Records::new();
    let lines = [
        start(7),
        format!(
            r#"{{"t":"module","id":0,"path":"{}","start":4096,"end":8192,"bias":4000,"build_id":"{}"}}"#,
            program.display(),
            build_id(&program)
        ),
        r#"{"t":"module","id":1,"path":"/gone/liballoc_preload.so"}"#.to_owned(),
        format!(r#"{{"t":"stack","id":1,"frames":[[1,64],[0,{mark}]]}}"#),
        r#"{"t":"stack","id":2,"frames":[[-1,80]]}"#.to_owned(),
        leak("lost", 1, 3, 300),
        leak("reachable", 1, 1, 7),
        leak("lost", 2, 2, 20),
        leak("indirect", 0, 1, 5),
    ];
    let lines: Vec<&str> = lines.iter().map(String::as_str).chain(more.iter().copied()).collect();
    records.file("7-0.jsonl", &[&lines[..], &[END]].concat());
    let mut report = records.read();
    report.symbolise(&mut alloc_report::Symboliser::new(), |_, _| ());
    (dir, report)
}

fn run() -> Run {
    Run {
        command: vec!["./app".to_owned(), "x".to_owned()],
        began_ms: Some(1_772_385_605_000),
        ran_ms: Some(1_234),
        ..Run::default()
    }
}

/// Every sample with its values, label and stack; mappings, times, and the same bytes each time.
#[test]
fn pprof() {
    let (dir, report) = profiled(&[]);
    let profile = Profile::of(&report, &run());
    assert_eq!(profile.strings[0], "");
    assert_eq!(profile.types(), ["inuse_objects/count", "inuse_space/bytes"]);
    let inlined = ["+inner program.c:11".to_owned(), "outer program.c:15".to_owned()];
    let place = |name: &str| vec![format!("{name} :0")];
    let wanted = [
        (vec![3, 300], "kind=lost".to_owned(), inlined.to_vec()),
        (vec![2, 20], "kind=lost".to_owned(), place("0x50")),
        (vec![1, 5], "kind=indirect".to_owned(), place("[no stack was recorded]")),
        (vec![1, 7], "kind=reachable".to_owned(), inlined.to_vec()),
    ];
    assert_eq!(profile.samples(), wanted);
    let message = &profile.message;
    assert_eq!((message.number(9), message.number(10)), (1_772_385_605_000_000_000, 1_234_000_000));
    let period = &message.messages(11)[0];
    assert_eq!((profile.string(period.number(1)), message.number(12)), ("space", 1));
    assert_eq!(profile.string(message.number(13)), "./app x");
    assert_eq!(profile.string(message.number(14)), "inuse_space");
    // Of the modules only the program is in a stack that is shown.
    let mappings = message.messages(3);
    assert_eq!(mappings.len(), 1);
    let numbers: Vec<u64> = [1, 2, 3, 7, 8, 9, 10].map(|field| mappings[0].number(field)).to_vec();
    assert_eq!(numbers, [1, 4096, 8192, 1, 1, 1, 1]);
    assert_eq!(profile.string(mappings[0].number(6)), build_id(&dir.path().join("program")));
    let (mut first, mut second) = (Vec::new(), Vec::new());
    report.render_pprof(&mut first, &run()).unwrap();
    report.render_pprof(&mut second, &run()).unwrap();
    assert_eq!(first, second);
}

const SNAPSHOT: &str = r#"{"t":"snapshot","id":1,"ms":5,"why":"exit","live_blocks":4,"live_bytes":40,"allocations":9,"complete":true}"#;
const LIVE: [&str; 2] = [
    r#"{"t":"live","snapshot":1,"stack":1,"blocks":4,"bytes":40,"total_blocks":9,"total_bytes":90}"#,
    r#"{"t":"live","snapshot":1,"stack":2,"blocks":0,"bytes":0,"total_blocks":5,"total_bytes":50}"#,
];

/// Where a process recorded all that each stack allocated, both profiles have it.
#[test]
fn totals_of_a_snapshot() {
    let (_dir, report) = profiled(&[SNAPSHOT, LIVE[0], LIVE[1]]);
    let profile = Profile::of(&report, &run());
    let types =
        ["alloc_objects/count", "alloc_space/bytes", "inuse_objects/count", "inuse_space/bytes"];
    assert_eq!(profile.types(), types);
    let values: Vec<_> = profile.samples().into_iter().map(|sample| sample.0).collect();
    assert_eq!(values, [[9, 90, 4, 40], [5, 50, 0, 0]]);
    let dhat = dhat(&report);
    assert_eq!((&dhat["mode"], &dhat["pps"][0]["tb"]), (&"all blocks".into(), &90.into()));
    let incomplete = SNAPSHOT.replace("true", "false");
    let (_dir, report) = profiled(&[&incomplete, LIVE[0], LIVE[1]]);
    let profile = Profile::of(&report, &run());
    assert_eq!(profile.types(), types[2..]);
    let values: Vec<_> = profile.samples().into_iter().map(|sample| sample.0).collect();
    assert_eq!(values, [[4, 40]], "what holds nothing is left out");
}

fn dhat(report: &Report) -> Value {
    let mut text = Vec::new();
    report.render_dhat(&mut text, &run()).unwrap();
    serde_json::from_slice(&text).unwrap()
}

/// The fields that the viewer asks for, none of those that belong to what was not measured, each stack
/// once, and totals that add up.
#[test]
fn dhat_profile() {
    let (_dir, report) = profiled(&[]);
    let dhat = dhat(&report);
    let mut fields: Vec<&str> = dhat.as_object().unwrap().keys().map(String::as_str).collect();
    fields.sort_unstable();
    let wanted = [
        "Mtu",
        "bkacc",
        "bklt",
        "cmd",
        "dhatFileVersion",
        "ftbl",
        "mode",
        "pid",
        "pps",
        "te",
        "tu",
        "verb",
    ];
    assert_eq!(fields, wanted);
    assert_eq!(dhat["dhatFileVersion"], 2);
    assert_eq!((&dhat["bklt"], &dhat["bkacc"]), (&false.into(), &false.into()));
    assert_eq!(
        (&dhat["te"], &dhat["pid"], &dhat["cmd"]),
        (&1234.into(), &7.into(), &"./app x".into())
    );
    let table = dhat["ftbl"].as_array().unwrap();
    assert_eq!(table[0], "[root]");
    let points = dhat["pps"].as_array().unwrap();
    let mut stacks = Vec::new();
    let mut total = (0, 0);
    for point in points {
        let frames = point["fs"].as_array().unwrap();
        let frame = |index: &Value| {
            let index = usize::try_from(index.as_u64().unwrap()).unwrap();
            assert!(index > 0, "the root is in no stack");
            table[index].as_str().unwrap().to_owned()
        };
        stacks.push(frames.iter().map(frame).collect::<Vec<_>>());
        total.0 += point["tb"].as_u64().unwrap();
        total.1 += point["tbk"].as_u64().unwrap();
        assert_eq!(point.as_object().unwrap().len(), 3);
    }
    assert_eq!(total, (332, 7));
    assert_eq!(stacks.len(), 3, "lost and reachable blocks of one stack are one point");
    assert!(stacks[0][0].contains(": inner (/") && stacks[0][0].ends_with("program.c:11)"));
    stacks.sort();
    stacks.dedup();
    assert_eq!(stacks.len(), 3);
}
