//! Who is silent is asked, who does not answer is gone; who says nothing sensible at the beginning
//! is not kept.

use crate::support::client::{Client, Closed, Dial, Wire, hello};
use crate::support::http::{handshake, read};
use crate::support::stream::Stream;
use crate::support::{Running, config, wait_for};
use madang::metrics::Counter;
use madang_protocol::client::{ClientMessage, Hello, Ping};
use madang_protocol::{CloseCode, codec};
use std::io::{Read as _, Write as _};
use tungstenite::Message;

/// A server's frame without reading more: opcode and payload. None of them is long here.
fn read_frame(stream: &mut Stream) -> (u8, Vec<u8>) {
    let mut head = [0; 2];
    stream.read_exact(&mut head).expect("a frame comes");
    assert_eq!(head[0] & 0xf0, 0x80, "whole and without extensions");
    assert!(head[1] < 126, "short and not masked");
    let mut payload = vec![0; head[1].into()];
    stream.read_exact(&mut payload).expect("its payload");
    (head[0] & 0x0f, payload)
}

#[test]
fn who_does_not_answer_pings_is_closed_and_who_does_lives() {
    let mut config = config();
    (config.play.ping_ms, config.play.pong_ms) = (60, 300);
    let server = Running::start(config);
    let addr = server.play_addr();

    let mut silent = Dial::from(addr).stream();
    silent.write_all(handshake("/raw/yard", "").as_bytes()).expect("open");
    assert_eq!(read(&mut silent).status, 101);
    let (ping, payload) = read_frame(&mut silent);
    assert_eq!((ping, payload.len()), (0x9, 0));
    let (close, payload) = read_frame(&mut silent);
    assert_eq!(close, 0x8);
    assert_eq!(payload[..2], CloseCode::LIVENESS_TIMEOUT.code.to_be_bytes());
    assert_eq!(&payload[2..], CloseCode::LIVENESS_TIMEOUT.name.as_bytes());
    drop(silent);

    let (mut alive, _) = Client::connect(addr, Wire::Json);
    alive.await_pings(8);
    alive.round_trip(1);
    assert_eq!(server.count(Counter::SessionsAway), 0);
}

#[test]
fn any_traffic_is_life() {
    let mut config = config();
    (config.play.ping_ms, config.play.pong_ms) = (150, 300);
    let server = Running::start(config);
    let mut raw = Dial::from(server.play_addr()).stream();
    raw.write_all(handshake("/raw/yard?echo=1", "").as_bytes()).expect("open");
    assert_eq!(read(&mut raw).status, 101);
    // The clock is the server's: the pings that it sends to a client that says nothing by itself.
    let (mut idle, _) = Client::connect(server.play_addr(), Wire::Native);
    let masked_text = [0x81, 0x81, 0, 0, 0, 0, b'x'];
    wait_for("four pings of an idle client", || {
        raw.write_all(&masked_text).expect("open");
        // That it is answered shows that it is still there; it never sends a pong.
        while read_frame(&mut raw) != (0x1, b"x".to_vec()) {}
        assert_eq!(idle.poll().map(|message| message.is_some()), Ok(false));
        (idle.pings > 3).then_some(())
    });
}

#[test]
fn a_hello_has_to_come_in_time_in_size_and_in_form() {
    let mut config = config();
    config.play.hello_ms = 100;
    config.play.hello_bytes_max = 1000;
    let server = Running::start(config);
    let addr = server.play_addr();
    let closed = |wire, message: Option<Message>| {
        let mut client = Client::dial(addr, wire);
        if let Some(message) = message {
            client.send_raw(message);
        }
        client.closed()
    };
    let encoded = |message: &ClientMessage<'_>| {
        let mut bytes = Vec::new();
        codec::encode_client(message, &mut bytes);
        Some(Message::binary(bytes))
    };
    let ping = ClientMessage::Ping(Ping { id: 1 });
    let future = ClientMessage::Hello(Hello { version_min: 7, version_max: 9, ..Hello::default() });
    let large = ClientMessage::Hello(Hello {
        version_min: 1,
        version_max: 1,
        client: "x".repeat(2000),
        ..Hello::default()
    });
    for (wire, message, code) in [
        (Wire::Native, None, CloseCode::HELLO_TIMEOUT),
        (Wire::Json, None, CloseCode::HELLO_TIMEOUT),
        (Wire::Native, encoded(&large), CloseCode::HELLO_TOO_BIG),
        (Wire::Native, encoded(&ping), CloseCode::BAD_MESSAGE),
        (Wire::Native, encoded(&future), CloseCode::UNSUPPORTED_VERSION),
        (Wire::Native, Some(Message::binary(vec![0xff; 9])), CloseCode::BAD_MESSAGE),
        (Wire::Native, Some(Message::text("{}")), CloseCode::BAD_MESSAGE),
        (Wire::Json, Some(Message::text("{}")), CloseCode::BAD_MESSAGE),
        (Wire::Json, encoded(&ping), CloseCode::BAD_MESSAGE),
    ] {
        assert_eq!(closed(wire, message.clone()), Closed::Code(code.code), "{message:?}");
    }
}

#[test]
fn what_cannot_be_decoded_ends_the_session() {
    let server = Running::start(config());
    let addr = server.play_addr();
    let bad = Closed::Code(CloseCode::BAD_MESSAGE.code);
    for garbage in [
        Message::binary(vec![5, 1, 2]),
        Message::binary(vec![1, 200]),
        Message::text("not for this subprotocol"),
    ] {
        let (mut client, _) = Client::connect(addr, Wire::Native);
        client.send_raw(garbage);
        assert_eq!(client.closed(), bad);
    }
    let (mut client, _) = Client::connect(addr, Wire::Native);
    client.send(&hello(None));
    assert_eq!(client.closed(), bad, "a second hello");
    let (mut client, welcome) = Client::connect(addr, Wire::Json);
    let most = welcome.limits.message_bytes_max as usize;
    client.send_raw(Message::text("x".repeat(most + 1)));
    assert_eq!(client.closed(), Closed::Code(CloseCode::TOO_BIG.code));
}
