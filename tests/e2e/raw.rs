//! Raw rooms: every message verbatim to the others.

use crate::support::client::{Client, Dial, Wire};
use crate::support::http::{ask, handshake};
use crate::support::stream::Stream;
use crate::support::{Running, config, wait_for};
use crate::talk::error;
use madang::config::{KindRule, RoomKind};
use madang::metrics::Counter;
use madang_protocol::client::JoinOptions;
use madang_protocol::{CloseCode, ErrorCode};
use std::net::SocketAddr;
use tungstenite::{Message, WebSocket};

type Socket = WebSocket<Stream>;

fn open(addr: SocketAddr, path: &str) -> Socket {
    Dial::from(addr).websocket(path, None).expect("the handshake succeeds")
}

/// The next message that is not a ping.
fn next(socket: &mut Socket) -> Message {
    loop {
        match socket.read().expect("a message comes") {
            Message::Ping(_) => {}
            message => return message,
        }
    }
}

fn close_code(socket: &mut Socket) -> u16 {
    loop {
        if let Message::Close(frame) = next(socket) {
            return frame.map_or(1005, |frame| frame.code.into());
        }
    }
}

/// Proves that `to` is in the room: messages of `from` reach it.
fn meet(from: &mut Socket, to: &mut Socket) {
    wait_for("two to be in one room", || {
        from.send(Message::text("hello")).expect("open");
        to.get_ref().tcp().set_nonblocking(true).expect("a socket");
        let met = to.read().is_ok();
        to.get_ref().tcp().set_nonblocking(false).expect("a socket");
        met.then_some(())
    });
    from.send(Message::text("met")).expect("open");
    while next(to) != Message::text("met") {}
}

#[test]
fn text_and_binary_go_to_the_others_verbatim_and_in_order() {
    let server = Running::start(config());
    // More than one, so that both shards have some.
    let mut others: Vec<Socket> = (0..5).map(|_| open(server.play_addr(), "/raw/yard")).collect();
    let mut sender = open(server.play_addr(), "/raw/yard");
    for other in &mut others {
        meet(&mut sender, other);
    }
    let sent: Vec<Message> = (0..200)
        .map(|i| match i % 4 {
            0 => Message::text(format!("마당 {i}")),
            1 => Message::binary(vec![i as u8; i * 37]),
            2 => Message::text(""),
            _ => Message::binary(vec![0, 1, 0xff, i as u8]),
        })
        .collect();
    for message in &sent {
        sender.send(message.clone()).expect("open");
    }
    for other in &mut others {
        let greetings = [Message::text("hello"), Message::text("met")];
        let heard = std::iter::from_fn(|| Some(next(other)));
        let heard = heard.filter(|message| !greetings.contains(message)).take(sent.len());
        assert_eq!(heard.collect::<Vec<_>>(), sent);
    }
    // Without echo the sender's first message is one of somebody else.
    others[0].send(Message::text("answer")).expect("open");
    assert_eq!(next(&mut sender), Message::text("answer"));
}

#[test]
fn with_echo_the_sender_hears_itself() {
    let server = Running::start(config());
    let mut alone = open(server.play_addr(), "/raw/well?echo=1");
    for i in 0..50_u8 {
        alone.send(Message::binary(vec![i])).expect("open");
    }
    for i in 0..50_u8 {
        assert_eq!(next(&mut alone), Message::binary(vec![i]));
    }
    // Who comes later hears what comes later.
    let mut quiet = open(server.play_addr(), "/raw/well?echo=0");
    meet(&mut alone, &mut quiet);
    quiet.send(Message::text("a")).expect("open");
    while next(&mut alone) != Message::text("a") {}
}

#[test]
fn a_room_of_the_other_kind_is_refused_both_ways() {
    let mut config = config();
    let rule = |prefix: &str, kind| KindRule { prefix: prefix.into(), kind };
    config.rooms.kind = vec![rule("raw.", RoomKind::RAW), rule("game.", RoomKind::RELAY)];
    let server = Running::start(config);
    let addr = server.play_addr();
    // What the configuration says is known before the handshake.
    let reply = ask(addr, &handshake("/raw/game.1", ""));
    assert_eq!(reply.status, 403);
    assert!(reply.text().contains("/play"), "{reply:?}");

    let (mut client, _) = Client::connect(addr, Wire::Native);
    client.send_join("raw.1", JoinOptions::default());
    assert_eq!(client.until(error).code, ErrorCode::WRONG_KIND);

    // A name that nothing is bound to belongs to who came first.
    client.join("free");
    let refused = CloseCode::ROOM_REFUSED.code;
    assert_eq!(close_code(&mut open(addr, "/raw/free")), refused);
    let mut raw = open(addr, "/raw/open?echo=1");
    raw.send(Message::text("in")).expect("open");
    assert_eq!(next(&mut raw), Message::text("in"));
    client.send_join("open", JoinOptions::default());
    assert_eq!(client.until(error).code, ErrorCode::WRONG_KIND);
}

#[test]
fn who_does_not_read_is_closed_and_the_others_get_everything() {
    const MESSAGES: usize = 1500;
    let mut config = config();
    config.play.outbound_bytes_max = 64 << 10;
    config.play.linger_ms = 30_000;
    let server = Running::start(config);
    let slow = Dial { receive_bytes: Some(4096), ..server.play_addr().into() };
    let mut slow = slow.websocket("/raw/yard", None).expect("the handshake succeeds");
    let mut sender = open(server.play_addr(), "/raw/yard?echo=1");
    meet(&mut sender, &mut slow);
    sender.send(Message::text("begin")).expect("open");
    while next(&mut sender) != Message::text("begin") {}
    for i in 0..MESSAGES {
        let message = Message::binary(vec![i as u8; 1024]);
        sender.send(message.clone()).expect("open");
        assert_eq!(next(&mut sender), message, "the others are not affected");
    }
    // What it reads now ends with the reason, after a part of the messages.
    let mut heard = 0;
    let code = loop {
        match next(&mut slow) {
            Message::Close(frame) => break frame.map(|frame| u16::from(frame.code)),
            _ => heard += 1,
        }
    };
    assert_eq!(code, Some(CloseCode::SLOW_CONSUMER.code));
    assert!(heard < MESSAGES, "it was closed for missing some");
    let text = server.metrics().exposition();
    assert!(text.contains("madang_closed_total{code=\"slow_consumer\"} 1\n"), "{text}");
}

#[test]
fn what_comes_before_the_room_answers_is_kept() {
    let server = Running::start(config());
    for _ in 0..20 {
        // Both in one packet with the handshake would be best; right behind it is the next best.
        let mut socket = open(server.play_addr(), "/raw/yard?echo=1");
        socket.send(Message::text("first")).expect("open");
        assert_eq!(next(&mut socket), Message::text("first"));
    }
    // Raw and native connections are counted alike.
    let (mut client, _) = Client::connect(server.play_addr(), Wire::Native);
    client.send_raw(Message::Ping("x".into()));
    client.round_trip(1);
    assert!(server.count(Counter::ConnectionsAccepted) >= 20);
}
