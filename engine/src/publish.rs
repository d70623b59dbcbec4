//! What a backend publishes into a room, and what it is told: the words of
//! [`crate::Input::Publish`] and [`crate::Output::Published`].
//!
//! Deliberately absent: who may. The shell has checked that before it asks.

use madang_protocol::ids::Epoch;
use madang_protocol::limits::{TYPE_BYTES_MAX, is_type_name};
use madang_protocol::value::Payload;

/// Most events that are published at once.
pub const EVENTS_MAX: usize = 256;
/// Longest idempotency key in bytes.
pub const KEY_BYTES_MAX: usize = 128;
/// Names that an event cannot have, because a spectator's stream gives them a meaning of its own;
/// `message` and `error` besides are what a browser's `EventSource` calls its own events.
pub const RESERVED_NAMES: [&str; 9] =
    ["resume", "snapshot", "delta", "message", "presence", "gap", "end", "error", "open"];

/// Whom an answer is for; the engine only carries it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ticket {
    /// Which of the shell's threads asks.
    pub asker: u16,
    /// That thread's number for what it asks.
    pub number: u64,
}

/// Events for everybody in a room, and everybody who watches it: all of them or none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Publish {
    /// Whom the answer is for.
    pub ticket: Ticket,
    /// The room; its home is this shard.
    pub room: Box<str>,
    /// Whether the room is made when there is none.
    pub may_create: bool,
    /// The idempotency key: 1 to [`KEY_BYTES_MAX`] bytes.
    pub key: Option<Box<str>>,
    /// 1 to [`EVENTS_MAX`] events.
    pub events: Vec<PublishEvent>,
}

/// One event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublishEvent {
    /// Its name, which becomes the type of the message: see [`check_event_name`].
    pub name: Box<str>,
    /// Its data.
    pub payload: Payload<'static>,
}

/// Events that are in a room's log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// The room's incarnation.
    pub epoch: Epoch,
    /// The number of the last event; theirs are contiguous.
    pub seq: u64,
    /// How many events there are.
    pub count: u32,
    /// Whether an earlier try had put them there.
    pub repeated: bool,
}

/// Why nothing was published.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PublishRefusal {
    /// The room relays messages verbatim: it has no events.
    RawRoom,
    /// The room's rules have failed: it takes nothing more, and goes.
    Failed,
    /// There is no such room, and it was not to be made.
    NoSuchRoom,
    /// There is no place for another room.
    Full,
    /// The server is going away.
    Draining,
    /// The idempotency key came before, with other events.
    KeyReused,
    /// The events, the name or the key are none that can be published.
    Invalid(&'static str),
}

/// Says what is wrong with an event's name, if anything is.
pub fn check_event_name(name: &str) -> Result<(), &'static str> {
    const _: () = assert!(TYPE_BYTES_MAX == 64, "the words below say so");
    if !is_type_name(name) {
        return Err("an event's name has 1 to 64 bytes and no control characters");
    }
    if RESERVED_NAMES.contains(&name) {
        return Err("resume, snapshot, delta, message, presence, gap, end, error and open are \
                    names of the server's own events; take another");
    }
    Ok(())
}

impl Publish {
    /// Says what is wrong with it, if anything is.
    pub(crate) fn check(&self) -> Result<(), PublishRefusal> {
        let invalid = |why| Err(PublishRefusal::Invalid(why));
        if !(1..=EVENTS_MAX).contains(&self.events.len()) {
            return invalid("between 1 and 256 events are published at once");
        }
        if self.key.as_ref().is_some_and(|key| !(1..=KEY_BYTES_MAX).contains(&key.len())) {
            return invalid("an idempotency key has 1 to 128 bytes");
        }
        let mut names = self.events.iter().map(|event| check_event_name(&event.name));
        names.find_map(Result::err).map_or(Ok(()), invalid)
    }

    /// A number that differs, but for bad luck, where the events do: so that a key is not taken
    /// for a retry when it comes with something else by mistake.
    pub(crate) fn fingerprint(&self) -> u64 {
        // FNV-1a (as `peer::name_hash`) over parts that each begin with their length.
        let mut hash = 0xcbf2_9ce4_8422_2325_u64;
        let mut add = |part: &[u8]| {
            for byte in (part.len() as u64).to_le_bytes().iter().chain(part) {
                hash = (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
            }
        };
        for PublishEvent { name, payload } in &self.events {
            add(name.as_bytes());
            let (format, bytes) = match payload {
                Payload::Bytes(bytes) => (b"b", &**bytes),
                Payload::Text(text) => (b"t", text.as_bytes()),
                Payload::Json(text) => (b"j", text.as_bytes()),
            };
            add(format);
            add(bytes);
        }
        hash
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn publish(events: &[(&str, Payload<'static>)]) -> Publish {
        let events = events.iter().map(|(name, payload)| {
            let (name, payload) = ((*name).into(), payload.clone());
            PublishEvent { name, payload }
        });
        Publish {
            ticket: Ticket { asker: 0, number: 0 },
            room: "room".into(),
            may_create: true,
            key: None,
            events: events.collect(),
        }
    }

    fn text(text: &'static str) -> Payload<'static> {
        Payload::Text(text.into())
    }

    #[test]
    fn names_that_mean_something_else_are_refused() {
        for name in RESERVED_NAMES {
            assert!(check_event_name(name).is_err(), "{name}");
        }
        for name in ["", "a\nb", "a\u{0}", "\u{85}", &"x".repeat(65)] {
            assert!(check_event_name(name).is_err(), "{name:?}");
        }
        for name in ["token", "Message", "a b", "gap.", "마당", &"x".repeat(64)] {
            assert_eq!(check_event_name(name), Ok(()), "{name:?}");
        }
    }

    #[test]
    fn the_bounds_hold_for_all_events_together() {
        let many = vec![("a", text("b")); EVENTS_MAX];
        assert_eq!(publish(&many).check(), Ok(()));
        let too_many = vec![("a", text("b")); EVENTS_MAX + 1];
        for bad in [&[][..], &too_many, &[("a", text("b")), ("end", text("c"))]] {
            assert!(matches!(publish(bad).check(), Err(PublishRefusal::Invalid(_))));
        }
        for (key, is_good) in [("", false), ("k", true), (&*"k".repeat(129), false)] {
            let with_key = Publish { key: Some(key.into()), ..publish(&many) };
            assert_eq!(with_key.check().is_ok(), is_good, "{key}");
        }
    }

    #[test]
    fn other_events_have_another_fingerprint() {
        let all = [
            publish(&[("a", text("bc"))]),
            publish(&[("ab", text("c"))]),
            publish(&[("a", Payload::Json("bc".into()))]),
            publish(&[("a", text("bc")), ("a", text("bc"))]),
            publish(&[("a", text("bc")), ("a", text("bd"))]),
        ];
        for (i, one) in all.iter().enumerate() {
            assert_eq!(one.fingerprint(), one.clone().fingerprint());
            for other in &all[i + 1..] {
                assert_ne!(one.fingerprint(), other.fingerprint());
            }
        }
    }
}
