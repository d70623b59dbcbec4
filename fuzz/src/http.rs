//! HTTP heads, and what the side listener reads in them.

use madang::net::access::{Forwarded, forwarded_client};
use madang::net::http::Request;
use madang::net::probe;
use madang::watch::probe::{DELAY_MS_MAX, event_id, publication, spectator as asked};
use madang::watch::sse;
use std::net::IpAddr;

/// A request's head. It means the same however it comes, and what is accepted can be read in one way
/// only.
pub fn http(bytes: &[u8]) {
    // The reader takes these off by itself.
    if matches!(bytes, [] | [b'\r' | 0x16, ..]) {
        return;
    }
    let read = |piece| probe::head(bytes, piece, |request, head, body| facts(request, head, body));
    let whole = read(bytes.len());
    assert_eq!(read(1), whole);
    assert_eq!(read(7), whole);
    if let Ok(Some((head, ..))) = whole {
        let head = &bytes[..head];
        assert!(head.ends_with(b"\r\n\r\n"));
        assert!(!head[..head.len() - 4].windows(4).any(|four| four == b"\r\n\r\n"));
        let bare = |(at, byte): (usize, &u8)| *byte == b'\n' && head[at - 1] != b'\r';
        assert!(!head.iter().enumerate().skip(1).any(bare), "a bare LF");
        assert!(!head.windows(3).any(|three| three == b"\r\n "), "a folded line");
        assert!(!head.windows(3).any(|three| three == b"\r\n\t"), "a folded line");
    }
}

fn facts(request: &Request<'_>, head: usize, body: usize) -> (usize, usize, bool, String) {
    let count = |name| request.raw_headers(name).count();
    assert!(count("host") <= 1 && count("content-length") <= 1);
    assert_eq!(count("transfer-encoding"), 0);
    assert!(body == 0 || !matches!(request.method, "GET" | "HEAD"));
    assert!(request.path.starts_with('/') || request.path == "*");
    assert!(!request.path.contains(['?', '#', ' ', '\r', '\n', '\0']));
    for value in request.headers("x") {
        assert!(!value.contains(['\r', '\n', '\0']));
    }
    let segments = request.segments().collect::<Result<Vec<_>, _>>();
    let pairs = request.query_pairs().collect::<Result<Vec<_>, _>>();
    if let Ok(pairs) = &pairs {
        for (name, _) in pairs {
            let first = pairs.iter().find(|(other, _)| other == name).map(|(_, value)| value);
            if !name.is_empty() {
                assert_eq!(request.query_value(name).as_ref().map(Option::as_ref), Ok(first));
            }
        }
    }
    for kind in [Forwarded::XForwardedFor, Forwarded::Standard] {
        let is_proxy = |address: IpAddr| address.is_loopback();
        let field = kind.field().unwrap_or_default();
        let _ = forwarded_client(kind, request.list(field), is_proxy);
    }
    let handshake = probe::handshake(request);
    if let Ok(head) = &handshake {
        assert!(head.ends_with(b"\r\n\r\n") && request.method == "GET" && body == 0);
        assert_eq!(head.iter().filter(|byte| **byte == b'\n').count(), 5);
    }
    let said = format!(
        "{} {segments:?} {pairs:?} {:?} {handshake:?}",
        request.method,
        request.subprotocols().collect::<Vec<_>>()
    );
    (head, body, request.keep_alive, said)
}

/// The request for a room's events: `Last-Event-ID` on the first line, the query on the second; the
/// rest is an event's data, of which no line can be taken for another field.
pub fn spectator(bytes: &[u8]) {
    let mut lines = bytes.splitn(3, |byte| *byte == b'\n');
    let mut next = || lines.next().unwrap_or_default();
    let (id, query, data) = (next(), next(), next());
    let head =
        [b"GET /rooms/a/events?", query, b" HTTP/1.1\r\nHost: h\r\nLast-Event-ID: ", id].concat();
    let head = [&head, &b"\r\n\r\n"[..]].concat();
    let _ = probe::head(&head, head.len(), |request, _, _| {
        if let Ok((position, delay_ms)) = asked(request) {
            assert!(delay_ms <= DELAY_MS_MAX);
            if let Some((epoch, seq)) = position {
                assert_eq!(event_id(&format!("{epoch}-{seq}")), Some((epoch, seq)));
            }
        }
    });
    let frame = sse::event("message", None, data);
    let inner = frame.strip_suffix(b"\n\n").expect("an event ends in an empty line");
    let mut fields = inner.split(|byte| matches!(byte, b'\n' | b'\r'));
    assert_eq!(fields.next(), Some(&b"event: message"[..]));
    assert!(fields.all(|field| field.starts_with(b"data: ")));
}

/// What a backend publishes: the query on the first line, the type on the second, then the body.
pub fn publish(bytes: &[u8]) {
    let mut lines = bytes.splitn(3, |byte| *byte == b'\n');
    let mut next = || lines.next().unwrap_or_default();
    let (query, media, body) = (next(), next(), next());
    let head = [
        b"POST /rooms/a/publish?",
        query,
        b" HTTP/1.1\r\nHost: h\r\nIdempotency-Key: k\r\nContent-Type: ",
        media,
        b"\r\n\r\n",
    ]
    .concat();
    let _ = probe::head(&head, head.len(), |request, _, _| match publication(request, body) {
        Ok(events) => {
            assert!(!events.is_empty());
            for (name, _) in events {
                assert!(!name.is_empty() && !name.contains(['\r', '\n', '\0']));
            }
        }
        Err(why) => assert!(!why.is_empty() && why.len() < 1000),
    });
}
