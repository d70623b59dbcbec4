//! A run while it goes on, on standard error: a few lines that are drawn anew each second below what
//! the terminal already shows, or, where there is no terminal, a line a second.
//!
//! Drawn by a thread of its own: a terminal that is slow, or stopped, holds up no load. Nothing has to
//! be restored in the end: the terminal stays in its own mode, keys and Ctrl-C included, and the cursor
//! stays visible on the last, empty line of the view, so that whatever ends the process leaves a prompt
//! below it. A regular end removes the view; the table takes its place.

mod screen;
mod view;

use super::{close_name, grouped, mib, ms};
use crate::outcome::{BUSY_CORES, Sample};
use ratatui::{Terminal, TerminalOptions, Viewport};
use screen::Screen;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{IsTerminal as _, Stderr, Write as _, stderr, stdout};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;
use view::{HEIGHT, History};

/// Looks that may wait for the terminal; those beyond are left out.
const LOOKS_MAX: usize = 4;

/// How far a run has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    Connecting,
    WarmUp,
    Measuring,
    Draining,
}

/// A run as it is now.
#[derive(Clone, Debug)]
pub(crate) struct Look {
    pub(crate) phase: Phase,
    pub(crate) elapsed: Duration,
    /// How long all of it is to take, where that is known.
    pub(crate) total: Option<Duration>,
    /// The second that is just over.
    pub(crate) sample: Sample,
    /// Processes that make the load: each has a core at most.
    pub(crate) generators: usize,
    pub(crate) lost: u64,
    pub(crate) repeated: u64,
    pub(crate) errors: u64,
    /// Connections ended by a Close frame so far, by its code.
    pub(crate) closed: BTreeMap<u16, u64>,
}

/// Where a run is shown while it goes on.
pub(crate) struct Live {
    title: String,
    view: Option<View>,
}

/// The thread that draws.
struct View {
    said: SyncSender<Said>,
    thread: JoinHandle<()>,
}

enum Said {
    Look(Box<Look>),
    /// The run is over: the view goes.
    Finish,
}

impl Live {
    /// Shows a run of this title: plainly where that is asked for, or where there is no terminal that
    /// can do more.
    pub(crate) fn new(title: &str, plain: bool) -> Self {
        let is_able =
            stderr().is_terminal() && std::env::var_os("TERM").is_none_or(|it| it != "dumb");
        let view = if plain || !is_able { None } else { View::open(title) };
        Self { title: title.to_owned(), view }
    }

    /// Shows it as it is now; once a second.
    pub(crate) fn show(&mut self, look: &Look) {
        if let Some(view) = &self.view {
            match view.said.try_send(Said::Look(Box::new(look.clone()))) {
                // The terminal is slow: this second is left out.
                Ok(()) | Err(TrySendError::Full(_)) => return,
                // It could not be drawn on.
                Err(TrySendError::Disconnected(_)) => self.view = None,
            }
        }
        // Whoever would have read it is gone; the run goes on.
        let _ = writeln!(stderr(), "{}: {}", self.title, plain(look));
    }

    /// The run is over.
    pub(crate) fn finish(mut self) {
        self.close(Said::Finish);
    }

    fn close(&mut self, last: impl Into<Option<Said>>) {
        let Some(View { said, thread }) = self.view.take() else { return };
        if let Some(last) = last.into() {
            // It may have given up already.
            let _ = said.send(last);
        }
        drop(said);
        // What it did not draw is all that a panic in it costs.
        let _ = thread.join();
    }
}

impl Drop for Live {
    /// An end by an error or a panic leaves the view where it is: it is the last that is known.
    fn drop(&mut self) {
        self.close(None);
    }
}

impl View {
    /// None where the terminal cannot be drawn on.
    fn open(title: &str) -> Option<Self> {
        let options = TerminalOptions { viewport: Viewport::Inline(HEIGHT) };
        let screen = Screen::new(stderr(), stdout().is_terminal());
        let terminal = Terminal::with_options(screen, options).ok()?;
        let (said, heard) = sync_channel(LOOKS_MAX);
        let history = History::new(title);
        let thread = std::thread::Builder::new()
            .name("view".to_owned())
            .spawn(move || draw(terminal, history, &heard))
            .ok()?;
        Some(Self { said, thread })
    }
}

/// Draws what is said until nobody says anything more, or the terminal takes no more.
fn draw(mut terminal: Terminal<Screen<Stderr>>, mut history: History, heard: &Receiver<Said>) {
    while let Ok(said) = heard.recv() {
        match said {
            Said::Look(look) => {
                history.take(*look);
                if terminal.draw(|frame| view::render(&history, frame)).is_err() {
                    return;
                }
            }
            Said::Finish => {
                let area = terminal.get_frame().area();
                // What cannot be removed stays.
                let _ = terminal.backend_mut().remove(area);
                return;
            }
        }
    }
}

/// The same in one line.
fn plain(look: &Look) -> String {
    let Look { sample, .. } = look;
    let mut out = elapsed(look);
    // Writing into a string cannot fail.
    let _ = write!(
        out,
        " {}: {} connections, {} sent/s, {} received/s, p50 {} ms, p99 {} ms, {}",
        look.phase.name(),
        grouped(sample.live),
        grouped(sample.sent),
        grouped(sample.received),
        ms(sample.latency.at_us(0.5)),
        ms(sample.latency.at_us(0.99)),
        wrong(look),
    );
    let closes = closes(look);
    if !closes.is_empty() {
        let _ = write!(out, ", {closes}");
    }
    if let Some(server) = server(look) {
        let _ = write!(out, ", server {server}");
    }
    let _ = write!(out, ", generator {}", generator(look));
    out
}

fn elapsed(look: &Look) -> String {
    let seconds = look.elapsed.as_secs();
    match look.total {
        Some(total) => format!("{seconds} of {} s", total.as_secs_f64().ceil()),
        None => format!("{seconds} s"),
    }
}

fn wrong(look: &Look) -> String {
    let Look { lost, repeated, errors, .. } = look;
    format!("{} lost, {} repeated, {} errors", grouped(*lost), grouped(*repeated), grouped(*errors))
}

fn closes(look: &Look) -> String {
    let closed = look.closed.iter().map(|(code, count)| {
        let name = close_name(*code).map(|name| format!(" {name}")).unwrap_or_default();
        format!("{} closed with {code}{name}", grouped(*count))
    });
    closed.collect::<Vec<_>>().join(", ")
}

/// What is known of the server.
fn server(look: &Look) -> Option<String> {
    let cores = look.sample.server_cores.map(|cores| format!("{cores:.2} cores"));
    let resident = look.sample.server_resident.map(mib);
    let known: Vec<String> = cores.into_iter().chain(resident).collect();
    (!known.is_empty()).then(|| known.join(", "))
}

fn generator(look: &Look) -> String {
    let limit = if look.is_generator_limited() { " AT ITS LIMIT" } else { "" };
    format!("{:.2} cores{limit}", look.sample.generator_cores)
}

impl Look {
    /// Whether the tool itself has no more to give.
    fn is_generator_limited(&self) -> bool {
        self.sample.generator_cores > BUSY_CORES * self.generators.max(1) as f64
    }
}

impl Phase {
    fn name(self) -> &'static str {
        match self {
            Self::Connecting => "connecting",
            Self::WarmUp => "warm-up",
            Self::Measuring => "measuring",
            Self::Draining => "draining",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::samples;
    use super::*;

    pub(super) fn look(second: u64) -> Look {
        Look {
            phase: Phase::Measuring,
            elapsed: Duration::from_secs(second),
            total: Some(Duration::from_millis(18_500)),
            sample: samples::second_of(second),
            generators: 1,
            lost: 12,
            repeated: 0,
            errors: 1_000,
            closed: BTreeMap::from([(4008, 3), (3999, 1)]),
        }
    }

    #[test]
    fn a_line_has_everything() {
        assert_eq!(
            plain(&look(3)),
            "3 of 19 s measuring: 1,000 connections, 20,010 sent/s, 180,370 received/s, p50 0.18 ms, \
             p99 1.60 ms, 12 lost, 0 repeated, 1,000 errors, 1 closed with 3999, 3 closed with 4008 \
             slow_consumer, server 0.77 cores, 7.2 MiB, generator 0.92 cores"
        );
    }

    #[test]
    fn what_is_not_known_is_left_out_and_a_limit_is_said() {
        let mut look = look(3);
        (look.total, look.phase) = (None, Phase::Draining);
        look.closed.clear();
        (look.sample.server_cores, look.sample.server_resident) = (None, None);
        look.sample.generator_cores = 0.96;
        let text = plain(&look);
        assert!(text.starts_with("3 s draining: "), "{text}");
        assert!(text.ends_with("1,000 errors, generator 0.96 cores AT ITS LIMIT"), "{text}");
        look.generators = 2;
        assert!(plain(&look).ends_with("generator 0.96 cores"));
    }

    #[test]
    fn without_a_terminal_there_is_no_thread() {
        let mut live = Live::new("relay", true);
        assert!(live.view.is_none());
        live.show(&look(1));
        live.finish();
    }
}
