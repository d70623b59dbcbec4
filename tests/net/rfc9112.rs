//! RFC 9112, clause by clause: bytes of a client, the answers to them, and whether the connection goes
//! on. What two parties could read in two ways is refused, and nothing behind it is looked at.

use crate::client::{connect, read_all};
use crate::server::serve;
use madang::net::NetConfig;
use std::io::Write;
use std::net::Shutdown;

/// A clause, what is sent, and the statuses of the answers. With an error the last one, the connection
/// must have ended, whatever stands behind it.
struct Case {
    clause: &'static str,
    sent: Vec<u8>,
    statuses: &'static [u16],
}

fn case(clause: &'static str, sent: impl AsRef<[u8]>, statuses: &'static [u16]) -> Case {
    Case { clause, sent: sent.as_ref().to_vec(), statuses }
}

/// A GET with one more field, and another request behind it.
fn with(field: &str) -> String {
    format!("GET /path?x HTTP/1.1\r\nHost: h\r\n{field}\r\n\r\n{NEXT}")
}

/// A POST with these fields and this body, and another request behind it.
fn post(fields: &str, body: &str) -> String {
    format!("POST /body HTTP/1.1\r\nHost: h\r\n{fields}\r\n\r\n{body}{NEXT}")
}

fn line(line: &str) -> String {
    format!("{line}\r\nHost: h\r\n\r\n{NEXT}")
}

/// A request that would be answered 200.
const NEXT: &str = "GET /path?next HTTP/1.1\r\nHost: h\r\n\r\n";

fn cases() -> Vec<Case> {
    let mut long_field = String::from("X: ");
    long_field.push_str(&"x".repeat(9000));
    vec![
        case("2.2: an empty line before a request", format!("\r\n{NEXT}"), &[200]),
        case("2.2: a bare LF ends no line", "GET /path?x HTTP/1.1\nHost: h\n\n", &[400]),
        case("2.2: a bare LF ends no field", with("X: a\nY: b"), &[400]),
        case("2.2: a bare LF ends no head", "GET /path?x HTTP/1.1\r\nHost: h\r\n\n", &[400]),
        case("2.2: a bare LF before a request", format!("\n{NEXT}"), &[400]),
        case("2.2: a bare CR", with("X: a\rY: b"), &[400]),
        case("2.2: a CR before the end of a line", with("X: a\r"), &[400]),
        case(
            "2.2: a space before the first field",
            format!("GET /path?x HTTP/1.1\r\n Host: h\r\n\r\n{NEXT}"),
            &[400],
        ),
        case("2.3: version 0.9", "GET /path\r\n\r\n", &[400]),
        case("2.3: version 1.0", "GET /path?x HTTP/1.0\r\n\r\n", &[200]),
        case("2.3: version 1.2", line("GET /path?x HTTP/1.2"), &[505]),
        case("2.3: version 2", line("GET /path?x HTTP/2.0"), &[505]),
        case("2.3: the preface of version 2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", &[505]),
        case("2.3: a version in small letters", line("GET /path?x http/1.1"), &[400]),
        case("2.3: a version of two digits", line("GET /path?x HTTP/1.10"), &[400]),
        case("2.3: something else for a version", line("GET /path?x ICY/1.0"), &[400]),
        case("2.3: no version at all", line("GET /path?x"), &[400]),
        case("3: two spaces", line("GET  /path?x HTTP/1.1"), &[400]),
        case("3: a tab", line("GET\t/path?x HTTP/1.1"), &[400]),
        case("3: a space at the end", line("GET /path?x HTTP/1.1 "), &[400]),
        case("3: a space at the beginning", line(" GET /path?x HTTP/1.1"), &[400]),
        case("3: a space in the target", line("GET /pa th HTTP/1.1"), &[400]),
        case("3.1: a method that is no token", line("G(T /path?x HTTP/1.1"), &[400]),
        case("3.1: a method without end", "A".repeat(100), &[400]),
        case("3.1: methods have a case", line("get /path?x HTTP/1.1"), &[200, 200]),
        case("3.2: absolute", line("GET http://h/path?x HTTP/1.1"), &[200, 200]),
        case("3.2: absolute without a path", line("GET http://h HTTP/1.1"), &[404, 200]),
        case("3.2: no slash", line("GET path HTTP/1.1"), &[400]),
        case("3.2: an authority", line("CONNECT h:443 HTTP/1.1"), &[400]),
        case("3.2: asterisk", line("OPTIONS * HTTP/1.1"), &[404, 200]),
        case(
            "3.2: a target too long",
            line(&format!("GET /{} HTTP/1.1", "x".repeat(5000))),
            &[414],
        ),
        case("3.2: a control byte in the target", line("GET /pa\x01th HTTP/1.1"), &[400]),
        case("3.2: DEL in the target", line("GET /pa\x7fth HTTP/1.1"), &[400]),
        case("3.2: no host", format!("GET /path?x HTTP/1.1\r\nX: y\r\n\r\n{NEXT}"), &[400]),
        case("3.2: two hosts", with("Host: h"), &[400]),
        case("3.2: two hosts, in any case", with("hOST: other"), &[400]),
        case(
            "3.2: two hosts in version 1.0",
            "GET / HTTP/1.0\r\nHost: h\r\nHost: i\r\n\r\n",
            &[400],
        ),
        case("3.2: a host with a space", "GET / HTTP/1.1\r\nHost: a b\r\n\r\n", &[400]),
        case("3.2: a list of hosts", "GET / HTTP/1.1\r\nHost: a, b\r\n\r\n", &[400]),
        case("3.2: a host with a path", "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", &[400]),
        case("3.2: a host with a user", "GET / HTTP/1.1\r\nHost: a@b\r\n\r\n", &[400]),
        case("5: obs-text in a value", with("X: \u{e4}"), &[200, 200]),
        case("5: a value without anything", with("X:"), &[200, 200]),
        case("5: spaces around a value", with("X:  \t a \t "), &[200, 200]),
        case("5: a tab in a value", with("X: a\tb"), &[200, 200]),
        case("5: NUL in a value", with("X: a\0b"), &[400]),
        case("5: a control byte in a value", with("X: a\x01b"), &[400]),
        case("5.1: a space before the colon", with("X : a"), &[400]),
        case("5.1: a tab before the colon", with("X\t: a"), &[400]),
        case("5.1: no name", with(": a"), &[400]),
        case("5.1: no colon", with("X"), &[400]),
        case("5.1: a name that is no token", with("X(: a"), &[400]),
        case("5.1: a name that is no ASCII", with("\u{e4}: a"), &[400]),
        case("5.2: a folded line", with("X: a\r\n b"), &[400]),
        case("5.2: a line folded with a tab", with("X: a\r\n\tb"), &[400]),
        case(
            "5.2: a folded line that hides a length",
            post("X: a\r\n Content-Length: 3", "abc"),
            &[400],
        ),
        case("5.4: too many fields", with(&"X: y\r\n".repeat(70)), &[431]),
        case("5.4: fields too large", with(&long_field), &[431]),
        case("6.1: chunked", post("Transfer-Encoding: chunked", "0\r\n\r\n"), &[501]),
        case("6.1: chunked on GET", with("Transfer-Encoding: chunked"), &[501]),
        case("6.1: identity", post("Transfer-Encoding: identity", ""), &[501]),
        case("6.1: something like chunked", post("Transfer-Encoding: xchunked", ""), &[501]),
        case("6.1: an empty coding", post("Transfer-Encoding:", ""), &[501]),
        case("6.1: in any case", post("tRANSFER-eNCODING: chunked", "0\r\n\r\n"), &[501]),
        case(
            "6.1: with a length (CL.TE)",
            post("Content-Length: 4\r\nTransfer-Encoding: chunked", "0\r\n\r\n"),
            &[400],
        ),
        case(
            "6.1: with a length (TE.CL)",
            post("Transfer-Encoding: chunked\r\nContent-Length: 4", "0\r\n\r\n"),
            &[400],
        ),
        case(
            "6.1: in version 1.0",
            "POST /body HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            &[501],
        ),
        case("6.2: a length", post("Content-Length: 3", "abc"), &[200, 200]),
        case("6.2: a length with zeros", post("Content-Length: 003", "abc"), &[200, 200]),
        case("6.2: no length is no body", post("X: y", ""), &[200, 200]),
        case("6.2: a length of nothing on GET", with("Content-Length: 0"), &[200, 200]),
        case("6.2: a body on GET", with("Content-Length: 3"), &[400]),
        case(
            "6.2: a body on HEAD",
            format!("HEAD /body HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc{NEXT}"),
            &[400],
        ),
        case("6.2: two lengths", post("Content-Length: 3\r\nContent-Length: 4", "abcd"), &[400]),
        case(
            "6.2: the same length twice",
            post("Content-Length: 3\r\nContent-Length: 3", "abc"),
            &[400],
        ),
        case("6.2: a list of lengths", post("Content-Length: 3, 3", "abc"), &[400]),
        case("6.2: a sign", post("Content-Length: +3", "abc"), &[400]),
        case("6.2: below nothing", post("Content-Length: -3", "abc"), &[400]),
        case("6.2: other digits", post("Content-Length: 0x3", "abc"), &[400]),
        case("6.2: a fraction", post("Content-Length: 3.0", "abc"), &[400]),
        case("6.2: a space inside", post("Content-Length: 3 3", "abc"), &[400]),
        case("6.2: no digits", post("Content-Length:", "abc"), &[400]),
        case("6.2: a body too large", post("Content-Length: 65537", ""), &[413]),
        case("6.2: beyond any number", post("Content-Length: 99999999999999999999", ""), &[413]),
        case("9.3: what stands behind close", with("Connection: close"), &[200]),
        case("9.3: close in a list", with("Connection: foo, CLOSE"), &[200]),
        case("9.3: version 1.0 is not kept", format!("GET /path?x HTTP/1.0\r\n\r\n{NEXT}"), &[200]),
        case(
            "9.3: unless it asks",
            format!("GET /path?x HTTP/1.0\r\nConnection: keep-alive\r\n\r\n{NEXT}"),
            &[200, 200],
        ),
        case("9.3: requests in a row", format!("{NEXT}{NEXT}{NEXT}"), &[200, 200, 200]),
        case(
            "9.3: a body is not a request",
            post("Content-Length: 40", "GET /path?smuggled HTTP/1.1\r\nHost: h\r\n\r\n"),
            &[200, 200],
        ),
        case(
            "9.3: nor is one that is sent to where nothing is",
            post("Content-Length: 40", "GET /path?smuggled HTTP/1.1\r\nHost: h\r\n\r\n")
                .replace("/body", "/nothing"),
            &[404, 200],
        ),
        case("10.1.1 of RFC 9110: another expectation", with("Expect: 200-ok"), &[417]),
    ]
}

/// The statuses in a stream of answers, by their lengths.
fn statuses(mut bytes: &[u8]) -> Vec<u16> {
    let mut found = Vec::new();
    while !bytes.is_empty() {
        let end = bytes.windows(4).position(|four| four == b"\r\n\r\n").expect("a head") + 4;
        let head = std::str::from_utf8(&bytes[..end]).expect("a head is text");
        found.push(head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect(head));
        let length = head.lines().find_map(|line| line.strip_prefix("Content-Length: "));
        let length: usize = length.map_or(0, |length| length.parse().expect("a length"));
        bytes = &bytes[end + length..];
    }
    found
}

#[test]
fn each_clause_holds_however_the_bytes_come() {
    let server = serve(&NetConfig::default());
    let cases = cases();
    let mut wrong = Vec::new();
    for Case { clause, sent, statuses: expected } in &cases {
        for piece in [sent.len(), 1] {
            if piece == 1 && sent.len() > 2000 {
                continue;
            }
            let mut client = connect(server.addr);
            for bytes in sent.chunks(piece) {
                // The server may have ended it already.
                if client.write_all(bytes).is_err() {
                    break;
                }
            }
            let _ = client.shutdown(Shutdown::Write);
            let found = statuses(&read_all(&mut client));
            if found != *expected {
                let shown = String::from_utf8_lossy(sent);
                wrong.push(format!("{clause}: {found:?} instead of {expected:?}: {shown}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    server.wait_empty();
}
