//! Figures as bars: a band for each case, a bar in it for each contender.

use std::path::Path;

use anyhow::{Result, anyhow};
use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

/// One chart; several stand side by side.
pub(super) struct Panel {
    pub(super) caption: String,
    /// The names that the colours stand for.
    pub(super) series: Vec<String>,
    /// Names with their bars, from above.
    pub(super) bands: Vec<(String, Vec<Bar>)>,
    pub(super) scale: Scale,
}

pub(super) struct Bar {
    pub(super) series: usize,
    pub(super) value: f64,
    pub(super) label: String,
}

/// How a value becomes a length.
#[derive(Clone, Copy)]
pub(super) enum Scale {
    /// To a reference, whose length is marked; what is longer than four times it is cut.
    Ratio,
    /// Powers of ten from 1 up to a limit.
    Powers(f64),
}

impl Panel {
    /// The number of a series, which is new or not.
    pub(super) fn series_of(&mut self, name: &str) -> usize {
        self.series.iter().position(|one| one == name).unwrap_or_else(|| {
            self.series.push(name.into());
            self.series.len() - 1
        })
    }
}

const WIDTH: u32 = 560;
const SANS: &str = "sans-serif";
/// From dark for ours to light for others; told apart in print and by the colour-blind.
const COLOURS: [RGBColor; 7] = [
    RGBColor(0, 84, 140),
    RGBColor(222, 120, 31),
    RGBColor(120, 120, 120),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(86, 180, 233),
    RGBColor(150, 110, 0),
];
/// Pixels.
const HEAD: i32 = 34;
const LEGEND_LINE: i32 = 20;
const NAME: i32 = 20;
const BAR: i32 = 13;
const GAP: i32 = 8;
const MARGIN: i32 = 16;
/// Room for the figure behind the longest bar.
const FIGURE: i32 = 74;
const RATIO_MAX: f64 = 4.0;

/// Writes the panels to an SVG file.
pub(super) fn draw(panels: &[Panel], file: &Path) -> Result<()> {
    try_draw(panels, file).map_err(|error| anyhow!("drawing {}: {error}", file.display()))
}

fn try_draw<'f>(panels: &[Panel], file: &'f Path) -> Result<(), Box<dyn std::error::Error + 'f>> {
    let height = panels.iter().map(height).max().unwrap_or_default();
    let size = (WIDTH * panels.len() as u32, height.unsigned_abs());
    let area = SVGBackend::new(file, size).into_drawing_area();
    area.fill(&WHITE)?;
    for (panel, part) in panels.iter().zip(area.split_evenly((1, panels.len()))) {
        draw_panel(panel, &part)?;
    }
    area.present()?;
    Ok(())
}

/// The legend's entries with their places: as many in a line as fit.
fn legend(panel: &Panel) -> Vec<(usize, (i32, i32))> {
    let (mut x, mut y) = (MARGIN, HEAD);
    let mut places = Vec::new();
    for (index, name) in panel.series.iter().enumerate() {
        let len = 30 + 8 * name.chars().count() as i32;
        if x != MARGIN && (WIDTH as i32) < x + len {
            (x, y) = (MARGIN, y + LEGEND_LINE);
        }
        places.push((index, (x, y)));
        x += len;
    }
    places
}

/// Where the bands begin.
fn top(panel: &Panel) -> i32 {
    legend(panel).last().map_or(HEAD, |(_, (_, y))| *y) + LEGEND_LINE + GAP
}

fn height(panel: &Panel) -> i32 {
    let bands = panel.bands.iter().map(|(_, bars)| NAME + BAR * bars.len() as i32 + GAP);
    top(panel) + bands.sum::<i32>() + MARGIN
}

/// Pixels of a bar.
fn len(scale: Scale, value: f64) -> i32 {
    let whole = f64::from(WIDTH as i32 - 2 * MARGIN - FIGURE);
    let part = match scale {
        Scale::Ratio => value / RATIO_MAX,
        Scale::Powers(limit) => value.max(1.0).log10() / limit.log10(),
    };
    (part.clamp(0.0, 1.0) * whole).round() as i32
}

type Area<'f> = DrawingArea<SVGBackend<'f>, Shift>;

fn draw_panel<'f>(
    panel: &Panel,
    area: &Area<'f>,
) -> Result<(), DrawingAreaErrorKind<<SVGBackend<'f> as DrawingBackend>::ErrorType>> {
    let text = |size: u32, vertical| {
        (SANS, size).into_font().color(&BLACK).pos(Pos::new(HPos::Left, vertical))
    };
    let colour = |series: usize| COLOURS[series % COLOURS.len()].filled();
    area.draw(&Text::new(panel.caption.clone(), (MARGIN, 10), text(16, VPos::Top)))?;
    for (series, (x, y)) in legend(panel) {
        area.draw(&Rectangle::new([(x, y), (x + 14, y + 10)], colour(series)))?;
        let name = panel.series[series].clone();
        area.draw(&Text::new(name, (x + 19, y + 5), text(13, VPos::Center)))?;
    }
    let mut y = top(panel);
    if let Scale::Ratio = panel.scale {
        // The line of those that are as good.
        let x = MARGIN + len(panel.scale, 1.0);
        let line = PathElement::new([(x, y), (x, height(panel) - MARGIN)], BLACK.mix(0.35));
        area.draw(&line)?;
    }
    for (name, bars) in &panel.bands {
        area.draw(&Text::new(name.clone(), (MARGIN, y + 2), text(13, VPos::Top)))?;
        y += NAME;
        for bar in bars {
            let end = MARGIN + len(panel.scale, bar.value).max(1);
            area.draw(&Rectangle::new([(MARGIN, y + 1), (end, y + BAR - 1)], colour(bar.series)))?;
            let is_cut = matches!(panel.scale, Scale::Ratio) && RATIO_MAX < bar.value;
            let label = if is_cut { format!("… {}", bar.label) } else { bar.label.clone() };
            // Not across the line.
            let line = MARGIN + len(panel.scale, 1.0);
            let crosses = (line - 7 * label.chars().count() as i32..line).contains(&end);
            let x = if crosses { line + 5 } else { end + 5 };
            area.draw(&Text::new(label, (x, y + BAR / 2), text(11, VPos::Center)))?;
            y += BAR;
        }
        y += GAP;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_legend_breaks_its_line_and_bars_are_cut() {
        let mut panel = Panel {
            caption: "x".into(),
            series: Vec::new(),
            bands: vec![("a".into(), Vec::new())],
            scale: Scale::Ratio,
        };
        for number in 0..20 {
            assert_eq!(panel.series_of(&format!("series {number}")), number);
        }
        assert_eq!(panel.series_of("series 3"), 3);
        let places = legend(&panel);
        assert_eq!(places[0].1, (MARGIN, HEAD));
        assert!(places.iter().all(|(_, (x, _))| *x < WIDTH as i32 - 90));
        assert!(HEAD < places[19].1.1);
        assert_eq!(len(Scale::Ratio, RATIO_MAX), len(Scale::Ratio, 9.0));
        assert_eq!(len(Scale::Powers(100.0), 10.0) * 2, len(Scale::Powers(100.0), 100.0));
    }
}
