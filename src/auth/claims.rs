//! What a token says: who it is for, what is shown of that user, and what may be done where.
//!
//! The claims are in `protocol/SPEC.md`, section 19. What is not understood is refused: a slip of the pen
//! in a list of rights must not give more than was meant.

use madang_engine::access::{Grant, Identity, Pattern, Rights};
use madang_protocol::ids::INTEGER_MAX;
use madang_protocol::limits::{NAME_BYTES_MAX, USER_BYTES_MAX};
use madang_protocol::value::Value;
use serde::Deserialize;
use std::collections::BTreeMap;

/// Claims of a token, as far as they mean something here.
#[derive(Debug, Deserialize)]
pub(super) struct Claims {
    sub: String,
    /// Seconds since 1970; a fraction is allowed (RFC 7519 section 2).
    exp: f64,
    #[serde(default)]
    madang: Own,
}

/// The claim that is ours.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Own {
    #[serde(default)]
    app: String,
    #[serde(default)]
    attributes: BTreeMap<String, serde_json::Value>,
    grants: Option<Vec<GrantClaim>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct GrantClaim {
    rooms: Rooms,
    may: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Rooms {
    One(String),
    Several(Vec<String>),
}

impl Claims {
    /// Who a token with these claims stands for; `otherwise` is what may be done by one that says
    /// nothing of it. The error says which claim is wrong, and not what is in it.
    pub(super) fn identity(self, otherwise: &[Grant]) -> Result<Identity, &'static str> {
        if !(1..=USER_BYTES_MAX).contains(&self.sub.len()) || self.sub.chars().any(char::is_control)
        {
            return Err("sub has to be a user of 1 to 256 bytes without control characters");
        }
        let Own { app, attributes, grants } = self.madang;
        if app.len() > NAME_BYTES_MAX || app.chars().any(char::is_control) {
            return Err("madang.app has to be a name of up to 64 bytes without control characters");
        }
        let attributes: Option<Vec<_>> =
            attributes.into_iter().map(|(name, value)| Some((name, shown(value)?))).collect();
        let Some(attributes) = attributes else {
            return Err("madang.attributes has to hold texts, numbers and booleans");
        };
        let grants = match grants {
            None => otherwise.to_vec(),
            Some(grants) => grants.into_iter().map(GrantClaim::read).collect::<Result<_, _>>()?,
        };
        // Checked by whoever checked the signature; what is no time at all is long past.
        let expires_ms = (self.exp * 1000.0).clamp(0.0, INTEGER_MAX as f64) as u64;
        Ok(Identity {
            user: Some(self.sub.into()),
            app: app.into(),
            attributes,
            grants,
            expires_ms: Some(expires_ms),
        })
    }
}

impl GrantClaim {
    fn read(self) -> Result<Grant, &'static str> {
        let rooms = match self.rooms {
            Rooms::One(room) => vec![room],
            Rooms::Several(rooms) => rooms,
        };
        let rooms: Option<Vec<_>> = rooms.iter().map(|room| Pattern::read(room)).collect();
        let Some(rooms) = rooms else {
            return Err(
                "madang.grants names rooms that cannot be: names, or their beginnings with a *",
            );
        };
        let may =
            self.may.iter().try_fold(Rights::NONE, |all, name| Some(all.and(Rights::named(name)?)));
        let Some(may) = may else {
            return Err(
                "madang.grants has rights other than create, join, publish, state, watch, manage",
            );
        };
        Ok(Grant { rooms, may })
    }
}

/// A claim as an attribute of a member.
fn shown(value: serde_json::Value) -> Option<Value> {
    match value {
        serde_json::Value::Bool(value) => Some(Value::Bool(value)),
        serde_json::Value::String(text) => Some(Value::Text(text)),
        serde_json::Value::Number(number) => match number.as_i64() {
            Some(int) if int.unsigned_abs() <= INTEGER_MAX => Some(Value::Int(int)),
            _ => number.as_f64().map(Value::Float),
        },
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(claims: serde_json::Value) -> Result<Identity, String> {
        let otherwise = [Grant::everywhere(Rights::WATCH)];
        let claims: Claims = serde_json::from_value(claims).map_err(|error| error.to_string())?;
        claims.identity(&otherwise).map_err(str::to_owned)
    }

    #[test]
    fn a_token_that_says_little_has_what_the_configuration_gives() {
        let identity = read(json!({ "sub": "ada", "exp": 2_000_000_000.5, "iat": 1 })).unwrap();
        assert_eq!((identity.user.as_deref(), &*identity.app), (Some("ada"), ""));
        assert_eq!(identity.expires_ms, Some(2_000_000_000_500));
        assert_eq!(identity.rights("any"), Rights::WATCH);
    }

    #[test]
    fn a_token_that_says_all_has_that_and_nothing_else() {
        let own = json!({
            "app": "chess",
            "attributes": { "name": "Ada", "rank": 7, "ratio": 0.5, "vip": true },
            "grants": [
                { "rooms": "lobby", "may": ["join"] },
                { "rooms": ["game-*", "hall"], "may": ["create", "join", "publish"] },
            ],
        });
        let identity = read(json!({ "sub": "ada", "exp": 2e9, "madang": own })).unwrap();
        assert_eq!(&*identity.app, "chess");
        assert_eq!(identity.attributes[1], ("rank".to_owned(), Value::Int(7)));
        assert_eq!(identity.rights("lobby"), Rights::JOIN);
        assert!(
            identity.rights("game-1").has(Rights::CREATE) && identity.rights("x") == Rights::NONE
        );
        let none = read(json!({ "sub": "ada", "exp": 2e9, "madang": { "grants": [] } })).unwrap();
        assert_eq!(none.rights("lobby"), Rights::NONE, "an empty list gives nothing");
    }

    #[test]
    fn what_is_not_understood_is_refused_and_not_said_again() {
        for claims in [
            json!({ "exp": 2e9 }),
            json!({ "sub": "", "exp": 2e9 }),
            json!({ "sub": "a\nb", "exp": 2e9 }),
            json!({ "sub": "x".repeat(257), "exp": 2e9 }),
            json!({ "sub": "a", "exp": 2e9, "madang": { "grant": [] } }),
            json!({ "sub": "a", "exp": 2e9, "madang": { "app": "a\u{0}" } }),
            json!({ "sub": "a", "exp": 2e9, "madang": { "attributes": { "a": [1] } } }),
            json!({ "sub": "a", "exp": 2e9, "madang": { "grants": [{ "rooms": "ca*nary", "may": [] }] } }),
            json!({ "sub": "a", "exp": 2e9, "madang": { "grants": [{ "rooms": "*", "may": ["canary"] }] } }),
            json!({ "sub": "a", "exp": 2e9, "madang": { "grants": [{ "rooms": "*" }] } }),
        ] {
            assert!(read(claims.clone()).is_err(), "{claims}");
        }
    }
}
