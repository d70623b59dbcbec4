//! Who may connect, by address: bans, rates, and what proxies say. All of loopback is this machine's,
//! so that a client can have any address of it.

use crate::client::{handshake, read_all, read_answer, read_head, read_text, text};
use crate::driver::PATIENCE;
use crate::server::{Server, serve_shared};
use crate::signed::{Authority, over};
use madang::net::access::{Ban, Forwarded};
use madang::net::{Access, AccessSettings, NetConfig, Shared, Tls};
use rustls::version::TLS13;
use socket2::{Domain, Socket, Type};
use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// The address of the proxy; all others are clients'.
const PROXY: [u8; 4] = [127, 0, 0, 7];

fn serve(config: &NetConfig, settings: AccessSettings, tls: Option<&Tls>) -> Server {
    serve_shared(config, tls, Shared::with_access(Arc::new(Access::new(settings))))
}

/// Nobody is trusted, and one address is a proxy's.
fn strict() -> AccessSettings {
    AccessSettings {
        trusted: Vec::new(),
        proxies: vec!["127.0.0.7/32".parse().unwrap()],
        ..AccessSettings::default()
    }
}

fn ban(network: &str, until: Option<SystemTime>) -> Ban {
    Ban { network: network.parse().unwrap(), until }
}

/// A connection from an address of this machine.
fn from(address: [u8; 4], server: &Server) -> TcpStream {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::from((Ipv4Addr::from(address), 0)).into()).unwrap();
    socket.connect(&server.addr.into()).unwrap();
    socket.set_tcp_nodelay(true).unwrap();
    let stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

fn request(fields: &str) -> String {
    format!("GET /client HTTP/1.1\r\nHost: h\r\n{fields}\r\n")
}

/// What a request is answered: the status, and the body without its end.
fn answer(client: &mut TcpStream) -> (u16, String) {
    let (head, body) = read_answer(client);
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect(&head);
    (status, String::from_utf8(body).unwrap().trim_end().to_owned())
}

fn ask(client: &mut TcpStream, bytes: &str) -> (u16, String) {
    client.write_all(bytes.as_bytes()).unwrap();
    answer(client)
}

#[test]
fn who_is_banned_hears_nothing_until_the_ban_has_ended() {
    let hour = Duration::from_secs(3600);
    let settings = AccessSettings {
        bans: vec![
            ban("127.0.1.0/24", None),
            ban("127.0.2.1/32", Some(SystemTime::now() - hour)),
            ban("127.0.2.2/32", Some(SystemTime::now() + hour)),
        ],
        ..AccessSettings::default()
    };
    let server = serve(&NetConfig::default(), settings, None);
    for banned in [[127, 0, 1, 1], [127, 0, 1, 200], [127, 0, 2, 2]] {
        assert_eq!(read_all(&mut from(banned, &server)), b"");
    }
    for good in [[127, 0, 0, 1], [127, 0, 2, 1]] {
        assert_eq!(ask(&mut from(good, &server), &request("")).0, 200);
    }
    server.seen[0].wait("the bans", |state| state.counters.banned == 3);
    server.wait_empty();
}

#[test]
fn an_address_that_comes_too_fast_is_told_and_others_are_let_in() {
    let settings = AccessSettings { connects_per_second: 1, connects_burst: 3, ..strict() };
    let config = NetConfig { retry_after_s: 7, ..NetConfig::default() };
    let server = serve(&config, settings, None);
    let greedy = [127, 0, 0, 2];
    for _ in 0..3 {
        assert_eq!(ask(&mut from(greedy, &server), &request("")).0, 200);
    }
    // It may get one more for a second that has passed meanwhile.
    let mut client = from(greedy, &server);
    if read_head(&mut client).starts_with("HTTP/1.1 429 ") {
        client = from(greedy, &server);
    }
    drop(client);
    let refused = server.seen[0].wait("a refusal", |state| state.counters.too_fast > 0);
    assert!(refused.counters.http_answers[3] >= refused.counters.too_fast);
    assert_eq!(ask(&mut from([127, 0, 0, 3], &server), &request("")).0, 200);
    server.wait_empty();
}

/// Headers of both versions for 192.0.2.1, or for the proxy itself.
fn headers() -> Vec<(Vec<u8>, &'static str)> {
    let v2 = |command: u8, family: u8, rest: &[u8]| {
        let fixed = [b"\r\n\r\n\0\r\nQUIT\n", &[command, family, 0, rest.len() as u8][..]].concat();
        [&fixed, rest].concat()
    };
    vec![
        (b"PROXY TCP4 192.0.2.1 127.0.0.1 5632 443\r\n".to_vec(), "192.0.2.1"),
        (b"PROXY UNKNOWN\r\n".to_vec(), "127.0.0.7"),
        (v2(0x21, 0x11, &[192, 0, 2, 1, 127, 0, 0, 1, 1, 2, 3, 4, 4, 0, 1, 9]), "192.0.2.1"),
        (v2(0x20, 0, &[]), "127.0.0.7"),
    ]
}

#[test]
fn a_proxys_header_says_who_comes_and_nobody_elses_does() {
    let settings = AccessSettings { proxy_protocol: true, ..strict() };
    let config = NetConfig { connections_per_ip_max: 1, ..NetConfig::default() };
    let server = serve(&config, settings, None);
    for (header, client) in headers() {
        // At once with the request, and byte by byte.
        let all = [&header[..], request("Connection: close\r\n").as_bytes()].concat();
        for piece in [all.len(), 1] {
            let mut proxy = from(PROXY, &server);
            for bytes in all.chunks(piece) {
                proxy.write_all(bytes).unwrap();
            }
            assert_eq!(answer(&mut proxy), (200, client.to_owned()));
            drop(proxy);
            server.wait_empty();
        }
    }
    // The bound of connections is the client's, not the proxy's.
    let line = "PROXY TCP4 192.0.2.1 127.0.0.1 5632 443\r\n";
    let mut first = from(PROXY, &server);
    assert_eq!(ask(&mut first, &format!("{line}{}", request(""))).0, 200);
    assert_eq!(ask(&mut from(PROXY, &server), line).0, 429);
    let other = line.replace("192.0.2.1", "192.0.2.2");
    assert_eq!(ask(&mut from(PROXY, &server), &format!("{other}{}", request(""))).0, 200);
    drop(first);
    // Without its header a proxy is not heard, and with one nobody else is.
    for bad in [request(""), "PROXY TCP4 nonsense\r\n".to_owned(), "\r\n\r\nX".to_owned()] {
        let mut proxy = from(PROXY, &server);
        proxy.write_all(bad.as_bytes()).unwrap();
        assert_eq!(read_all(&mut proxy), b"", "{bad}");
    }
    server.seen[0].wait("the failures", |state| state.counters.preamble_failures == 3);
    let mut liar = from([127, 0, 0, 2], &server);
    // As a request it is malformed.
    assert_eq!(ask(&mut liar, &format!("{line}{}", request(""))).0, 400);
    drop(liar);
    // Whoever says half of one and nothing more ends at the head's deadline, or with its own end.
    let mut half = from(PROXY, &server);
    half.write_all(b"PROXY TC").unwrap();
    half.shutdown(std::net::Shutdown::Write).unwrap();
    assert_eq!(read_all(&mut half), b"");
    server.wait_empty();
}

#[test]
fn a_proxys_header_comes_before_tls() {
    let authority = Authority::new();
    let tls = Tls::load(vec![authority.issue("one", &["h.test"])]).unwrap();
    let clients = Arc::new(authority.clients(&[&TLS13]));
    let settings =
        AccessSettings { proxy_protocol: true, bans: vec![ban("192.0.2.9/32", None)], ..strict() };
    let server = serve(&NetConfig::default(), settings, Some(&tls));
    for (header, expected) in headers() {
        let mut socket = from(PROXY, &server);
        for byte in header {
            socket.write_all(&[byte]).unwrap();
        }
        let mut client = over(socket, &clients, "h.test");
        client.write_all(request("").as_bytes()).unwrap();
        let (_, body) = read_answer(&mut client);
        assert_eq!(String::from_utf8(body).unwrap().trim_end(), expected);
        client.write_all(handshake("/ws").as_bytes()).unwrap();
        read_head(&mut client);
        client.write_all(&text("hi")).unwrap();
        assert_eq!(read_text(&mut client), "hi");
    }
    let mut banned = from(PROXY, &server);
    banned.write_all(b"PROXY TCP4 192.0.2.9 127.0.0.1 5632 443\r\n").unwrap();
    assert_eq!(read_all(&mut banned), b"");
    server.wait_empty();
}

#[test]
fn a_field_of_a_proxys_request_says_who_asks_and_nobody_elses_does() {
    let settings = AccessSettings {
        forwarded: Forwarded::XForwardedFor,
        bans: vec![ban("192.0.2.9/32", None)],
        ..strict()
    };
    let config = NetConfig { connections_per_ip_max: 1, ..NetConfig::default() };
    let server = serve(&config, settings, None);
    let of = |list: &str| request(&format!("X-Forwarded-For: {list}\r\n"));
    // One connection of a proxy carries requests of many.
    let mut proxy = from(PROXY, &server);
    for (list, client) in [
        ("192.0.2.1", "192.0.2.1"),
        ("192.0.2.1", "192.0.2.1"),
        ("192.0.2.9, 192.0.2.2", "192.0.2.2"),
        ("192.0.2.3, 127.0.0.7", "192.0.2.3"),
    ] {
        assert_eq!(ask(&mut proxy, &of(list)), (200, client.to_owned()), "{list}");
    }
    // It is this address's one connection now.
    let mut second = from(PROXY, &server);
    assert_eq!(ask(&mut second, &of("192.0.2.3")).0, 429);
    let mut second = from(PROXY, &server);
    assert_eq!(ask(&mut second, &of("192.0.2.4")).0, 200);
    let mut banned = from(PROXY, &server);
    assert_eq!(ask(&mut banned, &of("192.0.2.9")).0, 403);
    // Who is no proxy is who it is, whatever it says.
    let mut liar = from([127, 0, 0, 2], &server);
    assert_eq!(ask(&mut liar, &of("192.0.2.1")), (200, "127.0.0.2".to_owned()));
    drop((proxy, second, banned, liar));
    server.wait_empty();
}
