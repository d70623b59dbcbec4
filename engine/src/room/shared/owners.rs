//! Who owns which entity of a shared state, and what becomes of it when the owner leaves.
//!
//! The owner is a user, where members are authenticated, else a member. The state knows owners as
//! members; a user's members own the same things, and a user that comes back gets its own again. The
//! state is the truth, this an index of it.
//!
//! A member may own so much that one call cannot move it all: what is left is done in later calls.

use super::super::logic::Context;
use super::super::state::Belonging;
use super::owner_value;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Context operations that giving an entity to somebody takes at most, and removing one too.
pub(super) const GIVE_OPERATIONS: u32 = 2;

/// What becomes of the entities of somebody who leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum OnLeave {
    /// They stay, and stay the user's. Somebody without a user cannot come back as the same: what was
    /// theirs is nobody's, so that a board does not fill with what no one can touch.
    Keep,
    /// They are removed.
    Remove,
    /// The member that has been there longest gets them; if nobody is there, they are nobody's.
    HandOver,
}

#[derive(Debug)]
pub(super) struct Owners {
    on_leave: OnLeave,
    /// The owner field of each kind.
    fields: Vec<Option<u32>>,
    /// By owner; nobody's are not here.
    owned: BTreeMap<u32, BTreeSet<u32>>,
    /// Who owns each of them.
    owner_of: BTreeMap<u32, u32>,
    /// The users of members that are here, and of those that are not and still own something.
    users: BTreeMap<u32, Arc<str>>,
    /// The members of each of these users.
    members_of: BTreeMap<Arc<str>, BTreeSet<u32>>,
    /// The teams of members that are here.
    teams: BTreeMap<u32, u32>,
    /// Members that are not here, whose entities are yet to be dealt with.
    unsettled: BTreeSet<u32>,
}

/// Where an absent member's entities go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Stay,
    To(u32),
    Removed,
}

impl Owners {
    pub(super) fn new(on_leave: OnLeave, fields: Vec<Option<u32>>) -> Self {
        Self {
            on_leave,
            fields,
            owned: BTreeMap::new(),
            owner_of: BTreeMap::new(),
            users: BTreeMap::new(),
            members_of: BTreeMap::new(),
            teams: BTreeMap::new(),
            unsettled: BTreeSet::new(),
        }
    }

    /// Whether a field is the one that shows the owner.
    pub(super) fn is_owner_field(&self, kind: u32, field: u32) -> bool {
        self.fields.get(kind as usize).is_some_and(|found| *found == Some(field))
    }

    /// Whether two members are the same owner.
    pub(super) fn is_same(&self, one: u32, other: u32) -> bool {
        let user = self.users.get(&one);
        one == other || (user.is_some() && user == self.users.get(&other))
    }

    /// Gives an entity to a member, or to nobody (0). Takes at most [`GIVE_OPERATIONS`].
    pub(super) fn give(&mut self, ctx: &mut Context<'_>, id: u32, to: u32) {
        let Some(belonging) = ctx.state().belonging(id) else { return };
        // Nobody has no team: what a team could see it goes on seeing.
        let team = if to == 0 { belonging.team } else { self.teams.get(&to).copied().unwrap_or(0) };
        // The entity is there, and the caller sees to the budget: neither can fail.
        let _ = ctx.give(id, Belonging { owner: to, team });
        let kind = ctx.state().kind(id).unwrap_or(0);
        if let Some(Some(field)) = self.fields.get(kind as usize) {
            let _ = ctx.try_set(id, *field as usize, &owner_value(to));
        }
        self.forget(id);
        if to != 0 {
            self.owned.entry(to).or_default().insert(id);
            self.owner_of.insert(id, to);
        }
    }

    /// An entity is gone, or somebody else's.
    pub(super) fn forget(&mut self, id: u32) {
        let Some(owner) = self.owner_of.remove(&id) else { return };
        if let Some(entities) = self.owned.get_mut(&owner) {
            entities.remove(&id);
            if entities.is_empty() {
                self.owned.remove(&owner);
            }
        }
    }

    /// A member is here.
    pub(super) fn enter(&mut self, member: u32, user: Option<&str>, team: u32) {
        if team != 0 {
            self.teams.insert(member, team);
        }
        if let Some(user) = user {
            let user: Arc<str> = user.into();
            let members = self.members_of.entry(Arc::clone(&user)).or_default();
            // Those of them that are here are left alone.
            self.unsettled.extend(&*members);
            members.insert(member);
            self.users.insert(member, user);
        }
    }

    /// A member is gone.
    pub(super) fn leave(&mut self, member: u32) {
        self.teams.remove(&member);
        self.unsettled.insert(member);
    }

    /// Deals with what absent members own, as far as the call's budget goes. Returns the entities that
    /// were removed.
    pub(super) fn settle(&mut self, ctx: &mut Context<'_>) -> Vec<u32> {
        let mut removed = Vec::new();
        while let Some(from) = self.unsettled.first().copied() {
            let fate = self.fate(ctx, from);
            if fate != Fate::Stay {
                while let Some(id) = self.owned.get(&from).and_then(BTreeSet::first).copied() {
                    if ctx.operations_left() < GIVE_OPERATIONS {
                        return removed;
                    }
                    match fate {
                        Fate::To(to) => self.give(ctx, id, to),
                        Fate::Removed | Fate::Stay => {
                            let _ = ctx.remove(id);
                            self.forget(id);
                            removed.push(id);
                        }
                    }
                }
            }
            self.unsettled.remove(&from);
            if !is_here(ctx, from) && !self.owned.contains_key(&from) {
                self.forget_user(from);
            }
        }
        removed
    }

    fn forget_user(&mut self, member: u32) {
        let Some(user) = self.users.remove(&member) else { return };
        if let Some(members) = self.members_of.get_mut(&user) {
            members.remove(&member);
            if members.is_empty() {
                self.members_of.remove(&user);
            }
        }
    }

    fn fate(&self, ctx: &Context<'_>, from: u32) -> Fate {
        if is_here(ctx, from) {
            return Fate::Stay;
        }
        let same = self.users.get(&from).and_then(|user| self.members_of.get(user));
        // Another of the user's members: the user is still here, or here again.
        if let Some(other) = same.into_iter().flatten().find(|other| is_here(ctx, **other)) {
            return Fate::To(*other);
        }
        match self.on_leave {
            OnLeave::Keep if self.users.contains_key(&from) => Fate::Stay,
            OnLeave::Keep => Fate::To(0),
            OnLeave::Remove => Fate::Removed,
            // Ids ascend, so the first has been here longest.
            OnLeave::HandOver => Fate::To(ctx.members().first().copied().unwrap_or(0)),
        }
    }
}

fn is_here(ctx: &Context<'_>, member: u32) -> bool {
    ctx.members().binary_search(&member).is_ok()
}
