//! What a request to publish says, from its head and from its body.

use crate::net::http::Request;
use madang_engine::publish::{EVENTS_MAX, KEY_BYTES_MAX, PublishEvent, check_event_name};
use madang_protocol::limits::JSON_DEPTH_MAX;
use madang_protocol::portable::is_portable;
use madang_protocol::value::Payload;
use serde::Deserialize;
use serde_json::value::RawValue;
use std::borrow::Cow;

/// Longest id that a backend may give an event, in bytes.
const ID_BYTES_MAX: usize = 128;

/// What a head says.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Terms<'r> {
    /// Whether the room is made when there is none.
    pub(super) may_create: bool,
    /// The idempotency key.
    pub(super) key: Option<&'r str>,
    form: Form<'r>,
}

/// How a body is to be read.
#[derive(Debug, PartialEq, Eq)]
enum Form<'r> {
    /// An event, or a list of them.
    Json,
    /// The data of one event of this name.
    Text(Cow<'r, str>),
}

/// An event as JSON says it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct JsonEvent<'a> {
    #[serde(borrow)]
    event: Cow<'a, str>,
    #[serde(borrow)]
    data: &'a RawValue,
    #[serde(borrow)]
    id: Option<Cow<'a, str>>,
}

/// A status, and words for what is wrong.
type Wrong = (u16, &'static str);

impl<'r> Terms<'r> {
    /// Reads `Content-Type`, `Idempotency-Key` and the query.
    pub(super) fn read(request: &Request<'r>) -> Result<Self, Wrong> {
        let (mut event, mut may_create) = (None, true);
        for pair in request.query_pairs() {
            let (name, value) = pair.map_err(|_| (400, "the query is broken"))?;
            match &*name {
                "event" => event = Some(value),
                "create" => {
                    may_create = match &*value {
                        "true" => true,
                        "false" => false,
                        _ => return Err((400, "create is true or false")),
                    }
                }
                _ => {}
            }
        }
        let form = match (media_type(request)?, event) {
            (Media::Json, None) => Form::Json,
            (Media::Json, Some(_)) => {
                return Err((400, "event in the query is for text/plain; JSON says it itself"));
            }
            (Media::Text, Some(event)) => Form::Text(event),
            (Media::Text, None) => {
                return Err((
                    400,
                    "name the event of a text/plain body in the query: ?event=token",
                ));
            }
        };
        Ok(Self { may_create, key: key(request)?, form })
    }

    /// The events of a body.
    pub(super) fn events(&self, body: &[u8]) -> Result<Vec<PublishEvent>, String> {
        let text = std::str::from_utf8(body).map_err(|_| "the body is not UTF-8".to_owned())?;
        let event = match &self.form {
            Form::Text(name) => {
                check_event_name(name)?;
                let payload = Payload::Text(Cow::Owned(text.to_owned()));
                return Ok(vec![PublishEvent { name: (&**name).into(), payload }]);
            }
            Form::Json if text.trim_start().starts_with('[') => {
                let events: Vec<JsonEvent<'_>> = parsed(text)?;
                if !(1..=EVENTS_MAX).contains(&events.len()) {
                    return Err(format!("between 1 and {EVENTS_MAX} events are published at once"));
                }
                let numbered = events.into_iter().enumerate();
                return numbered
                    .map(|(i, event)| event.read().map_err(|why| format!("event {i}: {why}")))
                    .collect();
            }
            Form::Json => parsed::<JsonEvent<'_>>(text)?,
        };
        Ok(vec![event.read()?])
    }
}

impl JsonEvent<'_> {
    /// A string is sent as the text that it is, anything else as JSON; what has an id is put into
    /// an object beside it.
    fn read(self) -> Result<PublishEvent, String> {
        check_event_name(&self.event)?;
        let data = self.data.get();
        let payload = match &self.id {
            Some(id) => {
                if !(1..=ID_BYTES_MAX).contains(&id.len()) || id.chars().any(char::is_control) {
                    return Err(format!(
                        "an id has 1 to {ID_BYTES_MAX} bytes and no control characters"
                    ));
                }
                let id = serde_json::Value::from(&**id);
                json(format!("{{\"id\":{id},\"data\":{data}}}"))?
            }
            None if data.starts_with('"') => {
                let text = serde_json::from_str(data)
                    .map_err(|_| "the data has half a surrogate pair".to_owned())?;
                Payload::Text(Cow::Owned(text))
            }
            None => json(data.to_owned())?,
        };
        Ok(PublishEvent { name: self.event.into(), payload })
    }
}

fn json(text: String) -> Result<Payload<'static>, String> {
    if !is_portable(&text, JSON_DEPTH_MAX) {
        return Err(format!(
            "the data is not what every client can read: it nests deeper than {JSON_DEPTH_MAX}, has \
             half a surrogate pair, or a number that no double holds"
        ));
    }
    Ok(Payload::Json(Cow::Owned(text)))
}

fn parsed<'a, T: Deserialize<'a>>(text: &'a str) -> Result<T, String> {
    serde_json::from_str(text).map_err(|error| {
        // The library quotes names that it does not know; a place is enough.
        let (line, column) = (error.line(), error.column());
        let what = if error.is_data() { "other than was expected" } else { "not JSON" };
        format!(
            "the body is {what} at line {line} column {column}; an event is \
             {{\"event\":name,\"data\":anything,\"id\":text}}, without an id if it needs none, and a \
             body is one or a list of them"
        )
    })
}

enum Media {
    Json,
    Text,
}

fn media_type(request: &Request<'_>) -> Result<Media, Wrong> {
    const WRONG: Wrong =
        (415, "send Content-Type: application/json, or text/plain with ?event=, in UTF-8");
    let mut fields = request.raw_headers("content-type");
    let (Some(field), None) = (fields.next(), fields.next()) else { return Err(WRONG) };
    let field = std::str::from_utf8(field).map_err(|_| WRONG)?;
    let mut parts = field.split(';').map(str::trim_ascii);
    let essence = parts.next().unwrap_or_default();
    let is_utf8 = |part: &str| match part.split_once('=') {
        Some((name, value)) if name.trim_ascii().eq_ignore_ascii_case("charset") => {
            value.trim_ascii().trim_matches('"').eq_ignore_ascii_case("utf-8")
        }
        _ => true,
    };
    if !parts.all(is_utf8) {
        return Err(WRONG);
    }
    if essence.eq_ignore_ascii_case("application/json") {
        Ok(Media::Json)
    } else if essence.eq_ignore_ascii_case("text/plain") {
        Ok(Media::Text)
    } else {
        Err(WRONG)
    }
}

fn key<'r>(request: &Request<'r>) -> Result<Option<&'r str>, Wrong> {
    const WRONG: Wrong = (400, "Idempotency-Key is there once, with 1 to 128 visible characters");
    const _: () = assert!(KEY_BYTES_MAX == 128, "the words above say so");
    let mut values = request.raw_headers("idempotency-key");
    let Some(value) = values.next() else { return Ok(None) };
    let is_good = values.next().is_none()
        && (1..=KEY_BYTES_MAX).contains(&value.len())
        && value.iter().all(u8::is_ascii_graphic);
    let key = std::str::from_utf8(value).ok().filter(|_| is_good);
    key.map(Some).ok_or(WRONG)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const JSON: Terms<'static> = Terms { may_create: true, key: None, form: Form::Json };

    #[test]
    fn what_has_an_id_is_wrapped_as_it_is() {
        let body = br#" [{"id":"a\"b","event":"x","data": {"b":1e2, "a":[ ]} },{"event":"y","data":"\u0041\n"}]"#;
        let events = JSON.events(body).unwrap();
        let wrapped = r#"{"id":"a\"b","data":{"b":1e2, "a":[ ]}}"#;
        assert_eq!(events[0].payload, Payload::Json(wrapped.into()));
        assert_eq!(events[1].payload, Payload::Text("A\n".into()));
        assert_eq!((&*events[0].name, &*events[1].name), ("x", "y"));
    }

    #[test]
    fn an_error_says_which_event_it_is() {
        let body = br#"[{"event":"x","data":1},{"event":"open","data":1}]"#;
        assert!(JSON.events(body).unwrap_err().starts_with("event 1: "));
        assert!(JSON.events(&[b'"', 0xff, b'"']).unwrap_err().contains("UTF-8"));
    }

    proptest! {
        #[test]
        fn no_body_panics_and_what_is_taken_can_be_read(
            pieces in prop::collection::vec(
                prop::sample::select(vec![
                    "{", "}", "[", "]", ",", ":", "\"event\"", "\"data\"", "\"id\"", "\"a\"",
                    "\"\\ud83d\"", "\"\\ud83d\\ude00\"", "1e999", "-0", "null", " ", "\"", "\\",
                    "{\"event\":\"a\",\"data\":", "마당", "\u{0}",
                ]),
                0..24,
            ),
            noise in prop::collection::vec(any::<u8>(), 0..8),
        ) {
            let text = pieces.concat();
            let _ = JSON.events(&[text.as_bytes(), &noise].concat());
            for event in JSON.events(text.as_bytes()).into_iter().flatten() {
                prop_assert!(check_event_name(&event.name).is_ok());
                if let Payload::Json(json) = &event.payload {
                    prop_assert!(serde_json::from_str::<serde_json::Value>(json).is_ok(), "{json}");
                }
            }
        }
    }
}
