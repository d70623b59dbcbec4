//! A server that runs for one measurement.

use crate::candidates::{Candidate, Places, Program};
use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

/// How long a server may take until it says where it listens.
const READY_WITHIN: Duration = Duration::from_secs(60);

/// Killed when it is dropped: nothing of it outlives its run.
pub(crate) struct Server {
    child: Child,
    /// As it was typed.
    pub(crate) command: String,
    pub(crate) play: String,
    pub(crate) events: String,
}

impl Server {
    /// Starts it and waits until it says where it listens. An error says why it does not.
    pub(crate) fn start(
        candidate: &Candidate,
        places: &Places,
        cores: Option<&str>,
        log: &Path,
    ) -> Result<Self, String> {
        let failed = |error: std::io::Error| format!("{} does not start: {error}", candidate.id);
        let mut command = pinned(candidate.command(places)?, cores);
        command.stdout(Stdio::piped()).stderr(File::create(log).map_err(failed)?);
        let mut child = command.spawn().map_err(failed)?;
        let lines = BufReader::new(child.stdout.take().ok_or("no standard output")?).lines();
        let mut server =
            Self { child, command: shown(&command), play: String::new(), events: String::new() };
        let (say, said) = mpsc::channel();
        // It reads on to the end, so that a server that says more is never stopped by a full pipe.
        std::thread::spawn(move || {
            lines.map_while(Result::ok).for_each(|line| drop(say.send(line)));
        });
        let end = Instant::now() + READY_WITHIN;
        let is_madang = matches!(candidate.program, Program::Madang(_));
        while server.play.is_empty() || server.events.is_empty() {
            let line = match said.recv_timeout(end.saturating_duration_since(Instant::now())) {
                Ok(line) => line,
                Err(RecvTimeoutError::Timeout) => {
                    return Err(format!("{} is not ready after {READY_WITHIN:?}", candidate.id));
                }
                Err(RecvTimeoutError::Disconnected) => {
                    return Err(format!("{} ended; see {}", candidate.id, log.display()));
                }
            };
            match line.split_whitespace().collect::<Vec<_>>()[..] {
                ["port", port] if !is_madang => {
                    server.play = format!("ws://127.0.0.1:{port}");
                    server.events = format!("http://127.0.0.1:{port}");
                }
                ["play", url] if is_madang => {
                    url.trim_end_matches("/play").clone_into(&mut server.play);
                }
                ["demo", url] if is_madang => {
                    url.trim_end_matches('/').clone_into(&mut server.events);
                }
                _ => {}
            }
        }
        Ok(server)
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself, which the run has seen.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Whose turn it is on a core that several processes share.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Turn {
    /// At once, where the system allows that.
    First,
    Usual,
    /// When nobody else wants to.
    Last,
}

impl Turn {
    /// The command with this turn.
    pub(crate) fn of(self, command: Command) -> Command {
        let Some((program, arguments)) = self.through() else { return command };
        let mut through = Command::new(program);
        through.args(arguments).arg(command.get_program()).args(command.get_args());
        through
    }

    /// The program that starts another with this turn; none for the usual one.
    fn through(self) -> Option<(&'static str, &'static [&'static str])> {
        const REAL_TIME: &[&str] = &["--fifo", "1"];
        let may = || {
            let mut chrt = Command::new("chrt");
            chrt.args(REAL_TIME).arg("true").stdout(Stdio::null()).stderr(Stdio::null());
            chrt.status().is_ok_and(|status| status.success())
        };
        match self {
            Self::First => may().then_some(("chrt", REAL_TIME)),
            Self::Usual => None,
            Self::Last => Some(("nice", &[])),
        }
    }
}

/// The command on these cores alone. `taskset` becomes the command, so the process id is its own.
pub(crate) fn pinned(command: Command, cores: Option<&str>) -> Command {
    let Some(cores) = cores else { return command };
    let mut pinned = Command::new("taskset");
    pinned.args(["-c", cores]).arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => pinned.env(name, value),
            None => pinned.env_remove(name),
        };
    }
    pinned
}

/// The command as it would be typed.
pub(crate) fn shown(command: &Command) -> String {
    let mut words: Vec<_> = command
        .get_envs()
        .filter_map(|(name, value)| {
            Some(format!("{}={}", name.to_string_lossy(), value?.to_string_lossy()))
        })
        .collect();
    let program = std::iter::once(command.get_program()).chain(command.get_args());
    words.extend(program.map(|word| word.to_string_lossy().into_owned()));
    words.join(" ")
}
