//! What a member keeps of a room's state: a copy of each part that it was sent, and whether those are
//! what they should be (SPEC.md 17.5).
//!
//! Deliberately absent: asking the room anew. Whoever owns the connection does that, with what
//! [`Parts`] says was wrong.

use crate::ids::Channel;
use crate::replica::Replica;
use crate::server::{Delta, EXT_SCHEMA, Joined, PartGone, Snapshot};
use crate::state::{Part, Schema, StateError};
use crate::{ClientMessage, client};
use std::collections::BTreeMap;
use std::fmt;

/// A member's copies of the parts of one room's state, from one `joined` to the next.
#[derive(Clone, Debug)]
pub struct Parts {
    schema: Schema,
    copies: BTreeMap<Part, Copy>,
    /// Nothing counts before a snapshot of part `members`.
    awaits: bool,
}

/// A part at a tick.
#[derive(Clone, Debug, Default)]
pub struct Copy {
    /// The tick.
    pub tick: u64,
    /// What it holds.
    pub replica: Replica,
}

/// What became of a message about a room's state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Taken {
    /// The state began anew with it: every other part was forgotten.
    Anew,
    /// It added to the picture.
    Applied,
    /// It meant nothing for the picture.
    Ignored,
    /// It does not fit. Nothing counts any more until the state has begun anew.
    Wrong(Wrong),
}

/// What does not fit, as a `resync` says it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wrong {
    /// The part.
    pub part: Part,
    /// The tick of what is there of it.
    pub tick: u64,
    /// The hash of that.
    pub hash: u32,
    /// What was wrong.
    pub why: Why,
}

/// Why something did not fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// A delta of a part of which there is no copy.
    NoCopy,
    /// A delta from a tick that the copy has not come to.
    Ahead,
    /// The bytes are none of this state.
    Malformed(StateError),
    /// The hash is another.
    Hash,
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoCopy => f.write_str("a delta of a part that was never sent whole"),
            Self::Ahead => f.write_str("a delta from a tick that was never sent"),
            Self::Malformed(error) => error.fmt(f),
            Self::Hash => f.write_str("the hash is another than that of what was sent"),
        }
    }
}

impl Wrong {
    /// What asks the room for its state anew.
    pub fn resync(&self, channel: Channel) -> ClientMessage<'static> {
        let Self { part, tick, hash, .. } = *self;
        ClientMessage::Resync(client::Resync { channel, part, tick, hash })
    }
}

impl Parts {
    /// For the room of a `joined`; nothing where the room has no state.
    ///
    /// # Errors
    ///
    /// What is wrong with the schema, for people.
    pub fn of(joined: &Joined) -> Result<Option<Self>, String> {
        let Some(json) = joined.ext.iter().find(|ext| ext.0 == EXT_SCHEMA) else { return Ok(None) };
        let schema: Schema =
            serde_json::from_slice(&json.1).map_err(|error| format!("the schema: {error}"))?;
        if !schema.is_valid() {
            return Err("the schema is out of its bounds".to_owned());
        }
        Ok(Some(Self { schema, copies: BTreeMap::new(), awaits: true }))
    }

    /// The schema.
    pub fn schema(&self) -> &Schema {
        &self.schema
    }

    /// The copy of a part, if it is there.
    pub fn get(&self, part: Part) -> Option<&Copy> {
        self.copies.get(&part)
    }

    /// A snapshot came.
    pub fn snapshot(&mut self, snapshot: &Snapshot<'_>) -> Taken {
        let Snapshot { part, tick, hash, .. } = *snapshot;
        let is_anew = part == Part::Members;
        if part == Part::Spectators || (self.awaits && !is_anew) {
            return Taken::Ignored;
        }
        let mut replica = Replica::default();
        if let Err(error) = replica.apply_snapshot(&self.schema, &snapshot.state) {
            return self.wrong(part, Why::Malformed(error));
        }
        if replica.hash() != hash {
            let hash = replica.hash();
            self.awaits = true;
            return Taken::Wrong(Wrong { part, tick, hash, why: Why::Hash });
        }
        match part {
            Part::Members => self.copies.clear(),
            Part::Team(_) => self.copies.retain(|part, _| !matches!(part, Part::Team(_))),
            Part::Owner | Part::Cell(_) | Part::Spectators => {}
        }
        self.awaits = false;
        self.copies.insert(part, Copy { tick, replica });
        if is_anew { Taken::Anew } else { Taken::Applied }
    }

    /// A delta came.
    pub fn delta(&mut self, delta: &Delta<'_>) -> Taken {
        let Delta { part, base_tick, tick, hash, .. } = *delta;
        if self.awaits || part == Part::Spectators {
            return Taken::Ignored;
        }
        let Some(copy) = self.copies.get_mut(&part) else {
            return self.wrong(part, Why::NoCopy);
        };
        if copy.tick >= tick {
            return Taken::Ignored;
        }
        if base_tick > copy.tick {
            return self.wrong(part, Why::Ahead);
        }
        if let Err(error) = copy.replica.apply_delta(&self.schema, &delta.changes) {
            return self.wrong(part, Why::Malformed(error));
        }
        copy.tick = tick;
        if copy.replica.hash() == hash { Taken::Applied } else { self.wrong(part, Why::Hash) }
    }

    /// A part is no longer seen.
    pub fn gone(&mut self, gone: &PartGone) -> Taken {
        if self.awaits || self.copies.remove(&gone.part).is_none() {
            return Taken::Ignored;
        }
        Taken::Applied
    }

    fn wrong(&mut self, part: Part, why: Why) -> Taken {
        self.awaits = true;
        let (tick, hash) =
            self.copies.get(&part).map_or((0, 0), |copy| (copy.tick, copy.replica.hash()));
        Taken::Wrong(Wrong { part, tick, hash, why })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::Seq;
    use crate::replica::put_id;
    use crate::state::{
        Cell, Field, FieldType, Kind, Scalar, Visibility, existence, put_uint, share,
    };
    use std::borrow::Cow;

    const UINT: FieldType = FieldType::One(Scalar::Uint);

    fn parts() -> Parts {
        let field = Field { name: "n".into(), r#type: UINT, visibility: Visibility::Everyone };
        let kind = Kind { name: "room".into(), fields: vec![field] };
        Parts { schema: Schema { kinds: vec![kind] }, copies: BTreeMap::new(), awaits: true }
    }

    /// The room's entity with this number, and its hash.
    fn whole(n: u64) -> (Vec<u8>, u32) {
        let mut bytes = Vec::new();
        put_id(&mut bytes, 0, None);
        put_uint(&mut bytes, 0);
        put_uint(&mut bytes, 1);
        UINT.put(&Cell::Word(n), None, &mut bytes);
        (bytes, existence(0, 0).wrapping_add(share(0, 0, &Cell::Word(n))))
    }

    fn snapshot(part: Part, tick: u64, n: u64) -> Snapshot<'static> {
        let (state, hash) = whole(n);
        let channel = Channel(1);
        Snapshot { channel, part, tick, seq: Seq(0), hash, state: Cow::Owned(state) }
    }

    fn delta(part: Part, (base_tick, old): (u64, u64), (tick, new): (u64, u64)) -> Delta<'static> {
        let mut changes = Vec::new();
        put_id(&mut changes, 0, None);
        put_uint(&mut changes, 1 << 1);
        UINT.put(&Cell::Word(new), Some(&Cell::Word(old)), &mut changes);
        let (channel, hash) = (Channel(1), whole(new).1);
        let changes = Cow::Owned(changes);
        Delta { channel, part, base_tick, tick, seq: Seq(0), hash, changes }
    }

    fn why(taken: Taken) -> Why {
        let Taken::Wrong(wrong) = taken else { panic!("{taken:?}") };
        wrong.why
    }

    #[test]
    fn deltas_follow_each_other_and_older_ones_mean_nothing() {
        let mut parts = parts();
        assert_eq!(parts.delta(&delta(Part::Members, (1, 3), (2, 4))), Taken::Ignored, "too early");
        assert_eq!(parts.snapshot(&snapshot(Part::Owner, 1, 9)), Taken::Ignored, "too early");
        assert_eq!(parts.snapshot(&snapshot(Part::Members, 1, 3)), Taken::Anew);
        assert_eq!(parts.snapshot(&snapshot(Part::Owner, 1, 9)), Taken::Applied);
        assert_eq!(parts.delta(&delta(Part::Members, (1, 3), (2, 4))), Taken::Applied);
        assert_eq!(parts.delta(&delta(Part::Members, (1, 3), (2, 4))), Taken::Ignored, "again");
        assert_eq!(parts.get(Part::Members).unwrap().tick, 2);
        let gone = PartGone { channel: Channel(1), part: Part::Owner };
        assert_eq!(parts.gone(&gone), Taken::Applied);
        assert_eq!(parts.gone(&gone), Taken::Ignored);
    }

    #[test]
    fn what_does_not_fit_is_said_and_only_a_beginning_makes_it_good() {
        let mut parts = parts();
        parts.snapshot(&snapshot(Part::Members, 5, 3));
        let taken = parts.delta(&delta(Part::Members, (6, 3), (7, 4)));
        let wrong = Wrong { part: Part::Members, tick: 5, hash: whole(3).1, why: Why::Ahead };
        assert_eq!(taken, Taken::Wrong(wrong));
        assert_eq!(parts.delta(&delta(Part::Members, (5, 3), (6, 4))), Taken::Ignored);
        assert_eq!(parts.snapshot(&snapshot(Part::Owner, 7, 1)), Taken::Ignored);

        assert_eq!(parts.snapshot(&snapshot(Part::Members, 8, 1)), Taken::Anew);
        assert_eq!(why(parts.delta(&delta(Part::Owner, (1, 1), (9, 2)))), Why::NoCopy);
        parts.snapshot(&snapshot(Part::Members, 10, 1));
        let mut bad = delta(Part::Members, (10, 1), (11, 2));
        bad.hash ^= 1;
        let Taken::Wrong(wrong) = parts.delta(&bad) else { panic!("another hash") };
        assert_eq!((wrong.tick, wrong.hash, wrong.why), (11, whole(2).1, Why::Hash));
        let ClientMessage::Resync(resync) = wrong.resync(Channel(4)) else { panic!() };
        assert_eq!((resync.channel, resync.tick), (Channel(4), 11));

        let mut bad = snapshot(Part::Members, 12, 1);
        bad.hash ^= 1;
        assert_eq!(why(parts.snapshot(&bad)), Why::Hash);
        bad.state = Cow::Borrowed(&[0, 7]);
        assert!(matches!(why(parts.snapshot(&bad)), Why::Malformed(_)));
    }

    #[test]
    fn one_team_takes_the_place_of_another() {
        let mut parts = parts();
        parts.snapshot(&snapshot(Part::Members, 1, 1));
        parts.snapshot(&snapshot(Part::Team(1), 1, 1));
        parts.snapshot(&snapshot(Part::Cell(1), 1, 1));
        parts.snapshot(&snapshot(Part::Team(2), 1, 1));
        assert!(parts.get(Part::Team(1)).is_none() && parts.get(Part::Team(2)).is_some());
        assert!(parts.get(Part::Cell(1)).is_some());
        assert_eq!(parts.snapshot(&snapshot(Part::Spectators, 1, 1)), Taken::Ignored);
    }
}
