//! The workloads as bars.

use std::path::Path;

use anyhow::Result;

use super::sides::Sides;
use crate::bench::picture::{Bar, Panel, Scale, draw as draw_panels};

const WORKLOADS: [&str; 3] = ["pair", "lifo", "random"];

/// One band of bars for each contender, one bar for each workload, on a logarithmic scale: from tens
/// of nanoseconds to tens of thousands.
pub(super) fn draw(sides: &Sides, file: &Path) -> Result<()> {
    let mut panel = Panel {
        caption: "CPU nanoseconds for one operation (less is better; powers of ten)".into(),
        series: WORKLOADS.map(Into::into).into(),
        bands: Vec::new(),
        scale: Scale::Powers(30_000.0),
    };
    for (name, ..) in &sides.figures {
        let is_known = panel.bands.iter().any(|(band, _)| band == name);
        if is_known || sides.get(name, WORKLOADS[0]).is_none() || *name == "10^8" {
            continue;
        }
        let bars = WORKLOADS.iter().enumerate().filter_map(|(series, workload)| {
            let value = sides.get(name, workload)?.cpu;
            Some(Bar { series, value, label: format!("{value:.0}") })
        });
        panel.bands.push(((*name).into(), bars.collect()));
    }
    draw_panels(&[panel], file)
}
