//! Messages from the server: each message and each variant of each enum. Those about state stand in
//! `state_cases.rs`, but for the schema that `Joined` carries.

use super::{access_cases, state_cases};
use madang_protocol::client::PresenceMode;
use madang_protocol::ids::*;
use madang_protocol::limits::Limits;
use madang_protocol::server::*;
use madang_protocol::value::*;
use madang_protocol::{ErrorCode, ServerMessage};
use std::borrow::Cow;

type Case = (&'static str, ServerMessage<'static>);

pub(crate) fn all() -> Vec<Case> {
    let (state, access) = (state_cases::server(), access_cases::server());
    [sessions(), rooms(), messages(), presence(), answers(), clusters(), state, access].concat()
}

const EPOCH: Epoch = Epoch([0xe0, 0xe1, 0xe2, 0xe3, 0xe4, 0xe5, 0xe6, 0xe7]);

fn sessions() -> Vec<Case> {
    let welcome = Welcome {
        version: 1,
        features: Vec::new(),
        session: SessionId(*b"session-identity"),
        connection: ConnectionId(12),
        resume_key: ResumeKey::from_parts(0, 1, 2, *b"sixteen secret b"),
        resumed: false,
        heartbeat_ms: 25_000,
        grace_ms: 60_000,
        limits: Limits {
            message_bytes_max: 65_536,
            batch_bytes_max: 262_144,
            rooms_max: 32,
            history_messages_max: 100,
            attributes_bytes_max: 4096,
            messages_per_second: 200,
        },
        server_time_ms: 1_800_000_000_000,
        ext: Vec::new(),
    };
    vec![
        ("welcome", ServerMessage::Welcome(welcome.clone())),
        (
            "welcome, resumed, everything",
            ServerMessage::Welcome(Welcome {
                features: vec!["one".into()],
                connection: ConnectionId(INTEGER_MAX),
                resumed: true,
                ext: vec![Extension(1, vec![0, 255])],
                ..welcome
            }),
        ),
        ("draining", ServerMessage::Draining(Draining { retry_after_ms: 2500 })),
        ("draining, no delay", ServerMessage::Draining(Draining { retry_after_ms: 0 })),
    ]
}

fn member(id: u32) -> MemberInfo {
    MemberInfo { id: MemberId(id), user: None, away: false, attributes: Vec::new() }
}

fn rooms() -> Vec<Case> {
    let joined = Joined {
        r#ref: Some(1),
        channel: Channel(3),
        name: "lobby".into(),
        kind: "relay".into(),
        epoch: EPOCH,
        epoch_at_ms: 1_799_999_000_000,
        seq: Seq(42),
        recovered: false,
        replay: 0,
        member: MemberId(5),
        applied_cseq: Cseq(0),
        presence: PresenceMode::None,
        roster: Roster::None,
        types: Vec::new(),
        capacity: 100,
        labels: Vec::new(),
        ext: Vec::new(),
    };
    let left = |reason| ServerMessage::Left(Left { channel: Channel(3), reason });
    vec![
        ("joined, roster none", ServerMessage::Joined(joined.clone())),
        (
            "joined, roster full, empty",
            ServerMessage::Joined(Joined {
                presence: PresenceMode::Full,
                roster: Roster::Full(Vec::new()),
                ..joined.clone()
            }),
        ),
        (
            "joined, a room with state",
            ServerMessage::Joined(Joined {
                kind: "shared".into(),
                ext: vec![Extension(EXT_SCHEMA, state_cases::SCHEMA.into())],
                ..joined.clone()
            }),
        ),
        (
            "joined, everything",
            ServerMessage::Joined(Joined {
                presence: PresenceMode::Full,
                roster: Roster::Full(vec![
                    member(1),
                    MemberInfo {
                        id: MemberId(5),
                        user: Some("user-5".into()),
                        away: true,
                        attributes: vec![("color".into(), Value::Text("#e33".into()))],
                    },
                ]),
                types: vec!["chat".into(), "움직임".into()],
                labels: vec![("map".into(), "dust".into())],
                ext: vec![Extension(2, vec![9])],
                ..joined.clone()
            }),
        ),
        (
            "joined after a resume, roster count",
            ServerMessage::Joined(Joined {
                r#ref: None,
                recovered: true,
                replay: 17,
                applied_cseq: Cseq(300),
                presence: PresenceMode::Count,
                roster: Roster::Count(10_000),
                ..joined
            }),
        ),
        ("left", left(LeaveReason::Left)),
        ("left, gone", left(LeaveReason::Gone)),
        ("left, kicked", left(LeaveReason::Kicked)),
        ("left, closed", left(LeaveReason::Closed)),
        ("left, lost", left(LeaveReason::Lost)),
        (
            "types",
            ServerMessage::Types(Types {
                channel: Channel(3),
                first: 2,
                names: vec!["move".into(), "emote".into()],
            }),
        ),
        (
            "gap",
            ServerMessage::Gap(Gap { channel: Channel(3), from_seq: Seq(43), to_seq: Seq(300) }),
        ),
    ]
}

fn messages() -> Vec<Case> {
    let name = |name: &'static str| TypeRef::Name(Cow::Borrowed(name));
    let message = Message {
        channel: Channel(3),
        seq: Seq(43),
        from: MemberId(5),
        at: 12_345,
        cseq: Cseq(7),
        r#type: name("chat"),
        payload: Payload::Text(Cow::Borrowed("안녕")),
    };
    let ephemeral = |key, r#type, payload| {
        ServerMessage::Ephemeral(Ephemeral {
            channel: Channel(3),
            from: MemberId(6),
            key,
            r#type,
            payload,
        })
    };
    let bytes = Payload::Bytes(Cow::Borrowed(&[0, 255]));
    vec![
        ("message, text, type by name", ServerMessage::Message(message.clone())),
        (
            "message, bytes, type by number",
            ServerMessage::Message(Message {
                r#type: TypeRef::Id(0),
                payload: bytes.clone(),
                ..message.clone()
            }),
        ),
        (
            "message from the room itself, json",
            ServerMessage::Message(Message {
                from: MemberId(0),
                cseq: Cseq(0),
                payload: Payload::Json(Cow::Borrowed(r#"{"x": 1.0}"#)),
                ..message.clone()
            }),
        ),
        (
            "message, widest integers",
            ServerMessage::Message(Message {
                channel: Channel(u32::MAX),
                seq: Seq(INTEGER_MAX),
                from: MemberId(u32::MAX),
                at: INTEGER_MAX,
                cseq: Cseq(INTEGER_MAX),
                r#type: TypeRef::Id(u32::MAX),
                payload: Payload::Bytes(Cow::Borrowed(&[])),
            }),
        ),
        ("ephemeral, latest", ephemeral(Some(2), TypeRef::Id(1), bytes.clone())),
        ("ephemeral, latest, key 0", ephemeral(Some(0), TypeRef::Id(1), bytes.clone())),
        ("ephemeral, volatile", ephemeral(None, name("typing"), bytes.clone())),
        (
            "direct",
            ServerMessage::Direct(DirectMessage {
                channel: Channel(3),
                seq: Seq(44),
                from: MemberId(6),
                at: 12_400,
                r#type: name("whisper"),
                payload: bytes,
            }),
        ),
    ]
}

fn presence() -> Vec<Case> {
    let event =
        |event| ServerMessage::Presence(Presence { channel: Channel(3), seq: Seq(45), event });
    let id = MemberId(6);
    vec![
        ("presence, join", event(PresenceEvent::Join(member(6)))),
        (
            "presence, join with user and attributes",
            event(PresenceEvent::Join(MemberInfo {
                user: Some("u".into()),
                attributes: vec![("ready".into(), Value::Bool(false))],
                ..member(6)
            })),
        ),
        ("presence, leave", event(PresenceEvent::Leave { id, reason: LeaveReason::Gone })),
        ("presence, away", event(PresenceEvent::Away(id))),
        ("presence, back", event(PresenceEvent::Back(id))),
        (
            "presence, attributes",
            event(PresenceEvent::Attributes {
                id,
                cseq: Cseq(11),
                changes: vec![("ready".into(), Value::Null), ("x".into(), Value::Float(0.25))],
            }),
        ),
        ("presence, collapsed", event(PresenceEvent::Collapsed { count: 257 })),
        (
            "presence count",
            ServerMessage::PresenceCount(PresenceCount { channel: Channel(3), count: 9999 }),
        ),
    ]
}

fn answers() -> Vec<Case> {
    let ack = |seq, durability| {
        ServerMessage::Ack(Ack { channel: Channel(3), cseq: Cseq(7), seq, durability })
    };
    let error = |code, r#ref| {
        let message = "What was wrong, and what to do.".into();
        ServerMessage::Error(ErrorMessage { code, r#ref, message })
    };
    let counts = |sent| ClassCounts { sent, dropped: 1, conflated: 2 };
    vec![
        ("ack, sequenced", ack(Some(Seq(43)), Durability::Sequenced)),
        ("ack, durable", ack(Some(Seq(43)), Durability::Durable)),
        ("ack of a repeat", ack(None, Durability::Sequenced)),
        (
            "reply",
            ServerMessage::Reply(Reply {
                channel: Channel(3),
                cseq: Cseq(10),
                payload: Payload::Json(Cow::Borrowed(r#"{"messages":[],"more":false}"#)),
            }),
        ),
        ("pong", ServerMessage::Pong(Pong { id: 1, server_time_us: 1_800_000_000_000_000 })),
        (
            "stats",
            ServerMessage::Stats(Stats {
                r#ref: 2,
                reliable: counts(70_000),
                latest: counts(INTEGER_MAX),
                volatile: counts(0),
                control: ClassCounts::default(),
                queued_messages: 3,
                queued_bytes: 300,
                resumes: 1,
                state: counts(5),
            }),
        ),
        ("error about the session", error(ErrorCode::DRAINING, ErrorRef::Session)),
        ("error about a join", error(ErrorCode::ROOM_FULL, ErrorRef::Join(1))),
        (
            "error about a publication",
            error(ErrorCode::NO_SUCH_MEMBER, ErrorRef::Cseq { channel: Channel(3), cseq: Cseq(8) }),
        ),
        ("error of an unknown code", error(ErrorCode(65_535), ErrorRef::Session)),
    ]
}

fn clusters() -> Vec<Case> {
    vec![
        ("redirect", ServerMessage::Redirect(Redirect { url: "wss://b.example/play".into() })),
        ("moved", ServerMessage::Moved(Moved { channel: Channel(3), epoch: EPOCH })),
    ]
}
