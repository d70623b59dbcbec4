//! Who a session is, and until when: new credentials, expiry, users that are sent away.

use super::Engine;
use super::timers::TimerKey;
use crate::access::{Identity, UserKey};
use crate::id::ConnId;
use crate::output::Output;
use crate::peer::Up;
use crate::session::QueueClass;
use madang_protocol::client::Renew;
use madang_protocol::server::{ErrorRef, Expiring, Renewed, ServerMessage};
use madang_protocol::{CloseCode, ErrorCode};
use std::sync::Arc;

/// The wall clock is looked at again after this long at most: it may be set.
const RECHECK_MS: u64 = 60_000;

impl Engine {
    /// A client brings a new credential. Others wait until it has been checked.
    pub(super) fn renew(&mut self, conn: ConnId, slot: u32, renew: Renew) {
        let resumable = self.sessions.get_mut(slot).and_then(|s| s.resumable.as_deref_mut());
        let Some(resumable) = resumable else { return };
        let more = resumable.more.get_or_insert_default();
        if more.renewing.is_some() {
            let text = "another credential is being checked; wait for its answer";
            return self.error(slot, ErrorCode::INVALID, ErrorRef::Session, text.to_owned());
        }
        more.renewing = Some(renew.r#ref);
        self.out.push_back(Output::Authenticate { conn, token: Some(renew.token) });
    }

    /// What became of it.
    pub(super) fn renewed(
        &mut self,
        slot: u32,
        result: Result<Arc<Identity>, (CloseCode, String)>,
    ) {
        let Some(session) = self.sessions.get_mut(slot) else { return };
        let renewing = session
            .resumable
            .as_deref_mut()
            .and_then(|own| own.more.as_deref_mut()?.renewing.take());
        let Some(r#ref) = renewing else { return };
        let refusal = match result {
            Ok(identity) if identity.is_same_user(&session.identity) => {
                let wall_ms = self.clock.wall_us / 1000;
                let expires_ms = identity.expires_ms.map(|at_ms| at_ms.saturating_sub(wall_ms));
                self.identify(slot, identity);
                let renewed = ServerMessage::Renewed(Renewed { r#ref, expires_ms });
                return self.say(slot, &renewed, QueueClass::Control);
            }
            Ok(_) => "the credential is another user's; a session stays its own".to_owned(),
            Err((_, why)) => why,
        };
        self.error(slot, ErrorCode::BAD_TOKEN, ErrorRef::Session, refusal);
    }

    /// A session has a new identity of the same user: its rooms are told what it may do now.
    fn identify(&mut self, slot: u32, identity: Arc<Identity>) {
        let Some(address) = self.sessions.address(slot) else { return };
        let Some(session) = self.sessions.get_mut(slot) else { return };
        session.identity = Arc::clone(&identity);
        for membership in session.rooms.clone() {
            let (session, identity) = (address, Arc::clone(&identity));
            let (channel, member) = (membership.channel, membership.member);
            let up = Up::Identity { session, channel, member, identity };
            self.send_up(self.home_of_channel(channel), up);
        }
        self.watch_expiry(slot);
    }

    /// Sees to it that the client is asked for a new credential in time.
    pub(super) fn watch_expiry(&mut self, slot: u32) {
        let Some(session) = self.sessions.get_mut(slot) else { return };
        session.is_asked = false;
        session.credentials = session.credentials.wrapping_add(1);
        let Some(expires_ms) = session.identity.expires_ms else { return };
        // One that lives shorter than that is asked for in the middle of its life: not at once, and for
        // ever.
        let life_ms = expires_ms.saturating_sub(self.clock.wall_us / 1000);
        let lead_ms = self.config.session.renew_ms.min(life_ms / 2);
        let lead_ms = u32::try_from(lead_ms).unwrap_or(u32::MAX);
        let key = (session.generation, session.credentials);
        self.look_at_token(slot, key, lead_ms, expires_ms.saturating_sub(lead_ms.into()));
    }

    /// Looks at a session's credential at a wall time. The client is asked for a new one so long before
    /// it expires.
    fn look_at_token(
        &mut self,
        slot: u32,
        (generation, credential): (u32, u16),
        lead_ms: u32,
        at_ms: u64,
    ) {
        let wall_ms = self.clock.wall_us / 1000;
        let in_ms = at_ms.saturating_sub(wall_ms).min(RECHECK_MS);
        let key = TimerKey::Token { slot, generation, credential, lead_ms };
        self.timers.insert(self.clock.now.plus_ms(in_ms), key);
    }

    pub(super) fn token_due(&mut self, slot: u32, key: (u32, u16), lead_ms: u32) {
        let (wall_ms, config) = (self.clock.wall_us / 1000, &self.config.session);
        let Some(session) = self.sessions.get_mut(slot).filter(|session| {
            // A session that comes back brings a credential of its own.
            (session.generation, session.credentials) == key && session.conn.is_some()
        }) else {
            return;
        };
        let Some(expires_ms) = session.identity.expires_ms else { return };
        let ask_ms = expires_ms.saturating_sub(lead_ms.into());
        let close_ms = expires_ms.saturating_add(config.expired_ms);
        if wall_ms >= close_ms && !planted!(self.config, ExpiredStays) {
            let why = "the credential has expired and no new one came";
            self.stats.expired += 1;
            return self.close_session_conn(slot, CloseCode::EXPIRED, why);
        }
        if wall_ms < ask_ms {
            return self.look_at_token(slot, key, lead_ms, ask_ms);
        }
        if !std::mem::replace(&mut session.is_asked, true) {
            let close_ms = u32::try_from(close_ms.saturating_sub(wall_ms)).unwrap_or(u32::MAX);
            let expiring = ServerMessage::Expiring(Expiring { close_ms });
            self.say(slot, &expiring, QueueClass::Control);
        }
        // In a millisecond at least, or a turn would see the same moment again and again.
        self.look_at_token(slot, key, lead_ms, close_ms.max(wall_ms + 1));
    }

    /// Ends the sessions of a user here.
    pub(super) fn expel(&mut self, user: &UserKey) {
        let is_theirs = |identity: &Identity| {
            identity.user.as_deref() == Some(&*user.user) && identity.app == user.app
        };
        let sessions = self.sessions.iter().filter(|(_, session)| is_theirs(&session.identity));
        let slots: Vec<u32> = sessions.map(|(slot, _)| slot).collect();
        for slot in slots {
            match self.sessions.get(slot).and_then(|session| session.conn) {
                Some(conn) => self.close(conn, CloseCode::KICKED, "the user is kept out"),
                None => self.end_session(slot),
            }
        }
    }
}
