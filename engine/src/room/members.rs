//! The members of a room, ascending by id.

use crate::access::{Identity, Rights};
use crate::id::SessionRef;
use crate::peer::Wire;
use madang_protocol::server::MemberInfo;
use madang_protocol::value::Value;
use std::sync::Arc;

/// A session's presence in the room.
#[derive(Clone, Debug)]
pub struct Member {
    /// Its id; ascending, never reused in an epoch.
    pub id: u32,
    /// Where it is.
    pub session: SessionRef,
    /// How it speaks.
    pub wire: Wire,
    /// Whether its connection is gone.
    pub away: bool,
    /// Whether it hears itself.
    pub echo: bool,
    /// Whether it has left; its place waits for the next compaction.
    gone: bool,
    /// The highest cseq dealt with.
    pub applied_cseq: u64,
    /// Who it is.
    pub identity: Arc<Identity>,
    /// What it may do in this room, as its identity says.
    pub rights: Rights,
    /// Its attributes, in the order they were first set.
    pub attributes: Vec<(String, Value)>,
}

impl Member {
    /// A new member, present.
    pub fn new(
        id: u32,
        session: SessionRef,
        wire: Wire,
        echo: bool,
        (identity, rights): (Arc<Identity>, Rights),
        attributes: Vec<(String, Value)>,
    ) -> Self {
        Self {
            id,
            session,
            wire,
            away: false,
            echo,
            gone: false,
            applied_cseq: 0,
            identity,
            rights,
            attributes,
        }
    }

    /// The authenticated user.
    pub fn user(&self) -> Option<&str> {
        self.identity.user.as_deref()
    }

    /// The member as others see it.
    pub fn info(&self) -> MemberInfo {
        MemberInfo {
            id: super::wire_member(self.id),
            user: self.user().map(str::to_owned),
            away: self.away,
            attributes: self.attributes.clone(),
        }
    }
}

/// Members by ascending id: a sorted vector, because ids only grow and look-ups are by id. One
/// that leaves is marked and swept when half are marked.
#[derive(Debug, Default)]
pub struct Members {
    list: Vec<Member>,
    gone: usize,
    next_id: u32,
}

impl Members {
    /// How many there are.
    pub fn len(&self) -> u32 {
        (self.list.len() - self.gone) as u32
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The id of the next one to enter.
    pub fn next_id(&mut self) -> u32 {
        self.next_id += 1;
        self.next_id
    }

    /// Adds one with an id from [`Self::next_id`].
    pub fn add(&mut self, member: Member) {
        debug_assert!(self.list.last().is_none_or(|last| last.id < member.id));
        if self.list.len() == self.list.capacity() {
            // Most rooms are small and stay so: doubling would leave much of them unused.
            self.list.reserve_exact(self.list.len() / 4 + 2);
        }
        self.list.push(member);
    }

    /// The member of this id.
    pub fn get(&self, id: u32) -> Option<&Member> {
        self.position(id).map(|at| &self.list[at])
    }

    /// The member of this id.
    pub fn get_mut(&mut self, id: u32) -> Option<&mut Member> {
        self.position(id).map(|at| &mut self.list[at])
    }

    /// Removes one.
    pub fn remove(&mut self, id: u32) -> Option<Member> {
        let at = self.position(id)?;
        let member = &mut self.list[at];
        let removed = Member {
            identity: Arc::clone(&member.identity),
            attributes: std::mem::take(&mut member.attributes),
            ..*member
        };
        member.gone = true;
        self.gone += 1;
        if self.gone * 2 > self.list.len() {
            self.list.retain(|member| !member.gone);
            self.gone = 0;
            if self.list.is_empty() {
                self.list = Vec::new();
            }
        }
        Some(removed)
    }

    /// Removes everyone; ids go on ascending.
    pub fn clear(&mut self) {
        (self.list, self.gone) = (Vec::new(), 0);
    }

    /// Everyone, ascending by id.
    pub fn iter(&self) -> impl Iterator<Item = &Member> {
        self.list.iter().filter(|member| !member.gone)
    }

    /// Everyone with a higher id than `after`, ascending.
    pub fn after(&self, after: u32) -> impl Iterator<Item = &Member> {
        let at = self.list.partition_point(|member| member.id <= after);
        self.list[at..].iter().filter(|member| !member.gone)
    }

    /// Panics where the order or the count does not hold.
    pub fn check(&self) {
        assert!(self.list.is_sorted_by(|a, b| a.id < b.id));
        assert_eq!(self.gone, self.list.iter().filter(|member| member.gone).count());
    }

    fn position(&self, id: u32) -> Option<usize> {
        let at = self.list.binary_search_by_key(&id, |member| member.id).ok()?;
        (!self.list[at].gone).then_some(at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_found_by_id_while_others_come_and_go() {
        let mut members = Members::default();
        let session = SessionRef::default();
        for _ in 0..10 {
            let id = members.next_id();
            let who = (Identity::anonymous(Rights::ALL), Rights::ALL);
            members.add(Member::new(id, session, Wire::Native, true, who, Vec::new()));
        }
        for id in [2, 4, 6, 8, 10, 1] {
            assert_eq!(members.remove(id).map(|member| member.id), Some(id));
            assert!(members.remove(id).is_none() && members.get(id).is_none());
            members.check();
        }
        let ids = |members: &Members| members.iter().map(|m| m.id).collect::<Vec<_>>();
        assert_eq!(ids(&members), [3, 5, 7, 9]);
        assert_eq!(members.after(5).map(|m| m.id).collect::<Vec<_>>(), [7, 9]);
        assert_eq!(members.next_id(), 11);
        assert_eq!(members.len(), 4);
    }
}
