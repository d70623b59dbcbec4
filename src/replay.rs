//! `madang replay`: a recording is played again and the states are compared, tick by tick.
//!
//! The file is read in bounded lines, whatever it is; what is wrong with it is said with the line.

use madang_engine::room::logic::LogicKind;
use madang_engine::room::record::{RecordEnd, RecordEvent, RecordHeader, TickEnd, from_line};
use madang_engine::room::replay::{Divergence, Replay, ReplayError};
use madang_protocol::limits::MESSAGE_BYTES_CAP;
use std::io::{self, BufRead, Read as _, Write};

/// Longest line in bytes: the largest message, each byte of it escaped, and what is around it.
pub const LINE_BYTES_MAX: u64 = 6 * MESSAGE_BYTES_CAP as u64 + (64 << 10);

/// What came of a replay.
#[derive(Debug, PartialEq)]
pub struct Outcome {
    /// The recorded room, if the file says one.
    pub header: Option<Box<RecordHeader>>,
    /// Ends of ticks that were compared and are the same.
    pub compared: u64,
    /// The newest of them.
    pub last: Option<TickEnd>,
    /// The line that was read last, from 1.
    pub line: u64,
    /// How it ended.
    pub verdict: Verdict,
}

/// How a replay ended.
#[derive(Debug, PartialEq)]
pub enum Verdict {
    /// The states were the same until the recording ended, for this reason.
    Same(RecordEnd),
    /// They were not.
    Diverged(Divergence),
    /// The file is no recording, not a whole one, or not one of this build; why.
    Unusable(String),
}

impl Outcome {
    /// What the process exits with: 0 the same, 1 diverged, 2 unusable.
    pub fn exit_code(&self) -> u8 {
        match self.verdict {
            Verdict::Same(_) => 0,
            Verdict::Diverged(_) => 1,
            Verdict::Unusable(_) => 2,
        }
    }
}

/// Plays a recording of a room of one of the kinds. Each end of a tick that is the same is written to
/// `told`, if there is one.
pub fn replay(
    mut input: impl BufRead,
    kinds: &[LogicKind],
    mut told: Option<&mut dyn Write>,
) -> Outcome {
    let (mut header, mut running) = (None, None::<Replay>);
    let (mut line, mut bytes) = (0, Vec::new());
    let verdict = loop {
        match read_line(&mut input, &mut bytes) {
            Ok(true) => line += 1,
            Ok(false) => break ended(running.as_ref()),
            Err(why) => {
                line += 1;
                break Verdict::Unusable(why);
            }
        }
        let event = match from_line(&bytes) {
            Ok(event) => event,
            Err(why) => break Verdict::Unusable(format!("not a line of a recording: {why}")),
        };
        let Some(replay) = &mut running else {
            let RecordEvent::Begun(begun) = event else {
                break Verdict::Unusable("a recording says first which room it is of".to_owned());
            };
            let made = Replay::new(&begun, kinds);
            header = Some(begun);
            match made {
                Ok(made) => running = Some(made),
                Err(error) => break error.into(),
            }
            continue;
        };
        let before = replay.compared();
        if let Err(error) = replay.step(&event) {
            break error.into();
        }
        if let (Some(told), true) = (&mut told, replay.compared() > before) {
            let TickEnd { tick, digest } = replay.last();
            // That nobody reads it is no reason to stop.
            let _ = writeln!(told, "tick {tick}: {digest}");
        }
    };
    let compared = running.as_ref().map_or(0, Replay::compared);
    let last = running.as_ref().filter(|_| compared > 0).map(Replay::last);
    Outcome { header, compared, last, line, verdict }
}

/// What the end of the file means.
fn ended(replay: Option<&Replay>) -> Verdict {
    match replay.map(Replay::end) {
        Some(Some(end)) => Verdict::Same(end.clone()),
        Some(None) => Verdict::Unusable("the file ends before the recording does".to_owned()),
        None => Verdict::Unusable("the file is empty".to_owned()),
    }
}

/// Reads one line, without its line feed. Whether there was one.
fn read_line(input: &mut impl BufRead, line: &mut Vec<u8>) -> Result<bool, String> {
    line.clear();
    let mut bounded = input.take(LINE_BYTES_MAX);
    bounded
        .read_until(b'\n', line)
        .map_err(|error: io::Error| format!("cannot be read: {error}"))?;
    match line.pop() {
        None => Ok(false),
        Some(b'\n') => Ok(true),
        Some(_) if line.len() as u64 + 1 >= LINE_BYTES_MAX => {
            Err(format!("longer than {LINE_BYTES_MAX} bytes"))
        }
        Some(_) => Err("the file ends in the middle of a line".to_owned()),
    }
}

impl From<ReplayError> for Verdict {
    fn from(error: ReplayError) -> Self {
        match error {
            ReplayError::Unusable(why) => Self::Unusable(why),
            ReplayError::Diverged(divergence) => Self::Diverged(divergence),
        }
    }
}

impl std::fmt::Display for Outcome {
    /// Lines for people.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if let Some(header) = &self.header {
            let RecordHeader { room, kind, epoch, .. } = &**header;
            // What a file says is shown with its control characters escaped.
            writeln!(f, "room {room:?} of kind {kind:?}, epoch {epoch}")?;
        }
        if let Some(TickEnd { tick, digest }) = self.last {
            writeln!(
                f,
                "ticks compared and the same: {}, to tick {tick}: {digest}",
                self.compared
            )?;
        }
        match &self.verdict {
            Verdict::Same(RecordEnd::Closed) => writeln!(f, "the rules ended the room"),
            Verdict::Same(RecordEnd::Emptied) => writeln!(f, "the room was empty and ended"),
            Verdict::Same(RecordEnd::Failed(why)) => {
                writeln!(f, "the rules failed, as they did: {}", why.escape_debug())
            }
            Verdict::Same(RecordEnd::Stopped) => writeln!(f, "the server ended before the room"),
            Verdict::Same(RecordEnd::Cut(why)) => {
                writeln!(f, "the room went on without being recorded: {}", why.escape_debug())
            }
            Verdict::Diverged(divergence) => {
                writeln!(f, "line {}: DIVERGED: {divergence}", self.line)
            }
            Verdict::Unusable(why) => writeln!(f, "line {}: {why}", self.line),
        }
    }
}
