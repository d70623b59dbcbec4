//! The bars of the table as an SVG that stands alone.

use crate::results::Table;
use std::fmt::Write as _;

const WIDTH: usize = 900;
const NAMES_WIDTH: usize = 290;
const BARS_WIDTH: usize = 480;
const ROW_HEIGHT: usize = 20;
const TITLE_HEIGHT: usize = 40;

/// One group of bars for each cell; Madang's own are darker.
pub(crate) fn svg(tables: &[Table]) -> String {
    let mut body = String::new();
    let mut y = 0;
    for table in tables {
        let kind = table.cell.kind;
        let figure = kind.figure();
        let better = if figure.is_better_when_higher() { "more" } else { "less" };
        y += TITLE_HEIGHT;
        let title = format!("{}: {} ({better} is better)", table.cell.title, figure.title());
        text(&mut body, "title", 10, y - 12, &title);
        let medians = table.rows.iter().filter_map(|row| row.figure(figure));
        let most = medians.map(|found| found.median).fold(f64::MIN_POSITIVE, f64::max);
        for row in &table.rows {
            text(&mut body, "name", NAMES_WIDTH - 10, y + 14, row.candidate.name);
            let value = match row.figure(figure) {
                Some(found) => {
                    let class = if row.candidate.id.starts_with("madang") {
                        "own"
                    } else if row.candidate.id.starts_with("floor") {
                        "floor"
                    } else {
                        "peer"
                    };
                    let width = found.median / most * BARS_WIDTH as f64;
                    // Writing into a string cannot fail.
                    let _ = writeln!(
                        body,
                        "<rect class=\"{class}\" x=\"{NAMES_WIDTH}\" y=\"{}\" width=\"{width:.1}\" height=\"{}\"/>",
                        y + 2,
                        ROW_HEIGHT - 5,
                    );
                    let bound = if row.is_lower_bound() { "≥ " } else { "" };
                    (
                        NAMES_WIDTH + width as usize + 6,
                        format!("{bound}{}", figure.show(found.median)),
                    )
                }
                None => (NAMES_WIDTH + 6, "no whole run".to_owned()),
            };
            text(&mut body, "value", value.0, y + 14, &value.1);
            y += ROW_HEIGHT;
        }
    }
    let height = y + 15;
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" width=\"{WIDTH}\" height=\"{height}\">\n\
         <style>text {{ font: 13px sans-serif; fill: #222 }} .title {{ font-weight: bold }} \
         .name {{ text-anchor: end }} .own {{ fill: #a63d40 }} .floor {{ fill: #999 }} \
         .peer {{ fill: #6494aa }}</style>\n\
         <rect width=\"{WIDTH}\" height=\"{height}\" fill=\"#fff\"/>\n{body}</svg>\n"
    )
}

fn text(body: &mut String, class: &str, x: usize, y: usize, text: &str) {
    let text = text.replace('&', "&amp;").replace('<', "&lt;");
    let _ = writeln!(body, "<text class=\"{class}\" x=\"{x}\" y=\"{y}\">{text}</text>");
}
