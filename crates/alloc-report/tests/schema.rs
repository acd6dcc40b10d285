//! The JSON report is what its schema says.

mod support;

use std::fs;
use std::path::Path;

use alloc_report::{Report, Run, Suppressions};
use jsonschema::Validator;
use serde_json::{Value, json};
use support::{END, Records, start};

/// The schema; with `strict`, fields that it does not name are errors, so that none is forgotten in it.
fn schema(strict: bool) -> Validator {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let text = fs::read(root.join("docs/design/report-json.schema.json")).unwrap();
    let mut schema: Value = serde_json::from_slice(&text).unwrap();
    jsonschema::meta::validate(&schema).unwrap();
    if strict {
        let all = schema["$defs"].as_object_mut().unwrap();
        all.values_mut().filter(|one| one["type"] == "object").for_each(close);
        close(&mut schema);
    }
    jsonschema::validator_for(&schema).unwrap()
}

fn close(object: &mut Value) {
    object["additionalProperties"] = false.into();
}

fn report(lines: &[&str]) -> Value {
    let records = Records::new();
    let stacks = r#"{"t":"stack","id":1,"frames":[[-1,16],[-1,32]]}"#;
    records.file("7-0.jsonl", &[&[&*start(7), stacks], lines].concat());
    let mut report = records.read();
    report.suppress(Suppressions::parse(b"double_free:none\n").unwrap());
    json_of(&report)
}

fn json_of(report: &Report) -> Value {
    let mut text = Vec::new();
    report.render_json(&mut text, &Run::default()).unwrap();
    serde_json::from_slice(&text).unwrap()
}

fn errors(schema: &Validator, report: &Value) -> Vec<String> {
    let text =
        |error: jsonschema::ValidationError<'_>| format!("{}: {error}", error.instance_path());
    schema.iter_errors(report).map(text).collect()
}

/// Reports with all that records can hold, with none of it, and of processes that ended in each way.
#[test]
fn reports_are_valid() {
    let schema = schema(true);
    let full = report(&[
        r#"{"t":"finding","kind":"double_free","addr":70,"offset":-6,"block":{"addr":64,"size":100,"align":16},"thread":"t","tid":7,"tag":"parser","here":1,"allocated":1,"freed":1,"detail":"d"}"#,
        r#"{"t":"finding","kind":"brand_new","size":18446744073709551615}"#,
        r#"{"t":"repeat","finding":0,"count":5}"#,
        r#"{"t":"leak","kind":"lost","stack":1,"count":2,"bytes":9,"min":4,"max":5,"tag":"t","cycle":[1,0],"addr":64,"dump":"00ff"}"#,
        r#"{"t":"leak","kind":"indirect","stack":0,"count":2,"bytes":9,"holder":1}"#,
        r#"{"t":"leak","kind":"possible","stack":0,"count":2,"bytes":9}"#,
        r#"{"t":"sample","ms":5,"live_bytes":1,"live_blocks":2,"allocations":3,"frees":1,"resident_bytes":4096}"#,
        r#"{"t":"snapshot","id":1,"ms":5,"why":"exit","live_blocks":4,"live_bytes":40,"allocations":9,"complete":true}"#,
        r#"{"t":"live","snapshot":1,"stack":1,"blocks":4,"bytes":40,"total_blocks":9,"total_bytes":90}"#,
        r#"{"t":"snapshot","id":2,"ms":9,"why":"every","live_blocks":1,"live_bytes":10}"#,
        r#"{"t":"live","snapshot":2,"stack":1,"blocks":1,"bytes":10}"#,
        r#"{"t":"live","snapshot":2,"stack":0,"blocks":1,"bytes":70}"#,
        r#"{"t":"class","slot_size":32,"live_blocks":1,"live_bytes":10,"total_blocks":9}"#,
        r#"{"t":"class","slot_size":0,"total_blocks":1}"#,
        r#"{"t":"tag","name":"parser","live_blocks":1,"live_bytes":10,"peak_bytes":20,"total_blocks":3,"total_bytes":30}"#,
        r#"{"t":"note","text":"degraded: something"}"#,
        "no json",
        END,
    ]);
    assert_eq!(errors(&schema, &full), [""; 0]);
    for (array, count) in [
        ("findings", 2),
        ("leaks", 3),
        ("snapshots", 2),
        ("grown", 1),
        ("stacks", 1),
        ("frames", 2),
        ("processes", 1),
        ("notes", 1),
        ("suppressions", 1),
    ] {
        assert_eq!(full[array].as_array().unwrap().len(), count, "{array}");
    }
    assert_eq!(
        (&full["findings"][0]["count"], &full["leaks"][0]["dump"]),
        (&5.into(), &"00ff".into())
    );
    let process = &full["processes"][0];
    assert_eq!(process["samples"][0]["resident_bytes"], 4096);
    assert_eq!(
        (&process["classes"][1]["total_blocks"], &process["total_bytes"]),
        (&1.into(), &0.into())
    );
    assert_eq!(process["tags"][0]["name"], full["findings"][0]["tag"]);
    let place = |stack: Value, by: [i64; 2], before: [u64; 2], after: [u64; 2]| {
        let amount = |[blocks, bytes]: [u64; 2]| json!({"blocks": blocks, "bytes": bytes});
        let (before, after) = (amount(before), amount(after));
        json!({"stack": stack, "blocks": by[0], "bytes": by[1], "before": before, "after": after})
    };
    let expected = json!([{
        "process": 0, "from": 1, "to": 2, "from_ms": 5, "to_ms": 9, "blocks": -2, "bytes": 40,
        "places": [
            place(Value::Null, [1, 70], [0, 0], [1, 70]),
            place(0.into(), [-3, -30], [4, 40], [1, 10]),
        ],
    }]);
    assert_eq!(full["grown"], expected);
    assert_eq!(errors(&schema, &report(&[])), [""; 0]);
    let empty = Records::new();
    assert_eq!(errors(&schema, &json_of(&empty.read())), [""; 0]);
}

/// The schema refuses what is no report, and takes fields of a later revision.
#[test]
fn schema_is_strict_where_it_must_be() {
    let good = report(&[END]);
    let schema = schema(false);
    let changed = |path: &str, value: Value| {
        let mut changed = good.clone();
        *changed.pointer_mut(path).unwrap() = value;
        errors(&schema, &changed).len()
    };
    assert_eq!(changed("/version", 1.into()), 0);
    assert_eq!(changed("/version", 2.into()), 1);
    assert_eq!(changed("/totals/lost", json!({"blocks": 1})), 1);
    assert_eq!(changed("/totals/lost", json!({"blocks": 1, "bytes": 1, "later": 1})), 0);
    assert_eq!(changed("/processes/0/outcome", "lost".into()), 1);
    assert_eq!(changed("/processes/0/peak_bytes", (-1).into()), 1);
}
