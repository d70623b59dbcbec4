//! What all runs of a cell say together: medians and how far runs were apart, and ratios of runs of the same round,
//! which met the same conditions.

use crate::candidates::{self, Candidate};
use crate::cells::{Cell, Figure};
use crate::generator::Run;
use serde_json::{Value, json};

/// The runs of one candidate.
pub(crate) struct Row {
    pub(crate) candidate: &'static Candidate,
    pub(crate) version: Option<String>,
    pub(crate) runs: Vec<Run>,
}

/// A cell and everybody's runs.
pub(crate) struct Table {
    pub(crate) cell: &'static Cell,
    pub(crate) rows: Vec<Row>,
}

/// A median and what it lies between.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Spread {
    pub(crate) median: f64,
    pub(crate) least: f64,
    pub(crate) most: f64,
}

impl Spread {
    /// None of nothing.
    pub(crate) fn of(values: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut values: Vec<_> = values.into_iter().collect();
        values.sort_unstable_by(f64::total_cmp);
        let (least, most) = (*values.first()?, *values.last()?);
        let middle = values.len() / 2;
        let median = if values.len().is_multiple_of(2) {
            f64::midpoint(values[middle - 1], values[middle])
        } else {
            values[middle]
        };
        Some(Self { median, least, most })
    }

    fn json(self) -> Value {
        json!({ "median": self.median, "min": self.least, "max": self.most })
    }
}

impl Row {
    /// Runs whose figures count.
    pub(crate) fn whole(&self) -> impl Iterator<Item = &Run> {
        self.runs.iter().filter(|run| run.refused.is_none())
    }

    pub(crate) fn figure(&self, figure: Figure) -> Option<Spread> {
        Spread::of(self.whole().filter_map(|run| run.figure(figure)))
    }

    /// Whether the load tool was the limit in one of them.
    pub(crate) fn is_lower_bound(&self) -> bool {
        self.whole().any(|run| run.is_limited)
    }

    /// Why runs do not count, the first reason.
    pub(crate) fn refused(&self) -> Option<&str> {
        self.runs.iter().find_map(|run| run.refused.as_deref())
    }

    fn of_round(&self, round: usize, figure: Figure) -> Option<f64> {
        self.whole().find(|run| run.round == round)?.figure(figure)
    }
}

impl Table {
    /// How many times the floor's figure a row's is: of the floor with the same room window.
    pub(crate) fn to_floor(&self, row: &Row) -> Option<Spread> {
        self.ratio(row, &self.reference(self.cell.floor, "floor", row))
    }

    /// How many times Madang's figure a row's is.
    pub(crate) fn to_madang(&self, row: &Row) -> Option<Spread> {
        self.ratio(row, &self.reference("madang", "madang", row))
    }

    /// With a window, who begins so and has the same.
    fn reference(&self, plain: &str, family: &str, row: &Row) -> String {
        let with_window = format!("{family}{}", row.candidate.window());
        let is_there = self.rows.iter().any(|row| row.candidate.id == with_window);
        if is_there && !row.candidate.window().is_empty() {
            with_window
        } else if self.rows.iter().any(|row| row.candidate.id == plain) {
            plain.to_owned()
        } else {
            // Where spectators are served, Madang has a name of its own.
            let first = self.rows.iter().find(|row| row.candidate.id.starts_with(family));
            first.map(|row| row.candidate.id.to_owned()).unwrap_or_default()
        }
    }

    fn ratio(&self, row: &Row, reference: &str) -> Option<Spread> {
        let reference = self.rows.iter().find(|row| row.candidate.id == reference)?;
        let figure = self.cell.kind.figure();
        Spread::of(
            row.whole().filter_map(|run| {
                Some(run.figure(figure)? / reference.of_round(run.round, figure)?)
            }),
        )
    }

    /// Everything, for programs.
    pub(crate) fn json(&self) -> Value {
        let figures = || {
            std::iter::once(self.cell.kind.figure()).chain(self.cell.kind.beside().iter().copied())
        };
        let rows: Vec<_> = self
            .rows
            .iter()
            .map(|row| {
                let named = figures().filter_map(|figure| {
                    Some((figure.title().to_owned(), row.figure(figure)?.json()))
                });
                json!({
                    "id": row.candidate.id,
                    "name": row.candidate.name,
                    "version": row.version,
                    "figures": named.collect::<serde_json::Map<_, _>>(),
                    "is_lower_bound": row.is_lower_bound(),
                    "to_floor": self.to_floor(row).map(Spread::json),
                    "to_madang": self.to_madang(row).map(Spread::json),
                    "runs": row.runs.iter().map(|run| &run.json).collect::<Vec<_>>(),
                })
            })
            .collect();
        json!({
            "id": self.cell.id,
            "title": self.cell.title,
            "compared": self.cell.kind.figure().title(),
            "higher_is_better": self.cell.kind.figure().is_better_when_higher(),
            "floor": self.cell.floor,
            "rows": rows,
        })
    }
}

/// One table of all cells, as Markdown.
pub(crate) fn markdown(tables: &[Table]) -> String {
    let mut lines = vec![
        "| load | server | figure | median | min to max | × floor | × Madang | beside | whole |"
            .to_owned(),
        "|---|---|---|---|---|---|---|---|---|".to_owned(),
    ];
    for table in tables {
        let kind = table.cell.kind;
        for (place, row) in table.rows.iter().enumerate() {
            let load = if place == 0 { table.cell.title } else { "" };
            let figure = kind.figure();
            let (median, between) = match row.figure(figure) {
                Some(found) => {
                    let bound = if row.is_lower_bound() { "≥ " } else { "" };
                    (
                        format!("{bound}{}", figure.show(found.median)),
                        format!("{} to {}", figure.show(found.least), figure.show(found.most)),
                    )
                }
                None => ("none".to_owned(), row.refused().unwrap_or("not run").to_owned()),
            };
            let beside: Vec<_> = kind
                .beside()
                .iter()
                .filter_map(|figure| {
                    let found = row.figure(*figure)?;
                    Some(format!("{} {}", figure.title(), figure.show(found.median)))
                })
                .collect();
            lines.push(format!(
                "| {load} | {} | {} | {median} | {between} | {} | {} | {} | {} of {} |",
                row.candidate.name,
                figure.title(),
                times(table.to_floor(row)),
                times(table.to_madang(row)),
                beside.join(", "),
                row.whole().count(),
                row.runs.len(),
            ));
        }
    }
    lines.push(String::new());
    lines.join("\n")
}

fn times(ratio: Option<Spread>) -> String {
    ratio.map_or_else(String::new, |Spread { median, least, most }| {
        format!("{median:.2} ({least:.2} to {most:.2})")
    })
}

/// Rows for these candidates.
pub(crate) fn rows(
    who: &[&'static str],
    version: impl Fn(&Candidate) -> Option<String>,
) -> Vec<Row> {
    who.iter()
        .filter_map(|id| candidates::find(id))
        .map(|candidate| Row { candidate, version: version(candidate), runs: Vec::new() })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cells;

    fn run(round: usize, figures: &[(Figure, f64)], refused: Option<&str>) -> Run {
        Run {
            round,
            figures: figures.to_vec(),
            refused: refused.map(str::to_owned),
            is_limited: false,
            json: Value::Null,
        }
    }

    fn table(id: &str, runs: &[(&'static str, &[f64])]) -> Table {
        let cell = cells::find(id).unwrap();
        let who: Vec<_> = runs.iter().map(|(id, _)| *id).collect();
        let mut rows = rows(&who, |_| None);
        for (row, (_, values)) in rows.iter_mut().zip(runs) {
            let figure = cell.kind.figure();
            let of_round = |(round, value): (usize, &f64)| run(round, &[(figure, *value)], None);
            row.runs = values.iter().enumerate().map(of_round).collect();
        }
        Table { cell, rows }
    }

    #[test]
    fn medians_lie_in_the_middle() {
        let spread = |values: &[f64]| Spread::of(values.iter().copied());
        assert_eq!(spread(&[]), None);
        assert_eq!(spread(&[3.0, 1.0, 2.0]), Some(Spread { median: 2.0, least: 1.0, most: 3.0 }));
        assert_eq!(spread(&[4.0, 1.0]).map(|found| found.median), Some(2.5));
    }

    /// A machine that is slower in one round is that for both.
    #[test]
    fn ratios_are_of_the_same_round_and_window() {
        let table = table(
            "rooms-20hz",
            &[
                ("floor-each", &[4.0, 8.0, 4.0]),
                ("madang", &[4.4, 8.8, 4.4]),
                ("floor-5ms", &[2.0, 2.0, 2.0]),
                ("madang-5ms", &[3.0, 3.0, 3.0]),
                ("ws", &[6.6, 13.2, 6.6]),
            ],
        );
        let median = |found: Option<Spread>| (found.unwrap().median * 100.0).round();
        let [floor, madang, floor_5, madang_5, ws] = &table.rows[..] else { panic!() };
        assert_eq!((median(table.to_floor(floor)), median(table.to_floor(madang))), (100.0, 110.0));
        assert_eq!(
            (median(table.to_floor(madang_5)), median(table.to_madang(floor_5))),
            (150.0, 67.0)
        );
        assert_eq!((median(table.to_floor(ws)), median(table.to_madang(ws))), (165.0, 150.0));
    }

    #[test]
    fn where_spectators_are_served_madang_has_another_name() {
        let table = table("sse", &[("floor-each", &[4.0]), ("madang-watched", &[5.0])]);
        let ratio = table.to_madang(&table.rows[0]).map(|found| found.median);
        assert_eq!(ratio, Some(0.8));
    }

    #[test]
    fn runs_that_were_not_whole_do_not_count_and_are_told() {
        let mut table = table("rooms-20hz", &[("floor-each", &[4.0]), ("ws", &[6.0])]);
        let figures = [(Figure::CpuUs, 1.0)];
        table.rows[1].runs.push(run(1, &figures, Some("3 messages lost")));
        assert_eq!(table.rows[1].figure(Figure::CpuUs).map(|found| found.least), Some(6.0));
        assert_eq!(table.rows[1].refused(), Some("3 messages lost"));
        let text = markdown(&[table]);
        assert!(
            text.contains("| ws | CPU µs | 6.00 | 6.00 to 6.00 | 1.50 (1.50 to 1.50) |"),
            "{text}"
        );
        assert!(text.contains("| 1 of 2 |"), "{text}");
    }
}
