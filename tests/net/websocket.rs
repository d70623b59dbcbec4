//! WebSocket connections: messages, closes, pauses.

use crate::client::{
    connect, frame, handshake, read_all, read_close, read_frame, read_head, read_text, text,
};
use crate::driver::Command;
use crate::server::serve;
use madang::net::{Ended, NetConfig};
use madang_engine::frame::{Frame, FrameKind};
use std::collections::BTreeMap;
use std::io::Write;
use std::net::TcpStream;
use tungstenite::protocol::CloseFrame;
use tungstenite::protocol::frame::coding::CloseCode;
use tungstenite::{ClientRequestBuilder, Message};

#[test]
fn a_real_client_upgrades_talks_and_closes() {
    let server = serve(&NetConfig::default());
    let request = ClientRequestBuilder::new(format!("ws://{}/ws", server.addr).parse().unwrap())
        .with_sub_protocol("one")
        .with_sub_protocol("two");
    let (mut client, response) = tungstenite::client(request, connect(server.addr)).unwrap();
    assert_eq!(response.headers()["sec-websocket-protocol"], "two");
    let large = "é".repeat(30_000);
    for message in [
        Message::text("hi"),
        Message::text(""),
        Message::text(large),
        Message::binary(vec![0; 64 << 10]),
        Message::binary(vec![0xff; 300]),
    ] {
        client.send(message.clone()).unwrap();
        assert_eq!(client.read().unwrap(), message);
    }
    client.send(Message::Ping(b"payload".to_vec().into())).unwrap();
    assert_eq!(client.read().unwrap(), Message::Pong(b"payload".to_vec().into()));
    client.close(Some(CloseFrame { code: CloseCode::Away, reason: "x".into() })).unwrap();
    let Message::Close(Some(close)) = client.read().unwrap() else { panic!("no close") };
    assert_eq!(close.code, CloseCode::Away);
    assert!(matches!(client.read(), Err(tungstenite::Error::ConnectionClosed)));
    drop(client);
    server.wait_all_ended_well();
    let state = server.seen[0].get();
    assert_eq!(state.ended, [Ended::Close(1001)]);
    assert_eq!(state.counters.ws_closes, BTreeMap::from([(1001, 1)]));
    assert_eq!((state.counters.upgrades, state.counters.messages_in), (1, 5));
}

#[test]
fn byte_by_byte_is_as_good_as_at_once() {
    fn dribble(client: &mut TcpStream, bytes: &[u8]) {
        for byte in bytes {
            client.write_all(&[*byte]).unwrap();
        }
    }

    let server = serve(&NetConfig::default());
    let mut client = connect(server.addr);
    dribble(&mut client, &[handshake("/ws").into_bytes(), text("one")].concat());
    assert!(read_head(&mut client).starts_with("HTTP/1.1 101 "));
    assert_eq!(read_text(&mut client), "one");
    dribble(&mut client, &[frame(0x02, b"tw"), frame(0x89, b"ping")].concat());
    assert_eq!(read_frame(&mut client), (0x8a, b"ping".to_vec()));
    dribble(&mut client, &frame(0x80, b"o"));
    assert_eq!(read_frame(&mut client), (0x82, b"two".to_vec()));
    dribble(&mut client, &frame(0x88, &4001_u16.to_be_bytes()));
    assert_eq!(read_frame(&mut client), (0x88, 4001_u16.to_be_bytes().to_vec()));
    assert_eq!(read_all(&mut client), b"");
    drop(client);
    server.wait_empty();
    assert_eq!(server.seen[0].get().messages, [b"one".to_vec(), b"two".to_vec()]);
}

#[test]
fn violations_are_answered_with_their_codes() {
    let config = NetConfig { message_bytes_max: 1000, ..NetConfig::default() };
    let server = serve(&config);
    let cases = [
        (vec![0x81, 0x01, b'a'], 1002),
        (frame(0xc1, b"a"), 1002),
        (frame(0x83, b"a"), 1002),
        (frame(0x80, b"a"), 1002),
        (frame(0x81, &[0xff]), 1007),
        (frame(0x82, &[0; 1001]), 1009),
        (frame(0x88, &1005_u16.to_be_bytes()), 1002),
    ];
    let mut clients = Vec::new();
    for (at, (bytes, code)) in cases.iter().enumerate() {
        let mut client = server.open("/ws");
        // What follows is ignored.
        client.write_all(&[&bytes[..], &text("ignored")].concat()).unwrap();
        assert_eq!(read_close(&mut client), *code);
        // The stream ended though this side is still open.
        clients.push(client);
        let state = server.seen[0].wait("the end", |state| state.ended.len() > at);
        assert_eq!(state.ended[at], Ended::Violation(*code));
        assert!(state.messages.is_empty());
    }
    drop(clients);
    server.wait_all_ended_well();
    assert_eq!(server.seen[0].get().counters.violations, cases.len() as u64);
}

#[test]
fn a_close_of_the_driver_ends_delivery_and_lingers_only_so_long() {
    let config = NetConfig { linger_ms: 30, ..NetConfig::default() };
    let server = serve(&config);
    let mut client = server.open("/ws");
    client.write_all(&[text("a"), text("close"), text("b")].concat()).unwrap();
    // What the driver had queued is its own; the close comes in any case.
    let (mut first, mut payload) = read_frame(&mut client);
    if first == 0x81 {
        (first, payload) = read_frame(&mut client);
    }
    assert_eq!((first, &payload[..]), (0x88, &b"\x0f\xa0bye"[..]));
    // This client neither answers nor closes.
    server.wait_empty();
    let state = server.seen[0].get();
    assert_eq!(state.counters.linger_timeouts, 1);
    assert_eq!(state.messages, [b"a".to_vec(), b"close".to_vec()]);
    assert!(state.ended.is_empty(), "the driver knows of its own close");
}

#[test]
fn a_paused_connection_delivers_nothing_until_it_is_resumed() {
    let server = serve(&NetConfig::default());
    let mut paused = server.open("/ws");
    let mut other = server.open("/ws");
    paused.write_all(&[text("pause"), text("a"), text("b")].concat()).unwrap();
    server.seen[0].wait("the pause", |state| state.messages.len() == 1);
    paused.write_all(&text("c")).unwrap();
    other.write_all(&text("x")).unwrap();
    assert_eq!(read_text(&mut other), "x");
    assert_eq!(server.seen[0].get().messages, [b"pause".to_vec(), b"x".to_vec()]);
    server.tell(Command::ResumeAll);
    assert_eq!([(); 3].map(|()| read_text(&mut paused)), ["a", "b", "c"]);

    server.tell(Command::PauseReads);
    server.tell(Command::Broadcast(Frame::new(b"paused"), FrameKind::Text));
    assert_eq!(read_text(&mut other), "paused");
    let calls = server.seen[0].get().counters.read_calls;
    other.write_all(&text("y")).unwrap();
    server.tell(Command::Broadcast(Frame::new(b"still sent"), FrameKind::Text));
    assert_eq!(read_text(&mut other), "still sent");
    assert_eq!(server.seen[0].get().counters.read_calls, calls);
    server.tell(Command::ResumeReads);
    assert_eq!(read_text(&mut other), "y");
}
