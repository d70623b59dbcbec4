//! Connections that speak TLS, and those that should and do not.

use crate::client::{
    connect, frame, handshake, read_all, read_answer, read_close, read_frame, read_head, read_text,
    text,
};
use crate::driver::Command;
use crate::server::{Server, local, serve, serve_with};
use crate::signed::{Authority, over};
use madang::net::tls::CertificateFiles;
use madang::net::{Ended, NetConfig, Tls, TlsFailure};
use madang_engine::frame::{Frame, FrameKind};
use rustls::client::Resumption;
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, ClientConnection, HandshakeKind, ProtocolVersion, StreamOwned};
use std::fs;
use std::io::{self, ErrorKind, IoSlice, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use tungstenite::{ClientRequestBuilder, Message};

type Client = StreamOwned<ClientConnection, TcpStream>;

/// A server with a certificate for `h.test`, and clients that trust it.
struct Stage {
    server: Server,
    tls: Tls,
    authority: Authority,
    files: CertificateFiles,
    clients: Arc<ClientConfig>,
}

fn stage(config: &NetConfig) -> Stage {
    let authority = Authority::new();
    let files = authority.issue("one", &["h.test"]);
    let tls = Tls::load(vec![files.clone()]).unwrap();
    let server = serve_with(config, Some(&tls));
    let clients = Arc::new(authority.clients(&[&TLS13, &TLS12]));
    Stage { server, tls, authority, files, clients }
}

impl Stage {
    fn dial(&self) -> Client {
        over(connect(self.server.addr), &self.clients, "h.test")
    }

    fn open(&self, path: &str) -> Client {
        let mut client = self.dial();
        client.write_all(handshake(path).as_bytes()).unwrap();
        assert!(read_head(&mut client).starts_with("HTTP/1.1 101 "));
        client
    }

    fn failures(&self, why: TlsFailure) -> u64 {
        self.server.seen[0].get().counters.tls_failures[why as usize]
    }

    #[track_caller]
    fn wait_failures(&self, why: TlsFailure, count: u64) {
        self.server.seen[0]
            .wait("failures", |state| state.counters.tls_failures[why as usize] == count);
    }
}

#[test]
fn real_clients_of_both_versions_talk_close_and_come_back_with_a_ticket() {
    for (version, number) in
        [(&TLS13, ProtocolVersion::TLSv1_3), (&TLS12, ProtocolVersion::TLSv1_2)]
    {
        let stage = stage(&NetConfig::default());
        let mut clients = stage.authority.clients(&[version]);
        clients.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let clients = Arc::new(clients);
        for kind in [HandshakeKind::Full, HandshakeKind::Resumed] {
            let stream = over(connect(stage.server.addr), &clients, "h.test");
            let request = ClientRequestBuilder::new("wss://h.test/ws".parse().unwrap());
            let (mut client, _) = tungstenite::client(request, stream).unwrap();
            for message in [
                Message::text("hi"),
                Message::text("é".repeat(30_000)),
                Message::binary(vec![7; 64 << 10]),
            ] {
                client.send(message.clone()).unwrap();
                assert_eq!(client.read().unwrap(), message);
            }
            let session = &client.get_ref().conn;
            assert_eq!(session.protocol_version(), Some(number));
            assert_eq!(session.alpn_protocol(), Some(&b"http/1.1"[..]));
            assert_eq!(session.handshake_kind(), Some(kind), "{version:?}");
            client.close(None).unwrap();
            assert!(matches!(client.read().unwrap(), Message::Close(None)));
            assert!(matches!(client.read(), Err(tungstenite::Error::ConnectionClosed)));
            drop(client);
        }
        stage.server.wait_all_ended_well();
        let counters = stage.server.seen[0].get().counters;
        assert_eq!((counters.tls_handshakes, counters.tls_resumed), (1, 1));
        assert_eq!(counters.tls_failures, [0; TlsFailure::ALL.len()]);
    }
}

/// Writes one byte with each call, so that each is a segment of its own.
struct Dribble(TcpStream);

impl Read for Dribble {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.0.read(buf)
    }
}

impl Write for Dribble {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(&bytes[..bytes.len().min(1)])
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        slices.iter().find(|slice| !slice.is_empty()).map_or(Ok(0), |slice| self.write(slice))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn byte_by_byte_is_as_good_as_at_once() {
    for version in [&TLS13, &TLS12] {
        let stage = stage(&NetConfig::default());
        let clients = Arc::new(stage.authority.clients(&[version]));
        let mut client = over(Dribble(connect(stage.server.addr)), &clients, "h.test");
        client.write_all(&[handshake("/ws").into_bytes(), text("one")].concat()).unwrap();
        assert!(read_head(&mut client).starts_with("HTTP/1.1 101 "));
        assert_eq!(read_text(&mut client), "one");
        client.write_all(&frame(0x02, b"tw")).unwrap();
        client.write_all(&[frame(0x89, b"ping"), frame(0x80, b"o")].concat()).unwrap();
        assert_eq!(read_frame(&mut client), (0x8a, b"ping".to_vec()));
        assert_eq!(read_frame(&mut client), (0x82, b"two".to_vec()));
        drop(client);
        stage.server.wait_empty();
    }
}

/// A record that holds more than a turn's budget is used up without another event.
#[test]
fn what_is_decrypted_already_is_read_to_its_end() {
    let config =
        NetConfig { read_bytes_per_turn: 1024, read_messages_per_turn: 1, ..NetConfig::default() };
    let stage = stage(&config);
    let mut client = stage.open("/ws");
    let messages: Vec<String> = (0..300).map(|n| format!("message number {n}")).collect();
    let bytes: Vec<u8> = messages.iter().flat_map(|message| text(message)).collect();
    client.write_all(&bytes).unwrap();
    for message in &messages {
        assert_eq!(read_text(&mut client), *message);
    }
}

#[test]
fn large_broadcasts_reach_clients_that_read_slowly_whole_and_in_order() {
    let stage = stage(&NetConfig::default());
    let mut clients: Vec<Client> = (0..12).map(|_| stage.open("/batched")).collect();
    let frames: Vec<Vec<u8>> = (0..8_u8)
        .map(|n| (0..300_000_u32 * u32::from(n % 3 + 1)).map(|i| (i / 7) as u8 ^ n).collect())
        .collect();
    for frame in &frames {
        stage.server.tell(Command::Broadcast(Frame::new(frame), FrameKind::Batch));
        let small = Frame::new(&frame[..40]);
        stage.server.tell(Command::Broadcast(small, FrameKind::Batch));
    }
    stage.server.seen[0].wait("blocked writes", |state| state.counters.short_writes >= 12);
    for client in &mut clients {
        for frame in &frames {
            assert!(read_frame(client) == (0x82, frame.clone()), "a large frame");
            assert!(read_frame(client) == (0x82, frame[..40].to_vec()), "a small frame");
        }
    }
    for client in &mut clients {
        client.write_all(&text("still there")).unwrap();
        assert_eq!(read_text(client), "still there");
    }
    drop(clients);
    stage.server.wait_empty();
}

#[test]
fn the_name_that_is_asked_for_chooses_the_certificate() {
    let authority = Authority::new();
    let files = vec![
        authority.issue("first", &["first.test"]),
        authority.issue("second", &["second.test", "*.third.test"]),
    ];
    let tls = Tls::load(files).unwrap();
    assert_eq!(tls.certificates(), 2);
    let server = serve_with(&NetConfig::default(), Some(&tls));
    let clients = Arc::new(authority.clients(&[&TLS13, &TLS12]));
    let ask = |name: &str| -> io::Result<()> {
        let mut client = over(connect(server.addr), &clients, name);
        client.write_all(b"GET /path?x HTTP/1.1\r\nHost: h\r\n\r\n")?;
        read_answer(&mut client);
        Ok(())
    };
    for good in ["first.test", "second.test", "a.third.test"] {
        ask(good).unwrap();
    }
    // These get the first one, which is not for them.
    for bad in ["third.test", "a.b.third.test", "other.test"] {
        let error = ask(bad).unwrap_err();
        assert!(error.to_string().contains("not valid for name"), "{error}");
    }
}

#[test]
fn certificates_are_read_anew_and_a_wrong_one_changes_nothing() {
    let stage = stage(&NetConfig::default());
    let mut clients = stage.authority.clients(&[&TLS13]);
    // A session that is taken up shows what it began with.
    clients.resumption = Resumption::disabled();
    let clients = Arc::new(clients);
    let dial = |name: &str| over(connect(stage.server.addr), &clients, name);
    let shown = |client: &mut Client| {
        client.write_all(b"GET /path?x HTTP/1.1\r\nHost: h\r\n\r\n").unwrap();
        read_answer(client);
        client.conn.peer_certificates().unwrap()[0].clone()
    };
    let mut old = stage.open("/ws");
    let first = shown(&mut dial("h.test"));
    assert!(!stage.tls.has_changed());

    fs::write(&stage.files.certificate, "nonsense").unwrap();
    assert!(stage.tls.has_changed());
    let problem = stage.tls.reload().unwrap_err().to_string();
    assert!(problem.contains("one.pem") && problem.contains("no certificate"), "{problem}");
    assert!(!stage.tls.has_changed(), "what is wrong is said once");
    assert_eq!(shown(&mut dial("h.test")), first);

    let renewed = stage.authority.issue("one", &["h.test", "new.test"]);
    assert_eq!(renewed, stage.files);
    stage.tls.reload().unwrap();
    assert_ne!(shown(&mut dial("new.test")), first);
    // Who was there before stays.
    old.write_all(&text("here")).unwrap();
    assert_eq!(read_text(&mut old), "here");
}

#[test]
fn what_is_wrong_with_a_file_is_said_with_its_name() {
    let authority = Authority::new();
    let good = authority.issue("good", &["h.test"]);
    let other = authority.issue("other", &["h.test"]);
    let path = |name: &str| authority.directory().join(name);
    let write = |name: &str, text: &str| {
        fs::write(path(name), text).unwrap();
        path(name)
    };
    let key = fs::read_to_string(&good.key).unwrap();
    let cut = write("cut.pem", &key[..key.len() / 2]);
    let scrambled = write("scrambled.pem", &key.replace(&key[60..70], "!!!!!!!!!!"));
    let empty = write("empty.pem", "");
    for (certificate, key, name, what) in [
        (&path("missing.pem"), &good.key, "missing.pem", "cannot be read"),
        (&good.certificate, &path("gone.pem"), "gone.pem", "cannot be read"),
        (&empty, &good.key, "empty.pem", "no certificate"),
        (&good.key, &good.key, "good-key.pem", "no certificate"),
        (&good.certificate, &good.certificate, "good.pem", "no private key"),
        (&good.certificate, &other.key, "other-key.pem", "is not the key of"),
        (&good.certificate, &cut, "cut.pem", "no end"),
        (&good.certificate, &scrambled, "scrambled.pem", "not base64"),
        (&authority.directory().to_owned(), &good.key, "", "is no file"),
    ] {
        let files = CertificateFiles { certificate: certificate.clone(), key: key.clone() };
        let problem = Tls::load(vec![files]).unwrap_err().to_string();
        assert!(problem.contains(name) && problem.contains(what), "{name}, {what}: {problem}");
        assert!(!problem.contains(&key_text(key)), "a key's bytes are not for logs");
    }
}

/// The first line of a file behind its head, if it has one.
fn key_text(path: &std::path::Path) -> String {
    let text = fs::read_to_string(path).unwrap_or_default();
    text.lines().nth(1).unwrap_or("no line").to_owned()
}

#[test]
fn a_stalled_handshake_ends_at_its_deadline_and_holds_nobody() {
    let config = NetConfig { handshake_ms: 200, head_ms: 600_000, ..NetConfig::default() };
    let stage = stage(&config);
    stage.server.tell(Command::Rest);
    let mut hello = Vec::new();
    let mut session = over(Nowhere, &stage.clients, "h.test").conn;
    session.write_tls(&mut hello).unwrap();
    let stalled: Vec<TcpStream> = [0, 1, 5, hello.len() - 1]
        .into_iter()
        .map(|len| {
            let mut client = connect(stage.server.addr);
            client.write_all(&hello[..len]).unwrap();
            client
        })
        .collect();
    // Meanwhile others come and talk.
    let mut client = stage.open("/ws");
    client.write_all(&text("hello")).unwrap();
    assert_eq!(read_text(&mut client), "hello");
    for mut client in stalled {
        assert_eq!(read_all(&mut client), b"");
    }
    // The deadline was the handshake's; the connection that has completed its own stays.
    client.write_all(&text("still there")).unwrap();
    assert_eq!(read_text(&mut client), "still there");
    stage.server.wake();
    stage.wait_failures(TlsFailure::Timeout, 4);
}

/// A socket that is none.
struct Nowhere;

impl Read for Nowhere {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        Err(ErrorKind::WouldBlock.into())
    }
}

impl Write for Nowhere {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        Err(ErrorKind::WouldBlock.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn an_end_is_announced_and_one_without_announcement_is_an_end_too() {
    let stage = stage(&NetConfig::default());
    // The server's end: a Close frame, then close_notify, then the socket's end.
    let mut client = stage.open("/ws");
    stage.server.tell(Command::CloseAll);
    assert_eq!(read_close(&mut client), 4000, "a clean end: else reading fails");
    drop(client);
    // The client's: announced, or not.
    for announced in [true, false] {
        let mut client = stage.open("/ws");
        client.write_all(&text("last")).unwrap();
        assert_eq!(read_text(&mut client), "last");
        if announced {
            client.conn.send_close_notify();
            client.flush().unwrap();
        }
        client.sock.shutdown(Shutdown::Write).unwrap();
        let mut rest = Vec::new();
        client.sock.read_to_end(&mut rest).unwrap();
    }
    stage.server.wait_empty();
    let state = stage.server.seen[0].get();
    assert_eq!(state.ended, [Ended::Lost, Ended::Lost]);
    assert_eq!(state.counters.tls_failures, [0; TlsFailure::ALL.len()]);
    assert_eq!(state.counters.linger_timeouts, 0);
}

#[test]
fn http_to_the_tls_port_is_told_so_and_tls_to_the_plain_port_is_closed() {
    let stage = stage(&NetConfig::default());
    for request in ["GET / HTTP/1.1\r\nHost: h\r\n\r\n", "P", &handshake("/ws")] {
        let mut client = connect(stage.server.addr);
        client.write_all(request.as_bytes()).unwrap();
        let (head, body) = read_answer(&mut client);
        assert!(head.starts_with("HTTP/1.1 400 "), "{head}");
        assert!(String::from_utf8(body).unwrap().contains("wss://"));
        assert_eq!(read_all(&mut client), b"");
    }
    stage.wait_failures(TlsFailure::Plaintext, 3);
    stage.server.wait_empty();

    let plain = serve(&NetConfig::default());
    let mut client = over(connect(plain.addr), &stage.clients, "h.test");
    let error = client.write_all(b"GET").and_then(|()| client.flush()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::UnexpectedEof, "{error}");
    plain.seen[0].wait("the count", |state| state.counters.tls_unexpected == 1);
    drop(client);
    plain.wait_empty();
}

#[test]
fn failures_are_told_apart_and_answered_with_an_alert() {
    let stage = stage(&NetConfig::default());
    let try_with = |config: ClientConfig| {
        let mut client = over(connect(stage.server.addr), &Arc::new(config), "h.test");
        client.write_all(b"x").and_then(|()| client.flush()).unwrap_err().to_string()
    };
    let mut other_protocol = stage.authority.clients(&[&TLS13]);
    other_protocol.alpn_protocols = vec![b"h2".to_vec()];
    let error = try_with(other_protocol);
    assert!(error.contains("NoApplicationProtocol"), "{error}");
    stage.wait_failures(TlsFailure::Incompatible, 1);

    let error = try_with(Authority::new().clients(&[&TLS13, &TLS12]));
    assert!(error.contains("invalid peer certificate"), "{error}");
    stage.wait_failures(TlsFailure::Alert, 1);

    // A handshake record of nonsense, and a record behind the handshake that nobody sealed.
    let mut client = connect(stage.server.addr);
    client.write_all(&[0x16, 3, 1, 0, 5, 1, 0, 0, 1, 9]).unwrap();
    assert_eq!(read_all(&mut client)[..3], [0x15, 3, 3], "an alert");
    stage.wait_failures(TlsFailure::Malformed, 1);
    let mut client = stage.open("/ws");
    client.sock.write_all(&[0x17, 3, 3, 0, 20]).unwrap();
    client.sock.write_all(&[0; 20]).unwrap();
    let error = client.read(&mut [0]).unwrap_err().to_string();
    assert!(error.contains("BadRecordMac"), "{error}");
    drop(client);
    stage.wait_failures(TlsFailure::Malformed, 2);

    let mut client = connect(stage.server.addr);
    client.write_all(&[0x16, 3, 1]).unwrap();
    drop(client);
    stage.wait_failures(TlsFailure::Lost, 1);
    // Who comes and goes without a word has not failed.
    drop(connect(stage.server.addr));
    stage.server.wait_empty();
    assert_eq!(stage.failures(TlsFailure::Lost), 1);
    assert_eq!(stage.server.seen[0].get().ended, [Ended::Lost]);
}

#[test]
fn there_is_an_alert_where_there_is_no_place() {
    let config = NetConfig { connections_max: 1, ..NetConfig::default() };
    let stage = stage(&config);
    let kept = stage.open("/ws");
    let mut client = stage.dial();
    let error = client.write_all(b"x").and_then(|()| client.flush()).unwrap_err();
    assert!(error.to_string().contains("InternalError"), "{error}");
    drop(kept);
    stage.server.wait_empty();
    drop(stage.open("/ws"));
    assert_eq!(stage.server.seen[0].get().counters.shed, 1);
}

/// However the stream is cut, nothing is lost or repeated on the way to the other reactor.
#[test]
fn a_connection_takes_its_session_along_to_another_reactor() {
    let stage = stage(&NetConfig::default());
    let mut client = stage.open("/over");
    client.write_all(&text("who")).unwrap();
    assert_eq!(read_text(&mut client), "1");
    drop(client);
    stage.server.seen[1].wait("nobody", |state| state.connections == 0);
    let frames = [text("a"), text("who"), text("detach"), text("b"), frame(0x01, b"c")];
    let more = [frame(0x80, b"d"), text("who"), text("detach"), text("e"), text("who")];
    let stream = [frames.concat(), more.concat()].concat();
    for cut in (0..stream.len()).step_by(3) {
        let mut client = stage.open("/ws");
        // Two records in one segment or two; the second may have been decrypted with the first.
        client.conn.writer().write_all(&stream[..cut]).unwrap();
        client.conn.writer().write_all(&stream[cut..]).unwrap();
        client.flush().unwrap();
        let mut heard = Vec::new();
        while heard.last().is_none_or(|last| last != "e") {
            heard.push(read_text(&mut client));
        }
        assert_eq!(read_text(&mut client), "0");
        let all = ["a", "0", "b", "cd", "1", "e"];
        let mut expected = all.iter();
        assert!(heard.iter().all(|one| expected.any(|other| other == one)), "{heard:?}");
    }
    // And with bytes that the socket has not taken.
    stage.server.wait_empty();
    let mut client = stage.open("/ws");
    let large: Vec<u8> = (0..16_000_000_u32).map(|n| (n / 3) as u8).collect();
    stage.server.tell(Command::Broadcast(Frame::new(&large), FrameKind::Binary));
    stage.server.seen[0].wait("a blocked write", |state| state.counters.short_writes > 0);
    stage.server.tell(Command::DetachAll);
    stage.server.seen[1].wait("the connection", |state| state.connections > 0);
    client.write_all(&text("who")).unwrap();
    let (first, payload) = read_frame(&mut client);
    assert!(first == 0x82, "{first}");
    // What the first driver had not pushed is lost with its queue; the frame is whole.
    assert!(payload == large);
    assert_eq!(read_text(&mut client), "1");
}

#[test]
fn handshakes_have_a_budget_in_each_turn_and_wait_for_those_who_are_there() {
    let authority = Authority::new();
    let tls = Tls::load(vec![authority.issue("one", &["h.test"])]).unwrap();
    let clients = Arc::new(authority.clients(&[&TLS13]));
    let mut local = local(NetConfig { handshakes_per_turn: 2, ..NetConfig::default() });
    let mut player = local.open(1, "/ws").remove(0);
    local.reactor.speak_tls(tls);
    let addr = local.addr;
    let crowd: Vec<_> = (0..20)
        .map(|_| {
            let mut client = over(connect(addr), &clients, "h.test");
            client.conn.write_tls(&mut client.sock).unwrap();
            client
        })
        .collect();
    player.write_all(&text("move")).unwrap();
    local.turn_until("all accepted", |counters, _| counters.accepted == 21);
    let written = local.reactor.counters().bytes_out;
    // Each turn answers at most two of them, and the player, who came last, in the first.
    let mut turns = 0;
    let answered = |client: &Client| client.sock.peek(&mut [0]).is_ok();
    for client in &crowd {
        client.sock.set_nonblocking(true).unwrap();
    }
    loop {
        let before = crowd.iter().filter(|client| answered(client)).count();
        local.reactor.run_turn().unwrap();
        turns += 1;
        let after = crowd.iter().filter(|client| answered(client)).count();
        assert!(after - before <= 2, "{before} before and {after} after one turn");
        if after == crowd.len() {
            break;
        }
        assert!(turns < 1000, "{after} of {} were answered", crowd.len());
    }
    assert!(turns >= 8, "{turns} turns for 20 handshakes");
    assert!(local.reactor.counters().bytes_out > written);
    assert_eq!(read_text(&mut player), "move");
}
