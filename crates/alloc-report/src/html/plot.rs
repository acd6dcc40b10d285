//! How a heap grew, as a drawing.

use std::fmt::Write as _;

use serde::Serialize;

use crate::words::{grouped, size, time};

/// The drawing's area, in its own units.
const WIDTH: u32 = 560;
const HEIGHT: u32 = 200;
/// Where the curve lies in it.
const X0: u32 = 62;
const X1: u32 = 548;
const Y0: u32 = 14;
const Y1: u32 = 172;

/// What is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unit {
    Bytes,
    Blocks,
}

impl Unit {
    pub(super) fn show(self, value: u64) -> String {
        match self {
            Self::Bytes => size(value),
            Self::Blocks => grouped(value),
        }
    }
}

/// One drawing, and what the page's script needs to read a value from it.
pub(super) struct Plot {
    pub(super) title: &'static str,
    pub(super) peak: String,
    pub(super) last: String,
    pub(super) svg: String,
    pub(super) data: PlotData,
}

#[derive(Debug, Serialize)]
pub(super) struct PlotData {
    unit: &'static str,
    /// Milliseconds and value.
    points: Vec<(u64, u64)>,
    /// The time at `x1` and the value at `y0`.
    ms: u64,
    top: u64,
    x0: u32,
    x1: u32,
    y0: u32,
    y1: u32,
}

/// Draws `points`, which are in the order of their time and not empty.
pub(super) fn plot(title: &'static str, unit: Unit, mut points: Vec<(u64, u64)>) -> Plot {
    let ms = points.last().map_or(1, |point| point.0.max(1));
    if let Some(&(0, value)) = points.last() {
        points.push((ms, value)); // A run of less than a millisecond: what was there stays.
    }
    let peak = points.iter().copied().max_by_key(|(at, value)| (*value, std::cmp::Reverse(*at)));
    let (peak_at, peak) = peak.unwrap_or_default();
    let ticks = ticks(unit, peak);
    let top = peak.max(ticks.last().copied().unwrap_or(1)).max(1);
    let x = |at: u64| f64::from(X0) + f64::from(X1 - X0) * ratio(at, ms);
    let y = |value: u64| f64::from(Y1) - f64::from(Y1 - Y0) * ratio(value, top);
    let mut svg = format!(
        "<svg class=\"plot\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{title}: at \
         most {} after {}\">",
        unit.show(peak),
        time(peak_at)
    );
    let mut draw = |text: std::fmt::Arguments<'_>| {
        svg.write_fmt(text).expect("a String takes all text");
    };
    for tick in &ticks {
        let at = y(*tick);
        draw(format_args!(
            "<line class=\"grid\" x1=\"{X0}\" x2=\"{X1}\" y1=\"{at:.1}\" y2=\"{at:.1}\"/>\
             <text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
            X0 - 7,
            at + 3.5,
            tick_text(unit, *tick)
        ));
    }
    for at in time_ticks(ms) {
        draw(format_args!(
            "<text x=\"{:.1}\" y=\"{}\" text-anchor=\"middle\">{}</text>",
            x(at),
            Y1 + 18,
            time(at)
        ));
    }
    let curve: Vec<String> =
        points.iter().map(|(at, value)| format!("{:.1} {:.1}", x(*at), y(*value))).collect();
    let (curve, from) = (curve.join("L"), points.first().map_or(0.0, |point| x(point.0)));
    draw(format_args!("<path class=\"area\" d=\"M{from:.1} {Y1}L{curve}L{X1} {Y1}Z\"/>"));
    draw(format_args!("<path class=\"curve\" d=\"M{curve}\"/>"));
    draw(format_args!(
        "<line class=\"peak\" x1=\"{X0}\" x2=\"{X1}\" y1=\"{0:.1}\" y2=\"{0:.1}\"/></svg>",
        y(peak)
    ));
    let last = points.last().map_or(0, |point| point.1);
    let unit_name = match unit {
        Unit::Bytes => "bytes",
        Unit::Blocks => "blocks",
    };
    let (x0, x1, y0, y1) = (X0, X1, Y0, Y1);
    let data = PlotData { unit: unit_name, points, ms, top, x0, x1, y0, y1 };
    Plot { title, peak: unit.show(peak), last: unit.show(last), svg, data }
}

#[expect(clippy::cast_precision_loss, reason = "a drawing has a thousand steps")]
fn ratio(part: u64, whole: u64) -> f64 {
    part as f64 / whole.max(1) as f64
}

/// Round values from 0 up to at least `peak`, at most seven.
fn ticks(unit: Unit, peak: u64) -> Vec<u64> {
    let mut step = 1_u64;
    if unit == Unit::Bytes {
        // 1, 2, 4 … 512 of each unit are as round as bytes can be.
        while peak / step >= 5 {
            step = step.saturating_mul(2);
        }
    } else {
        let mut factors = [2_u64, 5, 10].into_iter().cycle();
        let mut power = 1_u64;
        while peak / step >= 5 {
            let factor = factors.next().expect("the factors repeat");
            step = power.saturating_mul(factor);
            if factor == 10 {
                power = step;
            }
        }
    }
    let count = peak.div_ceil(step).max(1);
    (0..=count).map(|index| step.saturating_mul(index)).collect()
}

/// Round times from 0 to `ms`, at most seven. The last one may be the end itself.
fn time_ticks(ms: u64) -> Vec<u64> {
    const SECOND: u64 = 1_000;
    const MINUTE: u64 = 60 * SECOND;
    const HOUR: u64 = 60 * MINUTE;
    let small = (0..6_u32).flat_map(|power| [1, 2, 5].map(|digit| digit * 10_u64.pow(power)));
    let small = small.take_while(|step| *step < 30 * SECOND);
    let large = [30 * SECOND, MINUTE, 2 * MINUTE, 5 * MINUTE, 15 * MINUTE, 30 * MINUTE];
    let huge = (0..64).map(|shift| HOUR.saturating_mul(1 << shift));
    let mut steps = small.chain(large).chain(huge);
    let step = steps.find(|step| ms / step <= 6).unwrap_or(u64::MAX);
    (0..=ms / step).map(|index| index * step).collect()
}

fn tick_text(unit: Unit, value: u64) -> String {
    match unit {
        Unit::Bytes => {
            size(value).replace(".0 ", " ").replace(" bytes", " B").replace(" byte", " B")
        }
        Unit::Blocks => grouped(value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Ticks are round, begin at 0, reach the peak, and are few.
    #[test]
    fn ticks_are_round() {
        assert_eq!(ticks(Unit::Blocks, 0), [0, 1]);
        assert_eq!(ticks(Unit::Blocks, 7), [0, 2, 4, 6, 8]);
        assert_eq!(ticks(Unit::Blocks, 1234), [0, 500, 1000, 1500]);
        assert_eq!(ticks(Unit::Bytes, 5000), [0, 1024, 2048, 3072, 4096, 5120]);
        for peak in (0..64).map(|shift| 1_u64 << shift).chain([u64::MAX]) {
            for unit in [Unit::Bytes, Unit::Blocks] {
                let ticks = ticks(unit, peak);
                assert!((2..=7).contains(&ticks.len()), "{peak}: {ticks:?}");
                assert!(*ticks.last().unwrap() >= peak, "{peak}: {ticks:?}");
            }
        }
    }

    /// Times are round, begin at 0, and are few.
    #[test]
    fn time_ticks_are_round() {
        assert_eq!(time_ticks(1), [0, 1]);
        assert_eq!(time_ticks(1_432), [0, 500, 1_000]);
        assert_eq!(time(*time_ticks(200_000).last().unwrap()), "3 min");
        for ms in (0..64).map(|shift| 1_u64 << shift).chain([u64::MAX]) {
            let ticks = time_ticks(ms);
            assert!((1..=7).contains(&ticks.len()) && *ticks.last().unwrap() <= ms, "{ticks:?}");
        }
    }

    /// The curve lies in its area, whatever the values.
    #[test]
    fn curves_stay_inside() {
        for points in [vec![(0, 0)], vec![(5, 0), (5, u64::MAX)], vec![(u64::MAX, 1)]] {
            let plot = plot("t", Unit::Bytes, points);
            assert!(!plot.svg.contains("NaN") && !plot.svg.contains("inf"), "{}", plot.svg);
        }
        let drawn = plot("t", Unit::Blocks, vec![(0, 0), (10, 4), (20, 2)]);
        assert!(drawn.svg.contains("M62.0 172.0L305.0 14.0L548.0 93.0"), "{}", drawn.svg);
        assert_eq!((&*drawn.peak, &*drawn.last), ("4", "2"));
        let short = plot("t", Unit::Blocks, vec![(0, 1), (0, 2)]);
        assert!(short.svg.contains("L62.0 14.0L548.0 14.0L548 172Z"), "{}", short.svg);
    }
}
