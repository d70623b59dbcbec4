//! The text of Server-Sent Events (WHATWG HTML, section 9.2), and the ids that events carry here.

use madang_engine::frame::Frame;
use madang_protocol::ids::Epoch;

/// What a stream's media type is.
pub(super) const CONTENT_TYPE: &str = "text/event-stream";

/// One event. Line ends in `data` (CR, LF and CRLF) begin a new `data` field, so that nothing in
/// it can be taken for another field.
pub fn event(name: &str, id: Option<(Epoch, u64)>, data: &[u8]) -> Frame {
    let mut out = Vec::with_capacity(data.len() + 80);
    if let Some((epoch, seq)) = id {
        out.extend_from_slice(format!("id: {epoch}-{seq}\n").as_bytes());
    }
    out.extend_from_slice(b"event: ");
    out.extend_from_slice(name.as_bytes());
    for line in lines(data) {
        out.extend_from_slice(b"\ndata: ");
        out.extend_from_slice(line);
    }
    out.extend_from_slice(b"\n\n");
    Frame::new(&out)
}

/// How long the client waits before it connects again.
pub(super) fn retry(ms: u64) -> Frame {
    Frame::new(format!("retry: {ms}\n\n").as_bytes())
}

/// Something that is no event: it keeps what is on the way from taking the connection for dead.
pub(super) fn heartbeat() -> Frame {
    Frame::new(b":\n\n")
}

/// The epoch and seq of an event's id: 16 hexadecimal digits, `-`, a number.
pub(super) fn parse_id(text: &str) -> Option<(Epoch, u64)> {
    let (epoch, seq) = text.split_once('-')?;
    if epoch.len() != 16 || !epoch.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    // A sign would be taken by the parser.
    if !seq.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let epoch = u64::from_str_radix(epoch, 16).ok()?;
    Some((Epoch(epoch.to_be_bytes()), seq.parse().ok()?))
}

/// The lines of some data; at least one.
fn lines(data: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = Some(data);
    std::iter::from_fn(move || {
        let data = rest?;
        let Some(end) = data.iter().position(|byte| matches!(byte, b'\r' | b'\n')) else {
            return rest.take();
        };
        let is_pair = data[end..].starts_with(b"\r\n");
        rest = Some(&data[end + 1 + usize::from(is_pair)..]);
        Some(&data[..end])
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(frame: &Frame) -> &str {
        std::str::from_utf8(frame).unwrap()
    }

    #[test]
    fn an_event_has_its_fields_in_order() {
        let id = (Epoch([0, 1, 2, 3, 4, 5, 6, 255]), 7);
        assert_eq!(
            text(&event("message", Some(id), b"{}")),
            "id: 00010203040506ff-7\nevent: message\ndata: {}\n\n"
        );
        assert_eq!(text(&event("snapshot", None, b"")), "event: snapshot\ndata: \n\n");
    }

    #[test]
    fn line_ends_of_every_kind_begin_a_data_field() {
        let data = b"{\r\n1\r\r2\n\nid: x\n\r3}\r";
        assert_eq!(
            text(&event("e", None, data)),
            "event: e\ndata: {\ndata: 1\ndata: \ndata: 2\ndata: \ndata: id: x\ndata: \ndata: 3}\n\
             data: \n\n"
        );
    }

    #[test]
    fn ids_are_read_as_they_are_written_and_nothing_else_is() {
        let id = (Epoch([0xab; 8]), u64::MAX);
        assert_eq!(parse_id("abababababababab-18446744073709551615"), Some(id));
        for bad in [
            "",
            "-",
            "abababababababab",
            "abababababababab-",
            "abababababababab--1",
            "abababababababab-+1",
            "abababababababab-18446744073709551616",
            "ababababababab-1",
            "+bababababababab-1",
            "abababababababag-1",
            "abababababababab-1 ",
        ] {
            assert_eq!(parse_id(bad), None, "{bad}");
        }
    }
}
