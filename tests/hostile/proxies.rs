//! Proxies that are none, and what people write into the fields that proxies write into.

use crate::stage::attacked;
use crate::support::http::handshake;
use socket2::{Domain, Socket, Type};
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

/// The proxy, by the settings below; everybody else comes from 127.0.0.1.
const PROXY: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);
const STRANGER: Ipv4Addr = Ipv4Addr::LOCALHOST;
const BANNED: &str = "192.0.2.9";
/// Who comes through a proxy is not of this machine, so that this has to be said.
const OPEN: &str = "auth.anonymous=everywhere";

/// What is said to bytes that come from an address: the first line, empty where the connection was
/// ended without a word.
fn says(addr: SocketAddr, from: Ipv4Addr, bytes: &[u8]) -> String {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    socket.bind(&SocketAddr::from((from, 0)).into()).expect("loopback is all of 127/8");
    socket.connect(&addr.into()).expect("it accepts");
    let mut stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(crate::support::PATIENCE)).expect("a socket");
    // It may be refused while it is written.
    let _ = stream.write_all(bytes);
    let mut answer = Vec::new();
    let mut piece = [0; 512];
    loop {
        match stream.read(&mut piece) {
            Ok(count @ 1..) => answer.extend_from_slice(&piece[..count]),
            Ok(0) => break,
            Err(error) => {
                assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
                break;
            }
        }
        if answer.windows(2).any(|two| two == b"\r\n") {
            break;
        }
    }
    stream.set_read_timeout(Some(Duration::from_millis(1))).expect("a socket");
    let answer = String::from_utf8_lossy(&answer).into_owned();
    answer.lines().next().unwrap_or_default().to_owned()
}

const WELCOME: &str = "HTTP/1.1 101 Switching Protocols";

#[test]
fn a_header_of_the_proxy_protocol_is_the_proxys_alone() {
    let ban = format!("access.bans=[{{ network = \"{BANNED}/32\" }}]");
    let settings = [
        "access.proxies=127.0.0.2/32",
        "access.proxy_protocol=true",
        &ban,
        "access.trusted=",
        OPEN,
    ];
    attacked(&settings, |stage| {
        let play = stage.process.play;
        let request = handshake("/raw/a", "");
        let line = |client: &str| format!("PROXY TCP4 {client} 192.0.2.2 5 443\r\n{request}");
        // The proxy's word counts.
        assert_eq!(says(play, PROXY, line("192.0.2.1").as_bytes()), WELCOME);
        assert_eq!(says(play, PROXY, line(BANNED).as_bytes()), "HTTP/1.1 403 Forbidden");
        // It has to say it, and say it right.
        for bad in [
            request.clone(),
            format!("PROXY TCP4 nobody 192.0.2.2 5 443\r\n{request}"),
            format!("PROXY TCP4 {}", "1".repeat(200)),
            format!("\r\n\r\n\0\r\nQUIT\n\u{2}{request}"),
        ] {
            assert_eq!(says(play, PROXY, bad.as_bytes()), "", "{bad:.40}");
        }
        // A stranger's is no request at all.
        for client in ["192.0.2.1", BANNED] {
            let answer = says(play, STRANGER, line(client).as_bytes());
            assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
        }
        stage.go_on();
    });
}

#[test]
fn fields_of_forwarding_are_the_proxys_alone() {
    let ban = format!("access.bans=[{{ network = \"{BANNED}/32\" }}]");
    for (field, forwarded) in [("X-Forwarded-For", "x-forwarded-for"), ("Forwarded", "forwarded")] {
        let kind = format!("access.forwarded={forwarded}");
        let settings = ["access.proxies=127.0.0.2/32", &kind, &ban, "access.trusted=", OPEN];
        attacked(&settings, |stage| {
            let play = stage.process.play;
            let list = |list: &str| {
                let list = match field {
                    "Forwarded" => list.replace(", ", ", for=").replacen("", "for=", 1),
                    _ => list.to_owned(),
                };
                handshake("/raw/a", &format!("{field}: {list}\r\n"))
            };
            let is_let_in = |from, text: &str| says(play, from, list(text).as_bytes()) == WELCOME;
            assert!(is_let_in(PROXY, "192.0.2.1"));
            assert!(!is_let_in(PROXY, BANNED));
            // What the client made up stands on the left, and does not hide it.
            assert!(!is_let_in(PROXY, &format!("192.0.2.1, {BANNED}")));
            assert!(!is_let_in(PROXY, &format!("127.0.0.1, {BANNED}")));
            assert!(is_let_in(PROXY, &format!("{BANNED}, 192.0.2.1")));
            // Who is no proxy is who it is, whatever it writes.
            assert!(is_let_in(STRANGER, BANNED));
            stage.go_on();
        });
    }
}
