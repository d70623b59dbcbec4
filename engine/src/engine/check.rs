//! The engine's invariants, asserted: on what an input touched after every input in debug builds,
//! on everything when asked.

use super::Engine;
use super::connections::ConnState;

/// What the current input touched; only kept in debug builds.
#[derive(Debug, Default)]
pub(super) struct Touched {
    sessions: Vec<u32>,
    rooms: Vec<u32>,
}

/// More than this is not looked at after each input: a broadcast touches thousands.
const TOUCHED_MAX: usize = 8;

impl Touched {
    pub(super) fn session(&mut self, slot: u32) {
        if cfg!(debug_assertions)
            && self.sessions.len() < TOUCHED_MAX
            && !self.sessions.contains(&slot)
        {
            self.sessions.push(slot);
        }
    }

    pub(super) fn room(&mut self, channel: u32) {
        if cfg!(debug_assertions)
            && self.rooms.len() < TOUCHED_MAX
            && !self.rooms.contains(&channel)
        {
            self.rooms.push(channel);
        }
    }
}

impl Engine {
    /// Checks what the current input touched. Does nothing in release builds.
    pub(super) fn check_touched(&mut self) {
        if !cfg!(debug_assertions) {
            return;
        }
        for slot in std::mem::take(&mut self.touched.sessions) {
            self.check_session(slot);
        }
        for channel in std::mem::take(&mut self.touched.rooms) {
            // Large rooms are checked as a whole by `check_invariants` only.
            if let Some(room) = self.home.get(channel).filter(|room| room.members.len() <= 64) {
                room.check(&self.config.room);
            }
        }
    }

    /// Panics where any invariant does not hold. Takes time in proportion to all there is.
    pub fn check_invariants(&self) {
        let mut nodes = 0;
        for (slot, session) in self.sessions.iter() {
            self.check_session(slot);
            nodes += session.queue.messages() as usize;
        }
        assert!(self.pool.in_use() >= nodes, "every waiting message has a node");
        let away = self.sessions.iter().filter(|(_, session)| session.conn.is_none()).count();
        assert_eq!(away, self.sessions.away, "sessions away are counted");
        assert!(self.sessions.away <= self.config.session.away_sessions_max);
        self.home.check(&self.config.room);
        for room in self.home.iter() {
            room.check(&self.config.room);
            assert_eq!(self.home_of_channel(room.channel), self.config.shard, "rooms are home");
        }
        let waiting: u64 = self.sessions.iter().map(|(_, session)| session.queue.bytes()).sum();
        assert_eq!(waiting, self.pool.bytes(), "what waits is counted");
        let held: u64 = self.home.iter().map(crate::room::Room::held_bytes).sum();
        let counted: u64 = self.home.iter().map(|room| room.counted).sum();
        assert_eq!(counted, self.stats.room_bytes, "what rooms hold is counted");
        // A room that was just made has not been counted yet.
        assert!(held >= counted);
        for (channel, view) in self.views.iter() {
            for (position, place) in view.members.iter().enumerate() {
                let session = self.sessions.get(place.slot).expect("a place has a session");
                let held = session.membership(channel).expect("a place has a membership");
                assert_eq!((held.member, held.position as usize), (place.member, position));
            }
        }
        for state in &self.conns {
            if let ConnState::Open { slot, .. } = state {
                assert!(self.sessions.get(*slot).is_some(), "an open connection has a session");
            }
        }
    }

    fn check_session(&self, slot: u32) {
        let Some(session) = self.sessions.get(slot) else { return };
        let config = &self.config.session;
        self.pool.check(&session.queue, slot, config);
        assert!(session.conn.is_some() || session.queue.is_empty(), "nothing waits for the absent");
        assert!(session.rooms.len() + session.joining.len() <= config.rooms_max.max(1));
        if let Some(conn) = session.conn {
            assert_eq!(self.session_of(conn), Some(slot), "session and connection agree");
        }
        for held in &session.rooms {
            let view = self.views.get(held.channel).expect("a membership has a view");
            let place = view.members.get(held.position as usize).expect("and a place in it");
            assert_eq!((place.slot, place.member), (slot, held.member));
        }
    }
}
