//! Who is owed a room's state: members that did not keep up with it, or whose copy is wrong.
//!
//! Such a member gets no more deltas. As soon as nothing waits for it any more its room is asked, and
//! sends all that it sees anew; from there on it gets deltas again. The link between home and shard
//! keeps the order, so that what is broadcast behind the answer applies to it.

use super::Engine;
use crate::fanout::StateFlow;
use crate::frame::{Frame, FrameKind};
use crate::id::SessionRef;
use crate::peer::{Up, Wire};
use crate::session::QueueClass;

impl Engine {
    /// Stops a member's deltas; it is owed the state.
    pub(super) fn owe_state(&mut self, slot: u32, channel: u32) {
        let membership = self.sessions.get(slot).and_then(|session| session.membership(channel));
        let Some(place) = membership.and_then(|membership| self.place_mut(membership)) else {
            return;
        };
        if !place.live || place.state == StateFlow::Asked {
            return;
        }
        place.state = StateFlow::Owed;
        let Some(session) = self.sessions.get_mut(slot) else { return };
        self.pool.discard_state(&mut session.queue, slot, channel);
        self.owing.push(slot);
    }

    /// Asks rooms for the state of those for whom nothing waits any more.
    pub(super) fn ask_for_states(&mut self) {
        for slot in std::mem::take(&mut self.owing) {
            let Some(session) = self.sessions.get_mut(slot) else { continue };
            session.queue.owes_state =
                !session.queue.is_empty() && !planted!(self.config, OwedForgotten);
            let (attempt, rooms) = (session.attempt, session.rooms.clone());
            if !session.queue.is_empty() || session.conn.is_none() {
                continue;
            }
            let Some(session) = self.sessions.address(slot) else { continue };
            for membership in rooms {
                let (channel, member) = (membership.channel, membership.member);
                let Some(place) = self.place_mut(membership) else { continue };
                if place.live && place.state == StateFlow::Owed {
                    place.state = StateFlow::Asked;
                    self.stats.states_owed += 1;
                    let up = Up::StateOwed { session, attempt, channel, member };
                    self.send_up(self.home_of_channel(channel), up);
                }
            }
            self.settle();
        }
    }

    /// The state that a member was owed is here.
    pub(super) fn state_came(
        &mut self,
        address: SessionRef,
        attempt: u32,
        (channel, member): (u32, u32),
        frames: &[Frame],
    ) {
        let Some(session) = self.sessions.resolve(address) else { return };
        let (wire, is_current) = (session.wire, session.attempt == attempt);
        let membership = session.membership(channel).filter(|held| held.member == member);
        let Some(place) = membership.and_then(|membership| self.place_mut(membership)) else {
            return;
        };
        if !is_current || !place.live || place.state != StateFlow::Asked {
            return;
        }
        place.state = StateFlow::Live;
        let kind = if wire == Wire::Json { FrameKind::Text } else { FrameKind::Batch };
        for frame in frames {
            self.push(address.slot, (frame, kind), QueueClass::Snapshot { channel });
        }
    }

    /// What every member here has of a room's state is behind. Who waits for an answer gets none: the
    /// room did not give it to a shard that was behind.
    pub(super) fn state_lagged(&mut self, channel: u32) {
        for place in self.views.get_mut(channel).into_iter().flat_map(|view| &mut view.members) {
            place.state = StateFlow::Owed;
        }
        for (address, _) in self.members_here(channel) {
            self.owe_state(address.slot, channel);
        }
    }
}
