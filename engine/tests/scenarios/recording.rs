//! Rooms that are recorded, and their recordings played again.

use crate::helpers::{config, world};
use crate::support::client::{join_named, text};
use crate::support::draw::Draw;
use crate::support::world::World;
use madang_engine::Config;
use madang_engine::config::Kind;
use madang_engine::room::logic::{
    Audience, Context, EditOutcome, Incoming, LogicKind, MemberView, RoomLogic,
};
use madang_engine::room::record::{
    Digest, PASSED_MAX, RecordEnd, RecordEvent, TickEnd, from_line, to_line,
};
use madang_engine::room::replay::{Divergence, Replay, ReplayError};
use madang_engine::room::state::Belonging;
use madang_protocol::client::{Class, ClientMessage, Edit};
use madang_protocol::ids::{Channel, Cseq};
use madang_protocol::state::{
    Field, FieldType, FieldValue, Kind as EntityKind, Scalar, ScalarValue, Schema, Visibility,
};
use madang_protocol::value::Payload;
use std::sync::Arc;

/// A table on which everybody rolls dice.
#[derive(Default)]
struct Dice {
    joined: Vec<u32>,
    /// What the rules add to every roll: with another bias they are other rules.
    bias: u64,
}

fn number(value: u64) -> FieldValue {
    FieldValue::One(ScalarValue::Uint(value))
}

impl Dice {
    fn roll(&self, ctx: &mut Context<'_>) {
        let rolled = u64::from(ctx.random(1_000_000)) + self.bias;
        ctx.set(0, 0, &number(rolled)).expect("the table has a field");
    }
}

impl RoomLogic for Dice {
    fn schema(&self) -> Arc<Schema> {
        let field = |name: &str, visibility| Field {
            name: name.into(),
            r#type: FieldType::One(Scalar::Uint),
            visibility,
        };
        let table = vec![field("rolled", Visibility::Everyone), field("left", Visibility::Nobody)];
        let piece = vec![field("at", Visibility::Everyone), field("hand", Visibility::Owner)];
        let kinds = [("table", table), ("piece", piece)];
        let kinds = kinds.map(|(name, fields)| EntityKind { name: name.into(), fields });
        Arc::new(Schema { kinds: kinds.into() })
    }

    fn may_join(&mut self, ctx: &mut Context<'_>, _: &MemberView<'_>) -> Result<(), String> {
        if ctx.random(5) == 0 { Err("the dice say no".to_owned()) } else { Ok(()) }
    }

    fn on_join(&mut self, ctx: &mut Context<'_>, member: &MemberView<'_>) {
        let piece = ctx.create(1, Belonging { owner: member.id, team: 0 }).expect("there is place");
        let hand = ctx.random(100);
        ctx.set(piece, 1, &number(hand.into())).expect("it is there");
        self.joined.push(piece);
    }

    fn on_leave(&mut self, ctx: &mut Context<'_>, _: u32) {
        if let Some(piece) = self.joined.pop() {
            ctx.remove(piece).expect("it is there");
        }
    }

    fn on_message(
        &mut self,
        ctx: &mut Context<'_>,
        member: u32,
        message: &Incoming<'_>,
    ) -> Result<(), String> {
        let Payload::Text(words) = message.payload else { return Err("words only".to_owned()) };
        match &**words {
            "kick" => ctx.kick(member),
            "close" => ctx.close(),
            "panic" => panic!("the table fell over"),
            "later" => ctx.set_timer(3, 7),
            "team" => ctx.set_team(member, 2),
            "whisper" => ctx.send(Audience::Member(member), Class::Reliable, "psst", text("psst")),
            _ => self.roll(ctx),
        }
        Ok(())
    }

    fn on_request(
        &mut self,
        ctx: &mut Context<'_>,
        _: u32,
        _: &Incoming<'_>,
    ) -> Option<Payload<'static>> {
        self.roll(ctx);
        Some(text("rolled"))
    }

    fn on_edit(&mut self, ctx: &mut Context<'_>, _: u32, _: &Edit) -> Option<EditOutcome> {
        self.roll(ctx);
        Some(EditOutcome::default())
    }

    fn on_timer(&mut self, ctx: &mut Context<'_>, _: u32) {
        self.roll(ctx);
    }

    fn on_tick(&mut self, ctx: &mut Context<'_>) {
        if ctx.tick() % 16 == 0 {
            self.roll(ctx);
        }
    }
}

fn kind(name: &'static str, tick_hz: u32, bias: u64) -> LogicKind {
    let factory = Arc::new(move |_: &_| {
        Ok(Box::new(Dice { joined: Vec::new(), bias }) as Box<dyn RoomLogic>)
    });
    LogicKind { name, tick_hz, interest: None, factory }
}

/// With ticks of its own, and without.
fn kinds() -> Vec<LogicKind> {
    vec![kind("dice", 20, 0), kind("turns", 0, 0)]
}

fn recording_config() -> Config {
    let mut config = config();
    config.room.logic = kinds();
    config.room.kinds = vec![
        ("dice".into(), Kind::Logic("dice")),
        ("quiet".into(), Kind::Logic("dice")),
        ("turns".into(), Kind::Logic("turns")),
    ];
    config.room.record = vec!["dice".into(), "turns".into(), "relay".into()];
    config
}

/// Everything that was recorded, through its lines, by room in the order in which they began.
fn recordings(world: &mut World) -> Vec<Vec<RecordEvent<'static>>> {
    let mut rooms: Vec<(u32, Vec<RecordEvent<'static>>)> = Vec::new();
    for item in std::mem::take(&mut world.node.recorded) {
        let line = to_line(&item.event);
        let event = from_line(line.strip_suffix(b"\n").expect("a line")).expect("it reads");
        assert_eq!(event, item.event);
        if matches!(event, RecordEvent::Begun(_)) {
            rooms.push((item.channel, vec![event]));
            continue;
        }
        let room = rooms.iter_mut().rev().find(|(channel, _)| *channel == item.channel);
        room.expect("a recording begins with its header").1.push(event);
    }
    rooms.into_iter().map(|(_, events)| events).collect()
}

/// Plays a recording; how many ticks were the same, and what was wrong.
fn play(events: &[RecordEvent<'_>], kinds: &[LogicKind]) -> (u64, Result<(), ReplayError>) {
    let RecordEvent::Begun(header) = &events[0] else { panic!("no header") };
    let mut replay = match Replay::new(header, kinds) {
        Ok(replay) => replay,
        Err(error) => return (0, Err(error)),
    };
    for event in &events[1..] {
        if let Err(error) = replay.step(event) {
            return (replay.compared(), Err(error));
        }
    }
    (replay.compared(), Ok(()))
}

fn ticks_of(events: &[RecordEvent<'_>]) -> u64 {
    let ticks = events.iter().map(|event| match event {
        RecordEvent::Ticked(_) => 1,
        RecordEvent::Passed { ticks, .. } => u64::from(*ticks),
        _ => 0,
    });
    ticks.sum()
}

#[test]
fn a_recorded_room_replays_to_the_same_digests() {
    let mut world = world(&recording_config(), 2);
    let (a, b) = (world.native(0), world.json(1));
    for client in [a, b] {
        // The rules say no to some.
        while !world.clients[client].rooms.values().any(|room| room.name == "dice-1") {
            world.clients[client].join(&mut world.node, join_named("dice-1"));
            world.calm();
        }
    }
    let channel = *world.clients[a].rooms.keys().next().expect("it is in");
    for words in ["roll", "later", "team", "whisper"] {
        world.say(a, channel, words);
        world.pass_ms(500, 10);
    }
    // What is said again after a resume is not done again.
    world.say(b, channel, "roll");
    world.drop_socket(b);
    world.pass_ms(200, 10);
    world.connect(b, 0);
    world.say(b, channel, "roll");
    world.pass_ms(10_000, 50);
    for client in [a, b] {
        world.clients[client].leave(&mut world.node, channel);
        world.calm();
    }
    world.pass_ms(config().room.linger_ms + 1_000, 1_000);
    let rooms = recordings(&mut world);
    assert_eq!(rooms.len(), 1);
    let events = &rooms[0];
    assert_eq!(events.last(), Some(&RecordEvent::Ended(RecordEnd::Emptied)));
    let said = events.iter().filter(|event| {
        matches!(event, RecordEvent::Call(madang_engine::room::play::Call::Message { .. }))
    });
    assert_eq!(said.count(), 6, "{events:?}");
    assert!(ticks_of(events) > 200);
    assert_eq!(play(events, &kinds()), (ticks_of(events), Ok(())));
    // Quiet time costs next to nothing.
    assert!(events.len() < 100, "{} lines", events.len());
}

#[test]
fn only_rooms_with_rules_of_the_configured_names_are_recorded() {
    let mut world = world(&recording_config(), 1);
    let a = world.native(0);
    for name in ["relay-1", "quiet-1"] {
        for _ in 0..20 {
            world.clients[a].join(&mut world.node, join_named(name));
            world.calm();
        }
    }
    assert!(world.clients[a].rooms.len() == 2);
    world.pass_ms(500, 10);
    assert!(recordings(&mut world).is_empty());
}

#[test]
fn other_rules_and_tampered_recordings_are_found_at_the_tick_where_they_part() {
    let events = one_room("dice-2", &["roll", "roll"], RecordEnd::Closed);
    // Rules with a bias: the first roll differs.
    let (compared, result) = play(&events, &[kind("dice", 20, 1)]);
    let first = events.iter().filter_map(|event| match event {
        RecordEvent::Ticked(end) => Some(end),
        _ => None,
    });
    let ends: Vec<&TickEnd> = first.collect();
    assert!(compared >= 1);
    let Err(ReplayError::Diverged(Divergence::State { tick, recorded, replayed })) = result else {
        panic!("it does not diverge: {result:?}");
    };
    assert_ne!(recorded, replayed);
    assert!(ends.iter().any(|end| end.tick == tick && end.digest == recorded));

    // One digest changed: found there and not before.
    let place = events.iter().rposition(|event| matches!(event, RecordEvent::Ticked(_)));
    let place = place.expect("ticks that changed something");
    let mut tampered = events.clone();
    let RecordEvent::Ticked(end) = &mut tampered[place] else { panic!("it is one") };
    end.digest = Digest(end.digest.0 ^ 1);
    let at = end.tick;
    let (compared, result) = play(&tampered, &kinds());
    assert_eq!(compared, ticks_of(&events[..place]));
    let Err(ReplayError::Diverged(Divergence::State { tick, .. })) = result else {
        panic!("it does not diverge: {result:?}");
    };
    assert_eq!(tick, at);

    // A call left out, and another seed.
    for change in 0..2 {
        let mut tampered = events.clone();
        if change == 0 {
            let is_message = |event: &RecordEvent<'_>| {
                matches!(event, RecordEvent::Call(madang_engine::room::play::Call::Message { .. }))
            };
            let place = tampered.iter().position(is_message).expect("somebody rolled");
            tampered.remove(place);
        } else {
            let RecordEvent::Begun(header) = &mut tampered[0] else { panic!("no header") };
            header.seed.0[5] ^= 1;
        }
        let (_, result) = play(&tampered, &kinds());
        assert!(matches!(result, Err(ReplayError::Diverged(_))), "{result:?}");
    }
}

#[test]
fn what_cannot_be_played_is_refused_in_words() {
    let events = one_room("dice-3", &["roll"], RecordEnd::Closed);
    let with = |change: &dyn Fn(&mut madang_engine::room::record::RecordHeader)| {
        let mut events = events.clone();
        let RecordEvent::Begun(header) = &mut events[0] else { panic!("no header") };
        change(header);
        match play(&events, &kinds()).1 {
            Err(ReplayError::Unusable(why)) => why,
            other => panic!("{other:?}"),
        }
    };
    assert!(with(&|header| header.format = 2).contains("format is 2"));
    assert!(with(&|header| header.kind = "chess".into()).contains("no kind \"chess\""));
    assert!(with(&|header| header.tick_hz = 30).contains("20 times"));
    assert!(with(&|header| header.limits.state_bytes_max = usize::MAX).contains("limits"));
    let passed = |ticks| {
        let end = TickEnd { tick: 1, digest: Digest(0) };
        vec![events[0].clone(), events[1].clone(), RecordEvent::Passed { ticks, end }]
    };
    for ticks in [0, PASSED_MAX + 1, u32::MAX] {
        assert!(matches!(play(&passed(ticks), &kinds()).1, Err(ReplayError::Unusable(_))));
    }
    let mut more = events.clone();
    more.push(events[1].clone());
    assert!(matches!(play(&more, &kinds()).1, Err(ReplayError::Unusable(_))));
}

#[test]
fn a_failure_is_recorded_and_fails_again() {
    let events = one_room("dice-4", &["roll", "panic"], {
        RecordEnd::Failed("it panicked: the table fell over".into())
    });
    assert_eq!(play(&events, &kinds()), (ticks_of(&events), Ok(())));
    // Without its last call it would not have failed; with another end it would have gone on.
    let mut calm = events.clone();
    calm.remove(calm.len() - 2);
    let result = play(&calm, &kinds()).1;
    assert!(matches!(result, Err(ReplayError::Diverged(Divergence::NotFailed { .. }))));
    let mut other = events.clone();
    *other.last_mut().expect("an end") = RecordEvent::Ended(RecordEnd::Emptied);
    let result = play(&other, &kinds()).1;
    assert!(matches!(result, Err(ReplayError::Diverged(Divergence::Failed { .. }))), "{result:?}");
}

/// The recording of a room in which somebody says this; it ends in this way.
fn one_room(name: &str, says: &[&str], expected: RecordEnd) -> Vec<RecordEvent<'static>> {
    let mut world = world(&recording_config(), 1);
    let a = world.native(0);
    while world.clients[a].rooms.is_empty() {
        world.clients[a].join(&mut world.node, join_named(name));
        world.calm();
    }
    let channel = *world.clients[a].rooms.keys().next().expect("it is in");
    for words in says {
        world.say(a, channel, words);
        world.pass_ms(300, 10);
    }
    if expected == RecordEnd::Closed {
        world.say(a, channel, "close");
        world.pass_ms(300, 10);
    }
    let mut rooms = recordings(&mut world);
    let events = rooms.remove(0);
    assert_eq!(events.last(), Some(&RecordEvent::Ended(expected)));
    events
}

#[test]
fn whatever_happens_the_replay_comes_to_the_same() {
    let mut compared = 0;
    for seed in 1..=60 {
        let mut draw = Draw::new(seed);
        let mut world = World::new(&recording_config(), 2, seed);
        let clients = [world.native(0), world.json(1), world.native(1)];
        for _ in 0..120 {
            let client = clients[draw.below(3) as usize];
            let rooms: Vec<u32> = world.clients[client].rooms.keys().copied().collect();
            let channel = rooms.get(draw.below(2) as usize).copied();
            let is_there = world.clients[client].is_ready();
            match (draw.below(14), channel) {
                (0..=2, _) if is_there => {
                    let name = ["dice-5", "turns-1"][draw.below(2) as usize];
                    if world.clients[client].rooms.values().all(|room| room.name != name) {
                        world.clients[client].join(&mut world.node, join_named(name));
                    }
                }
                (3..=7, Some(channel)) if is_there => {
                    let words = ["roll", "later", "team", "whisper", "roll", "kick", "close"];
                    let words = words[draw.below(if draw.below(8) == 0 { 7 } else { 5 }) as usize];
                    let class = [Class::Reliable, Class::Volatile][draw.below(2) as usize];
                    world.clients[client].publish(
                        &mut world.node,
                        channel,
                        class,
                        "chat",
                        text(words),
                    );
                }
                (8, Some(channel)) if is_there => {
                    world.clients[client].request(&mut world.node, channel, "roll", text(""));
                }
                (9, Some(channel)) if is_there => {
                    world.clients[client].leave(&mut world.node, channel);
                }
                (10, _) if is_there => world.drop_socket(client),
                (11, _) if !is_there => world.connect(client, draw.below(2) as usize),
                _ => world.pass_ms(u64::from(draw.below(2_000)), 50),
            }
            world.round();
        }
        world.pass_ms(3_000, 50);
        for events in recordings(&mut world) {
            let (same, result) = play(&events, &kinds());
            assert_eq!(result, Ok(()), "seed {seed}");
            assert_eq!(same + waiting(&events), ticks_of(&events), "seed {seed}");
            compared += same;
        }
    }
    assert!(compared > 5_000, "{compared} ticks were compared");
}

/// None waits: a recording is compared whole, as far as it goes.
fn waiting(_: &[RecordEvent<'_>]) -> u64 {
    0
}

#[test]
fn edits_are_recorded() {
    let mut world = world(&recording_config(), 1);
    let a = world.native(0);
    while world.clients[a].rooms.is_empty() {
        world.clients[a].join(&mut world.node, join_named("turns-2"));
        world.calm();
    }
    let channel = *world.clients[a].rooms.keys().next().expect("it is in");
    let edit = Edit { channel: Channel(channel), cseq: Cseq(1), edits: Vec::new() };
    world.clients[a].send(&mut world.node, &ClientMessage::Edit(edit.clone()));
    world.round();
    world.round();
    let events = recordings(&mut world).remove(0);
    let recorded = events.iter().any(|event| {
        matches!(event, RecordEvent::Call(madang_engine::room::play::Call::Edit { edit: found, .. })
            if **found == edit)
    });
    assert!(recorded, "{events:?}");
    assert_eq!(play(&events, &kinds()), (ticks_of(&events), Ok(())));
}
