//! The text form of a distribution that `HdrHistogram`'s `outputPercentileDistribution` writes and its
//! plotter (hdrhistogram.github.io/HdrHistogram/plotFiles.html) reads: a file named `.hgrm`.
//!
//! Columns as in its `AbstractHistogram.java`: value, percentile as a part of 1, how many are at most
//! that, and 1/(1-percentile), which the plotter's axis is. Values are milliseconds, as it expects.

use crate::outcome::Times;
use std::fmt::Write as _;

/// Steps in each half of the distance to 100 %, as the original's default.
const TICKS_PER_HALF: u32 = 5;
const US_PER_MS: f64 = 1000.0;

/// One distribution.
pub(crate) fn hgrm(times: &Times) -> String {
    let histogram = times.histogram();
    let mut out = String::new();
    // Writing into a string cannot fail.
    let _ = writeln!(
        out,
        "{:>12} {:>14} {:>10} {:>14}\n",
        "Value", "Percentile", "TotalCount", "1/(1-Percentile)"
    );
    let mut count = 0;
    for step in histogram.iter_quantiles(TICKS_PER_HALF) {
        count += step.count_since_last_iteration();
        let value = step.value_iterated_to().min(histogram.max()) as f64 / US_PER_MS;
        let quantile = step.quantile_iterated_to();
        let _ = write!(out, "{value:>12.3} {quantile:>2.12} {count:>10}");
        let _ = match quantile {
            // Nothing is beyond all of them: the last line has no fourth column.
            1.0.. => writeln!(out),
            _ => writeln!(out, " {:>14.2}", 1.0 / (1.0 - quantile)),
        };
    }
    let _ = writeln!(
        out,
        "#[Mean    = {:>12.3}, StdDeviation   = {:>12.3}]",
        histogram.mean() / US_PER_MS,
        histogram.stdev() / US_PER_MS
    );
    let _ = writeln!(
        out,
        "#[Max     = {:>12.3}, Total count    = {:>12}]",
        histogram.max() as f64 / US_PER_MS,
        histogram.len()
    );
    // Twice the least that keeps so many digits, rounded up to a power of two.
    let sub_buckets = (2 * 10_u64.pow(u32::from(histogram.sigfig()))).next_power_of_two();
    let _ = writeln!(
        out,
        "#[Buckets = {:>12}, SubBuckets     = {sub_buckets:>12}]",
        histogram.buckets()
    );
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_is_that_of_the_original() {
        let mut times = Times::new();
        for us in 1..=100 {
            times.record_us(us * 1000);
        }
        let text = hgrm(&times);
        assert_eq!(text, include_str!("golden.hgrm"));
    }

    #[test]
    fn the_plotter_gets_every_line_but_the_last() {
        let mut times = Times::new();
        for number in 0..50_000_u64 {
            times.record_us(number * number % 700_001);
        }
        let text = hgrm(&times);
        let mut before = (-1.0, 0.0);
        let mut lines = 0;
        // As its page reads them: four columns, the first and the last are numbers.
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let columns: Vec<&str> = line.split_whitespace().collect();
            let [value, percentile, count, inverse] = columns[..] else { continue };
            let Ok(value) = value.parse::<f64>() else { continue };
            let inverse: f64 = inverse.parse().unwrap();
            let percentile: f64 = percentile.parse().unwrap();
            assert!(count.parse::<u64>().unwrap() <= 50_000);
            assert!((1.0 / (1.0 - percentile) - inverse).abs() <= 0.005 + inverse * 1e-6);
            assert!(value >= before.0 && inverse > before.1, "{line}");
            before = (value, inverse);
            lines += 1;
        }
        assert!(lines > 50, "{lines}");
        assert!(text.contains(" 1.000000000000      50000\n#[Mean "), "the last line\n{text}");
    }

    #[test]
    fn nothing_measured_is_no_line() {
        let text = hgrm(&Times::new());
        assert_eq!(text.lines().filter(|line| !line.is_empty()).count(), 4, "{text}");
        assert!(text.contains("Total count    =            0"));
    }
}
