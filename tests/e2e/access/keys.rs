//! Keys that change, and keys that cannot be read.

use super::{Place, SECRET, claims, dial, guarded, key, refused, run, token};
use crate::support::client::{Client, Closed, Wire};
use crate::support::{Running, config, wait_for};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use madang::Server;
use madang::config::{Anonymous, FilePath, TokenAlgorithm};
use madang::metrics::Counter;
use madang_protocol::CloseCode;
use serde_json::json;

const UNAUTHORIZED: Closed = Closed::Code(CloseCode::UNAUTHORIZED.code);

fn set(keys: &[(&str, &str)]) -> String {
    let keys: Vec<_> = keys
        .iter()
        .map(|(kid, secret)| json!({ "kty": "oct", "kid": kid, "alg": "HS256", "k": URL_SAFE_NO_PAD.encode(secret) }))
        .collect();
    let others = json!([
        { "kty": "RSA", "kid": "enc", "use": "enc", "n": "AQAB", "e": "AQAB" },
        { "kty": "EC", "kid": "p384", "crv": "P-384", "x": "AA", "y": "AA" },
        { "kty": "something new" },
    ]);
    let all: Vec<_> = keys.into_iter().chain(others.as_array().expect("a list").clone()).collect();
    json!({ "keys": all }).to_string()
}

fn signed(kid: &str, secret: &str) -> String {
    let mut header = Header::new(Algorithm::HS256);
    header.kid = Some(kid.to_owned());
    let key = EncodingKey::from_secret(secret.as_bytes()).expect("a secret");
    encode(&header, &claims("ada"), &key).expect("it can be signed")
}

#[test]
fn keys_of_a_set_come_and_go_and_a_broken_file_changes_nothing() {
    let (one, two) =
        ("the first secret, which is long enough", "the second secret, which is long too");
    let place = Place::new();
    let mut settings = guarded(&place);
    settings.auth.jwks_file =
        FilePath(Some(place.write("jwks", set(&[("one", one)])).display().to_string().into()));
    let server = Running::start(settings);
    let count = |counter| server.metrics().tokens().get(counter);
    let (of_one, of_two) = (signed("one", one), signed("two", two));
    dial(&server, &of_one).welcome();
    assert_eq!(refused(&server, &of_two), UNAUTHORIZED);

    // Both, for as long as tokens of the old one live.
    place.write("jwks", set(&[("one", one), ("two", two)]));
    wait_for("the new key", || (count(Counter::TokenKeys) == 3).then_some(()));
    dial(&server, &of_one).welcome();
    let mut second = dial(&server, &of_two);
    second.welcome();

    for broken in [
        "{",
        "[]",
        "{\"keys\": []}",
        "{\"keys\": [{\"kty\": \"oct\", \"alg\": \"HS256\", \"k\": \"c2hvcnQ\"}]}",
    ] {
        let before = count(Counter::TokenReloadFailures);
        place.write("jwks", broken);
        wait_for("the broken file", || {
            (count(Counter::TokenReloadFailures) > before).then_some(())
        });
        wait_for("the failure", || (count(Counter::TokenSourcesFailing) == 1).then_some(()));
        dial(&server, &of_two).welcome();
    }
    std::fs::remove_file(place.path("jwks")).expect("it is there");
    let before = count(Counter::TokenReloadFailures);
    wait_for("the file that is gone", || {
        (count(Counter::TokenReloadFailures) > before).then_some(())
    });
    dial(&server, &of_two).welcome();

    place.write("jwks", set(&[("two", two)]));
    wait_for("the old key's end", || (count(Counter::TokenKeys) == 2).then_some(()));
    wait_for("no failure", || (count(Counter::TokenSourcesFailing) == 0).then_some(()));
    assert_eq!(refused(&server, &of_one), UNAUTHORIZED);
    second.round_trip(1);

    // What SIGHUP does, without a change of the file's looks.
    let before = count(Counter::TokenReloads);
    server.reload_keys();
    wait_for("another reading", || (count(Counter::TokenReloads) >= before + 2).then_some(()));
}

#[test]
fn keys_that_cannot_be_read_keep_nobody_out_but_their_own() {
    let place = Place::new();
    let mut settings = config();
    settings.auth.keys = vec![
        key(Some("good"), TokenAlgorithm::Hs256, &place.write("secret", SECRET)),
        key(Some("gone"), TokenAlgorithm::EdDsa, &place.path("nowhere")),
        key(Some("weak"), TokenAlgorithm::Hs256, &place.write("weak", "short")),
        key(Some("other"), TokenAlgorithm::Es256, &place.write("pem", "-----BEGIN nothing")),
    ];
    settings.auth.jwks_file = FilePath(Some(place.path("no-set").display().to_string().into()));
    let server = Running::start(settings);
    assert_eq!(server.metrics().tokens().get(Counter::TokenSourcesFailing), 4);
    let (mut nobody, _) = Client::connect(server.play_addr(), Wire::Native);
    nobody.join("lobby");
    let mut ada = dial(&server, &signed("good", SECRET));
    ada.welcome();
    ada.join("lobby");
    assert_eq!(refused(&server, &signed("gone", SECRET)), UNAUTHORIZED);
    assert_eq!(refused(&server, &token(&claims("ada"))), UNAUTHORIZED, "it names no key");
}

#[test]
fn a_server_that_nobody_could_enter_does_not_start() {
    let place = Place::new();
    let mut settings = config();
    settings.auth.anonymous = Anonymous::Off;
    settings.auth.jwks_file = FilePath(Some(place.path("no-set").display().to_string().into()));
    let error = Server::start(settings).expect_err("nobody could come in").to_string();
    assert!(error.contains("auth.anonymous is off"), "{error}");
}

#[test]
fn a_server_that_others_reach_has_to_say_whom_it_lets_in() {
    let start = |more: &[&str]| {
        let base = ["check-config", "--listen", "0.0.0.0:7700"];
        run(&[&base[..], more].concat(), "")
    };
    let (code, _, error) = start(&[]);
    assert!(code == 2 && error.contains("everywhere") && error.contains("auth.keys"), "{error}");
    assert_eq!(start(&["--set", "auth.anonymous=everywhere"]).0, 0);
    assert_eq!(
        start(&["--set", "auth.anonymous=off"]).0,
        2,
        "and with what is anybody to come in?"
    );
    let keys = "auth.keys=HS256@env:SECRET";
    assert_eq!(start(&["--set", "auth.anonymous=off", "--set", keys]).0, 0);
    let proxied = ["check-config", "--set", "access.proxies=127.0.0.1/32"];
    let (code, _, error) = run(&proxied, "");
    assert!(code == 2 && error.contains("access.proxies names proxies"), "{error}");
    let said = [&proxied[..], &["--set", "auth.anonymous=everywhere"]].concat();
    assert_eq!(run(&said, "").0, 0);
    let (code, _, error) = run(&["check-config", "--watch-listen", "[::]:1"], "");
    assert!(code == 2 && error.contains("watch.listen"), "{error}");
    assert_eq!(run(&["check-config", "--listen", "[::1]:7"], "").0, 0);
}
