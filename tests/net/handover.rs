//! Connections that go to another reactor.

use crate::client::{connect, frame, handshake, read_frame, read_head, read_text, text};
use crate::driver::Command;
use crate::server::serve;
use madang::net::{Ended, NetConfig};
use madang_engine::frame::{Frame, FrameKind};
use std::io::Write;

/// However the stream is cut, nothing is lost or repeated on the way to the other reactor.
#[test]
fn a_detached_connection_takes_every_byte_along() {
    let server = serve(&NetConfig::default());
    let frames = [
        text("a"),
        text("who"),
        text("detach"),
        text("b"),
        frame(0x01, b"c"),
        frame(0x80, b"d"),
        text("who"),
        text("detach"),
        text("e"),
        text("who"),
    ];
    let stream = frames.concat();
    for cut in 0..stream.len() {
        let mut client = server.open("/ws");
        client.write_all(&stream[..cut]).unwrap();
        client.write_all(&stream[cut..]).unwrap();
        let mut heard = Vec::new();
        while heard.last().is_none_or(|last| last != "e") {
            heard.push(read_text(&mut client));
        }
        assert_eq!(read_text(&mut client), "0");
        let all = ["a", "0", "b", "cd", "1", "e"];
        let mut expected = all.iter();
        // A subsequence: what was queued when the socket left is the old driver's loss.
        assert!(heard.iter().all(|one| expected.any(|other| other == one)), "{heard:?}");
    }
    drop(server.open("/ws"));
    server.wait_empty();
    let delivered: usize = server.seen.iter().map(|seen| seen.get().messages.len()).sum();
    assert_eq!(delivered, stream.len() * 9, "each message exactly once");
}

#[test]
fn a_connection_is_detached_in_the_middle_of_anything() {
    let server = serve(&NetConfig::default());
    let stream = [frame(0x01, b"ab"), frame(0x89, b"p"), frame(0x00, b"c"), frame(0x80, b"d")];
    let stream = stream.concat();
    let mut received = 0;
    for cut in 0..stream.len() {
        let mut client = server.open("/ws");
        client.write_all(&stream[..cut]).unwrap();
        received += (handshake("/ws").len() + cut) as u64;
        server.seen[0].wait("the first part", |state| state.counters.bytes_in == received);
        server.tell(Command::DetachAll);
        // Else the first driver's answers might be queued, and be lost with its queue.
        server.seen[1].wait("the connection", |state| state.connections > 0);
        client.write_all(&[&stream[cut..], &text("who")].concat()).unwrap();
        assert_eq!(read_frame(&mut client), (0x8a, b"p".to_vec()));
        assert_eq!(read_text(&mut client), "abcd");
        assert_eq!(read_text(&mut client), "1");
        drop(client);
        server.wait_empty();
    }
}

/// A pause does not lose what was read but not delivered, nor does taking it to another reactor.
#[test]
fn a_paused_connection_takes_its_undelivered_bytes_along() {
    let server = serve(&NetConfig::default());
    let mut client = server.open("/ws");
    let stream = [text("pause"), text("x"), text("pause"), text("a"), frame(0x01, b"b")];
    client.write_all(&stream.concat()).unwrap();
    server.seen[0].wait("the pause", |state| state.messages.len() == 1);
    server.tell(Command::ResumeAll);
    assert_eq!(read_text(&mut client), "x");
    server.seen[0].wait("the second pause", |state| state.messages.len() == 3);
    server.tell(Command::DetachAll);
    server.seen[1].wait("the connection", |state| state.connections > 0);
    client.write_all(&[frame(0x80, b"c"), text("who")].concat()).unwrap();
    assert_eq!([(); 3].map(|()| read_text(&mut client)), ["a", "bc", "1"]);
}

#[test]
fn a_request_that_is_handed_off_is_read_again_by_the_other_reactor() {
    let server = serve(&NetConfig::default());
    let mut client = connect(server.addr);
    client.write_all(&[handshake("/over").into_bytes(), text("who"), text("x")].concat()).unwrap();
    assert!(read_head(&mut client).starts_with("HTTP/1.1 101 "));
    assert_eq!(read_text(&mut client), "1");
    assert_eq!(read_text(&mut client), "x");
    drop(client);
    server.wait_empty();
    assert_eq!(server.seen[0].get().opened, 0);
    assert_eq!(server.seen[1].get().ended, [Ended::Lost]);
}

#[test]
fn a_blocked_connection_takes_its_unwritten_bytes_along() {
    let server = serve(&NetConfig::default());
    let mut client = server.open("/ws");
    let large: Vec<u8> = (0..16_000_000_u32).map(|n| (n / 3) as u8).collect();
    server.tell(Command::Broadcast(Frame::new(&large), FrameKind::Binary));
    server.seen[0].wait("a blocked write", |state| state.counters.short_writes > 0);
    server.tell(Command::DetachAll);
    server.seen[1].wait("the connection", |state| state.connections > 0);
    client.write_all(&text("who")).unwrap();
    let (first, payload) = read_frame(&mut client);
    assert!(first == 0x82 && payload == large);
    assert_eq!(read_text(&mut client), "1");
}
