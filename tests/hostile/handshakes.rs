//! What is wrong before there is a WebSocket.

use crate::stage::{attacked, ends};
use crate::support::http::{handshake, read};
use crate::support::stream::Stream;
use std::io::{Read as _, Write as _};

const COUNT: usize = 40;

#[test]
fn slow_heads_end_at_the_deadline_from_accept_whatever_they_drip() {
    attacked(&[], |stage| {
        for drip in [&b"X-Slow: a\r\n"[..], b"a", b"\r\n"] {
            let mut slow: Vec<Stream> = (0..COUNT).map(|_| stage.dial().stream()).collect();
            if drip != b"\r\n" {
                for stream in &mut slow {
                    stream.write_all(b"GET /play HTTP/1.1\r\nHost: h\r\nX-Slow: ").expect("sent");
                }
            }
            let mut dripped = 0;
            // Until the server has hung up on all of them.
            while !slow.is_empty() {
                stage.go_on();
                slow.retain_mut(|stream| {
                    let open = stream.write_all(drip).is_ok() && !has_ended(stream);
                    dripped += usize::from(open);
                    open
                });
                // Far more than fit into the deadline, if each took it anew.
                assert!(dripped < COUNT * 10_000, "dripping {drip:?} goes on without end");
            }
            assert!(dripped > COUNT, "they were slow and not refused at once");
        }
    });
}

/// Whether the answer has come and the connection is at its end. It must be a 408.
fn has_ended(stream: &mut Stream) -> bool {
    stream.tcp().set_nonblocking(true).expect("a socket");
    let mut first = [0; 12];
    let found = stream.read(&mut first);
    stream.tcp().set_nonblocking(false).expect("a socket");
    match found {
        Ok(0) => true,
        Ok(_) => {
            assert_eq!(&first, b"HTTP/1.1 408", "{}", String::from_utf8_lossy(&first));
            true
        }
        Err(error) => error.kind() != std::io::ErrorKind::WouldBlock,
    }
}

#[test]
fn silent_connects_end_at_the_deadline() {
    attacked(&["tls.handshake_ms=2000"], |stage| {
        // Without a word, not even one of TLS.
        let silent: Vec<_> = (0..2 * COUNT).map(|_| stage.dial().tcp()).collect();
        stage.go_on();
        for mut socket in silent {
            let mut said = Vec::new();
            // An end by reset is one as well.
            let _ = socket.read_to_end(&mut said);
            let said = String::from_utf8_lossy(&said).into_owned();
            assert!(crate::SEALED || said.starts_with("HTTP/1.1 408 "), "{said}");
        }
    });
}

#[test]
fn who_opens_and_never_says_hello_is_closed() {
    attacked(&[], |stage| {
        let protocol = "Sec-WebSocket-Protocol: madang.v1\r\n";
        let mut silent: Vec<Stream> = (0..COUNT).map(|_| stage.dial().stream()).collect();
        for stream in &mut silent {
            stream.write_all(handshake("/play", protocol).as_bytes()).expect("sent");
            assert_eq!(read(stream).status, 101);
        }
        stage.go_on();
        for stream in &mut silent {
            let code = madang_protocol::CloseCode::HELLO_TIMEOUT.code;
            assert_eq!(crate::stage::close_code(stream), Some(code));
        }
    });
}

#[test]
fn giant_and_overflowing_heads_are_refused_while_they_come() {
    attacked(&[], |stage| {
        let host = "Host: h\r\n";
        for (head, status) in [
            (format!("GET /{} HTTP/1.1\r\n{host}\r\n", "a".repeat(40_000)), 414),
            (format!("GET / HTTP/1.1\r\n{host}{}\r\n", "X: y\r\n".repeat(10_000)), 431),
            (format!("GET / HTTP/1.1\r\n{host}X: {}\r\n\r\n", "y".repeat(100_000)), 431),
            (format!("POST / HTTP/1.1\r\n{host}Content-Length: 18446744073709551616\r\n\r\n"), 413),
            (format!("POST / HTTP/1.1\r\n{host}Content-Length: 9223372036854775807\r\n\r\n"), 413),
            (format!("POST / HTTP/1.1\r\n{host}Content-Length: -1\r\n\r\n"), 400),
            (
                format!("POST / HTTP/1.1\r\n{host}Transfer-Encoding: chunked\r\n\r\nffffffff\r\n"),
                501,
            ),
            ("\u{1}".repeat(5000), 400),
        ] {
            for _ in 0..8 {
                let mut stream = stage.dial().stream();
                // It is refused before it has been sent.
                let _ = stream.write_all(head.as_bytes());
                let line = head.lines().next().unwrap_or_default();
                assert_eq!(read(&mut stream).status, status, "{line:.40}");
                ends(&mut stream);
            }
        }
        stage.go_on();
    });
}

#[test]
fn a_second_request_cannot_be_smuggled_behind_a_handshake_or_a_refusal() {
    attacked(&[], |stage| {
        let smuggled = "GET /raw/smuggled HTTP/1.1\r\nHost: h\r\n\r\n";
        for fields in [
            "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
            "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
            "Content-Length: 5\r\nContent-Length: 0\r\n",
            "Content-Length: 5, 0\r\n",
            "Content-Length : 5\r\n",
            "Transfer-Encoding: xchunked\r\n",
            "X: y\n",
        ] {
            let mut stream = stage.dial().stream();
            let request =
                format!("POST /play HTTP/1.1\r\nHost: h\r\n{fields}\r\n0\r\n\r\n{smuggled}");
            let _ = stream.write_all(request.as_bytes());
            let mut answers = Vec::new();
            let _ = stream.read_to_end(&mut answers);
            let answers = String::from_utf8_lossy(&answers).into_owned();
            assert_eq!(answers.matches("HTTP/1.1 ").count(), 1, "{fields}: {answers}");
        }
        // Behind a handshake everything is frames.
        let mut stream = stage.open("/raw/a");
        stream.write_all(smuggled.as_bytes()).expect("sent");
        assert_eq!(crate::stage::close_code(&mut stream), Some(1002));
    });
}
