//! Whose requests the side listener answers: tokens of spectators and backends, users that are kept out.

use super::driver::WatchDriver;
use super::feed::WatchPacket;
use crate::auth::{self, Refusal, Ways};
use crate::net::Io;
use crate::net::access::{Ban, read_network};
use crate::net::http::{Request, Response};
use crate::shard::{Expelled, Packet};
use madang_engine::access::{Identity, Rights, UserKey};
use madang_engine::id::ConnId;
use madang_engine::time::Time;
use madang_protocol::limits::{BAN_SECONDS_MAX, USER_BYTES_MAX};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// The wall clock is looked at again after this long at most: it may be set.
const RECHECK_MS: u64 = 60_000;

/// Streams that somebody with a token opened.
#[derive(Debug, Default)]
pub(super) struct Guests {
    all: BTreeMap<ConnId, Arc<Identity>>,
    /// Whose head is being written.
    pub(super) opening: Option<Arc<Identity>>,
}

impl Guests {
    /// A stream is open. Returns when it has to be looked at again.
    pub(super) fn opened(
        &mut self,
        conn: ConnId,
        (now, wall_ms): (Time, u64),
        late_ms: u64,
    ) -> Option<Time> {
        let identity = self.opening.take().filter(|identity| identity.user.is_some())?;
        self.all.insert(conn, identity);
        self.next_look(conn, (now, wall_ms), late_ms)
    }

    /// When a stream has to be looked at again; none if never.
    fn next_look(&self, conn: ConnId, (now, wall_ms): (Time, u64), late_ms: u64) -> Option<Time> {
        let end_ms = self.all.get(&conn)?.expires_ms?.saturating_add(late_ms);
        Some(now.plus_ms(end_ms.saturating_sub(wall_ms).clamp(1, RECHECK_MS)))
    }

    /// Looks at a stream: when to look next, or the error if its token is of the past.
    pub(super) fn look(
        &mut self,
        conn: ConnId,
        now: (Time, u64),
        late_ms: u64,
    ) -> Result<Option<Time>, ()> {
        let Some(end_ms) = self.all.get(&conn).and_then(|identity| identity.expires_ms) else {
            return Ok(None);
        };
        if end_ms.saturating_add(late_ms) <= now.1 {
            return Err(());
        }
        Ok(self.next_look(conn, now, late_ms))
    }

    pub(super) fn left(&mut self, conn: ConnId) {
        self.all.remove(&conn);
    }

    /// The streams of a user.
    pub(super) fn of_user(&self, user: &UserKey) -> Vec<ConnId> {
        let is_theirs = |identity: &Identity| {
            identity.user.as_deref() == Some(&*user.user) && identity.app == user.app
        };
        self.all.iter().filter(|(_, identity)| is_theirs(identity)).map(|(conn, _)| *conn).collect()
    }
}

/// What a request does to people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum People {
    /// Keeps them out for a while.
    Ban,
    /// Sends them away; they may come again.
    Kick,
}

impl People {
    pub(super) fn of(path: &str) -> Option<Self> {
        match path {
            "/bans" => Some(Self::Ban),
            "/kicks" => Some(Self::Kick),
            _ => None,
        }
    }

    /// What the body has to be.
    fn form(self) -> &'static str {
        match self {
            Self::Ban => {
                "the body is {\"user\": text, \"seconds\": number} or {\"network\": text, \"seconds\": number}; \
                 0 seconds let them in again"
            }
            Self::Kick => "the body is {\"user\": text} or {\"network\": text}",
        }
    }
}

/// The body of such a request: one of the first two, and the third for a ban.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Whom {
    user: Option<String>,
    network: Option<String>,
    seconds: Option<u32>,
}

impl WatchDriver {
    /// Who asks. A token is checked at once: these threads give way to the players'.
    pub(super) fn who(
        &self,
        request: &Request<'_>,
        ways: Ways<'_>,
    ) -> Result<Arc<Identity>, Refusal> {
        match auth::find(request, ways) {
            Ok(Some(token)) => self.auth.check(&token),
            Ok(None) => self.auth.anonymous(),
            Err(refusal) => Err(self.auth.counted(refusal)),
        }
    }

    /// Who watches, if it may: a room, or the directory.
    pub(super) fn spectator(
        &self,
        room: Option<&str>,
        request: &Request<'_>,
    ) -> Result<Arc<Identity>, Response> {
        let ways = Ways::All(self.auth.cookie());
        let identity = self.who(request, ways).map_err(auth::unauthorized)?;
        let may_watch = match room {
            Some(room) => identity.rights(room).has(Rights::WATCH),
            None => identity.has_anywhere(Rights::WATCH),
        };
        if may_watch { Ok(identity) } else { Err(lacking(&identity, "watch", &self.auth)) }
    }

    /// The answer to `POST /bans` and `POST /kicks`; none when the path is another.
    pub(super) fn answer_people(
        &mut self,
        io: &mut Io<'_>,
        conn: ConnId,
        request: &Request<'_>,
    ) -> Option<Response> {
        let what = People::of(request.path)?;
        Some(self.expel(io, conn, what, request).unwrap_or_else(|refused| refused))
    }

    /// Whether to wait for the body of such a request. The error is the answer.
    pub(super) fn expect_manager(&self, request: &Request<'_>) -> Result<Arc<Identity>, Response> {
        if request.method != "POST" {
            return Err(Response::text(405, "this is done with POST").header("Allow", "POST"));
        }
        let identity = self.who(request, Ways::Deliberate).map_err(auth::unauthorized)?;
        if !identity.everywhere().has(Rights::MANAGE) {
            return Err(lacking(&identity, "manage (in all rooms: \"*\")", &self.auth));
        }
        Ok(identity)
    }

    fn expel(
        &mut self,
        io: &mut Io<'_>,
        conn: ConnId,
        what: People,
        request: &Request<'_>,
    ) -> Result<Response, Response> {
        let manager = self.expect_manager(request)?;
        let wrong = || Response::text(400, what.form());
        // What the parser says may repeat what was written.
        let whom: Whom = serde_json::from_slice(request.body).map_err(|_| wrong())?;
        let seconds = match (what, whom.seconds) {
            (People::Ban, Some(seconds)) => Some(seconds),
            (People::Kick, None) => None,
            _ => return Err(wrong()),
        };
        if seconds.is_some_and(|seconds| seconds > BAN_SECONDS_MAX) {
            let text = format!("a ban is for up to {BAN_SECONDS_MAX} seconds");
            return Err(Response::text(400, &text));
        }
        let expelled = match (whom.user, whom.network) {
            (Some(user), None) => self.keep_out_user(&manager, user, seconds)?,
            (None, Some(network)) => keep_out_network(io, conn, &network, seconds)?,
            _ => return Err(wrong()),
        };
        let Some(expelled) = expelled else { return Ok(Response::new(204)) };
        let shards = self.publishing.shards().iter();
        let shards = shards.map(|to| to.send(Packet::Expel(expelled.clone())).is_ok());
        let watchers = self.boxes.iter();
        let watchers =
            watchers.map(|to| to.mailbox.send(WatchPacket::Expel(expelled.clone())).is_ok());
        if shards.chain(watchers).fold(true, |all, one| all & one) {
            Ok(Response::new(204))
        } else {
            let text = "they may not have been sent away everywhere; try again";
            Err(Response::text(503, text))
        }
    }

    /// Bans a user, or lets it in again. Returns who is to be sent away.
    fn keep_out_user(
        &self,
        manager: &Identity,
        user: String,
        seconds: Option<u32>,
    ) -> Result<Option<Expelled>, Response> {
        if !(1..=USER_BYTES_MAX).contains(&user.len()) {
            let text = format!("a user has 1 to {USER_BYTES_MAX} bytes");
            return Err(Response::text(400, &text));
        }
        let user = UserKey { app: manager.app.clone(), user: user.into() };
        if seconds == Some(0) {
            self.auth.unban(&user);
            return Ok(None);
        }
        let for_ms = seconds.map(|seconds| u64::from(seconds) * 1000);
        if for_ms.is_some_and(|for_ms| !self.auth.ban(user.clone(), for_ms)) {
            return Err(no_place("auth.bans_max"));
        }
        Ok(Some(Expelled::User(user)))
    }
}

/// Bans a network, or lets it in again. Returns who is to be sent away.
fn keep_out_network(
    io: &Io<'_>,
    conn: ConnId,
    network: &str,
    seconds: Option<u32>,
) -> Result<Option<Expelled>, Response> {
    let Some(network) = read_network(network) else {
        let text = "a network is written as 192.0.2.0/24, 2001:db8::/32 or a single address";
        return Err(Response::text(400, text));
    };
    if seconds == Some(0) {
        io.access().lift(&network);
        return Ok(None);
    }
    if io.client_ip(conn).is_some_and(|own| network.contains(&own.to_canonical())) {
        let text = "that network has your own address in it; nobody could let it in again";
        return Err(Response::text(400, text));
    }
    if let Some(seconds) = seconds {
        let until = SystemTime::now() + Duration::from_secs(seconds.into());
        if !io.access().ban(Ban { network, until: Some(until) }) {
            return Err(no_place("access.bans_max"));
        }
    }
    Ok(Some(Expelled::Network(network)))
}

fn no_place(key: &str) -> Response {
    Response::text(503, &format!("there is no place for another ban ({key}); lift some first"))
}

/// The answer to somebody who is known and may not, or is not known and has to be.
pub(super) fn lacking(identity: &Identity, right: &str, auth: &auth::Auth) -> Response {
    if identity.user.is_none() && auth.takes_tokens() {
        return auth::unauthorized(auth.counted(Refusal::Missing));
    }
    Response::text(403, &format!("this needs the right to {right}"))
}
