//! Which URL of the players' listener is which way in.

use crate::net::Framing;
use crate::net::http::{Request, Response};
use madang_engine::Config;
use madang_engine::config::Kind;
use madang_engine::id::ShardId;
use madang_engine::input::Entry;
use madang_engine::peer::home_of;
use madang_protocol::limits::{ROOM_NAME_BYTES_MAX, is_room_name};
use madang_protocol::{SUBPROTOCOL, SUBPROTOCOL_JSON};

/// Where a request leads.
#[derive(Debug)]
pub(super) enum Route {
    /// To a WebSocket.
    Socket(WayIn),
    /// To a line: a connection that is made of HTTP requests.
    Line(Verb),
}

/// What is asked of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verb {
    /// A new one.
    Open,
    /// What comes down, as a stream of events.
    Events,
    /// To take what goes up.
    Send,
    /// What comes down, in one answer.
    Poll,
    /// To end.
    Close,
}

/// A way in by WebSocket.
#[derive(Debug)]
pub(super) struct WayIn {
    pub(super) entry: Entry,
    pub(super) subprotocol: Option<&'static str>,
    pub(super) framing: Framing,
    /// The shard that should have the connection, where the URL says which room comes first.
    pub(super) home: Option<ShardId>,
}

/// The answer to a request that leads nowhere.
#[derive(Debug)]
pub(super) struct Refusal(pub(super) Response);

/// Finds the way in that a request asks for, or the answer that says what was wrong.
pub(super) fn route(request: &Request<'_>, config: &Config) -> Result<Route, Refusal> {
    let segments: Vec<_> = request.segments().collect();
    let names: Option<Vec<&str>> = segments.iter().map(|name| name.as_deref().ok()).collect();
    let names = names.ok_or_else(|| bad_request("a percent-encoding in the path is broken"))?;
    let verb = match names.as_slice() {
        ["play"] | ["raw", _] => None,
        ["play", "http"] => Some(Verb::Open),
        ["play", "http", "events"] => Some(Verb::Events),
        ["play", "http", "send"] => Some(Verb::Send),
        ["play", "http", "poll"] => Some(Verb::Poll),
        ["play", "http", "close"] => Some(Verb::Close),
        _ => return Err(not_found()),
    };
    if let Some(verb) = verb {
        return match request.method {
            "POST" | "OPTIONS" => Ok(Route::Line(verb)),
            _ => {
                let response = Response::text(405, "lines are made of POST requests");
                Err(Refusal(response.header("Allow", "POST, OPTIONS")))
            }
        };
    }
    if request.method != "GET" {
        let response = Response::text(405, "a WebSocket handshake is a GET");
        return Err(Refusal(response.header("Allow", "GET")));
    }
    if !request.has_token("upgrade", "websocket") {
        let text = "this is a WebSocket endpoint: connect with a WebSocket client";
        let response = Response::text(426, text).header("Upgrade", "websocket");
        return Err(Refusal(response));
    }
    match names.as_slice() {
        ["raw", room] => raw(request, room, config),
        _ => play(request, config.shards),
    }
    .map(Route::Socket)
}

/// The answer where nothing is.
pub(super) fn not_found() -> Refusal {
    Refusal(Response::text(404, "not found; here are /play and /raw/{room}"))
}

/// The shard that a request's hint about its first room leads to.
pub(super) fn hinted(request: &Request<'_>, shards: u16) -> Result<Option<ShardId>, Refusal> {
    // A hint only: the session joins what it likes, and one in its room's shard saves the hop.
    let hint = query(request, "room")?.filter(|room| is_room_name(room));
    Ok(hint.map(|room| home_of(&room, shards)))
}

fn play(request: &Request<'_>, shards: u16) -> Result<WayIn, Refusal> {
    let offered = |name: &str| request.subprotocols().any(|offered| offered == name);
    let (entry, subprotocol, framing) = if offered(SUBPROTOCOL) {
        (Entry::Native, SUBPROTOCOL, Framing::Batched)
    } else if offered(SUBPROTOCOL_JSON) {
        (Entry::Json, SUBPROTOCOL_JSON, Framing::Whole)
    } else {
        return Err(bad_request(&format!(
            "offer the WebSocket subprotocol {SUBPROTOCOL} or {SUBPROTOCOL_JSON}"
        )));
    };
    let home = hinted(request, shards)?;
    Ok(WayIn { entry, subprotocol: Some(subprotocol), framing, home })
}

fn raw(request: &Request<'_>, room: &str, config: &Config) -> Result<WayIn, Refusal> {
    if !is_room_name(room) {
        return Err(bad_request(&format!(
            "a room name has 1 to {ROOM_NAME_BYTES_MAX} characters out of letters, digits and -._~:@"
        )));
    }
    if config.room.bound_kind(room).is_some_and(|kind| kind != Kind::Raw) {
        let text = "rooms of this name are not raw; join them through /play";
        return Err(Refusal(Response::text(403, text)));
    }
    let echo = match query(request, "echo")?.as_deref() {
        None | Some("0") => false,
        Some("1") => true,
        Some(_) => return Err(bad_request("echo is 0 or 1")),
    };
    let home = Some(home_of(room, config.shards));
    let entry = Entry::Raw { room: room.into(), echo };
    Ok(WayIn { entry, subprotocol: None, framing: Framing::Whole, home })
}

fn query(request: &Request<'_>, name: &str) -> Result<Option<String>, Refusal> {
    match request.query_value(name) {
        Ok(value) => Ok(value.map(std::borrow::Cow::into_owned)),
        Err(_) => Err(bad_request(&format!("the query value of {name} is broken"))),
    }
}

pub(super) fn bad_request(text: &str) -> Refusal {
    Refusal(Response::text(400, text))
}
