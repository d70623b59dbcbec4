//! Rooms as a shard with members sees them: whom a frame goes to. Exists on every shard with
//! members, the home included; the home's own [`crate::room::Room`] never sees queues.

use crate::peer::Wire;
use std::collections::BTreeMap;

/// A member on this shard.
#[derive(Clone, Copy, Debug)]
pub struct ViewMember {
    /// The session's slot.
    pub slot: u32,
    /// The member.
    pub member: u32,
    /// What is logged up to here has reached the member by `Joined` and its replay.
    pub after: u64,
    /// How it speaks.
    pub wire: Wire,
    /// Whether it hears itself.
    pub echo: bool,
    /// Whether frames go to it: not while it is away, and not before its replay has come.
    pub live: bool,
    /// Whether it gets the room's state as it changes.
    pub state: StateFlow,
}

/// Whether a member gets a room's state as it changes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum StateFlow {
    /// It does.
    #[default]
    Live,
    /// It did not keep up: nothing until what waits for it is written, then everything anew.
    Owed,
    /// Everything anew is on its way from the room's home.
    Asked,
}

/// A room with members on this shard.
#[derive(Debug)]
pub struct View {
    /// Its name.
    pub name: Box<str>,
    /// Members here, in no particular but deterministic order.
    pub members: Vec<ViewMember>,
}

/// The rooms with members on a shard, by number.
#[derive(Debug, Default)]
pub struct Views {
    views: Vec<Option<Box<View>>>,
    by_name: BTreeMap<Box<str>, u32>,
}

impl Views {
    /// The view of a room.
    pub fn get(&self, channel: u32) -> Option<&View> {
        self.views.get(channel as usize)?.as_deref()
    }

    /// The view of a room.
    pub fn get_mut(&mut self, channel: u32) -> Option<&mut View> {
        self.views.get_mut(channel as usize)?.as_deref_mut()
    }

    /// The number of the room of this name, if it has members here.
    pub fn find(&self, name: &str) -> Option<u32> {
        self.by_name.get(name).copied()
    }

    /// Adds a member and returns its position.
    pub fn add(&mut self, channel: u32, name: &str, member: ViewMember) -> u32 {
        let index = channel as usize;
        if self.views.len() <= index {
            self.views.resize_with(index + 1, || None);
        }
        let by_name = &mut self.by_name;
        let view = self.views[index].get_or_insert_with(|| {
            by_name.insert(name.into(), channel);
            Box::new(View { name: name.into(), members: Vec::new() })
        });
        if view.members.len() == view.members.capacity() {
            // As the room's own list of members: most are small and stay so.
            view.members.reserve_exact(view.members.len() / 4 + 2);
        }
        view.members.push(member);
        (view.members.len() - 1) as u32
    }

    /// Removes the member at a position. The last member takes its place: returns that one's slot,
    /// whose membership has to be told the new position.
    pub fn remove(&mut self, channel: u32, position: u32) -> Option<u32> {
        let view = self.views.get_mut(channel as usize)?.as_deref_mut()?;
        view.members.swap_remove(position as usize);
        if view.members.is_empty() {
            self.by_name.remove(&view.name);
            self.views[channel as usize] = None;
            return None;
        }
        view.members.get(position as usize).map(|moved| moved.slot)
    }

    /// Every view with its channel, ascending.
    pub fn iter(&self) -> impl Iterator<Item = (u32, &View)> {
        let views = self.views.iter().enumerate();
        views.filter_map(|(channel, view)| Some((channel as u32, view.as_deref()?)))
    }
}
