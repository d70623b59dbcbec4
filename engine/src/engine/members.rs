//! What rooms say to sessions and sessions to rooms: entries, frames, removals.

use super::Engine;
use super::timers::TimerKey;
use crate::access::{Identity, Rights};
use crate::fanout::{StateFlow, ViewMember};
use crate::frame::{Frame, FrameKind};
use crate::id::{SessionRef, ShardId};
use crate::peer::{Admission, Broadcast, Down, Echo, JoinRequest, Up, Wire, home_of};
use crate::room::home::{Fresh, Matched};
use crate::room::ops::lacking;
use crate::room::{Refusal, refuse};
use crate::session::outbound::ClassIndex;
use crate::session::{Membership, Pushed, QueueClass, pause};
use madang_protocol::client::{JoinMode, JoinTarget};
use madang_protocol::ids::{Channel, Epoch, Seq};
use madang_protocol::server::{ErrorRef, Gap, LeaveReason, Left, ServerMessage};
use madang_protocol::{CloseCode, ErrorCode};
use thin_vec::ThinVec;

impl Engine {
    /// A session's shard asks a room that is homed here.
    pub(super) fn handle_up(&mut self, _from: ShardId, up: Up) {
        match up {
            Up::Join(request) => self.home_join(*request),
            Up::Resume { session, attempt, channel, member, epoch, seq, identity } => {
                let taken = self.with_room(channel, |room, ctx| {
                    room.resume(session, attempt, member, (epoch, seq), identity, ctx)
                });
                if taken != Some(true) {
                    let reason = LeaveReason::Lost;
                    self.send_down(session.shard, Down::Removed { channel, member, reason });
                }
            }
            Up::Identity { session, channel, member, identity } => {
                // A member that is gone meanwhile is being told so.
                self.with_room(channel, |room, ctx| room.identify(session, member, identity, ctx));
            }
            Up::Away { channel, member } => {
                self.with_room(channel, |room, ctx| room.away(member, ctx));
            }
            Up::Leave { channel, member, reason } => {
                self.with_room(channel, |room, ctx| room.leave(member, reason, ctx));
            }
            Up::StateOwed { session, attempt, channel, member } => {
                self.with_room(channel, |room, ctx| room.state_owed(session, attempt, member, ctx));
            }
            Up::Op { session, channel, member, op } => {
                self.with_room(channel, |room, ctx| room.op(session, member, &op, ctx));
            }
            Up::Raw { channel, member, data, text } => {
                self.with_room(channel, |room, ctx| room.raw(member, &data, text, ctx));
            }
        }
    }

    fn home_join(&mut self, request: JoinRequest) {
        let (session, attempt, r#ref) = (request.session, request.attempt, request.join.r#ref);
        let result = match &request.join.target {
            JoinTarget::Name(name) => {
                let name = name.clone();
                self.may_enter(&name, &request.identity)
                    .and_then(|()| self.find_or_create(&name, &request).map(Some))
            }
            JoinTarget::Match { .. } => match self.home_match(request.clone()) {
                Ok(Matched::Room(channel)) => Ok(Some(channel)),
                Ok(Matched::Ask(request)) => {
                    let next = (self.config.shard.0 + 1) % self.config.shards.max(1);
                    self.send_up(ShardId(next), Up::Join(request));
                    Ok(None)
                }
                Err(refusal) => Err(refusal),
            },
        };
        let result = result.and_then(|channel| {
            let Some(channel) = channel else { return Ok(()) };
            self.enter(channel, request)
        });
        if let Err((code, message)) = result {
            let message = message.into();
            let down = Down::Refused { session, attempt, r#ref, code, message };
            self.send_down(session.shard, down);
        }
    }

    /// Whether somebody may be in the room of this name at all.
    fn may_enter(&self, name: &str, identity: &Identity) -> Result<(), Refusal> {
        if !identity.rights(name).has(Rights::JOIN) {
            return Err(lacking("join"));
        }
        match self.bans.left_s(name, identity.user_key(), self.clock.now) {
            Some(seconds) => {
                let why = format!("the user is kept out of this room for {seconds} more seconds");
                refuse(ErrorCode::BANNED, why)
            }
            None => Ok(()),
        }
    }

    fn enter(&mut self, channel: u32, request: JoinRequest) -> Result<(), Refusal> {
        let entered = self.with_room(channel, |room, ctx| {
            let entered = room.join(request, ctx);
            if entered.is_err() && room.members.is_empty() && room.emptied == 0 {
                // It was created for this join: it goes as an empty room does. One that was empty before is
                // on its way already, and does not stay for being asked for.
                room.emptied += 1;
                ctx.effects.push_back(crate::room::Effect::Emptied { channel });
            }
            entered
        });
        entered.unwrap_or_else(|| refuse(ErrorCode::INTERNAL, "the room is gone"))
    }

    fn find_or_create(&mut self, name: &str, request: &JoinRequest) -> Result<u32, Refusal> {
        let (fresh, now) = (self.fresh(), self.clock.now);
        self.with_home(|home, ctx| home.find_or_create(name, request, fresh, now, ctx))
    }

    /// A match goes round all shards once and comes back to the first, which may create the room:
    /// matches of one kind that run at the same time then find each other's room there.
    fn home_match(&mut self, mut request: JoinRequest) -> Result<Matched, Refusal> {
        let mode = request.join.mode;
        if mode != JoinMode::Create {
            let may_enter = |name: &str| self.may_enter(name, &request.identity).is_ok();
            if let Some(channel) = self.home.find_match(&request, may_enter) {
                return Ok(Matched::Room(channel));
            }
            if self.config.shards > 1 && request.visited < self.config.shards {
                request.visited += 1;
                return Ok(Matched::Ask(Box::new(request)));
            }
            if mode == JoinMode::Join {
                return refuse(ErrorCode::NO_MATCH, "no room matched");
            }
        }
        let name = self.invent_name(request.kind.name());
        self.may_enter(&name, &request.identity)?;
        if !request.identity.rights(&name).has(Rights::CREATE) {
            let why = "no room matched, and the session has no right to create one";
            return refuse(ErrorCode::FORBIDDEN, why);
        }
        let JoinTarget::Match { filter, .. } = &request.join.target else {
            return refuse(ErrorCode::INTERNAL, "a match has a filter");
        };
        // The next match with this filter has to find it.
        let mut options = request.join.options.create.clone().unwrap_or_default();
        options.public = Some(options.public.unwrap_or(true));
        for label in filter {
            if !options.labels.contains(label) {
                options.labels.push(label.clone());
            }
        }
        let (fresh, now) = (self.fresh(), self.clock.now);
        self.with_home(|home, ctx| {
            home.create_for(&name, &request, options, fresh, now, ctx).map(Matched::Room)
        })
    }

    /// What a new room needs of chance.
    pub(super) fn fresh(&mut self) -> Fresh {
        Fresh { epoch: Epoch(self.random()), seed: self.random() }
    }

    /// A name nobody has whose home is this shard.
    fn invent_name(&mut self, kind: &str) -> String {
        loop {
            let name = format!("{kind}-{:016x}", u64::from_le_bytes(self.random()));
            if home_of(&name, self.config.shards) == self.config.shard
                && self.home.find(&name).is_none()
            {
                return name;
            }
        }
    }

    /// A room's home tells sessions here.
    pub(super) fn handle_down(&mut self, down: Down) {
        match down {
            Down::Joined(admission) => self.admitted(*admission),
            Down::Refused { session, attempt, r#ref, code, message } => {
                self.refused(session, attempt, r#ref, code, message.into());
            }
            Down::Broadcast(broadcast) => self.deliver(&broadcast),
            Down::Member { session, channel, member, seq, class, frame } => {
                self.deliver_to(session, (channel, member), seq, class, &frame);
            }
            Down::Removed { channel, member, reason } => self.removed(channel, member, reason),
            Down::State { session, attempt, channel, member, frames } => {
                self.state_came(session, attempt, (channel, member), &frames);
            }
            Down::StateLagged { channel } => self.state_lagged(channel),
            Down::RawLagged { channel } => {
                for (address, _) in self.members_here(channel) {
                    self.overflowed.push((address, CloseCode::SLOW_CONSUMER));
                }
            }
            Down::Gap { channel, from_seq, to_seq } => self.gap(channel, from_seq, to_seq),
        }
    }

    fn admitted(&mut self, admission: Admission) {
        let Admission { session: address, attempt, r#ref, channel, member, .. } = admission;
        let home = self.home_of_channel(channel);
        let session = self.sessions.resolve(address);
        let is_current = session.as_ref().is_some_and(|session| {
            session.conn.is_some()
                && (session.attempt == attempt || planted!(self.config, StaleResume))
        });
        let Some(session) = session.filter(|_| is_current) else {
            // A join that nobody waits for any more is undone; a resume's place was kept anyway.
            if r#ref.is_some() {
                self.send_up(home, Up::Leave { channel, member, reason: LeaveReason::Gone });
            }
            return;
        };
        let (slot, wire) = (address.slot, session.wire);
        if let Some(r#ref) = r#ref {
            let waiting = session.joining.iter().position(|joining| joining.r#ref == r#ref);
            let Some(at) = waiting else {
                let reason = LeaveReason::Gone;
                return self.send_up(home, Up::Leave { channel, member, reason });
            };
            session.joining.swap_remove(at);
            if session.joining.is_empty() {
                session.joining = ThinVec::new();
            }
            if session.membership(channel).is_some() {
                // A match and a join by name were on their way to the same room.
                self.send_up(home, Up::Leave { channel, member, reason: LeaveReason::Left });
                let text = "the session is in that room".to_owned();
                return self.error(slot, ErrorCode::ALREADY_JOINED, ErrorRef::Join(r#ref), text);
            }
            let (after, echo) = (admission.seq, admission.echo);
            let state = StateFlow::Live;
            let place = ViewMember { slot, member, after, wire, echo, live: true, state };
            let position = self.views.add(channel, &admission.name, place);
            session.rooms.push(Membership { channel, member, position });
        } else {
            let Some(membership) = session.membership(channel) else { return };
            let Some(place) = self.place_mut(membership) else { return };
            place.live = true;
            place.state = StateFlow::Live;
            place.after = admission.seq;
        }
        self.touched.session(slot);
        let kind = if wire == Wire::Json { FrameKind::Text } else { FrameKind::Batch };
        for frame in &admission.frames {
            self.push(slot, (frame, kind), QueueClass::Replay);
        }
        if wire == Wire::Raw {
            let held = self.sessions.get_mut(slot).and_then(|session| session.held.take());
            self.unpause(slot, address.generation, pause::ENTRY);
            if let Some(held) = held {
                self.release_held(slot, *held);
            }
        }
    }

    fn refused(
        &mut self,
        address: SessionRef,
        attempt: u32,
        r#ref: u32,
        code: ErrorCode,
        message: String,
    ) {
        let Some(session) =
            self.sessions.resolve(address).filter(|session| session.attempt == attempt)
        else {
            return;
        };
        if session.wire == Wire::Raw {
            let close = match code {
                ErrorCode::SERVER_FULL => CloseCode::BUSY,
                _ => CloseCode::ROOM_REFUSED,
            };
            return self.close_session_conn(address.slot, close, &message);
        }
        let waiting = session.joining.iter().position(|joining| joining.r#ref == r#ref);
        if let Some(at) = waiting {
            session.joining.swap_remove(at);
            self.error(address.slot, code, ErrorRef::Join(r#ref), message);
        }
    }

    /// Fails a session's joins that a lost shard may have been asked for.
    pub(super) fn fail_joins(&mut self, slot: u32, peer: ShardId) {
        let shards = self.config.shards;
        let Some(session) = self.sessions.get_mut(slot) else { return };
        let (failed, kept): (ThinVec<_>, _) =
            std::mem::take(&mut session.joining).into_iter().partition(|joining| {
                joining.name.as_ref().is_none_or(|name| home_of(name, shards) == peer)
            });
        session.joining = kept;
        let is_raw = session.wire == Wire::Raw;
        for joining in failed {
            let text = "the shard that was asked is gone; try again".to_owned();
            if is_raw {
                return self.close_session_conn(slot, CloseCode::BUSY, &text);
            }
            self.error(slot, ErrorCode::BUSY, ErrorRef::Join(joining.r#ref), text);
        }
    }

    /// Puts a frame into the queue of every member here: the inner loop of the server. No lock, no
    /// allocation, one reference count per delivery.
    pub(super) fn deliver(&mut self, message: &Broadcast) {
        // By far the most are reliable: for those the compiler leaves out what other classes need.
        match message.class {
            QueueClass::Reliable => self.deliver_as(message, QueueClass::Reliable),
            class => self.deliver_as(message, class),
        }
    }

    #[expect(clippy::inline_always, reason = "one copy for each case of its only caller")]
    #[inline(always)]
    fn deliver_as(&mut self, message: &Broadcast, class: QueueClass) {
        let moment = self.moment();
        let Some(view) = self.views.get_mut(message.channel) else { return };
        let limits = &self.config.session;
        let class_index = class.index() as usize;
        let is_state = class.index() == ClassIndex::State;
        for member in &mut view.members {
            if !member.live || (message.seq != 0 && message.seq <= member.after) {
                continue;
            }
            let is_sender = member.member == message.from;
            if is_sender && (message.echo == Echo::Never || !member.echo) {
                continue;
            }
            let Some((frame, kind)) = message.frames.for_wire(member.wire) else { continue };
            let Some(session) = self.sessions.get_mut(member.slot) else { continue };
            let is_owed = member.state != StateFlow::Live;
            if is_state && is_owed && !planted!(self.config, DeltaToTheOwed) {
                session.queue.dropped[class_index] += 1;
                self.stats.dropped[class_index] += 1;
                continue;
            }
            let pushed = self.pool.push(
                &mut session.queue,
                member.slot,
                moment,
                limits,
                (frame, kind),
                class,
            );
            match pushed {
                Pushed::First => {
                    self.stats.queued[class_index] += 1;
                    if let Some(conn) = session.conn {
                        self.flushes.push_back(conn);
                    }
                }
                Pushed::Waiting => self.stats.queued[class_index] += 1,
                Pushed::Dropped => self.stats.dropped[class_index] += 1,
                Pushed::Owed => {
                    member.state = StateFlow::Owed;
                    self.stats.dropped[class_index] += 1;
                    self.owing.push(member.slot);
                }
                Pushed::Overflow => {
                    if planted!(self.config, SilentOverflow) {
                        continue;
                    }
                    // The one that found no room is not in the queue that will be counted.
                    self.stats.unwritten += 1;
                    let slot = member.slot;
                    let (shard, generation) = (self.config.shard, session.generation);
                    let address = SessionRef { shard, slot, generation };
                    self.overflowed.push((address, CloseCode::SLOW_CONSUMER));
                }
            }
        }
    }

    fn deliver_to(
        &mut self,
        address: SessionRef,
        (channel, member): (u32, u32),
        seq: u64,
        class: QueueClass,
        frame: &Frame,
    ) {
        let Some(session) = self.sessions.resolve(address) else { return };
        let wire = session.wire;
        let Some(membership) = session.membership(channel).filter(|held| held.member == member)
        else {
            return;
        };
        let is_state = class.index() == ClassIndex::State;
        let Some(place) = self.place_mut(membership) else { return };
        let is_due = place.live && (seq == 0 || seq > place.after);
        let is_owed = is_state && place.state != StateFlow::Live;
        if is_due && is_owed {
            if let Some(session) = self.sessions.resolve(address) {
                session.queue.dropped[ClassIndex::State as usize] += 1;
            }
            self.stats.dropped[ClassIndex::State as usize] += 1;
        } else if is_due {
            let kind = if wire == Wire::Json { FrameKind::Text } else { FrameKind::Batch };
            self.push(address.slot, (frame, kind), class);
        }
    }

    /// Puts one frame into a session's queue.
    pub(super) fn push(&mut self, slot: u32, frame: (&Frame, FrameKind), class: QueueClass) {
        self.touched.session(slot);
        let moment = self.moment();
        let Some(session) = self.sessions.get_mut(slot) else { return };
        let Some(conn) = session.conn else { return };
        let limits = &self.config.session;
        let pushed = self.pool.push(&mut session.queue, slot, moment, limits, frame, class);
        let index = class.index() as usize;
        match pushed {
            Pushed::First => {
                self.stats.queued[index] += 1;
                self.flushes.push_back(conn);
            }
            Pushed::Waiting => self.stats.queued[index] += 1,
            Pushed::Dropped => self.stats.dropped[index] += 1,
            Pushed::Owed => {
                self.stats.dropped[index] += 1;
                if let QueueClass::State { channel } = class {
                    self.owe_state(slot, channel);
                }
            }
            Pushed::Overflow => {
                let code = if class == QueueClass::Control {
                    CloseCode::CONTROL_OVERFLOW
                } else {
                    CloseCode::SLOW_CONSUMER
                };
                if class.index() == ClassIndex::Reliable {
                    self.stats.unwritten += 1;
                } else {
                    self.stats.dropped[index] += 1;
                }
                if let Some(address) = self.sessions.address(slot) {
                    self.overflowed.push((address, code));
                }
            }
        }
    }

    /// Ends the connection of a session whose queue had no room for what may not be dropped.
    pub(super) fn overflow(&mut self, address: SessionRef, code: CloseCode) {
        if self.sessions.resolve(address).is_some_and(|session| session.conn.is_some()) {
            let why = match code {
                CloseCode::RATE_LIMITED => "the client has asked for more than it may for long",
                _ => "the client reads too slowly",
            };
            self.close_session_conn(address.slot, code, why);
        }
    }

    /// Members of a room that are here, with their places.
    pub(super) fn members_here(&self, channel: u32) -> Vec<(SessionRef, ViewMember)> {
        let Some(view) = self.views.get(channel) else { return Vec::new() };
        let address = |member: &ViewMember| Some((self.sessions.address(member.slot)?, *member));
        view.members.iter().filter_map(address).collect()
    }

    pub(super) fn removed(&mut self, channel: u32, member: u32, reason: LeaveReason) {
        for (address, place) in self.members_here(channel) {
            if member != 0 && place.member != member {
                continue;
            }
            self.drop_membership(address.slot, channel);
            if place.wire == Wire::Raw {
                let (code, why) = match reason {
                    LeaveReason::Kicked => (CloseCode::KICKED, "the member was removed"),
                    _ => (CloseCode::ROOM_CLOSED, "the room was closed"),
                };
                self.close_session_conn(address.slot, code, why);
            } else {
                let left = ServerMessage::Left(Left { channel: Channel(channel), reason });
                self.say(address.slot, &left, QueueClass::Control);
            }
        }
    }

    fn gap(&mut self, channel: u32, from_seq: u64, to_seq: u64) {
        for (address, place) in self.members_here(channel) {
            if !place.live || to_seq <= place.after {
                continue;
            }
            self.stats.gaps += 1;
            let gap = ServerMessage::Gap(Gap {
                channel: Channel(channel),
                from_seq: Seq(from_seq.max(place.after + 1)),
                to_seq: Seq(to_seq),
            });
            self.say(address.slot, &gap, QueueClass::Reliable);
        }
    }

    /// Whether a membership's frames go to its queue.
    pub(super) fn set_live(&mut self, membership: Membership, live: bool) {
        if let Some(place) = self.place_mut(membership) {
            place.live = live;
        }
    }

    pub(super) fn place_mut(&mut self, membership: Membership) -> Option<&mut ViewMember> {
        let view = self.views.get_mut(membership.channel)?;
        view.members.get_mut(membership.position as usize)
    }

    /// Leaves a room and tells its home.
    pub(super) fn leave_room(&mut self, slot: u32, channel: u32, reason: LeaveReason) {
        if let Some(membership) = self.drop_membership(slot, channel) {
            let member = membership.member;
            self.send_up(self.home_of_channel(channel), Up::Leave { channel, member, reason });
        }
    }

    /// Takes a member out of the view and the session, here.
    fn drop_membership(&mut self, slot: u32, channel: u32) -> Option<Membership> {
        let session = self.sessions.get_mut(slot)?;
        let at = session.rooms.iter().position(|held| held.channel == channel)?;
        let membership = session.rooms.swap_remove(at);
        self.pool.release_slots(&session.queue, slot, channel);
        if let Some(moved) = self.views.remove(channel, membership.position)
            && let Some(session) = self.sessions.get_mut(moved)
            && let Some(held) = session.rooms.iter_mut().find(|held| held.channel == channel)
        {
            held.position = membership.position;
        }
        Some(membership)
    }

    /// A session lost its connection: its places are kept for the grace period.
    pub(super) fn detach(&mut self, slot: u32) {
        self.touched.session(slot);
        let config = &self.config.session;
        let Some(session) = self.sessions.get_mut(slot) else { return };
        let may_wait = session.resumable.is_some()
            && self.sessions.away < config.away_sessions_max
            && config.grace_ms > 0;
        if !may_wait {
            return self.end_session(slot);
        }
        let Some(session) = self.sessions.get_mut(slot) else { return };
        session.conn = None;
        session.joining = ThinVec::new();
        session.rest = ThinVec::new();
        let (generation, attempt) = (session.generation, session.attempt);
        let rooms = session.rooms.clone();
        self.sessions.away += 1;
        self.clear_queue(slot);
        for membership in rooms {
            let (channel, member) = (membership.channel, membership.member);
            self.set_live(membership, false);
            self.send_up(self.home_of_channel(channel), Up::Away { channel, member });
        }
        let until = self.clock.now.plus_ms(self.config.session.grace_ms);
        self.timers.insert(until, TimerKey::Grace { slot, generation, attempt });
    }

    /// Ends a session: it leaves its rooms and its key is void.
    pub(super) fn end_session(&mut self, slot: u32) {
        self.clear_queue(slot);
        let Some(session) = self.sessions.get(slot) else { return };
        self.sessions.away -= usize::from(session.conn.is_none());
        while let Some(membership) = self.sessions.get(slot).and_then(|s| s.rooms.last().copied()) {
            if planted!(self.config, GhostMember) {
                self.drop_membership(slot, membership.channel);
            } else {
                self.leave_room(slot, membership.channel, LeaveReason::Gone);
            }
        }
        self.sessions.remove(slot);
    }

    pub(super) fn clear_queue(&mut self, slot: u32) {
        let Some(session) = self.sessions.get_mut(slot) else { return };
        let given_up = self.pool.clear(&mut session.queue, slot);
        self.count_given_up(given_up);
    }
}
