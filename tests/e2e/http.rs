//! What the players' listener answers to those who ask wrongly, too slowly, or too late.

use crate::support::client::{Client, Closed, Dial, Wire, publish};
use crate::support::http::{ask, get, handshake, read};
use crate::support::{Running, config, wait_for};
use crate::talk::message;
use madang::config::Origin;
use madang::metrics::Counter;
use madang_protocol::client::Class;
use std::io::Write as _;
use std::net::{Ipv4Addr, SocketAddr};
use tungstenite::Error;

#[test]
fn each_wrong_request_is_answered_with_what_was_wrong() {
    let server = Running::start(config());
    let addr = server.play_addr();
    let native = "Sec-WebSocket-Protocol: madang.v1\r\n";
    let long = "x".repeat(20_000);
    for (request, status, says) in [
        (handshake("/play", ""), 400, "madang.v1"),
        (handshake("/play", "Sec-WebSocket-Protocol: chat\r\n"), 400, "madang.v1.json"),
        (handshake("/raw/no%2Fslash", ""), 400, "room name"),
        (handshake(&format!("/raw/{}", "x".repeat(129)), ""), 400, "room name"),
        (handshake("/raw/a?echo=yes", ""), 400, "echo"),
        (handshake("/raw/%zz", ""), 400, "percent"),
        (handshake("/nothing", native), 404, "/play"),
        (handshake("/raw", ""), 404, "/raw/"),
        (handshake("/play", native).replace("GET", "POST"), 405, "GET"),
        ("GET /play HTTP/1.1\r\nHost: test\r\n\r\n".to_owned(), 426, "WebSocket"),
        ("GET /raw/a HTTP/1.1\r\nHost: test\r\n\r\n".to_owned(), 426, "WebSocket"),
        (handshake("/play", native).replace("Version: 13", "Version: 12"), 426, "13"),
        (handshake("/play", native).replace("dGhl", "!!!!"), 400, "Sec-WebSocket-Key"),
        (handshake("/play", &format!("X-Long: {long}\r\n")), 431, ""),
        (
            "POST /play HTTP/1.1\r\nHost: test\r\nContent-Length: 99999999\r\n\r\n".to_owned(),
            413,
            "",
        ),
        ("\u{1}\u{2}\r\n\r\n".to_owned(), 400, ""),
    ] {
        let reply = ask(addr, &request);
        let line = request.lines().next().unwrap_or_default();
        assert_eq!(reply.status, status, "{line}: {reply:?}");
        assert!(reply.text().contains(says), "{line}: {reply:?}");
        match status {
            405 => assert_eq!(reply.header("Allow"), Some("GET")),
            426 => assert_eq!(reply.header("Upgrade"), Some("websocket")),
            _ => {}
        }
    }
    // The listener is as it was.
    let (mut client, _) = Client::connect(addr, Wire::Native);
    client.join("plaza");
}

#[test]
fn a_head_that_does_not_come_is_408() {
    let mut config = config();
    config.play.head_ms = 50;
    let server = Running::start(config);
    for part in ["", "GET /pl", "GET /play HTTP/1.1\r\nHost: test\r\n"] {
        let mut stream = Dial::from(server.play_addr()).tcp();
        stream.write_all(part.as_bytes()).expect("open");
        assert_eq!(read(&mut stream).status, 408, "{part:?}");
    }
    assert_eq!(server.count(Counter::HeadTimeouts), 3);
}

#[test]
fn beyond_the_limit_is_503_and_those_inside_notice_nothing() {
    let mut config = config();
    config.play.connections_max = 3;
    let server = Running::start(config);
    let addr = server.play_addr();
    let mut inside: Vec<(Client, _)> = (0..3)
        .map(|_| {
            let (mut client, _) = Client::connect(addr, Wire::Native);
            let joined = client.join("plaza");
            (client, joined)
        })
        .collect();
    for round in 1..=20 {
        let reply = get(addr, "/play");
        assert_eq!(reply.status, 503);
        let seconds = reply.header("Retry-After").and_then(|value| value.parse::<u32>().ok());
        assert!(seconds.is_some_and(|seconds| seconds > 0), "{reply:?}");
        let refused = Client::try_dial(addr, Wire::Native);
        let Err(error) = refused else { panic!("a fourth client was let in") };
        assert!(matches!(*error, Error::Http(_) | Error::Io(_)), "{error:?}");

        let (sender, joined) = &mut inside[round as usize % 3];
        let (channel, cseq) = (joined.channel, round);
        sender.send(&publish(channel, cseq, Class::Reliable, &[round as u8]));
        for (client, _) in &mut inside {
            assert_eq!(client.until(message).cseq.0, cseq);
        }
    }
    // The shards' counts of the last turn may be a turn behind.
    wait_for("the count of those turned away", || {
        for (client, _) in &mut inside {
            client.round_trip(1);
        }
        (server.count(Counter::ConnectionsShed) == 40).then_some(())
    });

    // Who leaves makes room.
    let (gone, _) = inside.pop().expect("three");
    gone.leave();
    let (mut next, _) = wait_for("a free place", || {
        let mut client = Client::try_dial(addr, Wire::Native).ok()?;
        client.send(&crate::support::client::hello(None));
        let welcome = client.welcome();
        Some((client, welcome))
    });
    next.join("plaza");
    assert_eq!(inside[0].0.poll().map(|_| ()), Ok::<(), Closed>(()));
}

#[test]
fn pages_may_connect_that_are_ours_or_named_and_no_others() {
    let origins = |text: &str| -> Vec<Origin> {
        text.split(' ').filter(|one| !one.is_empty()).map(|one| Origin(one.into())).collect()
    };
    let run = |allowed: &str, absent: bool, cases: &[(&str, u16)]| {
        let mut config = config();
        config.access.origins = origins(allowed);
        config.access.origin_absent = absent;
        let server = Running::start(config);
        let (play, watch) = (server.play_addr().port(), server.watch_addr().port());
        let mut refused = 0;
        for (fields, status) in cases {
            let fields =
                fields.replace("PLAY", &play.to_string()).replace("WATCH", &watch.to_string());
            for path in ["/raw/yard", "/play"] {
                let more = format!("Sec-WebSocket-Protocol: madang.v1\r\n{fields}");
                let reply = ask(server.play_addr(), &handshake(path, &more));
                assert_eq!(reply.status, *status, "{allowed}: {path} {fields}");
                if *status == 403 {
                    assert!(reply.text().contains("access.origin"), "{}", reply.text());
                }
            }
            refused += if *status == 403 { 2 } else { 0 };
        }
        wait_for("the count", || (server.count(Counter::OriginsRefused) == refused).then_some(()));
    };
    // The default: the demo's own pages, which are at the side listener of this machine.
    run(
        "self",
        true,
        &[
            ("", 101),
            ("Origin: http://127.0.0.1:WATCH\r\n", 101),
            ("Origin: http://localhost:WATCH\r\n", 101),
            ("Origin: HTTP://LOCALHOST:WATCH\r\n", 101),
            ("Origin: https://[::1]:WATCH\r\n", 101),
            ("Origin: http://127.0.0.1:PLAY\r\n", 101),
            ("Origin: http://127.0.0.1\r\n", 403),
            ("Origin: http://127.0.0.1:1\r\n", 403),
            ("Origin: http://127.0.0.1:WATCH/\r\n", 403),
            ("Origin: http://127.0.0.1:WATCH.evil.example\r\n", 403),
            ("Origin: http://127.0.0.1:WATCH@evil.example\r\n", 403),
            ("Origin: http://localhost.evil.example:WATCH\r\n", 403),
            ("Origin: http://evillocalhost:WATCH\r\n", 403),
            // A name that was made to lead here: the request names it as its host too.
            ("Origin: http://test:PLAY\r\n", 403),
            ("Origin: https://evil.example\r\n", 403),
            ("Origin: null\r\n", 403),
            ("Origin:\r\n", 403),
            ("Origin: file://\r\n", 403),
            ("Origin: http://127.0.0.1:WATCH\r\nOrigin: http://evil.example\r\n", 403),
            ("Origin: http://127.0.0.1:WATCH http://evil.example\r\n", 403),
            ("Origin: http://127.0.0.1:WATCH, http://evil.example\r\n", 403),
        ],
    );
    run(
        "https://play.example null",
        false,
        &[
            ("Origin: https://play.example\r\n", 101),
            ("Origin: null\r\n", 101),
            ("", 403),
            ("Origin: http://play.example\r\n", 403),
            ("Origin: https://play.example:8443\r\n", 403),
            ("Origin: https://evil-play.example\r\n", 403),
            ("Origin: https://play.example.evil.example\r\n", 403),
            ("Origin: https://play.exampl\r\n", 403),
            ("Origin: http://127.0.0.1:WATCH\r\n", 403),
        ],
    );
    run(
        "*",
        true,
        &[("", 101), ("Origin: https://any.example\r\n", 101), ("Origin: null\r\n", 101)],
    );
    run("", true, &[("", 101), ("Origin: http://127.0.0.1:WATCH\r\n", 403)]);
}

/// Where anybody can connect, the server's own pages are those of the host that was asked for.
#[test]
fn own_pages_of_a_public_listener_are_those_of_the_same_host() {
    let mut config = config();
    config.play.listen = "0.0.0.0:0".parse().expect("an address");
    let server = Running::start(config);
    let addr = SocketAddr::from((Ipv4Addr::LOCALHOST, server.play_addr().port()));
    for (origin, status) in [
        ("https://test", 101),
        ("http://TEST:8080", 101),
        ("https://test.evil.example", 403),
        ("https://eviltest", 403),
        ("https://test:80:80", 403),
        ("https://test/", 403),
        ("https://user@test", 403),
        ("https://", 403),
        ("ftp://test", 403),
        ("null", 403),
    ] {
        let reply = ask(addr, &handshake("/raw/yard", &format!("Origin: {origin}\r\n")));
        assert_eq!(reply.status, status, "{origin}");
    }
}
