//! Kind `shared`: a state that members edit, in a room that needs no code.
//!
//! The join that creates the room brings the schema. Members create entities, set and remove them and
//! give them away; the home's order decides, field by field, so that nobody merges anything. Whatever
//! members publish goes on to everybody, as in a room without rules: cursors and chat need no state.
//!
//! The room ticks. A member that drags something sends as many edits as its screen has frames, and
//! thirty of them would make every change a message to everybody; with ticks it is one delta for all,
//! at most a tick later. The answer to an edit does not wait.
//!
//! Who owns what is in `owners.rs`. Deliberately absent: undo, which is a client's (the inverse edit),
//! and locks, for which `if_version` does.

mod owners;

use super::logic::{Context, EditOutcome, Incoming, LogicKind, MemberView, RoomLogic, RoomOptions};
use super::state::Belonging;
use madang_protocol::client::{Edit, EntityRef, StateEdit};
use madang_protocol::limits::NAME_BYTES_MAX;
use madang_protocol::server::{EXT_ON_LEAVE, EXT_SCHEMA, EditRefusal};
use madang_protocol::state::{
    Field, FieldType, FieldValue, Number, ROOM_ENTITY, Scalar, ScalarValue, Schema, StateError,
};
use madang_protocol::value::Value;
use owners::{OnLeave, Owners};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// The kind's name.
pub const NAME: &str = "shared";
/// Ticks a second: what a member changes is with the others at most a thirtieth of a second later.
pub const TICK_HZ: u32 = 30;
/// Longest schema that a room may be created with, in bytes of JSON: every member is sent it.
pub const SCHEMA_BYTES_MAX: usize = 16 << 10;
/// The member attribute that says its team, as a whole number from 1.
pub const TEAM_ATTRIBUTE: &str = "team";
/// A field of this name and type `uint` holds the owner's member id; the room sets it, members cannot.
pub const OWNER_FIELD: &str = "owner";

/// The kind.
pub fn kind() -> LogicKind {
    LogicKind {
        name: NAME,
        tick_hz: TICK_HZ,
        interest: None,
        factory: Arc::new(|options| Ok(Box::new(Shared::new(options)?))),
    }
}

#[derive(Debug)]
struct Shared {
    schema: Arc<Schema>,
    owners: Owners,
    /// The last change of every field, by entity. The state's bound on bytes bounds it too, because
    /// no field takes less than 8 of them.
    changes: BTreeMap<u32, Vec<Change>>,
}

/// When a field was last set, and by whom.
#[derive(Clone, Copy, Debug, Default)]
struct Change {
    /// The tick that showed it.
    tick: u64,
    by: u32,
}

/// What an edit has made so far.
#[derive(Debug, Default)]
struct Made {
    /// Temporary numbers and ids, in the order of creation.
    created: Vec<(u32, u32)>,
    by_temp: BTreeMap<u32, u32>,
}

impl Shared {
    fn new(options: &RoomOptions<'_>) -> Result<Self, String> {
        let extension = |number: u16| {
            let found = options.extensions.iter().find(|extension| extension.0 == number);
            found.map(|extension| extension.1.as_slice())
        };
        let json = extension(EXT_SCHEMA).ok_or(
            "a room of kind shared is created by a join with a schema (extension 1), and this \
             join has none",
        )?;
        let schema = read_schema(json)?;
        let on_leave = match extension(EXT_ON_LEAVE) {
            None | Some([0]) => OnLeave::Keep,
            Some([1]) => OnLeave::Remove,
            Some([2]) => OnLeave::HandOver,
            Some(_) => {
                return Err("what becomes of a member's entities (extension 2) is one byte: 0 \
                            keep, 1 remove, 2 hand over"
                    .to_owned());
            }
        };
        let room = vec![Change::default(); schema.kinds[0].fields.len()];
        Ok(Self {
            owners: Owners::new(on_leave, owner_fields(&schema)),
            schema: Arc::new(schema),
            changes: BTreeMap::from([(ROOM_ENTITY, room)]),
        })
    }

    /// Does one edit as a whole, or nothing of it.
    fn apply(
        &mut self,
        ctx: &mut Context<'_>,
        member: u32,
        edit: &StateEdit,
        made: &mut Made,
    ) -> Result<(), EditRefusal> {
        // What a call may do is bounded; an edit that could pass the bound would lose the room.
        if ctx.operations_left() < operations_of(edit) {
            return Err(EditRefusal::Full);
        }
        match edit {
            StateEdit::Create { temp, kind, fields } => {
                if made.by_temp.contains_key(temp) {
                    return Err(EditRefusal::Invalid);
                }
                let id = self.create(ctx, member, *kind, fields)?;
                made.by_temp.insert(*temp, id);
                made.created.push((*temp, id));
                Ok(())
            }
            StateEdit::Set { entity, field, value, if_version } => {
                let id = self.editable(ctx, member, *entity, made)?;
                self.set(ctx, (member, id, *field), value.as_ref(), *if_version)
            }
            StateEdit::Remove { entity } => {
                let id = self.movable(ctx, member, *entity, made)?;
                ctx.remove(id).map_err(refusal)?;
                self.owners.forget(id);
                self.changes.remove(&id);
                Ok(())
            }
            StateEdit::Give { entity, to } => {
                let id = self.movable(ctx, member, *entity, made)?;
                if to.0 != 0 && ctx.members().binary_search(&to.0).is_err() {
                    return Err(EditRefusal::NoSuchMember);
                }
                self.owners.give(ctx, id, to.0);
                Ok(())
            }
        }
    }

    fn create(
        &mut self,
        ctx: &mut Context<'_>,
        member: u32,
        kind: u32,
        values: &[(u32, FieldValue)],
    ) -> Result<u32, EditRefusal> {
        let known = self.schema.kind(kind).ok_or(EditRefusal::Unknown)?;
        if kind == 0 {
            // The room's own, of which there is one entity.
            return Err(EditRefusal::Invalid);
        }
        let mut given = BTreeSet::new();
        for (field, value) in values {
            let of = known.fields.get(*field as usize).ok_or(EditRefusal::Unknown)?;
            if self.owners.is_owner_field(kind, *field) {
                return Err(EditRefusal::NotOwner);
            }
            if !given.insert(*field) {
                return Err(EditRefusal::Invalid);
            }
            of.r#type.cell(value).map_err(refusal)?;
        }
        let fields = known.fields.len();
        let id = ctx.try_create(kind, Belonging::default()).map_err(refusal)?;
        for (field, value) in values {
            if let Err(error) = ctx.try_set(id, *field as usize, value) {
                ctx.remove(id).map_err(refusal)?;
                return Err(refusal(error));
            }
        }
        self.owners.give(ctx, id, member);
        self.changes.insert(id, vec![Change { tick: shown_at(ctx), by: member }; fields]);
        Ok(id)
    }

    fn set(
        &mut self,
        ctx: &mut Context<'_>,
        (member, id, field): (u32, u32, u32),
        value: Option<&FieldValue>,
        if_version: Option<u64>,
    ) -> Result<(), EditRefusal> {
        let kind = ctx.state().kind(id).ok_or(EditRefusal::Unknown)?;
        let place = field as usize;
        let known = self.schema.kinds[kind as usize].fields.get(place);
        let r#type = known.ok_or(EditRefusal::Unknown)?.r#type;
        if self.owners.is_owner_field(kind, field) {
            return Err(EditRefusal::NotOwner);
        }
        let last = self.changes.get_mut(&id).and_then(|changes| changes.get_mut(place));
        let last = last.ok_or(EditRefusal::Unknown)?;
        if let Some(seen) = if_version {
            // Nobody has seen a tick that is being made; who names it knows it from the answer to an
            // edit of its own, and means that.
            let is_unseen = last.tick > ctx.tick() && last.by != member;
            if last.tick > seen || is_unseen {
                return Err(EditRefusal::Changed);
            }
        }
        match value {
            Some(value) => ctx.try_set(id, place, value),
            None => r#type.value(&r#type.zero()).and_then(|zero| ctx.try_set(id, place, &zero)),
        }
        .map_err(refusal)?;
        *last = Change { tick: shown_at(ctx), by: member };
        Ok(())
    }

    /// The entity that an edit names, if the member may change it.
    fn editable(
        &self,
        ctx: &Context<'_>,
        member: u32,
        entity: EntityRef,
        made: &Made,
    ) -> Result<u32, EditRefusal> {
        let id = match entity {
            EntityRef::Id(id) => id,
            EntityRef::Temp(temp) => *made.by_temp.get(&temp).ok_or(EditRefusal::Unknown)?,
        };
        let Belonging { owner, .. } = ctx.state().belonging(id).ok_or(EditRefusal::Unknown)?;
        let is_own = owner == 0 || self.owners.is_same(owner, member);
        if is_own { Ok(id) } else { Err(EditRefusal::NotOwner) }
    }

    /// As [`Self::editable`], but not the room's own: that stays, and stays nobody's.
    fn movable(
        &self,
        ctx: &Context<'_>,
        member: u32,
        entity: EntityRef,
        made: &Made,
    ) -> Result<u32, EditRefusal> {
        let id = self.editable(ctx, member, entity, made)?;
        if id == ROOM_ENTITY { Err(EditRefusal::Invalid) } else { Ok(id) }
    }

    /// Goes on with the entities of members that left or came back.
    fn settle(&mut self, ctx: &mut Context<'_>) {
        for id in self.owners.settle(ctx) {
            self.changes.remove(&id);
        }
    }
}

impl RoomLogic for Shared {
    fn schema(&self) -> Arc<Schema> {
        Arc::clone(&self.schema)
    }

    fn on_join(&mut self, ctx: &mut Context<'_>, member: &MemberView<'_>) {
        let team = member.attributes.iter().find(|(name, _)| name == TEAM_ATTRIBUTE);
        let team = match team {
            Some((_, Value::Int(team))) => u32::try_from(*team).unwrap_or(0),
            _ => 0,
        };
        if team != 0 {
            ctx.set_team(member.id, team);
        }
        self.owners.enter(member.id, member.user, team);
        self.settle(ctx);
    }

    fn on_leave(&mut self, ctx: &mut Context<'_>, member: u32) {
        self.owners.leave(member);
        self.settle(ctx);
    }

    fn on_message(
        &mut self,
        ctx: &mut Context<'_>,
        _member: u32,
        _message: &Incoming<'_>,
    ) -> Result<(), String> {
        ctx.pass_on();
        Ok(())
    }

    fn on_edit(&mut self, ctx: &mut Context<'_>, member: u32, edit: &Edit) -> Option<EditOutcome> {
        let (mut made, mut refused) = (Made::default(), Vec::new());
        for (place, edit) in (0..).zip(&edit.edits) {
            if let Err(why) = self.apply(ctx, member, edit, &mut made) {
                refused.push((place, why));
            }
        }
        Some(EditOutcome { created: made.created, refused })
    }

    fn on_tick(&mut self, ctx: &mut Context<'_>) {
        self.settle(ctx);
    }
}

/// The tick whose delta shows what is done now.
fn shown_at(ctx: &Context<'_>) -> u64 {
    ctx.tick() + u64::from(ctx.tick_hz() > 0)
}

/// Most context operations that an edit takes.
fn operations_of(edit: &StateEdit) -> u32 {
    let given = match edit {
        StateEdit::Create { fields, .. } => fields.len() + 1,
        StateEdit::Set { .. } | StateEdit::Remove { .. } | StateEdit::Give { .. } => 0,
    };
    u32::try_from(given).unwrap_or(u32::MAX).saturating_add(owners::GIVE_OPERATIONS)
}

fn refusal(error: StateError) -> EditRefusal {
    match error {
        StateError::Full => EditRefusal::Full,
        StateError::WrongEntity | StateError::UnknownField | StateError::UnknownKind => {
            EditRefusal::Unknown
        }
        StateError::Truncated
        | StateError::OutOfBounds
        | StateError::WrongType
        | StateError::NotText
        // Beyond the budget the whole room is lost.
        | StateError::Spent => EditRefusal::Invalid,
    }
}

fn read_schema(json: &[u8]) -> Result<Schema, String> {
    if json.len() > SCHEMA_BYTES_MAX {
        return Err(format!("a schema has at most {SCHEMA_BYTES_MAX} bytes"));
    }
    let schema: Schema =
        serde_json::from_slice(json).map_err(|error| format!("the schema: {error}"))?;
    if !schema.is_valid() {
        return Err("the schema: 1 to 256 kinds of at most 63 fields, and numbers whose step is \
                    above 0"
            .to_owned());
    }
    let is_name = |name: &str| {
        (1..=NAME_BYTES_MAX).contains(&name.len()) && !name.chars().any(char::is_control)
    };
    let are_names = |names: Vec<&str>| {
        let count = names.len();
        let distinct: BTreeSet<&str> = names.into_iter().filter(|name| is_name(name)).collect();
        distinct.len() == count
    };
    let kinds = schema.kinds.iter().map(|kind| kind.name.as_str()).collect();
    let fields = |kind: &madang_protocol::state::Kind| {
        are_names(kind.fields.iter().map(|field| field.name.as_str()).collect())
    };
    if !are_names(kinds) || !schema.kinds.iter().all(fields) {
        return Err(format!(
            "the schema: names are distinct, of 1 to {NAME_BYTES_MAX} bytes without control \
             characters"
        ));
    }
    let is_finite = |field: &Field| match field.r#type {
        FieldType::One(scalar) | FieldType::List(scalar) => match scalar {
            Scalar::Number(number) | Scalar::Vec2(number) | Scalar::Vec3(number) => match number {
                Number::Quantised { min, step, steps } => {
                    (min + step * f64::from(steps)).is_finite()
                }
                Number::F32 | Number::F64 => true,
            },
            Scalar::Bool | Scalar::Int | Scalar::Uint | Scalar::Text | Scalar::Bytes => true,
        },
    };
    if !schema.kinds.iter().flat_map(|kind| &kind.fields).all(is_finite) {
        return Err("the schema: a quantised number's largest value is not finite".to_owned());
    }
    Ok(schema)
}

/// The field of each kind that shows the owner. The room's own entity has none.
fn owner_fields(schema: &Schema) -> Vec<Option<u32>> {
    let is_owner =
        |field: &Field| field.name == OWNER_FIELD && field.r#type == FieldType::One(Scalar::Uint);
    let kinds = schema.kinds.iter().enumerate();
    let places = kinds.map(|(number, kind)| {
        kind.fields.iter().position(is_owner).filter(|_| number > 0).map(|place| place as u32)
    });
    places.collect()
}

/// The value of an owner field.
fn owner_value(owner: u32) -> FieldValue {
    FieldValue::One(ScalarValue::Uint(u64::from(owner)))
}

#[cfg(test)]
mod tests;
