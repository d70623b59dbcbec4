//! Who a session belongs to, and what it may do where.
//!
//! The shell makes an [`Identity`] of a credential (or of none); here is what it means. What it says
//! about a room is worked out once, when its session enters, and kept with the member as a few bits
//! ([`Rights`]). Deliberately absent: credentials, keys and clocks.

use madang_protocol::limits::is_room_name;
use madang_protocol::value::Value;
use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

/// A set of things that may be done in a room.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct Rights(u8);

impl Rights {
    /// Nothing.
    pub const NONE: Self = Self(0);
    /// Make the room by a join.
    pub const CREATE: Self = Self(1);
    /// Enter the room and see what its members see.
    pub const JOIN: Self = Self(2);
    /// Send: publish, direct messages, requests to rules, attributes.
    pub const PUBLISH: Self = Self(4);
    /// Change the state of a room of kind `shared`.
    pub const STATE: Self = Self(8);
    /// See what spectators see.
    pub const WATCH: Self = Self(16);
    /// Remove members, keep users out, close the room.
    pub const MANAGE: Self = Self(32);
    /// Everything that is no power over others.
    pub const ORDINARY: Self = Self(31);
    /// Everything.
    pub const ALL: Self = Self(63);

    /// Every single right with its name in claims and in the configuration.
    pub const NAMES: [(&'static str, Self); 6] = [
        ("create", Self::CREATE),
        ("join", Self::JOIN),
        ("publish", Self::PUBLISH),
        ("state", Self::STATE),
        ("watch", Self::WATCH),
        ("manage", Self::MANAGE),
    ];

    /// The right of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::NAMES.iter().find(|(known, _)| *known == name).map(|(_, right)| *right)
    }

    /// Whether every one of `wanted` is among these.
    pub fn has(self, wanted: Self) -> bool {
        self.0 & wanted.0 == wanted.0
    }

    /// These and those.
    #[must_use]
    pub fn and(self, more: Self) -> Self {
        Self(self.0 | more.0)
    }

    /// The names of those that are in the set.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        Self::NAMES.into_iter().filter(move |(_, right)| self.has(*right)).map(|(name, _)| name)
    }
}

impl fmt::Debug for Rights {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.names()).finish()
    }
}

/// Names of rooms: one, or all that begin the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern {
    text: Box<str>,
    is_prefix: bool,
}

impl Pattern {
    /// Reads a room's name, or the beginning of one (which may be empty) and a `*` behind it. `None` if
    /// it is neither.
    pub fn read(text: &str) -> Option<Self> {
        let (start, is_prefix) = match text.strip_suffix('*') {
            Some(start) => (start, true),
            None => (text, false),
        };
        let is_good = is_room_name(start) || (is_prefix && start.is_empty());
        is_good.then(|| Self { text: start.into(), is_prefix })
    }

    /// Whether it is `*`.
    pub fn is_every(&self) -> bool {
        self.is_prefix && self.text.is_empty()
    }

    /// Whether a room's name is one of these.
    pub fn fits(&self, name: &str) -> bool {
        if self.is_prefix { name.starts_with(&*self.text) } else { name == &*self.text }
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.text, if self.is_prefix { "*" } else { "" })
    }
}

/// Rights in some rooms.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// Which rooms; any of these.
    pub rooms: Vec<Pattern>,
    /// What may be done there.
    pub may: Rights,
}

impl Grant {
    /// These rights in every room.
    pub fn everywhere(may: Rights) -> Self {
        Self { rooms: vec![Pattern { text: "".into(), is_prefix: true }], may }
    }
}

/// Who a session belongs to, what is shown of it, and what it may do.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Identity {
    /// The user, as other members see it; none when anonymous.
    pub user: Option<Box<str>>,
    /// The application that the user is one of; empty where there is only one.
    pub app: Box<str>,
    /// Attributes that its members have in every room, whatever the client says.
    pub attributes: Vec<(String, Value)>,
    /// What it may do where: a room's rights are those of all that fit its name.
    pub grants: Vec<Grant>,
    /// When the credential expires, in milliseconds since 1970 UTC; never when absent.
    pub expires_ms: Option<u64>,
}

impl Identity {
    /// Somebody without a name who has these rights everywhere.
    pub fn anonymous(may: Rights) -> Arc<Self> {
        Arc::new(Self { grants: vec![Grant::everywhere(may)], ..Self::default() })
    }

    /// What it may do in a room.
    pub fn rights(&self, room: &str) -> Rights {
        let fitting =
            self.grants.iter().filter(|grant| grant.rooms.iter().any(|pattern| pattern.fits(room)));
        fitting.fold(Rights::NONE, |rights, grant| rights.and(grant.may))
    }

    /// What it may do in every room there can be.
    pub fn everywhere(&self) -> Rights {
        let all = self.grants.iter().filter(|grant| grant.rooms.iter().any(Pattern::is_every));
        all.fold(Rights::NONE, |rights, grant| rights.and(grant.may))
    }

    /// Whether it has a right in any room at all.
    pub fn has_anywhere(&self, right: Rights) -> bool {
        self.grants.iter().any(|grant| grant.may.has(right))
    }

    /// Whether both are the same user, or both nobody, of one application.
    pub fn is_same_user(&self, other: &Self) -> bool {
        self.user == other.user && self.app == other.app
    }

    /// The user as rules know it: the same name for the same user of the same application alone; none
    /// when anonymous.
    pub fn rules_user(&self) -> Option<Cow<'_, str>> {
        let user = self.user.as_deref()?;
        // No name has a control character in it.
        Some(if self.app.is_empty() {
            user.into()
        } else {
            format!("{}\u{1f}{user}", self.app).into()
        })
    }

    /// The user by its full name; none when anonymous.
    pub fn user_key(&self) -> Option<UserKey> {
        let user = self.user.clone()?;
        Some(UserKey { app: self.app.clone(), user })
    }
}

/// A user of an application.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UserKey {
    /// The application; empty where there is only one.
    pub app: Box<str>,
    /// The user.
    pub user: Box<str>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grant(rooms: &[&str], may: Rights) -> Grant {
        let rooms = rooms.iter().map(|text| Pattern::read(text).expect("a pattern")).collect();
        Grant { rooms, may }
    }

    #[test]
    fn a_pattern_is_a_name_or_a_beginning_with_a_star() {
        for (text, fits, fails) in [
            ("lobby", &["lobby"][..], &["lobby2", "Lobby", "lobb", ""][..]),
            ("lobby*", &["lobby", "lobby2", "lobby-x"], &["lobb", "xlobby"]),
            ("*", &["a", "lobby"], &[]),
            ("team.a:*", &["team.a:1"], &["team.a", "team.b:1"]),
        ] {
            let pattern = Pattern::read(text).expect(text);
            assert!(fits.iter().all(|name| pattern.fits(name)), "{text}");
            assert!(!fails.iter().any(|name| pattern.fits(name)), "{text}");
            assert_eq!(pattern.to_string(), text);
        }
        for bad in ["", "a*b", "**", "a/b", "*a", "a b*", &"x".repeat(129), "방*"] {
            assert_eq!(Pattern::read(bad), None, "{bad}");
        }
    }

    #[test]
    fn rights_add_up_over_all_grants_that_fit() {
        let identity = Identity {
            grants: vec![
                grant(&["*"], Rights::WATCH),
                grant(&["lobby", "team.*"], Rights::JOIN.and(Rights::PUBLISH)),
                grant(&["team.red"], Rights::MANAGE),
            ],
            ..Identity::default()
        };
        let names = |room: &str| identity.rights(room).names().collect::<Vec<_>>();
        assert_eq!(names("other"), ["watch"]);
        assert_eq!(names("lobby"), ["join", "publish", "watch"]);
        assert_eq!(names("team.red"), ["join", "publish", "watch", "manage"]);
        assert!(identity.has_anywhere(Rights::MANAGE) && !identity.has_anywhere(Rights::STATE));
        assert_eq!(Identity::default().rights("lobby"), Rights::NONE);
    }

    #[test]
    fn users_of_different_applications_are_never_the_same() {
        let of = |app: &str, user: Option<&str>| Identity {
            app: app.into(),
            user: user.map(Box::from),
            ..Identity::default()
        };
        let all =
            [of("", None), of("", Some("ada")), of("chess", Some("ada")), of("go", Some("ada"))];
        for (i, one) in all.iter().enumerate() {
            for (j, other) in all.iter().enumerate() {
                assert_eq!(one.is_same_user(other), i == j);
                assert_eq!(one.rules_user() == other.rules_user(), i == j);
                assert_eq!(one.user_key() == other.user_key(), i == j);
            }
        }
    }

    #[test]
    fn every_right_has_a_name_and_all_is_all_of_them() {
        let all = Rights::NAMES.iter().fold(Rights::NONE, |all, (_, right)| all.and(*right));
        assert_eq!(all, Rights::ALL);
        assert!(Rights::ALL.has(Rights::ORDINARY) && !Rights::ORDINARY.has(Rights::MANAGE));
        for (name, right) in Rights::NAMES {
            assert_eq!(Rights::named(name), Some(right));
        }
        assert_eq!(Rights::named("root"), None);
    }
}
