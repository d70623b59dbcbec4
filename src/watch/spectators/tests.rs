//! Plain clients of a room with state, through drops, resumes, delays, slowness and a feed that
//! loses things: whatever they are told makes them see what the room showed at that tick.

use super::*;
use crate::watch::asked::{Start, Wish};
use crate::watch::rooms::Bounds;
use madang_engine::room::state::{Belonging, Part, State, StateLimits};
use madang_engine::watch::{WatchEvent, WatchItem, WatchOpened, WatchRule, WatchState};
use madang_protocol::ids::{Channel, Cseq, Epoch, MemberId, Seq};
use madang_protocol::server::{Message, ServerMessage};
use madang_protocol::state::{
    Field, FieldType, FieldValue, Kind, Number, Scalar, ScalarValue, Schema, Visibility,
};
use madang_protocol::value::{Payload, TypeRef};
use serde_json::{Map, Value, json};
use std::collections::VecDeque;
use std::sync::Arc;

const EPOCH: Epoch = Epoch([7; 8]);
const ROOM: &str = "arena";
const CONFLATE_MS: u64 = 2_000;
/// Messages that the room keeps.
const HISTORY: usize = 12;

/// Numbers from a seed (xorshift, Marsaglia 2003).
struct Draw(u64);

impl Draw {
    fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % bound
    }

    fn one_in(&mut self, count: u64) -> bool {
        self.below(count) == 0
    }
}

/// Every type, and every visibility, twice.
fn schema() -> Arc<Schema> {
    let steps = Number::quantised(-50.0, 50.0, 0.01);
    let types = [
        FieldType::One(Scalar::Vec2(steps)),
        FieldType::One(Scalar::Int),
        FieldType::One(Scalar::Text),
        FieldType::List(Scalar::Vec2(steps)),
        FieldType::One(Scalar::Bool),
        FieldType::One(Scalar::Number(Number::F32)),
        FieldType::One(Scalar::Bytes),
        FieldType::One(Scalar::Uint),
        FieldType::List(Scalar::Uint),
        FieldType::One(Scalar::Vec3(Number::F64)),
        FieldType::One(Scalar::Number(steps)),
        FieldType::One(Scalar::Number(Number::F64)),
    ];
    let visibilities = [
        Visibility::Everyone,
        Visibility::Spectators,
        Visibility::Owner,
        Visibility::Members,
        Visibility::Team,
        Visibility::Nobody,
    ];
    let kind = |(name, shift): (&str, usize)| {
        let fields = (0..types.len()).map(|place| Field {
            name: format!("f{place}"),
            r#type: types[place],
            visibility: visibilities[(place + shift) % visibilities.len()],
        });
        Kind { name: name.into(), fields: fields.collect() }
    };
    Arc::new(Schema { kinds: [("room", 0), ("actor", 1), ("thing", 3)].map(kind).into() })
}

fn scalar(draw: &mut Draw, scalar: Scalar) -> ScalarValue {
    let mut number = || draw.below(12_000) as f64 / 100.0 - 60.0;
    match scalar {
        Scalar::Number(_) => ScalarValue::Number(number()),
        Scalar::Vec2(_) => ScalarValue::Vec2([number(), number()]),
        Scalar::Vec3(_) => ScalarValue::Vec3([number(), number(), -0.0]),
        Scalar::Bool => ScalarValue::Bool(draw.one_in(2)),
        Scalar::Int => ScalarValue::Int(draw.below(1000) as i64 - 500),
        Scalar::Uint => ScalarValue::Uint(draw.below(1 << 50)),
        Scalar::Text => ScalarValue::Text("마\"당\n".repeat(draw.below(3) as usize)),
        Scalar::Bytes => ScalarValue::Bytes(vec![7; draw.below(5) as usize]),
    }
}

/// What spectators may see of a state, as a plain client would hold it.
fn projection(state: &State) -> Value {
    let mut entities = Map::new();
    for id in std::iter::once(0).chain(state.ids()) {
        let kind = &state.schema().kinds[state.kind(id).unwrap() as usize];
        let mut entity = Map::new();
        entity.insert("kind".into(), kind.name.clone().into());
        for (place, field) in kind.fields.iter().enumerate() {
            if !matches!(field.visibility, Visibility::Members | Visibility::Nobody) {
                let value = match state.get(id, place).unwrap() {
                    FieldValue::One(value) => plain(&value),
                    FieldValue::List(values) => values.iter().map(plain).collect(),
                };
                entity.insert(field.name.clone(), value);
            }
        }
        entities.insert(id.to_string(), entity.into());
    }
    read(&Value::Object(entities).to_string())
}

fn plain(value: &ScalarValue) -> Value {
    match value {
        ScalarValue::Bool(value) => json!(value),
        ScalarValue::Int(value) => json!(value),
        ScalarValue::Uint(value) => json!(value),
        ScalarValue::Number(value) => json!(value),
        ScalarValue::Text(value) => json!(value),
        ScalarValue::Bytes(value) => {
            serde_json::to_value(Payload::Bytes(value.into())).unwrap()["bytes"].take()
        }
        ScalarValue::Vec2(values) => json!(values),
        ScalarValue::Vec3(values) => json!(values),
    }
}

/// JSON with one sort of numbers, as a browser has.
fn read(text: &str) -> Value {
    fn floats(value: &mut Value) {
        match value {
            Value::Number(number) => *value = json!(number.as_f64().unwrap()),
            Value::Array(values) => values.iter_mut().for_each(floats),
            Value::Object(members) => members.values_mut().for_each(floats),
            _ => {}
        }
    }
    let mut value = serde_json::from_str(text).expect(text);
    floats(&mut value);
    value
}

/// What the room showed at a tick.
struct Truth {
    seq: u64,
    at_ms: u64,
    hash: u32,
    entities: Value,
}

/// A room, and the thread that shows it.
struct World {
    draw: Draw,
    rooms: Rooms,
    counts: Counts,
    wall_ms: u64,
    state: State,
    seq: u64,
    tick: u64,
    /// The newest tick that changed something for anybody, with its seq and time.
    changed: (u64, u64),
    /// The newest that changed something for spectators.
    told_tick: u64,
    truth: BTreeMap<u64, Truth>,
    /// When each message was said.
    messages: BTreeMap<u64, u64>,
    history: VecDeque<u64>,
    floor: u64,
    /// The way to the thread is broken.
    is_cut: bool,
}

impl World {
    fn new(seed: u64, log_bytes_max: usize) -> Self {
        let bounds = Bounds { history_ms: 8_000, log_bytes_max, bytes_max: log_bytes_max };
        let rule = WatchRule { prefix: ROOM.into(), delay_min_ms: 0 };
        let limits = StateLimits { entities_max: 12, bytes_max: 1 << 20 };
        let mut world = Self {
            draw: Draw::new(seed),
            rooms: Rooms::new(bounds, vec![rule]),
            counts: Counts::default(),
            wall_ms: 1_000_000,
            state: State::new(schema(), limits).unwrap(),
            seq: 0,
            tick: 0,
            changed: (0, 1_000_000),
            told_tick: 0,
            truth: BTreeMap::new(),
            messages: BTreeMap::new(),
            history: VecDeque::new(),
            floor: 0,
            is_cut: false,
        };
        world.remember();
        world.tell_anew();
        world
    }

    fn tell(&mut self, event: WatchEvent) {
        if !self.is_cut {
            let item = WatchItem { channel: 1, name_hash: 0, event };
            self.rooms.apply(item, self.wall_ms);
        }
    }

    /// What the engine answers to a resync.
    fn tell_anew(&mut self) {
        self.is_cut = false;
        self.tell(WatchEvent::Opened(Box::new(WatchOpened {
            name: ROOM.into(),
            epoch: EPOCH,
            epoch_at_ms: 0,
            kind: "test",
            labels: Vec::new(),
            public: true,
            types: vec!["chat".into()],
            members: 1,
            schema: Some(schema()),
            before: self.floor,
        })));
        let (seq, at_ms) = self.changed;
        let (earlier, later): (Vec<u64>, Vec<u64>) =
            self.history.iter().partition(|said| **said <= seq);
        for said in earlier {
            self.tell_message(said);
        }
        let state = WatchState {
            seq,
            at_ms,
            base_tick: self.tick,
            tick: self.tick,
            hash: self.state.hash(Part::Spectators),
            bytes: self.state.snapshot(Part::Spectators).into(),
        };
        self.tell(WatchEvent::Snapshot(Box::new(state)));
        for said in later {
            self.tell_message(said);
        }
    }

    fn say(&mut self) {
        self.seq += 1;
        self.messages.insert(self.seq, self.wall_ms);
        self.history.push_back(self.seq);
        if self.history.len() > HISTORY {
            self.floor = self.history.pop_front().unwrap();
        }
        self.tell_message(self.seq);
    }

    fn tell_message(&mut self, seq: u64) {
        let mut out = Vec::new();
        let message = ServerMessage::Message(Message {
            channel: Channel(1),
            seq: Seq(seq),
            from: MemberId(1),
            at: 5,
            cseq: Cseq(0),
            r#type: TypeRef::Id(0),
            payload: Payload::Json("{}".into()),
        });
        madang_protocol::codec::encode_server(&message, &mut out);
        let (frame, at_ms) = (Frame::new(&out), self.messages[&seq]);
        self.tell(WatchEvent::Entry { seq, at_ms, frame, is_published: false });
    }

    fn tick(&mut self) {
        self.tick += 1;
        for _ in 0..self.draw.below(6) {
            self.change();
        }
        let deltas = self.state.commit();
        if !deltas.is_empty() {
            self.seq += 1;
            self.changed = (self.seq, self.wall_ms);
        }
        for delta in deltas.into_iter().filter(|delta| delta.part == Part::Spectators) {
            self.tell(WatchEvent::Delta(Box::new(WatchState {
                seq: self.seq,
                at_ms: self.wall_ms,
                base_tick: self.told_tick,
                tick: self.tick,
                hash: delta.hash,
                bytes: delta.bytes.as_slice().into(),
            })));
            self.told_tick = self.tick;
        }
        self.remember();
    }

    fn change(&mut self) {
        let belonging =
            Belonging { owner: self.draw.below(3) as u32, team: self.draw.below(2) as u32 };
        let ids: Vec<u32> = std::iter::once(0).chain(self.state.ids()).collect();
        let id = ids[self.draw.below(ids.len() as u64) as usize];
        match self.draw.below(12) {
            0 | 1 => drop(self.state.create(self.draw.below(2) as u32 + 1, belonging)),
            2 => drop(self.state.remove(id)),
            3 => self.state.give(id, belonging).unwrap(),
            _ => {
                let kind = &schema().kinds[self.state.kind(id).unwrap() as usize];
                let place = self.draw.below(kind.fields.len() as u64) as usize;
                let value = match kind.fields[place].r#type {
                    FieldType::One(one) => FieldValue::One(scalar(&mut self.draw, one)),
                    FieldType::List(of) => {
                        let count = self.draw.below(5);
                        FieldValue::List((0..count).map(|_| scalar(&mut self.draw, of)).collect())
                    }
                };
                self.state.set(id, place, &value).unwrap();
            }
        }
    }

    fn remember(&mut self) {
        let (seq, at_ms) = self.changed;
        let hash = self.state.hash(Part::Spectators);
        let truth = Truth { seq, at_ms, hash, entities: projection(&self.state) };
        self.truth.insert(self.tick, truth);
    }
}

/// A state event.
#[derive(Debug, PartialEq)]
struct Told {
    id: Option<(Epoch, u64)>,
    name: String,
    data: String,
}

/// A plain client, which knows nothing but the events.
struct Reader {
    delay_ms: u64,
    from: Start,
    stream: Option<Spectator>,
    id: Option<(Epoch, u64)>,
    entities: Option<Value>,
    tick: u64,
    /// All messages up to this seq were told or said to be missing.
    covered: u64,
    excused: u64,
    state_events: Vec<Told>,
    gaps: u64,
    recoveries: u64,
}

impl Reader {
    fn new(delay_ms: u64, from: Start) -> Self {
        Self {
            delay_ms,
            from,
            stream: None,
            id: None,
            entities: None,
            tick: 0,
            covered: 0,
            excused: 0,
            state_events: Vec::new(),
            gaps: 0,
            recoveries: 0,
        }
    }

    fn connect(&mut self, world: &mut World) {
        let start = self.id.map_or(self.from, |(epoch, seq)| Start::Behind(epoch, seq));
        let wish = Wish { start, delay_ms: self.delay_ms };
        let (log, seat, recovered) = world.rooms.place(ROOM, wish, world.wall_ms).unwrap();
        let first = world.rooms.get(log).unwrap().resume(seat, recovered);
        self.recoveries += u64::from(recovered && self.id.is_some());
        let view = View::Room { log: Some(log), seat, delay_ms: self.delay_ms };
        self.stream = Some(Spectator::new(view, Vec::new(), Time::from_ms(world.wall_ms)));
        self.take(&first, world);
    }

    /// Reads at most so many events. The connection may break behind any.
    fn read(&mut self, world: &mut World, events: usize, cut_one_in: Option<u64>) {
        for _ in 0..events {
            let Some(stream) = &mut self.stream else { return };
            let from = (&mut world.rooms, &Directory::default());
            let now = (Time::from_ms(world.wall_ms), world.wall_ms);
            let Step::Tell { before: gap, text, .. } =
                stream.next(from, now, CONFLATE_MS, &mut world.counts)
            else {
                return;
            };
            for frame in gap.into_iter().chain([text]) {
                if cut_one_in.is_some_and(|count| world.draw.one_in(count)) {
                    self.stream = None;
                    return;
                }
                self.take(&frame, world);
            }
        }
    }

    fn take(&mut self, frame: &Frame, world: &World) {
        let text = std::str::from_utf8(frame).unwrap();
        let field = |name: &str| {
            let mut lines = text.lines();
            lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(": ")).map(str::to_owned)
        };
        let id = field("id").map(|id| sse::parse_id(&id).expect(text));
        let (name, data) = (field("event").unwrap(), field("data").unwrap());
        let told = read(&data);
        let number = |name: &str| told[name].as_f64().expect(text) as u64;
        match name.as_str() {
            "resume" => {
                let (from, recovered) = (number("from"), told["recovered"] == true);
                assert!(from <= self.covered || !recovered || self.id.is_none(), "{text}");
                (self.covered, self.excused) = (from, from);
                assert!(id.is_none() || self.entities.is_some(), "an id before the state: {text}");
            }
            "gap" => {
                assert!(number("from") <= number("to"), "{text}");
                assert!(id.is_none_or(|(_, seq)| seq == number("to")), "{text}");
                self.excused = number("to");
                self.gaps += 1;
            }
            "message" => self.cover(number("seq"), true, world),
            "snapshot" => {
                self.cover(number("seq"), false, world);
                self.entities = Some(told["entities"].clone());
                self.check(world, number("tick"), &told["hash"], number("seq"));
            }
            "delta" => {
                self.cover(number("seq"), false, world);
                assert!(number("base_tick") <= self.tick && self.tick < number("tick"), "{text}");
                self.apply(&told);
                self.check(world, number("tick"), &told["hash"], number("seq"));
            }
            other => panic!("{other}"),
        }
        if matches!(name.as_str(), "message" | "snapshot" | "delta") {
            assert_eq!(id, Some((EPOCH, number("seq"))));
        }
        if matches!(name.as_str(), "snapshot" | "delta") {
            self.state_events.push(Told { id, name, data });
        }
        self.id = id.or(self.id);
    }

    /// Nothing up to a seq was left out, and nothing is too young.
    fn cover(&mut self, seq: u64, is_message: bool, world: &World) {
        let from = self.covered.max(self.excused) + 1;
        if from < seq {
            let missed: Vec<_> = world.messages.range(from..seq).collect();
            assert!(missed.is_empty(), "{missed:?} were left out before {seq}");
        }
        self.covered = seq;
        if is_message {
            assert!(world.messages[&seq] + self.delay_ms <= world.wall_ms, "{seq} is too young");
        }
    }

    /// As a page would do it.
    fn apply(&mut self, delta: &Value) {
        let entities = self.entities.as_mut().and_then(Value::as_object_mut).expect("a snapshot");
        for id in delta["gone"].as_array().into_iter().flatten() {
            let gone = entities.remove(&id.as_f64().unwrap().to_string());
            assert!(gone.is_some(), "{id} was not there");
        }
        for (id, entity) in delta["new"].as_object().into_iter().flatten() {
            assert!(entities.insert(id.clone(), entity.clone()).is_none(), "{id} was there");
        }
        for (id, fields) in delta["set"].as_object().into_iter().flatten() {
            for (name, value) in fields.as_object().unwrap() {
                let known =
                    entities[id].as_object_mut().unwrap().insert(name.clone(), value.clone());
                assert!(known.is_some(), "{id} had no {name}");
            }
        }
    }

    /// What it sees is what the room showed at that tick, and the newest up to that seq.
    fn check(&mut self, world: &World, tick: u64, hash: &Value, seq: u64) {
        self.tick = tick;
        let truth = &world.truth[&tick];
        assert_eq!(self.entities.as_ref(), Some(&truth.entities), "tick {tick}");
        assert_eq!(*hash, format!("{:08x}", truth.hash));
        assert!(truth.seq <= seq, "it was not so yet at {seq}");
        assert!(truth.at_ms + self.delay_ms <= world.wall_ms, "tick {tick} is too young");
        let newest = world.truth.values().rev().find(|truth| truth.seq <= seq).unwrap();
        assert_eq!(self.entities.as_ref(), Some(&newest.entities), "not the newest at {seq}");
    }
}

#[test]
fn whoever_watches_sees_what_the_room_showed_whatever_happens_on_the_way() {
    let (mut gaps, mut recoveries, mut conflations, mut resyncs) = (0, 0, 0, 0);
    for seed in 0..24 {
        // Some logs are too small for all of the time that they may hold.
        let mut world = World::new(seed, if seed % 2 == 0 { 1 << 20 } else { 24 << 10 });
        let mut readers = [
            (Reader::new(0, Start::Now), 1),
            (Reader::new(0, Start::Ago(5_000)), 1),
            (Reader::new(1_500, Start::Now), 1),
            (Reader::new(3_000, Start::At(20)), 2),
            (Reader::new(0, Start::Now), 60),
            (Reader::new(700, Start::BehindUnknown), 60),
        ];
        for _ in 0..400 {
            world.wall_ms += 20 + world.draw.below(80);
            if world.draw.one_in(150) {
                world.wall_ms += 9_000;
            }
            if world.draw.one_in(4) {
                world.say();
            }
            world.tick();
            if world.is_cut && world.draw.one_in(10) {
                world.tell_anew();
                resyncs += 1;
            } else if world.draw.one_in(80) {
                world.is_cut = true;
            }
            world.rooms.sweep(world.wall_ms);
            for (reader, one_in) in &mut readers {
                if reader.stream.is_none() && world.draw.one_in(5) {
                    reader.connect(&mut world);
                }
                if world.draw.one_in(*one_in) {
                    reader.read(&mut world, 50, Some(70));
                }
            }
        }
        world.tell_anew();
        world.say();
        world.wall_ms += 4_000;
        for (reader, _) in &mut readers {
            if reader.stream.is_none() {
                reader.connect(&mut world);
            }
            reader.read(&mut world, 10_000, None);
            assert_eq!(reader.entities.as_ref(), Some(&projection(&world.state)), "seed {seed}");
            assert_eq!(reader.covered, world.seq, "seed {seed}");
            gaps += reader.gaps;
            recoveries += reader.recoveries;
        }
        conflations += world.counts.conflations;
    }
    for (what, count) in
        [("gaps", gaps), ("recoveries", recoveries), ("skips", conflations), ("resyncs", resyncs)]
    {
        assert!(count > 50, "only {count} {what} were reached");
    }
}

/// Ids, names and data: whoever is not slow is told the same, drops or not.
#[test]
fn readers_from_one_id_are_told_the_same_through_drops() {
    for seed in 0..20 {
        let mut world = World::new(seed, 4 << 20);
        let mut first = Reader::new(0, Start::Now);
        first.connect(&mut world);
        for _ in 0..10 {
            world.tick();
            first.read(&mut world, 50, None);
        }
        let id = first.id.expect("an id");
        let mut readers = [None, Some(20), Some(5)].map(|cut_one_in| {
            let mut reader = Reader::new(0, Start::Now);
            (reader.id, reader.entities) = (Some(id), first.entities.clone());
            (reader.tick, reader.covered) = (first.tick, first.covered);
            (reader, cut_one_in)
        });
        for _ in 0..150 {
            world.wall_ms += 10;
            if world.draw.one_in(3) {
                world.say();
            }
            world.tick();
            for (reader, cut_one_in) in &mut readers {
                if reader.stream.is_none() {
                    reader.connect(&mut world);
                }
                reader.read(&mut world, 20, *cut_one_in);
            }
        }
        for (reader, _) in &mut readers {
            if reader.stream.is_none() {
                reader.connect(&mut world);
            }
            reader.read(&mut world, 1_000, None);
        }
        let [(whole, _), others @ ..] = &readers;
        assert!(whole.state_events.len() > 70, "{}", whole.state_events.len());
        assert!(whole.state_events.iter().all(|told| told.name == "delta"));
        for (other, _) in others {
            assert!(other.recoveries > 5);
            assert_eq!(other.state_events, whole.state_events, "seed {seed}");
        }
    }
}

#[test]
fn a_snapshot_is_made_once_for_all_who_begin_in_a_tick() {
    let mut world = World::new(1, 1 << 20);
    for _ in 0..10 {
        world.wall_ms += 50;
        world.tick();
    }
    world.say();
    let mut readers: Vec<Reader> = (0..50).map(|_| Reader::new(0, Start::Now)).collect();
    for reader in &mut readers {
        reader.connect(&mut world);
        reader.read(&mut world, 10, None);
    }
    assert_eq!(world.counts.encodes, 1);
    assert!(readers.iter().all(|reader| reader.state_events.len() == 1));
    world.wall_ms += 50;
    while world.told_tick < world.tick {
        world.tick();
    }
    let told = world.counts.encodes;
    for reader in &mut readers {
        reader.read(&mut world, 10, None);
    }
    assert_eq!(world.counts.encodes - told, readers[0].state_events.len() as u64 - 1);
}

#[test]
fn messages_alone_do_not_have_a_snapshot_made_anew() {
    let mut world = World::new(1, 1 << 20);
    for _ in 0..10 {
        world.wall_ms += 50;
        world.tick();
    }
    for _ in 0..5 {
        world.say();
        let mut reader = Reader::new(0, Start::Now);
        reader.connect(&mut world);
        reader.read(&mut world, 10, None);
        assert_eq!((reader.state_events.len(), reader.covered), (1, world.seq));
    }
    assert_eq!(world.counts.encodes, 1);
}
