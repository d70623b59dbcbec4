//! Sessions: identity, key, queue, allowance, rooms. A session knows its rooms only as numbers.

mod chunks;
pub mod outbound;
pub mod rate;

pub use outbound::{Pushed, QueueClass};

use crate::access::{Identity, UserKey};
use crate::config::SessionConfig;
use crate::id::{ConnId, SessionRef, ShardId};
use crate::peer::Wire;
use crate::time::Time;
use madang_protocol::ids::SessionId;
use outbound::Queue;
use rate::Allowance;
use slab::Slab;
use smallvec::SmallVec;
use std::collections::BTreeMap;
use std::sync::Arc;
use thin_vec::ThinVec;

/// Why reading from a client is paused; bits of [`Session::pauses`].
pub mod pause {
    /// It spent its allowance.
    pub const RATE: u8 = 1;
    /// A shard that it feeds is behind.
    pub const LINK: u8 = 2;
    /// Its raw room has not let it in yet.
    pub const ENTRY: u8 = 4;
    /// Part of what it sent has not been looked at yet ([`super::Session::rest`]).
    pub const REST: u8 = 8;
}

/// A session's presence in one room.
#[derive(Clone, Copy, Debug)]
pub struct Membership {
    /// The room.
    pub channel: u32,
    /// The member.
    pub member: u32,
    /// Its place in the room's [`crate::fanout::View`].
    pub position: u32,
}

/// An authenticated identity, with or without a connection.
///
/// What a delivery touches comes first, on a cache line of its own.
#[derive(Debug)]
#[repr(C, align(64))]
pub struct Session {
    /// What waits for the client.
    pub queue: Queue,
    /// The connection, unless the session is away.
    pub conn: Option<ConnId>,
    /// How often the slot was used before.
    pub generation: u32,
    /// Counts connections; answers to requests of an earlier one are void.
    pub attempt: u32,
    /// How the connection speaks.
    pub wire: Wire,
    /// Why reading is paused.
    pub pauses: u8,
    /// Whether a ping is unanswered.
    pub pinged: bool,
    /// Whether the client has been asked for a new credential.
    pub is_asked: bool,
    /// Counts its credentials, so that what is due for an earlier one means nothing.
    pub credentials: u16,
    /// Who it belongs to, and what it may do.
    pub identity: Arc<Identity>,
    /// Rooms it is in.
    pub rooms: SmallVec<[Membership; 1]>,
    /// Joins without an answer, by `ref`, with the name where one was given.
    pub joining: ThinVec<Joining>,
    /// What the client may still send.
    pub allowance: Allowance,
    /// When something last came.
    pub last_seen: Time,
    /// What only resumable sessions have.
    pub resumable: Option<Box<Resumable>>,
    /// Messages of a batch that came before the session was paused, or while receivers had as much
    /// as can be written in a turn; empty where nothing waits.
    pub rest: ThinVec<u8>,
    /// Messages of a raw connection that its room has not let in yet.
    pub held: Option<Box<Held>>,
}

/// A join without an answer.
#[derive(Debug)]
pub struct Joining {
    /// The client's number.
    pub r#ref: u32,
    /// The room's name, unless it is a match.
    pub name: Option<Box<str>>,
}

/// Identity and keys of a session that can be resumed.
#[derive(Debug)]
pub struct Resumable {
    /// Its public id.
    pub id: SessionId,
    /// The secret of the newest key.
    pub secret: [u8; 16],
    /// What few sessions have.
    pub more: Option<Box<Resumed>>,
}

/// What is to be known of a session that was resumed, or brings a new credential.
#[derive(Debug, Default)]
pub struct Resumed {
    /// The secret of the key that the newest replaced, until the client shows that it has the new.
    pub old_secret: Option<[u8; 16]>,
    /// The client's number for the new credential that is being checked.
    pub renewing: Option<u32>,
    /// Times it was resumed.
    pub resumes: u32,
}

/// Raw messages that wait for the room's answer.
#[derive(Debug, Default)]
pub struct Held {
    /// The messages and whether each is text.
    pub messages: Vec<(Box<[u8]>, bool)>,
    /// Their bytes.
    pub bytes: usize,
}

impl Session {
    /// Its membership in a room.
    pub fn membership(&self, channel: u32) -> Option<Membership> {
        self.rooms.iter().copied().find(|membership| membership.channel == channel)
    }

    /// Whether the session is waiting for the room of this name to let it in.
    pub fn is_joining(&self, name: &str) -> bool {
        self.joining.iter().any(|joining| joining.name.as_deref() == Some(name))
    }
}

/// The sessions of a shard.
#[derive(Debug)]
pub struct Sessions {
    shard: ShardId,
    slab: Slab<Session>,
    /// How many each user has.
    by_user: BTreeMap<UserKey, usize>,
    next_generation: u32,
    /// Sessions without a connection.
    pub away: usize,
}

impl Sessions {
    /// None.
    pub fn new(shard: ShardId) -> Self {
        Self { shard, slab: Slab::new(), by_user: BTreeMap::new(), next_generation: 0, away: 0 }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.slab.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.slab.is_empty()
    }

    /// Begins a session on a connection.
    pub fn open(
        &mut self,
        conn: ConnId,
        wire: Wire,
        (identity, resumable): (Arc<Identity>, Option<Box<Resumable>>),
        config: &SessionConfig,
        now: Time,
    ) -> u32 {
        self.next_generation = self.next_generation.wrapping_add(1);
        if let Some(user) = identity.user_key() {
            *self.by_user.entry(user).or_default() += 1;
        }
        let session = Session {
            generation: self.next_generation,
            attempt: 1,
            conn: Some(conn),
            wire,
            identity,
            is_asked: false,
            credentials: 0,
            pauses: 0,
            pinged: false,
            queue: Queue::default(),
            rooms: SmallVec::new(),
            joining: ThinVec::new(),
            allowance: Allowance::new(config, now),
            last_seen: now,
            resumable,
            rest: ThinVec::new(),
            held: None,
        };
        self.slab.insert(session) as u32
    }

    /// The session in a slot.
    pub fn get(&self, slot: u32) -> Option<&Session> {
        self.slab.get(slot as usize)
    }

    /// The session in a slot.
    pub fn get_mut(&mut self, slot: u32) -> Option<&mut Session> {
        self.slab.get_mut(slot as usize)
    }

    /// The session an address means, if it still exists.
    pub fn resolve(&mut self, address: SessionRef) -> Option<&mut Session> {
        let session = self.slab.get_mut(address.slot as usize)?;
        (session.generation == address.generation).then_some(session)
    }

    /// The address of the session in a slot.
    pub fn address(&self, slot: u32) -> Option<SessionRef> {
        let generation = self.get(slot)?.generation;
        Some(SessionRef { shard: self.shard, slot, generation })
    }

    /// Ends a session.
    pub fn remove(&mut self, slot: u32) -> Option<Session> {
        let session = self.slab.try_remove(slot as usize)?;
        if let Some(user) = session.identity.user_key()
            && let Some(count) = self.by_user.get_mut(&user)
        {
            *count -= 1;
            if *count == 0 {
                self.by_user.remove(&user);
            }
        }
        Some(session)
    }

    /// How many sessions a user has here.
    pub fn of_user(&self, user: &UserKey) -> usize {
        self.by_user.get(user).copied().unwrap_or(0)
    }

    /// Every session with its slot, by ascending slot.
    pub fn iter(&self) -> impl Iterator<Item = (u32, &Session)> {
        self.slab.iter().map(|(slot, session)| (slot as u32, session))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_is_small_and_begins_with_what_a_delivery_touches() {
        assert!(size_of::<Session>() <= 256, "{} bytes", size_of::<Session>());
        assert_eq!(std::mem::offset_of!(Session, queue), 0);
        // The slab needs no word of its own to tell a session from a free place.
        assert_eq!(size_of::<Option<Session>>(), size_of::<Session>());
    }
}
