//! What a backend publishes, on its way to the room and back.

use super::Engine;
use crate::config::Kind;
use crate::output::Output;
use crate::peer::home_of;
use crate::publish::{Publish, PublishRefusal, Receipt};
use crate::room::Effect;
use madang_protocol::ErrorCode;
use madang_protocol::client::CreateOptions;
use madang_protocol::limits::is_room_name;

impl Engine {
    /// Publishes and answers. The answer comes before what it leads to is delivered.
    pub(super) fn publish_by_backend(&mut self, publish: &Publish) {
        let result = self.try_publish(publish);
        self.out.push_back(Output::Published { ticket: publish.ticket, result });
    }

    fn try_publish(&mut self, publish: &Publish) -> Result<Receipt, PublishRefusal> {
        publish.check()?;
        if !is_room_name(&publish.room)
            || home_of(&publish.room, self.config.shards) != self.config.shard
        {
            return Err(PublishRefusal::Invalid("the room is none of this shard"));
        }
        if self.draining || self.quiescing > 0 {
            return Err(PublishRefusal::Draining);
        }
        let known = self.home.find(&publish.room);
        let kind = match known.and_then(|channel| self.home.get(channel)) {
            Some(room) => room.kind,
            None => self.config.room.bound_kind(&publish.room).unwrap_or(Kind::Relay),
        };
        if kind == Kind::Raw {
            return Err(PublishRefusal::RawRoom);
        }
        let channel = match known {
            Some(channel) => channel,
            None if publish.may_create => self.create_for_publish(&publish.room, kind)?,
            None => return Err(PublishRefusal::NoSuchRoom),
        };
        let now = self.clock.now;
        let published = self.with_room(channel, |room, ctx| {
            let receipt = room.publish_events(publish, now, ctx);
            if known.is_none() {
                // It goes as an empty room does, unless somebody joins it.
                room.emptied += 1;
                ctx.effects.push_back(Effect::Emptied { channel });
            }
            receipt
        });
        published.unwrap_or(Err(PublishRefusal::NoSuchRoom))
    }

    fn create_for_publish(&mut self, name: &str, kind: Kind) -> Result<u32, PublishRefusal> {
        let (fresh, now) = (self.fresh(), self.clock.now);
        let options = CreateOptions::default();
        let created =
            self.with_home(|home, ctx| home.create((name, kind), options, &[], fresh, now, ctx));
        created.map_err(|(code, _)| match code {
            ErrorCode::SERVER_FULL => PublishRefusal::Full,
            _ => PublishRefusal::Invalid("the room's kind makes no room without options"),
        })
    }
}
