//! What a request to a line does.

use super::super::routes::{self, Verb, bad_request, hinted};
use super::{Down, Line, Lines};
use crate::auth::{self, Ways};
use crate::net::http::{Request, Response};
use crate::net::{Answer, Io};
use crate::shard::{Arrival, Shard};
use madang_engine::Input;
use madang_engine::id::{ConnId, ShardId};
use madang_engine::input::Entry;
use madang_protocol::ids::ResumeKey;
use madang_protocol::{ClientMessage, CloseCode, codec, json};
use serde::Deserialize as _;
use serde::de::IntoDeserializer as _;
use serde::de::value::{Error as ValueError, StrDeserializer};

/// What [`Answer::Stream`] is tagged with.
pub(in super::super) const STREAM: u32 = 1;

/// The field that names a line.
const LINE: &str = "madang-line";
/// The field that numbers a poll or a send.
const NUMBER: &str = "madang-number";
/// How long a browser remembers what pages of other origins may ask, in seconds.
const PREFLIGHT_S: &str = "7200";

/// Which line a request is for.
enum Meant {
    /// One that is here.
    Here(ConnId),
    /// One of another shard.
    There(ShardId),
}

impl Shard {
    /// Answers a request to a line. Its origin is checked.
    pub(in super::super) fn answer_line(
        &mut self,
        io: &mut Io<'_>,
        socket: ConnId,
        request: &Request<'_>,
        verb: Verb,
    ) -> Answer {
        let origin = request.header("origin");
        if !self.lines.settings.is_on {
            return Answer::Respond(routes::not_found().0);
        }
        if request.method == "OPTIONS" {
            return Answer::Respond(preflight(origin));
        }
        let result = match verb {
            Verb::Open => self.open_line(io, socket, request),
            _ => match self.meant(request, verb) {
                Ok(Meant::There(shard)) => Ok(Answer::Handoff { to: shard.0 }),
                Ok(Meant::Here(id)) => match verb {
                    Verb::Events => self.stream_line(io, id, request),
                    Verb::Poll => self.poll_line(io, (id, socket), request),
                    Verb::Send => self.send_line(io, (id, socket), request),
                    _ => self.leave_line(io, id, request),
                },
                Err(refusal) => Err(refusal),
            },
        };
        result.unwrap_or_else(|refusal| Answer::Respond(open_to(refusal, origin)))
    }

    /// Whether the body of a request to a line is worth waiting for.
    pub(in super::super) fn check_line_body(
        &self,
        request: &Request<'_>,
        verb: Verb,
    ) -> Result<(), Response> {
        let refused = if !self.lines.settings.is_on {
            Err(routes::not_found().0)
        } else if verb == Verb::Open {
            Ok(())
        } else {
            self.meant(request, verb).map(drop)
        };
        refused.map_err(|refusal| open_to(refusal, request.header("origin")))
    }

    /// A new line, opened by a hello.
    fn open_line(
        &mut self,
        io: &mut Io<'_>,
        socket: ConnId,
        request: &Request<'_>,
    ) -> Result<Answer, Response> {
        check_length(request)?;
        let is_json = match media_type(request) {
            Some("application/octet-stream") => false,
            Some("application/json") => true,
            _ => {
                let text = "the hello is application/octet-stream (madang.v1) or application/json \
                            (madang.v1.json)";
                return Err(Response::text(415, text));
            }
        };
        if request.body.is_empty() {
            return Err(bad_request("the body of the opening begins with hello").0);
        }
        if is_json && std::str::from_utf8(request.body).is_err() {
            return Err(bad_request("the hello is not UTF-8").0);
        }
        let config = self.engine.config();
        // Where the session is goes before where its first room is: else two shards that each know one of
        // the two would send the request to and fro.
        let home = match hello_shard(request.body, is_json, config) {
            Some(shard) => Some(shard),
            None => hinted(request, config.shards).map_err(|refusal| refusal.0)?,
        };
        if let Some(home) = home.filter(|home| *home != self.number) {
            return Ok(Answer::Handoff { to: home.0 });
        }
        if self.drain.is_quiet() {
            return Err(self.going_away());
        }
        self.check_memory()?;
        // A page of another site can have a browser send cookies; what opens a session is no place for them.
        let token = auth::find(request, Ways::Deliberate)
            .map_err(|refusal| auth::unauthorized(self.checker.auth().counted(refusal)))?;
        let client = io.client_ip(socket);
        let place = io.take_place(socket)?;
        let mut secret = [0; 16];
        if getrandom::fill(&mut secret).is_err() {
            return Err(self.lines.try_later("the system gives no random bytes"));
        }
        let id = self.lines.insert(secret, is_json, request.header("origin"), (client, place));
        if let Some(line) = self.lines.get_mut(id) {
            line.down = Down::Open(socket);
        }
        self.lines.waiting.insert(socket, id);
        let entry = if is_json { Entry::Json } else { Entry::Native };
        self.arrivals.insert(id, Arrival { entry: entry.clone(), token });
        self.input(io, Input::Connected { conn: id, entry });
        self.input(io, Input::Message { conn: id, data: request.body, text: is_json });
        Ok(Answer::Later)
    }

    /// A stream of events.
    fn stream_line(
        &mut self,
        io: &mut Io<'_>,
        id: ConnId,
        request: &Request<'_>,
    ) -> Result<Answer, Response> {
        if self.drain.is_quiet() {
            return Err(self.going_away());
        }
        let Some(line) = self.lines.get(id) else { return Err(gone(None)) };
        if let Some(code) = line.closed {
            return Err(gone(Some(code)));
        }
        if line.is_streamed || line.polled > 0 || line.down != Down::Nothing {
            let text = "a line has one stream or polls, from its beginning; open another line";
            return Err(Response::text(409, text));
        }
        self.lines.opening = Some(id);
        self.input(io, Input::Seen { conn: id });
        let head = Response::new(200)
            .header("Content-Type", "text/event-stream")
            .header("X-Accel-Buffering", "no");
        Ok(Answer::Stream { head: open_to(head, request.header("origin")), tag: STREAM })
    }

    /// The head of a line's stream is on its way.
    pub(in super::super) fn line_streams(&mut self, io: &mut Io<'_>, socket: ConnId) {
        let now = io.now();
        let lines = &mut self.lines;
        let id = lines.opening.take();
        let Some((id, line)) = id.and_then(|id| Some((id, lines.get_mut(id)?))) else { return };
        line.down = Down::Stream { socket, is_fresh: true };
        line.is_streamed = true;
        lines.streams.insert(socket, id);
        lines.counts.streams += 1;
        lines.set_deadline(id, now.plus_ms(lines.settings.wait_ms));
        io.flush(socket);
    }

    /// A question for what waits.
    fn poll_line(
        &mut self,
        io: &mut Io<'_>,
        (id, socket): (ConnId, ConnId),
        request: &Request<'_>,
    ) -> Result<Answer, Response> {
        let number = number(request)?;
        let now = io.now();
        let Some(line) = self.lines.get_mut(id) else { return Err(gone(None)) };
        if number == line.polled
            && let Some(answered) = &line.answered
        {
            let response = down_response(line, &answered.body, answered.closed);
            self.lines.counts.repeats += 1;
            self.input(io, Input::Seen { conn: id });
            return Ok(Answer::Respond(response));
        }
        if line.is_streamed {
            return Err(Response::text(409, "this line has a stream"));
        }
        if let Some(code) = line.closed.filter(|_| number != line.polled + 1) {
            return Err(gone(Some(code)));
        }
        if number != line.polled + 1 || matches!(line.down, Down::Open(_)) {
            let text = format!("the next poll is number {}", line.polled + 1);
            return Err(Response::text(409, &text));
        }
        if let Down::Poll { socket: earlier, .. } = line.down {
            // The client has given it up, or somebody on the way has.
            line.down = Down::Nothing;
            self.lines.counts.repeats += 1;
            self.turn_away(io, earlier);
        }
        let Some(line) = self.lines.get_mut(id) else { return Err(gone(None)) };
        line.down = Down::Poll { socket, is_late: false };
        // That it asks for the next one says that the last has come.
        line.answered = None;
        self.lines.waiting.insert(socket, id);
        self.lines.set_deadline(id, now.plus_ms(self.lines.settings.wait_ms));
        self.input(io, Input::Seen { conn: id });
        let is_closed = self.lines.get(id).is_none_or(|line| line.closed.is_some());
        if is_closed || self.engine.next_frame_len(id).is_some() {
            self.lines.due.push(id);
        }
        Ok(Answer::Later)
    }

    /// What goes up.
    fn send_line(
        &mut self,
        io: &mut Io<'_>,
        (id, socket): (ConnId, ConnId),
        request: &Request<'_>,
    ) -> Result<Answer, Response> {
        check_length(request)?;
        let number = number(request)?;
        if self.drain.is_quiet() {
            return Err(self.going_away());
        }
        let origin = request.header("origin");
        let bytes_max = self.lines.settings.message_bytes_max;
        let Some(line) = self.lines.get_mut(id) else { return Err(gone(None)) };
        if number <= line.sent {
            self.lines.counts.repeats += 1;
        } else {
            if let Some(code) = line.closed {
                return Err(gone(Some(code)));
            }
            if number > line.sent + 1 {
                let text = format!("the next send is number {}", line.sent + 1);
                return Err(Response::text(409, &text));
            }
            if line.is_paused || matches!(line.down, Down::Open(_)) {
                let text = "send the next one when the last one is answered";
                return Err(Response::text(409, text));
            }
            if request.body.len() > bytes_max {
                let text = format!("a message has at most {bytes_max} bytes");
                return Err(Response::text(413, &text));
            }
            let text = line.is_json;
            if text && std::str::from_utf8(request.body).is_err() {
                return Err(bad_request("the message is not UTF-8").0);
            }
            line.sent = number;
            self.lines.counts.sends += 1;
            io.counters().messages_in += 1;
            let data = request.body;
            let input = if data.is_empty() {
                Input::Seen { conn: id }
            } else {
                Input::Message { conn: id, data, text }
            };
            self.input(io, input);
        }
        let Some(line) = self.lines.get_mut(id) else { return Err(gone(None)) };
        if let Some(code) = line.closed {
            return Err(gone(Some(code)));
        }
        if line.is_paused && number == line.sent {
            // The answer is what the client waits for before it sends more.
            let earlier = line.sending.replace(socket);
            self.lines.waiting.insert(socket, id);
            if let Some(earlier) = earlier {
                self.turn_away(io, earlier);
            }
            return Ok(Answer::Later);
        }
        Ok(Answer::Respond(open_to(Response::new(204), origin)))
    }

    /// The client ends a line, and with code 1000 its session.
    fn leave_line(
        &mut self,
        io: &mut Io<'_>,
        id: ConnId,
        request: &Request<'_>,
    ) -> Result<Answer, Response> {
        let code = match request.query_value("code") {
            Ok(None) => 1000,
            Ok(Some(code)) => match code.parse::<u16>() {
                Ok(code @ (1000..=1015 | 3000..=4999)) => code,
                _ => return Err(bad_request("code is that of a WebSocket's close").0),
            },
            Err(_) => return Err(bad_request("the query is broken").0),
        };
        let is_open = self.lines.get(id).is_some_and(|line| line.closed.is_none());
        if is_open {
            self.input(io, Input::Disconnected { conn: id, ends_session: code == 1000 });
            *io.counters().ws_closes.entry(code).or_default() += 1;
            self.close_line(io, id, CloseCode::NORMAL);
        }
        self.lines.leave(id);
        Ok(Answer::Respond(open_to(Response::new(204), request.header("origin"))))
    }

    /// The line that a request names, or the answer where there is none: whoever ends one has what it
    /// asks for.
    fn meant(&self, request: &Request<'_>, verb: Verb) -> Result<Meant, Response> {
        let mut values = request.raw_headers(LINE);
        let (Some(value), None) = (values.next(), values.next()) else {
            return Err(bad_request("say which line it is for: one Madang-Line").0);
        };
        let text = std::str::from_utf8(value).unwrap_or_default();
        let digits: StrDeserializer<'_, ValueError> = text.into_deserializer();
        let Ok(key) = ResumeKey::deserialize(digits) else {
            return Err(bad_request("Madang-Line is what the answer to the opening says").0);
        };
        let config = self.engine.config();
        if key.node() != config.node || key.shard() >= config.shards {
            return Err(gone(None));
        }
        if key.shard() != self.number.0 {
            return Ok(Meant::There(ShardId(key.shard())));
        }
        self.lines.find(&key).map(Meant::Here).ok_or_else(|| match verb {
            Verb::Close => Response::new(204),
            _ => gone(None),
        })
    }

    /// Answers a request whose place another one has taken.
    fn turn_away(&mut self, io: &mut Io<'_>, socket: ConnId) {
        let id = self.lines.waiting.remove(&socket);
        let origin = id.and_then(|id| self.lines.get(id)?.origin.clone());
        let response = Response::text(409, "the same was asked for again");
        io.respond(socket, open_to(response, origin.as_deref()));
    }

    fn going_away(&self) -> Response {
        self.lines.try_later("the server is going away").closing()
    }
}

impl Lines {
    fn try_later(&self, text: &str) -> Response {
        let seconds = self.settings.retry_after_s.to_string();
        Response::text(503, text).header("Retry-After", seconds)
    }
}

/// An answer that carries what came down.
pub(super) fn down_response(line: &Line, body: &[u8], closed: Option<CloseCode>) -> Response {
    let media_type = if line.is_json { "application/json" } else { "application/octet-stream" };
    let response = Response::with_body(200, media_type, body.to_vec());
    let response = match closed {
        Some(code) => with_close(response, code),
        None => response,
    };
    open_to(response, line.origin.as_deref())
}

/// Lets the page that asked read an answer, and nobody keep it.
pub(super) fn open_to(mut response: Response, origin: Option<&str>) -> Response {
    if !response.headers.iter().any(|(name, _)| *name == "Cache-Control") {
        response = response.header("Cache-Control", "no-store");
    }
    let Some(origin) = origin else { return response };
    response
        .header("Access-Control-Allow-Origin", origin.to_owned())
        .header(
            "Access-Control-Expose-Headers",
            "Madang-Line, Madang-Wait, Madang-Size, Madang-Close, Retry-After",
        )
        .header("Vary", "Origin")
}

fn preflight(origin: Option<&str>) -> Response {
    let response = Response::new(204)
        .header("Access-Control-Allow-Methods", "POST")
        .header("Access-Control-Allow-Headers", "Content-Type, Madang-Line, Madang-Number")
        .header("Access-Control-Max-Age", PREFLIGHT_S);
    open_to(response, origin)
}

/// The answer where a line is no more; with the code that it was closed with, if that is known.
pub(super) fn gone(code: Option<CloseCode>) -> Response {
    let response = Response::text(410, "there is no such line any more; open another and resume");
    match code {
        Some(code) => with_close(response, code),
        None => response,
    }
}

fn with_close(response: Response, code: CloseCode) -> Response {
    response.header("Madang-Close", format!("{} {}", code.code, code.name))
}

fn check_length(request: &Request<'_>) -> Result<(), Response> {
    match request.header("content-length") {
        Some(_) => Ok(()),
        None => Err(Response::text(411, "say how long the body is: Content-Length")),
    }
}

fn number(request: &Request<'_>) -> Result<u64, Response> {
    let mut values = request.raw_headers(NUMBER);
    let value = values.next().filter(|value| value.len() <= 16);
    let digits = value.filter(|value| !value.is_empty() && value.iter().all(u8::is_ascii_digit));
    let number = digits.and_then(|digits| std::str::from_utf8(digits).ok()?.parse::<u64>().ok());
    match (number, values.next()) {
        (Some(number @ 1..), None) => Ok(number),
        _ => Err(bad_request("Madang-Number counts from 1").0),
    }
}

/// The media type of a request's body, without parameters.
fn media_type<'a>(request: &Request<'a>) -> Option<&'a str> {
    let mut values = request.headers("content-type");
    let (value, None) = (values.next()?, values.next()) else { return None };
    value.split(';').next().map(str::trim_ascii)
}

/// The shard of the session that a hello wants to resume.
fn hello_shard(body: &[u8], is_json: bool, config: &madang_engine::Config) -> Option<ShardId> {
    let message = if is_json {
        json::decode_client(std::str::from_utf8(body).ok()?).ok()?
    } else {
        codec::decode_client(codec::split_batch(body).next()?.ok()?).ok()?
    };
    let ClientMessage::Hello(hello) = message else { return None };
    let key = hello.resume?.key;
    let is_ours = key.node() == config.node && key.shard() < config.shards;
    is_ours.then_some(ShardId(key.shard()))
}
