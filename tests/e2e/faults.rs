//! What fails beside the server and must not take anybody along.

use crate::support::client::{Client, Closed, Wire, bytes, publish};
use crate::support::http::get;
use crate::support::process::Process;
use crate::support::{Running, config, wait_for};
use madang::config::{KindRule, RoomKind};
use madang::metrics::Counter;
use madang_engine::room::logic::{Context, Incoming, LogicKind, RoomLogic, RoomOptions};
use madang_protocol::CloseCode;
use madang_protocol::client::Class;
use madang_protocol::server::{LeaveReason, ServerMessage};
use madang_protocol::state::{Kind, Schema};
use std::fs::OpenOptions;
use std::sync::Arc;

/// Every write to it says that the disk is full.
const FULL: &str = "/dev/full";

#[test]
fn a_full_disk_for_logs_disturbs_nobody() {
    let full = OpenOptions::new().write(true).open(FULL).expect("Linux has it");
    let process = Process::start_logging_to(&["log.level=trace"], full.into());
    for wire in [Wire::Native, Wire::Json] {
        let (mut one, _) = Client::connect(process.play, wire);
        one.join("lobby");
        // Something to be said in the log: a connection that breaks the rules.
        let mut bad = Client::dial(process.play, Wire::Json);
        bad.send_raw(tungstenite::Message::text("{}"));
        bad.closed();
        one.round_trip(1);
    }
    assert_eq!(get(process.watch, "/readyz").status, 200);
    process.terminate();
    let (code, _) = process.wait();
    assert_eq!(code, 0, "and it drains as ever");
}

/// Rules that break when they are told to.
struct Bomb;

impl RoomLogic for Bomb {
    fn schema(&self) -> Arc<Schema> {
        Arc::new(Schema { kinds: vec![Kind { name: "bomb".into(), fields: Vec::new() }] })
    }

    fn on_message(
        &mut self,
        _: &mut Context<'_>,
        _: u32,
        message: &Incoming<'_>,
    ) -> Result<(), String> {
        assert!(bytes(message.payload) != b"boom", "told to");
        Ok(())
    }
}

#[test]
fn a_panic_in_one_rooms_rules_costs_nobody_else_anything() {
    madang::rooms::register(LogicKind {
        name: "bomb",
        tick_hz: 20,
        interest: None,
        factory: Arc::new(|_: &RoomOptions<'_>| Ok(Box::new(Bomb))),
    });
    let mut settings = config();
    // All of them on one thread.
    settings.server.shards = 1;
    let kind = RoomKind::named("bomb").expect("it is registered");
    settings.rooms.kind.push(KindRule { prefix: "bomb".into(), kind });
    let server = Running::start(settings);
    let (mut here, _) = Client::connect(server.play_addr(), Wire::Native);
    let doomed = here.join("bomb-1");
    let lobby = here.join("lobby");
    let (mut there, _) = Client::connect(server.play_addr(), Wire::Json);
    let other = there.join("bomb-2");
    there.join("lobby");

    here.send(&publish(doomed.channel, 1, Class::Reliable, b"boom"));
    here.until(|message| match message {
        ServerMessage::Left(left) if left.channel == doomed.channel => {
            assert_eq!(left.reason, LeaveReason::Failed);
            Some(())
        }
        _ => None,
    });
    wait_for("the failure's count", || (server.count(Counter::RoomsFailed) == 1).then_some(()));
    // The rooms beside it go on: another one with the same rules, and one that both are in.
    there.send(&publish(other.channel, 1, Class::Reliable, b"tick"));
    there.until(|message| match message {
        ServerMessage::InputAck(ack) if ack.channel == other.channel => Some(()),
        _ => None,
    });
    here.send(&publish(lobby.channel, 1, Class::Reliable, b"all well"));
    there.until(|message| match message {
        ServerMessage::Message(message) => (bytes(&message.payload) == b"all well").then_some(()),
        _ => None,
    });
    let (mut late, _) = Client::connect(server.play_addr(), Wire::Native);
    late.join("bomb-3");
    assert!(!server.is_broken(), "no thread has ended");
    assert_eq!(get(server.watch_addr(), "/readyz").status, 200);
}

/// What a client may send that no client should: each in a connection of its own.
fn poison(channel: u32) -> Vec<(&'static str, Wire, tungstenite::Message)> {
    use tungstenite::Message;
    let binary = |bytes: &[u8]| Message::binary(bytes.to_vec());
    let mut random = 0x9e37_79b9_u32;
    let noise: Vec<u8> = std::iter::repeat_with(|| {
        random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (random >> 24) as u8
    })
    .take(4096)
    .collect();
    let deep = format!(
        r#"{{"publish":{{"channel":{channel},"cseq":1,"class":"reliable","type":"t","payload":{}1{}}}}}"#,
        "[".repeat(20_000),
        "]".repeat(20_000)
    );
    vec![
        ("noise", Wire::Native, binary(&noise)),
        ("a tag that there is none of", Wire::Native, binary(&[1, 250])),
        ("a length without an end", Wire::Native, binary(&[0xff; 10])),
        ("a length beyond the end", Wire::Native, binary(&[9, 3, 0, 1, 0])),
        (
            "a text of 2^63 bytes",
            Wire::Native,
            binary(&[15, 3, 0, 1, 0, 1, 253, 0, 0, 0, 0, 0, 0, 0, 128, 0]),
        ),
        ("text for the native codec", Wire::Native, Message::text("{}")),
        ("bytes behind the end", Wire::Native, binary(&[4, 7, 1, 1, 1])),
        ("a second hello", Wire::Native, binary(&[7, 0, 1, 1, 0, 0, 0, 0])),
        ("no JSON", Wire::Json, Message::text("\u{0}")),
        ("JSON that nests", Wire::Json, Message::text(deep)),
        ("two messages in one", Wire::Json, Message::text(r#"{"ping":{"id":1}}{"ping":{"id":2}}"#)),
        ("a number that is none", Wire::Json, Message::text(r#"{"ping":{"id":1e999}}"#)),
        ("binary for the JSON codec", Wire::Json, binary(b"{}")),
    ]
}

#[test]
fn a_poisoned_message_costs_only_its_sender() {
    let mut settings = config();
    settings.server.shards = 1;
    let server = Running::start(settings);
    let (mut bystander, _) = Client::connect(server.play_addr(), Wire::Native);
    let room = bystander.join("lobby");
    for (number, (what, wire, message)) in (1..).zip(poison(room.channel.0)) {
        let (mut sender, _) = Client::connect(server.play_addr(), wire);
        sender.join("lobby");
        sender.send_raw(message);
        assert_eq!(sender.closed(), Closed::Code(CloseCode::BAD_MESSAGE.code), "{what}");
        bystander.send(&publish(room.channel, number, Class::Reliable, b"still here"));
        bystander.until(|message| match message {
            ServerMessage::Ack(ack) => (ack.cseq.0 == number).then_some(()),
            ServerMessage::Message(echo) => (echo.cseq.0 == number).then_some(()),
            _ => None,
        });
    }
    assert!(!server.is_broken());
    wait_for("their end", || (server.count(Counter::Sessions) == 1).then_some(()));
}
