//! Small plots in SVG, inline: their colours are the page's.

use super::markup::Html;
use std::fmt::Write;

/// The area that is drawn on, in user units, within [`WIDTH`] and [`HEIGHT`].
const LEFT: f64 = 58.0;
const TOP: f64 = 14.0;
const BOTTOM: f64 = 44.0;
const RIGHT: f64 = 14.0;
const HEIGHT: f64 = 300.0;

/// How wide a plot is, in user units; all are equally high.
#[derive(Clone, Copy)]
pub(super) enum Width {
    /// Two stand beside each other.
    Half,
    /// One stands alone.
    Full,
}

/// One axis: from 0 (or `from`) to `to`, with what it shows.
pub(super) struct Axis<'a> {
    pub(super) title: &'a str,
    pub(super) from: f64,
    pub(super) to: f64,
    pub(super) format: fn(f64) -> String,
}

/// A plot that is being drawn.
pub(super) struct Plot<'a> {
    id: &'a str,
    title: &'a str,
    description: String,
    width: f64,
    x: Axis<'a>,
    y: Axis<'a>,
    marks: String,
}

impl<'a> Plot<'a> {
    pub(super) fn new(id: &'a str, title: &'a str, width: Width, (x, y): (Axis<'a>, Axis<'a>)) -> Self {
        let width = match width {
            Width::Half => 420.0,
            Width::Full => 860.0,
        };
        Self { id, title, description: String::new(), width, x, y, marks: String::new() }
    }

    /// What the plot says, for those who do not see it.
    pub(super) fn describe(&mut self, description: String) {
        self.description = description;
    }

    /// A line through points, drawn as `class` says.
    pub(super) fn line(&mut self, class: &str, points: &[(f64, f64)]) {
        let path: Vec<String> =
            points.iter().map(|&(x, y)| format!("{:.1},{:.1}", self.at_x(x), self.at_y(y))).collect();
        self.mark(format_args!("<polyline class=\"{class}\" {} points=\"{}\"/>", paint(class), path.join(" ")));
    }

    /// The area between points and the lower axis.
    pub(super) fn area(&mut self, class: &str, points: &[(f64, f64)]) {
        let (Some(first), Some(last)) = (points.first(), points.last()) else { return };
        let floor = self.at_y(self.y.from);
        let mut path = format!("{:.1},{floor:.1} ", self.at_x(first.0));
        for &(x, y) in points {
            let _ = write!(path, "{:.1},{:.1} ", self.at_x(x), self.at_y(y));
        }
        let _ = write!(path, "{:.1},{floor:.1}", self.at_x(last.0));
        self.mark(format_args!("<polygon class=\"{class}\" {} points=\"{path}\"/>", paint(class)));
    }

    /// A bar over a range of the lower axis.
    pub(super) fn bar(&mut self, class: &str, (from, to): (f64, f64), height: f64) {
        let (x, end) = (self.at_x(from), self.at_x(to));
        let (y, floor) = (self.at_y(height.max(0.0)), self.at_y(height.min(0.0).max(self.y.from)));
        self.mark(format_args!(
            "<rect class=\"{class}\" {} x=\"{x:.1}\" y=\"{y:.1}\" width=\"{:.1}\" height=\"{:.1}\"/>",
            paint(class),
            (end - x).max(0.5),
            (floor - y).max(0.0)
        ));
    }

    /// A dot.
    pub(super) fn dot(&mut self, class: &str, (x, y): (f64, f64), radius: f64) {
        let (x, y) = (self.at_x(x), self.at_y(y));
        self.mark(format_args!(
            "<circle class=\"{class}\" {} cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"{radius:.1}\"/>",
            paint(class)
        ));
    }

    /// Words at a place, to its right (`start`), left (`end`) or around it (`middle`). The text is the program's own.
    pub(super) fn words(&mut self, anchor: &str, (x, y): (f64, f64), text: &str) {
        let (x, y) = (self.at_x(x), self.at_y(y));
        self.mark(format_args!(
            "<text class=\"word\" font-size=\"14\" text-anchor=\"{anchor}\" x=\"{x:.1}\" y=\"{y:.1}\">{text}</text>"
        ));
    }

    /// Puts the plot on the page, with a legend: class and text of each entry.
    pub(super) fn finish(self, page: &mut Html, legend: &[(&str, &str)]) {
        let Self { id, title, width, .. } = self;
        page.raw("<figure>\n<figcaption>").text(title).raw("</figcaption>\n");
        if !legend.is_empty() {
            page.raw("<p class=\"legend\">");
            for (class, text) in legend {
                page.raw(&format!(
                    "<span><svg class=\"key\" viewBox=\"0 0 28 10\" width=\"28\" height=\"10\" aria-hidden=\"true\"><line class=\"{class}\" \
                     {} x1=\"1\" y1=\"5\" x2=\"27\" y2=\"5\"/></svg> ",
                    paint(class)
                ));
                page.text(text).raw("</span> ");
            }
            page.raw("</p>\n");
        }
        page.raw(&format!(
            "<svg viewBox=\"0 0 {width} {HEIGHT}\" width=\"{width}\" height=\"{HEIGHT}\" role=\"img\" aria-labelledby=\"{id}-t {id}-d\">\n<title id=\"{id}-t\">"
        ));
        page.text(title).raw(&format!("</title>\n<desc id=\"{id}-d\">")).text(&self.description).raw("</desc>\n");
        page.raw(&self.grid()).raw(&self.marks).raw("</svg>\n</figure>\n");
    }

    /// Grid, ticks and titles of the axes.
    fn grid(&self) -> String {
        let mut grid = String::from("<g class=\"grid\" stroke-width=\"1\" font-size=\"12\">\n");
        let (left, right) = (LEFT, self.width - RIGHT);
        let (top, floor) = (TOP, HEIGHT - BOTTOM);
        for value in ticks(self.y.from, self.y.to) {
            let y = self.at_y(value);
            let _ =
                writeln!(grid, "<line stroke=\"#d9dee5\" x1=\"{left}\" y1=\"{y:.1}\" x2=\"{right}\" y2=\"{y:.1}\"/>");
            let label = (self.y.format)(value);
            let _ =
                writeln!(grid, "<text text-anchor=\"end\" x=\"{}\" y=\"{:.1}\">{label}</text>", left - 7.0, y + 4.0);
        }
        for value in ticks(self.x.from, self.x.to) {
            let x = self.at_x(value);
            let _ = writeln!(
                grid,
                "<line stroke=\"#d9dee5\" x1=\"{x:.1}\" y1=\"{floor}\" x2=\"{x:.1}\" y2=\"{}\"/>",
                floor + 4.0
            );
            let label = (self.x.format)(value);
            let _ = writeln!(grid, "<text text-anchor=\"middle\" x=\"{x:.1}\" y=\"{}\">{label}</text>", floor + 18.0);
        }
        let (middle, half) = (f64::midpoint(left, right), f64::midpoint(top, floor));
        let _ = writeln!(
            grid,
            "<text class=\"axis\" text-anchor=\"middle\" x=\"{middle:.1}\" y=\"{}\">{}</text>",
            HEIGHT - 6.0,
            self.x.title
        );
        let _ = writeln!(
            grid,
            "<text class=\"axis\" text-anchor=\"middle\" transform=\"translate(13 {half:.1}) rotate(-90)\">{}</text>\n</g>",
            self.y.title
        );
        grid
    }

    fn mark(&mut self, mark: std::fmt::Arguments<'_>) {
        let _ = writeln!(self.marks, "{mark}");
    }

    fn at_x(&self, x: f64) -> f64 {
        LEFT + share(&self.x, x) * (self.width - LEFT - RIGHT)
    }

    fn at_y(&self, y: f64) -> f64 {
        HEIGHT - BOTTOM - share(&self.y, y) * (HEIGHT - TOP - BOTTOM)
    }
}

/// How a class looks where the page's style does not reach into drawings, as in some mail and print programs.
pub(super) fn paint(class: &str) -> &'static str {
    match class {
        "curve" => "fill=\"none\" stroke=\"#2b4c9b\" stroke-width=\"2.2\"",
        "good" => "fill=\"none\" stroke=\"#0b6e77\" stroke-width=\"2.2\"",
        "bad" => "fill=\"none\" stroke=\"#b3421a\" stroke-width=\"2.2\" stroke-dasharray=\"7 3\"",
        "chance" => "fill=\"none\" stroke=\"#5b6675\" stroke-width=\"1.4\" stroke-dasharray=\"2 4\"",
        "fill" => "fill=\"#2b4c9b\" opacity=\"0.1\"",
        "good-fill" => "fill=\"#0b6e77\" opacity=\"0.16\"",
        "bad-fill" => "fill=\"#b3421a\" opacity=\"0.16\"",
        "column" | "point" => "fill=\"#2b4c9b\"",
        "good-bar" => "fill=\"#0b6e77\"",
        "bad-bar" => "fill=\"#b3421a\"",
        _ => "fill=\"none\" stroke=\"#1d2430\" stroke-width=\"1.6\"",
    }
}

/// Where on an axis, from 0 to 1.
fn share(axis: &Axis<'_>, value: f64) -> f64 {
    let share = (value - axis.from) / (axis.to - axis.from);
    if share.is_finite() { share.clamp(0.0, 1.0) } else { 0.0 }
}

/// Four to nine round values on an axis.
fn ticks(from: f64, to: f64) -> Vec<f64> {
    let span = to - from;
    if !(span.is_finite() && span > 0.0) {
        return Vec::new();
    }
    let unit = 10f64.powf((span / 4.0).log10().floor());
    let step = [5.0, 2.0, 1.0].map(|m| m * unit).into_iter().find(|step| span / step >= 3.999).unwrap_or(unit);
    let first = (from / step).ceil();
    (0..12).map(|i| (first + f64::from(i)) * step).take_while(|v| *v <= to + step * 1e-9).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_few_and_within() {
        let close = |found: &[f64], expected: &[f64]| {
            found.len() == expected.len() && found.iter().zip(expected).all(|(f, e)| (f - e).abs() < 1e-12)
        };
        assert!(close(&ticks(0.0, 1.0), &[0.0, 0.2, 0.4, 0.6, 0.8, 1.0]));
        assert!(close(&ticks(-0.5, 1.5), &[-0.5, 0.0, 0.5, 1.0, 1.5]));
        for (from, to) in [(0.0, 0.3), (0.0, 7.7), (-3.0, 9.0), (0.0, 1e9), (0.0, 1e-9), (1.0, 1.0), (0.0, f64::NAN)] {
            let ticks = ticks(from, to);
            assert!(
                ticks.len() <= 12 && (ticks.len() >= 4 || to.partial_cmp(&from) != Some(std::cmp::Ordering::Greater)),
                "{from} {to} {ticks:?}"
            );
        }
    }
}
