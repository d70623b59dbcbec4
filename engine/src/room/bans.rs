//! Users that are kept out of rooms for a while: by the room's name, so that a ban outlives the room.
//! Bounded; what has run out is swept when there is no place.

use crate::access::UserKey;
use crate::time::Time;
use std::collections::BTreeMap;

/// The bans of the rooms that are homed on a shard.
#[derive(Debug, Default)]
pub struct Bans {
    until: BTreeMap<(Box<str>, UserKey), Time>,
}

impl Bans {
    /// Keeps a user out of the room of this name. False when there is no place for another ban.
    pub fn add(&mut self, room: &str, user: UserKey, until: Time, now: Time, most: usize) -> bool {
        let key = (room.into(), user);
        if self.until.len() >= most && !self.until.contains_key(&key) {
            self.until.retain(|_, until| *until > now);
            if self.until.len() >= most {
                return false;
            }
        }
        self.until.insert(key, until);
        true
    }

    /// Lets a user in again.
    pub fn lift(&mut self, room: &str, user: UserKey) {
        self.until.remove(&(room.into(), user));
    }

    /// How long a user is still kept out of the room of this name, in seconds.
    pub fn left_s(&self, room: &str, user: Option<UserKey>, now: Time) -> Option<u64> {
        if self.until.is_empty() {
            return None;
        }
        let until = self.until.get(&(room.into(), user?))?;
        (*until > now).then(|| until.since(now).div_ceil(1_000_000))
    }

    /// How many there are, those that have run out and were not swept included.
    pub fn len(&self) -> usize {
        self.until.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.until.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(name: &str) -> UserKey {
        UserKey { app: "".into(), user: name.into() }
    }

    #[test]
    fn a_ban_is_of_one_room_and_user_and_runs_out() {
        let mut bans = Bans::default();
        let (now, later) = (Time::from_ms(1_000), Time::from_ms(3_500));
        assert!(bans.add("lobby", user("ada"), later, now, 2));
        assert_eq!(bans.left_s("lobby", Some(user("ada")), now), Some(3));
        for (room, who) in
            [("lobby", Some(user("bob"))), ("other", Some(user("ada"))), ("lobby", None)]
        {
            assert_eq!(bans.left_s(room, who, now), None);
        }
        assert_eq!(bans.left_s("lobby", Some(user("ada")), later), None);
        bans.lift("lobby", user("ada"));
        assert_eq!(bans.left_s("lobby", Some(user("ada")), now), None);
    }

    #[test]
    fn bans_that_have_run_out_make_place_and_others_do_not() {
        let mut bans = Bans::default();
        let at = Time::from_ms;
        assert!(bans.add("a", user("x"), at(10), at(0), 2));
        assert!(bans.add("a", user("y"), at(20), at(0), 2));
        assert!(!bans.add("a", user("z"), at(20), at(0), 2));
        assert!(bans.add("a", user("y"), at(30), at(0), 2), "a known one can be changed");
        assert!(bans.add("a", user("z"), at(20), at(10), 2));
        assert_eq!(bans.len(), 2);
    }
}
