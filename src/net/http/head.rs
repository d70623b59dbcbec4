//! Parsing a request's head (RFC 9112 sections 2 to 6).

use super::{Request, Response};
use crate::net::NetConfig;
use httparse::{EMPTY_HEADER, Header};

/// Most header fields of a request; more are answered 431.
const HEADERS_MAX: usize = 64;

/// What is longer is no method that anybody knows.
const METHOD_BYTES_MAX: usize = 32;

/// Room for a head's fields, on the stack of the caller.
pub(in super::super) type Fields<'a> = [Header<'a>; HEADERS_MAX];

/// An empty [`Fields`].
pub(in super::super) fn fields<'a>() -> Fields<'a> {
    [EMPTY_HEADER; HEADERS_MAX]
}

/// What a head says.
#[derive(Debug)]
pub(in super::super) struct Head<'a> {
    /// The request, its body still empty.
    pub(in super::super) request: Request<'a>,
    /// How long it is, with its empty line.
    pub(in super::super) bytes: usize,
    /// How long the body is.
    pub(in super::super) body_bytes: usize,
    /// Whether the client waits for `100 Continue` before it sends the body.
    pub(in super::super) expects_continue: bool,
}

/// The length of the head at the start of `bytes`, with its empty line; `None` while it is
/// incomplete. The first `scanned` bytes have been looked at before.
pub(in super::super) fn find_end(
    bytes: &[u8],
    scanned: usize,
    config: &NetConfig,
) -> Result<Option<usize>, Response> {
    let within = &bytes[..bytes.len().min(config.head_bytes_max)];
    // First, so that the answer is the same however much has come at once.
    if scanned < METHOD_BYTES_MAX && !begins_like_http(within) {
        return Err(refuse(400, "This is not HTTP; is it TLS on a plain port?"));
    }
    for at in scanned..within.len() {
        match within[at] {
            b'\n' if at == 0 || within[at - 1] != b'\r' => {
                return Err(refuse(400, "Lines of an HTTP head must end in CR LF."));
            }
            b'\n' if within[..=at].ends_with(b"\r\n\r\n") => return Ok(Some(at + 1)),
            _ => {}
        }
    }
    if bytes.len() < config.head_bytes_max {
        return Ok(None);
    }
    if within.contains(&b'\n') {
        Err(too_many_fields(config))
    } else {
        Err(target_too_long(config))
    }
}

/// Parses a complete head.
pub(in super::super) fn parse<'a>(
    bytes: &'a [u8],
    fields: &'a mut Fields<'a>,
    config: &NetConfig,
) -> Result<Head<'a>, Response> {
    let mut parsed = httparse::Request::new(fields);
    match parsed.parse(bytes) {
        Ok(httparse::Status::Complete(used)) if used == bytes.len() => {}
        Ok(_) => return Err(refuse(400, "The HTTP head is malformed.")),
        Err(httparse::Error::TooManyHeaders) => return Err(too_many_fields(config)),
        Err(httparse::Error::Version) if ends_in_version(bytes) => {
            return Err(refuse(505, "Only HTTP/1.0 and HTTP/1.1 are spoken here."));
        }
        Err(error) => {
            return Err(refuse(400, &format!("The HTTP head is malformed: {error}.")));
        }
    }
    let (Some(method), Some(target), Some(minor)) = (parsed.method, parsed.path, parsed.version)
    else {
        return Err(refuse(400, "The HTTP head is malformed."));
    };
    if target.len() > config.target_bytes_max {
        return Err(target_too_long(config));
    }
    let (path, query) = split_target(target)
        .ok_or_else(|| refuse(400, "The request target must begin with a slash."))?;
    let mut request = Request {
        method,
        path,
        query,
        body: &[],
        keep_alive: false,
        is_http_11: minor == 1,
        headers: parsed.headers,
    };
    check_host(&request)?;
    let body_bytes = body_bytes(&request, config)?;
    // RFC 9112 section 9.3.
    request.keep_alive = !request.has_token("connection", "close")
        && (request.is_http_11 || request.has_token("connection", "keep-alive"));
    let expects_continue = expects_continue(&request)?;
    Ok(Head { request, bytes: bytes.len(), body_bytes, expects_continue })
}

/// An answer to something that cannot be read: what follows cannot be either.
fn refuse(status: u16, text: &str) -> Response {
    Response::text(status, text).closing()
}

fn too_many_fields(config: &NetConfig) -> Response {
    let bytes = config.head_bytes_max;
    refuse(431, &format!("The HTTP head is larger than {bytes} bytes or {HEADERS_MAX} fields."))
}

fn target_too_long(config: &NetConfig) -> Response {
    let bytes = config.target_bytes_max;
    refuse(414, &format!("The request target is longer than {bytes} bytes."))
}

/// Whether the first bytes can be those of a method: so that noise is refused at once, and not at
/// the deadline.
fn begins_like_http(bytes: &[u8]) -> bool {
    let method = bytes.iter().take(METHOD_BYTES_MAX).take_while(|byte| **byte != b' ');
    method.clone().count() < METHOD_BYTES_MAX && method.clone().all(|byte| is_token_byte(*byte))
}

/// RFC 9110 section 5.6.2.
fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// Whether the first line ends in a version of HTTP, any version (RFC 9112 section 2.3), and not in
/// something else that stands where a version is expected.
fn ends_in_version(head: &[u8]) -> bool {
    let line = head.split(|byte| *byte == b'\r').find(|line| !line.trim_ascii().is_empty());
    let words: Vec<_> = line.unwrap_or_default().split(|byte| *byte == b' ').collect();
    let [_, _, version] = words.as_slice() else { return false };
    matches!(version.strip_prefix(b"HTTP/"), Some([major, b'.', minor])
        if major.is_ascii_digit() && minor.is_ascii_digit())
}

/// Path and query of a target in origin, absolute or asterisk form (RFC 9112 section 3.2).
fn split_target(target: &str) -> Option<(&str, &str)> {
    let absolute = |scheme: &str| {
        let prefix = target.get(..scheme.len())?;
        prefix.eq_ignore_ascii_case(scheme).then(|| &target[scheme.len()..])
    };
    let origin = match absolute("http://").or_else(|| absolute("https://")) {
        Some(rest) => match rest.find(['/', '?']) {
            Some(at) => &rest[at..],
            None => "/",
        },
        None => target,
    };
    let origin = origin.split_once('#').map_or(origin, |(before, _)| before);
    let (path, query) = origin.split_once('?').unwrap_or((origin, ""));
    match path {
        "" if origin.len() < target.len() => Some(("/", query)),
        "*" => Some((path, query)),
        _ => path.starts_with('/').then_some((path, query)),
    }
}

/// RFC 9112 section 3.2.
fn check_host(request: &Request<'_>) -> Result<(), Response> {
    let mut hosts =
        request.headers.iter().filter(|header| header.name.eq_ignore_ascii_case("host"));
    match (hosts.next(), hosts.next()) {
        (None, None) if !request.is_http_11 => Ok(()),
        (Some(host), None)
            if host.value.iter().all(|byte| {
                byte.is_ascii_alphanumeric() || b"-._~:[]%!$&'()*+;=".contains(byte)
            }) =>
        {
            Ok(())
        }
        _ => Err(refuse(400, "A request needs exactly one valid Host header.")),
    }
}

/// How long the body is (RFC 9112 section 6).
fn body_bytes(request: &Request<'_>, config: &NetConfig) -> Result<usize, Response> {
    let has = |name: &str| request.headers.iter().any(|h| h.name.eq_ignore_ascii_case(name));
    if has("transfer-encoding") {
        return Err(if has("content-length") {
            refuse(400, "A request cannot have both Content-Length and Transfer-Encoding.")
        } else {
            refuse(501, "Transfer-Encoding is not supported; send a Content-Length.")
        });
    }
    let mut lengths =
        request.headers.iter().filter(|header| header.name.eq_ignore_ascii_case("content-length"));
    let Some(length) = lengths.next() else { return Ok(0) };
    let digits = length.value;
    let one = lengths.next().is_none();
    if !one || digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return Err(refuse(400, "Content-Length must be there once and be a number."));
    }
    // Longer numbers than usize holds are too large all the more.
    let bytes = std::str::from_utf8(digits)
        .ok()
        .and_then(|digits| digits.parse::<usize>().ok())
        .unwrap_or(usize::MAX);
    if bytes > 0 && matches!(request.method, "GET" | "HEAD") {
        return Err(refuse(400, "A GET or HEAD request cannot have a body."));
    }
    if bytes > 0 && request.headers("upgrade").next().is_some() {
        return Err(refuse(400, "An upgrade request cannot have a body."));
    }
    if bytes > config.body_bytes_max {
        let max = config.body_bytes_max;
        return Err(refuse(413, &format!("The body is larger than {max} bytes.")));
    }
    Ok(bytes)
}

/// RFC 9110 section 10.1.1.
fn expects_continue(request: &Request<'_>) -> Result<bool, Response> {
    let mut expectations = request.list("expect");
    match (expectations.next(), expectations.next()) {
        (None, _) => Ok(false),
        (Some(one), None) if one.eq_ignore_ascii_case("100-continue") => Ok(request.is_http_11),
        _ => Err(refuse(417, "The only expectation that is understood is 100-continue.")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Finds and parses: the status of the refusal, or what `then` makes of the head.
    fn check<T>(bytes: &str, then: impl FnOnce(&Head<'_>) -> T) -> Result<T, u16> {
        let config = NetConfig::default();
        let status = |response: Response| {
            assert!(response.close, "a refused head ends the connection");
            assert!(
                response.body.len() > 20 && response.body.ends_with(b".\n") || {
                    response.body.ends_with(b"?\n")
                }
            );
            response.status
        };
        let end = find_end(bytes.as_bytes(), 0, &config).map_err(status)?.ok_or(0_u16)?;
        let mut fields = fields();
        let head = parse(&bytes.as_bytes()[..end], &mut fields, &config).map_err(status)?;
        Ok(then(&head))
    }

    fn status(bytes: &str) -> u16 {
        check(bytes, |_| ()).err().unwrap_or(200)
    }

    #[test]
    fn a_plain_request_is_read() {
        let text = "GET /a/b?c=d HTTP/1.1\r\nHost: h:1\r\nX: ä\r\n\r\nrest";
        let got = check(text, |head| {
            assert_eq!(head.request.header("x"), Some("ä"));
            let request = &head.request;
            (request.path.to_owned(), request.query.to_owned(), request.keep_alive)
        });
        assert_eq!(got, Ok(("/a/b".into(), "c=d".into(), true)));
    }

    #[test]
    fn an_incomplete_head_waits_and_is_scanned_once() {
        let config = NetConfig::default();
        let text = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n";
        for at in 0..text.len() {
            assert_eq!(find_end(&text[..at], 0, &config), Ok(None), "{at}");
            assert_eq!(find_end(text, at, &config), Ok(Some(text.len())), "{at}");
        }
    }

    #[test]
    fn targets() {
        let path = |target: &str| {
            check(&format!("GET {target} HTTP/1.1\r\nHost: h\r\n\r\n"), |head| {
                (head.request.path.to_owned(), head.request.query.to_owned())
            })
        };
        let ok = |path: &str, query: &str| Ok((path.to_owned(), query.to_owned()));
        assert_eq!(path("http://h/a?b"), ok("/a", "b"));
        assert_eq!(path("HTTPS://h"), ok("/", ""));
        assert_eq!(path("http://h?b"), ok("/", "b"));
        assert_eq!(path("/a#b"), ok("/a", ""));
        assert_eq!(path("*"), ok("*", ""));
        assert_eq!(path("a"), Err(400));
        assert_eq!(path("h:443"), Err(400));
        assert_eq!(path("?b"), Err(400));
        assert_eq!(
            path(&format!("/{}", "a".repeat(4095))),
            ok(&format!("/{}", "a".repeat(4095)), "")
        );
        assert_eq!(path(&format!("/{}", "a".repeat(4096))), Err(414));
        assert_eq!(path(&format!("/{}", "a".repeat(9000))), Err(414));
    }

    #[test]
    fn what_could_be_read_in_two_ways_is_refused() {
        let with = |fields: &str| status(&format!("POST / HTTP/1.1\r\n{fields}\r\n\r\n"));
        assert_eq!(with("Host: h"), 200);
        assert_eq!(with("X: y"), 400, "no host");
        assert_eq!(with("Host: h\r\nHost: h"), 400, "two hosts");
        assert_eq!(with("Host: a b"), 400, "no valid host");
        assert_eq!(with("Host: a, b"), 400, "no valid host");
        assert_eq!(with("Host: h\r\nX: a\r\n b"), 400, "folded");
        assert_eq!(with("Host: h\r\nX : a"), 400, "space before the colon");
        assert_eq!(with("Host: h\r\nX: a\rb"), 400, "bare CR");
        assert_eq!(with("Host: h\r\nX: a\nY: b"), 400, "bare LF");
        assert_eq!(with("Host: h\r\nX: a\0b"), 400, "NUL");
        assert_eq!(with("Host: h\r\nContent-Length: 1\r\nTransfer-Encoding: chunked"), 400);
        assert_eq!(with("Host: h\r\nTransfer-Encoding: chunked"), 501);
        assert_eq!(with("Host: h\r\nTransfer-Encoding: identity"), 501);
        for length in ["", "-1", "+1", "1x", "0x1", "1, 1", "1\r\nContent-Length: 1"] {
            assert_eq!(with(&format!("Host: h\r\nContent-Length: {length}")), 400, "{length}");
        }
        assert_eq!(with("Host: h\r\nContent-Length: 65536"), 200);
        assert_eq!(with("Host: h\r\nContent-Length: 65537"), 413);
        assert_eq!(with("Host: h\r\nContent-Length: 99999999999999999999999"), 413);
        assert_eq!(with("Host: h\r\nUpgrade: websocket\r\nContent-Length: 1"), 400);
        assert_eq!(with("Host: h\r\nExpect: 200-ok"), 417);
        assert_eq!(status("GET / HTTP/1.1\nHost: h\n\n"), 400);
        assert_eq!(status("\nGET / HTTP/1.1\r\nHost: h\r\n\r\n"), 400);
        assert_eq!(status("GET / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n\r\nx"), 400);
        assert_eq!(status("GET / HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n"), 200);
    }

    #[test]
    fn versions() {
        assert_eq!(status("GET / HTTP/1.0\r\n\r\n"), 200);
        assert_eq!(status("GET / HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n"), 400);
        assert_eq!(status("GET / HTTP/2.0\r\nHost: h\r\n\r\n"), 505);
        assert_eq!(status("GET / HTTP/1.2\r\nHost: h\r\n\r\n"), 505);
        assert_eq!(status("PRI * HTTP/2.0\r\n\r\n"), 505);
        assert_eq!(status("GET /\r\n\r\n"), 400);
        assert_eq!(status("GET / HTTP/1.1 x\r\nHost: h\r\n\r\n"), 400);
    }

    #[test]
    fn keep_alive_follows_version_and_connection() {
        let keep = |version: &str, field: &str| {
            let text = format!("GET / HTTP/1.{version}\r\nHost: h\r\n{field}\r\n\r\n");
            check(&text, |head| head.request.keep_alive).unwrap()
        };
        assert!(keep("1", "X: y"));
        assert!(!keep("1", "Connection: foo, Close"));
        assert!(!keep("0", "X: y"));
        assert!(keep("0", "Connection: Keep-Alive"));
    }

    #[test]
    fn limits() {
        let fields = |n: usize| {
            let fields = "X: y\r\n".repeat(n - 1);
            status(&format!("GET / HTTP/1.1\r\nHost: h\r\n{fields}\r\n"))
        };
        assert_eq!(fields(HEADERS_MAX), 200);
        assert_eq!(fields(HEADERS_MAX + 1), 431);
        assert_eq!(status(&format!("GET / HTTP/1.1\r\nX: {}", "y".repeat(9000))), 431);
    }

    #[test]
    fn noise_is_refused_before_its_end() {
        assert_eq!(status("\x16\x03\x01\x02"), 400);
        assert_eq!(status(&"a".repeat(33)), 400);
        // Found by fuzzing: it was a method when its head came at once.
        assert_eq!(status(&format!("{} / HTTP/1.1\r\nHost: h\r\n\r\n", "A".repeat(32))), 400);
        assert_eq!(status(&format!("{} / HTTP/1.1\r\nHost: h\r\n\r\n", "A".repeat(31))), 200);
        assert_eq!(status("GE"), 0);
    }
}
