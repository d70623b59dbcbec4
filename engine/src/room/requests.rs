//! What every room answers: `info`, `members`, `history` (SPEC.md, "Requests"). JSON in, JSON out.

use super::{Ctx, Refusal, Room, refuse};
use crate::session::QueueClass;
use madang_protocol::ErrorCode;
use madang_protocol::client::Request;
use madang_protocol::codec;
use madang_protocol::server::{Message, Reply, ServerMessage};
use madang_protocol::value::{Payload, TypeRef};
use serde_json::{Value, json};
use std::borrow::Cow;

/// Most members on one page.
const MEMBERS_PAGE_MAX: u64 = 256;
/// Bytes after which a page ends early, so that a reply stays an ordinary message.
const PAGE_BYTES_MAX: usize = 48 << 10;

impl Room {
    pub(super) fn request(
        &mut self,
        id: u32,
        op: &Request<'_>,
        ctx: &mut Ctx<'_>,
    ) -> Result<(), Refusal> {
        let name = match &op.r#type {
            TypeRef::Name(name) => &**name,
            TypeRef::Id(id) => self.types.get(*id as usize).map_or("", |name| name),
        };
        let arguments = arguments(&op.payload)?;
        let answer = match name {
            "info" => self.info(),
            "members" => self.members_page(&arguments)?,
            "history" => self.history_page(&arguments, ctx)?,
            _ => {
                return refuse(
                    ErrorCode::UNKNOWN_REQUEST,
                    "this room answers info, members and history",
                );
            }
        };
        let Some(member) = self.members.get(id) else { return Ok(()) };
        let reply = ServerMessage::Reply(Reply {
            channel: self.wire_channel(),
            cseq: op.cseq,
            payload: Payload::Json(Cow::Owned(answer.to_string())),
        });
        self.tell(member, &reply, QueueClass::Reliable, ctx);
        Ok(())
    }

    fn info(&self) -> Value {
        json!({
            "kind": self.kind.name(),
            "epoch": self.epoch,
            "seq": self.seq,
            "members": self.members.len(),
            "capacity": self.capacity,
            "labels": self.labels,
        })
    }

    fn members_page(&self, arguments: &Value) -> Result<Value, Refusal> {
        let after = number(arguments, "after", 0)?.min(u64::from(u32::MAX)) as u32;
        let limit = number(arguments, "limit", MEMBERS_PAGE_MAX)?.clamp(1, MEMBERS_PAGE_MAX);
        let (mut page, mut bytes, mut next) = (Vec::new(), 0, None);
        for member in self.members.after(after) {
            if page.len() as u64 >= limit || bytes > PAGE_BYTES_MAX {
                next = page.last().map(|(id, _)| *id);
                break;
            }
            let info = json!(member.info());
            bytes += info.to_string().len();
            page.push((member.id, info));
        }
        let members: Vec<Value> = page.into_iter().map(|(_, info)| info).collect();
        Ok(json!({ "members": members, "next": next }))
    }

    fn history_page(&self, arguments: &Value, ctx: &Ctx<'_>) -> Result<Value, Refusal> {
        let before = number(arguments, "before", u64::MAX)?;
        let limit_max = u64::from(ctx.config.join_history_messages_max);
        let limit = number(arguments, "limit", limit_max)?.clamp(1, limit_max.max(1));
        let newest = self.history.newest_messages(limit as usize + 1, before);
        let mut more = newest.len() as u64 > limit;
        let (mut messages, mut bytes) = (Vec::new(), 0);
        for entry in newest.iter().rev().take(limit as usize) {
            if bytes > PAGE_BYTES_MAX {
                more = true;
                break;
            }
            let decoded = codec::split_batch(&entry.frame).next().and_then(Result::ok);
            let decoded = decoded.and_then(|bytes| codec::decode_server(bytes).ok());
            let Some(ServerMessage::Message(message)) = decoded else { continue };
            bytes += entry.frame.len();
            messages.push(self.history_item(&message));
        }
        messages.reverse();
        Ok(json!({ "messages": messages, "more": more }))
    }

    fn history_item(&self, message: &Message<'_>) -> Value {
        let name = match &message.r#type {
            TypeRef::Name(name) => &**name,
            TypeRef::Id(id) => self.types.get(*id as usize).map_or("", |name| name),
        };
        json!({
            "seq": message.seq,
            "from": message.from,
            "at": message.at,
            "type": name,
            "payload": message.payload,
        })
    }
}

fn arguments(payload: &Payload<'_>) -> Result<Value, Refusal> {
    let text = match payload {
        payload if payload.is_empty() => return Ok(Value::Null),
        Payload::Json(text) | Payload::Text(text) => text,
        Payload::Bytes(_) => {
            return refuse(ErrorCode::INVALID, "the arguments of a request are JSON or empty");
        }
    };
    serde_json::from_str(text)
        .or_else(|error| refuse(ErrorCode::INVALID, format!("the arguments are not JSON: {error}")))
}

fn number(arguments: &Value, name: &str, default: u64) -> Result<u64, Refusal> {
    match arguments.get(name) {
        None | Some(Value::Null) => Ok(default),
        Some(value) => value.as_u64().map_or_else(
            || refuse(ErrorCode::INVALID, format!("{name} has to be a whole number")),
            Ok,
        ),
    }
}
