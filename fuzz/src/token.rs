//! Tokens: a stranger's, and those that a holder of the key could make.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use madang::auth::Auth;
use madang::config;
use madang::metrics::Metrics;
use madang_protocol::value::Token;
use ring::hmac;
use std::sync::LazyLock;

const SECRET: &str = "a secret of the fuzzer, which is long enough";

/// A server's with one key, for HS256.
static AUTH: LazyLock<Auth> = LazyLock::new(|| {
    let path = std::env::temp_dir().join(format!("madang-fuzz-{}", std::process::id()));
    std::fs::write(&path, SECRET).expect("a file");
    let from = config::KeySource::File(path.display().to_string().into());
    let key = config::TokenKey { kid: None, algorithm: config::TokenAlgorithm::Hs256, from };
    let settings = config::Auth { keys: vec![key], ..config::Auth::default() };
    let auth = Auth::new(&settings, Metrics::new(1, 1).shard(0));
    std::fs::remove_file(&path).expect("it was read");
    auth
});

/// A token. Without a signature of the key it lets nobody in; with one it lets in somebody with a name, within
/// the bounds, and only by the key's own algorithm. A header and claims come with a zero between them, and are
/// signed here; anything else is a token as it is.
pub fn token(bytes: &[u8]) {
    if let Ok(text) = std::str::from_utf8(bytes) {
        assert!(AUTH.check(&Token::from(text)).is_err(), "nobody has signed it");
        let _ = AUTH.is_slow(&Token::from(text));
    }
    let Some(middle) = bytes.iter().position(|byte| *byte == 0) else { return };
    let (header, claims) = (&bytes[..middle], &bytes[middle + 1..]);
    let key = hmac::Key::new(hmac::HMAC_SHA256, SECRET.as_bytes());
    let said = format!("{}.{}", BASE64.encode(header), BASE64.encode(claims));
    let signature = BASE64.encode(hmac::sign(&key, said.as_bytes()));
    let Ok(identity) = AUTH.check(&Token::from(&*format!("{said}.{signature}"))) else { return };

    let header: serde_json::Value =
        serde_json::from_slice(header).expect("an accepted header is JSON");
    assert_eq!(header["alg"], "HS256");
    assert!(header.get("crit").is_none());
    let user = identity.user.as_deref().expect("a token is somebody's");
    assert!((1..=256).contains(&user.len()) && !user.chars().any(char::is_control));
    assert!(identity.app.len() <= 64);
    assert!(identity.expires_ms.is_some());
}
