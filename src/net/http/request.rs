//! A complete request, as a driver sees it.

use std::borrow::Cow;
use std::fmt;

/// A request: everything borrowed from the receive buffer.
#[derive(Clone, Copy)]
pub struct Request<'a> {
    /// The method, as it came: methods are case-sensitive (RFC 9110 section 9.1).
    pub method: &'a str,
    /// The target's path, still percent-encoded; begins with `/`, except for `OPTIONS *`.
    pub path: &'a str,
    /// What follows the `?`, still encoded; empty if there is none.
    pub query: &'a str,
    /// The body, at most [`super::super::NetConfig::body_bytes_max`] bytes.
    pub body: &'a [u8],
    /// Whether the connection may be kept after the answer (RFC 9112 section 9.3).
    pub keep_alive: bool,
    /// Whether the version is 1.1; else it is 1.0.
    pub(in super::super) is_http_11: bool,
    pub(in super::super) headers: &'a [httparse::Header<'a>],
}

/// Text that is not what percent-encoding or UTF-8 allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed;

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a percent-encoding is incomplete, or does not decode to UTF-8")
    }
}

impl std::error::Error for Malformed {}

impl<'a> Request<'a> {
    /// The values of all fields of this name that are UTF-8, in order. Names are compared without
    /// regard to ASCII case.
    pub fn headers(&self, name: &str) -> impl Iterator<Item = &'a str> {
        self.headers
            .iter()
            .filter(move |header| header.name.eq_ignore_ascii_case(name))
            .filter_map(|header| std::str::from_utf8(header.value).ok())
            .map(str::trim_ascii)
    }

    /// The values of all fields of this name as they came, UTF-8 or not, in order: for those that
    /// must not be overlooked.
    pub fn raw_headers(&self, name: &str) -> impl Iterator<Item = &'a [u8]> {
        let named = self.headers.iter().filter(move |h| h.name.eq_ignore_ascii_case(name));
        named.map(|header| header.value.trim_ascii())
    }

    /// The value of the first field of this name.
    pub fn header(&self, name: &str) -> Option<&'a str> {
        self.headers(name).next()
    }

    /// The elements of a comma-separated list (RFC 9110 section 5.6.1), over all fields of this
    /// name; empty elements are left out.
    pub fn list(&self, name: &str) -> impl Iterator<Item = &'a str> {
        self.headers(name)
            .flat_map(|value| value.split(','))
            .map(str::trim_ascii)
            .filter(|element| !element.is_empty())
    }

    /// Whether a list has this element, without regard to ASCII case.
    pub fn has_token(&self, name: &str, token: &str) -> bool {
        self.list(name).any(|element| element.eq_ignore_ascii_case(token))
    }

    /// The subprotocols a WebSocket client offers, in its order of preference (RFC 6455 section
    /// 4.1); compared with regard to case.
    pub fn subprotocols(&self) -> impl Iterator<Item = &'a str> {
        self.list("sec-websocket-protocol")
    }

    /// The path's segments behind its first `/`, decoded each by itself, so that an encoded `/`
    /// stays inside its segment.
    pub fn segments(&self) -> impl Iterator<Item = Result<Cow<'a, str>, Malformed>> {
        self.path.strip_prefix('/').unwrap_or(self.path).split('/').map(percent_decode)
    }

    /// Names and values of the query, decoded as forms are, in order.
    pub fn query_pairs(
        &self,
    ) -> impl Iterator<Item = Result<(Cow<'a, str>, Cow<'a, str>), Malformed>> {
        self.query.split('&').filter(|pair| !pair.is_empty()).map(|pair| {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            Ok((form_decode(key)?, form_decode(value)?))
        })
    }

    /// The first value of this name in the query, decoded as forms are (`+` is a space); an
    /// absent `=` is an empty value.
    pub fn query_value(&self, name: &str) -> Result<Option<Cow<'a, str>>, Malformed> {
        for pair in self.query.split('&') {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            if form_decode(key)? == name && !pair.is_empty() {
                return form_decode(value).map(Some);
            }
        }
        Ok(None)
    }
}

impl fmt::Debug for Request<'_> {
    /// Method and path only: query and headers may hold credentials.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Request({} {})", self.method, self.path)
    }
}

/// Decodes `%XX` (RFC 3986 section 2.1). Borrows when there is nothing to decode.
pub fn percent_decode(text: &str) -> Result<Cow<'_, str>, Malformed> {
    if !text.contains('%') {
        return Ok(Cow::Borrowed(text));
    }
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        if byte == b'%' {
            let (high, low) = (hex(bytes.next())?, hex(bytes.next())?);
            out.push(high << 4 | low);
        } else {
            out.push(byte);
        }
    }
    String::from_utf8(out).map(Cow::Owned).map_err(|_| Malformed)
}

fn form_decode(text: &str) -> Result<Cow<'_, str>, Malformed> {
    if text.contains('+') {
        let spaced = text.replace('+', " ");
        return Ok(Cow::Owned(percent_decode(&spaced)?.into_owned()));
    }
    percent_decode(text)
}

fn hex(digit: Option<u8>) -> Result<u8, Malformed> {
    match digit {
        Some(digit @ b'0'..=b'9') => Ok(digit - b'0'),
        Some(digit @ b'a'..=b'f') => Ok(digit - b'a' + 10),
        Some(digit @ b'A'..=b'F') => Ok(digit - b'A' + 10),
        _ => Err(Malformed),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with<'a>(headers: &'a [httparse::Header<'a>], path: &'a str, query: &'a str) -> Request<'a> {
        Request {
            method: "GET",
            path,
            query,
            body: &[],
            keep_alive: true,
            is_http_11: true,
            headers,
        }
    }

    #[test]
    fn lists_span_fields_and_ignore_case() {
        let headers = [
            httparse::Header { name: "CONNECTION", value: b"keep-alive ,, foo" },
            httparse::Header { name: "Host", value: b" a " },
            httparse::Header { name: "connection", value: b"UPGRADE" },
        ];
        let request = with(&headers, "/", "");
        assert!(request.has_token("Connection", "upgrade"));
        assert!(request.has_token("connection", "Foo"));
        assert!(!request.has_token("connection", "fo"));
        assert_eq!(request.list("connection").count(), 3);
        assert_eq!(request.header("host"), Some("a"));
        assert_eq!(request.header("origin"), None);
    }

    #[test]
    fn percent_decoding_is_strict() {
        assert_eq!(percent_decode("a%20b%e2%9c%93"), Ok("a b✓".into()));
        for bad in ["%", "%2", "%zz", "%+1", "%ff"] {
            assert_eq!(percent_decode(bad), Err(Malformed), "{bad}");
        }
    }

    #[test]
    fn segments_and_query_values() {
        let request = with(&[], "/raw/a%2Fb/", "echo=1&name=a+b%2B&flag&x==&name=second");
        let segments: Result<Vec<_>, _> = request.segments().collect();
        assert_eq!(segments.unwrap(), ["raw", "a/b", ""]);
        assert_eq!(request.query_value("echo"), Ok(Some("1".into())));
        assert_eq!(request.query_value("name"), Ok(Some("a b+".into())));
        assert_eq!(request.query_value("flag"), Ok(Some("".into())));
        assert_eq!(request.query_value("x"), Ok(Some("=".into())));
        assert_eq!(request.query_value("none"), Ok(None));
        assert_eq!(with(&[], "/", "a=%f").query_value("a"), Err(Malformed));
        assert_eq!(with(&[], "/", "").query_value(""), Ok(None));
    }
}
