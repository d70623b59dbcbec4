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
        ("\x16\x03\x01 what is this".to_owned(), 400),
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
fn a_slow_head_is_answered_408_and_an_idle_connection_is_closed() {
    let config = NetConfig { head_ms: 40, idle_ms: 150, ..NetConfig::default() };
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
