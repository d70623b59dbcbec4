//! A backend that publishes with idempotency keys and tries again at random.

use crate::support::node::Node;
use madang_engine::Input;
use madang_engine::peer::home_of;
use madang_engine::publish::{Publish, PublishEvent, PublishRefusal, Receipt, Ticket};
use madang_protocol::ids::Epoch;
use madang_protocol::value::Payload;
use std::collections::BTreeMap;

/// What it has published or tried to, and what it was told.
#[derive(Debug, Default)]
pub(crate) struct Backend {
    tried: Vec<Publish>,
    /// By the place in `tried` and the room's incarnation.
    receipts: BTreeMap<(usize, Epoch), Receipt>,
}

impl Backend {
    /// Publishes something new in a room, or tries something again.
    pub(crate) fn publish(&mut self, node: &mut Node, room: &str, a: u32, b: u32) {
        let is_retry = b.is_multiple_of(3) && !self.tried.is_empty();
        let place = if is_retry { a as usize % self.tried.len() } else { self.tried.len() };
        if !is_retry {
            self.tried.push(fresh(place, room, b));
        }
        let publish = self.tried[place].clone();
        let home = home_of(&publish.room, node.shards() as u16).0 as usize;
        node.input(home, Input::Publish(Box::new(publish)));
        match node.published.pop() {
            Some((number, Ok(receipt))) if number == place as u64 => {
                self.published(node, place, receipt);
            }
            Some((
                _,
                Err(PublishRefusal::NoSuchRoom | PublishRefusal::RawRoom | PublishRefusal::Failed),
            )) => {}
            other => node.violate(format!("publication {place} was answered {other:?}")),
        }
    }

    fn published(&mut self, node: &mut Node, place: usize, receipt: Receipt) {
        let first = self.receipts.entry((place, receipt.epoch)).or_insert(receipt);
        let expected = if *first == receipt && !receipt.repeated {
            true
        } else {
            node.reached.entry("backend's retry recognised").and_modify(|n| *n += 1).or_insert(1);
            receipt == Receipt { repeated: true, ..*first }
        };
        if !expected || first.repeated {
            let first = *first;
            node.violate(format!("publication {place}: first {first:?}, now {receipt:?}"));
        }
    }
}

/// Something that nobody has published before.
fn fresh(place: usize, room: &str, b: u32) -> Publish {
    let events = (0..=b / 8 % 3).map(|i| {
        let text = format!("backend.{place}.{i}");
        let payload = match b / 32 % 2 {
            0 => Payload::Text(text.into()),
            _ => Payload::Json(format!("\"{text}\"").into()),
        };
        PublishEvent { name: ["token", "chat"][b as usize / 64 % 2].into(), payload }
    });
    Publish {
        ticket: Ticket { asker: 0, number: place as u64 },
        room: room.into(),
        may_create: !(b / 128).is_multiple_of(4),
        key: Some(format!("key {place}").into()),
        events: events.collect(),
    }
}
