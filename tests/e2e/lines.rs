//! Connections made of HTTP requests: what only they can do, or do wrong. The traffic of the other
//! files over them is in `tests/e2e_events` and `tests/e2e_polls`.

use crate::support::client::{Client, Closed, Dial, Wire, hello, publish};
use crate::support::http::{Reply, ask, read};
use crate::support::line::Way;
use crate::support::player::Player;
use crate::support::stream::Stream;
use crate::support::{Dice, Running, config, config_with_long_history, wait_for};
use crate::talk::message;
use madang::config::Origin;
use madang::metrics::Counter;
use madang_protocol::client::{Class, Ping};
use madang_protocol::server::{Pong, Welcome};
use madang_protocol::{ClientMessage, CloseCode, ServerMessage, codec};
use std::io::Write as _;
use std::net::SocketAddr;

const NATIVE: &str = "application/octet-stream";

fn batch(message: &ClientMessage<'_>) -> Vec<u8> {
    let mut bytes = Vec::new();
    codec::encode_client(message, &mut bytes);
    bytes
}

fn messages(batch: &[u8]) -> Vec<ServerMessage<'static>> {
    let decode = |one| codec::decode_server(one).expect("it decodes").into_owned();
    codec::split_batch(batch).map(|one| decode(one.expect("well formed"))).collect()
}

/// A POST, with further header lines.
fn post(path: &str, fields: &str, body: &[u8]) -> Vec<u8> {
    let length = body.len();
    let head =
        format!("POST {path} HTTP/1.1\r\nHost: test\r\n{fields}Content-Length: {length}\r\n\r\n");
    [head.as_bytes(), body].concat()
}

/// A kept connection that requests are made on.
struct Http(Stream);

impl Http {
    fn new(addr: SocketAddr) -> Self {
        Self(Dial::from(addr).stream())
    }

    fn write(&mut self, request: &[u8]) {
        self.0.write_all(request).expect("open");
        self.0.flush().expect("open");
    }

    fn ask(&mut self, request: &[u8]) -> Reply {
        self.write(request);
        read(&mut self.0)
    }

    /// Opens a line; returns its key.
    fn open(&mut self) -> (String, Welcome) {
        let fields = format!("Content-Type: {NATIVE}\r\n");
        let reply = self.ask(&post("/play/http", &fields, &batch(&hello(None))));
        assert_eq!(reply.status, 200, "{reply:?}");
        assert_eq!(reply.header("content-type"), Some(NATIVE));
        assert!(reply.header("madang-wait").is_some());
        let key = reply.header("madang-line").expect("a key").to_owned();
        match messages(&reply.body).pop() {
            Some(ServerMessage::Welcome(welcome)) => (key, welcome),
            other => panic!("a welcome comes first, not {other:?}"),
        }
    }
}

fn to_line(verb: &str, key: &str, number: u64, body: &[u8]) -> Vec<u8> {
    let fields = format!("Madang-Line: {key}\r\nMadang-Number: {number}\r\n");
    post(&format!("/play/http/{verb}"), &fields, body)
}

#[test]
fn every_way_meets_in_one_room_and_sees_the_same_order() {
    const EACH: usize = 40;
    let server = Running::start(config_with_long_history());
    let addr = server.play_addr();
    let mut players: Vec<Player> = [Way::Socket, Way::Events, Way::Polls]
        .into_iter()
        .flat_map(|way| [(way, Wire::Native), (way, Wire::Json)])
        .map(|(way, wire)| Player::connect(Dial::from(addr).by(way), wire))
        .collect();
    let channel = players.iter_mut().map(|player| player.join(&["plaza"])).max().expect("some");
    for i in 0..EACH {
        for (p, player) in players.iter_mut().enumerate() {
            player.publish(channel, format!("{p} {i}").into_bytes()).expect("open");
        }
    }
    let all = EACH * players.len();
    for player in &mut players {
        player.read_until_logged(channel, all);
        assert_eq!(player.unacked(), 0);
    }
    let reference = players[0].room(channel).log.clone();
    for player in &players {
        assert_eq!(player.room(channel).log, reference);
        let own = reference.iter().filter(|entry| entry.from == player.room(channel).member.0);
        let numbers: Vec<u64> = own.map(|entry| entry.cseq).collect();
        assert_eq!(numbers, (1..=EACH as u64).collect::<Vec<_>>(), "a sender's order is kept");
    }
    assert_eq!((server.count(Counter::Lines), server.count(Counter::LineStreams)), (4, 2));
}

/// Going from one way to another is a resume like any other.
#[test]
fn changing_the_way_in_the_middle_loses_and_repeats_nothing() {
    const CHANGES: usize = 40;
    let server = Running::start(config_with_long_history());
    let addr = server.play_addr();
    let ways = [Way::Socket, Way::Events, Way::Polls];
    let mut dice = Dice::new(6);
    let mut mate = Player::connect(addr, Wire::Native);
    let channel = mate.join(&["plaza"]);
    for wire in [Wire::Native, Wire::Json] {
        let mut player = Player::connect(Dial::from(addr).by(Way::Polls), wire);
        player.join(&["plaza"]);
        let (before, mut said) = (mate.room(channel).log.len(), 0);
        let mut seen = [0; 3];
        for i in 0..CHANGES {
            // Some of it is on its way, in both directions, when the way changes.
            for _ in 0..dice.below(6) {
                mate.publish(channel, format!("mate {said}").into_bytes()).expect("open");
                player.publish(channel, format!("player {said}").into_bytes()).expect("open");
                said += 2;
            }
            for _ in 0..dice.below(4).min(player.unacked() as u64) {
                player.step().expect("open");
            }
            let next = dice.below(3) as usize;
            seen[next] += 1;
            player.go_by(ways[next]);
            match i % 3 {
                // The old one is still there, is gone, or is broken.
                0 => drop(player.detach()),
                1 => player.cut(true),
                _ => player.cut(false),
            }
            player.resume();
        }
        player.read_until_logged(channel, said);
        mate.read_until_logged(channel, before + said);
        assert_eq!(player.room(channel).log, mate.room(channel).log[before..]);
        assert!(said > 100 && seen.iter().all(|times| *times > 5), "{said} {seen:?}");
        assert_eq!(player.resumes as usize, CHANGES);
        player.cut(true);
    }
    wait_for("the count of resumes", || {
        (server.count(Counter::ResumesRecovered) >= 2 * CHANGES as u64).then_some(())
    });
    assert_eq!(server.count(Counter::ResumesReset), 0);
}

#[test]
fn a_send_that_comes_again_is_answered_and_not_applied_and_none_is_left_out() {
    let server = Running::start(config());
    let addr = server.play_addr();
    let (mut http, mut other) = (Http::new(addr), Http::new(addr));
    let (key, _) = http.open();
    // What is asked twice would be answered twice.
    let ask = |id| batch(&ClientMessage::Ping(Ping { id }));
    for number in 1..=5_u64 {
        let request = to_line("send", &key, number, &ask(number));
        assert_eq!(http.ask(&request).status, 204);
        // Over the same connection and another, now and later, and with another content.
        assert_eq!(http.ask(&request).status, 204);
        assert_eq!(other.ask(&request).status, 204);
        assert_eq!(other.ask(&to_line("send", &key, 1, &ask(99))).status, 204);
        // One that is too early is not taken.
        let reply = other.ask(&to_line("send", &key, number + 2, &ask(98)));
        assert_eq!(reply.status, 409);
        assert!(reply.text().contains(&format!("number {}", number + 1)), "{}", reply.text());
    }
    let mut heard = Vec::new();
    for number in 1.. {
        if heard.len() >= 5 {
            break;
        }
        let reply = http.ask(&to_line("poll", &key, number, &[]));
        heard.extend(messages(&reply.body).into_iter().map(|message| match message {
            ServerMessage::Pong(pong) => pong.id,
            other => panic!("a pong, not {other:?}"),
        }));
    }
    assert_eq!(heard, [1, 2, 3, 4, 5]);
    wait_for("the counts", || {
        let sends = server.count(Counter::LineSends);
        (sends == 5 && server.count(Counter::LineRepeats) == 15).then_some(())
    });
}

#[test]
fn a_poll_that_comes_again_is_answered_the_same_and_the_next_one_says_that_it_came() {
    let server = Running::start(config());
    let addr = server.play_addr();
    let (mut http, mut other) = (Http::new(addr), Http::new(addr));
    let (key, _) = http.open();
    let ping = |id| batch(&ClientMessage::Ping(Ping { id }));
    let pong = |reply: &Reply| match messages(&reply.body).as_slice() {
        [ServerMessage::Pong(Pong { id, .. })] => *id,
        other => panic!("a pong, not {other:?}"),
    };
    assert_eq!(http.ask(&to_line("send", &key, 1, &ping(1))).status, 204);
    let first = http.ask(&to_line("poll", &key, 1, &[]));
    assert_eq!((first.status, pong(&first)), (200, 1));
    assert_eq!(http.ask(&to_line("send", &key, 2, &ping(2))).status, 204);
    // The answer was lost on the way.
    for http in [&mut http, &mut other] {
        let again = http.ask(&to_line("poll", &key, 1, &[]));
        assert_eq!((again.status, &again.body), (200, &first.body));
    }
    for number in [3, 4, 100] {
        let reply = http.ask(&to_line("poll", &key, number, &[]));
        assert_eq!(reply.status, 409);
        assert!(reply.text().contains("number 2"), "{}", reply.text());
    }
    assert_eq!(pong(&http.ask(&to_line("poll", &key, 2, &[]))), 2);
    assert_eq!(http.ask(&to_line("poll", &key, 1, &[])).status, 409, "that one had come");

    // One that waits gives way to its repeat.
    http.write(&to_line("poll", &key, 3, &[]));
    wait_for("the poll to be there", || {
        (server.count(Counter::ConnectionsAccepted) > 0).then_some(())
    });
    let mut third = Http::new(addr);
    let waits = |http: &mut Http| http.write(&to_line("poll", &key, 3, &[]));
    waits(&mut third);
    // Either of the two came first.
    let mut sender = Http::new(addr);
    wait_for("the repeat", || (server.count(Counter::LineRepeats) == 3).then_some(()));
    assert_eq!(sender.ask(&to_line("send", &key, 3, &ping(3))).status, 204);
    let replies = [read(&mut http.0), read(&mut third.0)];
    let mut statuses = replies.each_ref().map(|reply| reply.status);
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 409]);
    let answer = replies.iter().find(|reply| reply.status == 200).expect("one");
    assert_eq!(pong(answer), 3);
}

#[test]
fn each_wrong_request_is_answered_with_what_was_wrong_and_the_line_goes_on() {
    let server = Running::start(config());
    let addr = server.play_addr();
    let mut http = Http::new(addr);
    let (key, welcome) = http.open();
    let most = welcome.limits.message_bytes_max as usize;
    let hello = batch(&hello(None));
    let native = format!("Content-Type: {NATIVE}\r\n");
    let mut unknown = key.clone().into_bytes();
    unknown[20] = if unknown[20] == b'0' { b'1' } else { b'0' };
    let unknown = String::from_utf8(unknown).expect("digits");
    let far = format!("0000ff00{}", &key[8..]);
    let other_node = format!("0100{}", &key[4..]);
    let named = format!("Madang-Line: {key}\r\n");
    for (request, status, says) in [
        (post("/play/http", "", &hello), 415, "octet-stream"),
        (post("/play/http", "Content-Type: text/plain\r\n", &hello), 415, "madang.v1.json"),
        (post("/play/http", "Content-Type: application/json\r\n", &[0xff]), 400, "UTF-8"),
        (post("/play/http", &native, &[]), 400, "hello"),
        (post("/play/http/", &native, &hello), 404, "/play"),
        (post("/play/http/eat", &named, &[]), 404, "/play"),
        (b"GET /play/http HTTP/1.1\r\nHost: test\r\n\r\n".to_vec(), 405, "POST"),
        (b"GET /play/http/events HTTP/1.1\r\nHost: test\r\n\r\n".to_vec(), 405, "POST"),
        (format!("POST /play/http HTTP/1.1\r\nHost: test\r\n{native}\r\n").into_bytes(), 411, "Length"),
        (format!("POST /play/http/send HTTP/1.1\r\nHost: test\r\n{named}Madang-Number: 1\r\n\r\n").into_bytes(), 411, "Length"),
        (format!("POST /play/http/send HTTP/1.1\r\nHost: test\r\n{named}Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n").into_bytes(), 501, "Content-Length"),
        (format!("POST /play/http/send HTTP/1.1\r\nHost: test\r\n{named}Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n").into_bytes(), 400, "both"),
        (post("/play/http/send", "Host: other\r\n", &[]), 400, "Host"),
        (post("/play/http/send", "Content-Length: 0\r\n", &[]), 400, "once"),
        (post("/play/http/send", "", &[]), 400, "Madang-Line"),
        (post("/play/http/send", &format!("{named}{named}"), &[]), 400, "Madang-Line"),
        (post("/play/http/send", "Madang-Line: abc\r\n", &[]), 400, "Madang-Line"),
        (post("/play/http/send", &named, &[]), 400, "Madang-Number"),
        (to_line("send", &key, 0, &[]), 400, "Madang-Number"),
        (post("/play/http/poll", &format!("{named}Madang-Number: -1\r\n"), &[]), 400, "Madang-Number"),
        (post("/play/http/poll", &format!("{named}Madang-Number: 1\r\nMadang-Number: 1\r\n"), &[]), 400, "Madang-Number"),
        (post("/play/http/poll", &format!("{named}Madang-Number: 99999999999999999\r\n"), &[]), 400, "Madang-Number"),
        (to_line("send", &unknown, 1, &[]), 410, "no such line"),
        (to_line("send", &far, 1, &[]), 410, "no such line"),
        (to_line("poll", &other_node, 1, &[]), 410, "no such line"),
        (post("/play/http/events", &format!("Madang-Line: {unknown}\r\n"), &[]), 410, "no such line"),
        (post("/play/http/close", &format!("Madang-Line: {unknown}\r\n"), &[]), 204, ""),
        (post("/play/http/close", &format!("Madang-Line: {other_node}\r\n"), &[]), 410, "no such line"),
        (post("/play/http/close?code=7", &named, &[]), 400, "code"),
        (to_line("send", &key, 1, &vec![0; most.max(16 << 10) + 1]), 413, ""),
    ] {
        let text = String::from_utf8_lossy(&request).into_owned();
        let reply = ask(addr, &text);
        assert_eq!(reply.status, status, "{text}: {reply:?}");
        assert!(reply.text().contains(says), "{text}: {reply:?}");
        assert_eq!(reply.header("cache-control"), Some("no-store"), "{text}");
    }
    // The line is as it was.
    let ping = batch(&ClientMessage::Ping(Ping { id: 5 }));
    assert_eq!(http.ask(&to_line("send", &key, 1, &ping)).status, 204);
    let reply = http.ask(&to_line("poll", &key, 1, &[]));
    assert!(matches!(messages(&reply.body).as_slice(), [ServerMessage::Pong(_)]));
    // A body that nobody will read is not waited for.
    let head = format!(
        "POST /play/http/send HTTP/1.1\r\nHost: test\r\nMadang-Line: {far}\r\n\
         Madang-Number: 1\r\nContent-Length: 1000\r\n\r\n"
    );
    assert_eq!(ask(addr, &head).status, 410);
}

#[test]
fn garbage_closes_the_line_and_its_end_is_told_to_whoever_asks() {
    let server = Running::start(config());
    let addr = server.play_addr();
    let bad = format!("{} {}", CloseCode::BAD_MESSAGE.code, CloseCode::BAD_MESSAGE.name);
    let mut http = Http::new(addr);
    for (media_type, hello) in [
        (NATIVE, &[0xff; 9][..]),
        ("application/json", b"{}"),
        ("application/json; charset=utf-8", b"{\"ping\":{\"id\":1}}"),
    ] {
        let fields = format!("Content-Type: {media_type}\r\n");
        let reply = http.ask(&post("/play/http", &fields, hello));
        assert_eq!(reply.status, 200, "{reply:?}");
        assert_eq!(reply.header("madang-close"), Some(&*bad), "{reply:?}");
        assert_eq!(reply.header("madang-line"), None);
        assert!(reply.body.is_empty());
    }
    let (key, _) = http.open();
    let reply = http.ask(&to_line("send", &key, 1, &[9, 9, 9]));
    assert_eq!((reply.status, reply.header("madang-close")), (410, Some(&*bad)));
    for number in [1, 1, 2] {
        let reply = http.ask(&to_line("poll", &key, number, &[]));
        assert_eq!((reply.status, reply.header("madang-close")), (200, Some(&*bad)), "{number}");
    }
    let reply = http.ask(&to_line("poll", &key, 9, &[]));
    assert_eq!((reply.status, reply.header("madang-close")), (410, Some(&*bad)));
    let reply = http.ask(&post("/play/http/events", &format!("Madang-Line: {key}\r\n"), &[]));
    assert_eq!((reply.status, reply.header("madang-close")), (410, Some(&*bad)));
    wait_for("the counts", || {
        let text = server.metrics().exposition();
        text.contains("madang_closed_total{code=\"bad_message\"} 4\n").then_some(())
    });
}

#[test]
fn a_line_has_a_stream_or_polls() {
    let server = Running::start(config());
    let mut http = Http::new(server.play_addr());
    let (key, _) = http.open();
    let ping = batch(&ClientMessage::Ping(Ping { id: 1 }));
    assert_eq!(http.ask(&to_line("send", &key, 1, &ping)).status, 204);
    assert_eq!(http.ask(&to_line("poll", &key, 1, &[])).status, 200);
    let events = |key: &str| post("/play/http/events", &format!("Madang-Line: {key}\r\n"), &[]);
    assert_eq!(http.ask(&events(&key)).status, 409);

    let (key, _) = http.open();
    let mut stream = Http::new(server.play_addr());
    let reply = stream.ask(&events(&key));
    assert_eq!(reply.status, 200);
    assert_eq!(http.ask(&events(&key)).status, 409);
    assert_eq!(http.ask(&to_line("poll", &key, 1, &[])).status, 409);
    // With its stream the line ends.
    drop(stream);
    wait_for("the end of the line", || {
        (http.ask(&to_line("send", &key, 1, &[])).status == 410).then_some(())
    });
}

#[test]
fn pages_of_other_origins_may_use_lines_as_they_may_sockets() {
    let mut config = config();
    config.access.origins = vec![Origin("https://play.example".into())];
    let server = Running::start(config);
    let addr = server.play_addr();
    let hello = batch(&hello(None));
    for (origin, status) in [("https://play.example", 200), ("https://evil.example", 403)] {
        let preflight = ask(
            addr,
            &format!(
                "OPTIONS /play/http/send HTTP/1.1\r\nHost: test\r\nOrigin: {origin}\r\n\
                 Access-Control-Request-Method: POST\r\n\
                 Access-Control-Request-Headers: madang-line, madang-number\r\n\r\n"
            ),
        );
        assert_eq!(preflight.status, if status == 200 { 204 } else { 403 });
        let fields = format!("Origin: {origin}\r\nContent-Type: {NATIVE}\r\n");
        let text = String::from_utf8(post("/play/http", &fields, &hello)).expect("text");
        let reply = ask(addr, &text);
        assert_eq!(reply.status, status, "{reply:?}");
        if status == 403 {
            assert!(reply.text().contains("access.origin"), "{reply:?}");
            assert_eq!(reply.header("access-control-allow-origin"), None);
            continue;
        }
        for reply in [&preflight, &reply] {
            assert_eq!(reply.header("access-control-allow-origin"), Some(origin));
            assert_eq!(reply.header("vary"), Some("Origin"));
        }
        let allowed = preflight.header("access-control-allow-headers").expect("a list");
        assert!(
            ["Content-Type", "Madang-Line", "Madang-Number"].iter().all(|f| allowed.contains(f))
        );
        let exposed = reply.header("access-control-expose-headers").expect("a list");
        assert!(["Madang-Line", "Madang-Close"].iter().all(|field| exposed.contains(field)));
        // What is answered later, and what is refused, can be read as well.
        let key = reply.header("madang-line").expect("a key");
        let fields = format!("Origin: {origin}\r\nMadang-Line: {key}\r\nMadang-Number: 7\r\n");
        let reply =
            ask(addr, std::str::from_utf8(&post("/play/http/send", &fields, &[])).expect("text"));
        assert_eq!(reply.status, 409);
        assert_eq!(reply.header("access-control-allow-origin"), Some(origin));
    }
    wait_for("the count", || (server.count(Counter::OriginsRefused) == 2).then_some(()));
}

#[test]
fn who_switches_them_off_has_none() {
    let mut config = config();
    config.play.http = false;
    let server = Running::start(config);
    let fields = format!("Content-Type: {NATIVE}\r\n");
    let text = String::from_utf8(post("/play/http", &fields, &batch(&hello(None)))).expect("text");
    assert_eq!(ask(server.play_addr(), &text).status, 404);
    Client::connect(Dial::from(server.play_addr()).by(Way::Socket), Wire::Native).0.round_trip(1);
}

#[test]
fn a_line_takes_a_place_among_connections() {
    let mut config = config();
    config.play.connections_max = 4;
    let server = Running::start(config);
    let addr = server.play_addr();
    let mut http = Http::new(addr);
    let keys = [http.open().0, http.open().0, http.open().0];
    let fields = format!("Content-Type: {NATIVE}\r\n");
    let fourth = post("/play/http", &fields, &batch(&hello(None)));
    let reply = http.ask(&fourth);
    assert_eq!(reply.status, 503);
    assert!(reply.header("retry-after").is_some());
    // Who goes makes room, at once.
    let leave = |key: &str| post("/play/http/close", &format!("Madang-Line: {key}\r\n"), &[]);
    assert_eq!(http.ask(&leave(&keys[0])).status, 204);
    let late = http.ask(&to_line("poll", &keys[0], 1, &[]));
    assert_eq!(late.header("madang-close"), Some("1000 normal"));
    assert_eq!(http.ask(&to_line("send", &keys[1], 1, &[])).status, 204);
    assert_eq!(http.ask(&leave(&keys[1])).status, 204);
    let mut waiting = Http::new(addr);
    for _ in 0..10 {
        let (key, _) = http.open();
        waiting.write(&to_line("poll", &key, 1, &[]));
        assert_eq!(http.ask(&leave(&key)).status, 204);
        assert_eq!(read(&mut waiting.0).header("madang-close"), Some("1000 normal"));
    }
}

#[test]
fn who_answers_no_ping_is_closed_and_who_asks_for_nothing_is_gone() {
    let mut config = config();
    (config.play.ping_ms, config.play.pong_ms) = (60, 300);
    (config.play.http_idle_ms, config.play.http_wait_ms) = (100, 40);
    let server = Running::start(config);
    let addr = server.play_addr();
    // Both answer: one the pings, the other by asking again.
    for way in [Way::Events, Way::Polls] {
        let (mut alive, _) = Client::connect(Dial::from(addr).by(way), Wire::Json);
        alive.await_pings(8);
        alive.round_trip(1);
        alive.leave();
    }
    assert_eq!(server.count(Counter::SessionsAway), 0);

    // A stream that is written to and nobody answers.
    let mut http = Http::new(addr);
    let (key, _) = http.open();
    let mut stream = Http::new(addr);
    let events = post("/play/http/events", &format!("Madang-Line: {key}\r\n"), &[]);
    assert_eq!(stream.ask(&events).status, 200);
    let mut text = String::new();
    std::io::Read::read_to_string(&mut stream.0, &mut text).expect("it ends");
    assert!(text.starts_with("event: open\ndata: 40\n\n"), "{text}");
    assert!(text.contains("\n:\n\n"), "a sign of life: {text}");
    assert!(text.contains("event: ping\ndata:\n\n"), "{text}");
    assert!(text.ends_with("event: close\ndata: 4010 liveness_timeout\n\n"), "{text}");

    // One that asks for nothing: its session waits for a resume.
    let (key, welcome) = http.open();
    wait_for("the end of the idle line", || (server.count(Counter::LinesIdle) == 1).then_some(()));
    assert_eq!(http.ask(&to_line("poll", &key, 1, &[])).status, 410);
    let mut again = Client::dial(Dial::from(addr).by(Way::Polls), Wire::Native);
    let resume = madang_protocol::client::Resume { key: welcome.resume_key, rooms: Vec::new() };
    again.send(&hello(Some(resume)));
    assert!(again.welcome().resumed);
}

#[test]
fn a_poll_whose_client_has_gone_gives_its_place_to_the_next() {
    let server = Running::start(config());
    let addr = server.play_addr();
    let mut http = Http::new(addr);
    let (key, _) = http.open();
    let mut gone = Http::new(addr);
    gone.write(&to_line("poll", &key, 1, &[]));
    drop(gone);
    let ping = batch(&ClientMessage::Ping(Ping { id: 1 }));
    assert_eq!(http.ask(&to_line("send", &key, 1, &ping)).status, 204);
    // Whether or not an answer was written to the one that is gone, nothing is lost.
    let poll = to_line("poll", &key, 1, &[]);
    let mut reply = http.ask(&poll);
    if reply.status == 409 {
        // What the one that is gone had asked was read only now, and had taken its place.
        reply = http.ask(&poll);
    }
    assert!(matches!(messages(&reply.body).as_slice(), [ServerMessage::Pong(_)]), "{reply:?}");
}

#[test]
fn who_sends_more_than_it_may_waits_for_its_answers() {
    const MESSAGES: u64 = 60;
    let mut config = config();
    (config.play.messages_per_second, config.play.messages_burst) = (200, 10);
    let server = Running::start(config);
    let addr = server.play_addr();
    let (mut mate, _) = Client::connect(addr, Wire::Native);
    let channel = mate.join("plaza").channel;
    for way in [Way::Events, Way::Polls] {
        let before = server.count(Counter::ReadPausesRate);
        let (mut hasty, _) = Client::connect(Dial::from(addr).by(way), Wire::Native);
        hasty.join("plaza");
        for cseq in 1..=MESSAGES {
            hasty.send(&publish(channel, cseq, Class::Reliable, b"x"));
        }
        for cseq in 1..=MESSAGES {
            assert_eq!(mate.until(message).cseq.0, cseq);
        }
        assert!(server.count(Counter::ReadPausesRate) > before);
        hasty.leave();
    }
}

#[test]
fn a_hint_and_a_resume_lead_to_the_right_shard() {
    let server = Running::start(config());
    let addr = server.play_addr();
    let home = madang_engine::peer::home_of("plaza", 2).0;
    let fields = format!("Content-Type: {NATIVE}\r\n");
    for _ in 0..8 {
        let mut http = Http::new(addr);
        let reply = http.ask(&post("/play/http?room=plaza", &fields, &batch(&hello(None))));
        let welcome = match messages(&reply.body).pop() {
            Some(ServerMessage::Welcome(welcome)) => welcome,
            other => panic!("a welcome comes first, not {other:?}"),
        };
        assert_eq!(welcome.resume_key.shard(), home);
        // The session stays where it is, whatever the hint says.
        let away = (0..100)
            .map(|i| format!("room{i}"))
            .find(|name| madang_engine::peer::home_of(name, 2).0 != home);
        let path = format!("/play/http?room={}", away.expect("one"));
        let resume = madang_protocol::client::Resume { key: welcome.resume_key, rooms: Vec::new() };
        let reply = Http::new(addr).ask(&post(&path, &fields, &batch(&hello(Some(resume)))));
        match messages(&reply.body).pop() {
            Some(ServerMessage::Welcome(again)) => assert!(again.resumed),
            other => panic!("a welcome comes first, not {other:?}"),
        }
    }
}

#[test]
fn large_messages_come_down_whole() {
    let mut config = config_with_long_history();
    (config.play.message_bytes_max, config.play.batch_bytes_max) = (1 << 20, 1 << 20);
    let server = Running::start(config);
    let addr = server.play_addr();
    for way in [Way::Events, Way::Polls] {
        for wire in [Wire::Native, Wire::Json] {
            let mut player = Player::connect(Dial::from(addr).by(way), wire);
            let channel = player.join(&["plaza"]);
            let before = player.room(channel).log.len();
            let sizes = [1, 5_000, 20_000, 70_000, 300_000, 2];
            for size in sizes {
                player.publish(channel, vec![size as u8; size]).expect("open");
            }
            player.read_until_logged(channel, before + sizes.len());
            let got = player.room(channel).log[before..].iter().map(|entry| entry.payload.len());
            assert_eq!(got.collect::<Vec<_>>(), sizes);
            assert_eq!(player.client().poll().map(|_| ()), Ok::<(), Closed>(()));
        }
    }
}
