//! What a worker, which makes load, and the conductor, which started it, say to each other: by a
//! channel when the worker is a thread of the same process, by a line of JSON each on standard input and
//! output when it is a process of its own.

use crate::outcome::{Outcome, Sample};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::io::{BufRead as _, Write as _};
use std::sync::mpsc::{Receiver, Sender};

/// How far a run has come. What the server uses is looked at by the conductor at each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) enum Stage {
    /// Nobody is connected; no worker says this.
    Before,
    /// Everybody is.
    Opened,
    /// Those who came second are, too.
    Joined,
    /// The window begins.
    From,
    /// The window is over.
    To,
    /// Connections were held for as long as was asked for.
    Held,
    /// What was asked at the end was answered.
    Ended,
}

/// What a worker says.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Said {
    /// It has come so far and waits for the others of its section.
    Meet(Stage),
    /// It has come so far.
    Mark(Stage),
    /// A second is over.
    Second(Box<Second>),
    /// The run is over, or why it could not be run at all.
    Done(Result<Box<Outcome>, String>),
}

/// A second of a worker.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Second {
    pub(crate) began_ns: u64,
    pub(crate) sample: Sample,
    pub(crate) troubles: Troubles,
}

/// What went wrong so far.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Troubles {
    pub(crate) lost: u64,
    pub(crate) repeated: u64,
    pub(crate) errors: u64,
    /// Connections ended by a Close frame, by its code.
    pub(crate) closed: BTreeMap<u16, u64>,
}

impl Troubles {
    /// Adds those of somebody else.
    pub(crate) fn add(&mut self, other: &Self) {
        self.lost += other.lost;
        self.repeated += other.repeated;
        self.errors += other.errors;
        for (code, count) in &other.closed {
            *self.closed.entry(*code).or_default() += count;
        }
    }
}

/// A worker's end.
pub(crate) enum Desk {
    /// In the conductor's process: says as this worker, hears when to go on.
    Thread(usize, Sender<(usize, Said)>, Receiver<u64>),
    /// In a process of its own.
    Lines,
}

impl Desk {
    /// Waits until all of the section have come so far. Returns when to go on, a short time from now:
    /// the same time for everybody.
    pub(crate) fn meet(&self, stage: Stage) -> Result<u64, String> {
        self.say(Said::Meet(stage))?;
        match self {
            Self::Thread(_, _, go) => go.recv().map_err(|_| gone()),
            Self::Lines => {
                let mut line = String::new();
                std::io::stdin().lock().read_line(&mut line).map_err(|_| gone())?;
                line.trim().parse().map_err(|_| gone())
            }
        }
    }

    /// Says how far the run has come.
    pub(crate) fn mark(&self, stage: Stage) -> Result<(), String> {
        self.say(Said::Mark(stage))
    }

    /// Says what happened in a second that is over.
    pub(crate) fn second(&self, second: Second) -> Result<(), String> {
        self.say(Said::Second(Box::new(second)))
    }

    /// The last word.
    pub(crate) fn done(&self, result: Result<Outcome, String>) {
        // Whoever would have heard it is gone, and so is the reason to say it.
        let _ = self.say(Said::Done(result.map(Box::new)));
    }

    fn say(&self, said: Said) -> Result<(), String> {
        match self {
            Self::Thread(worker, say, _) => say.send((*worker, said)).map_err(|_| gone()),
            Self::Lines => {
                let mut line = serde_json::to_vec(&said).map_err(|error| error.to_string())?;
                line.push(b'\n');
                let mut out = std::io::stdout().lock();
                out.write_all(&line).and_then(|()| out.flush()).map_err(|_| gone())
            }
        }
    }
}

fn gone() -> String {
    "the process that started this one is gone".to_owned()
}
