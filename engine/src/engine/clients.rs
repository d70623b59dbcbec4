//! What clients say once they have a session: joins, operations, questions.

use super::Engine;
use crate::config::Kind;
use crate::id::{ConnId, ShardId};
use crate::peer::{JoinRequest, RoomOp, Up, home_of};
use crate::room::cseq_of;
use crate::session::outbound::ClassIndex;
use crate::session::rate::Ask;
use crate::session::{Joining, QueueClass};
use madang_protocol::ErrorCode;
use madang_protocol::client::{ClientMessage, Join, JoinTarget, Resync};
use madang_protocol::ids::Channel;
use madang_protocol::limits::{LABELS_MAX, is_room_name};
use madang_protocol::server::{
    ClassCounts, ErrorRef, LeaveReason, Left, Pong, ServerMessage, Stats,
};
use std::sync::Arc;

impl Engine {
    pub(super) fn client_message(&mut self, conn: ConnId, slot: u32, message: ClientMessage<'_>) {
        let named = cseq_of(&message);
        match message {
            ClientMessage::Join(_) => self.spend_ask(slot, Ask::Join),
            ClientMessage::Request(_)
            | ClientMessage::GetStats(_)
            | ClientMessage::Resync(_)
            | ClientMessage::Renew(_)
            | ClientMessage::Manage(_) => self.spend_ask(slot, Ask::Request),
            _ => {}
        }
        let op = match message {
            ClientMessage::Hello(_) => return self.bad_message(conn, "a second hello"),
            ClientMessage::Join(join) => return self.join(slot, join),
            ClientMessage::Leave(leave) => return self.leave(slot, leave.channel),
            ClientMessage::Ping(ping) => {
                let pong = Pong { id: ping.id, server_time_us: self.clock.wall_us };
                return self.say(slot, &ServerMessage::Pong(pong), QueueClass::Control);
            }
            ClientMessage::GetStats(get) => return self.send_stats(slot, get.r#ref),
            ClientMessage::Publish(op) => RoomOp::Publish(op),
            ClientMessage::Direct(op) => RoomOp::Direct(op),
            ClientMessage::Request(op) => RoomOp::Request(op),
            ClientMessage::SetAttributes(op) => RoomOp::SetAttributes(op),
            ClientMessage::Edit(op) => RoomOp::Edit(op),
            ClientMessage::Manage(op) => RoomOp::Manage(op),
            ClientMessage::Renew(renew) => return self.renew(conn, slot, renew),
            ClientMessage::Resync(resync) => return self.state_asked(slot, &resync),
        };
        let Some((channel, cseq)) = named else { return };
        let Some(address) = self.sessions.address(slot) else { return };
        let Some(membership) = self.sessions.get(slot).and_then(|s| s.membership(channel.0)) else {
            let error_ref = ErrorRef::Cseq { channel, cseq };
            let text = format!("the session is not in a room with channel {channel}");
            return self.error(slot, ErrorCode::NOT_A_MEMBER, error_ref, text);
        };
        let (channel, member) = (membership.channel, membership.member);
        let home = self.home_of_channel(channel);
        if home == self.config.shard {
            self.with_room(channel, |room, ctx| room.op(address, member, &op, ctx));
            return;
        }
        if self.link_is_full(home) {
            self.pause_for_link(home, slot);
        }
        let op = op.into_owned();
        self.send_up(home, Up::Op { session: address, channel, member, op });
    }

    fn join(&mut self, slot: u32, join: Join) {
        let error_ref = ErrorRef::Join(join.r#ref);
        match self.check_join(slot, &join) {
            Ok((to, request)) => {
                let name = match &request.join.target {
                    JoinTarget::Name(name) => Some(name.as_str().into()),
                    JoinTarget::Match { .. } => None,
                };
                if let Some(session) = self.sessions.get_mut(slot) {
                    session.joining.push(Joining { r#ref: join.r#ref, name });
                }
                self.send_up(to, Up::Join(Box::new(request)));
            }
            Err((code, text)) => self.error(slot, code, error_ref, text),
        }
    }

    fn check_join(
        &self,
        slot: u32,
        join: &Join,
    ) -> Result<(ShardId, JoinRequest), (ErrorCode, String)> {
        let refused = |code, text: &str| Err((code, text.to_owned()));
        let Some(session) = self.sessions.get(slot) else {
            return refused(ErrorCode::INTERNAL, "the session is gone");
        };
        if self.draining {
            return refused(ErrorCode::DRAINING, "the server is going away and takes no new joins");
        }
        if let JoinTarget::Match { filter, .. } = &join.target
            && filter.len() > LABELS_MAX
        {
            let text = format!("a filter has at most {LABELS_MAX} labels, as a room has");
            return Err((ErrorCode::INVALID, text));
        }
        let room_share = self.config.session.replay_bytes_max / rooms_max(&self.config);
        if session.queue.replay_bytes() > room_share {
            return refused(ErrorCode::BUSY, "read the answers to earlier joins first");
        }
        let rooms_max = self.config.session.rooms_max;
        if session.rooms.len() + session.joining.len() >= rooms_max {
            let text = format!("a session may be in {rooms_max} rooms");
            return Err((ErrorCode::TOO_MANY_ROOMS, text));
        }
        if session.joining.iter().any(|joining| joining.r#ref == join.r#ref) {
            return refused(ErrorCode::INVALID, "this ref belongs to a join without an answer yet");
        }
        let (home, kind) = match &join.target {
            JoinTarget::Name(name) if !is_room_name(name) => {
                return refused(
                    ErrorCode::INVALID,
                    "a room name has 1 to 128 characters out of letters, digits and -._~:@",
                );
            }
            JoinTarget::Name(name) => {
                let held = self.views.find(name).and_then(|channel| session.membership(channel));
                if held.is_some() || session.is_joining(name) {
                    return refused(ErrorCode::ALREADY_JOINED, "the session is in that room");
                }
                let kind = self.config.room.bound_kind(name).unwrap_or(Kind::Relay);
                (home_of(name, self.config.shards), kind)
            }
            JoinTarget::Match { kind, .. } => match self.config.room.kind(kind) {
                // All matches of a kind start at one shard, so that two at once meet.
                Some(known) => (home_of(kind, self.config.shards), known),
                None => return refused(ErrorCode::INVALID, "there is no such kind of room"),
            },
        };
        if kind == Kind::Raw {
            return refused(ErrorCode::WRONG_KIND, "rooms of this kind are joined by URL: /raw/");
        }
        let request = JoinRequest {
            session: self.sessions.address(slot).unwrap_or_default(),
            attempt: session.attempt,
            identity: Arc::clone(&session.identity),
            wire: session.wire,
            kind,
            join: join.clone(),
            visited: 0,
        };
        Ok((home, request))
    }

    fn leave(&mut self, slot: u32, channel: Channel) {
        let is_member =
            self.sessions.get(slot).is_some_and(|session| session.membership(channel.0).is_some());
        if !is_member {
            let text = format!("the session is not in a room with channel {channel}");
            return self.error(slot, ErrorCode::NOT_A_MEMBER, ErrorRef::Session, text);
        }
        self.leave_room(slot, channel.0, LeaveReason::Left);
        let left = ServerMessage::Left(Left { channel, reason: LeaveReason::Left });
        self.say(slot, &left, QueueClass::Control);
    }

    fn send_stats(&mut self, slot: u32, r#ref: u32) {
        let Some(session) = self.sessions.get(slot) else { return };
        let queue = &session.queue;
        let class = |class: ClassIndex, conflated: u32| ClassCounts {
            sent: queue.sent(class),
            dropped: u64::from(queue.dropped[class as usize]),
            conflated: u64::from(conflated),
        };
        let stats = ServerMessage::Stats(Stats {
            r#ref,
            reliable: class(ClassIndex::Reliable, 0),
            latest: class(ClassIndex::Latest, queue.conflated),
            volatile: class(ClassIndex::Volatile, 0),
            control: class(ClassIndex::Control, 0),
            queued_messages: queue.messages(),
            queued_bytes: queue.bytes(),
            resumes: session
                .resumable
                .as_ref()
                .and_then(|resumable| resumable.more.as_ref())
                .map_or(0, |more| more.resumes),
            state: class(ClassIndex::State, 0),
        });
        self.say(slot, &stats, QueueClass::Control);
    }

    /// A client's copy of a room's state is wrong: it gets all of it anew as one that was slow does,
    /// so that asking again and again brings no more than it can take.
    fn state_asked(&mut self, slot: u32, resync: &Resync) {
        let channel = resync.channel;
        if self.sessions.get(slot).and_then(|session| session.membership(channel.0)).is_none() {
            // It may have crossed the news that the membership has ended.
            return;
        }
        self.stats.state_mismatches += 1;
        self.owe_state(slot, channel.0);
    }
}

fn rooms_max(config: &crate::Config) -> u32 {
    config.session.rooms_max.max(1) as u32
}
