//! Arbitrary messages: every variant, every field, integers near each change of width. Boxed:
//! the value trees of so many fields are too large for the stack of a test's thread.

use super::state_strategies;
use madang_protocol::client::*;
use madang_protocol::ids::*;
use madang_protocol::limits::Limits;
use madang_protocol::server::*;
use madang_protocol::value::*;
use madang_protocol::{ClientMessage, ErrorCode, ServerMessage};
use proptest::collection::vec;
use proptest::option::of;
use proptest::prelude::*;
use std::borrow::Cow;

/// Integers of the wire, each width as likely as the others.
pub(crate) fn integer() -> impl Strategy<Value = u64> {
    prop_oneof![
        0_u64..=250,
        245_u64..=260,
        65_530_u64..=65_540,
        Just(u64::from(u32::MAX)),
        0_u64..=INTEGER_MAX,
        Just(INTEGER_MAX),
    ]
}

pub(crate) fn small() -> impl Strategy<Value = u32> {
    integer().prop_map(|value| value as u32)
}

pub(crate) fn text() -> impl Strategy<Value = String> {
    prop_oneof![".{0,12}", "[a-z]{245,260}", any::<String>()]
}

pub(crate) fn bytes() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![vec(any::<u8>(), 0..12), vec(any::<u8>(), 245..260)]
}

fn strings() -> impl Strategy<Value = Vec<String>> {
    vec(text(), 0..4)
}

fn labels() -> impl Strategy<Value = Vec<(String, String)>> {
    vec((text(), text()), 0..4)
}

pub(crate) fn channel() -> impl Strategy<Value = Channel> {
    small().prop_map(Channel)
}

pub(crate) fn member_id() -> impl Strategy<Value = MemberId> {
    small().prop_map(MemberId)
}

pub(crate) fn seq() -> impl Strategy<Value = Seq> {
    integer().prop_map(Seq)
}

pub(crate) fn cseq() -> impl Strategy<Value = Cseq> {
    integer().prop_map(Cseq)
}

fn epoch() -> impl Strategy<Value = Epoch> {
    any::<[u8; 8]>().prop_map(Epoch)
}

fn key() -> impl Strategy<Value = ResumeKey> {
    (any::<u16>(), any::<u16>(), any::<u32>(), any::<[u8; 16]>())
        .prop_map(|(node, shard, slot, secret)| ResumeKey::from_parts(node, shard, slot, secret))
}

fn extensions() -> impl Strategy<Value = Vec<Extension>> {
    vec((any::<u16>(), bytes()).prop_map(|(number, bytes)| Extension(number, bytes)), 0..3)
}

/// Finite doubles: of any bits, and of few digits.
pub(crate) fn float() -> impl Strategy<Value = f64> {
    prop_oneof![
        any::<u64>().prop_map(f64::from_bits).prop_filter("finite", |f| f.is_finite()),
        any::<f32>().prop_filter("finite", |f| f.is_finite()).prop_map(f64::from),
    ]
}

fn value() -> BoxedStrategy<Value> {
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        integer().prop_map(|value| Value::Int(value as i64)),
        integer().prop_map(|value| Value::Int(-(value as i64))),
        float().prop_map(Value::Float),
        text().prop_map(Value::Text),
        bytes().prop_map(Value::Bytes),
    ]
    .boxed()
}

fn attributes() -> impl Strategy<Value = Vec<(String, Value)>> {
    vec((text(), value()), 0..5)
}

/// JSON texts without white space around them, which the JSON twin does not keep.
fn json_text() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("null".to_owned()),
        any::<bool>().prop_map(|value| value.to_string()),
        any::<i64>().prop_map(|value| value.to_string()),
        Just("1.50e+3".to_owned()),
        text().prop_map(|text| serde_json::to_string(&text).unwrap()),
    ];
    leaf.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(|items| format!("[{}]", items.join(" , "))),
            vec((text(), inner), 0..4).prop_map(|entries| {
                let entry =
                    |(name, json)| format!("{}:{json}", serde_json::to_string(&name).unwrap());
                let entries: Vec<String> = entries
                    .into_iter()
                    .map(|(name, json): (String, String)| entry((name, json)))
                    .collect();
                format!("{{{}}}", entries.join(","))
            }),
        ]
    })
}

fn payload() -> BoxedStrategy<Payload<'static>> {
    prop_oneof![
        bytes().prop_map(|bytes| Payload::Bytes(Cow::Owned(bytes))),
        text().prop_map(|text| Payload::Text(Cow::Owned(text))),
        json_text().prop_map(|json| Payload::Json(Cow::Owned(json))),
    ]
    .boxed()
}

fn type_ref() -> impl Strategy<Value = TypeRef<'static>> {
    prop_oneof![
        small().prop_map(TypeRef::Id),
        text().prop_map(|name| TypeRef::Name(Cow::Owned(name))),
    ]
}

fn presence_mode() -> impl Strategy<Value = PresenceMode> {
    prop_oneof![Just(PresenceMode::Full), Just(PresenceMode::Count), Just(PresenceMode::None)]
}

fn leave_reason() -> impl Strategy<Value = LeaveReason> {
    prop_oneof![
        Just(LeaveReason::Left),
        Just(LeaveReason::Gone),
        Just(LeaveReason::Kicked),
        Just(LeaveReason::Closed),
        Just(LeaveReason::Lost),
        Just(LeaveReason::Failed),
    ]
}

fn hello() -> BoxedStrategy<Hello> {
    let position = (channel(), epoch(), seq()).prop_map(|(channel, epoch, seq)| RoomPosition {
        channel,
        epoch,
        seq,
    });
    let resume = (key(), vec(position, 0..4)).prop_map(|(key, rooms)| Resume { key, rooms });
    (any::<u16>(), any::<u16>(), strings(), text(), of(text()), of(resume), extensions())
        .prop_map(|(version_min, version_max, features, client, token, resume, ext)| Hello {
            version_min,
            version_max,
            features,
            client,
            token: token.map(Token::from),
            resume,
            ext,
        })
        .boxed()
}

fn join() -> BoxedStrategy<Join> {
    let target = prop_oneof![
        text().prop_map(JoinTarget::Name),
        (text(), labels()).prop_map(|(kind, filter)| JoinTarget::Match { kind, filter }),
    ];
    let mode = prop_oneof![Just(JoinMode::Create), Just(JoinMode::Join), Just(JoinMode::Either)];
    let create = (of(small()), of(presence_mode()), of(any::<bool>()), labels()).prop_map(
        |(capacity, presence, public, labels)| CreateOptions { capacity, presence, public, labels },
    );
    let options = (attributes(), any::<bool>(), of(create))
        .prop_map(|(attributes, echo, create)| JoinOptions { attributes, echo, create });
    let since = (epoch(), seq()).prop_map(|(epoch, seq)| Position { epoch, seq });
    (small(), target, mode, options, of(since), small(), extensions())
        .prop_map(|(r#ref, target, mode, options, since, history, ext)| Join {
            r#ref,
            target,
            mode,
            options,
            since,
            history,
            ext,
        })
        .boxed()
}

/// Any message from a client.
pub(crate) fn client() -> BoxedStrategy<ClientMessage<'static>> {
    let class =
        prop_oneof![Just(Class::Reliable), small().prop_map(Class::Latest), Just(Class::Volatile),];
    let publish = (channel(), cseq(), class, type_ref(), payload()).prop_map(
        |(channel, cseq, class, r#type, payload)| Publish { channel, cseq, class, r#type, payload },
    );
    let direct = (channel(), cseq(), member_id(), type_ref(), payload()).prop_map(
        |(channel, cseq, to, r#type, payload)| Direct { channel, cseq, to, r#type, payload },
    );
    let request = (channel(), cseq(), type_ref(), payload())
        .prop_map(|(channel, cseq, r#type, payload)| Request { channel, cseq, r#type, payload });
    let set = (channel(), cseq(), attributes())
        .prop_map(|(channel, cseq, attributes)| SetAttributes { channel, cseq, attributes });
    prop_oneof![
        1 => hello().prop_map(ClientMessage::Hello),
        1 => join().prop_map(ClientMessage::Join),
        1 => channel().prop_map(|channel| ClientMessage::Leave(Leave { channel })),
        1 => publish.prop_map(ClientMessage::Publish),
        1 => direct.prop_map(ClientMessage::Direct),
        1 => request.prop_map(ClientMessage::Request),
        1 => set.prop_map(ClientMessage::SetAttributes),
        1 => integer().prop_map(|id| ClientMessage::Ping(Ping { id })),
        1 => small().prop_map(|r#ref| ClientMessage::GetStats(GetStats { r#ref })),
        3 => state_strategies::from_client(),
        1 => (small(), text())
            .prop_map(|(r#ref, text)| Renew { r#ref, token: text.into() })
            .prop_map(ClientMessage::Renew),
        1 => manage().prop_map(ClientMessage::Manage),
    ]
    .boxed()
}

fn manage() -> BoxedStrategy<Manage> {
    let action = prop_oneof![
        member_id().prop_map(|member| ManageAction::Kick { member }),
        (text(), small()).prop_map(|(user, seconds)| ManageAction::Ban { user, seconds }),
        text().prop_map(|user| ManageAction::Unban { user }),
        Just(ManageAction::Close),
    ];
    (channel(), cseq(), action)
        .prop_map(|(channel, cseq, action)| Manage { channel, cseq, action })
        .boxed()
}

fn member() -> BoxedStrategy<MemberInfo> {
    (member_id(), of(text()), any::<bool>(), attributes())
        .prop_map(|(id, user, away, attributes)| MemberInfo { id, user, away, attributes })
        .boxed()
}

fn welcome() -> BoxedStrategy<Welcome> {
    let limits = (small(), small(), small(), small(), small(), small()).prop_map(|limits| Limits {
        message_bytes_max: limits.0,
        batch_bytes_max: limits.1,
        rooms_max: limits.2,
        history_messages_max: limits.3,
        attributes_bytes_max: limits.4,
        messages_per_second: limits.5,
    });
    let ids = (any::<[u8; 16]>(), integer(), key());
    let times = (small(), small(), integer());
    (any::<u16>(), strings(), ids, any::<bool>(), times, limits, extensions())
        .prop_map(
            |(
                version,
                features,
                (session, connection, resume_key),
                resumed,
                times,
                limits,
                ext,
            )| Welcome {
                version,
                features,
                session: SessionId(session),
                connection: ConnectionId(connection),
                resume_key,
                resumed,
                heartbeat_ms: times.0,
                grace_ms: times.1,
                limits,
                server_time_ms: times.2,
                ext,
            },
        )
        .boxed()
}

fn joined() -> BoxedStrategy<Joined> {
    let roster = prop_oneof![
        vec(member(), 0..4).prop_map(Roster::Full),
        small().prop_map(Roster::Count),
        Just(Roster::None),
    ];
    let room = (of(small()), channel(), text(), text(), epoch(), integer(), seq());
    let place = (any::<bool>(), small(), member_id(), cseq());
    let rest = (presence_mode(), roster, strings(), small(), labels(), extensions());
    (room, place, rest)
        .prop_map(|(room, place, rest)| Joined {
            r#ref: room.0,
            channel: room.1,
            name: room.2,
            kind: room.3,
            epoch: room.4,
            epoch_at_ms: room.5,
            seq: room.6,
            recovered: place.0,
            replay: place.1,
            member: place.2,
            applied_cseq: place.3,
            presence: rest.0,
            roster: rest.1,
            types: rest.2,
            capacity: rest.3,
            labels: rest.4,
            ext: rest.5,
        })
        .boxed()
}

fn in_rooms() -> BoxedStrategy<ServerMessage<'static>> {
    let message = (channel(), seq(), member_id(), integer(), cseq(), type_ref(), payload())
        .prop_map(|(channel, seq, from, at, cseq, r#type, payload)| Message {
            channel,
            seq,
            from,
            at,
            cseq,
            r#type,
            payload,
        });
    let ephemeral = (channel(), member_id(), of(small()), type_ref(), payload()).prop_map(
        |(channel, from, key, r#type, payload)| Ephemeral { channel, from, key, r#type, payload },
    );
    let direct = (channel(), seq(), member_id(), integer(), type_ref(), payload()).prop_map(
        |(channel, seq, from, at, r#type, payload)| DirectMessage {
            channel,
            seq,
            from,
            at,
            r#type,
            payload,
        },
    );
    let event = prop_oneof![
        member().prop_map(PresenceEvent::Join),
        (member_id(), leave_reason()).prop_map(|(id, reason)| PresenceEvent::Leave { id, reason }),
        member_id().prop_map(PresenceEvent::Away),
        member_id().prop_map(PresenceEvent::Back),
        (member_id(), cseq(), attributes())
            .prop_map(|(id, cseq, changes)| PresenceEvent::Attributes { id, cseq, changes }),
        small().prop_map(|count| PresenceEvent::Collapsed { count }),
    ];
    let presence = (channel(), seq(), event).prop_map(|(channel, seq, event)| Presence {
        channel,
        seq,
        event,
    });
    prop_oneof![
        message.prop_map(ServerMessage::Message),
        ephemeral.prop_map(ServerMessage::Ephemeral),
        direct.prop_map(ServerMessage::Direct),
        presence.prop_map(ServerMessage::Presence),
        (channel(), small()).prop_map(|(channel, count)| ServerMessage::PresenceCount(
            PresenceCount { channel, count }
        )),
        (channel(), leave_reason())
            .prop_map(|(channel, reason)| ServerMessage::Left(Left { channel, reason })),
        (channel(), small(), strings()).prop_map(|(channel, first, names)| ServerMessage::Types(
            Types { channel, first, names }
        )),
        (channel(), seq(), seq()).prop_map(|(channel, from_seq, to_seq)| ServerMessage::Gap(Gap {
            channel,
            from_seq,
            to_seq
        })),
        (channel(), epoch())
            .prop_map(|(channel, epoch)| ServerMessage::Moved(Moved { channel, epoch })),
    ]
    .boxed()
}

fn answers() -> BoxedStrategy<ServerMessage<'static>> {
    let durability = prop_oneof![Just(Durability::Sequenced), Just(Durability::Durable)];
    let ack = (channel(), cseq(), of(seq()), durability)
        .prop_map(|(channel, cseq, seq, durability)| Ack { channel, cseq, seq, durability });
    let about = prop_oneof![
        Just(ErrorRef::Session),
        small().prop_map(ErrorRef::Join),
        (channel(), cseq()).prop_map(|(channel, cseq)| ErrorRef::Cseq { channel, cseq }),
    ];
    let error = (any::<u16>(), about, text()).prop_map(|(code, r#ref, message)| ErrorMessage {
        code: ErrorCode(code),
        r#ref,
        message,
    });
    let counts = || {
        (integer(), integer(), integer()).prop_map(|(sent, dropped, conflated)| ClassCounts {
            sent,
            dropped,
            conflated,
        })
    };
    let classes = [counts(), counts(), counts(), counts(), counts()];
    let stats = (small(), classes, small(), integer(), small()).prop_map(|all| Stats {
        r#ref: all.0,
        reliable: all.1[0],
        latest: all.1[1],
        volatile: all.1[2],
        control: all.1[3],
        queued_messages: all.2,
        queued_bytes: all.3,
        resumes: all.4,
        state: all.1[4],
    });
    prop_oneof![
        ack.prop_map(ServerMessage::Ack),
        (channel(), cseq(), payload()).prop_map(|(channel, cseq, payload)| ServerMessage::Reply(
            Reply { channel, cseq, payload }
        )),
        (integer(), integer())
            .prop_map(|(id, server_time_us)| ServerMessage::Pong(Pong { id, server_time_us })),
        stats.prop_map(ServerMessage::Stats),
        error.prop_map(ServerMessage::Error),
        small().prop_map(|retry_after_ms| ServerMessage::Draining(Draining { retry_after_ms })),
        text().prop_map(|url| ServerMessage::Redirect(Redirect { url })),
        small().prop_map(|close_ms| ServerMessage::Expiring(Expiring { close_ms })),
        (small(), of(integer()))
            .prop_map(|(r#ref, expires_ms)| Renewed { r#ref, expires_ms })
            .prop_map(ServerMessage::Renewed),
    ]
    .boxed()
}

/// Any message from the server.
pub(crate) fn server() -> BoxedStrategy<ServerMessage<'static>> {
    prop_oneof![
        1 => welcome().prop_map(ServerMessage::Welcome),
        2 => joined().prop_map(ServerMessage::Joined),
        9 => in_rooms(),
        9 => answers(),
        5 => state_strategies::from_server(),
    ]
    .boxed()
}
