//! The flow between shards: windows and credit, rooms that lag, readers that pause, quiescing,
//! and a peer that lost its memory.
//!
//! A link never blocks. What may wait or be made up for later respects the window: a broadcast for
//! a shard whose window is full is skipped, its room marked as lagging there and resynced from the
//! log when the window has drained by half; a client that publishes into a full window is accepted
//! once more and then not read until it has drained. Joins, leaves, answers and acknowledgements
//! pass: their number is bounded by what was read.

use super::Engine;
use crate::id::ShardId;
use crate::output::{Event, Output};
use crate::peer::{Broadcast, Down, Encoded, PeerMsg};
use crate::session::outbound::{CLASSES, ClassIndex};
use crate::session::pause;
use madang_protocol::server::LeaveReason;
use smallvec::SmallVec;

impl Engine {
    pub(super) fn send_peer(&mut self, to: ShardId, msg: PeerMsg) {
        let Some(link) = self.links.get_mut(to.0 as usize) else { return };
        link.outstanding += msg.cost();
        self.out.push_back(Output::Peer { to, msg });
    }

    /// Whether a link has no window left for what can wait.
    pub(super) fn link_is_full(&self, to: ShardId) -> bool {
        let window = self.config.peer_window_bytes;
        self.links.get(to.0 as usize).is_some_and(|link| link.is_full(window))
    }

    /// Does not read from a session's client until the link has room again.
    pub(super) fn pause_for_link(&mut self, to: ShardId, slot: u32) {
        let Some(address) = self.sessions.address(slot) else { return };
        if self.sessions.get(slot).is_some_and(|session| session.pauses & pause::LINK != 0) {
            // It waits for a shard already; that one's credit lets it try again.
            return;
        }
        self.stats.link_pauses += 1;
        self.pause(slot, pause::LINK);
        if let Some(link) = self.links.get_mut(to.0 as usize) {
            link.paused.push(address);
        }
    }

    /// Gives a frame to every shard that has members of the room.
    pub(super) fn broadcast(&mut self, message: Broadcast) {
        let Some(room) = self.home.get_mut(message.channel) else { return };
        let window = self.config.peer_window_bytes;
        let head = room.seq;
        let (mut is_here, mut newly_lagging) = (false, SmallVec::<[ShardId; 2]>::new());
        for subscriber in &mut room.subscribers {
            let shard = subscriber.shard;
            if shard == self.config.shard {
                is_here = true;
                continue;
            }
            let Some(link) = self.links.get_mut(shard.0 as usize) else { continue };
            if subscriber.lag_from.is_some() || link.is_full(window) {
                let class = message.class.index() as usize;
                if message.seq == 0 || message.class.index() == ClassIndex::State {
                    self.stats.dropped[class] += 1;
                }
                if matches!(message.frames, Encoded::Raw { .. }) {
                    let msg = PeerMsg::Down(Down::RawLagged { channel: message.channel });
                    link.outstanding += msg.cost();
                    self.out.push_back(Output::Peer { to: shard, msg });
                } else if let Some(from) = subscriber.lag_from {
                    // What waited behind an unlogged message is older than the head was.
                    if message.seq != 0 {
                        subscriber.lag_from = Some(from.min(message.seq));
                    }
                } else {
                    let from = if message.seq == 0 { head + 1 } else { message.seq };
                    subscriber.lag_from = Some(from);
                    newly_lagging.push(shard);
                }
                continue;
            }
            let msg = PeerMsg::Down(Down::Broadcast(message.clone()));
            link.outstanding += msg.cost();
            self.out.push_back(Output::Peer { to: shard, msg });
        }
        for shard in newly_lagging {
            self.lags(message.channel, shard);
        }
        if is_here {
            self.deliver(&message);
        }
    }

    /// Whether a logged message to one member is left to the resync of its shard, which is behind:
    /// known only when its turn among the effects has come, because one before it may have made
    /// the shard lag.
    pub(super) fn comes_from_log(&mut self, to: ShardId, down: &Down) -> bool {
        let Down::Member { channel, seq, class, .. } = down else { return false };
        let is_state = class.index() == ClassIndex::State;
        if *seq == 0 && !is_state {
            return false;
        }
        let is_full = is_state && self.link_is_full(to);
        let Some(room) = self.home.get_mut(*channel) else { return false };
        let head = room.seq;
        let lagging = room.subscribers.iter_mut().find(|subscriber| subscriber.shard == to);
        let Some(subscriber) = lagging else { return false };
        if is_state && (is_full || subscriber.lag_from.is_some()) {
            self.stats.dropped[ClassIndex::State as usize] += 1;
        }
        match &mut subscriber.lag_from {
            Some(from) if *seq != 0 => *from = (*from).min(*seq),
            Some(_) => {}
            None if is_full => {
                subscriber.lag_from = Some(if *seq == 0 { head + 1 } else { *seq });
                self.lags(*channel, to);
            }
            None => return false,
        }
        true
    }

    /// Notes that a shard has fallen behind with a room.
    fn lags(&mut self, channel: u32, shard: ShardId) {
        let Some(link) = self.links.get_mut(shard.0 as usize) else { return };
        if !link.lagging.contains(&channel) {
            link.lagging.push_back(channel);
        }
        self.stats.lagged += 1;
        let room = self.home.get(channel).map(|room| room.name.clone()).unwrap_or_default();
        self.event(Event::Lagged { room, shard });
    }

    pub(super) fn peer_message(&mut self, from: ShardId, msg: PeerMsg) {
        if let Some(link) = self.links.get_mut(from.0 as usize) {
            link.uncredited += msg.cost();
        }
        match msg {
            PeerMsg::Up(up) => self.handle_up(from, up),
            PeerMsg::Down(down) => self.handle_down(down),
            PeerMsg::Credit { bytes } => self.credited(from, bytes),
            PeerMsg::Quiesce { round } => {
                if let Some(link) = self.links.get_mut(from.0 as usize) {
                    link.quiesced = link.quiesced.max(round);
                }
                self.advance_quiesce();
            }
        }
    }

    /// Tells every peer how much of what it sent has been dealt with.
    pub(super) fn credit_peers(&mut self) {
        let least = self.config.peer_window_bytes / 8;
        for (shard, link) in self.links.iter_mut().enumerate() {
            if link.uncredited > least {
                let bytes = std::mem::take(&mut link.uncredited);
                let to = ShardId(shard as u16);
                self.out.push_back(Output::Peer { to, msg: PeerMsg::Credit { bytes } });
            }
        }
    }

    fn credited(&mut self, peer: ShardId, bytes: u64) {
        let window = self.config.peer_window_bytes;
        let Some(link) = self.links.get_mut(peer.0 as usize) else { return };
        link.outstanding = link.outstanding.saturating_sub(bytes);
        if !link.has_room(window) {
            return;
        }
        for address in std::mem::take(&mut link.paused) {
            self.unpause(address.slot, address.generation, pause::LINK);
        }
        self.resync_lagging(peer);
        self.advance_quiesce();
    }

    /// Brings rooms that lag on a shard up to date, oldest first, as far as the window goes.
    fn resync_lagging(&mut self, peer: ShardId) {
        let window = self.config.peer_window_bytes;
        while let Some(channel) =
            self.links.get_mut(peer.0 as usize).and_then(|link| link.lagging.pop_front())
        {
            // What the room still gathers is in its log: it must not come again behind the resync.
            self.flush_room(channel);
            let mut sent = Vec::new();
            let mut outstanding = self.links[peer.0 as usize].outstanding;
            let done = self.with_room(channel, |room, ctx| {
                let may_send = |down: Down| {
                    let msg = PeerMsg::Down(down);
                    outstanding += msg.cost();
                    sent.push(msg);
                    outstanding < window
                };
                room.resync(peer, may_send, ctx)
            });
            for msg in sent {
                self.send_peer(peer, msg);
            }
            if done == Some(false) {
                self.links[peer.0 as usize].lagging.push_front(channel);
                return;
            }
        }
    }

    /// See [`crate::Input::Quiesce`]. Round 1 says that no client's message follows, round 2, sent
    /// when every peer's round 1 is here and nothing lags, that no delivery of one does.
    pub(super) fn quiesce(&mut self) {
        if self.quiescing == 0 {
            self.quiescing = 1;
            // From here on nothing is gathered: who waits for the end would wait for the window. And
            // no room's time goes on: nothing would be the end of it.
            self.deadlines.clear();
            for channel in self.home.channels() {
                self.gather_no_more(channel);
            }
            self.tell_quiesced(1);
            self.advance_quiesce();
        }
    }

    /// Has a room send everything at once from now on.
    pub(super) fn gather_no_more(&mut self, channel: u32) {
        self.with_room(channel, |room, _| room.flush = crate::room::Flush::Immediate);
        self.flush_room(channel);
    }

    fn advance_quiesce(&mut self) {
        let own = self.config.shard.0 as usize;
        let reached = |round: u8| {
            let mut peers = self.links.iter().enumerate().filter(|(shard, _)| *shard != own);
            peers.all(|(_, link)| link.quiesced >= round)
        };
        let nothing_lags = self.links.iter().all(|link| link.lagging.is_empty());
        if self.quiescing == 1 && reached(1) && nothing_lags {
            self.quiescing = 2;
            self.tell_quiesced(2);
        }
        let reached = |round: u8| {
            let mut peers = self.links.iter().enumerate().filter(|(shard, _)| *shard != own);
            peers.all(|(_, link)| link.quiesced >= round)
        };
        if self.quiescing == 2 && (reached(2) || planted!(self.config, QuiescedEarly)) {
            self.quiescing = 3;
            self.out.push_back(Output::Quiesced);
        }
    }

    /// Sends what a room has gathered, now.
    fn flush_room(&mut self, channel: u32) {
        self.with_room(channel, crate::room::Room::flush_held);
        while let Some(effect) = self.effects.pop_front() {
            self.effect(effect);
        }
    }

    fn tell_quiesced(&mut self, round: u8) {
        for shard in (0..self.links.len() as u16).map(ShardId) {
            if shard != self.config.shard {
                self.out.push_back(Output::Peer { to: shard, msg: PeerMsg::Quiesce { round } });
            }
        }
    }

    /// A peer has forgotten everything: its sessions leave our rooms, its rooms are lost to ours.
    pub(super) fn peer_reset(&mut self, peer: ShardId) {
        let Some(link) = self.links.get_mut(peer.0 as usize) else { return };
        let paused = std::mem::take(link).paused;
        for address in paused {
            self.unpause(address.slot, address.generation, pause::LINK);
        }
        for channel in self.home.channels() {
            self.with_room(channel, |room, ctx| {
                let gone: Vec<u32> = room
                    .members
                    .iter()
                    .filter(|member| member.session.shard == peer)
                    .map(|member| member.id)
                    .collect();
                for member in gone {
                    room.leave(member, LeaveReason::Lost, ctx);
                }
            });
        }
        let lost: Vec<u32> = self
            .views
            .iter()
            .map(|(channel, _)| channel)
            .filter(|channel| self.home_of_channel(*channel) == peer)
            .collect();
        for channel in lost {
            self.removed(channel, 0, LeaveReason::Lost);
        }
        self.fail_joins_through(peer);
        // The new shard has not heard the rounds that the old one was told.
        for round in 1..=self.quiescing.min(2) {
            self.out.push_back(Output::Peer { to: peer, msg: PeerMsg::Quiesce { round } });
        }
        self.advance_quiesce();
    }

    /// Joins that the lost peer may have been asked for get no answer any more: the sessions that
    /// wait for one are told to try again.
    fn fail_joins_through(&mut self, peer: ShardId) {
        let waiting: Vec<u32> = self
            .sessions
            .iter()
            .filter(|(_, session)| !session.joining.is_empty())
            .map(|(slot, _)| slot)
            .collect();
        for slot in waiting {
            self.fail_joins(slot, peer);
        }
    }

    /// Adds what a dropped queue held to the counts.
    pub(super) fn count_given_up(&mut self, given_up: [u32; CLASSES]) {
        self.stats.unwritten += u64::from(given_up[0]);
        for (class, count) in given_up.into_iter().enumerate().skip(1) {
            self.stats.dropped[class] += u64::from(count);
        }
    }
}
