//! A room without a server: calls go straight into a play, and a replica of each part follows what
//! comes out, as members and spectators would.

use madang_arena::dice::Dice;
use madang_arena::input::{DASH, Input, THROW, TRAP};
use madang_engine::config::RoomConfig;
use madang_engine::room::logic::{Action, RoomOptions};
use madang_engine::room::play::{Answer, Call, Play};
use madang_engine::room::state::Part;
use madang_protocol::client::Class;
use madang_protocol::replica::Replica;
use madang_protocol::state::{FieldValue, ScalarValue, Schema};
use madang_protocol::value::{Payload, Value};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Context operations that a call may make here: far below the 100,000 of the default.
pub(crate) const OPERATIONS_MAX: u32 = 3_000;

/// A room, its members, and everybody's copies.
pub(crate) struct Court {
    pub(crate) play: Play,
    pub(crate) schema: Arc<Schema>,
    /// Members that are in, with the number of their last input.
    pub(crate) members: BTreeMap<u32, u32>,
    pub(crate) replicas: BTreeMap<Part, Replica>,
    /// Bytes of all deltas by sort of part: members', owners', spectators'.
    pub(crate) bytes: [usize; 3],
    /// Messages that the room sent, by type, with their bytes.
    pub(crate) sent: BTreeMap<String, (usize, usize)>,
    pub(crate) kicked: Vec<u32>,
    next_member: u32,
}

impl Court {
    pub(crate) fn new(seed: u8, labels: &[(&str, &str)]) -> Self {
        let labels: Vec<_> = labels.iter().map(|(a, b)| ((*a).into(), (*b).into())).collect();
        let options = RoomOptions { name: "arena", labels: &labels, capacity: 64, extensions: &[] };
        let config = RoomConfig { logic_operations_max: OPERATIONS_MAX, ..RoomConfig::default() };
        let (play, _) = Play::new(&madang_arena::kind(), &options, &config, [seed; 32])
            .expect("the room begins");
        let schema = Arc::clone(play.schema());
        let mut court = Self {
            play,
            schema,
            members: BTreeMap::new(),
            replicas: BTreeMap::new(),
            bytes: [0; 3],
            sent: BTreeMap::new(),
            kicked: Vec::new(),
            next_member: 1,
        };
        court.follow(Part::Members);
        court.follow(Part::Spectators);
        court
    }

    /// Why a courtyard does not begin within a budget of so many operations a call, if it does not.
    pub(crate) fn fails_within(operations_max: u32) -> Option<String> {
        let options = RoomOptions { name: "arena", labels: &[], capacity: 64, extensions: &[] };
        let config = RoomConfig { logic_operations_max: operations_max, ..RoomConfig::default() };
        Play::new(&madang_arena::kind(), &options, &config, [1; 32]).err().map(|failed| failed.0)
    }

    /// Enters, or says why not.
    pub(crate) fn join(&mut self, name: &str) -> Result<u32, String> {
        let attributes = vec![("name".to_owned(), Value::Text(name.to_owned()))];
        let may = Call::MayJoin { user: None, attributes: attributes.clone().into() };
        if let (Answer::Refused(words), _) = self.play.call(&may).expect("it plays on") {
            return Err(words);
        }
        let member = self.next_member;
        self.next_member += 1;
        self.call(&Call::Join { member, user: None, attributes: attributes.into() });
        self.members.insert(member, 0);
        self.follow(Part::Owner(member));
        Ok(member)
    }

    pub(crate) fn leave(&mut self, member: u32) {
        self.members.remove(&member);
        self.replicas.remove(&Part::Owner(member));
        self.call(&Call::Leave { member });
    }

    pub(crate) fn publish(&mut self, member: u32, r#type: &str, payload: Payload<'_>) -> Answer {
        let (r#type, class) = (r#type.to_owned().into(), Class::Volatile);
        self.call(&Call::Message { member, r#type, class, payload })
    }

    /// Sends one input; says its number.
    pub(crate) fn send(&mut self, member: u32, input: Input) -> u32 {
        let number = self.members.get_mut(&member).expect("it is in");
        *number += 1;
        let number = *number;
        let mut bytes = number.to_le_bytes().to_vec();
        bytes.extend([input.go, input.aim].as_flattened().iter().map(|part| part.cast_unsigned()));
        bytes.push(input.buttons);
        let answer = self.publish(member, "input", Payload::Bytes(bytes.into()));
        assert_eq!(answer, Answer::Done);
        number
    }

    /// A tick; every copy follows and agrees.
    pub(crate) fn tick(&mut self) {
        self.call(&Call::Tick);
        for (delta, _) in self.play.end_tick().deltas {
            let sort = match delta.part {
                Part::Members => 0,
                Part::Owner(_) => 1,
                _ => 2,
            };
            self.bytes[sort] += delta.bytes.len();
            let Some(replica) = self.replicas.get_mut(&delta.part) else { continue };
            replica.apply_delta(&self.schema, &delta.bytes).expect("a delta of this state");
            assert_eq!(replica.hash(), delta.hash, "{:?}", delta.part);
        }
        for (part, replica) in &self.replicas {
            assert_eq!(replica.hash(), self.play.state().hash(*part), "{part:?}");
        }
    }

    /// The value of a field, in a part.
    pub(crate) fn value(&self, part: Part, entity: u32, field: usize) -> ScalarValue {
        match self.replicas[&part].value(&self.schema, entity, field) {
            Some(FieldValue::One(value)) => value,
            other => panic!("{part:?} {entity} {field}: {other:?}"),
        }
    }

    pub(crate) fn uint(&self, part: Part, entity: u32, field: usize) -> u64 {
        match self.value(part, entity, field) {
            ScalarValue::Uint(value) => value,
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn vector(&self, part: Part, entity: u32, field: usize) -> [f64; 2] {
        match self.value(part, entity, field) {
            ScalarValue::Vec2(value) => value,
            other => panic!("{other:?}"),
        }
    }

    /// The entities of a kind, in a part.
    pub(crate) fn of_kind(&self, part: Part, kind: u32) -> Vec<u32> {
        let entities = self.replicas[&part].entities().iter();
        entities.filter(|(_, entity)| entity.kind == kind).map(|(id, _)| *id).collect()
    }

    /// The entity that a member drives, as it finds it itself.
    pub(crate) fn own(&self, member: u32) -> Option<u32> {
        let own = self.of_kind(Part::Owner(member), madang_arena::schema::player::KIND);
        own.first().copied()
    }

    fn follow(&mut self, part: Part) {
        let mut replica = Replica::default();
        // What was touched since the last tick is not in a snapshot's hash yet.
        self.play.end_tick();
        let snapshot = self.play.state().snapshot(part);
        replica.apply_snapshot(&self.schema, &snapshot).expect("a snapshot of this state");
        self.replicas.insert(part, replica);
    }

    fn call(&mut self, call: &Call<'_>) -> Answer {
        let (answer, actions) = self.play.call(call).expect("it plays on");
        for action in actions {
            match action {
                Action::Send { r#type, payload, .. } => {
                    if let Payload::Json(json) = &payload {
                        serde_json::from_str::<serde_json::Value>(json).expect("JSON");
                    }
                    let (count, bytes) = self.sent.entry(r#type).or_default();
                    (*count, *bytes) = (*count + 1, *bytes + payload.len());
                }
                Action::Kick { member } => self.kicked.push(member),
                Action::Close => panic!("the room closed"),
            }
        }
        answer
    }
}

/// Somebody who holds a direction for a while, then another, and presses what there is.
pub(crate) fn fidget(input: &mut Input, dice: &mut Dice) {
    if dice.chance(0.12) {
        let [x, y] = [(); 2].map(|()| dice.between(-127.0, 127.0) as i8);
        (input.go, input.aim) = ([x, y], [y, x]);
    }
    input.buttons = 0;
    for (button, often) in [(DASH, 0.1), (THROW, 0.1), (TRAP, 0.02)] {
        input.buttons |= if dice.chance(often) { button } else { 0 };
    }
}
