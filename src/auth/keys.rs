//! The keys that tokens are checked with: read from files and the environment, each pinned to one
//! algorithm, found by the `kid` of a token.
//!
//! Deliberately absent: when they are read again (`checking.rs`), and what tokens say (`claims.rs`).

use crate::config::{Auth as Settings, KeySource, TokenAlgorithm, TokenKey};
use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyAlgorithm, PublicKeyUse};
use jsonwebtoken::{Algorithm, AlgorithmFamily, DecodingKey, DecodingKeyKind, Header, Validation};
use serde::Deserialize;
use std::os::unix::fs::MetadataExt as _;
use std::time::SystemTime;
use std::{env, fs, io};

/// Least bytes of a secret, those of the digest that it keys (RFC 7518 section 3.2).
pub(super) const SECRET_BYTES_MIN: usize = 32;
/// Least bytes of an RSA modulus: 2048 bits (RFC 7518 section 3.3).
const RSA_BYTES_MIN: usize = 256;
/// Largest file with keys.
const FILE_BYTES_MAX: u64 = 1 << 20;
/// Most keys of a set.
const SET_KEYS_MAX: usize = 256;

/// A key that checks tokens.
pub(super) struct Key {
    kid: Option<Box<str>>,
    algorithm: TokenAlgorithm,
    pub(super) decoding: DecodingKey,
    pub(super) validation: Validation,
}

/// Where one or more keys come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Source {
    /// One key.
    Key(TokenKey),
    /// A file with a set of them.
    Set(Box<str>),
}

/// What a file was like when it was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stamp(Option<(u64, u64, Option<SystemTime>)>);

/// Why a source gives no keys, with where it is.
pub(super) type Unusable = String;

/// The sources that a configuration names.
pub(super) fn sources(settings: &Settings) -> Vec<Source> {
    let keys = settings.keys.iter().cloned().map(Source::Key);
    keys.chain(settings.jwks_file.0.iter().cloned().map(Source::Set)).collect()
}

impl Source {
    /// What its file is like now; always the same without one.
    pub(super) fn stamp(&self) -> Stamp {
        let path = match self {
            Source::Set(path) | Source::Key(TokenKey { from: KeySource::File(path), .. }) => path,
            Source::Key(_) => return Stamp(None),
        };
        let metadata = fs::metadata(&**path).ok();
        Stamp(metadata.map(|known| (known.ino(), known.len(), known.modified().ok())))
    }

    /// Reads its keys.
    pub(super) fn read(&self, settings: &Settings) -> Result<Vec<Key>, Unusable> {
        let named = |error: String| format!("{self}: {error}");
        match self {
            Source::Key(rule) => {
                let bytes = source_bytes(&rule.from).map_err(named)?;
                Ok(vec![one(rule, &bytes, settings).map_err(named)?])
            }
            Source::Set(path) => set(&file_bytes(path).map_err(named)?, settings).map_err(named),
        }
    }
}

impl std::fmt::Display for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Source::Key(rule) => write!(f, "auth.keys, {}", rule.from),
            Source::Set(path) => write!(f, "auth.jwks_file, {path}"),
        }
    }
}

impl Key {
    /// Whether a token with this header is one of this key's.
    pub(super) fn is_named_by(&self, header: &Header) -> bool {
        match (&self.kid, &header.kid) {
            (Some(own), Some(named)) => **own == **named,
            (None, None) => self.algorithm() == header.alg,
            _ => false,
        }
    }

    pub(super) fn algorithm(&self) -> Algorithm {
        algorithm(self.algorithm)
    }

    /// Whether checking with it takes so long that no turn should wait for it.
    pub(super) fn is_slow(&self) -> bool {
        self.algorithm != TokenAlgorithm::Hs256
    }
}

/// The algorithm in the library's words.
pub(super) fn algorithm(algorithm: TokenAlgorithm) -> Algorithm {
    match algorithm {
        TokenAlgorithm::Hs256 => Algorithm::HS256,
        TokenAlgorithm::Rs256 => Algorithm::RS256,
        TokenAlgorithm::Es256 => Algorithm::ES256,
        TokenAlgorithm::EdDsa => Algorithm::EdDSA,
    }
}

/// What stands in a file or an environment variable.
pub(super) fn source_bytes(source: &KeySource) -> Result<Vec<u8>, String> {
    match source {
        KeySource::File(path) => file_bytes(path),
        KeySource::Environment(name) => match env::var(&**name) {
            Ok(text) => Ok(text.into_bytes()),
            Err(env::VarError::NotPresent) => Err("the variable is not set".to_owned()),
            Err(env::VarError::NotUnicode(_)) => Err("the variable is not text".to_owned()),
        },
    }
}

fn file_bytes(path: &str) -> Result<Vec<u8>, String> {
    let read = || {
        let known = fs::metadata(path)?;
        if !known.is_file() {
            // A pipe may never end, and a device have no end.
            return Err(io::Error::other("it is no file"));
        }
        if known.len() > FILE_BYTES_MAX {
            return Err(io::Error::other(format!("it has more than {FILE_BYTES_MAX} bytes")));
        }
        fs::read(path)
    };
    read().map_err(|error| format!("cannot be read: {error}"))
}

fn one(rule: &TokenKey, bytes: &[u8], settings: &Settings) -> Result<Key, String> {
    let not = |what: &str| format!("is not {what}");
    let key = match rule.algorithm {
        TokenAlgorithm::Hs256 => {
            DecodingKey::from_secret(bytes.trim_ascii()).map_err(|_| not("a secret"))?
        }
        TokenAlgorithm::Rs256 => DecodingKey::from_rsa_pem(bytes)
            .map_err(|_| not("an RSA key in PEM (openssl pkey -pubout makes one)"))?,
        TokenAlgorithm::Es256 => DecodingKey::from_ec_pem(bytes)
            .map_err(|_| not("a public key of the curve P-256 in PEM"))?,
        TokenAlgorithm::EdDsa => DecodingKey::from_ed_pem(bytes)
            .map_err(|_| not("a public key of the curve Ed25519 in PEM"))?,
    };
    checked(rule.kid.clone(), rule.algorithm, key, settings)
}

#[derive(Deserialize)]
struct Set {
    keys: Vec<serde_json::Value>,
}

/// The keys of a set that are for signatures of an algorithm that is accepted; sets have others too.
fn set(bytes: &[u8], settings: &Settings) -> Result<Vec<Key>, String> {
    // What the parser says may have a secret in it.
    let Ok(set) = serde_json::from_slice::<Set>(bytes) else {
        return Err("is not a JSON Web Key Set: an object with a list of keys".to_owned());
    };
    if set.keys.len() > SET_KEYS_MAX {
        return Err(format!("has more than {SET_KEYS_MAX} keys"));
    }
    let mut keys: Vec<Key> = Vec::new();
    for (place, value) in set.keys.into_iter().enumerate() {
        let Ok(jwk) = serde_json::from_value::<Jwk>(value) else { continue };
        let is_for_signatures =
            matches!(jwk.common.public_key_use, None | Some(PublicKeyUse::Signature));
        let Some(algorithm) = algorithm_of(&jwk).filter(|_| is_for_signatures) else { continue };
        let told = |what: String| format!("key {place} of the set {what}");
        let key = DecodingKey::from_jwk(&jwk).map_err(|_| told("is broken".to_owned()))?;
        let kid = jwk.common.key_id.map(String::into_boxed_str);
        let key = checked(kid, algorithm, key, settings).map_err(told)?;
        if keys.iter().any(|other| {
            other.kid == key.kid && (key.kid.is_some() || other.algorithm == key.algorithm)
        }) {
            return Err(told("has the kid of another one".to_owned()));
        }
        keys.push(key);
    }
    if keys.is_empty() {
        return Err("has no key for HS256, RS256, ES256 or EdDSA".to_owned());
    }
    Ok(keys)
}

/// What a key of a set signs with: what it says, as far as that is what its type can do.
fn algorithm_of(jwk: &Jwk) -> Option<TokenAlgorithm> {
    let (natural, name) = match &jwk.algorithm {
        AlgorithmParameters::RSA(_) => (TokenAlgorithm::Rs256, KeyAlgorithm::RS256),
        AlgorithmParameters::EllipticCurve(key) if key.curve == EllipticCurve::P256 => {
            (TokenAlgorithm::Es256, KeyAlgorithm::ES256)
        }
        AlgorithmParameters::OctetKeyPair(key) if key.curve == EllipticCurve::Ed25519 => {
            (TokenAlgorithm::EdDsa, KeyAlgorithm::EdDSA)
        }
        AlgorithmParameters::OctetKey(_) => (TokenAlgorithm::Hs256, KeyAlgorithm::HS256),
        _ => return None,
    };
    let is_said = jwk.common.key_algorithm.is_none_or(|said| said == name);
    is_said.then_some(natural)
}

/// A key that is strong enough, with what its tokens are checked for.
fn checked(
    kid: Option<Box<str>>,
    algorithm: TokenAlgorithm,
    key: DecodingKey,
    settings: &Settings,
) -> Result<Key, String> {
    let bytes = match key.kind() {
        DecodingKeyKind::SecretOrDer(bytes) => bytes.len(),
        DecodingKeyKind::RsaModulusExponent { n, .. } => n.len(),
    };
    match key.family() {
        AlgorithmFamily::Hmac if bytes < SECRET_BYTES_MIN => {
            return Err(format!("is a secret of less than {SECRET_BYTES_MIN} bytes"));
        }
        AlgorithmFamily::Rsa if bytes < RSA_BYTES_MIN => {
            return Err("is an RSA key of less than 2048 bits".to_owned());
        }
        AlgorithmFamily::Ec if bytes != 65 => {
            return Err("is not a key of the curve P-256".to_owned());
        }
        AlgorithmFamily::Ed if bytes != 32 => {
            return Err("is not a key of the curve Ed25519".to_owned());
        }
        _ => {}
    }
    let mut validation = Validation::new(self::algorithm(algorithm));
    validation.leeway = settings.leeway_s.into();
    validation.validate_nbf = true;
    let mut required = vec!["exp", "sub"];
    if !settings.issuers.is_empty() {
        let issuers: Vec<_> = settings.issuers.iter().map(|text| &text.0).collect();
        validation.set_issuer(&issuers);
        required.push("iss");
    }
    if !settings.audiences.is_empty() {
        let audiences: Vec<_> = settings.audiences.iter().map(|text| &text.0).collect();
        validation.set_audience(&audiences);
        required.push("aud");
    }
    validation.set_required_spec_claims(&required);
    Ok(Key { kid, algorithm, decoding: key, validation })
}
