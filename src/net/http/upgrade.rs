//! The WebSocket handshake (RFC 6455 section 4.2).

use super::{Request, Response};
use tungstenite::handshake::derive_accept_key;

/// Checks a request for a handshake and gives the head of the answer that completes it, or the
/// answer that refuses it.
pub(in super::super) fn accept(
    request: &Request<'_>,
    subprotocol: Option<&'static str>,
) -> Result<Vec<u8>, Response> {
    let key = check(request)?;
    let mut head = format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: {}\r\n",
        derive_accept_key(key.as_bytes())
    );
    if let Some(subprotocol) = subprotocol {
        debug_assert!(request.subprotocols().any(|offered| offered == subprotocol));
        head.push_str("Sec-WebSocket-Protocol: ");
        head.push_str(subprotocol);
        head.push_str("\r\n");
    }
    head.push_str("\r\n");
    Ok(head.into_bytes())
}

/// The handshake's key, if the request is one.
fn check<'a>(request: &Request<'a>) -> Result<&'a str, Response> {
    let upgrade_required = |text: &str| {
        Response::text(426, text)
            .header("Upgrade", "websocket")
            .header("Sec-WebSocket-Version", "13")
    };
    if request.method != "GET" {
        return Err(Response::text(405, "A WebSocket is opened with GET.").header("Allow", "GET"));
    }
    if !request.is_http_11 {
        return Err(Response::text(400, "A WebSocket is opened with HTTP/1.1, not with 1.0."));
    }
    if !request.has_token("upgrade", "websocket") {
        return Err(upgrade_required(
            "This address speaks WebSocket: open it with a WebSocket \
                                     client (Upgrade: websocket).",
        ));
    }
    if !request.has_token("connection", "upgrade") {
        return Err(Response::text(
            400,
            "The Connection header does not say upgrade; a proxy on the way may have removed it.",
        ));
    }
    let mut versions = request.headers("sec-websocket-version");
    if versions.next() != Some("13") || versions.next().is_some() {
        return Err(upgrade_required("Only WebSocket version 13 is spoken here."));
    }
    let mut keys = request.headers("sec-websocket-key");
    match (keys.next(), keys.next()) {
        (Some(key), None) if is_key(key) => Ok(key),
        _ => Err(Response::text(
            400,
            "Sec-WebSocket-Key must be there once and be 16 random bytes in base64.",
        )),
    }
}

/// Whether this is the base64 of 16 bytes: 22 digits, of which the last has four bits of zero,
/// and two paddings.
fn is_key(key: &str) -> bool {
    let Some(digits) = key.strip_suffix("==") else { return false };
    digits.len() == 22
        && digits.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/'))
        && digits.ends_with(['A', 'Q', 'g', 'w'])
}

#[cfg(test)]
mod tests {
    use super::*;
    use httparse::Header;

    const GOOD: &[(&str, &str)] = &[
        ("Host", "h"),
        ("Connection", "keep-alive"),
        ("Connection", "Upgrade"),
        ("Upgrade", "WebSocket"),
        ("Sec-WebSocket-Version", "13"),
        ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
        ("Sec-WebSocket-Protocol", "a, b"),
        ("Sec-WebSocket-Protocol", "c"),
    ];

    fn answer(method: &str, is_http_11: bool, fields: &[(&str, &str)]) -> Result<String, u16> {
        let headers: Vec<Header<'_>> =
            fields.iter().map(|(name, value)| Header { name, value: value.as_bytes() }).collect();
        let request = Request {
            method,
            path: "/play",
            query: "",
            body: &[],
            keep_alive: true,
            is_http_11,
            headers: &headers,
        };
        accept(&request, Some("b").filter(|b| request.subprotocols().any(|one| one == *b)))
            .map(|head| String::from_utf8(head).unwrap())
            .map_err(|response| {
                assert!(response.body.len() > 20);
                if response.status == 426 {
                    let version = ("Sec-WebSocket-Version", "13".into());
                    assert!(response.headers.contains(&version));
                }
                response.status
            })
    }

    fn without(name: &str, replacement: Option<&'static str>) -> Vec<(&'static str, &'static str)> {
        let kept = GOOD.iter().copied().filter(|(field, _)| *field != name);
        let name = GOOD.iter().find(|(field, _)| *field == name).map_or("X", |(field, _)| field);
        kept.chain(replacement.map(|value| (name, value))).collect()
    }

    #[test]
    fn the_example_of_section_1_3_is_accepted() {
        let head = answer("GET", true, GOOD).unwrap();
        assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
        assert!(head.contains("\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"));
        assert!(head.contains("\r\nSec-WebSocket-Protocol: b\r\n"));
        assert!(head.ends_with("\r\n\r\n"));
    }

    #[test]
    fn each_missing_part_is_refused() {
        assert_eq!(answer("POST", true, GOOD), Err(405));
        assert_eq!(answer("GET", false, GOOD), Err(400));
        assert_eq!(answer("GET", true, &without("Upgrade", None)), Err(426));
        assert_eq!(answer("GET", true, &without("Upgrade", Some("h2c"))), Err(426));
        assert_eq!(answer("GET", true, &without("Connection", None)), Err(400));
        assert_eq!(answer("GET", true, &without("Connection", Some("close"))), Err(400));
        assert_eq!(answer("GET", true, &without("Sec-WebSocket-Version", None)), Err(426));
        assert_eq!(answer("GET", true, &without("Sec-WebSocket-Version", Some("8"))), Err(426));
        assert_eq!(answer("GET", true, &without("Sec-WebSocket-Key", None)), Err(400));
        for key in ["", "abc", "dGhlIHNhbXBsZSBub25jZR==", "dGhlIHNhbXBsZSBub25jZ!=="] {
            assert_eq!(answer("GET", true, &without("Sec-WebSocket-Key", Some(key))), Err(400));
        }
        let twice = [GOOD, &[("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==")]].concat();
        assert_eq!(answer("GET", true, &twice), Err(400));
    }
}
