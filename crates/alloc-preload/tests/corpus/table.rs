//! The table of what is found in which mode: `docs/design/alloc-gpa-corpus.md`.

use std::collections::{BTreeMap, BTreeSet};

use crate::source::matches;

const TEXT: &str = include_str!("../../../../docs/design/alloc-gpa-corpus.md");

/// Rows by the case's name, or by a pattern such as `past_#`; cells by the column's name.
pub(crate) struct Table {
    rows: BTreeMap<String, BTreeMap<String, String>>,
}

impl Table {
    /// Reads the table of a source file: the one below the heading with its name.
    pub(crate) fn of(file: &str) -> Self {
        let heading = format!("## `{file}`");
        let section = TEXT.split_once(&heading).unwrap_or_else(|| panic!("no {heading}")).1;
        let section = section.split("\n## ").next().expect("a text");
        let mut lines = section.lines().filter(|line| line.starts_with('|')).map(cells);
        let head = lines.next().unwrap_or_else(|| panic!("no table of {file}"));
        let mut rows = BTreeMap::new();
        for cells in lines.filter(|cells| !cells[0].starts_with('-')) {
            assert_eq!(cells.len(), head.len(), "{cells:?}");
            let row = head.iter().cloned().zip(cells.iter().cloned()).skip(1).collect();
            let name = cells[0].trim_matches('`').to_owned();
            assert!(rows.insert(name, row).is_none(), "{} has two rows", cells[0]);
        }
        Self { rows }
    }

    /// The cell of a case: its own row, or that of a pattern.
    pub(crate) fn cell(&self, case: &str, column: &str) -> &str {
        let row = self.rows.get(case).or_else(|| {
            let mut meant = self.rows.iter().filter(|(pattern, _)| matches(pattern, case));
            meant.next().map(|(_, row)| row)
        });
        row.and_then(|row| row.get(column)).map_or("no row", String::as_str)
    }

    /// Rows that no case is meant by.
    pub(crate) fn unused<'t>(
        &'t self,
        cases: &'t BTreeSet<String>,
    ) -> impl Iterator<Item = &'t str> {
        let is_used = |pattern: &str| cases.iter().any(|case| matches(pattern, case));
        self.rows.keys().map(String::as_str).filter(move |pattern| !is_used(pattern))
    }

    /// What all cells hold.
    pub(crate) fn all_cells(&self) -> impl Iterator<Item = &str> {
        self.rows.values().flat_map(BTreeMap::values).map(String::as_str)
    }
}

fn cells(line: &str) -> Vec<String> {
    let line = line.trim().trim_matches('|');
    line.split('|').map(|cell| cell.trim().to_owned()).collect()
}

/// The reasons that the page gives, by their numbers.
pub(crate) fn reasons() -> BTreeSet<&'static str> {
    let section = TEXT.split_once("## Reasons").expect("a section of reasons").1;
    let section = section.split("\n## ").next().expect("a text");
    section.lines().filter_map(|line| line.split_once(". ").map(|(number, _)| number)).collect()
}

/// The sums that the page gives.
pub(crate) fn summary() -> &'static str {
    let section = TEXT.split_once("## By kind").expect("a section of sums").1;
    let section = section.split("\n## ").next().expect("a text");
    section.splitn(3, "\n\n").nth(2).expect("a table behind a paragraph").trim_end()
}
