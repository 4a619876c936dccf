//! How often matching is wrong on synthetic irises: rates with confidence intervals at many thresholds, and their trade-off, as an SVG file.
//!
//! `cargo bench -p trefoil-benches --bench accuracy -- FILE.svg`
#![allow(missing_docs)] // a program

use plotters::prelude::*;
use std::{error::Error, path::Path};
use trefoil_circuits::matching::{
    Kind, Threshold,
    rates::{Operating, Rate, trade_off},
    reference::Distance,
    synthetic::Irises,
};

/// Pairs of each sort. No two of them share an eye, so that they are independent.
const PAIRS: usize = 20_000;
/// What captures are wrong by: those of the field, and poor ones.
const NOISE: [(f64, f64, &str); 2] = [(0.10, 0.25, "noise of 10 to 25 %"), (0.30, 0.45, "noise of 30 to 45 %")];
const COLORS: [RGBColor; 3] = [RGBColor(0x1f, 0x4e, 0xa1), RGBColor(0x2f, 0x7d, 0x32), RGBColor(0xb4, 0x3a, 0x1e)];
/// The least rate drawn.
const LEAST: f64 = 5e-5;

fn main() -> Result<(), Box<dyn Error>> {
    // The harness adds `--bench`.
    let Some(file) = std::env::args().skip(1).find(|a| !a.starts_with("--")) else {
        return Err("name the file to draw: cargo bench -p trefoil-benches --bench accuracy -- FILE.svg".into());
    };
    let mut irises = Irises::new(1);
    let impostors: Vec<_> = (0..PAIRS).map(|_| distances(&irises.enrol().turned(0), &irises.enrol())).collect();
    let genuine = NOISE.map(|(low, high, _)| {
        let pair = |k: usize| {
            let eye = irises.enrol();
            let noise = low + (high - low) * irises.uniform();
            distances(&irises.again(&eye, noise, (k % 31).cast_signed() - 15), &eye)
        };
        (0..PAIRS).map(pair).collect::<Vec<_>>()
    });
    let rates = genuine.map(|genuine| trade_off(thresholds(), [&genuine, &impostors]));
    println!("threshold  FMR  95 %  then for each noise FNMR  95 %");
    for (a, b) in rates[0].iter().zip(&rates[1]) {
        println!("{:.3}  {}  {}  {}", at(a), told(a.false_match), told(a.false_non_match), told(b.false_non_match));
    }
    draw(&rates, Path::new(&file))
}

/// In all rotations.
fn distances(
    probe: &trefoil_circuits::matching::Template,
    enrolled: &trefoil_circuits::matching::Template,
) -> Vec<Distance> {
    let (turns, enrolled) = (Kind::IRIS.rotations().cast_signed() / 2, enrolled.to_bits());
    let turned = (-turns..=turns).map(|by| probe.turned(by).to_bits());
    turned.map(|probe| Distance::between_bits(Kind::IRIS, &probe, &enrolled)).collect()
}

fn thresholds() -> Vec<Threshold> {
    (20..=100).filter_map(|k| Threshold::new(k, 200).ok()).collect()
}

fn at(rates: &Operating) -> f64 {
    f64::from(rates.threshold.numerator()) / f64::from(rates.threshold.denominator())
}

fn told(rate: Rate) -> String {
    let [low, high] = rate.interval();
    format!("{:.5} {low:.5}-{high:.5}", rate.value().unwrap_or(0.0))
}

fn draw(rates: &[Vec<Operating>; 2], file: &Path) -> Result<(), Box<dyn Error>> {
    let area = SVGBackend::new(file, (1160, 520)).into_drawing_area();
    area.fill(&WHITE)?;
    let (left, right) = area.split_horizontally(580);
    let series: [(&str, Vec<(f64, Rate)>); 3] = [
        ("FMR: different eyes match", rates[0].iter().map(|r| (at(r), r.false_match)).collect()),
        ("FNMR, noise of 10 to 25 %", rates[0].iter().map(|r| (at(r), r.false_non_match)).collect()),
        ("FNMR, noise of 30 to 45 %", rates[1].iter().map(|r| (at(r), r.false_non_match)).collect()),
    ];
    let caption = format!("Rates at a threshold, {PAIRS} independent pairs each, 95 % intervals");
    let mut chart = ChartBuilder::on(&left)
        .caption(caption, ("sans-serif", 15))
        .margin(12)
        .x_label_area_size(44)
        .y_label_area_size(64)
        .build_cartesian_2d(0.1..0.5, (LEAST..1.0).log_scale())?;
    chart
        .configure_mesh()
        .light_line_style(WHITE)
        .x_desc("threshold")
        .y_desc("rate")
        .y_label_formatter(&|rate| rate.to_string())
        .draw()?;
    for ((name, points), color) in series.iter().zip(COLORS) {
        for (at, [low, high]) in points.iter().map(|(at, rate)| (*at, rate.interval().map(shown))) {
            chart.draw_series([PathElement::new([(at, low), (at, high)], color.mix(0.4))])?;
        }
        let seen = points.iter().filter(|(_, rate)| rate.errors > 0);
        let line = seen.map(|(at, rate)| (*at, shown(rate.value().unwrap_or(0.0))));
        let legend = move |(x, y)| PathElement::new([(x, y), (x + 16, y)], color.stroke_width(2));
        chart.draw_series(LineSeries::new(line, color.stroke_width(2)))?.label(*name).legend(legend);
    }
    for (threshold, name) in [(0.32, "0.32"), (0.345, "0.345")] {
        chart.draw_series([PathElement::new([(threshold, LEAST), (threshold, 1.0)], BLACK.mix(0.5))])?;
        chart.draw_series([Text::new(name, (threshold, 0.9), ("sans-serif", 11))])?;
    }
    chart.configure_series_labels().position(SeriesLabelPosition::LowerLeft).background_style(WHITE).draw()?;

    let mut chart = ChartBuilder::on(&right)
        .caption("Detection error trade-off", ("sans-serif", 15))
        .margin(12)
        .x_label_area_size(44)
        .y_label_area_size(64)
        .build_cartesian_2d((LEAST..1.0).log_scale(), (LEAST..1.0).log_scale())?;
    let mut mesh = chart.configure_mesh();
    mesh.light_line_style(WHITE)
        .x_desc("FMR")
        .y_desc("FNMR")
        .x_label_formatter(&|rate| rate.to_string())
        .y_label_formatter(&|rate| rate.to_string())
        .draw()?;
    for ((rates, (.., name)), color) in rates.iter().zip(NOISE).zip(&COLORS[1..]) {
        // Where no error was seen of one kind, the rate is below the end of its interval, and the line ends.
        let point = |rate: Rate| shown(if rate.errors > 0 { rate.value().unwrap_or(0.0) } else { rate.interval()[1] });
        for r in rates {
            let (x, y) = (point(r.false_match), point(r.false_non_match));
            let [[left, right], [low, high]] =
                [r.false_match, r.false_non_match].map(|rate| rate.interval().map(shown));
            chart.draw_series([PathElement::new([(left, y), (right, y)], color.mix(0.3))])?;
            chart.draw_series([PathElement::new([(x, low), (x, high)], color.mix(0.3))])?;
        }
        let seen = rates.iter().filter(|r| r.false_match.errors > 0 && r.false_non_match.errors > 0);
        let line = seen.map(|r| (point(r.false_match), point(r.false_non_match)));
        let legend = move |(x, y)| PathElement::new([(x, y), (x + 16, y)], color.stroke_width(2));
        chart.draw_series(LineSeries::new(line, color.stroke_width(2)))?.label(name).legend(legend);
    }
    chart.configure_series_labels().position(SeriesLabelPosition::UpperRight).background_style(WHITE).draw()?;
    Ok(area.present()?)
}

/// Within the drawing.
fn shown(rate: f64) -> f64 {
    rate.clamp(LEAST, 1.0)
}
