//! The worked example of SPEC.md: a hello, a join and a publication. Each field is encoded here by
//! hand, by the rules of the page, and the whole is compared with what the codec writes.

use madang_protocol::client::*;
use madang_protocol::ids::*;
use madang_protocol::limits::Limits;
use madang_protocol::server::*;
use madang_protocol::value::*;
use madang_protocol::{ClientMessage, ServerMessage, codec, json};
use std::borrow::Cow;
use std::fmt::Write as _;

const EPOCH: [u8; 8] = [0x5e, 0x0c, 0x4a, 0x11, 0x90, 0x2b, 0x77, 0xd3];
const SESSION: [u8; 16] = *b"session identity";
const SECRET: [u8; 16] = *b"sixteen secret b";

fn hello() -> Hello {
    Hello { version_min: 1, version_max: 1, client: "demo/1".into(), ..Hello::default() }
}

pub(crate) fn welcome() -> Welcome {
    Welcome {
        version: 1,
        features: Vec::new(),
        session: SessionId(SESSION),
        connection: ConnectionId(12),
        resume_key: ResumeKey::from_parts(0, 1, 7, SECRET),
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
    }
}

fn join() -> Join {
    Join {
        r#ref: 1,
        target: JoinTarget::Name("lobby".into()),
        mode: JoinMode::Either,
        options: JoinOptions {
            attributes: vec![
                ("name".into(), Value::Text("하나".into())),
                ("score".into(), Value::Int(-3)),
            ],
            echo: true,
            create: None,
        },
        since: None,
        history: 20,
        ext: Vec::new(),
    }
}

pub(crate) fn joined() -> Joined {
    Joined {
        r#ref: Some(1),
        channel: Channel(3),
        name: "lobby".into(),
        kind: "relay".into(),
        epoch: Epoch(EPOCH),
        epoch_at_ms: 1_799_999_999_000,
        seq: Seq(1),
        recovered: false,
        replay: 0,
        member: MemberId(1),
        applied_cseq: Cseq(0),
        presence: PresenceMode::Full,
        roster: Roster::Full(vec![MemberInfo {
            id: MemberId(1),
            user: None,
            away: false,
            attributes: join().options.attributes,
        }]),
        types: Vec::new(),
        capacity: 300,
        labels: Vec::new(),
        ext: Vec::new(),
    }
}

fn publish() -> Publish<'static> {
    Publish {
        channel: Channel(3),
        cseq: Cseq(1),
        class: Class::Reliable,
        r#type: TypeRef::Name(Cow::Borrowed("chat")),
        payload: Payload::Text(Cow::Borrowed("hi")),
    }
}

fn types() -> Types {
    Types { channel: Channel(3), first: 0, names: vec!["chat".into()] }
}

fn echo() -> Message<'static> {
    Message {
        channel: Channel(3),
        seq: Seq(2),
        from: MemberId(1),
        at: 1250,
        cseq: Cseq(1),
        r#type: TypeRef::Id(0),
        payload: Payload::Text(Cow::Borrowed("hi")),
    }
}

/// One WebSocket message, written field by field.
#[derive(Default)]
struct Batch {
    lines: Vec<(Vec<u8>, String)>,
}

impl Batch {
    fn raw(&mut self, bytes: &[u8], what: &str) -> &mut Self {
        self.lines.push((bytes.to_vec(), what.to_owned()));
        self
    }

    /// An integer by the rules of section 3.1.
    fn int(&mut self, value: u64, what: &str) -> &mut Self {
        let bytes = match value {
            0..251 => vec![value as u8],
            251..0x1_0000 => [&[251][..], &(value as u16).to_le_bytes()].concat(),
            0x1_0000..0x1_0000_0000 => [&[252][..], &(value as u32).to_le_bytes()].concat(),
            _ => [&[253][..], &value.to_le_bytes()].concat(),
        };
        self.raw(&bytes, &format!("{what} {value}"))
    }

    fn text(&mut self, value: &str, what: &str) -> &mut Self {
        assert!(value.len() < 251, "the example has short texts");
        let bytes = [&[value.len() as u8][..], value.as_bytes()].concat();
        self.raw(&bytes, &format!("{what} {value:?}"))
    }

    /// The length of all that follows.
    fn message(&mut self, inner: &mut Batch) -> &mut Self {
        let len = inner.lines.iter().map(|(bytes, _)| bytes.len()).sum::<usize>();
        self.int(len as u64, "length");
        self.lines.append(&mut inner.lines);
        self
    }

    fn bytes(&self) -> Vec<u8> {
        self.lines.iter().flat_map(|(bytes, _)| bytes.clone()).collect()
    }

    /// The batch as annotated hex, after checking it against what the codec writes.
    fn print(&self, out: &mut String, from: &str, codec_bytes: &[u8]) {
        assert_eq!(self.bytes(), codec_bytes, "{from}: the page's rules and the codec differ");
        writeln!(out, "{from}, {} bytes", codec_bytes.len()).unwrap();
        for (bytes, what) in &self.lines {
            let rows: Vec<String> = bytes
                .chunks(12)
                .map(|row| row.iter().map(|b| format!("{b:02x}")).collect::<Vec<_>>().join(" "))
                .collect();
            for (index, row) in rows.iter().enumerate() {
                let what = if index == 0 { what.as_str() } else { "" };
                writeln!(out, "  {}", format!("{row:<37}{what}").trim_end()).unwrap();
            }
        }
        out.push('\n');
    }
}

fn client_batch(message: ClientMessage<'_>) -> Vec<u8> {
    let mut bytes = Vec::new();
    codec::encode_client(&message, &mut bytes);
    bytes
}

fn server_batch(messages: &[ServerMessage<'_>]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for message in messages {
        codec::encode_server(message, &mut bytes);
    }
    bytes
}

/// The attributes that the join sets and the roster shows.
fn attributes(batch: &mut Batch) {
    batch.int(2, "attributes: count");
    batch.text("name", "  name").int(4, "  value: tag text,").text("하나", "    its content");
    batch.text("score", "  name").int(2, "  value: tag int,").raw(&[5], "    zigzag of -3");
}

fn write_hello(out: &mut String) {
    let mut hello_fields = Batch::default();
    hello_fields.int(0, "tag: hello,").int(1, "version_min").int(1, "version_max");
    hello_fields.int(0, "features: count").text("demo/1", "client");
    hello_fields.raw(&[0], "token: absent").raw(&[0], "resume: absent").int(0, "ext: count");
    Batch::default().message(&mut hello_fields).print(
        out,
        "client",
        &client_batch(ClientMessage::Hello(hello())),
    );
}

fn write_welcome(out: &mut String) {
    let mut fields = Batch::default();
    fields.int(0, "tag: welcome,").int(1, "version").int(0, "features: count");
    fields.raw(&SESSION, "session").int(12, "connection");
    fields.raw(&ResumeKey::from_parts(0, 1, 7, SECRET).0, "resume_key").raw(&[0], "resumed: false");
    fields.int(25_000, "heartbeat_ms").int(60_000, "grace_ms");
    fields.int(65_536, "limits: message_bytes_max").int(262_144, "limits: batch_bytes_max");
    fields.int(32, "limits: rooms_max").int(100, "limits: history_messages_max");
    fields.int(4096, "limits: attributes_bytes_max").int(200, "limits: messages_per_second");
    fields.int(1_800_000_000_000, "server_time_ms").int(0, "ext: count");
    Batch::default().message(&mut fields).print(
        out,
        "server",
        &server_batch(&[ServerMessage::Welcome(welcome())]),
    );
}

fn write_join(out: &mut String) {
    let mut fields = Batch::default();
    fields
        .int(1, "tag: join,")
        .int(1, "ref")
        .int(0, "target: tag name,")
        .text("lobby", "  the name");
    fields.int(2, "mode: tag either,");
    attributes(&mut fields);
    fields.raw(&[1], "echo: true").raw(&[0], "create: absent").raw(&[0], "since: absent");
    fields.int(20, "history").int(0, "ext: count");
    Batch::default().message(&mut fields).print(
        out,
        "client",
        &client_batch(ClientMessage::Join(join())),
    );
}

fn write_joined(out: &mut String) {
    let mut fields = Batch::default();
    fields.int(1, "tag: joined,").raw(&[1], "ref: present").int(1, "  the ref").int(3, "channel");
    fields.text("lobby", "name").text("relay", "kind").raw(&EPOCH, "epoch");
    fields.int(1_799_999_999_000, "epoch_at_ms").int(1, "seq").raw(&[0], "recovered: false");
    fields.int(0, "replay").int(1, "member").int(0, "applied_cseq").int(0, "presence: tag full,");
    fields.int(0, "roster: tag full,").int(1, "  members: count").int(1, "  id");
    fields.raw(&[0], "  user: absent").raw(&[0], "  away: false");
    attributes(&mut fields);
    fields.int(0, "types: count").int(300, "capacity").int(0, "labels: count").int(0, "ext: count");
    Batch::default().message(&mut fields).print(
        out,
        "server",
        &server_batch(&[ServerMessage::Joined(joined())]),
    );
}

fn write_publish(out: &mut String) {
    let mut fields = Batch::default();
    fields.int(3, "tag: publish,").int(3, "channel").int(1, "cseq").int(0, "class: tag reliable,");
    fields.int(1, "type: tag name,").text("chat", "  the name");
    fields.int(1, "payload: tag text,").text("hi", "  its content");
    Batch::default().message(&mut fields).print(
        out,
        "client",
        &client_batch(ClientMessage::Publish(publish())),
    );
}

fn write_echo(out: &mut String) {
    let mut naming = Batch::default();
    naming.int(17, "tag: types,").int(3, "channel").int(0, "first").int(1, "names: count");
    naming.text("chat", "  number 0:");
    let mut message = Batch::default();
    message.int(3, "tag: message,").int(3, "channel").int(2, "seq").int(1, "from").int(1250, "at");
    message.int(1, "cseq: this acknowledges publication").int(0, "type: tag number,");
    message.int(0, "  the number").int(1, "payload: tag text,").text("hi", "  its content");
    Batch::default().message(&mut naming).message(&mut message).print(
        out,
        "server, two messages in one batch",
        &server_batch(&[ServerMessage::Types(types()), ServerMessage::Message(echo())]),
    );
}

/// The block of annotated bytes.
pub(crate) fn bytes() -> String {
    let mut out = String::from("```text\n");
    write_hello(&mut out);
    write_welcome(&mut out);
    write_join(&mut out);
    write_joined(&mut out);
    write_publish(&mut out);
    write_echo(&mut out);
    out.truncate(out.trim_end().len());
    out + "\n```\n"
}

/// The block of JSON.
pub(crate) fn json() -> String {
    let client = |message: ClientMessage<'_>| {
        let mut text = Vec::new();
        json::encode_client(&message, &mut text);
        text
    };
    let server = |message: ServerMessage<'_>| {
        let mut text = Vec::new();
        json::encode_server(&message, &mut text);
        text
    };
    let lines = [
        client(ClientMessage::Hello(hello())),
        server(ServerMessage::Welcome(welcome())),
        client(ClientMessage::Join(join())),
        server(ServerMessage::Joined(joined())),
        client(ClientMessage::Publish(publish())),
        server(ServerMessage::Types(types())),
        // The server names types in JSON, always.
        server(ServerMessage::Message(Message { r#type: publish().r#type, ..echo() })),
    ];
    let lines = lines.map(|line| String::from_utf8(line).unwrap());
    format!("```json\n{}\n```\n", lines.join("\n"))
}
