//! Random edits of several members against a model that knows nothing of ticks' deltas, indices or
//! budgets; and a replica that is told of the deltas alone.

use super::{Room, create, text};
use crate::config::RoomConfig;
use crate::room::state::Part;
use madang_protocol::client::{EntityRef, StateEdit};
use madang_protocol::ids::MemberId;
use madang_protocol::replica::Replica;
use madang_protocol::server::EditRefusal;
use rand_chacha::ChaCha12Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};
use std::collections::BTreeMap;
use std::sync::Arc;

const SCHEMA: &str = r#"{"kinds":[
    {"name":"room","fields":[{"name":"a","type":{"one":"text"}},{"name":"b","type":{"one":"text"}}]},
    {"name":"thing","fields":[{"name":"a","type":{"one":"text"}},{"name":"b","type":{"one":"text"}}]}]}"#;
/// The users of members by their number modulo 3: two are the same.
const USERS: [Option<&str>; 3] = [None, Some("ada"), Some("bob")];
const ENTITIES_MAX: usize = 12;

#[derive(Clone, Debug, Default, PartialEq)]
struct Thing {
    /// A member, here or not; a user's by the name.
    owner: u32,
    words: [String; 2],
    /// The tick that showed each field's last change, and who made it.
    changed: [(u64, u32); 2],
}

struct Model {
    things: BTreeMap<u32, Thing>,
    here: Vec<u32>,
    on_leave: u8,
    tick: u64,
}

impl Model {
    fn may(&self, member: u32, id: u32) -> Result<(), EditRefusal> {
        let thing = self.things.get(&id).ok_or(EditRefusal::Unknown)?;
        let is_own = thing.owner == 0 || thing.owner == member || is_same(thing.owner, member);
        if is_own { Ok(()) } else { Err(EditRefusal::NotOwner) }
    }

    fn set(
        &mut self,
        member: u32,
        (id, field): (u32, usize),
        words: &str,
        if_version: Option<u64>,
    ) -> Result<(), EditRefusal> {
        self.may(member, id)?;
        let tick = self.tick;
        let thing = self.things.get_mut(&id).expect("it was found");
        let (changed, by) = thing.changed[field];
        if if_version.is_some_and(|seen| changed > seen || (changed > tick && by != member)) {
            return Err(EditRefusal::Changed);
        }
        words.clone_into(&mut thing.words[field]);
        thing.changed[field] = (tick + 1, member);
        Ok(())
    }

    fn leave(&mut self, member: u32) {
        self.here.retain(|id| *id != member);
        let user = USERS[member as usize % 3];
        let other = self.here.iter().copied().find(|id| is_same(*id, member));
        let to = match (other, self.on_leave) {
            (Some(other), _) => Some(other),
            (None, 0) => user.map_or(Some(0), |_| Some(member)),
            (None, 1) => None,
            (None, _) => Some(self.here.first().copied().unwrap_or(0)),
        };
        match to {
            Some(to) => self.rename(|owner| owner == member, to),
            None => self.things.retain(|_, thing| thing.owner != member),
        }
    }

    fn join(&mut self, member: u32) {
        let here = self.here.clone();
        self.here.push(member);
        self.rename(|owner| !here.contains(&owner) && is_same(owner, member), member);
    }

    fn rename(&mut self, is_it: impl Fn(u32) -> bool, to: u32) {
        for thing in self.things.values_mut().filter(|thing| thing.owner != 0) {
            if is_it(thing.owner) {
                thing.owner = to;
            }
        }
    }
}

fn is_same(one: u32, other: u32) -> bool {
    one % 3 == other % 3 && USERS[one as usize % 3].is_some()
}

struct Draw(ChaCha12Rng);

impl Draw {
    fn below(&mut self, bound: u32) -> u32 {
        self.0.next_u32() % bound.max(1)
    }
}

/// One random edit, done to the model: what the room is to be asked, and what it is to answer.
fn draw(
    draw: &mut Draw,
    model: &mut Model,
    member: u32,
    next_id: &mut u32,
    temps: &mut BTreeMap<u32, u32>,
) -> (StateEdit, Result<(), EditRefusal>) {
    let words = format!("w{}", draw.below(50));
    // Some ids are gone, or never were.
    let id = draw.below(*next_id + 2);
    let temp = draw.below(3);
    let (entity, known) = if draw.below(4) == 0 {
        (EntityRef::Temp(temp), temps.get(&temp).copied())
    } else {
        (EntityRef::Id(id), Some(id))
    };
    let of = known.ok_or(EditRefusal::Unknown);
    match draw.below(8) {
        0 | 1 => {
            let edit = create(temp, 1, vec![(0, text(&words))]);
            if temps.contains_key(&temp) {
                return (edit, Err(EditRefusal::Invalid));
            }
            if model.things.len() > ENTITIES_MAX {
                return (edit, Err(EditRefusal::Full));
            }
            let changed = [(model.tick + 1, member); 2];
            let thing = Thing { owner: member, words: [words, String::new()], changed };
            model.things.insert(*next_id, thing);
            temps.insert(temp, *next_id);
            *next_id += 1;
            (edit, Ok(()))
        }
        2 => {
            let edit = StateEdit::Remove { entity };
            let may = of.and_then(|id| model.may(member, id).map(|()| id));
            let done = may.and_then(|id| if id == 0 { Err(EditRefusal::Invalid) } else { Ok(id) });
            (edit, done.map(|id| drop(model.things.remove(&id))))
        }
        3 => {
            let to = draw.below(8);
            let edit = StateEdit::Give { entity, to: MemberId(to) };
            let may = of.and_then(|id| model.may(member, id).map(|()| id));
            let done = may.and_then(|id| match id {
                0 => Err(EditRefusal::Invalid),
                _ if to != 0 && !model.here.contains(&to) => Err(EditRefusal::NoSuchMember),
                id => Ok(id),
            });
            (edit, done.map(|id| model.things.get_mut(&id).expect("it is there").owner = to))
        }
        _ => {
            let field = draw.below(2);
            let back = u64::from(draw.below(4));
            let if_version = (draw.below(2) == 0).then(|| (model.tick + 1).saturating_sub(back));
            let value = (draw.below(6) > 0).then_some(words);
            let edit =
                StateEdit::Set { entity, field, value: value.as_deref().map(text), if_version };
            let words = value.unwrap_or_default();
            let at = field as usize;
            (edit, of.and_then(|id| model.set(member, (id, at), &words, if_version)))
        }
    }
}

fn check(room: &Room, replica: &Replica, model: &Model) {
    let state = room.play.state();
    let ids: Vec<u32> = std::iter::once(0).chain(state.ids()).collect();
    assert_eq!(ids, model.things.keys().copied().collect::<Vec<_>>());
    for (id, thing) in &model.things {
        assert_eq!(state.belonging(*id).map(|is| is.owner), Some(thing.owner), "owner of {id}");
        for (field, words) in thing.words.iter().enumerate() {
            assert_eq!(state.get(*id, field), Ok(text(words)), "{id} {field}");
            let seen = replica.value(room.play.schema(), *id, field);
            assert_eq!(seen, Some(text(words)), "{id} {field}, as members see it");
        }
    }
    assert_eq!(replica.hash(), state.hash(Part::Members));
}

fn run(seed: u64, on_leave: u8, reached: &mut BTreeMap<String, u32>) {
    let mut rng = Draw(ChaCha12Rng::seed_from_u64(seed));
    let config = RoomConfig { state_entities_max: ENTITIES_MAX, ..RoomConfig::default() };
    let mut room = Room::new(SCHEMA, on_leave, &config);
    let schema = Arc::clone(room.play.schema());
    let mut replica = Replica::default();
    let snapshot = room.play.state().snapshot(Part::Members);
    replica.apply_snapshot(&schema, &snapshot).expect("a snapshot");
    let mut model = Model {
        things: BTreeMap::from([(0, Thing::default())]),
        here: Vec::new(),
        on_leave,
        tick: 0,
    };
    let (mut next_id, mut next_member) = (1, 1);
    for _ in 0..200 {
        match rng.below(10) {
            0 if model.here.len() < 4 => {
                room.join(next_member, USERS[next_member as usize % 3]);
                model.join(next_member);
                next_member += 1;
            }
            1 if model.here.len() > 1 => {
                let place = rng.below(model.here.len() as u32) as usize;
                let member = model.here[place];
                room.leave(member);
                model.leave(member);
            }
            2 | 3 => {
                let ticked = room.tick();
                model.tick += 1;
                for (delta, _) in &ticked.deltas {
                    if delta.part == Part::Members {
                        replica.apply_delta(&schema, &delta.bytes).expect("a delta");
                        assert_eq!(replica.hash(), delta.hash);
                    }
                }
                check(&room, &replica, &model);
            }
            _ if !model.here.is_empty() => {
                let place = rng.below(model.here.len() as u32) as usize;
                let member = model.here[place];
                let (mut temps, mut edits, mut refused) = (BTreeMap::new(), vec![], vec![]);
                for place in 0..=rng.below(5) {
                    let (edit, done) = draw(&mut rng, &mut model, member, &mut next_id, &mut temps);
                    edits.push(edit);
                    let word = done.map_or_else(|why| format!("{why:?}"), |()| "done".to_owned());
                    *reached.entry(word).or_default() += 1;
                    if let Err(why) = done {
                        refused.push((place, why));
                    }
                }
                let outcome = room.edit(member, edits.clone());
                assert_eq!(outcome.refused, refused, "seed {seed}: {edits:?}");
                let mut created = outcome.created;
                created.sort_unstable();
                assert_eq!(created, temps.into_iter().collect::<Vec<_>>());
            }
            _ => {}
        }
    }
}

#[test]
fn random_edits_of_several_members_do_what_the_model_does() {
    let mut reached = BTreeMap::new();
    for seed in 0..150 {
        for on_leave in 0..3 {
            run(seed, on_leave, &mut reached);
        }
    }
    for word in ["done", "Unknown", "Invalid", "NotOwner", "Changed", "Full", "NoSuchMember"] {
        assert!(reached.get(word).copied().unwrap_or(0) > 20, "{word}: {reached:?}");
    }
}
