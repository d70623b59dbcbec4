//! What a backend publishes, at the room's home: its entries in the log, and what is remembered so
//! that a retry is not applied again.

use super::history::EntryKind;
use super::{Ctx, Room, wire_member};
use crate::publish::{Publish, PublishEvent, PublishRefusal, Receipt};
use crate::time::Time;
use madang_protocol::ids::{Cseq, Seq};
use madang_protocol::server::{Message, ServerMessage};
use madang_protocol::value::TypeRef;
use std::borrow::Cow;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

/// What a room remembers of what backends published. Ends with the room's epoch.
#[derive(Debug, Default)]
pub(crate) struct Publications {
    /// When something was published last, or tried again.
    newest: Time,
    /// What was published with a key, oldest first.
    kept: VecDeque<Kept>,
    /// Places in `kept`, counted from the first that ever was.
    by_key: BTreeMap<Arc<str>, u64>,
    /// How many went from the front of `kept`.
    gone: u64,
}

/// One publication with an idempotency key.
#[derive(Debug)]
struct Kept {
    key: Arc<str>,
    at: Time,
    fingerprint: u64,
    seq: u64,
    count: u32,
}

impl Publications {
    /// Until when a room without members is kept for what is published.
    pub(crate) fn lingers_until(&self, linger_ms: u64) -> Time {
        self.newest.plus_ms(linger_ms)
    }

    /// What was published with a key, if that is still known.
    fn find(&self, key: &str) -> Option<&Kept> {
        let place = self.by_key.get(key)?.checked_sub(self.gone)?;
        self.kept.get(place as usize)
    }

    /// Forgets what was published before `oldest`, and beyond the newest `most`.
    fn forget(&mut self, oldest: Time, most: usize) {
        while let Some(kept) = self.kept.front() {
            if kept.at >= oldest && self.kept.len() <= most {
                break;
            }
            self.by_key.remove(&kept.key);
            self.kept.pop_front();
            self.gone += 1;
        }
    }

    fn keep(&mut self, kept: Kept) {
        self.by_key.insert(Arc::clone(&kept.key), self.gone + self.kept.len() as u64);
        self.kept.push_back(kept);
    }

    /// Panics where the memory contradicts itself.
    pub(super) fn check(&self, most: usize) {
        assert!(self.kept.len() <= most);
        assert_eq!(self.kept.len(), self.by_key.len());
        assert!(self.kept.iter().is_sorted_by_key(|kept| kept.at));
        assert!(self.kept.iter().all(|kept| self.find(&kept.key).is_some()));
    }
}

impl Room {
    /// Logs the events, in order, unless the key says that it was done before.
    pub fn publish_events(
        &mut self,
        publish: &Publish,
        now: Time,
        ctx: &mut Ctx<'_>,
    ) -> Result<Receipt, PublishRefusal> {
        if self.failed.is_some() {
            return Err(PublishRefusal::Failed);
        }
        let (most, keep_ms) = (ctx.config.publish_keys_max, ctx.config.publish_keys_ms);
        let publications = self.publications.get_or_insert_default();
        publications.newest = now;
        publications.forget(Time(now.0.saturating_sub(keep_ms.saturating_mul(1000))), most);
        let fingerprint = publish.fingerprint();
        let epoch = self.epoch;
        let known = publish.key.as_deref().and_then(|key| publications.find(key));
        if let Some(kept) = known.filter(|_| !planted!(ctx, RetryPublished)) {
            if kept.fingerprint != fingerprint {
                return Err(PublishRefusal::KeyReused);
            }
            ctx.stats.repeated += 1;
            return Ok(Receipt { epoch, seq: kept.seq, count: kept.count, repeated: true });
        }
        for event in &publish.events {
            self.publish_event(event, ctx);
        }
        let (seq, count) = (self.seq, publish.events.len() as u32);
        if let Some(key) = publish.key.as_deref().filter(|_| most > 0) {
            let publications = self.publications.get_or_insert_default();
            publications.forget(Time(0), most - 1);
            publications.keep(Kept { key: key.into(), at: now, fingerprint, seq, count });
        }
        Ok(Receipt { epoch, seq, count, repeated: false })
    }

    fn publish_event(&mut self, event: &PublishEvent, ctx: &mut Ctx<'_>) {
        let name = TypeRef::Name(Cow::Borrowed(&*event.name));
        // Its name was checked with all others, before any of them was logged.
        let r#type = self.number_type(&name, ctx).unwrap_or(name.clone());
        self.seq += 1;
        let (channel, seq, at) = (self.wire_channel(), Seq(self.seq), self.next_at(ctx.wall_ms));
        let (from, cseq, payload) = (wire_member(0), Cseq(0), event.payload.borrowed());
        let message = Message { channel, seq, from, at, cseq, r#type, payload };
        self.log(&ServerMessage::Message(message), EntryKind::Published, 0, ctx);
        ctx.stats.published += 1;
    }
}
