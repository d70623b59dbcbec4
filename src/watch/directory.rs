//! The public rooms that may be watched: a list, and its changes as a stream. One thread of the
//! side listener keeps it; the others tell it what changes.

use super::sse;
use madang_engine::frame::Frame;
use madang_protocol::ids::Epoch;
use serde::Serialize;
use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound;

/// Rooms on a page when nothing was asked for, and of each part of a stream's snapshot.
const PAGE_ROOMS: usize = 100;
/// Most rooms on a page.
const PAGE_ROOMS_MAX: usize = 1000;
/// Changes that are kept for followers who read slowly; behind that they get a new snapshot.
const CHANGES_MAX: usize = 4096;

/// A room, as it is listed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Listing {
    /// Its name.
    pub name: Box<str>,
    /// Its kind.
    pub kind: &'static str,
    /// Members now.
    pub members: u32,
    /// Labels.
    pub labels: Vec<(String, String)>,
    /// Its newest event, unless it may only be watched later.
    pub seq: Option<u64>,
    /// Its incarnation.
    pub epoch: Epoch,
}

/// News of a room.
#[derive(Clone, Debug)]
pub enum Change {
    /// It is there, like this.
    There(Box<Listing>),
    /// It is gone.
    Gone(Box<str>),
}

impl Change {
    /// The room's name.
    pub fn name(&self) -> &str {
        match self {
            Change::There(listing) => &listing.name,
            Change::Gone(name) => name,
        }
    }
}

/// What of the list was asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Filter {
    kind: Option<String>,
    labels: Vec<(String, String)>,
    after: String,
    limit: usize,
}

/// How far somebody has followed the changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Follower {
    /// Rooms of the snapshot up to this name were told; none when all were.
    snapshot_after: Option<Box<str>>,
    /// The number of the next change.
    next: u64,
}

/// The list.
#[derive(Debug, Default)]
pub(super) struct Directory {
    rooms: BTreeMap<Box<str>, Listing>,
    /// The newest changes; made only while somebody follows.
    changes: VecDeque<Frame>,
    /// The number of the change behind the newest.
    next: u64,
}

impl Filter {
    /// Reads the query: `kind`, `label.NAME`, `after`, `limit`.
    pub(super) fn read<'q>(
        query: impl Iterator<Item = (std::borrow::Cow<'q, str>, std::borrow::Cow<'q, str>)>,
    ) -> Result<Self, String> {
        let mut filter = Self { limit: PAGE_ROOMS, ..Self::default() };
        for (name, value) in query {
            match &*name {
                "kind" => filter.kind = Some(value.into_owned()),
                "after" => filter.after = value.into_owned(),
                "limit" => {
                    let limit = value.parse().ok().filter(|limit| *limit > 0);
                    let limit: usize = limit.ok_or("limit is a number from 1")?;
                    filter.limit = limit.min(PAGE_ROOMS_MAX);
                }
                name => {
                    if let Some(label) = name.strip_prefix("label.") {
                        filter.labels.push((label.to_owned(), value.into_owned()));
                    }
                }
            }
        }
        Ok(filter)
    }

    fn fits(&self, room: &Listing) -> bool {
        self.kind.as_ref().is_none_or(|kind| *kind == room.kind)
            && self.labels.iter().all(|label| room.labels.contains(label))
    }
}

impl Directory {
    /// Takes news in. `is_followed` says whether anybody wants to hear of it.
    pub(super) fn apply(&mut self, change: Change, is_followed: bool) {
        let mut tell = |name: &str, data: Vec<u8>| {
            self.next += 1;
            if is_followed {
                self.changes.push_back(sse::event(name, None, &data));
            }
        };
        match change {
            Change::There(listing) => {
                let data = json(&*listing);
                match self.rooms.get(&listing.name) {
                    Some(known) if *known == *listing => return,
                    Some(known) if known.epoch == listing.epoch => tell("changed", data),
                    known => {
                        if known.is_some() {
                            tell("gone", gone(&listing.name));
                        }
                        tell("created", data);
                    }
                }
                self.rooms.insert(listing.name.clone(), *listing);
            }
            Change::Gone(name) => {
                if self.rooms.remove(&name).is_some() {
                    tell("gone", gone(&name));
                }
            }
        }
        if is_followed {
            while self.changes.len() > CHANGES_MAX {
                self.changes.pop_front();
            }
        } else {
            self.changes.clear();
        }
    }

    /// A page of the list, as JSON: by name, and the name to ask on from.
    pub(super) fn page(&self, filter: &Filter) -> Vec<u8> {
        #[derive(Serialize)]
        struct Page<'a> {
            rooms: Vec<&'a Listing>,
            next: Option<&'a str>,
        }
        let after = Bound::Excluded(filter.after.as_str());
        let mut found = self.rooms.range::<str, _>((after, Bound::Unbounded));
        let mut found = found.by_ref().map(|(_, room)| room).filter(|room| filter.fits(room));
        let rooms: Vec<_> = found.by_ref().take(filter.limit).collect();
        let more = found.next().is_some();
        let next = rooms.last().filter(|_| more).map(|room| &*room.name);
        json(&Page { rooms, next })
    }

    /// Somebody who has heard nothing yet.
    pub(super) fn follow(&self) -> Follower {
        Follower { snapshot_after: Some("".into()), next: self.next }
    }

    /// The next event for a follower, if there is one. A snapshot comes in parts; changes that
    /// happen meanwhile follow it, so that some may be told twice.
    pub(super) fn next(&self, follower: &mut Follower) -> Option<Frame> {
        let oldest = self.next - self.changes.len() as u64;
        if follower.next < oldest {
            *follower = self.follow();
        }
        if let Some(after) = follower.snapshot_after.take() {
            let bounds = (Bound::Excluded(&*after), Bound::Unbounded);
            let rooms = self.rooms.range::<str, _>(bounds).map(|(_, room)| room);
            let rooms: Vec<_> = rooms.take(PAGE_ROOMS + 1).collect();
            let more = rooms.len() > PAGE_ROOMS;
            let part = &rooms[..rooms.len().min(PAGE_ROOMS)];
            follower.snapshot_after = part.last().filter(|_| more).map(|room| room.name.clone());
            let data = json(&serde_json::json!({ "rooms": part, "more": more }));
            return Some(sse::event("snapshot", None, &data));
        }
        let change = self.changes.get((follower.next - oldest) as usize)?;
        follower.next += 1;
        Some(change.clone())
    }
}

fn gone(name: &str) -> Vec<u8> {
    json(&serde_json::json!({ "name": name }))
}

fn json(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).expect("writing to a Vec cannot fail and every value has a JSON form")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::borrow::Cow;

    fn room(name: &str, members: u32, epoch: u8) -> Change {
        let labels = vec![("map".to_owned(), if members > 1 { "big" } else { "small" }.to_owned())];
        Change::There(Box::new(Listing {
            name: name.into(),
            kind: "relay",
            members,
            labels,
            seq: Some(u64::from(members)),
            epoch: Epoch([epoch; 8]),
        }))
    }

    fn page(
        directory: &Directory,
        query: &[(&'static str, &'static str)],
    ) -> (Vec<String>, String) {
        let pairs = query.iter().map(|(n, v)| (Cow::from(*n), Cow::from(*v)));
        let page = directory.page(&Filter::read(pairs).unwrap());
        let page: serde_json::Value = serde_json::from_slice(&page).unwrap();
        let names = page["rooms"].as_array().unwrap().iter();
        let names = names.map(|room| room["name"].as_str().unwrap().to_owned());
        (names.collect(), page["next"].as_str().unwrap_or("").to_owned())
    }

    #[test]
    fn pages_go_by_name_and_filters_leave_out() {
        let mut directory = Directory::default();
        for (name, members) in [("c", 1), ("a", 2), ("b", 1)] {
            directory.apply(room(name, members, 1), false);
        }
        let names =
            |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        assert_eq!(page(&directory, &[]), (names(&["a", "b", "c"]), String::new()));
        assert_eq!(page(&directory, &[("limit", "2")]), (names(&["a", "b"]), "b".to_owned()));
        assert_eq!(
            page(&directory, &[("after", "b"), ("limit", "2")]),
            (names(&["c"]), String::new())
        );
        assert_eq!(page(&directory, &[("label.map", "small")]).0, names(&["b", "c"]));
        assert_eq!(
            page(&directory, &[("label.map", "small"), ("limit", "1")]),
            (names(&["b"]), "b".to_owned())
        );
        assert!(page(&directory, &[("kind", "raw")]).0.is_empty());
        assert!(page(&directory, &[("label.map", "small"), ("label.x", "")]).0.is_empty());
        for bad in ["0", "x", "-1", ""] {
            assert!(Filter::read([("limit".into(), bad.into())].into_iter()).is_err(), "{bad}");
        }
    }

    /// Names of events, and the names of rooms in them.
    fn told(directory: &Directory, follower: &mut Follower) -> Vec<String> {
        let mut told = Vec::new();
        while let Some(frame) = directory.next(follower) {
            let text = String::from_utf8(frame.to_vec()).unwrap();
            let (head, data) = text.split_once("\ndata: ").unwrap();
            let data: serde_json::Value = serde_json::from_str(data.trim_end()).unwrap();
            let rooms = data["rooms"].as_array().map_or(1, Vec::len);
            let name = data["name"].as_str().unwrap_or("");
            told.push(format!("{} {rooms} {name}", head.trim_start_matches("event: ")));
        }
        told
    }

    #[test]
    fn followers_get_the_list_and_then_what_changes() {
        let mut directory = Directory::default();
        directory.apply(room("a", 1, 1), false);
        let mut follower = directory.follow();
        assert_eq!(told(&directory, &mut follower), ["snapshot 1 "]);
        directory.apply(room("a", 1, 1), true);
        assert_eq!(directory.next(&mut follower), None, "nothing changed");
        directory.apply(room("b", 1, 1), true);
        directory.apply(room("a", 2, 1), true);
        directory.apply(room("a", 2, 2), true);
        directory.apply(Change::Gone("b".into()), true);
        directory.apply(Change::Gone("b".into()), true);
        assert_eq!(
            told(&directory, &mut follower),
            ["created 1 b", "changed 1 a", "gone 1 a", "created 1 a", "gone 1 b"]
        );
    }

    #[test]
    fn a_long_list_comes_in_parts_and_a_slow_follower_begins_anew() {
        let mut directory = Directory::default();
        for i in 0..250 {
            directory.apply(room(&format!("r{i:03}"), 1, 1), true);
        }
        let mut follower = directory.follow();
        let parts = ["snapshot 100 ", "snapshot 100 ", "snapshot 50 "];
        assert_eq!(told(&directory, &mut follower), parts);
        for i in 0..=CHANGES_MAX as u32 {
            directory.apply(room("r000", i + 2, 1), true);
        }
        assert_eq!(told(&directory, &mut follower), parts);
    }
}
