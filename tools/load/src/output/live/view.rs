//! What the view looks like: one line for each thing, those that change with a sparkline.

use super::{Look, closes, elapsed, generator, server, wrong};
use crate::output::{grouped, ms};
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{LineGauge, Paragraph, Sparkline};
use ratatui::{Frame, symbols};
use std::collections::VecDeque;

/// Lines of the view; the last is empty, for the cursor.
pub(super) const HEIGHT: u16 = 9;
/// Seconds that sparklines go back, at most: more than a terminal has columns.
const SECONDS_MAX: usize = 512;
/// Columns of the names, and of the values before a sparkline.
const NAME: u16 = 12;
const VALUE: u16 = 14;
/// Columns that the elapsed time takes beside its gauge.
const GAUGE_MAX: u16 = 40;

/// The newest look, and what sparklines show of earlier ones.
pub(super) struct History {
    title: String,
    now: Option<Look>,
    sent: VecDeque<u64>,
    received: VecDeque<u64>,
    p50: VecDeque<u64>,
    p99: VecDeque<u64>,
}

impl History {
    pub(super) fn new(title: &str) -> Self {
        let [sent, received, p50, p99] = [const { VecDeque::new() }; 4];
        Self { title: title.to_owned(), now: None, sent, received, p50, p99 }
    }

    /// A second later.
    pub(super) fn take(&mut self, look: Look) {
        let sample = &look.sample;
        for (series, value) in [
            (&mut self.sent, sample.sent),
            (&mut self.received, sample.received),
            (&mut self.p50, sample.latency.at_us(0.5)),
            (&mut self.p99, sample.latency.at_us(0.99)),
        ] {
            if series.len() == SECONDS_MAX {
                series.pop_front();
            }
            series.push_back(value);
        }
        self.now = Some(look);
    }
}

/// Draws the newest look, if there is one.
pub(super) fn render(history: &History, frame: &mut Frame<'_>) {
    let area = frame.area();
    // Ratatui hides the cursor unless it has a place; on the empty line it is where a prompt belongs.
    frame.set_cursor_position((area.x, area.bottom().saturating_sub(1)));
    let Some(look) = &history.now else { return };
    let lines = Layout::vertical([Constraint::Length(1); HEIGHT as usize]).split(area);
    head(history, look, lines[0], frame);
    let live = format!("{} live", grouped(look.sample.live));
    let closes = closes(look);
    let closes_style = if closes.is_empty() { dim() } else { alarm() };
    let closes = if closes.is_empty() { "none closed".to_owned() } else { closes };
    texts("connections", &[(live, Style::new()), (closes, closes_style)], lines[1], frame);
    let sample = &look.sample;
    let [p50, p99] =
        [0.5, 0.99].map(|quantile| format!("{} ms", ms(sample.latency.at_us(quantile))));
    for (name, value, series, colour, line) in [
        ("sent", format!("{}/s", grouped(sample.sent)), &history.sent, Color::Blue, lines[2]),
        (
            "received",
            format!("{}/s", grouped(sample.received)),
            &history.received,
            Color::Green,
            lines[3],
        ),
        ("p50", p50, &history.p50, Color::Cyan, lines[4]),
        ("p99", p99, &history.p99, Color::Magenta, lines[5]),
    ] {
        spark((name, value), series, colour, line, frame);
    }
    let is_wrong = look.lost + look.repeated + look.errors > 0;
    let style = if is_wrong { alarm() } else { dim() };
    texts("wrong", &[(wrong(look), style)], lines[6], frame);
    let server = server(look).unwrap_or_else(|| "unknown without --pid".to_owned());
    let style = if look.is_generator_limited() { alarm() } else { Style::new() };
    let generator = format!("generator {}", generator(look));
    texts("server", &[(server, Style::new()), (generator, style)], lines[7], frame);
}

/// Title, phase, and how far it is.
fn head(history: &History, look: &Look, line: Rect, frame: &mut Frame<'_>) {
    let bold = Style::new().add_modifier(Modifier::BOLD);
    let text = Line::from(vec![
        Span::styled(history.title.as_str(), bold),
        Span::raw(format!("  {}  {}  ", look.phase.name(), elapsed(look))),
    ]);
    let [left, right] =
        Layout::horizontal([Constraint::Length(text.width() as u16), Constraint::Max(GAUGE_MAX)])
            .areas(line);
    frame.render_widget(text, left);
    if let Some(total) = look.total.filter(|total| !total.is_zero()) {
        let part = (look.elapsed.as_secs_f64() / total.as_secs_f64()).clamp(0.0, 1.0);
        let gauge = LineGauge::default()
            .ratio(part)
            .filled_symbol(symbols::line::THICK_HORIZONTAL)
            .filled_style(Style::new().fg(Color::Green))
            .unfilled_style(dim());
        frame.render_widget(gauge, right);
    }
}

fn texts(name: &str, values: &[(String, Style)], line: Rect, frame: &mut Frame<'_>) {
    let mut spans = vec![Span::styled(format!("{name:<0$}", usize::from(NAME)), dim())];
    for (place, (value, style)) in values.iter().enumerate() {
        if place > 0 {
            spans.push(Span::raw("   "));
        }
        spans.push(Span::styled(value.as_str(), *style));
    }
    frame.render_widget(Paragraph::new(Line::from(spans)), line);
}

fn spark(
    (name, value): (&str, String),
    series: &VecDeque<u64>,
    colour: Color,
    line: Rect,
    frame: &mut Frame<'_>,
) {
    let widths = [Constraint::Length(NAME), Constraint::Length(VALUE), Constraint::Fill(1)];
    let [left, middle, right] = Layout::horizontal(widths).spacing(1).areas(line);
    frame.render_widget(Span::styled(name, dim()), left);
    frame.render_widget(Line::from(value).right_aligned(), middle);
    // The newest are those that are seen.
    let skipped = series.len().saturating_sub(usize::from(right.width));
    let bars = Sparkline::default().data(series.iter().skip(skipped).copied());
    frame.render_widget(bars.style(Style::new().fg(colour)), right);
}

fn dim() -> Style {
    Style::new().add_modifier(Modifier::DIM)
}

fn alarm() -> Style {
    Style::new().fg(Color::Red).add_modifier(Modifier::BOLD)
}

#[cfg(test)]
mod tests {
    use super::super::tests::look;
    use super::*;
    use ratatui::backend::{Backend as _, TestBackend};
    use ratatui::layout::Position;
    use ratatui::{Terminal, TerminalOptions, Viewport};

    fn terminal(width: u16, height: u16) -> Terminal<TestBackend> {
        let options = TerminalOptions { viewport: Viewport::Inline(HEIGHT) };
        let mut backend = TestBackend::new(width, height);
        backend.set_cursor_position(Position::new(0, 2)).unwrap();
        Terminal::with_options(backend, options).unwrap()
    }

    fn draw(terminal: &mut Terminal<TestBackend>, history: &History) -> Vec<String> {
        terminal.draw(|frame| render(history, frame)).unwrap();
        let buffer = terminal.backend().buffer();
        let cells = buffer.content.chunks(usize::from(buffer.area.width));
        cells
            .map(|line| {
                let line: String = line.iter().map(ratatui::buffer::Cell::symbol).collect();
                line.trim_end().to_owned()
            })
            .collect()
    }

    #[test]
    fn the_view_is_below_what_was_there_and_has_everything() {
        let mut history = History::new("relay");
        let mut terminal = terminal(90, 12);
        assert!(draw(&mut terminal, &history).iter().all(String::is_empty), "nothing is known yet");
        for second in 0..9 {
            history.take(look(second));
        }
        let lines = draw(&mut terminal, &history);
        assert_eq!(lines[..2], ["", ""], "what was there stays");
        assert!(
            lines[2].starts_with("relay  measuring  8 of 19 s   43% ━━━━━━━━━━━━━━━─"),
            "{lines:#?}"
        );
        assert_eq!(
            lines[3],
            "connections 1,000 live   1 closed with 3999, 3 closed with 4008 slow_consumer"
        );
        assert_eq!(lines[4], "sent               19,994/s ▁█▇▇▇▇▇▇▇", "{lines:#?}");
        assert!(lines[5].starts_with("received          179,965/s ▁█"), "{lines:#?}");
        assert!(lines[6].starts_with("p50                 0.15 ms ▅▇█"), "{lines:#?}");
        assert!(lines[7].starts_with("p99                 1.22 ms ▃█▇"), "{lines:#?}");
        assert_eq!(lines[8], "wrong       12 lost, 0 repeated, 1,000 errors");
        assert!(lines[9].starts_with("server      0."), "{lines:#?}");
        assert!(lines[9].ends_with(" cores"), "{lines:#?}");
        assert_eq!(lines[10], "", "for the cursor");
        terminal.backend_mut().assert_cursor_position(Position::new(0, 10));
    }

    #[test]
    fn a_narrow_or_low_terminal_shows_what_it_can() {
        let mut history = History::new("relay");
        for second in 0..2_000 {
            history.take(look(second));
        }
        assert_eq!(history.sent.len(), SECONDS_MAX);
        for (width, height) in [(30, 12), (90, 4), (1, 1), (200, 50)] {
            let lines = draw(&mut terminal(width, height), &history);
            assert_eq!(lines.len(), usize::from(height));
        }
    }
}
