//! Whatever comes as a token: a stranger's text, a token that was tampered with, and tokens of our own key with
//! any claims at all.

use super::*;
use crate::config::{KeySource, TokenAlgorithm, TokenKey};
use crate::metrics::Metrics;
use jsonwebtoken::{Algorithm, EncodingKey, encode};
use proptest::prelude::*;
use serde_json::{Map, Value, json};
use std::sync::LazyLock;

const SECRET: &str = "a secret of the tests, which is long enough";

/// A server's with one key.
static AUTH: LazyLock<Auth> = LazyLock::new(|| {
    let path = std::env::temp_dir().join(format!("madang-auth-{}", std::process::id()));
    std::fs::write(&path, SECRET).expect("a file");
    let from = KeySource::File(path.display().to_string().into());
    let key = TokenKey { kid: None, algorithm: TokenAlgorithm::Hs256, from };
    let settings = Settings { keys: vec![key], ..Settings::default() };
    let auth = Auth::new(&settings, Metrics::new(1, 1).shard(0));
    std::fs::remove_file(&path).expect("it was read");
    auth
});

fn signed(claims: &Value) -> String {
    LazyLock::force(&AUTH);
    let key = EncodingKey::from_secret(SECRET.as_bytes()).expect("a secret");
    encode(&Header::new(Algorithm::HS256), claims, &key).expect("a token")
}

fn check(text: &str) -> Result<Arc<Identity>, Refusal> {
    AUTH.check(&Token::from(text))
}

/// Any JSON, not too deep.
fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,12}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 24, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::vec((name(), inner), 0..5)
                .prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    })
}

const KNOWN: &[&str] =
    &["sub", "exp", "nbf", "iss", "aud", "madang", "app", "attributes", "grants", "rooms", "may"];

/// Names that mean something, and others.
fn name() -> impl Strategy<Value = String> {
    prop_oneof![4 => prop::sample::select(KNOWN).prop_map(str::to_owned), 1 => ".{0,8}"]
}

proptest! {
    #[test]
    fn no_text_of_a_stranger_is_a_token(text in ".{0,200}", parts in prop::collection::vec("[A-Za-z0-9_=-]{0,80}", 0..5)) {
        prop_assert!(check(&text).is_err());
        prop_assert!(check(&parts.join(".")).is_err());
    }

    #[test]
    fn a_token_that_was_tampered_with_is_none(place in any::<prop::sample::Index>(), letter in "[A-Za-z0-9_.-]") {
        let token = signed(&json!({ "sub": "ada", "exp": 4e9 }));
        prop_assert!(check(&token).is_ok());
        let place = place.index(token.len());
        let changed = format!("{}{letter}{}", &token[..place], &token[place + 1..]);
        // The last letter of a part has bits that stand for nothing; but for those the signature is another's.
        prop_assert!(changed == token || check(&changed).is_err() || place + 1 == token.len());
        prop_assert!(check(&token[..place]).is_err());
    }

    #[test]
    fn whatever_is_signed_is_refused_or_means_what_it_may(
        fields in prop::collection::vec((name(), any_json()), 0..8),
        has_usual in any::<bool>(),
    ) {
        let mut claims: Map<_, _> = fields.into_iter().collect();
        if has_usual {
            claims.insert("sub".to_owned(), json!("ada"));
            claims.insert("exp".to_owned(), json!(4e9));
        }
        if let Ok(identity) = check(&signed(&Value::Object(claims))) {
            let user = identity.user.as_deref().expect("a token is somebody's");
            prop_assert!((1..=256).contains(&user.len()) && !user.chars().any(char::is_control));
            prop_assert!(identity.app.len() <= 64);
            prop_assert!(identity.expires_ms.is_some());
        }
    }
}
