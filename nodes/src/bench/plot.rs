//! Rate and latency against the batch, as an SVG file.

use super::row::Row;
use plotters::{
    coord::ranged1d::{DefaultFormatting, KeyPointHint, Ranged},
    prelude::*,
};
use std::{fmt::Display, ops::Range, path::Path};

/// Draws the `aes` rows: blocks a second on the left axis, milliseconds a batch takes on the right one, both logarithmic, each
/// mode with curves of its own.
///
/// A strand's batches follow each other, so a batch takes `batch * strands / rate`.
///
/// # Errors
/// What the drawing library reports: the file cannot be written, or there is no row to draw.
pub fn draw(rows: &[Row], path: &Path) -> Result<(), String> {
    let points: Vec<Point> = rows.iter().filter_map(Point::of).collect();
    let Some(row) = rows.iter().find(|row| Point::of(row).is_some()) else {
        return Err("there is no row of the scenario `aes` to draw".into());
    };
    let area = SVGBackend::new(path, (960, 560)).into_drawing_area();
    area.fill(&WHITE).map_err(text)?;
    let batches = || {
        let mut ticks: Vec<f64> = points.iter().map(|p| p.batch).collect();
        ticks.sort_by(f64::total_cmp);
        ticks.dedup();
        Axis::at(ticks)
    };
    let rates = Axis::around(points.iter().map(|p| p.rate));
    let times = Axis::around(points.iter().map(|p| p.millis));
    let mut chart = ChartBuilder::on(&area)
        .caption(caption(row), ("sans-serif", 17))
        .margin(16)
        .x_label_area_size(52)
        .y_label_area_size(76)
        .right_y_label_area_size(76)
        .build_cartesian_2d(batches(), rates)
        .map_err(text)?
        .set_secondary_coord(batches(), times);
    let style = |color: RGBColor| ("sans-serif", 14).into_font().color(&color);
    chart
        .configure_mesh()
        .bold_line_style(BLACK.mix(0.15))
        .x_desc("blocks in a batch")
        .x_label_formatter(&|x| grouped(*x))
        .x_label_style(style(BLACK))
        .y_desc("blocks/s")
        .y_label_formatter(&|y| short(*y))
        .y_label_style(style(RATE))
        .axis_desc_style(style(BLACK))
        .draw()
        .map_err(text)?;
    chart
        .configure_secondary_axes()
        .y_desc("ms a batch takes")
        .y_label_formatter(&|y| short(*y))
        .label_style(style(TIME))
        .axis_desc_style(style(BLACK))
        .draw()
        .map_err(text)?;
    let mut modes: Vec<&str> = Vec::new();
    for mode in points.iter().map(|p| p.mode) {
        if !modes.contains(&mode) {
            modes.push(mode);
        }
    }
    for (k, mode) in modes.into_iter().enumerate() {
        // The first mode in full colour, others lighter.
        let [rate_color, time_color] = [RATE, TIME].map(|color| color.mix(if k == 0 { 1.0 } else { 0.5 }));
        let line = |(x, y), color: RGBAColor| PathElement::new([(x, y), (x + 20, y)], color.stroke_width(2));
        let of_mode = || points.iter().filter(move |p| p.mode == mode);
        let rate = || of_mode().map(|p| (p.batch, p.rate));
        let time = || of_mode().map(|p| (p.batch, p.millis));
        let series = LineSeries::new(rate(), rate_color.stroke_width(2));
        let drawn = chart.draw_series(series).map_err(text)?;
        drawn.label(format!("{mode}: blocks/s (left axis)")).legend(move |at| line(at, rate_color));
        let series = LineSeries::new(time(), time_color.stroke_width(2));
        let drawn = chart.draw_secondary_series(series).map_err(text)?;
        drawn.label(format!("{mode}: ms a batch takes (right axis)")).legend(move |at| line(at, time_color));
        chart.draw_series(rate().map(|p| Circle::new(p, 4, rate_color.filled()))).map_err(text)?;
        chart.draw_secondary_series(time().map(|p| Circle::new(p, 4, time_color.stroke_width(2)))).map_err(text)?;
    }
    let mut legend = chart.configure_series_labels();
    legend.position(SeriesLabelPosition::LowerRight).margin(12).label_font(style(BLACK));
    legend.background_style(WHITE).border_style(BLACK.mix(0.3)).draw().map_err(text)?;
    drop(legend);
    area.present().map_err(text)
}

const RATE: RGBColor = RGBColor(0x1f, 0x4e, 0xa1);
const TIME: RGBColor = RGBColor(0xb4, 0x3a, 0x1e);

fn text(e: impl Display) -> String {
    e.to_string()
}

/// What a row adds to the drawing.
struct Point {
    mode: &'static str,
    batch: f64,
    rate: f64,
    millis: f64,
}

impl Point {
    fn of(row: &Row) -> Option<Self> {
        let number = |name: &str| row.params.get(name)?.as_f64();
        let (batch, strands, rate) = (number("batch")?, number("strands")?, row.median);
        let drawable = row.scenario == "aes" && batch > 0.0 && rate > 0.0;
        drawable.then(|| Self { mode: row.mode, batch, rate, millis: batch * strands / rate * 1e3 })
    }
}

fn caption(row: &Row) -> String {
    let param = |name: &str| row.params.get(name).map_or(String::new(), |v| v.to_string().trim_matches('"').to_owned());
    let link = if param("link") == "memory" { "in memory" } else { "three processes over QUIC" };
    format!("AES-128 on shares: {}, {} strands, {link}, {}", param("sbox"), param("strands"), row.cpu)
}

/// A logarithmic axis with a grid line and a label at each of its ticks, and nowhere else.
struct Axis {
    range: Range<f64>,
    ticks: Vec<f64>,
}

impl Axis {
    /// With a tick at each of these values, and some room beside them.
    fn at(ticks: Vec<f64>) -> Self {
        let [min, max] = bounds(ticks.iter().copied());
        Self { range: min / 1.3..max * 1.3, ticks }
    }

    /// From tick to tick around these values, which are positive. Ticks are 1, 2 and 5 times powers of ten.
    fn around(values: impl Iterator<Item = f64>) -> Self {
        let [min, max] = bounds(values);
        let powers = min.log10().floor() as i32..=max.log10().ceil() as i32;
        let all: Vec<f64> = powers.flat_map(|p| [1.0, 2.0, 5.0].map(|m| m * 10_f64.powi(p))).collect();
        // Rounding may put a value a hair beside its tick.
        let low = all.iter().copied().rfind(|t| *t <= min * (1.0 + 1e-9)).unwrap_or(min / 2.0);
        let high = all.iter().copied().find(|t| *t >= max * (1.0 - 1e-9) && *t > low).unwrap_or(max * 2.0);
        let ticks = all.into_iter().filter(|t| (low..=high).contains(t)).collect();
        Self { range: low..high, ticks }
    }
}

fn bounds(values: impl Iterator<Item = f64>) -> [f64; 2] {
    values.fold([f64::INFINITY, 0.0], |[min, max], x| [min.min(x), max.max(x)])
}

impl Ranged for Axis {
    type FormatOption = DefaultFormatting;
    type ValueType = f64;

    fn map(&self, value: &f64, (from, to): (i32, i32)) -> i32 {
        let part = (value / self.range.start).ln() / (self.range.end / self.range.start).ln();
        from + (f64::from(to - from) * part).round() as i32
    }

    fn key_points<Hint: KeyPointHint>(&self, hint: Hint) -> Vec<f64> {
        if hint.weight().allow_light_points() { Vec::new() } else { self.ticks.clone() }
    }

    fn range(&self) -> Range<f64> {
        self.range.clone()
    }
}

/// A whole number, its thousands apart.
#[allow(clippy::cast_sign_loss)] // batches are positive
fn grouped(x: f64) -> String {
    indicatif::HumanCount(x.round() as u64).to_string()
}

/// A tick: thousands as k, millions as M.
fn short(x: f64) -> String {
    let (x, unit) = if x >= 1e6 {
        (x / 1e6, "M")
    } else if x >= 1e3 {
        (x / 1e3, "k")
    } else {
        (x, "")
    };
    // No digit of a tick is lost, and none of rounding is shown.
    format!("{}{unit}", (x * 1e6).round() / 1e6)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use std::{collections::BTreeMap, fs};

    fn row(batch: u32, rate: f64) -> Row {
        Row {
            scenario: "aes",
            mode: "semi-honest",
            params: BTreeMap::from([("batch", json!(batch)), ("strands", json!(4)), ("link", json!("quic"))]),
            unit: "blocks/s",
            median: rate,
            min: rate,
            max: rate,
            runs: 1,
            bytes_per_item: 340.0,
            rounds: 40,
            cpu: "2 x <any>".into(),
            version: "0".into(),
        }
    }

    fn drawn(rows: &[Row]) -> Result<String, String> {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("plot.svg");
        draw(rows, &path).map(|()| fs::read_to_string(&path).expect("written"))
    }

    fn attribute(element: &str, name: &str) -> i32 {
        let value = element.split(&format!(" {name}=\"")).nth(1).and_then(|rest| rest.split('"').next());
        value.and_then(|v| v.parse().ok()).unwrap_or_else(|| panic!("{name} of {element}"))
    }

    /// Both curves rise by equal factors from row to row, so their points are equal steps apart.
    #[test]
    fn every_row_has_a_point_on_each_curve_where_its_values_are() {
        let other = Row { scenario: "and", ..row(1, 1.0) };
        let rows = [other, row(64, 100e3), row(256, 100e3 * 10_f64.sqrt()), row(1024, 1e6)];
        let svg = drawn(&rows).expect("drawn");
        let points: Vec<[i32; 2]> = svg
            .split("<circle")
            .skip(1)
            .map(|c| [attribute(&format!(" {c}"), "cx"), attribute(&format!(" {c}"), "cy")])
            .collect();
        assert_eq!(points.len(), 6, "{svg}");
        for curve in points.chunks(3) {
            for k in 0..2 {
                let (first, second) = (curve[1][k] - curve[0][k], curve[2][k] - curve[1][k]);
                assert!((first - second).abs() <= 1 && first.signum() == [1, -1][k], "{curve:?}");
            }
        }
        // 100 k and 1 M are ticks, so the ends of the rate are at the ends of its axis, as tall as the drawing but for the margins.
        assert!(points[0][1] - points[2][1] > 400, "{points:?}");
        assert!(points.iter().zip(&points[3..]).all(|(rate, time)| (rate[0] - time[0]).abs() <= 1), "{points:?}");
        let labels: Vec<_> = svg.lines().map(str::trim).collect();
        for label in ["64", "256", "1,024", "100k", "200k", "500k", "1M", "2", "5", "semi-honest: blocks/s (left axis)"]
        {
            assert!(labels.contains(&label), "{label}: {svg}");
        }
    }

    #[test]
    fn modes_are_drawn_apart_and_no_row_is_refused() {
        assert_eq!(drawn(&[row(64, 1e5)]).expect("drawn").matches("<circle").count(), 2);
        let malicious = Row { mode: "malicious", ..row(64, 5e4) };
        let both = drawn(&[row(64, 1e5), malicious]).expect("drawn");
        assert!(both.matches("<circle").count() == 4 && both.contains("malicious: ms a batch takes"), "{both}");
        assert!(drawn(&[row(64, 0.0)]).is_err_and(|e| e.contains("no row")));
    }

    #[test]
    fn ticks_are_short_and_exact() {
        assert_eq!(Axis::around([0.03, 70.0].into_iter()).ticks.len(), 12);
        let text: Vec<_> = Axis::around([0.3, 3.0].into_iter()).ticks.into_iter().map(short).collect();
        assert_eq!(text, ["0.2", "0.5", "1", "2", "5"]);
        assert_eq!([5e3, 2e6, 1e5].map(short), ["5k", "2M", "100k"]);
    }
}
