//! A recorded room, played again: the same calls are made to the same rules, and what they make of the
//! state is compared at the end of every tick.
//!
//! A recording is somebody's file: whatever it says, nothing here panics. A panic of the rules is what
//! [`Play`] makes of it, a failure.

use super::logic::{LogicKind, RoomOptions};
use super::play::{Call, Failure, Play};
use super::record::{
    Digest, PASSED_MAX, PlayLimits, RECORD_FORMAT, RecordEnd, RecordEvent, RecordHeader, TickEnd,
};
use crate::config::RoomConfig;
use std::fmt;

/// A recording that is being played.
#[derive(Debug)]
pub struct Replay {
    play: Play,
    compared: u64,
    last: TickEnd,
    /// How the newest call failed, if it did.
    failed: Option<Failure>,
    end: Option<RecordEnd>,
}

/// Why a replay does not go on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReplayError {
    /// This is no recording that can be played here; why, for people.
    Unusable(String),
    /// The rules did something else than when they were recorded.
    Diverged(Divergence),
}

/// Where a replay and its recording part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Divergence {
    /// The states differ.
    State {
        /// After which tick, as recorded.
        tick: u64,
        /// The recorded digest.
        recorded: Digest,
        /// The digest in the replay.
        replayed: Digest,
    },
    /// Another tick ended.
    Tick {
        /// The recorded number.
        recorded: u64,
        /// The number in the replay.
        replayed: u64,
    },
    /// A call failed that did not, or did with other words, when it was recorded.
    Failed {
        /// The newest tick, that of the call.
        tick: u64,
        /// How it failed now.
        replayed: String,
        /// How it failed then.
        recorded: Option<Box<str>>,
    },
    /// The last call failed when it was recorded and not now.
    NotFailed {
        /// The tick of the call.
        tick: u64,
        /// How it failed then.
        recorded: Box<str>,
    },
}

/// The largest bounds that a recording may ask for: those of the configuration's keys.
const LIMITS_MAX: PlayLimits = PlayLimits {
    state_entities_max: 1_000_000,
    state_bytes_max: 1 << 30,
    logic_operations_max: 100_000_000,
};

impl Replay {
    /// Makes the room again, as its header says.
    ///
    /// # Errors
    ///
    /// When none of the kinds is the recorded one, or its logic cannot be made.
    pub fn new(header: &RecordHeader, kinds: &[LogicKind]) -> Result<Self, ReplayError> {
        if header.format != RECORD_FORMAT {
            let found = header.format;
            return unusable(format!("its format is {found}; this build reads {RECORD_FORMAT}"));
        }
        let Some(kind) = kinds.iter().find(|kind| *kind.name == *header.kind) else {
            let known: Vec<&str> = kinds.iter().map(|kind| kind.name).collect();
            let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
            return unusable(format!(
                "this build has no kind {:?} of rooms with rules; it has {known}",
                header.kind
            ));
        };
        let PlayLimits { state_entities_max, state_bytes_max, logic_operations_max } =
            header.limits;
        if state_entities_max > LIMITS_MAX.state_entities_max
            || state_bytes_max > LIMITS_MAX.state_bytes_max
            || logic_operations_max > LIMITS_MAX.logic_operations_max
        {
            return unusable("its limits are larger than any configuration's".to_owned());
        }
        let config = RoomConfig {
            state_entities_max,
            state_bytes_max,
            logic_operations_max,
            ..RoomConfig::default()
        };
        let options = RoomOptions {
            name: &header.room,
            labels: &header.labels,
            capacity: header.capacity,
            extensions: &header.extensions,
        };
        // Rooms whose creation fails are never recorded.
        let made = Play::new(kind, &options, &config, header.seed.0);
        let (play, _) = made.map_err(|Failure(why)| {
            let (tick, recorded) = (0, None);
            ReplayError::Diverged(Divergence::Failed { tick, replayed: why, recorded })
        })?;
        if play.tick_hz() != header.tick_hz {
            let (kind, then, now) = (kind.name, header.tick_hz, play.tick_hz());
            return unusable(format!(
                "rooms of kind {kind} tick {now} times a second in this build, and did {then} times"
            ));
        }
        let last = TickEnd { tick: 0, digest: Digest(play.state().digest()) };
        Ok(Self { play, compared: 0, last, failed: None, end: None })
    }

    /// Plays one event.
    ///
    /// # Errors
    ///
    /// When the event cannot follow, or the rules do something else than is recorded. The replay must
    /// not be used any more then.
    pub fn step(&mut self, event: &RecordEvent<'_>) -> Result<(), ReplayError> {
        if self.end.is_some() {
            return unusable("there is more behind the recording's end".to_owned());
        }
        if let Some(Failure(replayed)) = &self.failed {
            let recorded = match event {
                RecordEvent::Ended(RecordEnd::Failed(recorded)) => Some(recorded.clone()),
                _ => None,
            };
            if recorded.as_deref() != Some(replayed) {
                let (tick, replayed) = (self.play.tick(), replayed.clone());
                return diverged(Divergence::Failed { tick, replayed, recorded });
            }
        }
        match event {
            RecordEvent::Begun(_) => unusable("a recording begins once".to_owned()),
            RecordEvent::Call(Call::Create) => unusable("a room is made once".to_owned()),
            RecordEvent::Call(call) => {
                self.failed = self.play.call(call).err();
                Ok(())
            }
            RecordEvent::Ticked(end) => {
                // The end of tick 0 is a part of making the room.
                if self.compared > 0 {
                    self.play.end_tick();
                }
                self.compare(*end)
            }
            RecordEvent::Passed { ticks, .. } if !(1..=PASSED_MAX).contains(ticks) => {
                unusable(format!("a line stands for 1 to {PASSED_MAX} steps, not {ticks}"))
            }
            RecordEvent::Passed { ticks, end } => self.pass(*ticks, *end),
            RecordEvent::Ended(end) => {
                if let (RecordEnd::Failed(recorded), None) = (end, &self.failed) {
                    let (tick, recorded) = (self.play.tick(), recorded.clone());
                    return diverged(Divergence::NotFailed { tick, recorded });
                }
                self.end = Some(end.clone());
                Ok(())
            }
        }
    }

    /// Ends of ticks that were compared and are the same.
    pub fn compared(&self) -> u64 {
        self.compared
    }

    /// The newest of them.
    pub fn last(&self) -> TickEnd {
        self.last
    }

    /// Why the recording ends, once it has.
    pub fn end(&self) -> Option<&RecordEnd> {
        self.end.as_ref()
    }

    /// Steps in which nothing else happens and nothing changes.
    fn pass(&mut self, ticks: u32, end: TickEnd) -> Result<(), ReplayError> {
        for left in (0..ticks).rev() {
            if let Err(Failure(replayed)) = self.play.call(&Call::Tick) {
                let (tick, recorded) = (self.play.tick(), None);
                return diverged(Divergence::Failed { tick, replayed, recorded });
            }
            self.play.end_tick();
            let tick = end.tick.saturating_sub(left.into());
            self.compare(TickEnd { tick, digest: end.digest })?;
        }
        Ok(())
    }

    fn compare(&mut self, recorded: TickEnd) -> Result<(), ReplayError> {
        let replayed =
            TickEnd { tick: self.play.tick(), digest: Digest(self.play.state().digest()) };
        if replayed.tick != recorded.tick {
            let (recorded, replayed) = (recorded.tick, replayed.tick);
            return diverged(Divergence::Tick { recorded, replayed });
        }
        if replayed.digest != recorded.digest {
            let (tick, recorded, replayed) = (recorded.tick, recorded.digest, replayed.digest);
            return diverged(Divergence::State { tick, recorded, replayed });
        }
        self.compared += 1;
        self.last = recorded;
        Ok(())
    }
}

fn unusable<T>(why: String) -> Result<T, ReplayError> {
    Err(ReplayError::Unusable(why))
}

fn diverged<T>(divergence: Divergence) -> Result<T, ReplayError> {
    Err(ReplayError::Diverged(divergence))
}

impl fmt::Display for ReplayError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unusable(why) => f.write_str(why),
            Self::Diverged(divergence) => divergence.fmt(f),
        }
    }
}

impl fmt::Display for Divergence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::State { tick, recorded, replayed } => {
                write!(f, "after tick {tick} the state is {replayed}, and was {recorded}")
            }
            Self::Tick { recorded, replayed } => {
                write!(f, "tick {replayed} ended, where tick {recorded} did")
            }
            Self::Failed { tick, replayed, recorded: None } => {
                write!(f, "in tick {tick} the rules failed, and did not: {replayed}")
            }
            Self::Failed { tick, replayed, recorded: Some(recorded) } => {
                write!(f, "in tick {tick} the rules failed: {replayed}; and did: {recorded}")
            }
            Self::NotFailed { tick, recorded } => {
                write!(f, "in tick {tick} the rules did not fail, and did: {recorded}")
            }
        }
    }
}

impl std::error::Error for ReplayError {}
