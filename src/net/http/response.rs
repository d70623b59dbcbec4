//! An answer and its head.

use std::borrow::Cow;

/// An answer. `Content-Length` and `Connection` are written by the reactor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    /// The status code, 200 to 599.
    pub status: u16,
    /// Further header fields, in order. Control characters in values are written as spaces.
    pub headers: Vec<(&'static str, Cow<'static, str>)>,
    /// The body; its length is announced but the bytes are left out in the answer to `HEAD`.
    pub body: Cow<'static, [u8]>,
    /// Whether to close the connection whatever the request said.
    pub close: bool,
}

impl Response {
    /// An answer without a body.
    pub fn new(status: u16) -> Self {
        Self { status, headers: Vec::new(), body: Cow::Borrowed(&[]), close: false }
    }

    /// An answer with a body of this media type.
    pub fn with_body(
        status: u16,
        content_type: &'static str,
        body: impl Into<Cow<'static, [u8]>>,
    ) -> Self {
        let mut response = Self::new(status).header("Content-Type", content_type);
        response.body = body.into();
        response
    }

    /// An answer of plain text; a newline is added. For errors: what was wrong, and what to do.
    pub fn text(status: u16, text: &str) -> Self {
        Self::with_body(status, "text/plain; charset=utf-8", format!("{text}\n").into_bytes())
            .header("Cache-Control", "no-store")
    }

    /// Adds a header field.
    #[must_use]
    pub fn header(mut self, name: &'static str, value: impl Into<Cow<'static, str>>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// Makes this the connection's last answer.
    #[must_use]
    pub fn closing(mut self) -> Self {
        self.close = true;
        self
    }

    /// The head's bytes, up to and with the empty line.
    pub(in super::super) fn head(&self, connection: &'static str) -> Vec<u8> {
        let mut out = self.fields();
        // RFC 9110 section 8.6: none with 1xx and 204, and with 304 only that of the whole answer.
        if !matches!(self.status, 204 | 304) {
            put_field(&mut out, "Content-Length", &self.body.len().to_string());
        }
        put_field(&mut out, "Connection", connection);
        out.extend_from_slice(b"\r\n");
        out
    }

    /// The head of an answer whose body ends with the connection (RFC 9112 section 6.3).
    pub(in super::super) fn stream_head(&self) -> Vec<u8> {
        let mut out = self.fields();
        put_field(&mut out, "Connection", "close");
        out.extend_from_slice(b"\r\n");
        out
    }

    /// Status line and the answer's own fields.
    fn fields(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(256);
        out.extend_from_slice(b"HTTP/1.1 ");
        out.extend_from_slice(self.status.to_string().as_bytes());
        out.push(b' ');
        out.extend_from_slice(reason(self.status).as_bytes());
        out.extend_from_slice(b"\r\n");
        for (name, value) in &self.headers {
            put_field(&mut out, name, value);
        }
        out
    }
}

fn put_field(out: &mut Vec<u8>, name: &str, value: &str) {
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b": ");
    // A line break in a value would begin a new field.
    out.extend(value.bytes().map(|byte| if byte.is_ascii_control() { b' ' } else { byte }));
    out.extend_from_slice(b"\r\n");
}

fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        201 => "Created",
        202 => "Accepted",
        204 => "No Content",
        301 => "Moved Permanently",
        302 => "Found",
        303 => "See Other",
        304 => "Not Modified",
        307 => "Temporary Redirect",
        308 => "Permanent Redirect",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        409 => "Conflict",
        410 => "Gone",
        411 => "Length Required",
        413 => "Content Too Large",
        414 => "URI Too Long",
        415 => "Unsupported Media Type",
        417 => "Expectation Failed",
        426 => "Upgrade Required",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        503 => "Service Unavailable",
        505 => "HTTP Version Not Supported",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_head_is_complete_and_values_cannot_break_out() {
        let response = Response::text(404, "no such page")
            .header("X-Room", String::from("a\r\nSet-Cookie: b"));
        let head = String::from_utf8(response.head("close")).unwrap();
        assert_eq!(
            head,
            "HTTP/1.1 404 Not Found\r\nContent-Type: text/plain; charset=utf-8\r\n\
             Cache-Control: no-store\r\nX-Room: a  Set-Cookie: b\r\nContent-Length: 13\r\n\
             Connection: close\r\n\r\n"
        );
    }

    #[test]
    fn no_content_has_no_length() {
        let head = String::from_utf8(Response::new(204).head("keep-alive")).unwrap();
        assert_eq!(head, "HTTP/1.1 204 No Content\r\nConnection: keep-alive\r\n\r\n");
    }
}
