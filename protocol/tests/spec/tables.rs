//! The tables of SPEC.md: those that are generated, and those of fields and tags, which people
//! write and this file checks.

use super::read;
use madang_protocol::client::*;
use madang_protocol::ids::*;
use madang_protocol::limits::*;
use madang_protocol::server::*;
use madang_protocol::state::*;
use madang_protocol::value::*;
use madang_protocol::{ClientMessage, CloseCode, ErrorCode, ServerMessage, codec, json};
use serde::de::{IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt::Write as _;

pub(crate) fn close_codes() -> String {
    let mut table = "| code | name | session | meaning |\n|---|---|---|---|\n".to_owned();
    for CloseCode { code, name, resumable, meaning } in CloseCode::ALL {
        let session = if *resumable { "resumable" } else { "terminal" };
        writeln!(table, "| {code} | `{name}` | {session} | {meaning} |").unwrap();
    }
    table
}

pub(crate) fn error_codes() -> String {
    let mut table = "| code | name | meaning |\n|---|---|---|\n".to_owned();
    for (code, name, meaning) in ErrorCode::ALL {
        writeln!(table, "| {} | `{name}` | {meaning} |", code.0).unwrap();
    }
    table
}

pub(crate) fn bounds() -> String {
    let rows = [
        ("Integers", format!("at most {INTEGER_MAX}")),
        (
            "WebSocket messages that any server may be set to accept or send",
            format!("{MESSAGE_BYTES_CAP} bytes"),
        ),
        (
            "Room names",
            format!("1 to {ROOM_NAME_BYTES_MAX} bytes of ASCII letters, digits and `-._~:@`"),
        ),
        ("Type names", format!("1 to {TYPE_BYTES_MAX} bytes without control characters")),
        ("Type names that a room numbers", format!("{TYPES_PER_ROOM_MAX}")),
        ("Names of attributes and labels", format!("1 to {NAME_BYTES_MAX} bytes")),
        ("Label values", format!("{LABEL_VALUE_BYTES_MAX} bytes")),
        ("Labels of a room", format!("{LABELS_MAX}")),
        ("Names of users", format!("1 to {USER_BYTES_MAX} bytes")),
        ("Bans", format!("1 to {BAN_SECONDS_MAX} seconds")),
        ("Changes in one `edit`", format!("{EDITS_MAX}")),
        ("Kinds of a schema", format!("1 to {KINDS_MAX}")),
        ("Fields of a kind", format!("{FIELDS_MAX}")),
        ("Elements of a list in a state", format!("{LIST_MAX}")),
        ("Arrays and objects inside each other in a `json` payload", format!("{JSON_DEPTH_MAX}")),
    ];
    let mut table = "| what | bound |\n|---|---|\n".to_owned();
    for (what, bound) in rows {
        writeln!(table, "| {what} | {bound} |").unwrap();
    }
    table
}

#[test]
fn names_are_as_the_page_says() {
    assert!(is_room_name("aZ09-._~:@") && is_room_name(&"a".repeat(128)));
    for name in ["", "a/b", "a b", "방", &"a".repeat(129)] {
        assert!(!is_room_name(name), "{name:?}");
    }
    assert!(is_type_name("움직임") && is_type_name(&"a".repeat(64)));
    for name in ["", "a\nb", &"a".repeat(65)] {
        assert!(!is_type_name(name), "{name:?}");
    }
}

/// Keys of a JSON object in the order they are written, which is the order of the fields.
struct Keys(Vec<String>);

impl<'de> Deserialize<'de> for Keys {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct KeysVisitor;
        impl<'de> Visitor<'de> for KeysVisitor {
            type Value = Keys;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Keys, A::Error> {
                let mut keys = Vec::new();
                while let Some((key, IgnoredAny)) = map.next_entry()? {
                    keys.push(key);
                }
                Ok(Keys(keys))
            }
        }
        deserializer.deserialize_map(KeysVisitor)
    }
}

fn keys(text: &str) -> Vec<String> {
    serde_json::from_str::<Keys>(text).unwrap_or_else(|e| panic!("{text}: {e}")).0
}

/// The message's name and its fields.
fn message(text: &[u8]) -> (String, Vec<String>) {
    let fields: BTreeMap<String, Keys> = serde_json::from_slice(text).unwrap();
    fields.into_iter().map(|(name, Keys(fields))| (name, fields)).next().unwrap()
}

/// The first column of the table of fields under each heading that has one.
fn tables_of_fields(spec: &str) -> BTreeMap<String, Vec<String>> {
    let mut tables: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let (mut heading, mut inside) = (String::new(), false);
    for line in spec.lines() {
        if line.starts_with('#') {
            line.trim_start_matches('#').trim().clone_into(&mut heading);
        }
        inside = line.starts_with("| field | type |") || (inside && line.starts_with('|'));
        if inside && line.starts_with("| `") {
            let field = line.split('`').nth(1).unwrap().to_owned();
            tables.entry(heading.clone()).or_default().push(field);
        }
    }
    tables
}

fn to_json(value: &impl Serialize) -> String {
    serde_json::to_string(value).unwrap()
}

fn structures() -> BTreeMap<String, Vec<String>> {
    let epoch = Epoch::default();
    let member = MemberInfo { id: MemberId(1), user: None, away: false, attributes: Vec::new() };
    let texts = [
        ("Resume", to_json(&Resume { key: ResumeKey::default(), rooms: Vec::new() })),
        ("RoomPosition", to_json(&RoomPosition { channel: Channel(1), epoch, seq: Seq(1) })),
        ("Position", to_json(&Position { epoch, seq: Seq(1) })),
        ("JoinOptions", to_json(&JoinOptions::default())),
        ("CreateOptions", to_json(&CreateOptions::default())),
        ("MemberInfo", to_json(&member)),
        ("Limits", to_json(&limits())),
        ("ClassCounts", to_json(&ClassCounts::default())),
    ];
    texts.into_iter().map(|(name, text)| (name.to_owned(), keys(&text))).collect()
}

fn limits() -> Limits {
    Limits {
        message_bytes_max: 1,
        batch_bytes_max: 1,
        rooms_max: 1,
        history_messages_max: 1,
        attributes_bytes_max: 1,
        messages_per_second: 1,
    }
}

const EMPTY: Payload<'static> = Payload::Text(Cow::Borrowed(""));
const TYPE: TypeRef<'static> = TypeRef::Id(0);
const CHANNEL: Channel = Channel(1);

/// One of each message from a client, in the order of their tags.
fn client_messages() -> Vec<ClientMessage<'static>> {
    let (cseq, r#type, payload) = (Cseq(1), TYPE, EMPTY);
    vec![
        ClientMessage::Hello(Hello::default()),
        ClientMessage::Join(Join {
            r#ref: 1,
            target: JoinTarget::Name(String::new()),
            mode: JoinMode::Either,
            options: JoinOptions::default(),
            since: None,
            history: 0,
            ext: Vec::new(),
        }),
        ClientMessage::Leave(Leave { channel: CHANNEL }),
        ClientMessage::Publish(Publish {
            channel: CHANNEL,
            cseq,
            class: Class::Reliable,
            r#type: r#type.clone(),
            payload: payload.clone(),
        }),
        ClientMessage::Direct(Direct {
            channel: CHANNEL,
            cseq,
            to: MemberId(1),
            r#type: r#type.clone(),
            payload: payload.clone(),
        }),
        ClientMessage::Request(Request { channel: CHANNEL, cseq, r#type, payload }),
        ClientMessage::SetAttributes(SetAttributes {
            channel: CHANNEL,
            cseq,
            attributes: Vec::new(),
        }),
        ClientMessage::Ping(Ping { id: 1 }),
        ClientMessage::GetStats(GetStats { r#ref: 1 }),
        ClientMessage::Resync(Resync { channel: CHANNEL, part: Part::Members, tick: 1, hash: 1 }),
        ClientMessage::Edit(Edit { channel: CHANNEL, cseq, edits: Vec::new() }),
        ClientMessage::Renew(Renew { r#ref: 1, token: Token::default() }),
        ClientMessage::Manage(Manage { channel: CHANNEL, cseq, action: ManageAction::Close }),
    ]
}

/// One of each message from the server, in the order of their tags.
fn server_messages() -> Vec<ServerMessage<'static>> {
    let (channel, seq, cseq, from) = (CHANNEL, Seq(1), Cseq(1), MemberId(1));
    let counts = ClassCounts::default();
    vec![
        ServerMessage::Welcome(super::example::welcome()),
        ServerMessage::Joined(super::example::joined()),
        ServerMessage::Left(Left { channel, reason: LeaveReason::Left }),
        ServerMessage::Message(Message {
            channel,
            seq,
            from,
            at: 1,
            cseq,
            r#type: TYPE,
            payload: EMPTY,
        }),
        ServerMessage::Ephemeral(Ephemeral {
            channel,
            from,
            key: None,
            r#type: TYPE,
            payload: EMPTY,
        }),
        ServerMessage::Direct(DirectMessage {
            channel,
            seq,
            from,
            at: 1,
            r#type: TYPE,
            payload: EMPTY,
        }),
        ServerMessage::Presence(Presence { channel, seq, event: PresenceEvent::Away(from) }),
        ServerMessage::PresenceCount(PresenceCount { channel, count: 1 }),
        ServerMessage::Ack(Ack { channel, cseq, seq: None, durability: Durability::Sequenced }),
        ServerMessage::Reply(Reply { channel, cseq, payload: EMPTY }),
        ServerMessage::Gap(Gap { channel, from_seq: seq, to_seq: seq }),
        ServerMessage::Pong(Pong { id: 1, server_time_us: 1 }),
        ServerMessage::Stats(Stats {
            r#ref: 1,
            reliable: counts,
            latest: counts,
            volatile: counts,
            control: counts,
            queued_messages: 0,
            queued_bytes: 0,
            resumes: 0,
            state: counts,
        }),
        ServerMessage::Error(ErrorMessage {
            code: ErrorCode::INVALID,
            r#ref: ErrorRef::Session,
            message: String::new(),
        }),
        ServerMessage::Draining(Draining { retry_after_ms: 1 }),
        ServerMessage::Redirect(Redirect { url: String::new() }),
        ServerMessage::Moved(Moved { channel, epoch: Epoch::default() }),
        ServerMessage::Types(Types { channel, first: 0, names: Vec::new() }),
    ]
    .into_iter()
    .chain(messages_of_state())
    .collect()
}

fn messages_of_state() -> Vec<ServerMessage<'static>> {
    let (channel, part, seq, cseq, tick, hash) = (CHANNEL, Part::Owner, Seq(1), Cseq(1), 2, 1);
    let bytes = Cow::Borrowed(&b""[..]);
    vec![
        ServerMessage::Snapshot(Snapshot { channel, part, tick, seq, hash, state: bytes.clone() }),
        ServerMessage::Delta(Delta {
            channel,
            part,
            base_tick: 1,
            tick,
            seq,
            hash,
            changes: bytes,
        }),
        ServerMessage::InputAck(InputAck { channel, tick, cseq }),
        ServerMessage::PartGone(PartGone { channel, part }),
        ServerMessage::Edited(Edited {
            channel,
            cseq,
            tick,
            created: Vec::new(),
            refused: Vec::new(),
        }),
        ServerMessage::Expiring(Expiring { close_ms: 1 }),
        ServerMessage::Renewed(Renewed { r#ref: 1, expires_ms: None }),
    ]
}

#[test]
fn the_tables_of_fields_are_those_of_the_types() {
    let mut wanted = structures();
    for message_of_client in client_messages() {
        let (mut bytes, mut text) = (Vec::new(), Vec::new());
        codec::encode_client(&message_of_client, &mut bytes);
        json::encode_client(&message_of_client, &mut text);
        let tag = codec::split_batch(&bytes).next().unwrap().unwrap()[0];
        let (name, fields) = message(&text);
        wanted.insert(format!("Client tag {tag}: `{name}`"), fields);
    }
    for message_of_server in server_messages() {
        let (mut bytes, mut text) = (Vec::new(), Vec::new());
        codec::encode_server(&message_of_server, &mut bytes);
        json::encode_server(&message_of_server, &mut text);
        let tag = codec::split_batch(&bytes).next().unwrap().unwrap()[0];
        let (name, fields) = message(&text);
        wanted.insert(format!("Server tag {tag}: `{name}`"), fields);
    }
    assert_eq!(wanted.len(), 8 + 13 + 25);
    assert_eq!(tables_of_fields(&read()), wanted);
}

/// Tag, and name with the fields that follow it in JSON (empty where nothing or one unnamed thing
/// does), for each variant of an enumeration that is written the plain way.
fn variants<T: Serialize>(all: &[T]) -> Vec<(u8, String, Vec<String>)> {
    let plain = |value: &T| -> (String, Vec<String>) {
        let text = to_json(value);
        if let Ok(name) = serde_json::from_str::<String>(&text) {
            return (name, Vec::new());
        }
        let object: BTreeMap<String, Box<serde_json::value::RawValue>> =
            serde_json::from_str(&text).unwrap();
        let (name, inner) = object.into_iter().next().unwrap();
        (name, if inner.get().starts_with('{') { keys(inner.get()) } else { Vec::new() })
    };
    let number = |index| u8::try_from(index).unwrap();
    all.iter()
        .enumerate()
        .map(|(index, value)| {
            let (name, fields) = plain(value);
            (number(index), name, fields)
        })
        .collect()
}

/// The rows of the table of enumerations: enumeration, tag, name, names of fields that follow.
fn rows_of_enumerations(spec: &str) -> BTreeMap<String, Vec<(u8, String, Vec<String>)>> {
    let mut rows: BTreeMap<String, Vec<(u8, String, Vec<String>)>> = BTreeMap::new();
    let table = spec.split("| enumeration | tag |").nth(1).expect("the table of enumerations");
    for line in table.lines().skip(2).take_while(|line| line.starts_with('|')) {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let name = cells[3].trim_matches('`').to_owned();
        let fields = cells[4].strip_prefix("fields").map_or(Vec::new(), |fields| {
            let quoted = fields.split('`').skip(1).step_by(2);
            quoted.map(|field| field.split(':').next().unwrap().to_owned()).collect()
        });
        let tag = cells[2].parse().unwrap();
        rows.entry(cells[1].trim_matches('`').to_owned()).or_default().push((tag, name, fields));
    }
    rows
}

#[test]
fn the_table_of_enumerations_is_that_of_the_types() {
    let found = rows_of_enumerations(&read());
    let check = |name: &str, wanted: Vec<(u8, String, Vec<String>)>| {
        assert_eq!(found.get(name), Some(&wanted), "{name}");
    };
    let matched = JoinTarget::Match { kind: String::new(), filter: Vec::new() };
    check("JoinTarget", variants(&[JoinTarget::Name(String::new()), matched]));
    check("JoinMode", variants(&[JoinMode::Create, JoinMode::Join, JoinMode::Either]));
    let modes = [PresenceMode::Full, PresenceMode::Count, PresenceMode::None];
    check("PresenceMode", variants(&modes));
    check("Class", variants(&[Class::Reliable, Class::Latest(1), Class::Volatile]));
    check("Roster", variants(&[Roster::Full(Vec::new()), Roster::Count(1), Roster::None]));
    let reasons = [
        LeaveReason::Left,
        LeaveReason::Gone,
        LeaveReason::Kicked,
        LeaveReason::Closed,
        LeaveReason::Lost,
        LeaveReason::Failed,
    ];
    check("LeaveReason", variants(&reasons));
    check("Durability", variants(&[Durability::Sequenced, Durability::Durable]));
    let about = ErrorRef::Cseq { channel: CHANNEL, cseq: Cseq(1) };
    check("ErrorRef", variants(&[ErrorRef::Session, ErrorRef::Join(1), about]));
    let id = MemberId(1);
    let events = [
        PresenceEvent::Leave { id, reason: LeaveReason::Left },
        PresenceEvent::Away(id),
        PresenceEvent::Back(id),
        PresenceEvent::Attributes { id, cseq: Cseq(1), changes: Vec::new() },
        PresenceEvent::Collapsed { count: 1 },
    ];
    // A joining member is a structure of its own, not fields of the event.
    let mut wanted = vec![(0, "join".to_owned(), Vec::new())];
    wanted.extend(variants(&events).into_iter().map(|(tag, name, fields)| (tag + 1, name, fields)));
    check("PresenceEvent", wanted);
    let actions = [
        ManageAction::Kick { member: id },
        ManageAction::Ban { user: String::new(), seconds: 1 },
        ManageAction::Unban { user: String::new() },
        ManageAction::Close,
    ];
    check("ManageAction", variants(&actions));
}

#[test]
fn the_table_of_enumerations_of_state_is_that_of_the_types() {
    let found = rows_of_enumerations(&read());
    let check = |name: &str, wanted: Vec<(u8, String, Vec<String>)>| {
        assert_eq!(found.get(name), Some(&wanted), "{name}");
    };
    check("Part", variants(&parts()));
    check("EntityRef", variants(&[EntityRef::Id(1), EntityRef::Temp(1)]));
    check("StateEdit", variants(&state_edits()));
    // What follows is another enumeration, not fields.
    check("FieldValue", vec![(0, "one".into(), Vec::new()), (1, "list".into(), Vec::new())]);
    check("ScalarValue", variants(&scalars()));
    let refusals = [
        EditRefusal::Unknown,
        EditRefusal::Invalid,
        EditRefusal::NotOwner,
        EditRefusal::Changed,
        EditRefusal::Full,
        EditRefusal::NoSuchMember,
    ];
    check("EditRefusal", variants(&refusals));
}

fn parts() -> [Part; 5] {
    [Part::Members, Part::Team(1), Part::Owner, Part::Cell(1), Part::Spectators]
}

fn state_edits() -> [StateEdit; 4] {
    let entity = EntityRef::Id(1);
    [
        StateEdit::Create { temp: 1, kind: 1, fields: Vec::new() },
        StateEdit::Set { entity, field: 1, value: None, if_version: None },
        StateEdit::Remove { entity },
        StateEdit::Give { entity, to: MemberId(1) },
    ]
}

fn scalars() -> [ScalarValue; 8] {
    [
        ScalarValue::Bool(true),
        ScalarValue::Int(1),
        ScalarValue::Uint(1),
        ScalarValue::Number(1.0),
        ScalarValue::Text(String::new()),
        ScalarValue::Bytes(Vec::new()),
        ScalarValue::Vec2([1.0; 2]),
        ScalarValue::Vec3([1.0; 3]),
    ]
}

#[test]
fn the_tags_of_enumerations_of_state_are_those_on_the_wire() {
    let byte_at = |message: ClientMessage<'_>, offset: usize| {
        let mut bytes = Vec::new();
        codec::encode_client(&message, &mut bytes);
        usize::from(codec::split_batch(&bytes).next().unwrap().unwrap()[offset])
    };
    let edit =
        |edit| ClientMessage::Edit(Edit { channel: CHANNEL, cseq: Cseq(1), edits: vec![edit] });
    for (tag, part) in parts().into_iter().enumerate() {
        let resync = ClientMessage::Resync(Resync { channel: CHANNEL, part, tick: 1, hash: 1 });
        assert_eq!(byte_at(resync, 2), tag);
    }
    for (tag, state_edit) in state_edits().into_iter().enumerate() {
        assert_eq!(byte_at(edit(state_edit), 4), tag);
    }
    for (tag, entity) in [EntityRef::Id(9), EntityRef::Temp(9)].into_iter().enumerate() {
        assert_eq!(byte_at(edit(StateEdit::Remove { entity }), 5), tag);
    }
    let set = |value| {
        let entity = EntityRef::Id(1);
        edit(StateEdit::Set { entity, field: 1, value: Some(value), if_version: None })
    };
    let values = [FieldValue::One(ScalarValue::Bool(true)), FieldValue::List(Vec::new())];
    for (tag, value) in values.into_iter().enumerate() {
        assert_eq!(byte_at(set(value), 9), tag);
    }
    for (tag, scalar) in scalars().into_iter().enumerate() {
        assert_eq!(byte_at(set(FieldValue::One(scalar)), 10), tag);
    }
}

/// The tag that each variant of each enumeration has in bytes, found by decoding the row's tag.
#[test]
fn the_tags_of_enumerations_are_those_on_the_wire() {
    let tag_at = |message: ClientMessage<'_>, offset: usize| {
        let mut bytes = Vec::new();
        codec::encode_client(&message, &mut bytes);
        codec::split_batch(&bytes).next().unwrap().unwrap()[offset]
    };
    let publish = |class, r#type, payload| {
        ClientMessage::Publish(Publish { channel: CHANNEL, cseq: Cseq(1), class, r#type, payload })
    };
    for (tag, class) in [(0, Class::Reliable), (1, Class::Latest(9)), (2, Class::Volatile)] {
        assert_eq!(tag_at(publish(class, TYPE, EMPTY), 3), tag);
    }
    let name = TypeRef::Name(Cow::Borrowed("x"));
    for (tag, r#type) in [(0, TYPE), (1, name)] {
        assert_eq!(tag_at(publish(Class::Reliable, r#type, EMPTY), 4), tag);
    }
    let payloads = [
        Payload::Bytes(Cow::Borrowed(b"")),
        Payload::Text(Cow::Borrowed("")),
        Payload::Json(Cow::Borrowed("1")),
    ];
    for (tag, payload) in payloads.into_iter().enumerate() {
        assert_eq!(usize::from(tag_at(publish(Class::Reliable, TYPE, payload), 6)), tag);
    }
    let values = [
        Value::Null,
        Value::Bool(true),
        Value::Int(1),
        Value::Float(1.0),
        Value::Text(String::new()),
        Value::Bytes(Vec::new()),
    ];
    for (tag, value) in values.into_iter().enumerate() {
        let attributes = vec![(String::new(), value)];
        let set = SetAttributes { channel: CHANNEL, cseq: Cseq(1), attributes };
        assert_eq!(usize::from(tag_at(ClientMessage::SetAttributes(set), 5)), tag);
    }
}
