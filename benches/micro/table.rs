//! The table at a run's end: times as criterion found them, beside the allocations.

use crate::case::{Case, Count};
use serde_json::Value as Json;
use std::fmt::Write as _;
use std::path::Path;

/// A case and what was found.
pub(crate) struct Row {
    name: String,
    units: (u64, &'static str),
    count: Count,
    /// Nanoseconds of one time: the median, and the bounds of its confidence interval.
    median_ns: f64,
    low_ns: f64,
    high_ns: f64,
}

impl Row {
    /// A row, if criterion has just timed the case: a filter may have left it out.
    pub(crate) fn of(case: &Case, count: Count, results: &Path) -> Option<Self> {
        let [group, name] = case.group_and_name();
        let path = results.join(group).join(name).join("new/estimates.json");
        let text = std::fs::read_to_string(&path).ok()?;
        let estimates: Json = serde_json::from_str(&text).ok()?;
        let median = &estimates["median"];
        let bounds = &median["confidence_interval"];
        Some(Self {
            name: case.name(),
            units: case.units(),
            count,
            median_ns: median["point_estimate"].as_f64()?,
            low_ns: bounds["lower_bound"].as_f64()?,
            high_ns: bounds["upper_bound"].as_f64()?,
        })
    }
}

/// The table, as README.md has it.
pub(crate) fn table(rows: &[Row]) -> String {
    let mut out = String::from(
        "\n| operation | one time is | ns each | ns a time (95 %) | allocations a time | bytes a time |\n\
         |---|---|---|---|---|---|\n",
    );
    for row in rows {
        let (units, unit) = row.units;
        let unit = match (units, unit) {
            (1, unit) => unit.to_owned(),
            (_, unit) => match unit.strip_suffix('y') {
                Some(stem) => format!("{stem}ies"),
                None => format!("{unit}s"),
            },
        };
        // Writing into a string cannot fail.
        let _ = writeln!(
            out,
            "| {} | {units} {unit} | {:.1} | {:.0} ({:.0} to {:.0}) | {} | {} |",
            row.name,
            row.median_ns / units as f64,
            row.median_ns,
            row.low_ns,
            row.high_ns,
            row.count.allocations,
            row.count.bytes,
        );
    }
    out
}
