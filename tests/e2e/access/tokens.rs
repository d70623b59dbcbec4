//! Which tokens let whom in.

use super::{Place, SECRET, claims, dial, guarded, hello_with, key, refused, run, token};
use crate::support::client::{Client, Closed, Dial, Wire, hello};
use crate::support::http::{Reply, ask, handshake};
use crate::support::{Running, config};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode, get_current_timestamp};
use madang::config::{CookieName, KeySource, Text, TokenAlgorithm, TokenKey};
use madang_protocol::client::{ClientMessage, Renew};
use madang_protocol::server::{ErrorRef, Roster, ServerMessage};
use madang_protocol::{CloseCode, ErrorCode};
use serde_json::json;
use std::net::SocketAddr;

const UNAUTHORIZED: Closed = Closed::Code(CloseCode::UNAUTHORIZED.code);

/// The name under which a client's own member is shown.
fn user(client: &mut Client) -> Option<String> {
    client.welcome();
    let joined = client.join("lobby");
    let Roster::Full(members) = joined.roster else { panic!("the roster is full") };
    members.into_iter().find(|member| member.id == joined.member).and_then(|member| member.user)
}

#[test]
fn each_algorithm_lets_in_who_has_its_token() {
    let place = Place::new();
    let data = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/e2e/testdata/");
    let mut settings = guarded(&place);
    let mut tokens = Vec::new();
    for (name, kind) in [
        ("HS256", TokenAlgorithm::Hs256),
        ("ES256", TokenAlgorithm::Es256),
        ("EdDSA", TokenAlgorithm::EdDsa),
    ] {
        let file = place.path(name).display().to_string();
        let (code, out, error) = run(&["token", "keygen", "--algorithm", name, &file], "");
        assert!(code == 0 && out.contains("keys = "), "{out}{error}");
        let (again, _, error) = run(&["token", "keygen", "--algorithm", name, &file], "");
        assert!(
            again == 2 && error.contains("cannot be written"),
            "nothing is overwritten: {error}"
        );
        let checks = if name == "HS256" { file.clone() } else { format!("{file}.pub") };
        tokens.push((name, kind, file, checks));
    }
    tokens.push((
        "RS256",
        TokenAlgorithm::Rs256,
        format!("{data}rsa.pem"),
        format!("{data}rsa.pub.pem"),
    ));
    settings.auth.keys = tokens
        .iter()
        .map(|(name, kind, _, checks)| key(Some(name), *kind, checks.as_ref()))
        .collect();
    let server = Running::start(settings);
    for (name, _, file, _) in &tokens {
        let arguments =
            ["token", "sign", "--algorithm", name, "--kid", name, "--key", file, "--sub", "ada"];
        let (code, token, error) = run(&arguments, "");
        assert_eq!((code, &*error), (0, ""), "{name}");
        assert_eq!(user(&mut dial(&server, token.trim())).as_deref(), Some("ada"), "{name}");
        // Signed with one key and named as another's.
        for (other, ..) in tokens.iter().filter(|(other, ..)| other != name) {
            let arguments = [
                "token",
                "sign",
                "--algorithm",
                name,
                "--kid",
                other,
                "--key",
                file,
                "--sub",
                "ada",
            ];
            let (_, token, _) = run(&arguments, "");
            assert_eq!(refused(&server, token.trim()), UNAUTHORIZED, "{name} as {other}");
        }
    }
}

/// Opens a WebSocket by hand and says whether the server goes on to a welcome.
fn status(addr: SocketAddr, path: &str, more: &str) -> Reply {
    ask(addr, &handshake(path, more))
}

#[test]
fn a_token_may_come_in_each_way_and_its_subprotocol_is_never_the_answer() {
    let place = Place::new();
    let mut settings = guarded(&place);
    settings.auth.cookie = CookieName(Some("session".into()));
    let server = Running::start(settings);
    let addr = server.play_addr();
    let token = token(&claims("ada"));
    assert_eq!(user(&mut dial(&server, &token)).as_deref(), Some("ada"));
    for (path, more) in [
        ("/play".to_owned(), format!("Authorization: Bearer {token}\r\n")),
        ("/play".to_owned(), format!("Cookie: a=b; session={token}; c=d\r\n")),
        (format!("/play?token={token}"), String::new()),
        (format!("/play?room=lobby&access_token={token}"), String::new()),
        ("/play".to_owned(), format!("Sec-WebSocket-Protocol: madang.bearer.{token}\r\n")),
        // The handshake of a room's own shard carries it along.
        (format!("/play?room=x&token={token}"), String::new()),
    ] {
        let with = format!("Sec-WebSocket-Protocol: madang.v1.json\r\n{more}");
        let reply = status(addr, &path, &with);
        assert_eq!(reply.status, 101, "{more}");
        assert_eq!(reply.header("sec-websocket-protocol"), Some("madang.v1.json"));
        let mut client = Client::dial_with(addr, &path, &more, Wire::Json);
        client.send(&hello(None));
        assert_eq!(user(&mut client).as_deref(), Some("ada"), "{path} {more}");
    }
    let mut client = Client::dial(Dial::from(addr), Wire::Json);
    client.send(&hello(None));
    assert_eq!(client.closed(), UNAUTHORIZED, "without one nobody comes in");
    let two = format!("Authorization: Bearer {token}\r\nAuthorization: Bearer {token}\r\n");
    let both = format!("Sec-WebSocket-Protocol: madang.v1\r\n{two}");
    assert_eq!(status(addr, "/play", &both).status, 401);
    assert!(Dial::from(addr).websocket(&format!("/raw/yard?token={token}"), None).is_ok());
}

#[test]
fn a_token_that_is_not_quite_right_lets_nobody_in() {
    let place = Place::new();
    let mut settings = guarded(&place);
    settings.auth.issuers = vec![Text("https://id.example".into())];
    settings.auth.audiences = vec![Text("game".into()), Text("lobby".into())];
    let rsa = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/e2e/testdata/rsa.pub.pem");
    settings.auth.keys.push(key(Some("rsa"), TokenAlgorithm::Rs256, rsa.as_ref()));
    let server = Running::start(settings);
    let now = get_current_timestamp();
    let good = json!({ "sub": "ada", "exp": now + 60, "nbf": now, "iss": "https://id.example", "aud": ["x", "game"] });
    assert_eq!(user(&mut dial(&server, &token(&good))).as_deref(), Some("ada"));
    let changed = |name: &str, value: serde_json::Value| {
        let mut claims = good.clone();
        claims[name] = value;
        token(&claims)
    };
    let without = |name: &str| {
        let mut claims = good.clone();
        claims.as_object_mut().expect("an object").remove(name);
        token(&claims)
    };
    let signed = token(&good);
    let [header, payload, signature] = signed.split('.').collect::<Vec<_>>()[..] else {
        panic!("three parts")
    };
    let other = token(&changed_sub(&good));
    let forged = other.split('.').nth(1).expect("a payload");
    // "alg": "none", by hand.
    let none = "eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0";
    let public = std::fs::read(rsa).expect("the public key");
    let confused = {
        let mut header = Header::new(Algorithm::HS256);
        header.kid = Some("rsa".to_owned());
        let key = EncodingKey::from_secret(&public).expect("any bytes");
        encode(&header, &good, &key).expect("it can be signed")
    };
    for (what, token) in [
        ("expired", changed("exp", json!(now - 60))),
        ("not yet valid", changed("nbf", json!(now + 60))),
        ("no exp", without("exp")),
        ("exp is text", changed("exp", json!("tomorrow"))),
        ("no sub", without("sub")),
        ("sub is a number", changed("sub", json!(7))),
        ("no issuer", without("iss")),
        ("another issuer", changed("iss", json!("https://id.example.evil"))),
        ("no audience", without("aud")),
        ("another audience", changed("aud", json!("shop"))),
        ("a claim that is not understood", changed("madang", json!({ "grant": [] }))),
        (
            "a right that is none",
            changed("madang", json!({ "grants": [{ "rooms": "*", "may": ["root"] }] })),
        ),
        ("another payload", format!("{header}.{forged}.{signature}")),
        ("no signature", format!("{header}.{payload}.")),
        ("a cut signature", format!("{header}.{payload}.{}", &signature[..20])),
        ("no algorithm", format!("{none}.{payload}.")),
        ("no algorithm, signed", format!("{none}.{payload}.{signature}")),
        ("a public key as a secret", confused),
        ("an algorithm that no key is for", {
            let key = EncodingKey::from_secret(SECRET.as_bytes()).expect("a secret");
            let mut header = Header::new(Algorithm::HS256);
            header.kid = Some("nobody".to_owned());
            encode(&header, &good, &key).expect("it can be signed")
        }),
        (
            "an extension that has to be understood",
            by_hand(&json!({ "alg": "HS256", "crit": ["b64"], "b64": false }), &good),
        ),
        (
            "one of its own",
            by_hand(
                &json!({ "alg": "HS256", "crit": ["http://example.com/own"], "http://example.com/own": true }),
                &good,
            ),
        ),
        (
            "a key of its own, as a file",
            by_hand(&json!({ "alg": "HS256", "kid": "../../dev/null" }), &good),
        ),
        ("a key that it brings along", {
            let own = "eve's own secret, which is long enough";
            let jwk = json!({ "kty": "oct", "k": URL_SAFE_NO_PAD.encode(own) });
            signed_by(own, &json!({ "alg": "HS256", "jwk": jwk }), &good)
        }),
        ("another case", by_hand(&json!({ "alg": "hs256" }), &good)),
        ("no algorithm said", by_hand(&json!({ "typ": "JWT" }), &good)),
        ("HS384", by_hand(&json!({ "alg": "HS384" }), &good)),
        ("spaces inside", signed.replace('.', ". ")),
        ("padding", format!("{signed}=")),
        ("two parts", format!("{header}.{payload}")),
        ("four parts", format!("{signed}.x")),
        ("nothing", String::new()),
        ("not base64", "?.?.?".to_owned()),
        ("too long", "x".repeat(5000)),
    ] {
        assert_eq!(dial(&server, &token).next().map(drop), Err(UNAUTHORIZED), "{what}");
    }
    let own_key = json!({ "alg": "HS256", "jwk": { "kty": "oct", "k": "AAAA" }, "jku": "http://example.com/set" });
    assert_eq!(
        user(&mut dial(&server, &by_hand(&own_key, &good))).as_deref(),
        Some("ada"),
        "keys in a header are nobody's"
    );
    let just = changed("exp", json!(now - 5));
    assert_eq!(user(&mut dial(&server, &just)).as_deref(), Some("ada"), "clocks may be apart");
}

/// A token of the secret whose header is as it is given, and its signature right.
fn by_hand(header: &serde_json::Value, claims: &serde_json::Value) -> String {
    signed_by(SECRET, header, claims)
}

fn signed_by(secret: &str, header: &serde_json::Value, claims: &serde_json::Value) -> String {
    let part = |value: &serde_json::Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let said = format!("{}.{}", part(header), part(claims));
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, secret.as_bytes());
    let signature = ring::hmac::sign(&key, said.as_bytes());
    format!("{said}.{}", URL_SAFE_NO_PAD.encode(signature))
}

fn changed_sub(claims: &serde_json::Value) -> serde_json::Value {
    let mut claims = claims.clone();
    claims["sub"] = json!("eve");
    claims
}

#[test]
fn who_brings_nothing_has_the_rights_of_those_and_a_token_its_own() {
    let place = Place::new();
    let mut settings = config();
    settings.auth.keys = guarded(&place).auth.keys;
    settings.auth.anonymous_may =
        vec![madang_engine::access::Grant::everywhere(madang_engine::access::Rights::JOIN)];
    let server = Running::start(settings);
    let (mut nobody, _) = Client::connect(server.play_addr(), Wire::Native);
    let refused = nobody.refused_join("lobby");
    assert_eq!(refused, ErrorCode::FORBIDDEN, "it may not make a room");
    let grants = json!([{ "rooms": "lobby", "may": ["create", "join"] }]);
    let mut own = claims("ada");
    own["madang"] = json!({ "grants": grants, "attributes": { "name": "Ada" } });
    let mut ada = dial(&server, &token(&own));
    ada.welcome();
    let joined = ada.join("lobby");
    let Roster::Full(members) = joined.roster else { panic!("the roster is full") };
    assert_eq!(members[0].attributes[0].0, "name");
    assert_eq!(ada.refused_join("hall"), ErrorCode::FORBIDDEN);
    nobody.join("lobby");
    let wrong = token(&json!({ "sub": "ada", "exp": 1 }));
    assert_eq!(
        super::refused(&server, &wrong),
        UNAUTHORIZED,
        "a bad token is not the same as none"
    );
}

#[test]
fn a_live_session_is_asked_for_a_new_token_and_closed_without_one() {
    let place = Place::new();
    let mut settings = guarded(&place);
    (settings.auth.renew_ms, settings.auth.expired_ms, settings.auth.leeway_s) = (3_600_000, 0, 0);
    let server = Running::start(settings);
    let short = token(&json!({ "sub": "ada", "exp": get_current_timestamp() + 2 }));
    let mut stays = dial(&server, &short);
    let mut goes = dial(&server, &short);
    let key = goes.welcome().resume_key;
    stays.welcome();
    for client in [&mut stays, &mut goes] {
        client.until(|message| matches!(message, ServerMessage::Expiring(_)).then_some(()));
    }
    let renew = |token: String| ClientMessage::Renew(Renew { r#ref: 9, token: token.into() });
    stays.send(&renew(token(&claims("bob"))));
    let refused = stays.until(|message| match message {
        ServerMessage::Error(error) => Some((error.code, error.r#ref)),
        _ => None,
    });
    assert_eq!(refused, (ErrorCode::BAD_TOKEN, ErrorRef::Session));
    stays.send(&renew(token(&claims("ada"))));
    let renewed = stays.until(|message| match message {
        ServerMessage::Renewed(renewed) => Some(renewed),
        _ => None,
    });
    assert!(renewed.r#ref == 9 && renewed.expires_ms.is_some());
    assert_eq!(goes.closed(), Closed::Code(CloseCode::EXPIRED.code));
    stays.round_trip(1);
    // The session waits, for a token of the same user alone.
    for (user, is_resumed) in [("eve", false), ("ada", true)] {
        let ClientMessage::Hello(mut said) = hello_with(&token(&claims(user))) else {
            unreachable!()
        };
        said.resume = Some(madang_protocol::client::Resume { key, rooms: Vec::new() });
        let mut back = Client::dial(Dial::from(server.play_addr()), Wire::Native);
        back.send(&ClientMessage::Hello(said));
        assert_eq!(back.welcome().resumed, is_resumed, "{user}");
    }
}

#[test]
fn a_secret_in_the_environment_and_a_token_on_standard_input_are_looked_into() {
    let place = Place::new();
    let file = place.write("secret", SECRET).display().to_string();
    let set = format!("auth.keys=HS256@file:{file}");
    let arguments = [
        "token",
        "sign",
        "--algorithm",
        "HS256",
        "--key",
        &file,
        "--sub",
        "ada",
        "--grant",
        "lobby*=join",
    ];
    let (_, token, _) = run(&arguments, "");
    let (code, out, error) = run(&["token", "--set", &set, "inspect"], &token);
    assert!(
        code == 0 && out.contains("accepted: user \"ada\"") && out.contains("in lobby*: join"),
        "{out}{error}"
    );
    let (code, out, _) = run(&["token", "--set", &set, "inspect"], &token.replace('.', ".A"));
    assert!(code != 0 && !out.contains("accepted"), "{out}");
    let (code, _, error) = run(&["token", "inspect"], "no token");
    assert!(code == 2 && error.contains("three parts"), "{error}");
    for (bad, says) in [
        (["--ttl", "1x"], "--ttl"),
        (["--grant", "a*b=join"], "neither"),
        (["--grant", "lobby=root"], "root"),
        (["--attribute", "x"], "NAME=VALUE"),
    ] {
        let base = ["token", "sign", "--algorithm", "HS256", "--key", &file, "--sub", "ada"];
        let (code, out, error) = run(&[&base[..], &bad[..]].concat(), "");
        assert!(code == 2 && out.is_empty() && error.contains(says), "{error}");
    }
    // Named by the environment, a key is read from there.
    let env = TokenKey {
        kid: None,
        algorithm: TokenAlgorithm::Hs256,
        from: KeySource::read("env:PATH").expect("a source"),
    };
    assert_eq!(env.from.to_string(), "env:PATH");
}
