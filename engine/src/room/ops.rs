//! What members do in a room: publish, direct, request, set attributes.

use super::entry::merge_attributes;
use super::history::EntryKind;
use super::{Ctx, Refusal, Room, refuse, wire_member};
use crate::access::Rights;
use crate::frame::Frame;
use crate::id::SessionRef;
use crate::input::Shed;
use crate::peer::{Echo, Encoded, RoomOp};
use crate::session::QueueClass;
use crate::session::outbound::LatestKey;
use madang_protocol::ErrorCode;
use madang_protocol::client::{Class, Direct, PresenceMode, Publish, SetAttributes};
use madang_protocol::ids::{Cseq, Seq};
use madang_protocol::server::{
    Ack, DirectMessage, Durability, Ephemeral, LeaveReason, Message, PresenceEvent, ServerMessage,
};
use madang_protocol::value::{Payload, TypeRef};

impl Room {
    /// Does what a member asks, once: a cseq at or below the highest dealt with is a retry.
    pub fn op(&mut self, session: SessionRef, id: u32, op: &RoomOp<'_>, ctx: &mut Ctx<'_>) {
        let cseq = op.cseq();
        let Some(member) = self.members.get_mut(id).filter(|member| member.session == session)
        else {
            // The member was removed while this was on its way; its session is being told.
            return;
        };
        if cseq.0 == 0 {
            let why = (ErrorCode::STALE_CSEQ, "a cseq starts at 1".into());
            return self.reject(id, cseq, why, ctx);
        }
        if cseq.0 <= member.applied_cseq && !planted!(ctx, DoubleApply) {
            ctx.stats.repeated += 1;
            return self.acknowledge_repeat(id, op, ctx);
        }
        member.applied_cseq = member.applied_cseq.max(cseq.0);
        let (needed, name) = op.needs();
        if !member.rights.has(needed) && !planted!(ctx, RightsIgnored) {
            return self.reject(id, cseq, lacking(name), ctx);
        }
        let result = match op {
            RoomOp::Publish(op) if self.play.is_some() => self.play_message(id, op, ctx),
            RoomOp::Publish(op) => self.publish(id, op, ctx),
            RoomOp::Direct(op) => self.direct(id, op, ctx),
            RoomOp::Request(op) => self.request(id, op, ctx),
            RoomOp::SetAttributes(op) => self.set_attributes(id, op, ctx),
            RoomOp::Edit(op) => self.edit(id, op, ctx),
            RoomOp::Manage(op) => self.manage(id, op, ctx),
        };
        if let Err(refusal) = result {
            self.reject(id, cseq, refusal, ctx);
        }
    }

    /// Relays a message verbatim.
    pub fn raw(&mut self, id: u32, data: &[u8], text: bool, ctx: &mut Ctx<'_>) {
        let Some(member) = self.members.get(id) else { return };
        if !member.rights.has(Rights::PUBLISH) {
            // There is no envelope to say it in.
            return self.remove_member(id, LeaveReason::Kicked, ctx);
        }
        ctx.stats.published += 1;
        ctx.encoder.encodes += 1;
        let frames = Encoded::Raw { frame: Frame::new(data), text };
        self.broadcast(0, QueueClass::Reliable, (id, Echo::AsJoined), frames, ctx);
    }

    pub(super) fn publish(
        &mut self,
        id: u32,
        op: &Publish<'_>,
        ctx: &mut Ctx<'_>,
    ) -> Result<(), Refusal> {
        let r#type = self.number_type(&op.r#type, ctx)?;
        let (channel, from) = (self.wire_channel(), wire_member(id));
        let payload = op.payload.borrowed();
        let class = match op.class {
            Class::Reliable => {
                self.seq += 1;
                let (seq, at) = (Seq(self.seq), self.next_at(ctx.wall_ms));
                let message = Message { channel, seq, from, at, cseq: op.cseq, r#type, payload };
                self.log(&ServerMessage::Message(message), EntryKind::Message, id, ctx);
                ctx.stats.published += 1;
                self.acknowledge_unless_echoed(id, op.cseq, ctx);
                return Ok(());
            }
            class => class,
        };
        self.publish_ephemeral(id, class, r#type, payload, ctx)?;
        ctx.stats.published += 1;
        Ok(())
    }

    /// Sends a message of class latest or volatile to everyone; 0 is the room itself.
    pub(super) fn publish_ephemeral(
        &mut self,
        id: u32,
        class: Class,
        mut r#type: TypeRef<'_>,
        payload: Payload<'_>,
        ctx: &mut Ctx<'_>,
    ) -> Result<(), Refusal> {
        let (channel, from) = (self.wire_channel(), wire_member(id));
        let key = if let Class::Latest(key) = class { Some(key) } else { None };
        if key.is_none() && ctx.shed >= Shed::Volatile {
            ctx.stats.shed_volatile += 1;
            return Ok(());
        }
        let mut number = None;
        if let (Some(key), TypeRef::Id(id_of_type)) = (key, &r#type) {
            if self.latest.may_carry(id, key, *id_of_type) {
                number = Some(*id_of_type);
            } else {
                r#type = TypeRef::Name(self.types[*id_of_type as usize].to_string().into());
            }
        }
        let message = ServerMessage::Ephemeral(Ephemeral { channel, from, key, r#type, payload });
        let has_json = self.json_members > 0;
        let (native, frames) = ctx.encoder.encoded(&message, has_json, &self.types);
        let class = if let Some(key) = key {
            let (keys_max, bytes_max) = (ctx.config.latest_keys_max, ctx.config.latest_bytes_max);
            let member = if planted!(ctx, ConflateAcrossSenders) { 0 } else { id };
            // Rules may have removed the sender for this very message: nobody would ever take it back.
            let is_gone = id != 0 && self.members.get(id).is_none();
            if is_gone {
                QueueClass::Volatile
            } else if ctx.shed >= Shed::Latest {
                ctx.stats.shed_latest += 1;
                self.latest.remove(id, key);
                QueueClass::Volatile
            } else if self.latest.set((id, key), number, &native, keys_max, bytes_max) {
                QueueClass::Latest(LatestKey { channel: self.channel, member, key })
            } else if !self.latest.holds(id, key) {
                // Nobody who is here may be denied it because others have used up what is kept for
                // those who come later; but nothing can take its place while it waits.
                QueueClass::Volatile
            } else {
                return refuse(
                    ErrorCode::BUSY,
                    format!(
                        "the room keeps at most {keys_max} current values of {bytes_max} bytes"
                    ),
                );
            }
        } else {
            QueueClass::Volatile
        };
        self.broadcast(0, class, (id, Echo::Never), frames, ctx);
        Ok(())
    }

    fn direct(&mut self, id: u32, op: &Direct<'_>, ctx: &mut Ctx<'_>) -> Result<(), Refusal> {
        if self.members.get(op.to.0).is_none() {
            let to = op.to;
            return refuse(ErrorCode::NO_SUCH_MEMBER, format!("there is no member {to}"));
        }
        let r#type = self.number_type(&op.r#type, ctx)?;
        self.seq += 1;
        let message = ServerMessage::Direct(DirectMessage {
            channel: self.wire_channel(),
            seq: Seq(self.seq),
            from: wire_member(id),
            at: self.next_at(ctx.wall_ms),
            r#type,
            payload: op.payload.borrowed(),
        });
        let native = self.log(&message, EntryKind::Direct(op.to.0), id, ctx);
        ctx.stats.published += 1;
        if let Some(to) = self.members.get(op.to.0) {
            let frame = ctx.encoder.reframe(&native, to.wire, &self.types);
            let effect = self.frame_for(to, self.seq, QueueClass::Reliable, frame);
            self.emit(effect, ctx);
        }
        self.acknowledge(id, op.cseq, Some(self.seq), ctx);
        Ok(())
    }

    fn set_attributes(
        &mut self,
        id: u32,
        op: &SetAttributes,
        ctx: &mut Ctx<'_>,
    ) -> Result<(), Refusal> {
        let Some(member) = self.members.get_mut(id) else { return Ok(()) };
        let is_given =
            |name: &str| member.identity.attributes.iter().any(|(given, _)| given == name);
        if let Some((name, _)) = op.attributes.iter().find(|(name, _)| is_given(name)) {
            let why = format!("the attribute {name:?} is what the member's credential says");
            return refuse(ErrorCode::FORBIDDEN, why);
        }
        merge_attributes(&mut member.attributes, op.attributes.clone(), ctx)?;
        if self.presence == PresenceMode::Full {
            let (cseq, changes) = (op.cseq, op.attributes.clone());
            self.log_presence(
                PresenceEvent::Attributes { id: wire_member(id), cseq, changes },
                ctx,
            );
        } else {
            self.acknowledge(id, op.cseq, None, ctx);
        }
        Ok(())
    }

    fn acknowledge_unless_echoed(&self, id: u32, cseq: Cseq, ctx: &mut Ctx<'_>) {
        if self.members.get(id).is_some_and(|member| !member.echo) {
            self.acknowledge(id, cseq, Some(self.seq), ctx);
        }
    }

    pub(super) fn acknowledge(&self, id: u32, cseq: Cseq, seq: Option<u64>, ctx: &mut Ctx<'_>) {
        let Some(member) = self.members.get(id) else { return };
        let ack = ServerMessage::Ack(Ack {
            channel: self.wire_channel(),
            cseq,
            seq: seq.map(Seq),
            durability: Durability::Sequenced,
        });
        self.tell(member, &ack, QueueClass::Control, ctx);
    }

    /// A retry is acknowledged where the first try would have been: class latest and volatile
    /// never are.
    fn acknowledge_repeat(&self, id: u32, op: &RoomOp<'_>, ctx: &mut Ctx<'_>) {
        let RoomOp::Publish(Publish { class: Class::Latest(_) | Class::Volatile, .. }) = op else {
            return self.acknowledge(id, op.cseq(), None, ctx);
        };
    }

    pub(super) fn reject(&self, id: u32, cseq: Cseq, refusal: Refusal, ctx: &mut Ctx<'_>) {
        let Some(member) = self.members.get(id) else { return };
        let error = self.refusal(cseq, refusal, ctx);
        self.tell(member, &error, QueueClass::Control, ctx);
    }
}

/// What a session is told that lacks a right.
pub(crate) fn lacking(right: &str) -> Refusal {
    (ErrorCode::FORBIDDEN, format!("the session has no right to {right} in this room").into())
}

impl RoomOp<'_> {
    /// The right that a member needs for it. What may be asked is for the one who answers to say.
    fn needs(&self) -> (Rights, &'static str) {
        match self {
            RoomOp::Publish(_) | RoomOp::Direct(_) | RoomOp::SetAttributes(_) => {
                (Rights::PUBLISH, "publish")
            }
            RoomOp::Edit(_) => (Rights::STATE, "state"),
            RoomOp::Manage(_) => (Rights::MANAGE, "manage"),
            RoomOp::Request(_) => (Rights::NONE, ""),
        }
    }

    /// The client's number for it.
    pub fn cseq(&self) -> Cseq {
        match self {
            RoomOp::Publish(op) => op.cseq,
            RoomOp::Direct(op) => op.cseq,
            RoomOp::Request(op) => op.cseq,
            RoomOp::SetAttributes(op) => op.cseq,
            RoomOp::Edit(op) => op.cseq,
            RoomOp::Manage(op) => op.cseq,
        }
    }
}
