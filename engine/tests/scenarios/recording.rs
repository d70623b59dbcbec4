//! Rooms that are recorded, and their recordings played again.
//!
//! The engine is driven by hand: what its members are told is no matter here, only what their rooms do.

use crate::helpers::config;
use crate::support::client::{join_named, text};
use crate::support::draw::Draw;
use madang_engine::access::{Identity, Rights};
use madang_engine::config::Kind;
use madang_engine::id::ConnId;
use madang_engine::input::Entry;
use madang_engine::room::logic::{
    Audience, Context, EditOutcome, Incoming, LogicKind, MemberView, RoomLogic, RoomOptions,
};
use madang_engine::room::play::Call;
use madang_engine::room::record::{
    Digest, PASSED_MAX, RecordEnd, RecordEvent, RecordHeader, RecordItem, TickEnd, from_line,
    to_line,
};
use madang_engine::room::replay::{Divergence, Replay, ReplayError};
use madang_engine::room::state::Belonging;
use madang_engine::time::Time;
use madang_engine::{Clock, Config, Engine, Input, Output};
use madang_protocol::client::{
    Class, ClientMessage, Edit, Hello, Leave, Publish, Request, Resume, RoomPosition,
};
use madang_protocol::ids::{Channel, Cseq, Epoch, ResumeKey, Seq};
use madang_protocol::state::{
    Field, FieldType, FieldValue, Kind as EntityKind, Scalar, ScalarValue, Schema, Visibility,
};
use madang_protocol::value::{Payload, TypeRef};
use madang_protocol::{ServerMessage, VERSION, codec};
use std::collections::BTreeMap;
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
    let factory = Arc::new(move |_: &RoomOptions<'_>| {
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

/// An engine and those who talk to it.
struct Bench {
    engine: Engine,
    ms: u64,
    players: Vec<Player>,
    recorded: Vec<RecordItem>,
    connections: u32,
}

#[derive(Default)]
struct Player {
    conn: Option<ConnId>,
    key: Option<ResumeKey>,
    /// Rooms by name.
    rooms: BTreeMap<String, (Channel, Epoch)>,
    cseq: u64,
}

impl Bench {
    fn new(seed: u8) -> Self {
        let engine = Engine::new(recording_config(), [seed; 32], Time::from_ms(0));
        Self { engine, ms: 0, players: Vec::new(), recorded: Vec::new(), connections: 0 }
    }

    fn clock(&self) -> Clock {
        Clock { now: Time::from_ms(self.ms), wall_us: 1_800_000_000_000_000 + self.ms * 1000 }
    }

    fn input(&mut self, input: Input<'_>) {
        self.engine.handle_input(input, self.clock());
        self.act();
    }

    fn act(&mut self) {
        while let Some(output) = self.engine.poll_output() {
            match output {
                Output::Authenticate { conn, .. } => {
                    let result = Ok(Identity::anonymous(Rights::ALL));
                    self.engine.handle_input(Input::Authenticated { conn, result }, self.clock());
                }
                Output::Flush(conn) => {
                    while let Some((frame, _)) = self.engine.next_frame(conn) {
                        for message in codec::split_batch(&frame) {
                            let message = message.expect("a batch");
                            self.told(conn, &codec::decode_server(message).expect("a message"));
                        }
                    }
                }
                Output::Record(item) => self.recorded.push(item),
                _ => {}
            }
        }
    }

    fn told(&mut self, conn: ConnId, message: &ServerMessage<'_>) {
        let player = self.players.iter_mut().find(|player| player.conn == Some(conn));
        let Some(player) = player else { return };
        match message {
            ServerMessage::Welcome(welcome) => player.key = Some(welcome.resume_key),
            ServerMessage::Joined(joined) => {
                player.rooms.insert(joined.name.clone(), (joined.channel, joined.epoch));
            }
            ServerMessage::Left(left) => {
                player.rooms.retain(|_, (channel, _)| *channel != left.channel);
            }
            _ => {}
        }
    }

    fn pass_ms(&mut self, ms: u64) {
        for _ in 0..ms.div_ceil(10) {
            self.ms += 10;
            self.engine.handle_timeout(self.clock());
            self.act();
        }
    }

    fn player(&mut self) -> usize {
        self.players.push(Player::default());
        self.connect(self.players.len() - 1);
        self.players.len() - 1
    }

    /// Connects, and resumes if it can.
    fn connect(&mut self, player: usize) {
        let conn = ConnId { slot: self.connections, generation: 1 };
        self.connections += 1;
        let found = &mut self.players[player];
        found.conn = Some(conn);
        let rooms = found.rooms.values().map(|(channel, epoch)| RoomPosition {
            channel: *channel,
            epoch: *epoch,
            seq: Seq(0),
        });
        let resume = found.key.map(|key| Resume { key, rooms: rooms.collect() });
        let hello =
            Hello { version_min: VERSION, version_max: VERSION, resume, ..Hello::default() };
        self.input(Input::Connected { conn, entry: Entry::Native });
        self.send(player, &ClientMessage::Hello(hello));
    }

    fn drop_socket(&mut self, player: usize) {
        if let Some(conn) = self.players[player].conn.take() {
            self.input(Input::Disconnected { conn, ends_session: false });
        }
    }

    fn send(&mut self, player: usize, message: &ClientMessage<'_>) {
        let Some(conn) = self.players[player].conn else { return };
        let mut data = Vec::new();
        codec::encode_client(message, &mut data);
        self.input(Input::Message { conn, data: &data, text: false });
    }

    /// Joins; the rules may say no.
    fn join(&mut self, player: usize, name: &str) {
        if !self.players[player].rooms.contains_key(name) {
            self.send(player, &ClientMessage::Join(join_named(name)));
        }
    }

    /// Joins until the rules say yes.
    fn enter(&mut self, player: usize, name: &str) {
        for _ in 0..100 {
            self.join(player, name);
        }
        assert!(self.players[player].rooms.contains_key(name), "it is in");
    }

    fn say(&mut self, player: usize, name: &str, words: &str) {
        self.players[player].cseq += 1;
        self.say_again(player, name, words, Class::Reliable);
    }

    /// Says something by the newest number.
    fn say_again(&mut self, player: usize, name: &str, words: &str, class: Class) {
        let found = &self.players[player];
        let Some((channel, _)) = found.rooms.get(name).copied() else { return };
        let (cseq, r#type) = (Cseq(found.cseq), TypeRef::Name("chat".into()));
        let publish = Publish { channel, cseq, class, r#type, payload: text(words) };
        self.send(player, &ClientMessage::Publish(publish));
    }

    /// Everything that was recorded, through its lines, by room in the order in which they began.
    fn recordings(&mut self) -> Vec<Vec<RecordEvent<'static>>> {
        let mut rooms: Vec<(u32, Vec<RecordEvent<'static>>)> = Vec::new();
        for item in std::mem::take(&mut self.recorded) {
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

fn is_message(event: &RecordEvent<'_>) -> bool {
    matches!(event, RecordEvent::Call(Call::Message { .. }))
}

#[test]
fn a_recorded_room_replays_to_the_same_digests() {
    let mut bench = Bench::new(1);
    let (a, b) = (bench.player(), bench.player());
    for player in [a, b] {
        bench.enter(player, "dice-1");
    }
    for words in ["roll", "later", "team", "whisper"] {
        bench.say(a, "dice-1", words);
        bench.pass_ms(500);
    }
    // What is said again after a resume is not done again.
    bench.say(b, "dice-1", "roll");
    bench.drop_socket(b);
    bench.pass_ms(200);
    bench.connect(b);
    bench.say_again(b, "dice-1", "roll", Class::Reliable);
    bench.say(b, "dice-1", "roll");
    bench.pass_ms(10_000);
    for player in [a, b] {
        let (channel, _) = bench.players[player].rooms["dice-1"];
        bench.send(player, &ClientMessage::Leave(Leave { channel }));
    }
    bench.pass_ms(config().room.linger_ms + 1_000);
    let rooms = bench.recordings();
    assert_eq!(rooms.len(), 1);
    let events = &rooms[0];
    assert_eq!(events.last(), Some(&RecordEvent::Ended(RecordEnd::Emptied)));
    assert_eq!(events.iter().filter(|event| is_message(event)).count(), 6, "{events:#?}");
    assert!(ticks_of(events) > 200);
    assert_eq!(play(events, &kinds()), (ticks_of(events), Ok(())));
    // Quiet time costs next to nothing.
    assert!(events.len() < 100, "{} lines", events.len());
}

#[test]
fn only_rooms_with_rules_of_the_configured_names_are_recorded() {
    let mut bench = Bench::new(2);
    let a = bench.player();
    bench.enter(a, "relay-1");
    bench.enter(a, "quiet-1");
    bench.pass_ms(500);
    assert!(bench.recordings().is_empty());
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
    let with = |change: &dyn Fn(&mut RecordHeader)| {
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
    let mut bench = Bench::new(3);
    let a = bench.player();
    bench.enter(a, name);
    for words in says {
        bench.say(a, name, words);
        bench.pass_ms(300);
    }
    if expected == RecordEnd::Closed {
        bench.say(a, name, "close");
        bench.pass_ms(300);
    }
    let events = bench.recordings().remove(0);
    assert_eq!(events.last(), Some(&RecordEvent::Ended(expected)));
    events
}

#[test]
fn whatever_happens_the_replay_comes_to_the_same() {
    let mut compared = 0;
    for seed in 1..=60 {
        let mut draw = Draw::new(seed);
        let mut bench = Bench::new(seed as u8);
        let players = [bench.player(), bench.player(), bench.player()];
        for _ in 0..150 {
            let player = players[below(&mut draw, 3) as usize];
            let name = ["dice-5", "turns-1"][below(&mut draw, 2) as usize];
            let room = bench.players[player].rooms.get(name).copied();
            match (below(&mut draw, 14), room) {
                (0..=2, _) => bench.join(player, name),
                (3..=7, _) => {
                    let words =
                        ["roll", "later", "team", "whisper", "roll", "kick", "close", "panic"];
                    let most = if below(&mut draw, 8) == 0 { 8 } else { 5 };
                    let class = [Class::Reliable, Class::Volatile][below(&mut draw, 2) as usize];
                    // Some are said twice.
                    bench.players[player].cseq += below(&mut draw, 4).min(1);
                    let words = words[below(&mut draw, most) as usize];
                    bench.say_again(player, name, words, class);
                }
                (8, Some((channel, _))) => {
                    bench.players[player].cseq += 1;
                    let cseq = Cseq(bench.players[player].cseq);
                    let (r#type, payload) = (TypeRef::Name("roll".into()), text("now"));
                    let request = Request { channel, cseq, r#type, payload };
                    bench.send(player, &ClientMessage::Request(request));
                }
                (9, Some((channel, _))) => {
                    bench.send(player, &ClientMessage::Leave(Leave { channel }));
                }
                (10, _) => bench.drop_socket(player),
                (11, _) if bench.players[player].conn.is_none() => bench.connect(player),
                _ => bench.pass_ms(below(&mut draw, 2_000)),
            }
        }
        bench.pass_ms(3_000);
        for events in bench.recordings() {
            let (same, result) = play(&events, &kinds());
            assert_eq!(result, Ok(()), "seed {seed}");
            assert_eq!(same, ticks_of(&events), "seed {seed}");
            compared += same;
        }
    }
    assert!(compared > 5_000, "{compared} ticks were compared");
}

fn below(draw: &mut Draw, bound: u64) -> u64 {
    draw.next() % bound
}

#[test]
fn edits_are_recorded() {
    let mut bench = Bench::new(4);
    let a = bench.player();
    bench.enter(a, "turns-2");
    let (channel, _) = bench.players[a].rooms["turns-2"];
    let edit = Edit { channel, cseq: Cseq(1), edits: Vec::new() };
    bench.send(a, &ClientMessage::Edit(edit.clone()));
    let events = bench.recordings().remove(0);
    let is_it = |event: &RecordEvent<'_>| matches!(event, RecordEvent::Call(Call::Edit { edit: found, .. }) if **found == edit);
    assert!(events.iter().any(is_it), "{events:?}");
    assert_eq!(play(&events, &kinds()), (ticks_of(&events), Ok(())));
}
