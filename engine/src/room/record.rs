//! The recording of a room with rules: everything that happens to its logic, in order, and what the
//! state's digest was at the end of each tick, so that the same build plays it again (`replay.rs`).
//!
//! A recording holds the seed of the room's random numbers and everything that members sent: it is the
//! operator's secret. The seed is in [`RecordHeader`] alone, which shows it to nobody who prints it.
//!
//! A line of a recording is one [`RecordEvent`] in JSON ([`to_line`], [`from_line`]). Where files are
//! and how large they grow is the shell's.

use super::play::Call;
use super::{Ctx, Effect, Room};
use crate::config::RoomConfig;
use madang_protocol::codec;
use madang_protocol::ids::Epoch;
use madang_protocol::value::{Extension, Payload};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::borrow::Cow;
use std::fmt;

/// The form of the lines. Another number is another form.
pub const RECORD_FORMAT: u32 = 1;

/// Steps of time that one line may stand for: what was not written yet is at most so much.
pub const PASSED_MAX: u32 = 60;

/// One thing for the recording of a room.
#[derive(Clone, Debug)]
pub struct RecordItem {
    /// The room's number: unique among living rooms.
    pub channel: u32,
    /// What.
    pub event: RecordEvent<'static>,
}

/// What a recording consists of, in this order: [`Self::Begun`], the digest of tick 0, calls and ends
/// of ticks, [`Self::Ended`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", bound(deserialize = "'de: 'a"))]
pub enum RecordEvent<'a> {
    /// What the room was made with.
    Begun(Box<RecordHeader>),
    /// Something happened to the logic.
    Call(Call<'a>),
    /// A tick ended.
    Ticked(TickEnd),
    /// Steps of time passed in which nothing else happened and nothing changed: each was a
    /// [`Call::Tick`] and the end of its tick.
    Passed {
        /// How many, 1 to [`PASSED_MAX`].
        ticks: u32,
        /// The end of the last.
        end: TickEnd,
    },
    /// There is no more.
    Ended(RecordEnd),
}

/// The end of a tick.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TickEnd {
    /// Its number.
    pub tick: u64,
    /// [`super::state::State::digest`] then.
    pub digest: Digest,
}

/// A digest of a state; 8 hexadecimal digits in JSON.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Digest(pub u32);

/// Why a recording ends.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RecordEnd {
    /// The rules ended the room.
    Closed,
    /// The room had been empty for long enough.
    Emptied,
    /// The last call failed, in these words.
    Failed(Box<str>),
    /// The server ended before the room. Written by those who keep the recording.
    Stopped,
    /// The room went on without being recorded, for this reason. Written by those who keep the recording.
    Cut(Box<str>),
}

/// What a room was made with: enough to make its logic again.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecordHeader {
    /// [`RECORD_FORMAT`].
    pub format: u32,
    /// The kind's name.
    pub kind: Box<str>,
    /// The kind's ticks a second.
    pub tick_hz: u32,
    /// The room's name.
    pub room: Box<str>,
    /// Its incarnation.
    pub epoch: Epoch,
    /// When it began, in milliseconds since 1970 UTC.
    pub at_ms: u64,
    /// Its labels.
    pub labels: Vec<(String, String)>,
    /// Most members.
    pub capacity: u32,
    /// The extensions of the join that made it.
    pub extensions: Vec<Extension>,
    /// The bounds that its rules had.
    pub limits: PlayLimits,
    /// What its random numbers came from; 64 hexadecimal digits. Secret while the room lives.
    pub seed: Seed,
}

/// The bounds of a play, as in [`RoomConfig`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlayLimits {
    /// Entities of the state.
    pub state_entities_max: usize,
    /// Bytes of all its values.
    pub state_bytes_max: usize,
    /// Context operations of one call.
    pub logic_operations_max: u32,
}

/// A seed, never shown.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Seed(pub [u8; 32]);

impl fmt::Debug for Seed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Seed(..)")
    }
}

impl fmt::Debug for RecordHeader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RecordHeader({} of kind {}, epoch {})", self.room, self.kind, self.epoch)
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}", self.0)
    }
}

/// A room's recording, as far as it has to be remembered.
#[derive(Debug, Default)]
pub(super) struct Recording {
    /// The end of the tick that was told, or counted, last.
    last: Option<TickEnd>,
    /// Whether a step of time has begun and nothing else has happened in it.
    is_in_step: bool,
    /// Steps that were not told yet.
    passed: u32,
}

impl Room {
    /// Begins the room's recording, if the configuration wants one and the room has rules.
    pub(super) fn begin_recording(
        &mut self,
        seed: [u8; 32],
        extensions: &[Extension],
        ctx: &mut Ctx<'_>,
    ) {
        let Some(play) = self.play.as_ref().filter(|_| ctx.config.is_recorded(&self.name)) else {
            return;
        };
        let header = RecordHeader {
            format: RECORD_FORMAT,
            kind: self.kind.name().into(),
            tick_hz: play.tick_hz(),
            room: self.name.clone(),
            epoch: self.epoch,
            at_ms: self.epoch_at_ms,
            labels: self.labels.clone(),
            capacity: self.capacity,
            extensions: extensions.to_vec(),
            limits: PlayLimits::of(ctx.config),
            seed: Seed(seed),
        };
        self.recording = Some(Box::default());
        self.record(RecordEvent::Begun(Box::new(header)), ctx);
        self.record_tick_end(ctx);
    }

    /// Records what is about to happen to the rules.
    pub(super) fn record_call(&mut self, call: &Call<'_>, ctx: &mut Ctx<'_>) {
        if self.recording.is_none() {
            return;
        }
        self.record_passed(*call == Call::Tick, ctx);
        let Some(recording) = self.recording.as_mut() else { return };
        if *call == Call::Tick {
            recording.is_in_step = true;
        } else {
            self.record(RecordEvent::Call(call.clone().into_owned()), ctx);
        }
    }

    /// Records that a tick has ended.
    pub(super) fn record_tick_end(&mut self, ctx: &mut Ctx<'_>) {
        let (Some(recording), Some(play)) = (self.recording.as_mut(), self.play.as_ref()) else {
            return;
        };
        let end = TickEnd { tick: play.tick(), digest: Digest(play.state().digest()) };
        let before = recording.last.replace(end);
        let is_same = before.is_some_and(|before| before.digest == end.digest);
        if is_same && std::mem::take(&mut recording.is_in_step) {
            recording.passed += 1;
            if recording.passed == PASSED_MAX {
                self.record_passed(false, ctx);
            }
            return;
        }
        // Those before this one ended with another digest.
        if let Some(before) = before {
            self.record_passed_until(before, ctx);
        }
        self.record_passed(false, ctx);
        self.record(RecordEvent::Ticked(end), ctx);
    }

    /// Ends the recording.
    pub(super) fn end_recording(&mut self, end: RecordEnd, ctx: &mut Ctx<'_>) {
        self.record_passed(false, ctx);
        self.record(RecordEvent::Ended(end), ctx);
        self.recording = None;
    }

    /// Tells the steps that passed, and a step that has begun; unless there is another behind them.
    fn record_passed(&mut self, goes_on: bool, ctx: &mut Ctx<'_>) {
        let Some(recording) = self.recording.as_mut() else { return };
        let is_in_step = std::mem::take(&mut recording.is_in_step);
        if goes_on && !is_in_step {
            return;
        }
        if let Some(last) = recording.last {
            self.record_passed_until(last, ctx);
        }
        if is_in_step {
            self.record(RecordEvent::Call(Call::Tick), ctx);
        }
    }

    fn record_passed_until(&mut self, end: TickEnd, ctx: &mut Ctx<'_>) {
        let Some(recording) = self.recording.as_mut() else { return };
        let ticks = std::mem::take(&mut recording.passed);
        if ticks > 0 {
            self.record(RecordEvent::Passed { ticks, end }, ctx);
        }
    }

    fn record(&self, event: RecordEvent<'static>, ctx: &mut Ctx<'_>) {
        if self.recording.is_some() {
            let item = RecordItem { channel: self.channel, event };
            ctx.effects.push_back(Effect::Record(item));
        }
    }
}

impl PlayLimits {
    /// Those of a configuration.
    pub fn of(config: &RoomConfig) -> Self {
        Self {
            state_entities_max: config.state_entities_max,
            state_bytes_max: config.state_bytes_max,
            logic_operations_max: config.logic_operations_max,
        }
    }
}

impl RecordItem {
    /// About as many bytes as it holds, for those who bound what waits.
    pub fn cost(&self) -> usize {
        let content = match &self.event {
            RecordEvent::Begun(header) => {
                let labels = header.labels.iter().map(|(name, value)| name.len() + value.len());
                let extensions = header.extensions.iter().map(|extension| extension.1.len());
                labels.chain(extensions).sum()
            }
            RecordEvent::Call(call) => call.cost(),
            _ => 0,
        };
        size_of::<Self>() + content
    }
}

impl Call<'_> {
    /// A call that borrows nothing.
    pub fn into_owned(self) -> Call<'static> {
        let owned = |text: Cow<'_, str>| Cow::Owned(text.into_owned());
        match self {
            Call::Create => Call::Create,
            Call::MayJoin { user, attributes } => Call::MayJoin {
                user: user.map(owned),
                attributes: Cow::Owned(attributes.into_owned()),
            },
            Call::Join { member, user, attributes } => Call::Join {
                member,
                user: user.map(owned),
                attributes: Cow::Owned(attributes.into_owned()),
            },
            Call::Leave { member } => Call::Leave { member },
            Call::Message { member, r#type, class, payload } => Call::Message {
                member,
                r#type: owned(r#type),
                class,
                payload: payload.into_owned(),
            },
            Call::Request { member, r#type, payload } => {
                Call::Request { member, r#type: owned(r#type), payload: payload.into_owned() }
            }
            Call::Edit { member, edit } => {
                Call::Edit { member, edit: Cow::Owned(edit.into_owned()) }
            }
            Call::Tick => Call::Tick,
            Call::Empty => Call::Empty,
            Call::Restore { saved } => Call::Restore { saved: Cow::Owned(saved.into_owned()) },
        }
    }

    /// About as many bytes as it holds beside itself.
    fn cost(&self) -> usize {
        match self {
            Call::MayJoin { user, attributes } | Call::Join { user, attributes, .. } => {
                let attributes = attributes
                    .iter()
                    .map(|(name, value)| size_of_val(value) + name.len() + value.size());
                attributes.sum::<usize>() + user.as_ref().map_or(0, |user| user.len())
            }
            Call::Message { r#type, payload, .. } | Call::Request { r#type, payload, .. } => {
                r#type.len() + payload.len()
            }
            // An edit's values are in a message of the wire, which has a bound; what it is in bytes is
            // known to within a factor.
            Call::Edit { edit, .. } => codec::pack(&**edit).len() + size_of_val(&*edit.edits),
            Call::Restore { saved } => saved.len(),
            Call::Create | Call::Leave { .. } | Call::Tick | Call::Empty => 0,
        }
    }
}

/// A line that JSON cannot say exactly: a call in the wire's binary form.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Packed<'a> {
    #[serde(borrow)]
    packed: Payload<'a>,
}

/// What a packed line begins with.
const PACKED: &[u8] = b"{\"packed\":";

/// An event as one line of JSON, with its line feed.
pub fn to_line(event: &RecordEvent<'_>) -> Vec<u8> {
    let line = serde_json::to_vec(event).ok().filter(|line| is_exact(line, event));
    let mut line = line.unwrap_or_else(|| {
        let bytes = match event {
            RecordEvent::Call(call) => codec::pack(call),
            _ => Vec::new(),
        };
        serde_json::to_vec(&Packed { packed: Payload::Bytes(Cow::Owned(bytes)) })
            .unwrap_or_default()
    });
    line.push(b'\n');
    line
}

/// Whether a line says exactly what happened: JSON has no name for some numbers, and some payloads
/// that call themselves JSON are not.
fn is_exact(line: &[u8], event: &RecordEvent<'_>) -> bool {
    match event {
        RecordEvent::Call(call) if !matches!(call, Call::Tick) => {
            !line.contains(&b'\n')
                && serde_json::from_slice::<RecordEvent<'_>>(line).is_ok_and(|read| read == *event)
        }
        _ => true,
    }
}

/// An event from a line without its line feed.
///
/// # Errors
///
/// What is wrong with the line, for people.
pub fn from_line(line: &[u8]) -> Result<RecordEvent<'static>, String> {
    if line.starts_with(PACKED) {
        let packed: Packed<'_> = serde_json::from_slice(line).map_err(|error| error.to_string())?;
        let Payload::Bytes(bytes) = packed.packed else {
            return Err("a packed line holds bytes".to_owned());
        };
        let call: Call<'_> = codec::unpack(&bytes).map_err(|error| error.to_string())?;
        return Ok(RecordEvent::Call(call.into_owned()));
    }
    let event: RecordEvent<'_> = serde_json::from_slice(line).map_err(|error| error.to_string())?;
    Ok(match event {
        RecordEvent::Begun(header) => RecordEvent::Begun(header),
        RecordEvent::Call(call) => RecordEvent::Call(call.into_owned()),
        RecordEvent::Ticked(end) => RecordEvent::Ticked(end),
        RecordEvent::Passed { ticks, end } => RecordEvent::Passed { ticks, end },
        RecordEvent::Ended(end) => RecordEvent::Ended(end),
    })
}

impl Serialize for Digest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let [a, b, c, d] = hex(&Cow::<'_, str>::deserialize(deserializer)?)?;
        Ok(Self(u32::from_be_bytes([a, b, c, d])))
    }
}

impl Serialize for Seed {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let [high, low] = [0, 16].map(|from| {
            self.0[from..from + 16]
                .iter()
                .fold(0_u128, |number, byte| number << 8 | u128::from(*byte))
        });
        serializer.collect_str(&format_args!("{high:032x}{low:032x}"))
    }
}

impl<'de> Deserialize<'de> for Seed {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        hex(&Cow::<'_, str>::deserialize(deserializer)?).map(Self)
    }
}

/// The bytes that hexadecimal digits stand for. Errors do not repeat them: they may be a secret.
fn hex<const N: usize, E: de::Error>(text: &str) -> Result<[u8; N], E> {
    let wrong = || E::custom(format_args!("expected {} hexadecimal digits", N * 2));
    let digits: Vec<u8> = text
        .chars()
        .map(|digit| digit.to_digit(16).map(|digit| digit as u8))
        .collect::<Option<_>>()
        .ok_or_else(wrong)?;
    if digits.len() != N * 2 {
        return Err(wrong());
    }
    Ok(std::array::from_fn(|i| digits[2 * i] << 4 | digits[2 * i + 1]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use madang_protocol::client::Class;
    use madang_protocol::value::Value;

    fn again(event: &RecordEvent<'_>) -> RecordEvent<'static> {
        let line = to_line(event);
        assert_eq!(line.split(|byte| *byte == b'\n').count(), 2);
        from_line(&line[..line.len() - 1]).expect("it reads what it wrote")
    }

    fn message(payload: Payload<'_>) -> RecordEvent<'_> {
        let (r#type, class) = (Cow::Borrowed("move"), Class::Latest(7));
        RecordEvent::Call(Call::Message { member: 3, r#type, class, payload })
    }

    #[test]
    fn lines_are_read_as_they_were_written_also_where_json_has_no_words_for_it() {
        let json = |text| message(Payload::Json(Cow::Borrowed(text)));
        let plain = [json("{\"a\":[1,2.5]}"), message(Payload::Text("\n\u{1f600}\"".into()))];
        let odd = [json("{\n}"), json(" 1"), json("no json"), json("1e999"), json("")];
        for event in &plain {
            assert!(!to_line(event).starts_with(PACKED));
            assert_eq!(again(event), *event);
        }
        for event in &odd {
            assert!(to_line(event).starts_with(PACKED), "{event:?}");
            assert_eq!(again(event), *event);
        }
        let attributes = vec![("x".to_owned(), Value::Float(0.1 + 0.2))];
        for event in [
            RecordEvent::Call(Call::Join { member: 1, user: None, attributes: attributes.into() }),
            RecordEvent::Call(Call::Tick),
            RecordEvent::Ticked(TickEnd { tick: 9, digest: Digest(0x0a0b) }),
            RecordEvent::Passed { ticks: 2, end: TickEnd { tick: 9, digest: Digest(u32::MAX) } },
            RecordEvent::Ended(RecordEnd::Failed("why\n".into())),
            RecordEvent::Ended(RecordEnd::Emptied),
        ] {
            assert_eq!(again(&event), event);
        }
    }

    #[test]
    fn what_is_no_line_is_an_error_in_words() {
        for line in [
            "",
            "{",
            "[]",
            "{\"call\":\"dance\"}",
            "{\"ticked\":{\"tick\":1,\"digest\":\"+0000001\"}}",
            "{\"ticked\":{\"tick\":-1,\"digest\":\"00000001\"}}",
            "{\"packed\":{\"bytes\":\"////\"}}",
            "{\"packed\":{\"text\":\"a\"}}",
        ] {
            assert!(!from_line(line.as_bytes()).expect_err(line).is_empty());
        }
        assert!(from_line(&[0xff, 0xfe]).is_err());
    }

    #[test]
    fn a_header_shows_its_seed_in_the_recording_alone() {
        let header = RecordHeader {
            format: RECORD_FORMAT,
            kind: "test".into(),
            tick_hz: 20,
            room: "room".into(),
            epoch: Epoch([1; 8]),
            at_ms: 5,
            labels: vec![("map".into(), "yard".into())],
            capacity: 4,
            extensions: vec![Extension(3, vec![1, 2])],
            limits: PlayLimits::of(&RoomConfig::default()),
            seed: Seed([0xab; 32]),
        };
        let event = RecordEvent::Begun(Box::new(header));
        assert_eq!(again(&event), event);
        let item = RecordItem { channel: 1, event };
        let shown = format!("{item:?} {:?}", Seed([0xab; 32]));
        assert!(!shown.to_lowercase().contains("abab") && !shown.contains("171, 171"), "{shown}");
    }
}
