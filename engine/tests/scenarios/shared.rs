//! Rooms of kind `shared`: what members make of a state together reaches all of them, in order and in
//! few messages.

use crate::helpers::config;
use crate::support::client::{encode, join_named};
use crate::support::node::Node;
use crate::support::socket::{FromClient, Gone, Incoming, SocketId};
use crate::support::world::World;
use madang_engine::Config;
use madang_engine::input::Entry;
use madang_engine::room::shared;
use madang_protocol::client::{
    Class, Edit, EntityRef, Hello, Join, Publish, Resume, RoomPosition, StateEdit,
};
use madang_protocol::ids::{Channel, Cseq, Epoch, MemberId, ResumeKey, Seq};
use madang_protocol::replica::Replica;
use madang_protocol::server::{EXT_ON_LEAVE, EXT_SCHEMA, EditRefusal, Edited};
use madang_protocol::state::{FieldValue, Part, ScalarValue, Schema};
use madang_protocol::value::{Extension, Payload, TypeRef};
use madang_protocol::{ClientMessage, ErrorCode, ServerMessage, VERSION, codec};
use std::borrow::Cow;

const SCHEMA: &str = r#"{"kinds":[
    {"name":"room","fields":[{"name":"title","type":{"one":"text"}}]},
    {"name":"card","fields":[
        {"name":"text","type":{"one":"text"}},
        {"name":"owner","type":{"one":"uint"}},
        {"name":"hidden","type":{"one":"text"},"visibility":"owner"}]}]}"#;
const CARD: u32 = 1;
const TEXT: usize = 0;
const OWNER: usize = 1;
const HIDDEN: usize = 2;

/// A client of a shared room and nothing else.
#[derive(Debug)]
struct Painter {
    socket: SocketId,
    token: Option<String>,
    key: Option<ResumeKey>,
    channel: Option<Channel>,
    position: Option<(Epoch, u64)>,
    member: u32,
    cseq: u64,
    schema: Schema,
    tick: u64,
    /// The members' part, and what it sees of its own.
    common: Replica,
    own: Replica,
    deltas: usize,
    edited: Vec<Edited>,
    errors: Vec<ErrorCode>,
    /// Sender, key and content of messages; a reliable one has no key but a seq.
    messages: Vec<(u32, Option<u32>, Option<u64>)>,
    acks: usize,
}

impl Painter {
    fn connect(world: &mut World, shard: usize, token: Option<&str>) -> Self {
        let socket = world.node.connect(shard, Entry::Native, 1 << 20);
        let painter = Self {
            socket,
            token: token.map(str::to_owned),
            key: None,
            channel: None,
            position: None,
            member: 0,
            cseq: 0,
            schema: serde_json::from_str(SCHEMA).expect("a schema"),
            tick: 0,
            common: Replica::default(),
            own: Replica::default(),
            deltas: 0,
            edited: Vec::new(),
            errors: Vec::new(),
            messages: Vec::new(),
            acks: 0,
        };
        painter.hello(&mut world.node);
        painter
    }

    fn hello(&self, node: &mut Node) {
        let room = self.channel.zip(self.position);
        let room =
            room.map(|(channel, (epoch, seq))| RoomPosition { channel, epoch, seq: Seq(seq) });
        let hello = Hello {
            version_min: VERSION,
            version_max: VERSION,
            token: self.token.clone().map(Into::into),
            resume: self.key.map(|key| Resume { key, rooms: room.into_iter().collect() }),
            ..Hello::default()
        };
        self.send(node, &ClientMessage::Hello(hello));
    }

    fn send(&self, node: &mut Node, message: &ClientMessage<'_>) {
        let data = encode(false, message);
        node.send(self.socket, FromClient::Message { data, text: false });
    }

    fn join(&self, node: &mut Node, name: &str, ext: Vec<Extension>) {
        self.send(node, &ClientMessage::Join(Join { ext, ..join_named(name) }));
    }

    fn edit(&mut self, node: &mut Node, edits: Vec<StateEdit>) {
        self.cseq += 1;
        let channel = self.channel.expect("it is in the room");
        let edit = Edit { channel, cseq: Cseq(self.cseq), edits };
        self.send(node, &ClientMessage::Edit(edit));
    }

    fn publish(&mut self, node: &mut Node, class: Class) {
        self.cseq += 1;
        let publish = Publish {
            channel: self.channel.expect("it is in the room"),
            cseq: Cseq(self.cseq),
            class,
            r#type: TypeRef::Name(Cow::Borrowed("pos")),
            payload: Payload::Text(Cow::Borrowed("here")),
        };
        self.send(node, &ClientMessage::Publish(publish));
    }

    fn read(&mut self, node: &mut Node) {
        while let Some(Incoming::Frame(frame, _)) = node.receive(self.socket) {
            for bytes in codec::split_batch(&frame) {
                let bytes = bytes.expect("a batch");
                self.understand(&codec::decode_server(bytes).expect("a message"));
            }
        }
    }

    fn understand(&mut self, message: &ServerMessage<'_>) {
        match message {
            ServerMessage::Welcome(welcome) => self.key = Some(welcome.resume_key),
            ServerMessage::Joined(joined) => {
                let schema = joined.ext.iter().find(|ext| ext.0 == EXT_SCHEMA);
                let schema = schema.expect("a room with state has a schema");
                assert_eq!(
                    serde_json::from_slice::<Schema>(&schema.1).ok(),
                    Some(self.schema.clone())
                );
                self.channel = Some(joined.channel);
                self.position = Some((joined.epoch, joined.seq.0));
                self.member = joined.member.0;
            }
            ServerMessage::Snapshot(snapshot) => {
                let replica = match snapshot.part {
                    Part::Members => {
                        self.tick = snapshot.tick;
                        &mut self.common
                    }
                    Part::Owner => &mut self.own,
                    part => panic!("a snapshot of {part:?}"),
                };
                replica.apply_snapshot(&self.schema, &snapshot.state).expect("a snapshot");
                assert_eq!(replica.hash(), snapshot.hash);
            }
            ServerMessage::Delta(delta) => {
                let replica = match delta.part {
                    Part::Members => {
                        self.deltas += 1;
                        self.tick = delta.tick;
                        &mut self.common
                    }
                    Part::Owner => &mut self.own,
                    part => panic!("a delta of {part:?}"),
                };
                replica.apply_delta(&self.schema, &delta.changes).expect("a delta that applies");
                assert_eq!(replica.hash(), delta.hash);
            }
            ServerMessage::Edited(edited) => self.edited.push(edited.clone()),
            ServerMessage::Error(error) => self.errors.push(error.code),
            ServerMessage::Message(message) => {
                self.messages.push((message.from.0, None, Some(message.seq.0)));
            }
            ServerMessage::Ephemeral(message) => {
                self.messages.push((message.from.0, message.key, None));
            }
            ServerMessage::InputAck(_) => self.acks += 1,
            _ => {}
        }
    }

    fn text(&self, id: u32) -> Option<String> {
        text_of(self.common.value(&self.schema, id, TEXT))
    }

    fn owner(&self, id: u32) -> Option<u64> {
        match self.common.value(&self.schema, id, OWNER) {
            Some(FieldValue::One(ScalarValue::Uint(owner))) => Some(owner),
            _ => None,
        }
    }
}

fn text_of(value: Option<FieldValue>) -> Option<String> {
    match value {
        Some(FieldValue::One(ScalarValue::Text(text))) => Some(text),
        _ => None,
    }
}

fn text(words: &str) -> FieldValue {
    FieldValue::One(ScalarValue::Text(words.to_owned()))
}

fn create(words: &str) -> StateEdit {
    StateEdit::Create { temp: 0, kind: CARD, fields: vec![(TEXT as u32, text(words))] }
}

fn set(id: u32, field: usize, words: &str, if_version: Option<u64>) -> StateEdit {
    let (entity, value) = (EntityRef::Id(id), Some(text(words)));
    StateEdit::Set { entity, field: field as u32, value, if_version }
}

fn with_shared() -> Config {
    let mut config = config();
    config.room.logic = vec![shared::kind()];
    let kind = config.room.kind("shared").expect("the kind is there");
    config.room.kinds = vec![("board".into(), kind)];
    config
}

fn schema_and(on_leave: u8) -> Vec<Extension> {
    vec![Extension(EXT_SCHEMA, SCHEMA.as_bytes().to_vec()), Extension(EXT_ON_LEAVE, vec![on_leave])]
}

fn pass(world: &mut World, painters: &mut [Painter], ms: u64) {
    for _ in 0..ms {
        world.round();
        for painter in &mut *painters {
            painter.read(&mut world.node);
        }
    }
    assert_eq!(world.node.violations, Vec::<String>::new());
    world.node.check_invariants();
}

/// Several painters in one room, spread over two shards.
fn studio(on_leave: u8, tokens: &[Option<&str>]) -> (World, Vec<Painter>) {
    let mut world = World::new(&with_shared(), 2, 1);
    let mut painters = Vec::new();
    for (place, token) in tokens.iter().enumerate() {
        painters.push(Painter::connect(&mut world, place % 2, *token));
        pass(&mut world, &mut painters, 5);
        painters[place].join(&mut world.node, "board", schema_and(on_leave));
        pass(&mut world, &mut painters, 5);
        assert!(painters[place].channel.is_some(), "{:?}", painters[place].errors);
    }
    (world, painters)
}

/// More than a tick.
const A_WHILE_MS: u64 = 80;

#[test]
fn what_one_member_makes_all_see_after_the_tick() {
    let (mut world, mut painters) = studio(0, &[None, None, None]);
    painters[0].edit(&mut world.node, vec![create("hello")]);
    pass(&mut world, &mut painters, A_WHILE_MS);
    let edited = painters[0].edited[0].clone();
    assert_eq!((edited.created.len(), edited.refused.len()), (1, 0));
    let id = edited.created[0].1;
    for painter in &painters {
        assert_eq!(painter.text(id).as_deref(), Some("hello"));
        assert_eq!(painter.owner(id), Some(u64::from(painters[0].member)));
        assert!(painter.tick >= edited.tick, "the tick that was named shows it");
    }
    // Somebody who comes later gets it in a snapshot.
    let late = Painter::connect(&mut world, 1, None);
    painters.push(late);
    pass(&mut world, &mut painters, 5);
    painters[3].join(&mut world.node, "board", Vec::new());
    pass(&mut world, &mut painters, A_WHILE_MS);
    assert_eq!(painters[3].text(id).as_deref(), Some("hello"), "without a schema of its own");
    assert_eq!(painters[3].common, painters[0].common);
}

#[test]
fn many_edits_of_many_members_are_one_delta_a_tick() {
    let (mut world, mut painters) = studio(0, &[None; 8]);
    for painter in &mut painters {
        painter.edit(&mut world.node, vec![create("0")]);
    }
    pass(&mut world, &mut painters, A_WHILE_MS);
    let before: Vec<usize> = painters.iter().map(|painter| painter.deltas).collect();
    let ticks = painters[0].tick;
    // A third of a second in which everybody drags at 60 Hz.
    for step in 0..20 {
        for painter in &mut painters {
            let id = painter.edited[0].created[0].1;
            painter.edit(&mut world.node, vec![set(id, TEXT, &step.to_string(), None)]);
        }
        pass(&mut world, &mut painters, 17);
    }
    pass(&mut world, &mut painters, A_WHILE_MS);
    let passed = (painters[0].tick - ticks) as usize;
    for (painter, before) in painters.iter().zip(before) {
        assert!(painter.deltas - before <= passed, "{} deltas in {passed} ticks", painter.deltas);
        assert!(painter.deltas > before);
        assert_eq!(painter.common, painters[0].common);
        let id = painter.edited[0].created[0].1;
        assert_eq!(painter.text(id).as_deref(), Some("19"));
    }
}

#[test]
fn what_is_the_owners_alone_reaches_nobody_else_and_goes_with_the_entity() {
    let (mut world, mut painters) = studio(0, &[None, None]);
    painters[0].edit(&mut world.node, vec![create("card")]);
    pass(&mut world, &mut painters, A_WHILE_MS);
    let id = painters[0].edited[0].created[0].1;
    painters[0].edit(&mut world.node, vec![set(id, HIDDEN, "ace", None)]);
    pass(&mut world, &mut painters, A_WHILE_MS);
    let hidden = |painter: &Painter| text_of(painter.own.value(&painter.schema, id, HIDDEN));
    assert_eq!(hidden(&painters[0]).as_deref(), Some("ace"));
    assert_eq!(hidden(&painters[1]), None);
    let in_common = text_of(painters[1].common.value(&painters[1].schema, id, HIDDEN));
    assert_eq!(in_common.as_deref(), Some(""), "not in the common part either");
    let to = MemberId(painters[1].member);
    painters[0].edit(&mut world.node, vec![StateEdit::Give { entity: EntityRef::Id(id), to }]);
    pass(&mut world, &mut painters, A_WHILE_MS);
    assert_eq!(hidden(&painters[0]), None);
    assert_eq!(hidden(&painters[1]).as_deref(), Some("ace"));
}

#[test]
fn of_two_that_saw_the_same_the_first_wins_and_the_second_is_told() {
    let (mut world, mut painters) = studio(0, &[None, None]);
    painters[0].edit(&mut world.node, vec![set(0, TEXT, "first", None)]);
    pass(&mut world, &mut painters, A_WHILE_MS);
    let seen = painters[0].tick;
    for (place, words) in ["one", "two"].into_iter().enumerate() {
        painters[place].edit(&mut world.node, vec![set(0, TEXT, words, Some(seen))]);
    }
    pass(&mut world, &mut painters, A_WHILE_MS);
    let refused: Vec<_> =
        painters.iter().flat_map(|painter| &painter.edited).flat_map(|it| &it.refused).collect();
    assert_eq!(refused, [&(0, EditRefusal::Changed)]);
    assert_eq!(painters[0].text(0), painters[1].text(0));
    assert!(painters[0].text(0).is_some_and(|words| words != "first"));
}

#[test]
fn what_members_publish_reaches_everybody_as_theirs() {
    let (mut world, mut painters) = studio(0, &[None, None]);
    for class in [Class::Latest(7), Class::Volatile, Class::Reliable] {
        painters[0].publish(&mut world.node, class);
        pass(&mut world, &mut painters, A_WHILE_MS);
    }
    let from = painters[0].member;
    let seq = painters[1].messages.last().and_then(|(_, _, seq)| *seq);
    assert!(seq.is_some(), "a reliable one has a place in the log");
    assert_eq!(
        painters[1].messages,
        [(from, Some(7), None), (from, None, None), (from, None, seq)]
    );
    assert_eq!(painters[0].messages, [(from, None, seq)], "its echo");
    // Who comes later gets the current value.
    let late = Painter::connect(&mut world, 0, None);
    painters.push(late);
    pass(&mut world, &mut painters, 5);
    painters[2].join(&mut world.node, "board", Vec::new());
    pass(&mut world, &mut painters, A_WHILE_MS);
    assert_eq!(painters[2].messages, [(from, Some(7), None)]);
}

#[test]
fn who_resumes_still_owns_what_it_made_and_sees_what_it_missed() {
    let (mut world, mut painters) = studio(1, &[None, None]);
    painters[0].edit(&mut world.node, vec![create("mine")]);
    pass(&mut world, &mut painters, A_WHILE_MS);
    let id = painters[0].edited[0].created[0].1;
    world.node.cut(painters[0].socket, 0, Gone::Noticed);
    pass(&mut world, &mut painters, 200);
    painters[1].edit(&mut world.node, vec![create("meanwhile")]);
    pass(&mut world, &mut painters, A_WHILE_MS);
    let other = painters[1].edited[0].created[0].1;
    let (member, cut) = (painters[0].member, painters[0].socket);
    painters[0].socket = world.node.connect(1, Entry::Native, 1 << 20);
    assert_ne!(painters[0].socket, cut);
    painters[0].hello(&mut world.node);
    pass(&mut world, &mut painters, A_WHILE_MS);
    assert_eq!(painters[0].member, member);
    assert_eq!(painters[0].text(other).as_deref(), Some("meanwhile"));
    painters[0].edit(&mut world.node, vec![set(id, TEXT, "still mine", None)]);
    pass(&mut world, &mut painters, A_WHILE_MS);
    assert_eq!(painters[1].text(id).as_deref(), Some("still mine"));
    assert_eq!(painters[0].common, painters[1].common);

    // When its grace is over it has left, and what it made goes with it.
    world.node.cut(painters[0].socket, 0, Gone::Noticed);
    pass(&mut world, &mut painters, 5);
    let grace_ms = world.node.config().session.grace_ms;
    world.node.advance_us(grace_ms * 1000);
    pass(&mut world, &mut painters, 200);
    assert_eq!(painters[1].text(id), None);
    assert_eq!(painters[1].text(other).as_deref(), Some("meanwhile"));
}

#[test]
fn a_user_that_comes_back_as_another_member_owns_its_own_again() {
    let (mut world, mut painters) = studio(0, &[Some("ada"), None]);
    painters[0].edit(&mut world.node, vec![create("ada's")]);
    pass(&mut world, &mut painters, A_WHILE_MS);
    let id = painters[0].edited[0].created[0].1;
    world.node.cut(painters[0].socket, 0, Gone::Closed);
    pass(&mut world, &mut painters, A_WHILE_MS);
    painters[1].edit(&mut world.node, vec![set(id, TEXT, "not ada's", None)]);
    pass(&mut world, &mut painters, A_WHILE_MS);
    assert_eq!(painters[1].edited[0].refused, [(0, EditRefusal::NotOwner)]);
    let again = Painter::connect(&mut world, 1, Some("ada"));
    painters.push(again);
    pass(&mut world, &mut painters, 5);
    painters[2].join(&mut world.node, "board", schema_and(0));
    pass(&mut world, &mut painters, A_WHILE_MS);
    assert_ne!(painters[2].member, painters[0].member);
    assert_eq!(painters[1].owner(id), Some(u64::from(painters[2].member)));
    painters[2].edit(&mut world.node, vec![set(id, TEXT, "ada's again", None)]);
    pass(&mut world, &mut painters, A_WHILE_MS);
    assert_eq!(painters[1].text(id).as_deref(), Some("ada's again"));
}

#[test]
fn nobody_makes_a_room_without_saying_what_it_holds() {
    let mut world = World::new(&with_shared(), 2, 1);
    let mut painters = vec![Painter::connect(&mut world, 0, None)];
    pass(&mut world, &mut painters, 5);
    let broken = vec![Extension(EXT_SCHEMA, b"{\"kinds\":[]}".to_vec())];
    for ext in [Vec::new(), broken] {
        painters[0].join(&mut world.node, "board", ext);
        pass(&mut world, &mut painters, A_WHILE_MS);
    }
    assert_eq!(painters[0].errors, [ErrorCode::REFUSED, ErrorCode::REFUSED]);
    assert_eq!(world.node.level(|stats| stats.rooms), 0);
}
