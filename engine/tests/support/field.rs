//! Room logic that does what members tell it to: each message is a line of words, a command. Its schema
//! has fields of every visibility, kinds that some audiences do not hear of at all, and a position.

use madang_engine::room::logic::{
    Audience, Context, Incoming, Interest, LogicKind, MemberView, RoomLogic, RoomOptions,
};
use madang_engine::room::state::{Belonging, Plane, State};
use madang_protocol::client::Class;
use madang_protocol::state::{
    Field, FieldType, FieldValue, Kind, Number, Scalar, ScalarValue, Schema, StateError, Visibility,
};
use madang_protocol::value::{Payload, Value};
use std::borrow::Cow;
use std::sync::{Arc, LazyLock};

/// The edge of a cell, and how far members see, in the kinds with a plane.
pub(crate) const CELL: f64 = 10.0;
pub(crate) const RADIUS: f64 = 6.0;

/// The fields of a unit (kind 1).
pub(crate) const AT: usize = 0;
pub(crate) const NAME: usize = 1;
pub(crate) const PLAN: usize = 2;
pub(crate) const HAND: usize = 3;
pub(crate) const ODDS: usize = 4;
pub(crate) const MARK: usize = 5;
pub(crate) const SEED: usize = 6;
pub(crate) const PATH: usize = 7;

static SCHEMA: LazyLock<Arc<Schema>> = LazyLock::new(|| {
    use Visibility::{Everyone, Members, Nobody, Owner, Spectators, Team};
    let field = |name: &str, r#type, visibility| Field {
        name: name.to_owned(),
        r#type: FieldType::One(r#type),
        visibility,
    };
    let kind = |name: &str, fields| Kind { name: name.to_owned(), fields };
    let at = Scalar::Vec2(Number::quantised(-1000.0, 1000.0, 0.5));
    let path = FieldType::List(Scalar::Uint);
    Arc::new(Schema {
        kinds: vec![
            kind(
                "room",
                vec![
                    field("count", Scalar::Uint, Everyone),
                    field("hint", Scalar::Text, Members),
                    field("note", Scalar::Text, Spectators),
                    field("secret", Scalar::Text, Nobody),
                ],
            ),
            kind(
                "unit",
                vec![
                    field("at", at, Everyone),
                    field("name", Scalar::Text, Everyone),
                    field("plan", Scalar::Text, Team),
                    field("hand", Scalar::Text, Owner),
                    field("odds", Scalar::Uint, Spectators),
                    field("mark", Scalar::Uint, Members),
                    field("seed", Scalar::Text, Nobody),
                    Field { name: "path".to_owned(), r#type: path, visibility: Everyone },
                ],
            ),
            kind("trap", vec![field("where", Scalar::Text, Owner)]),
            kind("camp", vec![field("stock", Scalar::Uint, Team)]),
            kind("flag", Vec::new()),
        ],
    })
});

/// The kinds of rooms, and by which prefix of their names they are made: at 20 Hz and 0 Hz, each
/// without and with a plane.
pub(crate) const KINDS: [(&str, &str, u32, bool); 4] = [
    ("field-", "field", 20, false),
    ("still-", "still", 0, false),
    ("plain-", "plain", 20, true),
    ("maze-", "maze", 0, true),
];

/// Lets rooms of [`KINDS`] be made.
pub(crate) fn add_kinds(config: &mut madang_engine::config::RoomConfig) {
    for (prefix, name, tick_hz, has_plane) in KINDS {
        let plane = Plane { field: "at", cell: CELL };
        config.kinds.push((prefix.into(), madang_engine::config::Kind::Logic(name)));
        config.logic.push(LogicKind {
            name,
            tick_hz,
            interest: has_plane.then_some(Interest { plane, radius: RADIUS }),
            factory: Arc::new(Plot::make),
        });
    }
}

/// The logic of all of them.
#[derive(Debug, Default)]
struct Plot {
    /// What to do when a call of this name comes next.
    armed: Vec<(String, String)>,
    /// Ticks for which units still wander, and for which the room still counts.
    wandering: u32,
    counting: u32,
    /// Whether each that leaves has another one removed.
    is_cascading: bool,
    /// Timers that were told of.
    timers: u32,
}

impl Plot {
    fn make(options: &RoomOptions<'_>) -> Result<Box<dyn RoomLogic>, String> {
        let mut plot = Plot::default();
        for (name, value) in options.labels {
            match name.as_str() {
                "refuse" => return Err(value.clone()),
                "factory" => panic!("{value}"),
                name => plot.armed.push((name.to_owned(), value.clone())),
            }
        }
        Ok(Box::new(plot))
    }

    /// Does what was armed for a call.
    fn fire(&mut self, call: &str, ctx: &mut Context<'_>, member: u32) {
        while let Some(at) = self.armed.iter().position(|(name, _)| name == call) {
            let (_, line) = self.armed.remove(at);
            let _ = self.run(ctx, member, &line);
        }
    }

    fn run(&mut self, ctx: &mut Context<'_>, member: u32, line: &str) -> Result<(), String> {
        let words: Vec<&str> = line.split_whitespace().collect();
        let Some((verb, rest)) = words.split_first() else { return Err("no words".to_owned()) };
        let number = |at: usize| rest.get(at).and_then(|word| word.parse::<u32>().ok());
        let number = |at: usize| number(at).unwrap_or(0);
        let whom = |at: usize| match rest.get(at) {
            Some(&"me") => member,
            Some(word) if word.starts_with('#') => {
                nth(ctx.members().iter().copied(), word).unwrap_or(0)
            }
            _ => number(at),
        };
        let entity = |at: usize| match rest.get(at) {
            Some(word) if word.starts_with('#') => nth(ctx.state().ids(), word).unwrap_or(0),
            _ => number(at),
        };
        let point = |at: usize| {
            let number = |at: usize| rest.get(at).and_then(|word| word.parse::<f64>().ok());
            [number(at).unwrap_or(0.0), number(at + 1).unwrap_or(0.0)]
        };
        let text = |at: usize| rest.get(at..).unwrap_or_default().join(" ");
        let set = |ctx: &mut Context<'_>, id, field, value: ScalarValue| {
            said(ctx.try_set(id, field, &FieldValue::One(value)))
        };
        match *verb {
            "create" => {
                let belonging = Belonging { owner: whom(1), team: number(2) };
                let id = said(ctx.create(number(0), belonging))?;
                if number(0) == 1 {
                    set(ctx, id, AT, ScalarValue::Vec2(point(3)))?;
                    set(ctx, id, NAME, ScalarValue::Text(format!("unit {id}")))?;
                }
                Ok(())
            }
            "move" => set(ctx, entity(0), AT, ScalarValue::Vec2(point(1))),
            "name" => set(ctx, entity(0), NAME, ScalarValue::Text(text(1))),
            "plan" => set(ctx, entity(0), PLAN, ScalarValue::Text(text(1))),
            "hand" => set(ctx, entity(0), HAND, ScalarValue::Text(text(1))),
            "odds" => set(ctx, entity(0), ODDS, ScalarValue::Uint(number(1).into())),
            "mark" => set(ctx, entity(0), MARK, ScalarValue::Uint(number(1).into())),
            "seed" => set(ctx, entity(0), SEED, ScalarValue::Text(text(1))),
            "trap" => set(ctx, entity(0), 0, ScalarValue::Text(text(1))),
            "stock" => set(ctx, entity(0), 0, ScalarValue::Uint(number(1).into())),
            "path" => {
                let steps = (1..rest.len()).map(|at| ScalarValue::Uint(number(at).into()));
                said(ctx.set(entity(0), PATH, &FieldValue::List(steps.collect())))
            }
            "count" => set(ctx, 0, 0, ScalarValue::Uint(number(0).into())),
            "hint" => set(ctx, 0, 1, ScalarValue::Text(text(0))),
            "note" => set(ctx, 0, 2, ScalarValue::Text(text(0))),
            "secret" => set(ctx, 0, 3, ScalarValue::Text(text(0))),
            "remove" => said(ctx.remove(entity(0))),
            "give" => said(ctx.give(entity(0), Belonging { owner: whom(1), team: number(2) })),
            "team" => {
                ctx.set_team(whom(0), number(1));
                Ok(())
            }
            "view" => {
                ctx.set_view(whom(0), point(1));
                Ok(())
            }
            "say" | "now" | "wave" | "tell" | "rally" => {
                let (to, class, words) = match *verb {
                    "say" => (Audience::Everyone, Class::Reliable, text(0)),
                    "now" => (Audience::Everyone, Class::Latest(number(0)), text(1)),
                    "wave" => (Audience::Everyone, Class::Volatile, text(0)),
                    "tell" => (Audience::Member(whom(0)), Class::Reliable, text(1)),
                    _ => (Audience::Team(number(0)), Class::Reliable, text(1)),
                };
                ctx.send(to, class, "said", Payload::Text(Cow::Owned(words)));
                Ok(())
            }
            "kick" => {
                ctx.kick(whom(0));
                Ok(())
            }
            "close" => {
                ctx.close();
                Ok(())
            }
            "panic" => panic!("{}", text(0)),
            "spend" => {
                for _ in 0..number(0) {
                    let _ = ctx.try_set(0, 0, &FieldValue::One(ScalarValue::Uint(0)));
                }
                Ok(())
            }
            "grow" => {
                let value = ScalarValue::Text("x".repeat(number(0) as usize));
                said(ctx.set(0, 3, &FieldValue::One(value)))
            }
            "fill" => {
                for _ in 0..number(0) {
                    said(ctx.create(4, Belonging::default()))?;
                }
                Ok(())
            }
            "timer" => {
                ctx.set_timer(number(0).into(), number(1));
                Ok(())
            }
            "timers" => {
                for _ in 0..number(0) {
                    ctx.set_timer(number(1).into(), 0);
                }
                Ok(())
            }
            "wander" => {
                self.wandering = number(0);
                Ok(())
            }
            "counting" => {
                self.counting = number(0);
                Ok(())
            }
            "cascade" => {
                self.is_cascading = true;
                Ok(())
            }
            "arm" => {
                let call = rest.first().copied().unwrap_or_default();
                self.armed.push((call.to_owned(), text(1)));
                Ok(())
            }
            verb => Err(format!("{verb} is no command")),
        }
    }
}

impl Drop for Plot {
    fn drop(&mut self) {
        if let Some((_, words)) = self.armed.iter().find(|(name, _)| name == "drop") {
            panic!("{words}");
        }
    }
}

impl RoomLogic for Plot {
    fn schema(&self) -> Arc<Schema> {
        if self.armed.iter().any(|(name, _)| name == "schema") {
            return Arc::new(Schema { kinds: Vec::new() });
        }
        Arc::clone(&SCHEMA)
    }

    fn on_create(&mut self, ctx: &mut Context<'_>) {
        self.fire("create", ctx, 0);
    }

    fn may_join(&mut self, ctx: &mut Context<'_>, member: &MemberView<'_>) -> Result<(), String> {
        self.fire("may_join", ctx, 0);
        let is_banned = |(name, value): &(String, Value)| name == "banned" && *value != Value::Null;
        if member.attributes.iter().any(is_banned) { Err("banned".to_owned()) } else { Ok(()) }
    }

    fn on_join(&mut self, ctx: &mut Context<'_>, member: &MemberView<'_>) {
        self.fire("join", ctx, member.id);
    }

    fn on_leave(&mut self, ctx: &mut Context<'_>, member: u32) {
        self.fire("leave", ctx, member);
        if let Some(next) = ctx.members().last().copied().filter(|_| self.is_cascading) {
            ctx.kick(next);
        }
    }

    fn on_message(
        &mut self,
        ctx: &mut Context<'_>,
        member: u32,
        message: &Incoming<'_>,
    ) -> Result<(), String> {
        match message.payload {
            Payload::Text(line) => self.run(ctx, member, line),
            _ => Err("a command is text".to_owned()),
        }
    }

    fn on_request(
        &mut self,
        ctx: &mut Context<'_>,
        member: u32,
        request: &Incoming<'_>,
    ) -> Option<Payload<'static>> {
        self.fire("request", ctx, member);
        let members = ctx.members().len();
        let answer = Payload::Json(Cow::Owned(format!("{{\"members\":{members}}}")));
        (request.r#type == "roll call").then_some(answer)
    }

    fn on_tick(&mut self, ctx: &mut Context<'_>) {
        self.fire("tick", ctx, 0);
        if self.counting > 0 {
            self.counting -= 1;
            let tick = ctx.tick();
            let _ = ctx.set(0, 0, &FieldValue::One(ScalarValue::Uint(tick)));
        }
        if self.wandering > 0 {
            self.wandering -= 1;
            let units: Vec<u32> =
                ctx.state().ids().filter(|id| ctx.state().kind(*id) == Some(1)).collect();
            for id in units {
                let [dx, dy] = [ctx.random(9), ctx.random(9)].map(|by| f64::from(by) - 4.0);
                if let Some([x, y]) = position(ctx.state(), id) {
                    let at = ScalarValue::Vec2([x + dx, y + dy]);
                    let _ = ctx.set(id, AT, &FieldValue::One(at));
                }
            }
        }
    }

    fn on_timer(&mut self, ctx: &mut Context<'_>, timer: u32) {
        self.fire("timer", ctx, 0);
        self.timers += 1;
        let at = format!("timer {timer} at {} as {}", ctx.tick(), self.timers);
        ctx.announce("timer", &at);
    }

    fn on_empty(&mut self, ctx: &mut Context<'_>) {
        self.fire("empty", ctx, 0);
    }
}

/// Where a unit is.
pub(crate) fn position(state: &State, id: u32) -> Option<[f64; 2]> {
    match state.get(id, AT) {
        Ok(FieldValue::One(ScalarValue::Vec2(at))) => Some(at),
        _ => None,
    }
}

fn said<T>(result: Result<T, StateError>) -> Result<T, String> {
    result.map_err(|error| error.to_string())
}

/// `#n` is the nth of those there are, counted round and round.
fn nth(ids: impl Iterator<Item = u32>, word: &str) -> Option<u32> {
    let ids: Vec<u32> = ids.collect();
    let place: usize = word.trim_start_matches('#').parse().ok()?;
    ids.get(place.checked_rem(ids.len())?).copied()
}
