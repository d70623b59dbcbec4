//! Messages from clients: each message, each variant of each enum, each integer width. Those about
//! state stand in `state_cases.rs`.

use super::{access_cases, state_cases};
use madang_protocol::ClientMessage;
use madang_protocol::client::*;
use madang_protocol::ids::*;
use madang_protocol::value::*;
use std::borrow::Cow;

type Case = (&'static str, ClientMessage<'static>);

pub(crate) fn all() -> Vec<Case> {
    let (state, access) = (state_cases::client(), access_cases::client());
    [hellos(), joins(), publications(), requests(), attributes(), integers(), state, access]
        .concat()
}

fn hellos() -> Vec<Case> {
    let hello = Hello { version_min: 1, version_max: 1, ..Hello::default() };
    let key = ResumeKey::from_parts(1, 2, 3, *b"sixteen secret b");
    let room = |channel, seq| RoomPosition {
        channel: Channel(channel),
        epoch: Epoch([0xe0, 0xe1, 0xe2, 0xe3, 0xe4, 0xe5, 0xe6, 0xe7]),
        seq: Seq(seq),
    };
    let resume = |rooms| Some(Resume { key, rooms });
    vec![
        ("hello, least", ClientMessage::Hello(hello.clone())),
        ("hello, empty: every field at its default", ClientMessage::Hello(Hello::default())),
        (
            "hello, everything",
            ClientMessage::Hello(Hello {
                version_min: 1,
                version_max: 250,
                features: vec!["one".into(), "둘".into()],
                client: "madang-web/0.1.0".into(),
                token: Some("a token".into()),
                resume: resume(vec![room(1, 42), room(300, 70_000)]),
                ext: vec![Extension(0, Vec::new()), Extension(65_535, vec![1, 2, 3])],
            }),
        ),
        (
            "hello, resume without rooms, empty token",
            ClientMessage::Hello(Hello {
                token: Some(Token::default()),
                resume: resume(Vec::new()),
                ..hello.clone()
            }),
        ),
        (
            "hello, versions of two bytes",
            ClientMessage::Hello(Hello { version_min: 251, version_max: 65_535, ..hello }),
        ),
    ]
}

fn joins() -> Vec<Case> {
    let named = |name: &str| Join {
        r#ref: 1,
        target: JoinTarget::Name(name.into()),
        mode: JoinMode::Either,
        options: JoinOptions::default(),
        since: None,
        history: 0,
        ext: Vec::new(),
    };
    let matched = |filter| JoinTarget::Match { kind: "relay".into(), filter };
    let created = |presence| JoinOptions {
        create: Some(CreateOptions { presence, ..CreateOptions::default() }),
        ..JoinOptions::default()
    };
    vec![
        ("join by name", ClientMessage::Join(named("lobby"))),
        ("join, mode create", ClientMessage::Join(Join { mode: JoinMode::Create, ..named("a") })),
        ("join, mode join", ClientMessage::Join(Join { mode: JoinMode::Join, ..named("a") })),
        (
            "join by match, no filter",
            ClientMessage::Join(Join { target: matched(Vec::new()), ..named("") }),
        ),
        (
            "join by match, with filter",
            ClientMessage::Join(Join {
                r#ref: 4_294_967_295,
                target: matched(vec![
                    ("map".into(), "dust".into()),
                    ("mode".into(), String::new()),
                ]),
                ..named("")
            }),
        ),
        (
            "join with everything",
            ClientMessage::Join(Join {
                r#ref: 251,
                mode: JoinMode::Create,
                options: JoinOptions {
                    attributes: vec![
                        ("name".into(), Value::Text("하나".into())),
                        ("score".into(), Value::Int(-1)),
                    ],
                    echo: false,
                    create: Some(CreateOptions {
                        capacity: Some(10_000),
                        presence: Some(PresenceMode::Count),
                        public: Some(true),
                        labels: vec![("map".into(), "dust".into())],
                    }),
                },
                since: Some(Position { epoch: Epoch([255; 8]), seq: Seq(INTEGER_MAX) }),
                history: 100,
                ext: vec![Extension(7, vec![0xff])],
                ..named("a-b.c_d~e:f@g")
            }),
        ),
        (
            "join, create options absent",
            ClientMessage::Join(Join { options: created(None), ..named("a") }),
        ),
        (
            "join, presence full",
            ClientMessage::Join(Join { options: created(Some(PresenceMode::Full)), ..named("a") }),
        ),
        (
            "join, presence none",
            ClientMessage::Join(Join { options: created(Some(PresenceMode::None)), ..named("a") }),
        ),
    ]
}

fn publish(
    class: Class,
    r#type: TypeRef<'static>,
    payload: Payload<'static>,
) -> ClientMessage<'static> {
    ClientMessage::Publish(Publish { channel: Channel(3), cseq: Cseq(7), class, r#type, payload })
}

fn bytes(content: &'static [u8]) -> Payload<'static> {
    Payload::Bytes(Cow::Borrowed(content))
}

fn text(content: impl Into<Cow<'static, str>>) -> Payload<'static> {
    Payload::Text(content.into())
}

fn name(name: &'static str) -> TypeRef<'static> {
    TypeRef::Name(Cow::Borrowed(name))
}

fn publications() -> Vec<Case> {
    let reliable = |payload| publish(Class::Reliable, name("chat"), payload);
    vec![
        ("publish reliable bytes", reliable(bytes(&[0, 127, 128, 255]))),
        ("publish latest by number", publish(Class::Latest(2), TypeRef::Id(0), bytes(&[1]))),
        (
            "publish latest, widest key and number",
            publish(Class::Latest(4_294_967_295), TypeRef::Id(4_294_967_295), bytes(&[])),
        ),
        ("publish volatile", publish(Class::Volatile, TypeRef::Id(249), text("typing"))),
        ("publish no bytes", reliable(bytes(&[]))),
        ("publish empty text", reliable(text(""))),
        ("publish text, every width of UTF-8", reliable(text("aé안🎪\u{0}\n\"\\"))),
        ("publish text of 250 bytes", reliable(text("x".repeat(250)))),
        ("publish text of 251 bytes", reliable(text("x".repeat(251)))),
        ("publish bytes, 65536 of them", reliable(Payload::Bytes(Cow::Owned(vec![0; 65_536])))),
        (
            "publish json",
            reliable(Payload::Json(Cow::Borrowed(r#"{"a":[1,2.50,null,"\u00e9"], "a":{}}"#))),
        ),
        ("publish json scalar", reliable(Payload::Json(Cow::Borrowed("null")))),
        ("publish with a type of non-ASCII", publish(Class::Reliable, name("움직임"), bytes(&[]))),
    ]
}

fn requests() -> Vec<Case> {
    vec![
        ("leave", ClientMessage::Leave(Leave { channel: Channel(3) })),
        (
            "direct",
            ClientMessage::Direct(Direct {
                channel: Channel(3),
                cseq: Cseq(8),
                to: MemberId(5),
                r#type: name("whisper"),
                payload: text("psst"),
            }),
        ),
        (
            "request info",
            ClientMessage::Request(Request {
                channel: Channel(3),
                cseq: Cseq(9),
                r#type: name("info"),
                payload: bytes(&[]),
            }),
        ),
        (
            "request history",
            ClientMessage::Request(Request {
                channel: Channel(3),
                cseq: Cseq(10),
                r#type: name("history"),
                payload: Payload::Json(Cow::Borrowed(r#"{"before":40,"limit":20}"#)),
            }),
        ),
        ("ping", ClientMessage::Ping(Ping { id: 1 })),
        ("get stats", ClientMessage::GetStats(GetStats { r#ref: 2 })),
    ]
}

fn attributes() -> Vec<Case> {
    let set = |values: Vec<Value>| {
        let named = values.into_iter().enumerate().map(|(i, value)| (format!("a{i}"), value));
        ClientMessage::SetAttributes(SetAttributes {
            channel: Channel(3),
            cseq: Cseq(11),
            attributes: named.collect(),
        })
    };
    let max = INTEGER_MAX as i64;
    let ints = |values: &[i64]| set(values.iter().copied().map(Value::Int).collect());
    let floats = |values: &[f64]| set(values.iter().copied().map(Value::Float).collect());
    vec![
        ("attributes, none", set(Vec::new())),
        ("attributes, null", set(vec![Value::Null])),
        ("attributes, booleans", set(vec![Value::Bool(false), Value::Bool(true)])),
        ("attributes, integers of one byte", ints(&[0, -1, 1, -2, 124, 125, -125])),
        ("attributes, integers of two bytes", ints(&[126, -126, 32_767, -32_768])),
        ("attributes, integers of four bytes", ints(&[32_768, -32_769, (1 << 31) - 1, -(1 << 31)])),
        ("attributes, integers of eight bytes", ints(&[1 << 31, -(1 << 31) - 1, max, -max])),
        ("attributes, floats", floats(&[0.0, -0.0, 1.5, -2.0, 0.1, 1e300, 5e-324, f64::MAX])),
        (
            "attributes, floats that a careless reader rounds",
            floats(&[1.000_000_000_000_000_2, 2.225_073_858_507_201e-308, 179.769_313_486_231_57]),
        ),
        ("attributes, texts", set(vec![Value::Text(String::new()), Value::Text("é안🎪".into())])),
        (
            "attributes, bytes: base64 of each padding",
            set(vec![
                Value::Bytes(Vec::new()),
                Value::Bytes(vec![251]),
                Value::Bytes(vec![251, 255]),
                Value::Bytes(vec![251, 255, 191]),
            ]),
        ),
    ]
}

/// u32 in a channel, u64 in a ping: a value on each side of each change of width.
fn integers() -> Vec<Case> {
    let leave = |channel| ClientMessage::Leave(Leave { channel: Channel(channel) });
    let ping = |id| ClientMessage::Ping(Ping { id });
    vec![
        ("u32 0", leave(0)),
        ("u32 250", leave(250)),
        ("u32 251", leave(251)),
        ("u32 252", leave(252)),
        ("u32 65535", leave(65_535)),
        ("u32 65536", leave(65_536)),
        ("u32 4294967295", leave(u32::MAX)),
        ("u64 0", ping(0)),
        ("u64 250", ping(250)),
        ("u64 251", ping(251)),
        ("u64 65535", ping(65_535)),
        ("u64 65536", ping(65_536)),
        ("u64 4294967295", ping(0xffff_ffff)),
        ("u64 4294967296", ping(0x1_0000_0000)),
        ("u64 9007199254740991", ping(INTEGER_MAX)),
    ]
}
