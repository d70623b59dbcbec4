//! Requests and answers.

use crate::client::{connect, handshake, read_all, read_answer, read_head};
use crate::driver::BIG;
use crate::driver::Command;
use crate::server::serve;
use madang::net::NetConfig;
use std::io::Write;
use std::net::Shutdown;

#[test]
fn each_refusal_is_on_the_wire_and_says_why() {
    let server = serve(&NetConfig::default());
    let long = "a".repeat(5000);
    let fields = "X: y\r\n".repeat(70);
    let cases = [
        ("\x17\x03\x01 what is this".to_owned(), 400),
        ("GET / HTTP/1.1\r\n\r\n".to_owned(), 400),
        ("GET / HTTP/1.1\nHost: h\n\n".to_owned(), 400),
        (format!("GET /{long} HTTP/1.1\r\nHost: h\r\n\r\n"), 414),
        (format!("GET / HTTP/1.1\r\nHost: h\r\n{fields}\r\n"), 431),
        (format!("GET / HTTP/1.1\r\nX: {long}{long}\r\n"), 431),
        ("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 70000\r\n\r\n".to_owned(), 413),
        ("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n".to_owned(), 501),
        ("GET / HTTP/3.0\r\nHost: h\r\n\r\n".to_owned(), 505),
        ("GET /none HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n".to_owned(), 404),
        ("GET /ws HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n".to_owned(), 426),
        (handshake("/ws").replace("Key: d", "Key: ").replace("Upgrade\r", "Upgrade, close\r"), 400),
    ];
    for (request, status) in &cases {
        let mut client = connect(server.addr);
        client.write_all(request.as_bytes()).unwrap();
        let (head, body) = read_answer(&mut client);
        assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{request}: {head}");
        assert!(head.contains("\r\nConnection: close\r\n"), "{head}");
        assert!(body.len() > 20, "{head}");
        assert_eq!(read_all(&mut client), b"", "{request}");
    }
    server.wait_all_ended_well();
    let answers = server.seen[0].get().counters.http_answers;
    assert_eq!((answers[3], answers[4]), (10, 2));
}

#[test]
fn an_answer_may_come_later_and_holds_back_what_follows() {
    let config = NetConfig { head_ms: 60, idle_ms: 60, ..NetConfig::default() };
    let server = serve(&config);
    let promised = |count| server.seen[0].wait("promises", |state| state.promised == count);
    let mut client = connect(server.addr);
    let request = "POST /later HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n\r\nx";
    let other = "GET /path?x HTTP/1.1\r\nHost: h\r\n\r\n";
    client.write_all([request, other, request].concat().as_bytes()).unwrap();
    promised(1);
    // No deadline of the reactor's holds meanwhile: another connection is closed for one.
    let mut idle = connect(server.addr);
    assert!(read_head(&mut idle).starts_with("HTTP/1.1 408 "));
    assert_eq!(server.seen[0].get().promised, 1, "the next request waits");
    server.tell(Command::Pay("first"));
    let (head, body) = read_answer(&mut client);
    assert!(head.contains("\r\nConnection: keep-alive\r\n"), "{head}");
    assert_eq!(body, b"first\n");
    assert_eq!(read_answer(&mut client).1, b"x\n");
    promised(2);
    server.tell(Command::Pay("second"));
    assert_eq!(read_answer(&mut client).1, b"second\n");

    // The last one of its connection, because the client says so or because reading has ended.
    client.write_all(request.replace("Host", "Connection: close\r\nHost").as_bytes()).unwrap();
    promised(3);
    server.tell(Command::Pay("third"));
    assert!(read_answer(&mut client).0.contains("\r\nConnection: close\r\n"));
    assert_eq!(read_all(&mut client), b"");
    let mut client = connect(server.addr);
    client.write_all(request.as_bytes()).unwrap();
    promised(4);
    server.tell(Command::PauseReads);
    server.tell(Command::Pay("fourth"));
    assert!(read_answer(&mut client).0.contains("\r\nConnection: close\r\n"));
    assert_eq!(read_all(&mut client), b"");
    server.tell(Command::ResumeReads);

    // Who has gone meanwhile is not missed.
    let mut client = connect(server.addr);
    client.write_all(request.as_bytes()).unwrap();
    promised(5);
    drop(client);
    server.tell(Command::Pay("fifth"));
    server.wait_empty();
}

#[test]
fn a_body_may_be_refused_before_it_comes() {
    let server = serve(&NetConfig::default());
    for expect in ["", "Expect: 100-continue\r\n"] {
        let mut client = connect(server.addr);
        let head =
            format!("POST /bodiless HTTP/1.1\r\nHost: h\r\n{expect}Content-Length: 9\r\n\r\n");
        client.write_all(head.as_bytes()).unwrap();
        let (head, _) = read_answer(&mut client);
        assert!(head.starts_with("HTTP/1.1 403 ") && head.contains("\r\nConnection: close\r\n"));
        assert_eq!(read_all(&mut client), b"");
    }
    assert_eq!(server.seen[0].get().bodies, 2);
    // What comes byte by byte is asked about once.
    let mut client = connect(server.addr);
    client.write_all(b"POST /body HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\n").unwrap();
    for byte in [b"a", b"b"] {
        let bytes_in = server.seen[0].wait("the head", |state| state.bodies == 3).counters.bytes_in;
        client.write_all(byte).unwrap();
        server.seen[0].wait("a byte", |state| state.counters.bytes_in > bytes_in);
    }
    client.write_all(b"c").unwrap();
    assert_eq!(read_answer(&mut client).1, b"POST 3");
    assert_eq!(server.seen[0].get().bodies, 3);
}

#[test]
fn a_slow_head_is_answered_408_and_an_idle_connection_is_closed() {
    let config = NetConfig { head_ms: 40, body_ms: 60, idle_ms: 150, ..NetConfig::default() };
    let server = serve(&config);
    // From here on only the reactor's own timers make it turn.
    server.tell(Command::Rest);
    let body_missing = "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\nhalf";
    for part in ["", "G", "GET / HTTP/1.1\r\nHost: h\r\n", body_missing] {
        let mut client = connect(server.addr);
        client.write_all(part.as_bytes()).unwrap();
        let (head, _) = read_answer(&mut client);
        assert!(head.starts_with("HTTP/1.1 408 "), "{head}");
        assert_eq!(read_all(&mut client), b"");
    }
    let mut client = connect(server.addr);
    client.write_all(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n").unwrap();
    read_answer(&mut client);
    assert_eq!(read_all(&mut client), b"", "closed without a word");
    client = connect(server.addr);
    client.write_all(b"GET / HTTP/1.1\r\nHost: h\r\n\r\nGET /").unwrap();
    read_answer(&mut client);
    assert!(read_answer(&mut client).0.starts_with("HTTP/1.1 408 "), "a second head is late");
    server.wake();
    server.seen[0].wait("the count", |state| state.counters.head_timeouts == 5);
}

#[test]
fn pipelined_requests_are_answered_in_order_and_bounded_in_number() {
    let config = NetConfig { requests_max: 5, ..NetConfig::default() };
    let server = serve(&config);
    let mut client = connect(server.addr);
    let requests: String = (0..7).fold(String::new(), |all, n| {
        all + &format!("\r\nGET /path?{n} HTTP/1.1\r\nHost: h\r\n\r\n")
    });
    client.write_all(requests.as_bytes()).unwrap();
    for n in 0..5 {
        let (head, body) = read_answer(&mut client);
        assert_eq!(body, format!("{n}\n").as_bytes());
        assert_eq!(head.contains("Connection: close"), n == 4, "{head}");
    }
    assert_eq!(read_all(&mut client), b"");
    drop(client);
    server.wait_all_ended_well();
}

#[test]
fn bodies_come_and_go() {
    let server = serve(&NetConfig::default());
    let mut client = connect(server.addr);
    // In one piece, in pieces, with a question first, and not at all.
    client.write_all(b"POST /body HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc").unwrap();
    assert_eq!(read_answer(&mut client).1, b"POST 3");
    let head = "PUT /body HTTP/1.1\r\nHost: h\r\nContent-Length: 60000\r\n";
    client.write_all(format!("{head}Expect: 100-continue\r\n\r\n").as_bytes()).unwrap();
    assert_eq!(read_head(&mut client), "HTTP/1.1 100 Continue\r\n\r\n");
    for chunk in vec![1; 60_000].chunks(7000) {
        client.write_all(chunk).unwrap();
    }
    assert_eq!(read_answer(&mut client).1, b"PUT 60000");
    client.write_all(b"HEAD /body HTTP/1.1\r\nHost: h\r\n\r\n").unwrap();
    assert!(read_head(&mut client).contains("\r\nContent-Length: 6\r\n"));
    client
        .write_all(b"GET /big HTTP/1.1\r\nHost: h\r\n\r\nGET /body HTTP/1.1\r\nHost: h\r\n\r\n")
        .unwrap();
    assert!(read_answer(&mut client).1 == BIG);
    assert_eq!(read_answer(&mut client).1, b"GET 0");
    assert!(server.seen[0].get().counters.short_writes > 0, "the big body took several writes");
}

#[test]
fn a_half_closed_client_gets_all_its_answers() {
    let server = serve(&NetConfig::default());
    let mut client = connect(server.addr);
    let get = "GET /path?x HTTP/1.1\r\nHost: h\r\n\r\n";
    client.write_all(format!("{get}{get}GET /big HTTP/1.1\r\nHost: h\r\n\r\n").as_bytes()).unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    assert_eq!(read_answer(&mut client).1, b"x\n");
    assert_eq!(read_answer(&mut client).1, b"x\n");
    assert!(read_answer(&mut client).1 == BIG);
    assert_eq!(read_all(&mut client), b"");
    server.wait_all_ended_well();
}
