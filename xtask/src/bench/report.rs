//! What was measured of a crate, as a page: its goals, its figures, and the picture of them.

use std::fmt::Write as _;
use std::path::Path;

use anyhow::Result;

use super::goals::Goal;
use super::machine;
use super::measure::{Measured, Results, Time};
use super::picture::{Bar, Panel, Scale, draw};
use super::plan::{Measure, Rule, Subject, ZIG};
use super::tapes::Contender;

/// A rule in one case, by one measure.
struct Row {
    case: String,
    measure: &'static str,
    ours: (String, f64),
    /// The best peer, of those that were run.
    peer: Option<(String, f64)>,
    goal: Option<Goal>,
}

/// The page; `more` are sections of the crate's own.
pub(super) fn page(subject: &Subject, results: &Results, more: &str) -> Result<String> {
    let Subject { name, title, .. } = subject;
    let mut text = format!(
        "# {title} beside its peers\n\n\
         Written by `cargo xtask bench {name} --record`. What these numbers do not show stands first in \
         `crates/alloc-bench/README.md`; what a case does, there too.\n\n{}\n\
         ![Figures, to those of {title}]({name}.svg)\n\n",
        machine()?
    );
    let rows = rows(subject, &results.list);
    goals_table(&mut text, &rows);
    if *name == "arena" {
        fewer_in_half(&mut text, &rows);
    }
    text.push_str(more);
    figures_table(&mut text, &results.list);
    for missing in &results.missing {
        let _ = writeln!(text, "\nNot run: {missing}.");
    }
    Ok(text)
}

fn rows(subject: &Subject, list: &[Measured]) -> Vec<Row> {
    let mut rows = Vec::new();
    for rule in subject.rules {
        for workload in rule.cases.split(' ') {
            let case = format!("{}/{workload}", subject.name);
            let of_case: Vec<&Measured> =
                list.iter().filter(|one| one.contender.case == case).collect();
            if let Some(ours) = of_case.iter().find(|one| one.contender.name == rule.ours) {
                for measure in rule.measures {
                    rows.push(row(rule, *measure, &case, ours, &of_case));
                }
            }
        }
    }
    rows
}

/// A figure with its noise.
type Figure = (f64, f64);

/// The figures of ours and of a peer that can be compared: with Zig's, those of whole processes.
fn pair(measure: Measure, ours: &Measured, peer: &Measured) -> Option<(Figure, Figure)> {
    let of = |one: &Measured| match measure {
        Measure::Instructions => one.instructions.map(|count| (count, 0.0)),
        Measure::Time if peer.contender.name == ZIG => {
            one.process_time.map(|time| (time.median, time.noise))
        }
        Measure::Time => one.time.map(|time| (time.median, time.noise)),
    };
    Some((of(ours)?, of(peer)?))
}

fn row(rule: &Rule, measure: Measure, case: &str, ours: &Measured, of_case: &[&Measured]) -> Row {
    let peers = of_case.iter().filter(|one| rule.peers.contains(&one.contender.name.as_str()));
    let pairs = peers.filter_map(|peer| Some((peer, pair(measure, ours, peer)?)));
    let ratio = |((ours, _), (peer, _)): (Figure, Figure)| ours / peer;
    let best = pairs.max_by(|(_, one), (_, other)| ratio(*one).total_cmp(&ratio(*other)));
    let own = match measure {
        Measure::Instructions => ours.instructions,
        Measure::Time => ours.time.map(|time| time.median),
    };
    let what = match measure {
        Measure::Instructions => "instructions",
        Measure::Time => "ns",
    };
    let name = ours.contender.name.clone();
    let Some((peer, pair)) = best else {
        let ours = (name, own.unwrap_or_default());
        return Row { case: case.into(), measure: what, ours, peer: None, goal: None };
    };
    // Half of each: where the middle halves of both meet.
    let noise = f64::midpoint(pair.0.1, pair.1.1);
    let goal = Goal { noise, ..Goal::at_most(case, ratio(pair), rule.bound) };
    Row {
        case: case.into(),
        measure: what,
        ours: (name, pair.0.0),
        peer: Some((peer.contender.name.clone(), pair.1.0)),
        goal: Some(goal),
    }
}

// Writing to a string does not fail: the results of `writeln!` below are dropped.

fn goals_table(text: &mut String, rows: &[Row]) {
    text.push_str(
        "## Goals\n\n\
         The ratio is ours to that of the best peer; \"within noise\" is a lost one where the \
         middle halves of the runs of both overlap. Times beside Zig's are those of whole processes; \
         the picture has their ratio, times ours by criterion.\n\n\
         | case | | ours | best peer | ratio | to reach | |\n\
         | --- | --- | ---: | ---: | ---: | ---: | --- |\n",
    );
    for Row { case, measure, ours: (name, ours), peer, goal } in rows {
        let ours = match name.split_once(", ") {
            Some((_, way)) => format!("{ours:.2} ({way})"),
            None => format!("{ours:.2}"),
        };
        let _ = match (peer, goal) {
            (Some((peer, theirs)), Some(goal)) => writeln!(
                text,
                "| `{case}` | {measure} | {ours} | {theirs:.2} {peer} | {:.3} | {} | {} |",
                goal.measured,
                goal.to_reach(),
                goal.verdict()
            ),
            _ => writeln!(text, "| `{case}` | {measure} | {ours} | - | - | - | not run |"),
        };
    }
}

/// The arena shall take fewer instructions than both peers in half of its cases.
fn fewer_in_half(text: &mut String, rows: &[Row]) {
    let counted = rows.iter().filter(|row| row.measure == "instructions");
    let ratios: Vec<f64> = counted.filter_map(|row| Some(row.goal.as_ref()?.measured)).collect();
    if ratios.is_empty() {
        return;
    }
    let fewer = ratios.iter().filter(|ratio| **ratio < 0.9995).count();
    let count = ratios.len();
    let verdict = Goal::at_least("", fewer as f64 / count as f64, 0.5).verdict();
    let _ = writeln!(
        text,
        "\nFewer instructions than the better peer in {fewer} of {count} cases; at least half of them: {verdict}."
    );
}

fn figures_table(text: &mut String, list: &[Measured]) {
    text.push_str(
        "\n## Figures\n\n\
         For one operation: time by criterion, time by whole processes, instructions in user space by \
         callgrind.\n\n\
         | case | allocator | ns | ns, process | instructions |\n\
         | --- | --- | ---: | ---: | ---: |\n",
    );
    let show = |time: &Option<Time>| match time {
        Some(time) => format!("{:.2} ± {:.0} %", time.median, time.noise * 50.0),
        None => "-".into(),
    };
    for Measured { contender: Contender { case, name, .. }, time, process_time, instructions } in
        list
    {
        let instructions = instructions.map_or("-".into(), |count| format!("{count:.2}"));
        let (time, process_time) = (show(time), show(process_time));
        let _ = writeln!(text, "| `{case}` | {name} | {time} | {process_time} | {instructions} |");
    }
}

/// Draws instructions and time of each contender, divided by ours.
pub(super) fn picture(subject: &Subject, results: &Results, file: &Path) -> Result<()> {
    let list = &results.list;
    let instructions = |_: &Measured, one: &Measured| one.instructions;
    let time = |ours: &Measured, one: &Measured| {
        if one.contender.name == ZIG {
            // As many times ours as by whole processes.
            return Some(one.process_time?.median / ours.process_time?.median * ours.time?.median);
        }
        Some(one.time?.median)
    };
    let title = subject.title;
    let panels = [
        panel(format!("Instructions, to those of {title}"), list, "", instructions),
        panel(format!("Time, to that of {title}"), list, " ns", time),
    ];
    draw(&panels, file)
}

fn panel(
    caption: String,
    list: &[Measured],
    unit: &str,
    figure: impl Fn(&Measured, &Measured) -> Option<f64>,
) -> Panel {
    let mut panel = Panel { caption, series: Vec::new(), bands: Vec::new(), scale: Scale::Ratio };
    let mut ours = None;
    for one in list {
        let Contender { case, name, .. } = &one.contender;
        if panel.bands.last().is_none_or(|(band, _)| band != case) {
            panel.bands.push((case.clone(), Vec::new()));
            ours = Some(one);
        }
        let series = panel.series_of(name);
        let Some(first) = ours else { continue };
        let (Some(own), Some(value)) = (figure(first, first), figure(first, one)) else { continue };
        if let Some((_, bars)) = panel.bands.last_mut() {
            bars.push(Bar { series, value: value / own, label: format!("{value:.1}{unit}") });
        }
    }
    panel
}
