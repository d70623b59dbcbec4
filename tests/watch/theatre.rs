//! A kind of room with state that does what its members say, and what a page makes of its events.

use crate::member::Member;
use crate::server::{Running, config, wall_ms};
use crate::stream::Event;
use madang::config::{Config, KindRule, RoomKind, WatchRule};
use madang_engine::room::logic::{Context, Incoming, LogicKind, RoomLogic, RoomOptions};
use madang_engine::room::state::Belonging;
use madang_protocol::state::{
    Field, FieldType, FieldValue, Kind, Number, Scalar, ScalarValue, Schema, Visibility,
};
use madang_protocol::value::Payload;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

/// Fields of an actor.
const AT: usize = 0;
const NAME: usize = 1;
const HAND: usize = 2;
const SECRET: usize = 3;

/// What spectators should see, for each room and tick, and when it was ordered.
static TRUTH: Mutex<BTreeMap<(String, u64), (u64, Value)>> = Mutex::new(BTreeMap::new());

struct Theatre {
    room: String,
    seen: BTreeMap<u32, Map<String, Value>>,
    /// When the newest order was given, as far as that is known.
    ordered_ms: u64,
}

/// A server with rooms that only do what they are told, of names that begin with `theatre`, and rooms
/// that also go round by themselves, `carousel`.
pub(crate) fn theatre(change: impl FnOnce(&mut Config)) -> Running {
    let mut config = config();
    for (name, tick_hz) in [("theatre", 0), ("carousel", 50)] {
        madang::rooms::register(LogicKind {
            name,
            tick_hz,
            interest: None,
            factory: Arc::new(|options: &RoomOptions<'_>| {
                let seen = [(0, Map::from_iter([("kind".into(), json!("stage"))]))].into();
                Ok(Box::new(Theatre { room: options.name.to_owned(), seen, ordered_ms: 0 }))
            }),
        });
        let kind = RoomKind::named(name).expect("it is registered");
        config.rooms.kind.push(KindRule { prefix: name.into(), kind });
    }
    let watched = |prefix: &str| WatchRule { prefix: prefix.into(), delay_min_ms: 0 };
    config.rooms.watch = vec![watched("theatre"), watched("carousel")];
    change(&mut config);
    Running::start(config)
}

impl RoomLogic for Theatre {
    fn schema(&self) -> Arc<Schema> {
        let steps = Number::Quantised { min: -64.0, step: 0.25, steps: 512 };
        let field =
            |name: &str, r#type, visibility| Field { name: name.into(), r#type, visibility };
        let stage = vec![field("note", FieldType::One(Scalar::Text), Visibility::Everyone)];
        let actor = vec![
            field("at", FieldType::One(Scalar::Vec2(steps)), Visibility::Everyone),
            field("name", FieldType::One(Scalar::Text), Visibility::Everyone),
            field("hand", FieldType::List(Scalar::Uint), Visibility::Owner),
            field("secret", FieldType::One(Scalar::Uint), Visibility::Members),
        ];
        let kinds = [("stage", stage), ("actor", actor)];
        let kinds = kinds.map(|(name, fields)| Kind { name: name.into(), fields });
        Arc::new(Schema { kinds: kinds.into() })
    }

    fn on_create(&mut self, ctx: &mut Context<'_>) {
        let text = FieldValue::One(ScalarValue::Text(String::new()));
        ctx.set(0, 0, &text).expect("the stage has a note");
        self.see(0, "note", json!(""));
        self.remember(ctx);
    }

    fn on_tick(&mut self, ctx: &mut Context<'_>) {
        if ctx.tick_hz() == 0 {
            return;
        }
        self.ordered_ms = 0;
        let ids: Vec<u32> = self.seen.keys().copied().filter(|id| *id != 0).collect();
        // Some stand still in some ticks, and all of them in a few.
        let tick = ctx.tick();
        for id in ids.into_iter().filter(|id| tick % 7 > u64::from(*id % 3)) {
            let place = (tick * u64::from(id)) % 200;
            self.obey(ctx, &json!({ "move": [id, place, place / 2] })).expect("it is there");
        }
        self.remember(ctx);
    }

    fn on_message(
        &mut self,
        ctx: &mut Context<'_>,
        _: u32,
        message: &Incoming<'_>,
    ) -> Result<(), String> {
        let Payload::Json(text) = message.payload else { return Err("JSON only".into()) };
        let orders: Vec<Value> = serde_json::from_str(text).map_err(|error| error.to_string())?;
        for order in &orders {
            self.obey(ctx, order).map_err(|error| error.to_string())?;
        }
        // Where ticks go by themselves, it is the next that shows what was done.
        if ctx.tick_hz() == 0 {
            self.remember(ctx);
        }
        Ok(())
    }
}

impl Theatre {
    fn obey(
        &mut self,
        ctx: &mut Context<'_>,
        order: &Value,
    ) -> Result<(), madang_protocol::state::StateError> {
        let uint = |value: &Value| value.as_u64().expect("a number");
        let one = |value: ScalarValue| FieldValue::One(value);
        if let Some(ms) = order["at"].as_u64() {
            self.ordered_ms = ms;
        } else if let Some(name) = order["spawn"].as_str() {
            let id = ctx.create(1, Belonging { owner: 1, team: 0 })?;
            ctx.set(id, NAME, &one(ScalarValue::Text(name.into())))?;
            let actor = [("kind", json!("actor")), ("name", json!(name)), ("hand", json!([]))];
            let actor = actor.map(|(name, value)| (name.to_owned(), value));
            self.seen.insert(id, actor.into_iter().collect());
            // A field that was never set is what its type says.
            self.see(id, "at", json!([-64.0, -64.0]));
        } else if let Some(note) = order["note"].as_str() {
            ctx.set(0, 0, &one(ScalarValue::Text(note.into())))?;
            self.see(0, "note", json!(note));
        } else if let Some(id) = order["drop"].as_u64() {
            ctx.remove(id as u32)?;
            self.seen.remove(&(id as u32));
        } else if let Some(text) = order["say"].as_str() {
            ctx.announce("line", text);
        } else if let Some(place) = order["move"].as_array() {
            let id = uint(&place[0]) as u32;
            let at = [uint(&place[1]) as f64 / 4.0, uint(&place[2]) as f64 / 4.0];
            ctx.set(id, AT, &one(ScalarValue::Vec2(at)))?;
            self.see(id, "at", json!(at));
            let hand = vec![ScalarValue::Uint(uint(&place[1])), ScalarValue::Uint(7)];
            ctx.set(id, HAND, &FieldValue::List(hand))?;
            self.see(id, "hand", json!([uint(&place[1]) as f64, 7.0]));
            ctx.set(id, SECRET, &one(ScalarValue::Uint(uint(&place[2]))))?;
        }
        Ok(())
    }

    fn see(&mut self, id: u32, name: &str, value: Value) {
        self.seen.entry(id).or_default().insert(name.into(), value);
    }

    fn remember(&self, ctx: &Context<'_>) {
        let entities: Map<_, _> =
            self.seen.iter().map(|(id, entity)| (id.to_string(), json!(entity))).collect();
        let mut truth = TRUTH.lock().expect("no test panics with it");
        truth.insert((self.room.clone(), ctx.tick()), (self.ordered_ms, entities.into()));
    }
}

/// Has members' orders done, as one tick.
pub(crate) fn order(member: &mut Member, mut orders: Value) {
    orders.as_array_mut().expect("a list").push(json!({ "at": wall_ms() }));
    member.publish(&orders.to_string());
    member.until_applied();
}

/// The newest tick that changed what spectators should see.
pub(crate) fn changed(room: &str) -> u64 {
    let truth = TRUTH.lock().expect("no test panics with it");
    let of_room = (room.to_owned(), 0)..=(room.to_owned(), u64::MAX);
    let mut ticks = truth.range(of_room).rev();
    let ((_, last), (_, newest)) = ticks.next().expect("a tick");
    let mut changed = *last;
    for ((_, tick), (_, entities)) in ticks {
        if entities != newest {
            break;
        }
        changed = *tick;
    }
    changed
}

/// What a page knows that has nothing but the events.
#[derive(Default)]
pub(crate) struct Page {
    pub(crate) entities: Option<Value>,
    pub(crate) tick: u64,
    /// The id to come back with.
    pub(crate) id: String,
    pub(crate) state_events: Vec<Event>,
    pub(crate) others: Vec<Event>,
}

impl Page {
    /// Takes an event in. What it then sees must have been so in its tick, and so long ago.
    #[track_caller]
    pub(crate) fn take(&mut self, event: Event, room: &str, delay_ms: u64) {
        if !event.id.is_empty() {
            self.id.clone_from(&event.id);
        }
        let data = event.json();
        match event.name.as_str() {
            "snapshot" => self.entities = Some(floats(data["entities"].clone())),
            "delta" => self.apply(&floats(data.clone())),
            _ => return self.others.push(event),
        }
        assert_eq!(event.seq(), data["seq"].as_u64().expect("a seq"));
        self.state_events.push(event);
        let tick = data["tick"].as_u64().expect("a tick");
        let truth = TRUTH.lock().expect("no test panics with it");
        let first = (room.to_owned(), 0);
        let (_, (at_ms, entities)) =
            truth.range(first..=(room.to_owned(), tick)).next_back().expect("a tick");
        let (at_ms, entities) = (*at_ms, entities.clone());
        drop(truth);
        assert_eq!(self.entities, Some(entities), "at tick {tick}");
        self.tick = tick;
        assert!(at_ms + delay_ms <= wall_ms(), "tick {tick} is too young");
    }

    fn apply(&mut self, delta: &Value) {
        let entities = self.entities.as_mut().and_then(Value::as_object_mut).expect("a snapshot");
        for id in delta["gone"].as_array().into_iter().flatten() {
            entities.remove(&id.as_f64().expect("an id").to_string()).expect("it was there");
        }
        for (id, entity) in delta["new"].as_object().into_iter().flatten() {
            assert!(entities.insert(id.clone(), entity.clone()).is_none(), "{id} was there");
        }
        for (id, fields) in delta["set"].as_object().into_iter().flatten() {
            for (name, value) in fields.as_object().expect("fields") {
                let fields = entities[id].as_object_mut().expect("an entity");
                fields.insert(name.clone(), value.clone()).expect("it had the field");
            }
        }
    }
}

/// JSON with one sort of numbers, as a browser has.
fn floats(value: Value) -> Value {
    match value {
        Value::Number(number) => json!(number.as_f64().expect("a number")),
        Value::Array(values) => values.into_iter().map(floats).collect(),
        Value::Object(members) => {
            members.into_iter().map(|(name, value)| (name, floats(value))).collect()
        }
        other => other,
    }
}
