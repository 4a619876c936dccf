//! Rate and latency against the batch, as an SVG file.

use super::row::Row;
use plotters::prelude::*;
use std::path::Path;

/// Draws the `aes` rows: blocks a second on the left axis, milliseconds a batch takes on the right one, both logarithmic.
///
/// A strand's batches follow each other, so a batch takes `batch * strands / rate`.
///
/// # Errors
/// What the drawing library reports: the file cannot be written, or there is no row to draw.
pub fn draw(rows: &[Row], path: &Path) -> Result<(), String> {
    let points: Vec<(f64, f64, f64)> = rows.iter().filter_map(point).collect();
    let (Some(first), Some(last)) = (points.first(), points.last()) else {
        return Err("there is no row of the scenario `aes` to draw".into());
    };
    let range = |of: fn(&(f64, f64, f64)) -> f64| {
        let all = points.iter().map(of);
        all.clone().fold(f64::INFINITY, f64::min) / 1.5..all.fold(0.0, f64::max) * 1.5
    };
    let (rates, times) = (range(|p| p.1), range(|p| p.2));
    let text = |e: &dyn std::fmt::Display| e.to_string();
    let area = SVGBackend::new(path, (900, 520)).into_drawing_area();
    area.fill(&WHITE).map_err(|e| text(&e))?;
    let caption = format!("AES-128 on shares, {}, three processes over QUIC, {}", rows[0].mode, rows[0].cpu);
    let mut chart = ChartBuilder::on(&area)
        .caption(caption, ("sans-serif", 18))
        .margin(16)
        .x_label_area_size(48)
        .y_label_area_size(84)
        .right_y_label_area_size(84)
        .build_cartesian_2d((first.0..last.0).log_scale(), rates.log_scale())
        .map_err(|e| text(&e))?
        .set_secondary_coord((first.0..last.0).log_scale(), times.log_scale());
    chart
        .configure_mesh()
        .x_desc("blocks in a batch")
        .y_desc("blocks/s (solid)")
        .x_label_formatter(&|x| format!("{x:.0}"))
        .y_label_formatter(&|y| format!("{y:.0}"))
        .draw()
        .map_err(|e| text(&e))?;
    chart.configure_secondary_axes().y_desc("ms a batch takes (open)").draw().map_err(|e| text(&e))?;
    let rate = points.iter().map(|p| (p.0, p.1));
    let time = points.iter().map(|p| (p.0, p.2));
    chart.draw_series(LineSeries::new(rate, BLUE.stroke_width(2)).point_size(4)).map_err(|e| text(&e))?;
    chart.draw_secondary_series(LineSeries::new(time.clone(), RED.stroke_width(1))).map_err(|e| text(&e))?;
    let open = time.map(|p| Circle::new(p, 4, RED.stroke_width(1)));
    chart.draw_secondary_series(open).map_err(|e| text(&e))?;
    area.present().map_err(|e| text(&e))
}

/// Batch, rate, and milliseconds a batch takes.
fn point(row: &Row) -> Option<(f64, f64, f64)> {
    let number = |name: &str| row.params.get(name)?.as_f64();
    let (batch, strands) = (number("batch")?, number("strands")?);
    let drawable = row.scenario == "aes" && row.median > 0.0;
    drawable.then(|| (batch, row.median, batch * strands / row.median * 1e3))
}
