//! What requests for rooms and for the directory are answered, up to a stream's first event.

use super::asked::{Delays, Start, wish};
use super::directory::Filter;
use super::driver::WatchDriver;
use super::site::{names, tag};
use super::spectators::{Spectator, View};
use super::sse;
use crate::memory::Shed;
use crate::net::Answer;
use crate::net::http::{Request, Response};
use madang_engine::peer::name_hash;
use madang_protocol::limits::{ROOM_NAME_BYTES_MAX, is_room_name};
use std::borrow::Cow;

/// What may be done with rooms.
const METHODS: &str = "GET, HEAD, OPTIONS";

/// The thread that keeps the directory.
pub(super) const DIRECTORY_THREAD: u16 = 0;

/// What a path below `/rooms` names.
enum Resource<'a> {
    List,
    Changes,
    Events(Cow<'a, str>),
}

impl WatchDriver {
    /// Answers a request for rooms; none when its path is about something else.
    pub(super) fn answer_rooms(&mut self, request: &Request<'_>) -> Option<Answer> {
        let segments: Vec<_> = request.segments().collect::<Result<_, _>>().ok()?;
        let resource = match segments.as_slice() {
            [rooms] if rooms == "rooms" => Resource::List,
            [rooms, events] if rooms == "rooms" && events == "events" => Resource::Changes,
            [rooms, room, events] if rooms == "rooms" && events == "events" => {
                Resource::Events(room.clone())
            }
            _ => return None,
        };
        let response = match request.method {
            "OPTIONS" => Response::new(204)
                .header("Allow", METHODS)
                .header("Access-Control-Allow-Methods", METHODS)
                .header(
                    "Access-Control-Allow-Headers",
                    "Last-Event-ID, Cache-Control, Authorization",
                )
                .header("Access-Control-Max-Age", "600"),
            "GET" | "HEAD" => match self.open(&resource, request) {
                Ok(Answer::Stream { head, tag }) => {
                    let head = self.with_cors(head, request);
                    return Some(Answer::Stream { head, tag });
                }
                Ok(Answer::Respond(response)) | Err(response) => response,
                Ok(other) => return Some(other),
            },
            _ => Response::text(405, "this can only be read: use GET or HEAD")
                .header("Allow", METHODS),
        };
        Some(Answer::Respond(self.with_cors(response, request)))
    }

    fn open(&mut self, resource: &Resource<'_>, request: &Request<'_>) -> Result<Answer, Response> {
        let thread = match resource {
            Resource::List | Resource::Changes => DIRECTORY_THREAD,
            Resource::Events(room) => {
                if !is_room_name(room) {
                    let text = format!(
                        "a room name has 1 to {ROOM_NAME_BYTES_MAX} characters out of letters, \
                         digits and -._~:@"
                    );
                    return Err(Response::text(400, &text));
                }
                if self.rooms.rule(room).is_none() {
                    return Err(Response::text(403, "rooms of this name may not be watched"));
                }
                (name_hash(room) % u64::from(self.threads)) as u16
            }
        };
        if thread != self.number {
            return Ok(Answer::Handoff { to: thread });
        }
        if self.shed >= Shed::Spectators && !matches!(resource, Resource::List) {
            self.turned_away += 1;
            let response = Response::text(503, "the server is short of memory; try again");
            return Err(
                response.header("Retry-After", self.settings.publish.retry_after_s.to_string())
            );
        }
        let room = match resource {
            Resource::Events(room) => Some(&**room),
            _ => None,
        };
        self.guests.opening = Some(self.spectator(room, request)?);
        match resource {
            Resource::List => self.page(request),
            Resource::Changes => {
                let view = View::Directory(self.directory.follow());
                Ok(self.stream(view, Vec::new(), request))
            }
            Resource::Events(room) => self.watch(room, request),
        }
    }

    fn page(&self, request: &Request<'_>) -> Result<Answer, Response> {
        let filter =
            Filter::read(pairs(request)?.into_iter()).map_err(|text| Response::text(400, &text))?;
        let body = self.directory.page(&filter);
        let tag = tag(&body);
        let known = request.header("if-none-match").is_some_and(|tags| names(tags, &tag));
        let response = if known {
            Response::new(304)
        } else {
            Response::with_body(200, "application/json", body)
        };
        Ok(Answer::Respond(response.header("Cache-Control", "no-cache").header("ETag", tag)))
    }

    fn watch(&mut self, room: &str, request: &Request<'_>) -> Result<Answer, Response> {
        let rule = self.rooms.rule(room);
        let delays = Delays {
            min_ms: rule.map_or(0, |rule| rule.delay_min_ms.into()),
            max_ms: self.settings.delay_max_ms,
        };
        let wish = wish(request.header("last-event-id"), pairs(request)?.into_iter(), delays)
            .map_err(|text| Response::text(400, &text))?;
        let Some((log, seat, recovered)) = self.rooms.place(room, wish, self.wall_ms) else {
            // An EventSource that gets this does not come back.
            return Err(match wish.start {
                Start::Behind(..) => Response::new(204),
                _ => Response::text(404, "there is no such room, or it has ended"),
            });
        };
        let first = self.rooms.get(log).map(|log| log.resume(seat, recovered));
        let view = View::Room { log: Some(log), seat, delay_ms: wish.delay_ms };
        Ok(self.stream(view, first.into_iter().collect(), request))
    }

    fn stream(
        &mut self,
        view: View,
        first: Vec<madang_engine::frame::Frame>,
        request: &Request<'_>,
    ) -> Answer {
        if request.method == "GET" {
            let retry = sse::retry(self.jitter.retry_ms());
            let first = std::iter::once(retry).chain(first).collect();
            self.opening = Some(Spectator::new(view, first, self.now));
        }
        let head = Response::new(200)
            .header("Content-Type", sse::CONTENT_TYPE)
            .header("Cache-Control", "no-cache")
            .header("X-Accel-Buffering", "no")
            .header("X-Content-Type-Options", "nosniff");
        Answer::Stream { head, tag: 0 }
    }

    /// Lets pages of other origins read an answer, where the configuration says so.
    fn with_cors(&self, response: Response, request: &Request<'_>) -> Response {
        let allowed = &self.settings.cors_origins;
        if allowed.is_empty() {
            return response;
        }
        if allowed.iter().any(|origin| &**origin == "*") {
            return response.header("Access-Control-Allow-Origin", "*");
        }
        let response = response.header("Vary", "Origin");
        match request.header("origin") {
            Some(origin) if allowed.iter().any(|one| one.eq_ignore_ascii_case(origin)) => {
                response.header("Access-Control-Allow-Origin", origin.to_owned())
            }
            _ => response,
        }
    }
}

type Pairs<'a> = Vec<(Cow<'a, str>, Cow<'a, str>)>;

fn pairs<'a>(request: &Request<'a>) -> Result<Pairs<'a>, Response> {
    let pairs: Result<Pairs<'a>, _> = request.query_pairs().collect();
    pairs.map_err(|malformed| Response::text(400, &format!("the query is broken: {malformed}")))
}
