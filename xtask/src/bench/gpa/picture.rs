//! The workloads as bars.

use std::path::Path;

use anyhow::{Result, anyhow};
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::sides::Sides;

const WORKLOADS: [&str; 3] = ["pair", "lifo", "random"];
const SIZE: (u32, u32) = (900, 560);
const SANS: &str = "sans-serif";
/// From dark for ours to light for others; told apart in print and by the colour-blind.
const COLOURS: [RGBColor; 3] =
    [RGBColor(0, 84, 140), RGBColor(222, 120, 31), RGBColor(120, 120, 120)];

pub(super) fn draw(sides: &Sides, file: &Path) -> Result<()> {
    try_draw(sides, file).map_err(|error| anyhow!("drawing {}: {error}", file.display()))
}

/// One band of bars for each contender, one bar for each workload, on a logarithmic scale: from tens
/// of nanoseconds to tens of thousands.
fn try_draw<'f>(sides: &Sides, file: &'f Path) -> Result<(), Box<dyn std::error::Error + 'f>> {
    let mut names: Vec<&str> = Vec::new();
    for (name, workload, _) in &sides.figures {
        if *workload == "pair" && *name != "10^8" && !names.contains(name) {
            names.push(name);
        }
    }
    let area = SVGBackend::new(file, SIZE).into_drawing_area();
    area.fill(&WHITE)?;
    let bands = names.len() as f64;
    let mut chart = ChartBuilder::on(&area)
        .caption("CPU nanoseconds for one operation (less is better)", (SANS, 18))
        .margin(14)
        .margin_right(30)
        .x_label_area_size(34)
        .y_label_area_size(4)
        .build_cartesian_2d((1f64..30_000f64).log_scale(), 0f64..bands)?;
    chart
        .configure_mesh()
        .disable_y_mesh()
        .disable_y_axis()
        .label_style((SANS, 13))
        .x_label_formatter(&|ns| format!("{ns:.0}"))
        .draw()?;
    for (workload, colour) in WORKLOADS.iter().zip(COLOURS) {
        let swatch = move |(x, y)| Rectangle::new([(x, y - 5), (x + 14, y + 5)], colour.filled());
        let bars = names.iter().enumerate().filter_map(|(band, name)| {
            let figure = sides.get(name, workload)?;
            Some((band, figure.cpu))
        });
        let index = WORKLOADS.iter().position(|one| one == workload).unwrap_or(0) as f64;
        let rectangles = bars.map(|(band, cpu)| {
            let top = bands - band as f64 - 0.36 - index * 0.18;
            Rectangle::new([(1.0, top - 0.16), (cpu.max(1.0), top)], colour.filled())
        });
        chart.draw_series(rectangles)?.label(*workload).legend(swatch);
    }
    let name_style = (SANS, 13).into_font().color(&BLACK).pos(Pos::new(HPos::Left, VPos::Top));
    chart.draw_series(names.iter().enumerate().map(|(band, name)| {
        Text::new((*name).to_owned(), (1.1, bands - band as f64 - 0.03), name_style.clone())
    }))?;
    let figure_style = (SANS, 11).into_font().color(&BLACK).pos(Pos::new(HPos::Left, VPos::Center));
    for (index, workload) in WORKLOADS.iter().enumerate() {
        chart.draw_series(names.iter().enumerate().filter_map(|(band, name)| {
            let cpu = sides.get(name, workload)?.cpu;
            let middle = bands - band as f64 - 0.44 - index as f64 * 0.18;
            Some(Text::new(format!("{cpu:.0}"), (cpu * 1.06, middle), figure_style.clone()))
        }))?;
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperRight)
        .label_font((SANS, 13))
        .background_style(WHITE)
        .border_style(BLACK)
        .draw()?;
    area.present()?;
    Ok(())
}
