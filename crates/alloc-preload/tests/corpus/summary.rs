//! What the tables add up to: of the programs with a fault of each kind, how many are told of in each
//! mode, and when.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::source;
use crate::table::{Table, summary};

const COLUMNS: [&str; 7] =
    ["default", "every", "exact", "left", "sampled", "quarantine", "intercept"];

/// The sources, as [`crate::faulty`] runs them.
const SOURCES: [(&str, &str); 11] = [
    ("leaks.c", include_str!("../programs/corpus/leaks.c")),
    ("frees.c", include_str!("../programs/corpus/frees.c")),
    ("late.c", include_str!("../programs/corpus/late.c")),
    ("past.c", include_str!("../programs/corpus/past.c")),
    ("requests.c", include_str!("../programs/corpus/requests.c")),
    ("cxx.cpp", include_str!("../programs/corpus/cxx.cpp")),
    ("faults.rs", include_str!("../../../alloc-gpa/examples/faults.rs")),
    ("bounds.c", include_str!("../programs/corpus/bounds.c")),
    ("lifetimes.c", include_str!("../programs/corpus/lifetimes.c")),
    ("objects.cpp", include_str!("../programs/corpus/objects.cpp")),
    ("raw.rs", include_str!("../programs/corpus/raw.rs")),
];

/// When a kind was told: how many programs of each word, `-` for none.
type Counts = BTreeMap<&'static str, usize>;

/// The kinds of a cell, each with the word for the moment. How the program ended is no kind.
fn kinds(cell: &str) -> impl Iterator<Item = (&str, &'static str)> {
    let found = cell.split(", ").filter(|words| !words.starts_with(['-', 's']) || is_size(words));
    found.map(|words| {
        let (kind, place) = words.split_once(' ').unwrap_or((words, ""));
        let places = ["at", "later", "exit"];
        (kind, places.into_iter().find(|known| *known == place).unwrap_or("found"))
    })
}

/// `size_mismatch` begins as `signal` does.
fn is_size(words: &str) -> bool {
    words.starts_with("size_mismatch")
}

/// The table, as the page shall have it.
fn table() -> String {
    let mut programs = 0;
    let mut rows: BTreeMap<String, [Counts; COLUMNS.len()]> = BTreeMap::new();
    for (file, text) in SOURCES {
        let table = Table::of(file);
        for case in source::read(text).keys() {
            programs += 1;
            let cells = COLUMNS.map(|column| table.cell(case, column));
            let mut all: Vec<&str> =
                cells.iter().flat_map(|cell| kinds(cell)).map(|k| k.0).collect();
            all.sort_unstable();
            all.dedup();
            if all.is_empty() {
                all.push("none");
            }
            for kind in all {
                let row = rows.entry(kind.to_owned()).or_default();
                for (counts, cell) in row.iter_mut().zip(cells) {
                    // A fault that is told of in two ways counts as the earlier.
                    let place = kinds(cell).find(|told| told.0 == kind).map_or("-", |told| told.1);
                    *counts.entry(place).or_default() += 1;
                }
            }
        }
    }
    let mut text = format!("{programs} programs.\n\n| kind | {} |\n|", COLUMNS.join(" | "));
    text += &" --- |".repeat(COLUMNS.len() + 1);
    for (kind, columns) in rows {
        write!(text, "\n| {kind} |").expect("a string grows");
        for counts in columns {
            let words = ["at", "later", "exit", "found", "-"].into_iter();
            let words = words.filter_map(|word| Some(format!("{} {word}", counts.get(word)?)));
            let words: Vec<String> = words.collect();
            write!(text, " {} |", words.join(", ")).expect("a string grows");
        }
    }
    text
}

/// The page has the sums of its own tables.
#[test]
fn the_page_adds_up() {
    let (expected, found) = (table(), summary());
    assert!(found == expected, "the section `By kind` shall be:\n{expected}");
}
