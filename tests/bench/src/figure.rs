//! The figure: throughput against the distance to MySQL, and what an event costs against the backlog it waits in.

use std::ops::Range;
use std::path::Path;

use anyhow::anyhow;
use plotters::coord::Shift;
use plotters::prelude::*;

use crate::record::{Measured, Part, Record, Results};
use crate::report::median;

const SIZE: (u32, u32) = (1000, 420);

/// A follower's points, with its number among all, which is its colour in both charts.
struct Line {
    name: String,
    number: usize,
    points: Vec<(f64, f64)>,
}

/// A chart and what its axes say.
struct Chart<'a> {
    title: &'a str,
    across: &'a str,
    upwards: &'a str,
    lines: Vec<Line>,
}

pub fn draw(results: &Results, file: &Path) -> anyhow::Result<()> {
    let failed = |error| anyhow!("drawing {}: {error:?}", file.display());
    let away =
        |record: &Record| record.cell.distance.mysql_ms.filter(|_| record.cell.distance.mongodb_ms.is_none());
    let throughput = Chart {
        title: "Events a second, live",
        across: "round trip to MySQL, ms",
        upwards: "events/s",
        lines: lines(results, Part::Live, &away, &Measured::throughput),
    };
    let backlog = |record: &Record| record.cell.is_backlog.then_some(whole(record.cell.history) / 1000.0);
    let cost = Chart {
        title: "The follower's processor time for an event, history",
        across: "backlog, thousand events",
        upwards: "us",
        lines: lines(results, Part::History, &backlog, &|part| part.micros(part.cpu.follower)),
    };
    let area = SVGBackend::new(file, SIZE).into_drawing_area();
    area.fill(&WHITE).map_err(failed)?;
    let (left, right) = area.split_horizontally(SIZE.0 / 2);
    chart(&left, &throughput).map_err(failed)?;
    chart(&right, &cost).map_err(failed)?;
    area.present().map_err(failed)
}

/// The medians of each follower.
fn lines(
    results: &Results,
    part: Part,
    across: &dyn Fn(&Record) -> Option<f64>,
    upwards: &dyn Fn(&Measured) -> f64,
) -> Vec<Line> {
    let mut lines = Vec::new();
    for (number, follower) in results.followers.iter().enumerate() {
        let own = || results.records.iter().filter(|record| record.follower == *follower);
        let mut places: Vec<f64> = own().filter_map(across).collect();
        places.sort_by(f64::total_cmp);
        places.dedup();
        let point = |place: f64| {
            let there = own().filter(|record| across(record) == Some(place)).flat_map(|record| &record.parts);
            let values = there
                .filter(|measured| measured.part == part)
                .map(upwards)
                .filter(|value| value.is_finite())
                .collect();
            Some((place, median(values)?))
        };
        let points: Vec<(f64, f64)> = places.into_iter().filter_map(point).collect();
        if !points.is_empty() {
            lines.push(Line { name: follower.clone(), number, points });
        }
    }
    lines
}

#[expect(clippy::cast_precision_loss, reason = "a number of events")]
fn whole(number: usize) -> f64 {
    number as f64
}

type Drawn<T> = Result<T, DrawingAreaErrorKind<std::io::Error>>;

fn chart(area: &DrawingArea<SVGBackend, Shift>, chart: &Chart) -> Drawn<()> {
    let points = || chart.lines.iter().flat_map(|line| &line.points);
    let mut context = ChartBuilder::on(area)
        .caption(chart.title, ("sans-serif", 16))
        .margin(12)
        .x_label_area_size(36)
        .y_label_area_size(64)
        .build_cartesian_2d(
            from_zero(points().map(|point| point.0)),
            from_zero(points().map(|point| point.1)),
        )?;
    context.configure_mesh().x_desc(chart.across).y_desc(chart.upwards).max_light_lines(1).draw()?;
    for Line { name, number, points } in &chart.lines {
        let colour = Palette99::pick(*number).to_rgba();
        let line = LineSeries::new(points.iter().copied(), colour.stroke_width(2)).point_size(4);
        let series = context.draw_series(line)?;
        series
            .label(name)
            .legend(move |(x, y)| PathElement::new(vec![(x, y), (x + 16, y)], colour.stroke_width(2)));
    }
    if !chart.lines.is_empty() {
        context
            .configure_series_labels()
            .position(SeriesLabelPosition::UpperRight)
            .background_style(WHITE.mix(0.8))
            .border_style(BLACK)
            .draw()?;
    }
    Ok(())
}

/// From nothing to a little more than the largest.
fn from_zero(values: impl Iterator<Item = f64>) -> Range<f64> {
    0.0..values.fold(1e-9, f64::max) * 1.1
}
