//! Plots as SVG. Their colours are those of `report.css`, which has others for dark screens.
//!
//! Drawn by plotters, at twice the size that people see, because it places points on whole pixels.

use crate::outcome::Times;
use plotters::coord::Shift;
use plotters::coord::ranged1d::{AsRangedCoord, Ranged, ValueFormatter};
use plotters::coord::types::RangedCoordf64;
use plotters::prelude::{
    Cartesian2d, ChartBuilder, ChartContext, Circle, Color as _, DrawingArea, IntoDrawingArea as _,
    IntoFont as _, IntoLogRange as _, LineSeries, RGBColor, Rectangle, SVGBackend,
};
use std::error::Error;

/// Twice what is seen on a wide screen; a narrow one shrinks it.
const SIZE: (u32, u32) = (1040, 520);
const FONT: u32 = 31;
const LINE: u32 = 4;
/// Points of a curve, beyond which neighbours share one.
const POINTS_MAX: usize = 500;
/// Steps in each half of the distance to 100 %.
const TICKS_PER_HALF: u32 = 20;

const GRID: RGBColor = RGBColor(0xdd, 0xe2, 0xe9);
const AXIS: RGBColor = RGBColor(0x8b, 0x95, 0xa3);
const INK: RGBColor = RGBColor(0x4b, 0x56, 0x64);
/// Of the ink, behind what was measured.
const SHADE: f64 = 0.07;
const GOOD: RGBColor = RGBColor(0x1a, 0x7f, 0x4b);
const BAD: RGBColor = RGBColor(0xc4, 0x2b, 0x3a);
/// One for each curve of a plot.
const CURVES: [RGBColor; 3] =
    [RGBColor(0x2a, 0x6d, 0xd9), RGBColor(0xc2, 0x5e, 0x0c), RGBColor(0x7b, 0x4f, 0xc4)];

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Chart<'a, 'b, X> = ChartContext<'a, SVGBackend<'b>, Cartesian2d<X, RangedCoordf64>>;
type Drawn = Result<(), Box<dyn Error>>;

/// How many of its neighbours are shown as one point.
#[derive(Clone, Copy, Debug)]
pub(super) enum Thinned {
    /// Their mean, as of rates.
    Mean,
    /// The largest, as of times: a peak stays.
    Most,
}

/// Milliseconds over the part of all that is at most as long, with more room for the longest.
pub(super) fn percentiles(label: &str, times: &Times) -> Option<String> {
    let histogram = times.histogram();
    if histogram.is_empty() {
        return None;
    }
    let count = histogram.len() as f64;
    let points: Vec<(f64, f64)> = histogram
        .iter_quantiles(TICKS_PER_HALF)
        .map(|step| {
            let beyond = 1.0 / (1.0 - step.quantile_iterated_to());
            let value = step.value_iterated_to().min(histogram.max());
            (beyond.min(count), value as f64 / 1000.0)
        })
        .collect();
    let most = most(points.iter().map(|point| point.1));
    svg(label, |area| {
        let x = (1.0..count.max(10.0)).log_scale();
        plot(area, x, most, ("percentile", "ms"), percentile, |chart| {
            chart.draw_series(LineSeries::new(points, CURVES[0].stroke_width(LINE)))?;
            Ok(())
        })
    })
}

/// Curves over the seconds of a run; where one has no value it has a gap. `measured` is the part of the
/// run that was.
pub(super) fn over_time(
    label: &str,
    unit: &str,
    curves: &[Vec<Option<f64>>],
    thinned: Thinned,
    measured: (f64, f64),
) -> Option<String> {
    let seconds = curves.iter().map(Vec::len).max().filter(|seconds| *seconds > 1)?;
    let values: Vec<f64> = curves.iter().flatten().filter_map(|value| *value).collect();
    if values.is_empty() {
        return None;
    }
    let most = most(values.into_iter());
    let last = (seconds - 1) as f64;
    svg(label, |area| {
        plot(area, 0.0..last, most, ("second", unit), whole, |chart| {
            let (from, to) = (measured.0.max(0.0), measured.1.min(last));
            if to > from {
                let shade = INK.mix(SHADE).filled();
                chart.draw_series([Rectangle::new([(from, 0.0), (to, most)], shade)])?;
            }
            for (curve, colour) in curves.iter().zip(CURVES) {
                for run in runs(curve, thinned) {
                    chart.draw_series(LineSeries::new(run, colour.stroke_width(LINE)))?;
                }
            }
            Ok(())
        })
    })
}

/// The tries of a search, ascending: rate, milliseconds at p99, and whether what was asked for held.
pub(super) fn ladder(label: &str, tries: &[(f64, f64, bool)]) -> Option<String> {
    if tries.is_empty() {
        return None;
    }
    let widest = most(tries.iter().map(|it| it.0));
    let highest = most(tries.iter().map(|it| it.1));
    svg(label, |area| {
        plot(area, 0.0..widest, highest, ("Hz of each sender", "p99, ms"), short, |chart| {
            let line = tries.iter().map(|it| (it.0, it.1));
            chart.draw_series(LineSeries::new(line, AXIS.stroke_width(2)))?;
            chart.draw_series(tries.iter().map(|(rate, p99, held)| {
                let colour = if *held { GOOD } else { BAD };
                Circle::new((*rate, *p99), 10, colour.filled())
            }))?;
            Ok(())
        })
    })
}

/// An element that a page can have as it is. None where nothing could be drawn: then the page has the
/// numbers alone.
fn svg(label: &str, draw: impl FnOnce(&Area<'_>) -> Drawn) -> Option<String> {
    let mut text = String::new();
    {
        let area = SVGBackend::with_string(&mut text, SIZE).into_drawing_area();
        draw(&area).ok()?;
        area.present().ok()?;
    }
    // The element's size is the page's business; the label is read out.
    let (_, inside) = text.split_once('>')?;
    let (width, height) = SIZE;
    let label = maud::html! { svg viewBox=(format!("0 0 {width} {height}")) role="img" aria-label=(label) {} };
    let opening = label.into_string();
    let opening = opening.strip_suffix("</svg>")?;
    Some(format!("{opening}{inside}"))
}

/// Axes, grid and what is in it; the y axis begins with 0.
fn plot<X>(
    area: &Area<'_>,
    x: X,
    most: f64,
    (x_name, y_name): (&str, &str),
    x_label: fn(f64) -> String,
    series: impl FnOnce(&mut Chart<'_, '_, X::CoordDescType>) -> Drawn,
) -> Drawn
where
    X: AsRangedCoord<Value = f64>,
    X::CoordDescType: Ranged<ValueType = f64> + ValueFormatter<f64>,
{
    let text = ("sans-serif", FONT).into_font().color(&INK);
    let mut chart = ChartBuilder::on(area)
        .margin_top(16)
        .margin_right(36)
        .margin_bottom(4)
        .margin_left(4)
        .x_label_area_size(2 * FONT + 22)
        .y_label_area_size(4 * FONT + 10)
        .build_cartesian_2d(x, 0.0..most)?;
    chart
        .configure_mesh()
        .light_line_style(GRID.mix(0.0))
        .bold_line_style(GRID.stroke_width(2))
        .axis_style(AXIS.stroke_width(2))
        .label_style(text.clone())
        .axis_desc_style(text)
        .x_labels(7)
        .y_labels(6)
        .x_desc(x_name)
        .y_desc(y_name)
        .x_label_formatter(&|value| x_label(*value))
        .y_label_formatter(&|value| short(*value))
        .draw()?;
    series(&mut chart)
}

/// The unbroken runs of a curve, neighbours put together where there are too many.
fn runs(curve: &[Option<f64>], thinned: Thinned) -> Vec<Vec<(f64, f64)>> {
    let step = curve.len().div_ceil(POINTS_MAX).max(1);
    let mut runs = vec![Vec::new()];
    for (place, neighbours) in curve.chunks(step).enumerate() {
        let values: Vec<f64> = neighbours.iter().flatten().copied().collect();
        let value = match thinned {
            Thinned::Mean => values.iter().sum::<f64>() / values.len() as f64,
            Thinned::Most => values.iter().copied().fold(0.0, f64::max),
        };
        match runs.last_mut() {
            Some(run) if !values.is_empty() => run.push(((place * step) as f64, value)),
            Some(run) if run.is_empty() => {}
            _ => runs.push(Vec::new()),
        }
    }
    runs.retain(|run| !run.is_empty());
    runs
}

/// A little more than the largest; above 0.
fn most(values: impl Iterator<Item = f64>) -> f64 {
    let most = values.filter(|value| value.is_finite()).fold(0.0, f64::max);
    if most > 0.0 { most * 1.06 } else { 1.0 }
}

/// What part of all is not beyond 1 in so many.
fn percentile(beyond: f64) -> String {
    let digits = (beyond.log10().round() as usize).saturating_sub(2);
    format!("{:.digits$} %", 100.0 * (1.0 - 1.0 / beyond))
}

fn whole(value: f64) -> String {
    format!("{value:.0}")
}

/// A number of an axis, in few characters.
fn short(value: f64) -> String {
    let (value, unit) = match value {
        value if value >= 1e6 => (value / 1e6, " M"),
        value if value >= 1e4 => (value / 1e3, " k"),
        value => (value, ""),
    };
    // Without what a sum of steps leaves behind.
    let text = format!("{value:.3}");
    format!("{}{unit}", text.trim_end_matches('0').trim_end_matches('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_are_short() {
        let texts = [0.0, 0.1 + 0.2, 1500.0, 20_000.0, 1_250_000.0].map(short);
        assert_eq!(texts, ["0", "0.3", "1500", "20 k", "1.25 M"]);
        let texts = [1.0, 10.0, 100.0, 1000.0, 1e6].map(percentile);
        assert_eq!(texts, ["0 %", "90 %", "99 %", "99.9 %", "99.9999 %"]);
    }

    #[test]
    fn a_gap_parts_a_curve_and_peaks_stay() {
        let curve = [Some(1.0), None, None, Some(2.0), Some(3.0)];
        assert_eq!(runs(&curve, Thinned::Mean), [vec![(0.0, 1.0)], vec![(3.0, 2.0), (4.0, 3.0)]]);
        let mut long = vec![Some(1.0); 2 * POINTS_MAX];
        long[7] = Some(9.0);
        let thinned = |how| runs(&long, how).remove(0)[3].1;
        assert_eq!((thinned(Thinned::Most), thinned(Thinned::Mean)), (9.0, 5.0));
        assert!(runs(&long, Thinned::Most)[0].len() <= POINTS_MAX);
    }

    #[test]
    fn nothing_to_draw_is_no_plot() {
        assert_eq!(percentiles("p", &Times::new()), None);
        assert_eq!(over_time("t", "ms", &[vec![None; 5]], Thinned::Mean, (0.0, 5.0)), None);
        assert_eq!(over_time("t", "ms", &[vec![Some(1.0)]], Thinned::Mean, (0.0, 5.0)), None);
        assert_eq!(ladder("l", &[]), None);
    }

    #[test]
    fn a_plot_is_one_element_with_its_label_escaped() {
        let mut times = Times::new();
        times.record_us(0);
        for text in [
            percentiles("<&\"", &times).unwrap(),
            over_time(
                "<&\"",
                "ms",
                &[vec![Some(0.0), None, Some(0.0)]],
                Thinned::Most,
                (-1.0, 9.0),
            )
            .unwrap(),
            ladder("<&\"", &[(0.0, 0.0, true), (1e6, f64::NAN, false)]).unwrap(),
        ] {
            let opening =
                "<svg viewBox=\"0 0 1040 520\" role=\"img\" aria-label=\"&lt;&amp;&quot;\">";
            assert!(text.starts_with(opening) && text.trim_end().ends_with("</svg>"), "{text}");
            assert_eq!(text.matches("<svg").count(), 1);
            assert!(!text.contains("NaN"), "{text}");
        }
    }

    #[test]
    fn every_colour_has_another_for_dark_screens() {
        let css = include_str!("report.css");
        for RGBColor(red, green, blue) in CURVES.into_iter().chain([GRID, AXIS, INK, GOOD, BAD]) {
            let hex = format!("\"#{red:02X}{green:02X}{blue:02X}\"");
            assert!(css.contains(&hex), "{hex} is not in report.css");
        }
    }
}
