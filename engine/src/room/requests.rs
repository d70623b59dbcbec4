//! What every room answers: `info`, `members`, `history` (SPEC.md, "Requests"). JSON in, JSON out.

use super::{Ctx, Refusal, Room, refuse};
use crate::session::QueueClass;
use madang_protocol::ErrorCode;
use madang_protocol::client::Request;
use madang_protocol::codec;
use madang_protocol::limits::JSON_DEPTH_MAX;
use madang_protocol::portable::is_portable;
use madang_protocol::server::{Message, Reply, ServerMessage};
use madang_protocol::value::{Payload, TypeRef};
use serde_json::{Map, Value, json};
use std::borrow::Cow;

/// Most members on one page.
const MEMBERS_PAGE_MAX: u64 = 256;
/// Arrays and objects around a payload in an answer to `history`: the answer, its list, the
/// message, the payload's format.
const HISTORY_DEPTH: usize = 4;
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
        let answer = match name {
            "info" => {
                arguments(&op.payload)?;
                self.info().to_string()
            }
            "members" => self.members_page(&arguments(&op.payload)?)?.to_string(),
            "history" => self.history_page(&arguments(&op.payload)?, ctx)?,
            _ => return self.play_request(id, op, ctx),
        };
        let Some(member) = self.members.get(id) else { return Ok(()) };
        let reply = ServerMessage::Reply(Reply {
            channel: self.wire_channel(),
            cseq: op.cseq,
            payload: Payload::Json(Cow::Owned(answer)),
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

    fn members_page(&self, arguments: &Arguments) -> Result<Value, Refusal> {
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

    fn history_page(&self, arguments: &Arguments, ctx: &Ctx<'_>) -> Result<String, Refusal> {
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
            let item = self.history_item(&message);
            bytes += item.len();
            messages.push(item);
        }
        messages.reverse();
        Ok(format!(r#"{{"messages":[{}],"more":{more}}}"#, messages.join(",")))
    }

    /// Written as text and not by way of [`Value`], which cannot hold every payload: it has no
    /// numbers beyond a double and no key twice.
    fn history_item(&self, message: &Message<'_>) -> String {
        let name = match &message.r#type {
            TypeRef::Name(name) => &**name,
            TypeRef::Id(id) => self.types.get(*id as usize).map_or("", |name| name),
        };
        let payload = match &message.payload {
            // The answer as a whole has to be one that every client can read.
            Payload::Json(text) if !is_portable(text, JSON_DEPTH_MAX - HISTORY_DEPTH) => {
                Payload::Text(Cow::Borrowed(&**text))
            }
            payload => payload.borrowed(),
        };
        let payload = serde_json::to_string(&payload).expect("every payload has a JSON form");
        let (seq, from, at, name) = (message.seq.0, message.from.0, message.at, json!(name));
        format!(r#"{{"seq":{seq},"from":{from},"at":{at},"type":{name},"payload":{payload}}}"#)
    }
}

/// The parameters of a request, by name.
type Arguments = Map<String, Value>;

fn arguments(payload: &Payload<'_>) -> Result<Arguments, Refusal> {
    let text = match payload {
        payload if payload.is_empty() => return Ok(Map::new()),
        Payload::Json(text) | Payload::Text(text) => text,
        Payload::Bytes(_) => {
            return refuse(ErrorCode::INVALID, "the parameters are a JSON object or empty");
        }
    };
    serde_json::from_str(text).or_else(|error| {
        refuse(ErrorCode::INVALID, format!("the parameters are not a JSON object: {error}"))
    })
}

fn number(arguments: &Arguments, name: &str, default: u64) -> Result<u64, Refusal> {
    match arguments.get(name) {
        None | Some(Value::Null) => Ok(default),
        Some(value) => value.as_u64().map_or_else(
            || refuse(ErrorCode::INVALID, format!("{name} has to be a whole number")),
            Ok,
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_an_object_or_empty() {
        for payload in [
            Payload::Bytes(Cow::Borrowed(b"")),
            Payload::Text(Cow::Borrowed("")),
            Payload::Json(Cow::Borrowed("")),
            Payload::Json(Cow::Borrowed(" {} ")),
            Payload::Text(Cow::Borrowed(r#"{"limit": null, "else": [1.5]}"#)),
        ] {
            let arguments =
                arguments(&payload).unwrap_or_else(|why| panic!("{payload:?}: {why:?}"));
            assert_eq!(number(&arguments, "limit", 7), Ok(7), "{payload:?}");
        }
        for json in ["null", "[]", "3", "\"a\"", "{", "{}{}", "\u{feff}{}"] {
            let refused = arguments(&Payload::Json(Cow::Borrowed(json)));
            assert_eq!(refused.map_err(|(code, _)| code), Err(ErrorCode::INVALID), "{json}");
        }
        let bytes = arguments(&Payload::Bytes(Cow::Borrowed(b"{}")));
        assert_eq!(bytes.map_err(|(code, _)| code), Err(ErrorCode::INVALID));
    }

    #[test]
    fn a_number_is_whole() {
        let given = |json: &str| {
            let arguments = arguments(&Payload::Json(Cow::Owned(format!("{{\"n\":{json}}}"))))?;
            number(&arguments, "n", 7).map_err(|(code, _)| (code, "".into()))
        };
        for (json, wanted) in [("0", 0), ("3", 3), ("9007199254740992", 1 << 53), ("null", 7)] {
            assert_eq!(given(json), Ok(wanted), "{json}");
        }
        for json in ["-1", "1.5", "3.0", "1e2", "\"3\"", "true", "[]", "{}"] {
            assert_eq!(given(json), Err((ErrorCode::INVALID, "".into())), "{json}");
        }
    }
}
