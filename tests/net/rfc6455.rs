//! RFC 6455, clause by clause, over ws and over wss: what a client sends, and what it hears.

use crate::client::{connect, frame, handshake, read_all, read_frame, read_head, text};
use crate::server::{Server, serve_with};
use crate::signed::{Authority, over};
use madang::net::{NetConfig, Tls};
use rustls::ClientConfig;
use rustls::version::{TLS12, TLS13};
use std::io::{Read, Write};
use std::sync::Arc;

/// What a client hears.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Heard {
    /// These frames, and the connection goes on.
    Frames(Vec<(u8, Vec<u8>)>),
    /// A Close frame with this code, and the end.
    Closed(u16),
}

trait Both: Read + Write {}
impl<T: Read + Write> Both for T {}
type Client = Box<dyn Both>;

/// A server that echoes messages of up to 1 MiB, with TLS or without.
struct Stage {
    server: Server,
    clients: Option<Arc<ClientConfig>>,
    /// Issues what the clients trust; its files are gone with it.
    _authority: Authority,
}

fn stages(message_bytes_max: usize) -> [Stage; 2] {
    let config = NetConfig { message_bytes_max, ..NetConfig::default() };
    [false, true].map(|is_sealed| {
        let authority = Authority::new();
        let tls = Tls::load(vec![authority.issue("one", &["h.test"])]).unwrap();
        let clients = Arc::new(authority.clients(&[&TLS13, &TLS12]));
        Stage {
            server: serve_with(&config, Some(&tls).filter(|_| is_sealed)),
            clients: Some(clients).filter(|_| is_sealed),
            _authority: authority,
        }
    })
}

impl Stage {
    fn connect(&self) -> Client {
        let socket = connect(self.server.addr);
        match &self.clients {
            None => Box::new(socket),
            Some(clients) => Box::new(over(socket, clients, "h.test")),
        }
    }

    fn open(&self) -> Client {
        let mut client = self.connect();
        client.write_all(handshake("/ws").as_bytes()).unwrap();
        assert!(read_head(&mut client).starts_with("HTTP/1.1 101 "));
        client
    }

    fn name(&self) -> &'static str {
        if self.clients.is_some() { "wss" } else { "ws" }
    }
}

const TEXT: u8 = 0x81;
const BINARY: u8 = 0x82;
const PING: u8 = 0x89;
const PONG: u8 = 0x8a;
const CLOSE: u8 = 0x88;
/// Without the bit that says that it is the last.
const BEGIN_TEXT: u8 = 0x01;
const BEGIN_BINARY: u8 = 0x02;
const MORE: u8 = 0x00;
const LAST: u8 = 0x80;

fn frames(frames: &[(u8, &[u8])]) -> Vec<u8> {
    frames.iter().flat_map(|(first, payload)| frame(*first, payload)).collect()
}

fn hears(frames: &[(u8, &[u8])]) -> Heard {
    Heard::Frames(frames.iter().map(|(first, payload)| (*first, payload.to_vec())).collect())
}

fn close(code: u16, reason: &[u8]) -> Vec<u8> {
    frame(CLOSE, &[&code.to_be_bytes(), reason].concat())
}

/// A frame with a header of our own making.
fn headed(header: &[u8], payload: &[u8]) -> Vec<u8> {
    [header, &[0, 0, 0, 0], payload].concat()
}

/// The clauses: section and what it says, what is sent, what is heard.
fn clauses() -> Vec<(String, Vec<u8>, Heard)> {
    let mut all: Vec<(String, Vec<u8>, Heard)> = Vec::new();
    let mut add =
        |clause: &str, sent: Vec<u8>, heard: Heard| all.push((clause.into(), sent, heard));
    let violation = || Heard::Closed(1002);
    let long = vec![b'x'; 70_000];
    let greek = "κόσμε".as_bytes();

    add("5.1: unmasked frames fail", vec![TEXT, 1, b'a'], violation());
    add("5.1: unmasked control frames fail", vec![PING, 0], violation());
    add("5.2: a mask of zeros is a mask", headed(&[TEXT, 0x81], b"a"), hears(&[(TEXT, b"a")]));
    for bit in [0x40, 0x20, 0x10] {
        add("5.2: reserved bits fail", frame(TEXT | bit, b"a"), violation());
        add("5.2: reserved bits of control frames fail", frame(PING | bit, b""), violation());
    }
    for opcode in [3, 4, 5, 6, 7, 0xb, 0xc, 0xd, 0xe, 0xf] {
        add(&format!("5.2: opcode {opcode:x} is reserved"), frame(0x80 | opcode, b""), violation());
    }
    for (header, what) in [
        (&[BINARY, 0xfe, 0, 5][..], "16 bits for 5"),
        (&[BINARY, 0xff, 0, 0, 0, 0, 0, 0, 0, 5], "64 bits for 5"),
        (&[BINARY, 0xff, 0, 0, 0, 0, 0, 0, 1, 0], "64 bits for 256"),
        (&[BINARY, 0xff, 0x80, 0, 0, 0, 0, 0, 0, 5], "the highest bit"),
    ] {
        add(&format!("5.2: lengths are minimal: {what}"), headed(header, b"12345"), violation());
    }
    for len in [0, 1, 125, 126, 127, 128, 65_535] {
        let heard = hears(&[(BINARY, &long[..len])]);
        add(&format!("5.2: {len} bytes"), frame(BINARY, &long[..len]), heard);
    }
    let header = [&[BINARY, 0xff], &70_000_u64.to_be_bytes()[..]].concat();
    add("5.2: 70,000 bytes", headed(&header, &long), hears(&[(BINARY, &long)]));

    add(
        "5.4: fragments are one message",
        frames(&[(BEGIN_TEXT, b"a"), (MORE, b"b"), (MORE, b""), (LAST, b"c")]),
        hears(&[(TEXT, b"abc")]),
    );
    add(
        "5.4: a message of empty fragments",
        frames(&[(BEGIN_BINARY, b""), (MORE, b""), (LAST, b"")]),
        hears(&[(BINARY, b"")]),
    );
    add(
        "5.4: control frames come between fragments and are answered at once",
        frames(&[(BEGIN_TEXT, b"a"), (PING, b"p"), (MORE, b"b"), (PONG, b""), (LAST, b"c")]),
        hears(&[(PONG, b"p"), (TEXT, b"abc")]),
    );
    add("5.4: nothing to continue", frame(LAST, b"a"), violation());
    add("5.4: nothing to go on with", frame(MORE, b"a"), violation());
    add(
        "5.4: nothing to continue behind a whole message",
        frames(&[(TEXT, b"a"), (LAST, b"b")]),
        violation(),
    );
    add("5.4: a message inside another", frames(&[(BEGIN_TEXT, b"a"), (TEXT, b"b")]), violation());
    add(
        "5.4: a fragment of another message inside",
        frames(&[(BEGIN_TEXT, b"a"), (BEGIN_BINARY, b"b")]),
        violation(),
    );

    add("5.5: control frames are not fragmented", frame(PING & 0x7f, b""), violation());
    add("5.5: nor is a close", frame(CLOSE & 0x7f, b""), violation());
    add("5.5: a ping of 125 bytes", frame(PING, &long[..125]), hears(&[(PONG, &long[..125])]));
    for first in [PING, PONG, CLOSE] {
        add("5.5: control frames have at most 125 bytes", frame(first, &long[..126]), violation());
    }
    add("5.5.1: a close without a code", frame(CLOSE, b""), Heard::Closed(1005));
    add("5.5.1: half a code", frame(CLOSE, &[3]), violation());
    add(
        "5.5.1: nothing counts behind a close",
        [close(1000, b""), text("late"), vec![0xff; 9]].concat(),
        Heard::Closed(1000),
    );
    add("5.5.1: a reason is UTF-8", close(1000, greek), Heard::Closed(1000));
    add("5.5.1: a reason that is not", close(1000, &[0xce]), Heard::Closed(1007));
    add("5.5.1: the longest reason", close(1000, &long[..123]), Heard::Closed(1000));
    add(
        "5.5.2: every ping is answered, in order",
        (0..10).flat_map(|n| frame(PING, &[n; 120])).collect(),
        Heard::Frames((0..10).map(|n| (PONG, vec![n; 120])).collect()),
    );
    add(
        "5.5.3: a pong that nobody asked for",
        frames(&[(PONG, b"x"), (TEXT, b"a")]),
        hears(&[(TEXT, b"a")]),
    );
    add("5.6: an empty text", frame(TEXT, b""), hears(&[(TEXT, b"")]));
    add("5.6: a text of several bytes a letter", frame(TEXT, greek), hears(&[(TEXT, greek)]));
    add(
        "5.6: a letter cut by fragments",
        frames(&[(BEGIN_TEXT, &greek[..3]), (MORE, &greek[3..4]), (LAST, &greek[4..])]),
        hears(&[(TEXT, greek)]),
    );
    add(
        "5.6: binary is anything",
        frame(BINARY, &[0xff, 0, 0xc0]),
        hears(&[(BINARY, &[0xff, 0, 0xc0])]),
    );
    add(
        "5.6: nothing of a text is changed",
        frame(TEXT, b"\0\x7f\r\n"),
        hears(&[(TEXT, b"\0\x7f\r\n")]),
    );

    for code in [
        1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4000,
        4999,
    ] {
        add(&format!("7.4: {code} may be said"), close(code, b""), Heard::Closed(code));
    }
    for code in [0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65_535] {
        add(&format!("7.4: {code} may not"), close(code, b""), violation());
    }
    for (what, bytes) in [
        ("an overlong form", &[0xc0, 0x80][..]),
        ("a surrogate", &[0xed, 0xa0, 0x80]),
        ("beyond the last letter", &[0xf4, 0x90, 0x80, 0x80]),
        ("a byte that is never there", &[0xff]),
        ("half a letter", &[b'a', 0xce]),
        ("a continuation alone", &[0x80]),
    ] {
        add(&format!("8.1: {what}"), frame(TEXT, bytes), Heard::Closed(1007));
        let cut = frames(&[(BEGIN_TEXT, b"fine"), (LAST, bytes)]);
        add(&format!("8.1: {what}, in a fragment"), cut, Heard::Closed(1007));
    }
    for (what, bytes) in [
        ("a byte that is never there", &[0xff][..]),
        ("a surrogate, cut", &[0xed, 0xa0]),
        ("beyond the last letter, cut", &[b'a', 0xf4, 0x90]),
    ] {
        let begun = frame(BEGIN_TEXT, bytes);
        add(&format!("8.1: at once, before the end: {what}"), begun, Heard::Closed(1007));
        let mut long = frame(TEXT, &[bytes, &[b'x'; 60]].concat());
        long.truncate(long.len() - 50);
        add(&format!("8.1: and in the middle of a frame: {what}"), long, Heard::Closed(1007));
    }
    let header = [&[BINARY, 0xff], &((1_u64 << 20) + 1).to_be_bytes()[..]].concat();
    add("10.4: a message beyond the bound", headed(&header, b""), Heard::Closed(1009));
    let header = [&[BINARY, 0xff], &(u64::MAX >> 1).to_be_bytes()[..]].concat();
    add("10.4: a length that overflows", headed(&header, b""), Heard::Closed(1009));
    all
}

#[test]
fn each_clause_about_frames_holds_however_the_bytes_come() {
    for stage in stages(1 << 20) {
        let mut checked = 0;
        for (clause, sent, heard) in clauses() {
            // At once, in odd pieces, and one by one where that is not too many.
            for piece in [sent.len(), 7, 1] {
                if sent.len() / piece > 3000 {
                    continue;
                }
                check(&stage, &clause, &sent, &heard, piece);
                checked += 1;
            }
        }
        assert!(checked > 200, "{checked}");
        stage.server.wait_empty();
    }
}

fn check(stage: &Stage, clause: &str, sent: &[u8], heard: &Heard, piece: usize) {
    let what = format!("{}, {clause}, in pieces of {piece}", stage.name());
    let mut client = stage.open();
    for bytes in sent.chunks(piece) {
        // The server may have closed already.
        if client.write_all(bytes).is_err() {
            break;
        }
    }
    match heard {
        Heard::Frames(frames) => {
            for frame in frames {
                assert_eq!(read_frame(&mut client), *frame, "{what}");
            }
            client.write_all(&text("still there")).unwrap();
            assert_eq!(read_frame(&mut client), (TEXT, b"still there".to_vec()), "{what}");
        }
        Heard::Closed(code) => {
            let (mut first, mut payload) = read_frame(&mut client);
            if first == TEXT {
                // The echo of what came before, if it was written before the rest came.
                (first, payload) = read_frame(&mut client);
            }
            assert_eq!(first, CLOSE, "{what}");
            let found = payload.first_chunk().map_or(1005, |code| u16::from_be_bytes(*code));
            assert_eq!(found, *code, "{what}");
            assert!(std::str::from_utf8(payload.get(2..).unwrap_or_default()).is_ok(), "{what}");
            assert_eq!(read_all(&mut client), b"", "nothing follows: {what}");
        }
    }
}

#[test]
fn each_clause_about_the_handshake_holds() {
    let good = handshake("/ws");
    let with = |more: &str| good.replace("Host: h\r\n", &format!("Host: h\r\n{more}"));
    let cases = [
        ("4.2.1: the example", good.clone(), 101),
        (
            "4.2.1: names and words in any case",
            good.replace("Upgrade: websocket", "UPGRADE: WebSocket")
                .replace("Connection: Upgrade", "connection: keep-alive, UPGRADE"),
            101,
        ),
        ("4.2.1: only GET", good.replace("GET", "POST"), 405),
        ("4.2.1: only HTTP/1.1", good.replace("HTTP/1.1", "HTTP/1.0"), 400),
        ("4.2.1: a host", good.replace("Host: h\r\n", ""), 400),
        ("4.2.1: an upgrade", good.replace("Upgrade: websocket\r\n", ""), 426),
        ("4.2.1: to websocket", good.replace("Upgrade: websocket", "Upgrade: websockets"), 426),
        ("4.2.1: said by the connection", good.replace("Connection: Upgrade\r\n", ""), 400),
        ("4.2.1: a key", good.replace("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n", ""), 400),
        (
            "4.2.1: a key of 16 bytes",
            good.replace("dGhlIHNhbXBsZSBub25jZQ==", "dGhlIHNhbXBsZQ=="),
            400,
        ),
        ("4.2.1: one key", with("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"), 400),
        ("4.4: version 13", good.replace("Version: 13", "Version: 8"), 426),
        ("4.4: and no other beside", with("Sec-WebSocket-Version: 8\r\n"), 426),
        (
            "9.1: extensions are declined",
            with("Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n"),
            101,
        ),
        (
            "1.9: subprotocols that nobody knows are declined",
            with("Sec-WebSocket-Protocol: chat\r\n"),
            101,
        ),
        ("11.3: a body", with("Content-Length: 1\r\n"), 400),
    ];
    for stage in stages(1 << 20) {
        for (clause, request, status) in &cases {
            let mut client = stage.connect();
            client.write_all(request.as_bytes()).unwrap();
            let head = read_head(&mut client);
            let what = format!("{}, {clause}: {head}", stage.name());
            assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{what}");
            let lower = head.to_ascii_lowercase();
            assert!(!lower.contains("sec-websocket-extensions"), "{what}");
            assert!(!lower.contains("sec-websocket-protocol"), "{what}");
            assert_eq!(lower.contains("sec-websocket-version: 13"), *status == 426, "{what}");
            if *status == 101 {
                assert!(
                    head.contains("\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n")
                );
                // What comes with the handshake is not lost.
                client.write_all(&text("first")).unwrap();
                assert_eq!(read_frame(&mut client), (TEXT, b"first".to_vec()));
            }
        }
    }
}

#[test]
fn messages_of_sixteen_mebibytes_are_echoed_where_the_bound_allows() {
    const BYTES: usize = 16 << 20;
    for stage in stages(BYTES) {
        let mut client = stage.open();
        let payload: Vec<u8> = (0..BYTES as u32).map(|n| (n / 5) as u8).collect();
        let header = [&[BINARY, 0xff], &(BYTES as u64).to_be_bytes()[..]].concat();
        client.write_all(&headed(&header, &payload)).unwrap();
        let (first, echo) = read_frame(&mut client);
        assert!(first == BINARY && echo == payload, "{}", stage.name());
        // And in a thousand pieces.
        for (at, piece) in payload.chunks(BYTES / 1000 + 1).enumerate() {
            client.write_all(&frame(if at == 0 { BEGIN_BINARY } else { MORE }, piece)).unwrap();
        }
        client.write_all(&frame(LAST, b"")).unwrap();
        let (first, echo) = read_frame(&mut client);
        assert!(first == BINARY && echo == payload, "{}, in pieces", stage.name());
    }
}
