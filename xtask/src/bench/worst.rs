//! The most instructions that one call of a general heap takes, by alloc-bench's bench `worst`.

use std::fmt::Write as _;
use std::process::Command;

use anyhow::{Context, Result};

use super::goals::Goal;
use super::tapes::build;
use crate::tools::output;

/// Ours is the first row, the others are peers.
struct Row {
    heap: String,
    mean: f64,
    max: f64,
}

/// The section of the page.
pub(super) fn section() -> String {
    let mut text = String::from(
        "\n## The general heap's worst case\n\n\
         Instructions of one call, counted step by step over a sequence that brings about every path \
         (`cargo bench -p alloc-bench --bench worst`).\n\n",
    );
    match table() {
        Ok((table, rows)) => {
            text.push_str(&table);
            text.push_str(
                "\n| | to reach | ratio to the best peer | |\n| --- | ---: | ---: | --- |\n",
            );
            for goal in goals(&rows) {
                // Writing to a string does not fail.
                let _ = writeln!(text, "{}", goal.line());
            }
        }
        Err(why) => text.push_str(&format!("Not run: {why:#}.\n")),
    }
    text
}

fn table() -> Result<(String, Vec<Row>)> {
    let table = output(&mut Command::new(build("worst")?))?;
    let rows = parse(&table).context("the bench `worst` wrote something else than its table")?;
    Ok((table, rows))
}

/// Reads `| heap | calls | mean | 99 of 100 | maximum |`.
fn parse(table: &str) -> Option<Vec<Row>> {
    let row = |line: &str| {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let &["", heap, _, mean, _, max, ""] = &cells[..] else { return None };
        Some(Row { heap: heap.into(), mean: mean.parse().ok()?, max: max.parse().ok()? })
    };
    let rows: Option<Vec<Row>> = table.lines().skip(2).map(row).collect();
    rows.filter(|rows| 2 <= rows.len())
}

fn goals(rows: &[Row]) -> Vec<Goal> {
    let of = |what: &str, field: fn(&Row) -> f64| {
        let best = rows[1..].iter().map(field).fold(f64::INFINITY, f64::min);
        Goal::at_most(format!("{}: {what}", rows[0].heap), field(&rows[0]) / best, 1.0)
    };
    vec![of("mean", |row| row.mean), of("maximum", |row| row.max)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ours_is_compared_with_the_best() {
        let table = "| heap | calls | mean | 99 of 100 | maximum |\n| --- | ---: | ---: | ---: | ---: |\n\
                     | ours | 10 | 20.0 | 30 | 60 |\n| a | 10 | 40.0 | 50 | 60 |\n| b | 10 | 50.0 | 50 | 50 |\n";
        let goals = goals(&parse(table).expect("a table"));
        assert_eq!((goals[0].measured, goals[1].measured), (0.5, 1.2));
        assert!(parse("nothing").is_none());
    }
}
