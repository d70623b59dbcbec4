//! Entering a room, leaving it, being away and coming back.

use super::history::EntryKind;
use super::members::Member;
use super::{Ctx, Effect, Refusal, Room, refuse, wire_member};
use crate::access::{Identity, Rights};
use crate::config::Kind;
use crate::frame::Frame;
use crate::id::SessionRef;
use crate::peer::{Admission, Down, JoinRequest, Wire};
use crate::session::outbound::LatestKey;
use madang_protocol::ErrorCode;
use madang_protocol::client::{Position, PresenceMode};
use madang_protocol::ids::{Cseq, Epoch, Seq};
use madang_protocol::limits::NAME_BYTES_MAX;
use madang_protocol::server::{
    EXT_SCHEMA, Joined, LeaveReason, PresenceEvent, Roster, ServerMessage,
};
use madang_protocol::value::{Extension, Value};
use std::sync::Arc;

impl Room {
    /// Lets a session in, if nothing stands against it, and sends it all it needs.
    pub fn join(&mut self, request: JoinRequest, ctx: &mut Ctx<'_>) -> Result<(), Refusal> {
        if self.kind != request.kind {
            let (own, wanted) = (self.kind.name(), request.kind.name());
            return refuse(
                ErrorCode::WRONG_KIND,
                format!("the room is of kind {own}, and the join needs kind {wanted}"),
            );
        }
        if self.members.len() >= self.capacity {
            let capacity = self.capacity;
            return refuse(ErrorCode::ROOM_FULL, format!("the room holds {capacity} members"));
        }
        let (identity, options) = (request.identity, request.join.options);
        let rights = identity.rights(&self.name);
        let mut attributes = Vec::new();
        if !options.attributes.is_empty() {
            if !rights.has(Rights::PUBLISH) {
                let why =
                    "attributes are shown to others: a join with some needs the right to publish";
                return refuse(ErrorCode::FORBIDDEN, why);
            }
            merge_attributes(&mut attributes, options.attributes, ctx)?;
        }
        merge_attributes(&mut attributes, identity.attributes.clone(), ctx)?;
        self.may_join(identity.rules_user(), &attributes, ctx)?;

        let id = self.members.next_id();
        let member = Member::new(
            id,
            request.session,
            request.wire,
            options.echo,
            (identity, rights),
            attributes,
        );
        if self.presence == PresenceMode::Full {
            if self.members.len() >= ctx.config.presence_full_max {
                self.presence = PresenceMode::Count;
                let count = self.members.len() + 1;
                self.log_presence(PresenceEvent::Collapsed { count }, ctx);
            } else {
                self.log_presence(PresenceEvent::Join(member.info()), ctx);
            }
        }
        self.add_subscriber(request.session.shard, request.wire);
        self.members.add(member);
        self.count_changed(ctx);
        let position = (request.join.since, request.join.history);
        self.admit(id, Some(request.join.r#ref), request.attempt, position, ctx);
        self.entered(id, ctx);
        Ok(())
    }

    /// Takes a member back after its connection was replaced. False when there is no such member.
    pub fn resume(
        &mut self,
        session: SessionRef,
        attempt: u32,
        id: u32,
        (epoch, seq): (Epoch, Seq),
        identity: Arc<Identity>,
        ctx: &mut Ctx<'_>,
    ) -> bool {
        if !self.identify(session, id, identity, ctx) {
            return false;
        }
        let Some(member) = self.members.get_mut(id) else { return true };
        let was_away = std::mem::replace(&mut member.away, false);
        if was_away && self.presence == PresenceMode::Full {
            self.log_presence(PresenceEvent::Back(wire_member(id)), ctx);
        }
        let since = Position { epoch, seq };
        let history = ctx.config.join_history_messages_max;
        self.admit(id, None, attempt, (Some(since), history), ctx);
        true
    }

    /// A member brought a new credential: what it may do from now on is what that says. One that may not
    /// be here any more is removed. False when there is no such member.
    pub fn identify(
        &mut self,
        session: SessionRef,
        id: u32,
        identity: Arc<Identity>,
        ctx: &mut Ctx<'_>,
    ) -> bool {
        let rights = identity.rights(&self.name);
        let Some(member) = self.members.get_mut(id).filter(|member| member.session == session)
        else {
            return false;
        };
        member.identity = identity;
        member.rights = rights;
        if !rights.has(Rights::JOIN) {
            self.remove_member(id, LeaveReason::Kicked, ctx);
        }
        true
    }

    /// A member's connection is gone; its place is kept.
    pub fn away(&mut self, id: u32, ctx: &mut Ctx<'_>) {
        let Some(member) = self.members.get_mut(id) else { return };
        if !std::mem::replace(&mut member.away, true) && self.presence == PresenceMode::Full {
            self.log_presence(PresenceEvent::Away(wire_member(id)), ctx);
        }
    }

    /// A member is gone.
    pub fn leave(&mut self, id: u32, reason: LeaveReason, ctx: &mut Ctx<'_>) {
        let Some(member) = self.members.remove(id) else { return };
        self.latest.remove_member(id);
        self.remove_subscriber(member.session.shard, member.wire, ctx);
        if self.presence == PresenceMode::Full {
            self.log_presence(PresenceEvent::Leave { id: wire_member(id), reason }, ctx);
        }
        self.count_changed(ctx);
        self.left(id, ctx);
        if self.members.is_empty() && self.failed.is_none() {
            self.emptied += 1;
            ctx.effects.push_back(Effect::Emptied { channel: self.channel });
        }
    }

    /// Sends a member its way in: what it missed if the log still has it, else the newest history.
    fn admit(
        &mut self,
        id: u32,
        r#ref: Option<u32>,
        attempt: u32,
        (since, history): (Option<Position>, u32),
        ctx: &mut Ctx<'_>,
    ) {
        // What the replay holds must not come again behind it.
        self.flush_held(ctx);
        let state = self.state_frames(id, ctx);
        let Some(member) = self.members.get(id) else { return };
        let mut frames = Vec::new();
        if self.kind != Kind::Raw {
            let (recovered, replay) = self.replay(member, since, history, ctx);
            let joined = self.joined(member, r#ref, recovered, replay.len() as u32, ctx);
            if r#ref.is_none() {
                *(if recovered { &mut ctx.stats.recovered } else { &mut ctx.stats.unrecovered }) +=
                    1;
            }
            frames.reserve_exact(replay.len() + state.len() + 1);
            frames.push(ctx.encoder.frame(&joined, member.wire, &self.types));
            for native in &replay {
                frames.push(ctx.encoder.reframe(native, member.wire, &self.types));
            }
            if r#ref.is_some() || !planted!(ctx, ResumeWithoutState) {
                frames.extend(state);
            }
            for (_, native) in self.latest.iter().filter(|((from, _), _)| *from != id) {
                frames.push(ctx.encoder.reframe(native, member.wire, &self.types));
            }
        }
        let admission = Admission {
            session: member.session,
            attempt,
            r#ref,
            channel: self.channel,
            name: self.name.clone(),
            member: id,
            seq: self.seq,
            echo: member.echo,
            frames,
        };
        let (to, down) = (member.session.shard, Down::Joined(Box::new(admission)));
        ctx.effects.push_back(Effect::Send { to, down });
    }

    /// What a member missed since a position, or the newest messages, and which of the two.
    fn replay(
        &self,
        member: &Member,
        since: Option<Position>,
        history: u32,
        ctx: &Ctx<'_>,
    ) -> (bool, Vec<Frame>) {
        let since = since.filter(|since| {
            let reaches =
                self.history.reaches_back_to(since.seq.0) || planted!(ctx, HistoryTooShortIgnored);
            since.epoch == self.epoch && since.seq.0 <= self.seq && reaches
        });
        if let Some(since) = since {
            let after = since.seq.0 + u64::from(planted!(ctx, ReplayOffByOne));
            let missed = self.history.after(after).filter(|entry| {
                entry.is_visible_to(member.id, member.echo)
                    || (planted!(ctx, DirectLeaks) && matches!(entry.kind, EntryKind::Direct(_)))
            });
            return (true, missed.map(|entry| entry.frame.clone()).collect());
        }
        let count = history.min(ctx.config.join_history_messages_max) as usize;
        let newest = self.history.newest_messages(count, u64::MAX);
        (false, newest.into_iter().map(|entry| entry.frame.clone()).collect())
    }

    fn joined(
        &self,
        member: &Member,
        r#ref: Option<u32>,
        recovered: bool,
        replay: u32,
        _ctx: &Ctx<'_>,
    ) -> ServerMessage<'static> {
        let roster = match self.presence {
            PresenceMode::Full => Roster::Full(self.members.iter().map(Member::info).collect()),
            PresenceMode::Count => Roster::Count(self.members.len()),
            PresenceMode::None => Roster::None,
        };
        let schema = self.play.as_ref().map(|play| play.schema_json.clone());
        ServerMessage::Joined(Joined {
            r#ref,
            channel: self.wire_channel(),
            name: self.name.clone().into(),
            kind: self.kind.name().to_owned(),
            epoch: self.epoch,
            epoch_at_ms: self.epoch_at_ms,
            seq: Seq(self.seq),
            recovered,
            replay,
            member: wire_member(member.id),
            applied_cseq: Cseq(member.applied_cseq),
            presence: self.presence,
            roster,
            types: self.types.iter().map(ToString::to_string).collect(),
            capacity: self.capacity,
            labels: self.labels.clone(),
            ext: schema.map(|json| Extension(EXT_SCHEMA, json.into_vec())).into_iter().collect(),
        })
    }

    /// Brings a shard that fell behind up to date from the log, as far as `may_send` allows.
    /// Returns whether it is up to date.
    pub fn resync(
        &mut self,
        shard: crate::id::ShardId,
        mut may_send: impl FnMut(Down) -> bool,
        ctx: &mut Ctx<'_>,
    ) -> bool {
        let channel = self.channel;
        let Some(mut from) = self.subscriber_mut(shard).and_then(|s| s.lag_from) else {
            return true;
        };
        let floor = self.history.floor();
        if floor >= from {
            may_send(Down::Gap { channel, from_seq: from, to_seq: floor });
            from = floor + 1;
        }
        // Type names may have been announced meanwhile: members get the whole list again.
        let names = self.types.iter().map(ToString::to_string).collect();
        let types = ServerMessage::Types(madang_protocol::server::Types {
            channel: self.wire_channel(),
            first: 0,
            names,
        });
        let has_json = self.json_members > 0;
        if !self.types.is_empty() {
            let (_, frames) = ctx.encoder.encoded(&types, has_json, &self.types);
            may_send(Down::Broadcast(resync_broadcast(channel, 0, 0, frames)));
        }
        let mut done = true;
        for entry in self.history.after(from - 1) {
            if matches!(entry.kind, EntryKind::Direct(_)) {
                done = self.resend_direct(shard, entry, &mut may_send, ctx);
            } else {
                let json =
                    has_json.then(|| ctx.encoder.reframe(&entry.frame, Wire::Json, &self.types));
                let frames = crate::peer::Encoded::Wire { native: Some(entry.frame.clone()), json };
                let message = resync_broadcast(channel, entry.seq, entry.from, frames);
                done = may_send(Down::Broadcast(message));
            }
            from = entry.seq + 1;
            if !done {
                break;
            }
        }
        done = done || from > self.seq;
        if done && self.presence == PresenceMode::Count {
            let (message, class) = self.count();
            let (_, frames) = ctx.encoder.encoded(&message, has_json, &self.types);
            let owed = resync_broadcast(channel, 0, 0, frames);
            may_send(Down::Broadcast(crate::peer::Broadcast { class, ..owed }));
        }
        if done && self.play.is_some() && !planted!(ctx, StateLagForgotten) {
            may_send(Down::StateLagged { channel });
        }
        if done {
            for ((sender, key), native) in self.latest.iter() {
                let json = has_json.then(|| ctx.encoder.reframe(native, Wire::Json, &self.types));
                let frames = crate::peer::Encoded::Wire { native: Some(native.clone()), json };
                let slot = LatestKey { channel, member: sender, key };
                may_send(Down::Broadcast(crate::peer::Broadcast {
                    channel,
                    seq: 0,
                    class: crate::session::QueueClass::Latest(slot),
                    from: sender,
                    echo: crate::peer::Echo::Never,
                    frames,
                }));
            }
        }
        let clear = done || planted!(ctx, LagClearedEarly);
        if let Some(subscriber) = self.subscriber_mut(shard) {
            subscriber.lag_from = (!clear).then_some(from);
        }
        clear
    }

    fn resend_direct(
        &self,
        shard: crate::id::ShardId,
        entry: &super::history::Entry,
        may_send: &mut impl FnMut(Down) -> bool,
        ctx: &mut Ctx<'_>,
    ) -> bool {
        let EntryKind::Direct(to) = entry.kind else { return true };
        let Some(member) = self.members.get(to).filter(|member| member.session.shard == shard)
        else {
            return true;
        };
        may_send(Down::Member {
            session: member.session,
            channel: self.channel,
            member: to,
            seq: entry.seq,
            class: crate::session::QueueClass::Reliable,
            frame: ctx.encoder.reframe(&entry.frame, member.wire, &self.types),
        })
    }
}

fn resync_broadcast(
    channel: u32,
    seq: u64,
    from: u32,
    frames: crate::peer::Encoded,
) -> crate::peer::Broadcast {
    crate::peer::Broadcast {
        channel,
        seq,
        class: crate::session::QueueClass::Reliable,
        from,
        echo: crate::peer::Echo::AsJoined,
        frames,
    }
}

/// Applies changes to a member's attributes, or refuses all of them.
pub(super) fn merge_attributes(
    attributes: &mut Vec<(String, Value)>,
    changes: Vec<(String, Value)>,
    ctx: &Ctx<'_>,
) -> Result<(), Refusal> {
    let changes_max = 2 * ctx.config.attributes_max;
    if changes.len() > changes_max {
        return refuse(
            ErrorCode::INVALID,
            format!("at most {changes_max} attributes may be set and removed at once"),
        );
    }
    let mut merged = attributes.clone();
    for (name, value) in changes {
        if !(1..=NAME_BYTES_MAX).contains(&name.len()) {
            return refuse(
                ErrorCode::INVALID,
                format!("an attribute name has 1 to {NAME_BYTES_MAX} bytes"),
            );
        }
        let at = merged.iter().position(|(known, _)| *known == name);
        match (at, value) {
            (Some(at), Value::Null) => drop(merged.remove(at)),
            (None, Value::Null) => {}
            (Some(at), value) => merged[at].1 = value,
            (None, value) => merged.push((name, value)),
        }
    }
    let bytes: usize = merged.iter().map(|(name, value)| name.len() + value.size()).sum();
    let (count_max, bytes_max) = (ctx.config.attributes_max, ctx.config.attributes_bytes_max);
    if merged.len() > count_max || bytes > bytes_max {
        return refuse(
            ErrorCode::INVALID,
            format!("a member may have {count_max} attributes of {bytes_max} bytes together"),
        );
    }
    *attributes = merged;
    Ok(())
}
