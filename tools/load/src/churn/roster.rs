//! Who is in a room, as one of its members is told, and as the room says when it is asked.

use madang_protocol::server::{PresenceEvent, Roster as WireRoster};
use serde::Deserialize;
use std::collections::BTreeMap;

/// Members of one page of an answer.
pub(super) const PAGE: usize = 256;

/// The members of a room by id, and whether each is away.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Roster(pub(super) BTreeMap<u32, bool>);

impl Roster {
    /// As a `joined` tells it; nothing where presence is not full.
    pub(super) fn of(roster: &WireRoster) -> Option<Self> {
        match roster {
            WireRoster::Full(members) => {
                Some(Self(members.iter().map(|info| (info.id.0, info.away)).collect()))
            }
            WireRoster::Count(_) | WireRoster::None => None,
        }
    }

    /// Something changed. False when nobody is told by name any more.
    pub(super) fn event(&mut self, event: &PresenceEvent) -> bool {
        match event {
            PresenceEvent::Join(info) => {
                self.0.insert(info.id.0, info.away);
            }
            PresenceEvent::Leave { id, .. } => {
                self.0.remove(&id.0);
            }
            PresenceEvent::Away(id) => self.is_away(id.0, true),
            PresenceEvent::Back(id) => self.is_away(id.0, false),
            PresenceEvent::Attributes { .. } => {}
            PresenceEvent::Collapsed { .. } => return false,
        }
        true
    }

    fn is_away(&mut self, id: u32, away: bool) {
        if let Some(known) = self.0.get_mut(&id) {
            *known = away;
        }
    }

    /// Adds a page of the room's answer. Returns after whom the next page begins, if there is one; an
    /// error says that it is no such answer.
    pub(super) fn add_page(&mut self, json: &str) -> Result<Option<u32>, String> {
        let page: Page = serde_json::from_str(json)
            .map_err(|error| format!("the list of members is none: {error}"))?;
        self.0.extend(page.members.iter().map(|member| (member.id, member.away)));
        Ok(page.next)
    }

    /// Those who are there and not away.
    pub(super) fn present(&self) -> impl Iterator<Item = u32> + '_ {
        self.0.iter().filter(|(_, away)| !**away).map(|(id, _)| *id)
    }
}

#[derive(Deserialize)]
struct Page {
    members: Vec<Member>,
    next: Option<u32>,
}

#[derive(Deserialize)]
struct Member {
    id: u32,
    away: bool,
}

#[cfg(test)]
mod tests {
    use super::*;
    use madang_protocol::ids::MemberId;
    use madang_protocol::server::{LeaveReason, MemberInfo};

    fn info(id: u32) -> MemberInfo {
        MemberInfo { id: MemberId(id), user: None, away: false, attributes: Vec::new() }
    }

    #[test]
    fn what_is_told_leads_to_what_the_room_answers() {
        let mut told = Roster::of(&WireRoster::Full(vec![info(1), info(2)])).unwrap();
        let gone = PresenceEvent::Leave { id: MemberId(1), reason: LeaveReason::Left };
        for event in [PresenceEvent::Join(info(3)), PresenceEvent::Away(MemberId(2)), gone] {
            assert!(told.event(&event));
        }
        let mut asked = Roster::default();
        let page = r#"{"members":[{"id":2,"user":null,"away":true,"attributes":[]}],"next":2}"#;
        assert_eq!(asked.add_page(page), Ok(Some(2)));
        let page = r#"{"members":[{"id":3,"user":null,"away":false,"attributes":[]}],"next":null}"#;
        assert_eq!(asked.add_page(page), Ok(None));
        assert_eq!(asked, told);
        assert_eq!(asked.present().collect::<Vec<_>>(), [3]);
        assert!(asked.add_page("[]").is_err());
        assert!(!told.event(&PresenceEvent::Collapsed { count: 300 }));
        assert_eq!(Roster::of(&WireRoster::Count(3)), None);
    }
}
