//! What backends publish by `POST /rooms/{room}/publish`: who may, what it becomes, and the answer.
//!
//! A request goes to the shard of its room as one packet and is answered when the shard has said
//! what became of it; the connection waits, the thread does not. What is on its way to shards is
//! bounded in bytes, and an answer that does not come is made up after a deadline. Whether a
//! request is a retry is for the room to say, so that it is the same whichever thread is asked.
//!
//! `body.rs` reads the events of a request.

mod body;

use super::driver::WatchDriver;
use super::feed::InFlight;
use super::guests::People;
use crate::auth::{self, Auth, Refusal, Ways};
use crate::config::Secret;
use crate::metrics::{Block, Counter};
use crate::net::http::{Request, Response};
use crate::net::{Answer, Io};
use crate::shard::{Mailbox, Packet};
use body::Terms;
use madang_engine::access::Rights;
use madang_engine::id::ConnId;
use madang_engine::peer::home_of;
use madang_engine::publish::{Publish, PublishRefusal, Receipt, Ticket};
use madang_engine::time::Time;
use madang_protocol::limits::{ROOM_NAME_BYTES_MAX, is_room_name};
use std::borrow::Cow;
use std::collections::BTreeMap;

/// Most bytes of publications that one thread has on their way to shards; a single one that is
/// larger passes when nothing else is on its way.
const WAITING_BYTES_MAX: u64 = 16 << 20;
/// What a publication costs of that besides its bytes: so that the number is bounded too.
const WAITING_COST: u64 = 4 << 10;

/// What an operator may set about publishing.
#[derive(Clone, Debug)]
pub struct PublishSettings {
    /// Those who may; none for nobody.
    pub keys: Vec<Secret>,
    /// How long a shard may take to answer, in milliseconds.
    pub answer_ms: u64,
    /// When somebody who was refused for want of room comes back, in seconds.
    pub retry_after_s: u32,
}

/// The events of a request, for fuzzing.
#[cfg(feature = "fuzzing")]
pub(super) fn probe_events(
    request: &Request<'_>,
    body: &[u8],
) -> Result<Vec<(String, String)>, String> {
    let terms = Terms::read(request).map_err(|(_, why)| why.to_owned())?;
    let events = terms.events(body)?.into_iter();
    Ok(events.map(|event| (event.name.to_string(), format!("{:?}", event.payload))).collect())
}

/// One thread's publications.
#[derive(Debug)]
pub(super) struct Publishing {
    settings: PublishSettings,
    /// The players' shards, each at the index of its number.
    shards: Vec<Mailbox>,
    /// Bytes on their way there.
    waiting: InFlight,
    /// Requests that wait for an answer, by number and so by deadline too.
    pending: BTreeMap<u64, Pending>,
    next_number: u64,
    events: u64,
    repeats: u64,
    refused: [u64; REASONS.len()],
}

#[derive(Clone, Copy, Debug)]
struct Pending {
    conn: ConnId,
    until: Time,
}

/// The place of a publication on its way to a shard; given back when it is dropped.
#[derive(Debug)]
pub struct Waiting {
    in_flight: InFlight,
    bytes: u64,
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.in_flight.arrived(self.bytes);
    }
}

/// Why a request was refused, as it is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reason {
    Off,
    Unauthorized,
    Forbidden,
    Invalid,
    NoRoom,
    RawRoom,
    RoomFailed,
    KeyReused,
    Busy,
    Draining,
    Timeout,
}

const REASONS: [(Reason, Counter); 11] = [
    (Reason::Off, Counter::PublishOff),
    (Reason::Unauthorized, Counter::PublishUnauthorized),
    (Reason::Forbidden, Counter::PublishForbidden),
    (Reason::Invalid, Counter::PublishInvalid),
    (Reason::NoRoom, Counter::PublishNoRoom),
    (Reason::RawRoom, Counter::PublishRawRoom),
    (Reason::RoomFailed, Counter::PublishRoomFailed),
    (Reason::KeyReused, Counter::PublishKeyReused),
    (Reason::Busy, Counter::PublishBusy),
    (Reason::Draining, Counter::PublishDraining),
    (Reason::Timeout, Counter::PublishTimeout),
];

/// A refusal and its answer.
type Refused = (Reason, Response);

impl Publishing {
    pub(super) fn new(settings: PublishSettings) -> Self {
        Self {
            settings,
            shards: Vec::new(),
            waiting: InFlight::default(),
            pending: BTreeMap::new(),
            next_number: 0,
            events: 0,
            repeats: 0,
            refused: [0; REASONS.len()],
        }
    }

    /// Makes the players' shards known, each at the index of its number.
    pub(super) fn connect(&mut self, shards: Vec<Mailbox>) {
        self.shards = shards;
    }

    /// The players' shards.
    pub(super) fn shards(&self) -> &[Mailbox] {
        &self.shards
    }

    /// When an answer is overdue.
    pub(super) fn next_timeout(&self) -> Option<Time> {
        self.pending.first_key_value().map(|(_, pending)| pending.until)
    }

    /// Answers whoever has waited too long.
    pub(super) fn expire(&mut self, io: &mut Io<'_>, now: Time) {
        while self.next_timeout().is_some_and(|until| until <= now) {
            let Some((_, pending)) = self.pending.pop_first() else { return };
            let text = "the room did not answer in time; it is not known whether this was \
                        published: try again with the same Idempotency-Key";
            let refused = (Reason::Timeout, Response::text(504, text));
            io.respond(pending.conn, self.refusal(refused));
        }
    }

    /// Nobody will answer any more.
    pub(super) fn give_up(&mut self, io: &mut Io<'_>) {
        for (_, pending) in std::mem::take(&mut self.pending) {
            let refused = self.draining();
            io.respond(pending.conn, self.refusal(refused));
        }
    }

    /// A shard has said what became of a publication.
    pub(super) fn answered(
        &mut self,
        io: &mut Io<'_>,
        number: u64,
        result: Result<Receipt, PublishRefusal>,
    ) {
        // Whoever has waited too long has an answer.
        let Some(pending) = self.pending.remove(&number) else { return };
        let response = match result {
            Ok(receipt) if receipt.repeated => {
                self.repeats += 1;
                accepted(&receipt)
            }
            Ok(receipt) => {
                self.events += u64::from(receipt.count);
                accepted(&receipt)
            }
            Err(why) => {
                let refused = self.refused_by_room(why);
                self.refusal(refused)
            }
        };
        io.respond(pending.conn, response);
    }

    /// Stores what was counted.
    pub(super) fn count(&self, block: &Block) {
        block.set(Counter::PublishEvents, self.events);
        block.set(Counter::PublishRepeats, self.repeats);
        for ((_, counter), count) in REASONS.iter().zip(self.refused) {
            block.set(*counter, count);
        }
    }

    /// Counts a refusal and gives its answer.
    fn refusal(&mut self, (reason, response): Refused) -> Response {
        self.refused[reason as usize] += 1;
        response
    }

    /// What a request's head says, if it may be listened to.
    fn terms<'r>(
        &self,
        auth: &Auth,
        room: &'r str,
        request: &Request<'r>,
    ) -> Result<Terms<'r>, Refused> {
        if self.settings.keys.is_empty() && !auth.takes_tokens() {
            let text = "publishing is off here: the operator lists secrets in watch.publish_keys, or \
                        keys for tokens in auth.keys";
            return Err((Reason::Off, Response::text(404, text)));
        }
        if request.method != "POST" {
            let response = Response::text(405, "events are published with POST");
            return Err((Reason::Invalid, response.header("Allow", "POST")));
        }
        let rights = self.rights(auth, room, request)?;
        if !is_room_name(room) {
            return Err(invalid(
                400,
                &format!(
                    "a room name has 1 to {ROOM_NAME_BYTES_MAX} characters out of letters, \
                     digits and -._~:@"
                ),
            ));
        }
        if request.header("content-length").is_none() {
            return Err(invalid(411, "say how long the body is: Content-Length"));
        }
        let mut terms = Terms::read(request).map_err(|(status, text)| invalid(status, text))?;
        terms.may_create &= rights.has(Rights::CREATE);
        Ok(terms)
    }

    /// What whoever asks may do in a room: everything with one of the keys, else what a token says.
    fn rights(&self, auth: &Auth, room: &str, request: &Request<'_>) -> Result<Rights, Refused> {
        if self.has_key(request) {
            return Ok(Rights::ALL);
        }
        let unauthorized = |text: &str| {
            let challenge = "Bearer realm=\"publish\"";
            let response = Response::text(401, text).header("WWW-Authenticate", challenge);
            (Reason::Unauthorized, response)
        };
        let missing = "publishing needs a key of the server or a token with the right to: \
                       Authorization: Bearer {key or token}";
        let token = match auth::find(request, Ways::Deliberate) {
            Ok(Some(token)) if auth.takes_tokens() => token,
            _ => return Err(unauthorized(missing)),
        };
        let identity = auth.check(&token).map_err(|refusal| match refusal {
            Refusal::Banned | Refusal::Busy => (Reason::Unauthorized, auth::unauthorized(refusal)),
            _ => unauthorized(&refusal.to_string()),
        })?;
        let rights = identity.rights(room);
        if rights.has(Rights::PUBLISH) {
            return Ok(rights);
        }
        let text = "the token gives no right to publish in this room";
        Err((Reason::Forbidden, Response::text(403, text)))
    }

    /// Whether the request has one of the keys. How long that takes says nothing about them but
    /// their number and lengths.
    fn has_key(&self, request: &Request<'_>) -> bool {
        let mut fields = request.raw_headers("authorization");
        let (Some(field), None) = (fields.next(), fields.next()) else { return false };
        let field = std::str::from_utf8(field).unwrap_or_default();
        let Some((scheme, given)) = field.split_once(' ') else { return false };
        let given = given.trim_ascii();
        let is_known = self.settings.keys.iter().fold(false, |known, key| known | key.is(given));
        is_known & scheme.eq_ignore_ascii_case("bearer")
    }

    /// Sends events on their way to their room.
    fn send(
        &mut self,
        asker: u16,
        conn: ConnId,
        publish: Publish,
        now: Time,
    ) -> Result<(), Refused> {
        let payloads = publish.events.iter().map(|event| event.name.len() + event.payload.len());
        let bytes = WAITING_COST + payloads.sum::<usize>() as u64;
        let shards = self.shards.len() as u16;
        let home = usize::from(home_of(&publish.room, shards).0);
        let is_full = !self.waiting.take(bytes, WAITING_BYTES_MAX);
        let Some(shard) = self.shards.get(home).filter(|_| !is_full) else {
            return Err(self.busy());
        };
        let waiting = Waiting { in_flight: self.waiting.clone(), bytes };
        let number = self.next_number;
        let ticket = Ticket { asker, number };
        let publish = Box::new(Publish { ticket, ..publish });
        if shard.send(Packet::Publish { publish, waiting }).is_err() {
            return Err(self.busy());
        }
        self.next_number += 1;
        let until = now.plus_ms(self.settings.answer_ms);
        self.pending.insert(number, Pending { conn, until });
        Ok(())
    }

    fn refused_by_room(&self, why: PublishRefusal) -> Refused {
        match why {
            PublishRefusal::RawRoom => {
                let text = "the room is raw: it relays what its members send and has no events";
                (Reason::RawRoom, Response::text(409, text))
            }
            PublishRefusal::Failed => {
                let text = "the room's rules have failed: it takes nothing more";
                (Reason::RoomFailed, Response::text(409, text))
            }
            PublishRefusal::NoSuchRoom => {
                (Reason::NoRoom, Response::text(404, "there is no such room, or it has ended"))
            }
            PublishRefusal::Full => {
                let response = Response::text(503, "the server holds as many rooms as it may");
                (Reason::Busy, self.later(response))
            }
            PublishRefusal::Draining => self.draining(),
            PublishRefusal::KeyReused => {
                let text = "this Idempotency-Key came before, with other events; a retry has the \
                            same body, and other events have a key of their own";
                (Reason::KeyReused, Response::text(422, text))
            }
            PublishRefusal::Invalid(text) => invalid(400, text),
        }
    }

    fn busy(&self) -> Refused {
        let text = "too much is on its way to rooms; try again";
        (Reason::Busy, self.later(Response::text(503, text)))
    }

    fn draining(&self) -> Refused {
        let response = Response::text(503, "the server is going away").closing();
        (Reason::Draining, self.later(response))
    }

    fn later(&self, response: Response) -> Response {
        response.header("Retry-After", self.settings.retry_after_s.to_string())
    }
}

impl WatchDriver {
    /// Answers a request to publish, now or later; none when its path is about something else.
    pub(super) fn answer_publish(
        &mut self,
        io: &mut Io<'_>,
        conn: ConnId,
        request: &Request<'_>,
    ) -> Option<Answer> {
        let room = room_of(request)?;
        let sent = self.publish(io, conn, &room, request);
        Some(match sent {
            Ok(()) => Answer::Later,
            Err(refused) => Answer::Respond(self.publishing.refusal(refused)),
        })
    }

    fn publish(
        &mut self,
        io: &mut Io<'_>,
        conn: ConnId,
        room: &str,
        request: &Request<'_>,
    ) -> Result<(), Refused> {
        let terms = self.terms(room, request)?;
        let events = terms.events(request.body).map_err(|text| invalid(400, &text))?;
        let publish = Publish {
            ticket: Ticket { asker: 0, number: 0 },
            room: room.into(),
            may_create: terms.may_create,
            key: terms.key.map(Box::from),
            events,
        };
        self.publishing.send(self.number, conn, publish, io.now())
    }

    /// What a request's head says, if it may be listened to and there is time for it.
    fn terms<'r>(&self, room: &'r str, request: &Request<'r>) -> Result<Terms<'r>, Refused> {
        let terms = self.publishing.terms(&self.auth, room, request)?;
        if self.is_going_away() { Err(self.publishing.draining()) } else { Ok(terms) }
    }

    /// Whether to wait for a body: only whoever may publish sends one. The error is the answer.
    pub(super) fn expect_body(&mut self, request: &Request<'_>) -> Result<(), Response> {
        if People::of(request.path).is_some() {
            return self.expect_manager(request).map(drop);
        }
        let Some(room) = room_of(request) else {
            return match self.answer_without_body(request) {
                Answer::Respond(response) => Err(response),
                _ => Err(Response::text(400, "there is nothing here that a body could be for")),
            };
        };
        let checked = self.terms(&room, request).map(drop);
        checked.map_err(|refused| self.publishing.refusal(refused))
    }
}

/// The room that a request is to publish in, if its path says so.
fn room_of<'a>(request: &Request<'a>) -> Option<Cow<'a, str>> {
    let mut segments = request.segments();
    let mut next = || segments.next()?.ok();
    let (rooms, room, publish) = (next()?, next()?, next()?);
    (rooms == "rooms" && publish == "publish" && segments.next().is_none()).then_some(room)
}

fn invalid(status: u16, text: &str) -> Refused {
    (Reason::Invalid, Response::text(status, text))
}

fn accepted(receipt: &Receipt) -> Response {
    let Receipt { epoch, seq, count, repeated } = receipt;
    let body = format!(
        "{{\"epoch\":\"{epoch}\",\"seq\":{seq},\"count\":{count},\"repeated\":{repeated}}}\n"
    );
    Response::with_body(200, "application/json", body.into_bytes())
        .header("Cache-Control", "no-store")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_is_counted_in_its_place() {
        for (place, (reason, _)) in REASONS.iter().enumerate() {
            assert_eq!(*reason as usize, place);
        }
    }

    #[test]
    fn what_is_on_its_way_is_given_back_however_it_ends() {
        let in_flight = InFlight::default();
        assert!(in_flight.take(10, 10));
        let waiting = Waiting { in_flight: in_flight.clone(), bytes: 10 };
        assert!(!in_flight.take(1, 10));
        drop(waiting);
        assert!(in_flight.take(10, 10));
    }
}
