//! One measurement: the load tool against a server that was started for it.

use crate::candidates::{Candidate, Places};
use crate::cells::{Cell, Figure, Scale};
use crate::hog::Hog;
use crate::server::{Server, Turn, pinned, shown};
use serde_json::{Map, Value, json};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How long one run of the load tool may take.
const RUN_WITHIN: Duration = Duration::from_secs(900);
/// How long those who are there already are alone before others connect.
const ALONE: Duration = Duration::from_millis(500);
/// How often it is looked whether the load tool has ended.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Where things run.
pub(crate) struct Machine<'a> {
    pub(crate) places: &'a Places,
    /// Cores of the server and of the load tool; none pins neither.
    pub(crate) cores: Option<(&'a str, &'a str)>,
    /// Processes of the load tool.
    pub(crate) processes: usize,
    pub(crate) logs: &'a Path,
}

/// What a run gave.
#[derive(Clone, Debug)]
pub(crate) struct Run {
    pub(crate) round: usize,
    /// By the figure's title. Empty when it could not be run.
    pub(crate) figures: Vec<(Figure, f64)>,
    /// Why the figures do not count; none when they do.
    pub(crate) refused: Option<String>,
    /// The load tool was the limit: a rate is a lower bound, and other figures do not count.
    pub(crate) is_limited: bool,
    pub(crate) json: Value,
}

impl Run {
    pub(crate) fn figure(&self, figure: Figure) -> Option<f64> {
        self.figures.iter().find(|(of, _)| *of == figure).map(|(_, value)| *value)
    }
}

/// Runs one cell against one candidate.
pub(crate) fn run(
    cell: &Cell,
    candidate: &Candidate,
    scale: Scale,
    machine: &Machine<'_>,
    round: usize,
) -> Run {
    match measure(cell, candidate, scale, machine, round) {
        Ok(run) => run,
        Err(why) => Run {
            round,
            figures: Vec::new(),
            json: json!({ "round": round, "refused": why }),
            refused: Some(why),
            is_limited: false,
        },
    }
}

fn measure(
    cell: &Cell,
    candidate: &Candidate,
    scale: Scale,
    machine: &Machine<'_>,
    round: usize,
) -> Result<Run, String> {
    let log = machine.logs.join(format!("{}-{}-{round}.log", cell.id, candidate.id));
    let server =
        Server::start(candidate, machine.places, machine.cores.map(|(server, _)| server), &log)?;
    let core = machine.cores.map(|(server, _)| server).filter(|_| cell.kind.shares_its_core());
    let _hog = core.map(Hog::start).transpose()?;
    let others = cell
        .kind
        .others(scale, candidate.protocol)
        .map(|arguments| Generator::start(machine, &server, arguments, 1, Turn::First))
        .transpose()?;
    if others.is_some() {
        std::thread::sleep(ALONE);
    }
    let arguments = cell.kind.arguments(scale, candidate.protocol, &server.events);
    // Where somebody's latency is measured meanwhile, those who measure it come first.
    let turn = if others.is_some() { Turn::Last } else { Turn::Usual };
    let main = Generator::start(machine, &server, arguments, machine.processes, turn)?;
    let command = main.command.clone();
    let report = main.report()?;
    let others = others.map(Generator::report).transpose()?.unwrap_or_default();

    let mut figures = Vec::new();
    for figure in std::iter::once(cell.kind.figure()).chain(cell.kind.beside().iter().copied()) {
        figures.extend(cell.kind.read(figure, &report, &others).map(|value| (figure, value)));
    }
    let is_limited = is_limited(&report);
    let refused = why_not(&report)
        .or_else(|| (!others.is_null()).then(|| why_not(&others)).flatten())
        .or_else(|| {
            let main = cell.kind.figure();
            let is_there = figures.iter().any(|(figure, _)| *figure == main);
            (!is_there).then(|| format!("the report has no figure for {}", main.title()))
        })
        .or_else(|| {
            // A rate that the tool could not raise is still one that the server has kept up with.
            let counts = scale.quick || cell.kind.figure() == Figure::Rate;
            (is_limited && !counts).then(|| "the load tool was at its limit".to_owned())
        });
    let named: Map<String, Value> =
        figures.iter().map(|(figure, value)| (figure.title().to_owned(), json!(value))).collect();
    let json = json!({
        "round": round,
        "figures": named,
        "refused": refused,
        "generator_limited": is_limited,
        "server_command": server.command,
        "load_command": command,
        "report": without_series(report),
        "others": without_series(others),
    });
    Ok(Run { round, figures, refused, is_limited, json })
}

/// The load tool at work.
struct Generator {
    child: Child,
    command: String,
    /// What it says, read as it comes.
    said: Option<[JoinHandle<String>; 2]>,
}

impl Generator {
    fn start(
        machine: &Machine<'_>,
        server: &Server,
        arguments: Vec<String>,
        processes: usize,
        turn: Turn,
    ) -> Result<Self, String> {
        let mut command = Command::new(machine.places.own.join("madang-load"));
        command.args(arguments).args(["--json", "--url", &server.play]);
        command.args(["--pid", &server.pid().to_string()]);
        if processes > 1 {
            command.args(["--processes", &processes.to_string()]);
        }
        let mut command = pinned(turn.of(command), machine.cores.map(|(_, load)| load));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().map_err(|error| format!("madang-load: {error}"))?;
        let said = Some([read(child.stdout.take()), read(child.stderr.take())]);
        Ok(Self { child, command: shown(&command), said })
    }

    /// Waits for its report. An error says why there is none.
    fn report(mut self) -> Result<Value, String> {
        let end = Instant::now() + RUN_WITHIN;
        while self.child.try_wait().map_err(|error| error.to_string())?.is_none() {
            if Instant::now() > end {
                return Err(format!("the load tool has not ended after {RUN_WITHIN:?}"));
            }
            std::thread::sleep(LOOK_EVERY);
        }
        let said = self.said.take().into_iter().flatten();
        let mut said = said.map(|thread| thread.join().unwrap_or_default());
        let (out, err) = (said.next().unwrap_or_default(), said.next().unwrap_or_default());
        serde_json::from_str(&out).map_err(|_| match err.lines().last() {
            Some(line) => line.to_owned(),
            None => "the load tool reported nothing".to_owned(),
        })
    }
}

impl Drop for Generator {
    fn drop(&mut self) {
        // It has ended, unless its report was not waited for.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn read(pipe: Option<impl std::io::Read + Send + 'static>) -> JoinHandle<String> {
    std::thread::spawn(move || {
        let mut text = String::new();
        // What is no text is no report either.
        let _ = pipe.map(|mut pipe| pipe.read_to_string(&mut text));
        text
    })
}

/// Why a run is not whole; none when everything came once and in order.
fn why_not(report: &Value) -> Option<String> {
    if report["passed"].as_bool() == Some(true) {
        return None;
    }
    let failures: Vec<_> =
        report["failures"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    Some(if failures.is_empty() { "the run did not pass".to_owned() } else { failures.join("; ") })
}

fn is_limited(report: &Value) -> bool {
    let search_ended = report["generator_limit_hz"].is_number();
    search_ended || report["generator_limited"].as_bool() == Some(true)
}

fn without_series(mut report: Value) -> Value {
    if let Some(object) = report.as_object_mut() {
        object.remove("series");
    }
    report
}
