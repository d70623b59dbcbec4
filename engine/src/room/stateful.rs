//! A room with logic and state: makes the calls, does what the logic asked for, and tells each member
//! what of the state it may see.
//!
//! The logic and its state are in [`Play`]; here are members, frames and the room's order. A tick that
//! changes something takes one number of the log for all audiences. It is not logged: whoever misses it
//! gets snapshots instead.

use super::history::EntryKind;
use super::logic::{Action, Audience};
use super::ops::lacking;
use super::play::{Answer, Call, Failure, Play, SNAPSHOTS_MAX, SnapshotFrames, Ticked};
use super::record::RecordEnd;
use super::state::{Part, PartDelta};
use super::{Ctx, Effect, Refusal, Room, refuse};
use crate::access::Rights;
use crate::frame::Frame;
use crate::id::SessionRef;
use crate::output::Event;
use crate::peer::{Down, Echo, Wire};
use crate::session::QueueClass;
use crate::session::outbound::{ClassIndex, LatestKey};
use crate::watch::{WatchEvent, WatchState};
use madang_protocol::ErrorCode;
use madang_protocol::client::{Class, Edit, Publish, Request};
use madang_protocol::ids::{Cseq, MemberId, Seq};
use madang_protocol::server::{
    Delta, DirectMessage, Edited, Ephemeral, ErrorMessage, ErrorRef, InputAck, LeaveReason,
    Message, PartGone, Reply, ServerMessage, Snapshot,
};
use madang_protocol::state::Part as WirePart;
use madang_protocol::value::{Payload, TypeRef};
use std::borrow::Cow;

/// What somebody is told whose join has the rules close the room.
pub(super) const CLOSED: &str = "the room was closed";

impl Room {
    /// The room's rules, state and time, if it has any.
    pub fn play(&self) -> Option<&Play> {
        self.play.as_deref()
    }

    /// Whether a session may enter, as far as the room's rules say.
    pub(super) fn may_join(
        &mut self,
        user: Option<Cow<'_, str>>,
        attributes: &[(String, madang_protocol::value::Value)],
        ctx: &mut Ctx<'_>,
    ) -> Result<(), Refusal> {
        if self.play.is_some() {
            let call = Call::MayJoin { user, attributes: Cow::Borrowed(attributes) };
            if let Some(Answer::Refused(words)) = self.call(&call, ctx) {
                return refuse(ErrorCode::REFUSED, words);
            }
            if self.play.is_none() && self.failed.is_none() {
                return refuse(ErrorCode::REFUSED, CLOSED);
            }
        }
        match &self.failed {
            Some(why) => refuse(ErrorCode::ROOM_FAILED, why.to_string()),
            None => Ok(()),
        }
    }

    /// Tells the rules of a new member, behind its admission: what follows from it reaches the member.
    pub(super) fn entered(&mut self, id: u32, ctx: &mut Ctx<'_>) {
        if self.play.is_none() {
            return;
        }
        let Some(member) = self.members.get(id) else { return };
        let user = member.identity.rules_user().map(|user| Cow::Owned(user.into_owned()));
        let attributes = member.attributes.clone();
        self.call(&Call::Join { member: id, user, attributes: Cow::Owned(attributes) }, ctx);
        self.start_ticks(ctx);
    }

    /// Tells the rules of a member that is gone.
    pub(super) fn left(&mut self, member: u32, ctx: &mut Ctx<'_>) {
        let Some(play) = self.play.as_mut() else { return };
        play.leaving.push_back(member);
        // Who is removed by a call is told of when that is over: calls do not nest.
        if !play.is_busy {
            self.tell_leaving(ctx);
        }
    }

    fn tell_leaving(&mut self, ctx: &mut Ctx<'_>) {
        while let Some(member) = self.play.as_mut().and_then(|play| play.leaving.pop_front()) {
            let left = Call::Leave { member };
            self.make(&left, ctx);
            self.end_call(&left, ctx);
            let is_last = self.play.as_ref().is_some_and(|play| play.leaving.is_empty());
            if is_last && self.members.is_empty() {
                self.make(&Call::Empty, ctx);
                self.end_call(&Call::Empty, ctx);
            }
        }
        if let Some(play) = &mut self.play {
            play.is_busy = false;
        }
    }

    /// What a member publishes goes to the rules.
    pub(super) fn play_message(
        &mut self,
        id: u32,
        op: &Publish<'_>,
        ctx: &mut Ctx<'_>,
    ) -> Result<(), Refusal> {
        let r#type = self.number_type(&op.r#type, ctx)?;
        let name = self.type_name(&r#type).to_owned();
        let call = Call::Message {
            member: id,
            r#type: Cow::Owned(name),
            class: op.class,
            payload: op.payload.borrowed(),
        };
        // Refused or sent on before the tick that says that the input has been dealt with.
        let answer = self.make(&call, ctx);
        ctx.stats.published += u64::from(answer != Some(Answer::PassedOn));
        let refusal = match answer {
            Some(Answer::PassedOn) => self.publish(id, op, ctx).err(),
            Some(Answer::Refused(words)) => Some((ErrorCode::REFUSED, words.into())),
            _ => None,
        };
        if let Some(refusal) = refusal {
            self.reject(id, op.cseq, refusal, ctx);
        }
        self.end_call(&call, ctx);
        self.tell_leaving(ctx);
        Ok(())
    }

    /// A request that rooms do not answer by themselves.
    pub(super) fn play_request(
        &mut self,
        id: u32,
        op: &Request<'_>,
        ctx: &mut Ctx<'_>,
    ) -> Result<(), Refusal> {
        if self.play.is_some()
            && !self.members.get(id).is_some_and(|m| m.rights.has(Rights::PUBLISH))
        {
            return Err(lacking("publish"));
        }
        let name = self.type_name(&op.r#type).to_owned();
        let call =
            Call::Request { member: id, r#type: Cow::Owned(name), payload: op.payload.borrowed() };
        let answer = if self.play.is_some() { self.call(&call, ctx) } else { None };
        let Some(Answer::Reply(Some(payload))) = answer else {
            let text =
                "this room does not answer that; every room answers info, members and history";
            return refuse(ErrorCode::UNKNOWN_REQUEST, text);
        };
        let Some(member) = self.members.get(id) else { return Ok(()) };
        let reply = Reply { channel: self.wire_channel(), cseq: op.cseq, payload };
        self.tell(member, &ServerMessage::Reply(reply), QueueClass::Reliable, ctx);
        Ok(())
    }

    /// A member edits the state.
    pub(super) fn edit(&mut self, id: u32, op: &Edit, ctx: &mut Ctx<'_>) -> Result<(), Refusal> {
        let most = madang_protocol::limits::EDITS_MAX;
        if op.edits.len() > most {
            return refuse(ErrorCode::INVALID, format!("an edit has at most {most} changes"));
        }
        let call = Call::Edit { member: id, edit: Cow::Borrowed(op) };
        let answer = if self.play.is_some() { self.call(&call, ctx) } else { None };
        let Some(Answer::Edited(Some(outcome))) = answer else {
            return refuse(ErrorCode::NO_STATE, "this room has no state that members may edit");
        };
        // With ticks, the next one shows it; without, the call was one.
        let tick = self.play.as_ref().map_or(0, |play| play.tick() + u64::from(play.tick_hz() > 0));
        let Some(member) = self.members.get(id) else { return Ok(()) };
        let edited = ServerMessage::Edited(Edited {
            channel: self.wire_channel(),
            cseq: op.cseq,
            tick,
            created: outcome.created,
            refused: outcome.refused,
        });
        self.tell(member, &edited, QueueClass::Reliable, ctx);
        Ok(())
    }

    /// A step of the room's time. Returns whether there will be another.
    pub fn tick(&mut self, ctx: &mut Ctx<'_>) -> bool {
        if self.play.is_none() || (self.members.is_empty() && !self.is_kept) {
            self.is_ticking = false;
            return false;
        }
        self.call(&Call::Tick, ctx);
        self.play.is_some()
    }

    /// Keeps the room, with its time going on, whether it has members or not.
    pub fn keep(&mut self, ctx: &mut Ctx<'_>) {
        self.is_kept = true;
        self.start_ticks(ctx);
    }

    /// Has the room's time go on, if it has one and somebody is there.
    pub(super) fn start_ticks(&mut self, ctx: &mut Ctx<'_>) {
        let tick_hz = self.play.as_ref().map_or(0, |play| play.tick_hz());
        let is_wanted = !self.members.is_empty() || self.is_kept;
        if tick_hz > 0 && is_wanted && !std::mem::replace(&mut self.is_ticking, true) {
            ctx.effects.push_back(Effect::TickDue { channel: self.channel, tick_hz });
        }
    }

    /// Makes a call and does what follows from it. Nothing if the room has no rules (any more).
    fn call(&mut self, call: &Call<'_>, ctx: &mut Ctx<'_>) -> Option<Answer> {
        let answer = self.make(call, ctx);
        self.end_call(call, ctx);
        self.tell_leaving(ctx);
        answer
    }

    /// Ends the tick, if this call is one.
    fn end_call(&mut self, call: &Call<'_>, ctx: &mut Ctx<'_>) {
        let is_tick = |play: &Play| {
            *call == Call::Tick || (play.tick_hz() == 0 && !matches!(call, Call::MayJoin { .. }))
        };
        if self.play.as_deref().is_some_and(is_tick) {
            self.end_tick(ctx);
        }
    }

    fn make(&mut self, call: &Call<'_>, ctx: &mut Ctx<'_>) -> Option<Answer> {
        let play = self.play.as_mut()?;
        play.is_busy = true;
        self.record_call(call, ctx);
        let play = self.play.as_mut()?;
        match play.call(call) {
            Ok((answer, actions)) => {
                self.act(actions, ctx);
                Some(answer)
            }
            Err(failure) => {
                self.fail(failure, ctx);
                None
            }
        }
    }

    /// Does what the rules asked for.
    pub(super) fn act(&mut self, actions: Vec<Action>, ctx: &mut Ctx<'_>) {
        for action in actions {
            match action {
                Action::Send { to, class, r#type, payload } => {
                    self.send_as_room(to, class, &r#type, &payload, ctx);
                }
                Action::Kick { member } => self.remove_member(member, LeaveReason::Kicked, ctx),
                Action::Close => self.close(LeaveReason::Closed, ctx),
            }
        }
    }

    fn send_as_room(
        &mut self,
        to: Audience,
        class: Class,
        name: &str,
        payload: &Payload<'_>,
        ctx: &mut Ctx<'_>,
    ) {
        let name = TypeRef::Name(Cow::Borrowed(name));
        // A name that no message may have was not checked by anybody before; it is left out.
        let Ok(r#type) = self.number_type(&name, ctx) else { return };
        let to: Vec<u32> = match to {
            Audience::Everyone => {
                return self.send_to_everyone(class, r#type.into_owned(), payload.borrowed(), ctx);
            }
            Audience::Team(team) => {
                self.play.as_ref().map(|play| play.team_members(team).collect()).unwrap_or_default()
            }
            Audience::Member(member) => vec![member],
        };
        let (channel, from) = (self.wire_channel(), MemberId(0));
        for id in to {
            if self.members.get(id).is_none() {
                continue;
            }
            // What may take the place of an older value says its type by name: a number may have been
            // told behind that.
            let r#type = match class {
                Class::Latest(_) => name.borrowed(),
                _ => r#type.borrowed(),
            };
            let payload = payload.borrowed();
            let (key, class) = match class {
                Class::Reliable => {
                    self.seq += 1;
                    let (seq, at) = (Seq(self.seq), self.next_at(ctx.wall_ms));
                    let direct = DirectMessage { channel, seq, from, at, r#type, payload };
                    let direct = ServerMessage::Direct(direct);
                    let native = self.log(&direct, EntryKind::Direct(id), 0, ctx);
                    let seq = self.seq;
                    let Some(member) = self.members.get(id) else { continue };
                    let frame = ctx.encoder.reframe(&native, member.wire, &self.types);
                    let effect = self.frame_for(member, seq, QueueClass::Reliable, frame);
                    self.emit(effect, ctx);
                    continue;
                }
                Class::Latest(key) => {
                    let slot = LatestKey { channel: self.channel, member: 0, key };
                    (Some(key), QueueClass::Latest(slot))
                }
                Class::Volatile => (None, QueueClass::Volatile),
            };
            let message =
                ServerMessage::Ephemeral(Ephemeral { channel, from, key, r#type, payload });
            let Some(member) = self.members.get(id) else { continue };
            let frame = ctx.encoder.frame(&message, member.wire, &self.types);
            let effect = self.frame_for(member, 0, class, frame);
            self.emit(effect, ctx);
        }
    }

    fn send_to_everyone(
        &mut self,
        class: Class,
        r#type: TypeRef<'_>,
        payload: Payload<'_>,
        ctx: &mut Ctx<'_>,
    ) {
        let (channel, from) = (self.wire_channel(), MemberId(0));
        if class == Class::Reliable {
            self.seq += 1;
            let (seq, at) = (Seq(self.seq), self.next_at(ctx.wall_ms));
            let message = Message { channel, seq, from, at, cseq: Cseq(0), r#type, payload };
            self.log(&ServerMessage::Message(message), EntryKind::Message, 0, ctx);
            return;
        }
        // What a room says is bounded by its rules' budget: no more is kept for latecomers than
        // members may set.
        if self.publish_ephemeral(0, class, r#type, payload, ctx).is_err() {
            ctx.stats.dropped[ClassIndex::Latest as usize] += 1;
        }
    }

    /// Tells everybody what a tick brought.
    fn end_tick(&mut self, ctx: &mut Ctx<'_>) {
        let Some(mut play) = self.play.take() else { return };
        let ticked = play.end_tick();
        if !ticked.is_empty() {
            self.tell_tick(&mut play, &ticked, ctx);
        }
        self.play = Some(play);
        self.record_tick_end(ctx);
        if self.flush == super::Flush::Tick {
            self.flush_held(ctx);
        }
    }

    fn tell_tick(&mut self, play: &mut Play, ticked: &Ticked, ctx: &mut Ctx<'_>) {
        let at = self.next_at(ctx.wall_ms);
        if !ticked.deltas.is_empty() {
            self.seq += 1;
            play.seq = self.seq;
            play.at_ms = self.epoch_at_ms + at;
        }
        let is_late = planted!(ctx, AckBehindDelta);
        if !is_late {
            self.tell_acks(ticked, play, ctx);
        }
        for (delta, base_tick) in &ticked.deltas {
            if delta.part == Part::Spectators {
                let state = || WatchState {
                    seq: self.seq,
                    at_ms: play.at_ms,
                    base_tick: *base_tick,
                    tick: play.tick(),
                    hash: delta.hash,
                    bytes: delta.bytes.as_slice().into(),
                };
                if *base_tick > 0 || !planted!(ctx, WatchersMissDelta) {
                    self.watched(ctx, || WatchEvent::Delta(Box::new(state())));
                }
            } else {
                self.tell_delta(play, ticked, (delta, *base_tick), ctx);
            }
        }
        if is_late {
            self.tell_acks(ticked, play, ctx);
        }
        for (id, old, new) in &ticked.teams {
            let has_teams = play.state().has_private_parts().1;
            if has_teams && *old != 0 {
                self.tell_gone(*id, Part::Team(*old), ctx);
            }
            if has_teams && *new != 0 && !planted!(ctx, TeamWithoutSnapshot) {
                self.tell_snapshot(*id, Part::Team(*new), play, ctx);
            }
        }
        for (id, cell) in &ticked.left {
            if !planted!(ctx, CellStays) {
                self.tell_gone(*id, Part::Cell(*cell), ctx);
            }
        }
        for (id, cell) in &ticked.entered {
            self.tell_snapshot(*id, Part::Cell(*cell), play, ctx);
        }
    }

    fn tell_delta(
        &mut self,
        play: &Play,
        ticked: &Ticked,
        (delta, base_tick): (&PartDelta, u64),
        ctx: &mut Ctx<'_>,
    ) {
        let message = ServerMessage::Delta(Delta {
            channel: self.wire_channel(),
            part: wire_part(delta.part),
            base_tick: if planted!(ctx, DeltaBaseTooLate) { play.tick() - 1 } else { base_tick },
            tick: play.tick(),
            seq: Seq(self.seq),
            hash: delta.hash,
            changes: Cow::Borrowed(&delta.bytes),
        });
        let receivers: Vec<u32> = match delta.part {
            Part::Members => {
                if self.members.is_empty() {
                    return;
                }
                let (_, frames) = ctx.encoder.encoded(&message, self.json_members > 0, &self.types);
                return self.broadcast(
                    self.seq,
                    self.state_class(),
                    (0, Echo::AsJoined),
                    frames,
                    ctx,
                );
            }
            Part::Team(team) => play.team_members(team).collect(),
            Part::Owner(_) if planted!(ctx, OwnerPartLeaks) => {
                self.members.iter().map(|member| member.id).collect()
            }
            Part::Owner(owner) => vec![owner],
            Part::Cell(cell) => play.cell_members(cell).collect(),
            Part::Spectators => return,
        };
        let mut frames = SnapshotFrames::default();
        for id in receivers {
            if ticked.is_new_to(id, delta.part) && !planted!(ctx, DeltaBeforeSnapshot) {
                continue;
            }
            let Some(member) = self.members.get(id).filter(|member| !member.away) else { continue };
            let frame =
                frames.of(member.wire, || ctx.encoder.frame(&message, member.wire, &self.types));
            let effect = self.frame_for(member, self.seq, self.state_class(), frame);
            self.emit(effect, ctx);
        }
    }

    fn tell_acks(&mut self, ticked: &Ticked, play: &mut Play, ctx: &mut Ctx<'_>) {
        for id in &ticked.acked {
            let Some(member) = self.members.get(*id) else { continue };
            let cseq = member.applied_cseq;
            play.shown.insert(*id, cseq);
            let (channel, tick) = (self.wire_channel(), play.tick());
            let ack = InputAck { channel, tick, cseq: Cseq(cseq) };
            self.tell_state(*id, &ServerMessage::InputAck(ack), ctx);
        }
    }

    fn tell_gone(&mut self, id: u32, part: Part, ctx: &mut Ctx<'_>) {
        let gone = PartGone { channel: self.wire_channel(), part: wire_part(part) };
        self.tell_state(id, &ServerMessage::PartGone(gone), ctx);
    }

    /// One message of class state, in the room's order.
    fn tell_state(&mut self, id: u32, message: &ServerMessage<'_>, ctx: &mut Ctx<'_>) {
        let Some(member) = self.members.get(id).filter(|member| !member.away) else { return };
        let frame = ctx.encoder.frame(message, member.wire, &self.types);
        let effect = self.frame_for(member, 0, self.state_class(), frame);
        self.emit(effect, ctx);
    }

    fn tell_snapshot(&mut self, id: u32, part: Part, play: &mut Play, ctx: &mut Ctx<'_>) {
        let Some(member) = self.members.get(id).filter(|member| !member.away) else { return };
        let frame = self.snapshot_frame(part, member.wire, play, ctx);
        let effect = self.frame_for(member, 0, self.state_class(), frame);
        self.emit(effect, ctx);
    }

    /// A part's snapshot as of the newest tick: encoded once for each form and tick.
    fn snapshot_frame(&self, part: Part, wire: Wire, play: &mut Play, ctx: &mut Ctx<'_>) -> Frame {
        let mut frames = play.snapshots.remove(&part).unwrap_or_default();
        if play.snapshots.len() >= SNAPSHOTS_MAX {
            play.snapshots.clear();
        }
        let frame = frames.of(wire, || {
            let message = ServerMessage::Snapshot(Snapshot {
                channel: self.wire_channel(),
                part: wire_part(part),
                tick: play.tick() + u64::from(planted!(ctx, SnapshotOfTheFuture)),
                seq: Seq(play.seq),
                hash: play.state().hash(part),
                state: Cow::Owned(play.state().snapshot(part)),
            });
            ctx.encoder.frame(&message, wire, &self.types)
        });
        play.snapshots.insert(part, frames);
        frame
    }

    /// All that a member sees of the state.
    pub(super) fn state_frames(&mut self, id: u32, ctx: &mut Ctx<'_>) -> Vec<Frame> {
        let Some(mut play) = self.play.take() else { return Vec::new() };
        let mut frames = Vec::new();
        if let Some(member) = self.members.get(id) {
            for part in play.parts_of(id) {
                frames.push(self.snapshot_frame(part, member.wire, &mut play, ctx));
            }
        }
        self.play = Some(play);
        frames
    }

    /// Answers a member that is owed the state. A shard that is behind is owed more than that, and
    /// what it is owed ends with the state.
    pub fn state_owed(
        &mut self,
        session: SessionRef,
        attempt: u32,
        member: u32,
        ctx: &mut Ctx<'_>,
    ) {
        let is_member = self.members.get(member).is_some_and(|found| found.session == session);
        let lags = self
            .subscribers
            .iter()
            .any(|subscriber| subscriber.shard == session.shard && subscriber.lag_from.is_some());
        if !is_member || lags || self.play.is_none() {
            return;
        }
        self.flush_held(ctx);
        let mut frames = self.state_frames(member, ctx);
        // An acknowledgement may have been dropped with the deltas.
        if let (Some(member), Some(play)) = (self.members.get(member), &self.play)
            && let Some(cseq) = play.shown.get(&member.id)
        {
            let (channel, cseq) = (self.wire_channel(), Cseq(*cseq));
            let ack = ServerMessage::InputAck(InputAck { channel, tick: play.tick(), cseq });
            frames.insert(0, ctx.encoder.frame(&ack, member.wire, &self.types));
        }
        let channel = self.channel;
        let down = Down::State { session, attempt, channel, member, frames };
        ctx.effects.push_back(Effect::Send { to: session.shard, down });
    }

    /// The state that spectators see, for those who keep a log of it.
    pub(crate) fn watch_state(&self) -> Option<WatchState> {
        let play = self.play.as_ref()?;
        Some(WatchState {
            seq: play.seq,
            at_ms: play.at_ms.max(self.epoch_at_ms),
            base_tick: play.tick(),
            tick: play.tick(),
            hash: play.state().hash(Part::Spectators),
            bytes: play.state().snapshot(Part::Spectators).into(),
        })
    }

    /// The room's rules broke theirs: everybody is told and removed, and nobody enters any more.
    fn fail(&mut self, failure: Failure, ctx: &mut Ctx<'_>) {
        self.end_recording(RecordEnd::Failed(failure.0.as_str().into()), ctx);
        let why = format!("the rules of the room failed: {}", failure.told());
        self.play = None;
        ctx.stats.rooms_failed += 1;
        ctx.effects.push_back(Effect::Event(Event::RoomFailed {
            room: self.name.clone(),
            why: failure.0.into(),
        }));
        let error = ServerMessage::Error(ErrorMessage {
            code: ErrorCode::ROOM_FAILED,
            r#ref: ErrorRef::Cseq { channel: self.wire_channel(), cseq: Cseq(0) },
            message: why.clone(),
        });
        self.announce(&error, QueueClass::Reliable, ctx);
        self.failed = Some(why.into());
        self.close(LeaveReason::Failed, ctx);
    }

    /// Removes one member, and tells it.
    pub(super) fn remove_member(&mut self, id: u32, reason: LeaveReason, ctx: &mut Ctx<'_>) {
        let Some(member) = self.members.get(id) else { return };
        let to = member.session.shard;
        self.flush_held(ctx);
        let down = Down::Removed { channel: self.channel, member: id, reason };
        ctx.effects.push_back(Effect::Send { to, down });
        self.leave(id, reason, ctx);
    }

    /// Removes every member, tells them, and ends the room; one that failed stays for a while, so that
    /// nobody walks into the same failure again at once.
    pub(super) fn close(&mut self, reason: LeaveReason, ctx: &mut Ctx<'_>) {
        self.flush_held(ctx);
        self.end_recording(RecordEnd::Closed, ctx);
        self.play = None;
        self.is_kept = false;
        let channel = self.channel;
        let mut members = std::collections::BTreeMap::new();
        for member in self.members.iter() {
            *members.entry(member.session.shard).or_insert(0) += 1;
        }
        // Behind all that they are still to be told.
        for (shard, members) in members {
            let down = Down::Removed { channel, member: 0, reason };
            ctx.effects.push_back(Effect::Send { to: shard, down });
            ctx.effects.push_back(Effect::Unsubscribed { channel, shard, members });
        }
        self.members.clear();
        self.latest = super::latest::LatestValues::default();
        self.json_members = 0;
        self.watched(ctx, || WatchEvent::Closed);
        self.watch = None;
        self.emptied += 1;
        if reason == LeaveReason::Failed {
            ctx.effects.push_back(Effect::Emptied { channel });
        } else {
            ctx.effects.push_back(Effect::Ended { channel });
        }
    }

    /// The name of a type, by its number or as it is.
    fn type_name<'t>(&'t self, r#type: &'t TypeRef<'_>) -> &'t str {
        match r#type {
            TypeRef::Name(name) => name,
            TypeRef::Id(id) => self.types.get(*id as usize).map_or("", |name| name),
        }
    }

    fn state_class(&self) -> QueueClass {
        QueueClass::State { channel: self.channel }
    }
}

impl SnapshotFrames {
    /// The frame for a receiver, made now if nobody needed it before.
    fn of(&mut self, wire: Wire, make: impl FnOnce() -> Frame) -> Frame {
        let kept = if wire == Wire::Json { &mut self.json } else { &mut self.native };
        kept.get_or_insert_with(make).clone()
    }
}

fn wire_part(part: Part) -> WirePart {
    match part {
        Part::Members => WirePart::Members,
        Part::Team(team) => WirePart::Team(team),
        Part::Owner(_) => WirePart::Owner,
        Part::Cell(cell) => WirePart::Cell(cell),
        Part::Spectators => WirePart::Spectators,
    }
}
