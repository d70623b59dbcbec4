//! A shared state at play: members edit it, leave and come back, and its bounds are reached.

mod model;

use super::super::logic::Action;
use super::super::play::{Answer, Call, Failure, Play, Ticked};
use super::super::state::Part;
use super::*;
use crate::config::RoomConfig;
use madang_protocol::client::Class;
use madang_protocol::ids::{Channel, Cseq, MemberId};
use madang_protocol::limits::EDITS_MAX;
use madang_protocol::state::FIELDS_MAX;
use madang_protocol::value::{Extension, Payload};
use std::borrow::Cow;

/// Kind 1: a note with text, a place and its owner. The room has a title.
const SCHEMA: &str = r#"{"kinds":[
    {"name":"room","fields":[{"name":"title","type":{"one":"text"}}]},
    {"name":"note","fields":[
        {"name":"text","type":{"one":"text"}},
        {"name":"at","type":{"list":{"vec2":"f32"}}},
        {"name":"owner","type":{"one":"uint"}},
        {"name":"hint","type":{"one":"text"},"visibility":"team"}]}]}"#;
const NOTE: u32 = 1;
const TEXT: u32 = 0;
const OWNER: u32 = 2;
const HINT: u32 = 3;

pub(super) struct Room {
    pub(super) play: Play,
}

impl Room {
    pub(super) fn new(schema: &str, on_leave: u8, config: &RoomConfig) -> Self {
        let play = made(&[(EXT_SCHEMA, schema.as_bytes()), (EXT_ON_LEAVE, &[on_leave])], config);
        Self { play: play.expect("the room is made") }
    }

    pub(super) fn call(&mut self, call: &Call<'_>) -> (Answer, Vec<Action>) {
        self.play.call(call).expect("the room goes on")
    }

    pub(super) fn tick(&mut self) -> Ticked {
        self.call(&Call::Tick);
        self.play.end_tick()
    }

    pub(super) fn join(&mut self, member: u32, user: Option<&'static str>) {
        self.join_with(member, user, &[]);
    }

    fn join_with(&mut self, member: u32, user: Option<&'static str>, is: &[(String, Value)]) {
        let (user, attributes) = (user.map(Cow::Borrowed), Cow::Owned(is.to_vec()));
        self.call(&Call::Join { member, user, attributes });
    }

    pub(super) fn leave(&mut self, member: u32) {
        self.call(&Call::Leave { member });
    }

    pub(super) fn edit(&mut self, member: u32, edits: Vec<StateEdit>) -> EditOutcome {
        let edit = Edit { channel: Channel(0), cseq: Cseq(1), edits };
        let call = Call::Edit { member, edit: Cow::Owned(edit) };
        let (Answer::Edited(Some(outcome)), _) = self.call(&call) else {
            panic!("a shared room takes edits");
        };
        outcome
    }

    /// One edit: nothing, or why not.
    fn one(&mut self, member: u32, edit: StateEdit) -> Result<(), EditRefusal> {
        let outcome = self.edit(member, vec![edit]);
        outcome.refused.first().map_or(Ok(()), |(_, why)| Err(*why))
    }

    /// A note of a member's.
    fn note(&mut self, member: u32, words: &str) -> u32 {
        let outcome = self.edit(member, vec![create(7, NOTE, vec![(TEXT, text(words))])]);
        assert_eq!(outcome.refused, []);
        assert_eq!(outcome.created[0].0, 7);
        outcome.created[0].1
    }

    fn owner(&self, id: u32) -> Option<u32> {
        let belonging = self.play.state().belonging(id)?;
        if id != ROOM_ENTITY {
            let shown = self.play.state().get(id, OWNER as usize);
            assert_eq!(shown, Ok(owner_value(belonging.owner)), "the field says it too");
        }
        Some(belonging.owner)
    }

    fn words(&self, id: u32) -> Option<String> {
        match self.play.state().get(id, TEXT as usize) {
            Ok(FieldValue::One(ScalarValue::Text(words))) => Some(words),
            _ => None,
        }
    }
}

fn made(extensions: &[(u16, &[u8])], config: &RoomConfig) -> Result<Play, Failure> {
    let extensions: Vec<Extension> =
        extensions.iter().map(|(number, bytes)| Extension(*number, bytes.to_vec())).collect();
    let options = RoomOptions { name: "board", labels: &[], capacity: 10, extensions: &extensions };
    Play::new(&kind(), &options, config, [1; 32]).map(|(play, _)| play)
}

fn room(on_leave: u8) -> Room {
    Room::new(SCHEMA, on_leave, &RoomConfig::default())
}

pub(super) fn text(words: &str) -> FieldValue {
    FieldValue::One(ScalarValue::Text(words.to_owned()))
}

pub(super) fn create(temp: u32, kind: u32, fields: Vec<(u32, FieldValue)>) -> StateEdit {
    StateEdit::Create { temp, kind, fields }
}

fn set(id: u32, words: &str) -> StateEdit {
    set_if(id, words, None)
}

fn set_if(id: u32, words: &str, if_version: Option<u64>) -> StateEdit {
    let value = Some(text(words));
    StateEdit::Set { entity: EntityRef::Id(id), field: TEXT, value, if_version }
}

fn remove(id: u32) -> StateEdit {
    StateEdit::Remove { entity: EntityRef::Id(id) }
}

fn give(id: u32, to: u32) -> StateEdit {
    StateEdit::Give { entity: EntityRef::Id(id), to: MemberId(to) }
}

#[test]
fn members_create_set_remove_and_give_what_is_theirs() {
    let mut room = room(0);
    room.join(1, None);
    room.join(2, None);
    let id = room.note(1, "hello");
    assert_eq!((room.words(id).as_deref(), room.owner(id)), (Some("hello"), Some(1)));
    let ticked = room.tick();
    let parts: Vec<Part> = ticked.deltas.iter().map(|(delta, _)| delta.part).collect();
    assert_eq!(parts, [Part::Members, Part::Spectators], "one delta for all members");

    assert_eq!(room.one(2, set(id, "mine")), Err(EditRefusal::NotOwner));
    assert_eq!(room.one(2, remove(id)), Err(EditRefusal::NotOwner));
    assert_eq!(room.one(2, give(id, 2)), Err(EditRefusal::NotOwner));
    assert_eq!(room.one(1, give(id, 9)), Err(EditRefusal::NoSuchMember));
    assert_eq!(room.one(1, give(id, 2)), Ok(()));
    assert_eq!(room.owner(id), Some(2));
    assert_eq!(room.one(1, set(id, "no longer")), Err(EditRefusal::NotOwner));

    assert_eq!(room.one(2, give(id, 0)), Ok(()));
    assert_eq!(room.one(1, set(id, "anybody's")), Ok(()), "what is nobody's anyone may edit");
    assert_eq!(room.one(1, give(id, 1)), Ok(()), "and take");
    let to_zero =
        StateEdit::Set { entity: EntityRef::Id(id), field: TEXT, value: None, if_version: None };
    assert_eq!(room.one(1, to_zero), Ok(()));
    assert_eq!(room.words(id).as_deref(), Some(""));
    assert_eq!(room.one(1, remove(id)), Ok(()));
    assert_eq!(room.one(1, set(id, "gone")), Err(EditRefusal::Unknown));
    assert!(room.play.state().is_empty());
}

#[test]
fn the_room_itself_is_anybodys_and_stays() {
    let mut room = room(1);
    room.join(1, None);
    room.join(2, None);
    assert_eq!(room.one(2, set(ROOM_ENTITY, "Plan")), Ok(()));
    assert_eq!(room.one(1, set(ROOM_ENTITY, "Plans")), Ok(()));
    assert_eq!(room.one(1, remove(ROOM_ENTITY)), Err(EditRefusal::Invalid));
    assert_eq!(room.one(1, give(ROOM_ENTITY, 1)), Err(EditRefusal::Invalid));
    assert_eq!(room.one(1, create(1, 0, vec![])), Err(EditRefusal::Invalid), "there is one room");
    assert_eq!(room.words(ROOM_ENTITY).as_deref(), Some("Plans"));
}

#[test]
fn edits_that_make_no_sense_are_refused_and_change_nothing() {
    let mut room = room(0);
    room.join(1, None);
    let id = room.note(1, "hello");
    room.tick();
    let number = FieldValue::One(ScalarValue::Uint(1));
    let set = |entity, field, value: &FieldValue| StateEdit::Set {
        entity,
        field,
        value: Some(value.clone()),
        if_version: None,
    };
    for (edit, why) in [
        (create(1, 2, vec![]), EditRefusal::Unknown),
        (create(1, NOTE, vec![(9, number.clone())]), EditRefusal::Unknown),
        (create(1, NOTE, vec![(TEXT, number.clone())]), EditRefusal::Invalid),
        (create(1, NOTE, vec![(TEXT, text("a")), (TEXT, text("b"))]), EditRefusal::Invalid),
        (create(1, NOTE, vec![(OWNER, number.clone())]), EditRefusal::NotOwner),
        (set(EntityRef::Id(99), TEXT, &text("a")), EditRefusal::Unknown),
        (set(EntityRef::Temp(3), TEXT, &text("a")), EditRefusal::Unknown),
        (set(EntityRef::Id(id), 9, &text("a")), EditRefusal::Unknown),
        (set(EntityRef::Id(id), TEXT, &number), EditRefusal::Invalid),
        (set(EntityRef::Id(id), OWNER, &number), EditRefusal::NotOwner),
    ] {
        assert_eq!(room.one(1, edit.clone()), Err(why), "{edit:?}");
    }
    assert!(room.tick().deltas.is_empty());
}

#[test]
fn each_edit_stands_by_itself_and_may_name_what_was_created_before_it() {
    let mut room = room(0);
    room.join(1, None);
    room.join(2, None);
    let other = room.note(2, "theirs");
    let temp = |temp| EntityRef::Temp(temp);
    let outcome = room.edit(
        1,
        vec![
            StateEdit::Remove { entity: temp(5) },
            create(5, NOTE, vec![(TEXT, text("a"))]),
            set(other, "x"),
            create(5, NOTE, vec![]),
            create(6, NOTE, vec![(TEXT, text("b"))]),
            StateEdit::Set {
                entity: temp(5),
                field: TEXT,
                value: Some(text("c")),
                if_version: None,
            },
            StateEdit::Remove { entity: temp(6) },
            StateEdit::Give { entity: temp(6), to: MemberId(2) },
        ],
    );
    assert_eq!(
        outcome.refused,
        [
            (0, EditRefusal::Unknown),
            (2, EditRefusal::NotOwner),
            (3, EditRefusal::Invalid),
            (7, EditRefusal::Unknown),
        ]
    );
    let temps: Vec<u32> = outcome.created.iter().map(|(temp, _)| *temp).collect();
    assert_eq!(temps, [5, 6]);
    let id = outcome.created[0].1;
    assert_eq!(room.words(id).as_deref(), Some("c"));
    assert_eq!(room.play.state().ids().collect::<Vec<_>>(), [other, id]);
}

#[test]
fn a_version_that_was_overtaken_is_refused() {
    let mut room = room(0);
    room.join(1, None);
    room.join(2, None);
    let id = room.note(1, "one");
    assert_eq!(room.one(1, give(id, 0)), Ok(()));
    room.tick();
    let seen = room.play.tick();
    assert_eq!(room.one(1, set_if(id, "two", Some(seen))), Ok(()));
    let shown = seen + 1;
    assert_eq!(room.one(2, set_if(id, "three", Some(seen))), Err(EditRefusal::Changed));
    // The tick is still being made: 1 means its own change, 2 cannot have seen anything of it.
    assert_eq!(room.one(2, set_if(id, "three", Some(shown))), Err(EditRefusal::Changed));
    assert_eq!(room.one(1, set_if(id, "three", Some(shown))), Ok(()));
    assert_eq!(room.one(2, set(id, "four")), Ok(()), "who does not ask is not refused");
    assert_eq!(room.one(1, set_if(id, "five", Some(shown))), Err(EditRefusal::Changed));
    room.tick();
    assert_eq!(room.one(1, set_if(id, "five", Some(shown))), Ok(()), "now it could see it");
    // Another field is another matter.
    let points = FieldValue::List(vec![ScalarValue::Vec2([1.0, 2.0])]);
    let at = StateEdit::Set {
        entity: EntityRef::Id(id),
        field: 1,
        value: Some(points),
        if_version: Some(seen),
    };
    assert_eq!(room.one(2, at), Ok(()));
}

#[test]
fn a_full_state_refuses_and_the_room_goes_on() {
    let config =
        RoomConfig { state_entities_max: 2, state_bytes_max: 2_000, ..RoomConfig::default() };
    let mut room = Room::new(SCHEMA, 0, &config);
    room.join(1, None);
    let id = room.note(1, "a");
    let large = "x".repeat(2_000);
    assert_eq!(room.one(1, set(id, &large)), Err(EditRefusal::Full));
    let too_large = create(1, NOTE, vec![(TEXT, text(&large))]);
    assert_eq!(room.one(1, too_large), Err(EditRefusal::Full));
    assert_eq!(room.play.state().len(), 1, "nothing of it is left");
    room.note(1, "b");
    assert_eq!(room.one(1, create(1, NOTE, vec![])), Err(EditRefusal::Full));
    assert_eq!(room.one(1, remove(id)), Ok(()));
    room.note(1, "c");
    assert_eq!(room.tick().deltas.len(), 2);
}

#[test]
fn the_largest_edit_fits_the_budget_and_a_smaller_budget_refuses_the_rest() {
    let field = |n| format!(r#"{{"name":"f{n}","type":{{"one":"bool"}}}}"#);
    let fields: Vec<String> = (0..FIELDS_MAX).map(field).collect();
    let fields = fields.join(",");
    let schema = format!(
        r#"{{"kinds":[{{"name":"room","fields":[]}},{{"name":"wide","fields":[{fields}]}}]}}"#
    );
    let values: Vec<(u32, FieldValue)> =
        (0..63).map(|field| (field, FieldValue::One(ScalarValue::Bool(true)))).collect();
    let edits: Vec<StateEdit> =
        (0..).map(|temp| create(temp, 1, values.clone())).take(EDITS_MAX).collect();
    let mut room = Room::new(&schema, 0, &RoomConfig::default());
    room.join(1, None);
    assert_eq!(room.edit(1, edits.clone()).refused, [], "the shipped budget holds it");
    assert_eq!(room.play.state().len(), EDITS_MAX);

    let config = RoomConfig { logic_operations_max: 1000, ..RoomConfig::default() };
    let mut room = Room::new(&schema, 0, &config);
    room.join(1, None);
    let outcome = room.edit(1, edits);
    let made = 1000 / 66;
    assert_eq!(outcome.created.len(), made);
    let refused: Vec<(u32, EditRefusal)> =
        (made as u32..EDITS_MAX as u32).map(|place| (place, EditRefusal::Full)).collect();
    assert_eq!(outcome.refused, refused);
    assert_eq!(room.play.state().len(), made);
}

#[test]
fn what_is_kept_stays_a_users_and_becomes_nobodys_without_one() {
    let mut room = room(0);
    room.join(1, Some("ada"));
    room.join(2, None);
    let (users, strangers) = (room.note(1, "a"), room.note(2, "b"));
    room.leave(1);
    room.leave(2);
    room.join(3, None);
    assert_eq!(room.owner(users), Some(1));
    assert_eq!(room.owner(strangers), Some(0));
    assert_eq!(room.one(3, set(users, "x")), Err(EditRefusal::NotOwner));
    assert_eq!(room.one(3, set(strangers, "x")), Ok(()));
    room.join(4, Some("bob"));
    assert_eq!(room.owner(users), Some(1));
    room.join(5, Some("ada"));
    assert_eq!(room.owner(users), Some(5), "the user is back");
    assert_eq!(room.one(5, set(users, "y")), Ok(()));
}

#[test]
fn a_users_members_own_the_same_things_whatever_becomes_of_one() {
    for on_leave in [0, 1, 2] {
        let mut room = room(on_leave);
        room.join(1, None);
        room.join(2, Some("ada"));
        room.join(3, Some("ada"));
        let id = room.note(2, "a");
        assert_eq!(room.one(3, set(id, "b")), Ok(()));
        room.leave(2);
        assert_eq!(room.owner(id), Some(3), "the user has not left");
    }
}

#[test]
fn what_is_removed_is_gone_with_its_owner() {
    let mut room = room(1);
    room.join(1, Some("ada"));
    room.join(2, None);
    let (first, second) = (room.note(1, "a"), room.note(2, "b"));
    room.tick();
    room.leave(1);
    assert_eq!(room.owner(first), None);
    assert_eq!(room.owner(second), Some(2));
    assert_eq!(room.tick().deltas.len(), 2);
}

#[test]
fn what_is_handed_over_goes_to_the_member_that_has_been_there_longest() {
    let mut room = room(2);
    for member in 1..=3 {
        room.join(member, None);
    }
    let id = room.note(2, "a");
    room.leave(2);
    assert_eq!(room.owner(id), Some(1));
    room.leave(1);
    assert_eq!(room.owner(id), Some(3));
    room.leave(3);
    assert_eq!(room.owner(id), Some(0), "there is nobody");
}

#[test]
fn what_is_too_much_for_one_call_is_settled_by_the_next_ones() {
    for (on_leave, user) in [(0, None), (1, None), (2, None), (0, Some("ada")), (2, Some("ada"))] {
        let config = RoomConfig { logic_operations_max: 100, ..RoomConfig::default() };
        let mut room = Room::new(SCHEMA, on_leave, &config);
        room.join(1, user);
        for _ in 0..10 {
            room.edit(1, (0..20).map(|temp| create(temp, NOTE, vec![])).collect());
        }
        room.join(2, None);
        room.leave(1);
        room.join(3, user);
        for _ in 0..10 {
            room.tick();
        }
        let owners: BTreeSet<u32> = room
            .play
            .state()
            .ids()
            .filter_map(|id| room.play.state().belonging(id).map(|belonging| belonging.owner))
            .collect();
        let expected: &[u32] = match (on_leave, user) {
            (0, None) => &[0],
            (0, Some(_)) => &[3],
            (1, _) => &[],
            // What was handed over before the user came back stays so.
            (_, Some(_)) => &[2, 3],
            (_, None) => &[2],
        };
        assert_eq!(owners.into_iter().collect::<Vec<_>>(), expected, "{on_leave} {user:?}");
        assert_eq!(room.play.state().len(), if on_leave == 1 { 0 } else { 200 });
    }
}

#[test]
fn teams_come_from_an_attribute_and_entities_follow_their_owner() {
    let mut room = room(0);
    let team = |team| [("team".to_owned(), Value::Int(team))];
    room.join_with(1, None, &team(4));
    room.join_with(2, None, &team(5));
    room.join_with(3, None, &team(-1));
    room.tick();
    assert_eq!([1, 2, 3].map(|member| room.play.team(member)), [4, 5, 0]);
    let id = room.note(1, "a");
    let hint = StateEdit::Set {
        entity: EntityRef::Id(id),
        field: HINT,
        value: Some(text("left")),
        if_version: None,
    };
    assert_eq!(room.one(1, hint), Ok(()));
    let parts = |ticked: Ticked| -> Vec<Part> {
        ticked.deltas.into_iter().map(|(delta, _)| delta.part).collect()
    };
    assert_eq!(parts(room.tick()), [Part::Members, Part::Team(4), Part::Spectators]);
    assert_eq!(room.one(1, give(id, 2)), Ok(()));
    assert_eq!(parts(room.tick()), [Part::Members, Part::Team(4), Part::Team(5), Part::Spectators]);
    assert_eq!(room.one(2, give(id, 0)), Ok(()));
    assert_eq!(room.play.state().belonging(id).map(|belonging| belonging.team), Some(5));
}

#[test]
fn what_members_publish_goes_on() {
    let mut room = room(0);
    room.join(1, None);
    let (answer, actions) = room.call(&Call::Message {
        member: 1,
        r#type: Cow::Borrowed("cursor"),
        class: Class::Latest(0),
        payload: Payload::Bytes(Cow::Borrowed(&[1])),
    });
    assert_eq!((answer, actions), (Answer::PassedOn, vec![]));
    assert_eq!(room.tick().acked, [1]);
}

#[test]
fn a_room_is_made_with_a_sound_schema_or_not_at_all() {
    let kinds = |kinds: &str| format!(r#"{{"kinds":[{kinds}]}}"#);
    let kind = |name: &str, fields: &str| format!(r#"{{"name":"{name}","fields":[{fields}]}}"#);
    let field = |name: &str, of: &str| format!(r#"{{"name":"{name}","type":{{"one":{of}}}}}"#);
    let quantised = r#"{"number":{"quantised":{"min":0,"step":1e300,"steps":4294967295}}}"#;
    let no_step = r#"{"number":{"quantised":{"min":0,"step":0,"steps":5}}}"#;
    let long = "n".repeat(NAME_BYTES_MAX + 1);
    let two = format!("{},{}", field("a", "\"bool\""), field("a", "\"int\""));
    for schema in [
        String::new(),
        "[".repeat(1000),
        kinds(""),
        kinds(&format!("{},{}", kind("a", ""), kind("a", ""))),
        kinds(&kind("", "")),
        kinds(&kind(&long, "")),
        kinds(&kind("a\\n", "")),
        kinds(&kind("a", &two)),
        kinds(&kind("a", &field("a", quantised))),
        kinds(&kind("a", &field("a", no_step))),
        format!("{SCHEMA}{}", " ".repeat(SCHEMA_BYTES_MAX)),
    ] {
        let config = RoomConfig::default();
        assert!(made(&[(EXT_SCHEMA, schema.as_bytes())], &config).is_err(), "{schema}");
    }
    let config = RoomConfig::default();
    assert!(made(&[], &config).is_err(), "nobody says what the state is made of");
    let sound = (EXT_SCHEMA, SCHEMA.as_bytes());
    assert!(made(&[sound], &config).is_ok());
    assert!(made(&[sound, (EXT_ON_LEAVE, &[3])], &config).is_err());
    assert!(made(&[sound, (EXT_ON_LEAVE, &[])], &config).is_err());
}
