//! `madang token`: makes keys and tokens, and says what is in a token. Keys and tokens are read from files,
//! the environment and standard input, never from the command line, which other processes can see.

use super::keys::{SECRET_BYTES_MIN, algorithm, source_bytes};
use super::{Auth, crypto};
use crate::config::{Auth as Settings, KeySource, TokenAlgorithm};
use crate::metrics::Block;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use clap::{Args, Subcommand, ValueEnum};
use jsonwebtoken::dangerous::insecure_decode_claims;
use jsonwebtoken::{EncodingKey, Header, decode_header, encode, get_current_timestamp};
use madang_engine::access::{Pattern, Rights};
use madang_protocol::value::Token;
use ring::rand::{SecureRandom as _, SystemRandom};
use ring::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _,
};
use serde_json::{Map, Value, json};
use std::fmt::Write as _;
use std::fs::OpenOptions;
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What is done with tokens.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Make a key: a private one in FILE and a public one in FILE.pub, or for HS256 a secret in FILE
    Keygen(Keygen),
    /// Make a token and print it
    Sign(Sign),
    /// Say what is in the token that comes on standard input, and whether this configuration takes it;
    /// exits with 0 if it does, 1 if it does not
    Inspect,
}

/// Which key is made.
#[derive(Debug, Args)]
pub struct Keygen {
    /// What it signs with
    #[arg(long, value_enum, default_value = "EdDSA")]
    algorithm: Algorithm,
    /// Where the private key goes; nothing is overwritten
    #[arg(value_name = "FILE")]
    file: PathBuf,
}

/// What the token says.
#[derive(Debug, Args)]
pub struct Sign {
    /// The private key or the secret: a file, or env:NAME
    #[arg(long, value_name = "KEY")]
    key: String,
    /// What it signs with
    #[arg(long, value_enum, default_value = "EdDSA")]
    algorithm: Algorithm,
    /// The name of the key, where auth.keys or the key set gives it one
    #[arg(long)]
    kid: Option<String>,
    /// The user
    #[arg(long, value_name = "USER")]
    sub: String,
    /// How long it is valid: 90s, 30m, 12h or 7d
    #[arg(long, value_name = "TIME", default_value = "1h")]
    ttl: String,
    /// Who makes it
    #[arg(long)]
    iss: Option<String>,
    /// Whom it is for
    #[arg(long)]
    aud: Option<String>,
    /// The application that the user is one of
    #[arg(long)]
    app: Option<String>,
    /// What may be done where, as lobby*,hall=join,publish; may be there several times, and without any
    /// what the server gives its users holds
    #[arg(long, value_name = "ROOMS=RIGHTS")]
    grant: Vec<String>,
    /// What others are shown of the user, as name=Ada; numbers and true are what they are
    #[arg(long, value_name = "NAME=VALUE")]
    attribute: Vec<String>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Algorithm {
    #[value(name = "HS256")]
    Hs256,
    #[value(name = "RS256")]
    Rs256,
    #[value(name = "ES256")]
    Es256,
    #[value(name = "EdDSA")]
    EdDsa,
}

impl From<Algorithm> for TokenAlgorithm {
    fn from(algorithm: Algorithm) -> Self {
        match algorithm {
            Algorithm::Hs256 => Self::Hs256,
            Algorithm::Rs256 => Self::Rs256,
            Algorithm::Es256 => Self::Es256,
            Algorithm::EdDsa => Self::EdDsa,
        }
    }
}

/// Makes a key.
///
/// # Errors
///
/// What is wrong, and what to do.
pub fn keygen(keygen: &Keygen) -> Result<String, String> {
    let Keygen { algorithm, file } = keygen;
    let random = SystemRandom::new();
    let no_luck = |_| "no random numbers from the system".to_owned();
    let (private, public) = match algorithm {
        Algorithm::Rs256 => {
            return Err("RSA keys are made by openssl: openssl genpkey -algorithm RSA -pkeyopt \
                        rsa_keygen_bits:2048 -out FILE, then openssl pkey -in FILE -pubout -out FILE.pub"
                .to_owned());
        }
        Algorithm::Hs256 => {
            let mut secret = [0; SECRET_BYTES_MIN];
            random.fill(&mut secret).map_err(no_luck)?;
            (URL_SAFE_NO_PAD.encode(secret) + "\n", None)
        }
        Algorithm::Es256 => {
            let kind = &ECDSA_P256_SHA256_FIXED_SIGNING;
            let document = EcdsaKeyPair::generate_pkcs8(kind, &random).map_err(no_luck)?;
            let pair = EcdsaKeyPair::from_pkcs8(kind, document.as_ref(), &random)
                .map_err(|error| error.to_string())?;
            let public = [P256_HEAD, pair.public_key().as_ref()].concat();
            (pem("PRIVATE KEY", document.as_ref()), Some(public))
        }
        Algorithm::EdDsa => {
            let document = Ed25519KeyPair::generate_pkcs8(&random).map_err(no_luck)?;
            let pair =
                Ed25519KeyPair::from_pkcs8(document.as_ref()).map_err(|error| error.to_string())?;
            let public = [ED25519_HEAD, pair.public_key().as_ref()].concat();
            (pem("PRIVATE KEY", document.as_ref()), Some(public))
        }
    };
    write_new(file, 0o600, &private)?;
    let shown = file.display();
    let checks = match public {
        None => file.clone(),
        Some(public) => {
            let mut name = file.clone().into_os_string();
            name.push(".pub");
            let name = PathBuf::from(name);
            write_new(&name, 0o644, &pem("PUBLIC KEY", &public))?;
            name
        }
    };
    let algorithm = TokenAlgorithm::from(*algorithm).as_str();
    Ok(format!(
        "{shown} signs (keep it secret), {checks} checks. In the configuration:\n\n\
         [auth]\nkeys = [{{ algorithm = \"{algorithm}\", from = \"file:{checks}\" }}]\n",
        checks = checks.display()
    ))
}

/// Makes a token.
///
/// # Errors
///
/// What is wrong, and what to do.
pub fn sign(sign: &Sign) -> Result<String, String> {
    crypto::install();
    let kind = TokenAlgorithm::from(sign.algorithm);
    let source = KeySource::read(&sign.key).unwrap_or_else(|| KeySource::File((&*sign.key).into()));
    let bytes = source_bytes(&source).map_err(|error| format!("{source}: {error}"))?;
    let key = match sign.algorithm {
        Algorithm::Hs256 => EncodingKey::from_secret(bytes.trim_ascii()),
        Algorithm::Rs256 => EncodingKey::from_rsa_pem(&bytes),
        Algorithm::Es256 => EncodingKey::from_ec_pem(&bytes),
        Algorithm::EdDsa => EncodingKey::from_ed_pem(&bytes),
    };
    let name = kind.as_str();
    let key = key.map_err(|_| {
        format!("{source}: is not a key to sign with {name}: --algorithm says with what")
    })?;
    let ttl_s = seconds(&sign.ttl).ok_or("--ttl is a time like 90s, 30m, 12h or 7d")?;
    let now = get_current_timestamp();
    let mut claims = json!({ "sub": sign.sub, "iat": now, "exp": now.saturating_add(ttl_s) });
    for (name, value) in [("iss", &sign.iss), ("aud", &sign.aud)] {
        if let Some(value) = value {
            claims[name] = json!(value);
        }
    }
    let own = own_claims(sign)?;
    if !own.is_empty() {
        claims["madang"] = Value::Object(own);
    }
    let mut header = Header::new(algorithm(kind));
    header.kid.clone_from(&sign.kid);
    let token = encode(&header, &claims, &key)
        .map_err(|_| format!("{source}: the key cannot sign; is it the private one?"))?;
    Ok(token + "\n")
}

fn own_claims(sign: &Sign) -> Result<Map<String, Value>, String> {
    let mut own = Map::new();
    if let Some(app) = &sign.app {
        own.insert("app".to_owned(), json!(app));
    }
    let mut attributes = Map::new();
    for attribute in &sign.attribute {
        let (name, value) = attribute.split_once('=').ok_or("--attribute is written NAME=VALUE")?;
        let value = serde_json::from_str(value)
            .ok()
            .filter(|value: &Value| value.is_number() || value.is_boolean())
            .unwrap_or_else(|| json!(value));
        attributes.insert(name.to_owned(), value);
    }
    if !attributes.is_empty() {
        own.insert("attributes".to_owned(), Value::Object(attributes));
    }
    let mut grants = Vec::new();
    for grant in &sign.grant {
        let (rooms, may) =
            grant.split_once('=').ok_or("--grant is written ROOMS=RIGHTS: lobby*=join,publish")?;
        let rooms: Vec<&str> = rooms.split(',').collect();
        if let Some(room) = rooms.iter().find(|room| Pattern::read(room).is_none()) {
            return Err(format!(
                "--grant: {room:?} is neither the name of a room nor its beginning with a *"
            ));
        }
        let may: Vec<&str> = may.split(',').collect();
        if let Some(right) = may.iter().find(|right| Rights::named(right).is_none()) {
            let names = Rights::NAMES.map(|(name, _)| name).join(", ");
            return Err(format!("--grant: {right:?} is not one of {names}"));
        }
        grants.push(json!({ "rooms": rooms, "may": may }));
    }
    if !grants.is_empty() {
        own.insert("grants".to_owned(), Value::Array(grants));
    }
    Ok(own)
}

/// Says what is in the token on standard input, and whether `settings` take it.
///
/// # Errors
///
/// When there is no token.
pub fn inspect(settings: &Settings) -> Result<(String, bool), String> {
    let mut text = String::new();
    let most = u64::from(settings.token_bytes_max) + 2;
    io::stdin()
        .take(most)
        .read_to_string(&mut text)
        .map_err(|error| format!("standard input: {error}"))?;
    let text = text.trim();
    let not_one = "standard input has no token: three parts in base64url with dots between them";
    let header = decode_header(text).map_err(|_| not_one)?;
    let claims: Value = insecure_decode_claims(text).map_err(|_| not_one)?;
    let auth = Auth::new(settings, Arc::new(Block::default()));
    let mut out = String::new();
    let header = json!({ "alg": header.alg, "kid": header.kid, "typ": header.typ });
    let _ = writeln!(out, "{header:#}\n{claims:#}");
    if !auth.takes_tokens() {
        let _ = writeln!(
            out,
            "not checked: the configuration names no keys (auth.keys, auth.jwks_file)"
        );
        return Ok((out, false));
    }
    match auth.check(&Token::from(text)) {
        Ok(identity) => {
            let user = identity.user.as_deref().unwrap_or_default();
            let _ = writeln!(out, "accepted: user {user:?}");
            for grant in &identity.grants {
                let rooms: Vec<_> = grant.rooms.iter().map(ToString::to_string).collect();
                let may: Vec<_> = grant.may.names().collect();
                let _ = writeln!(out, "  in {}: {}", rooms.join(", "), may.join(", "));
            }
            Ok((out, true))
        }
        Err(refusal) => {
            let _ = writeln!(out, "refused: {refusal}");
            Ok((out, false))
        }
    }
}

fn seconds(text: &str) -> Option<u64> {
    let (unit_at, unit) = text.char_indices().last()?;
    let each = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3600,
        'd' => 86_400,
        _ => return None,
    };
    text[..unit_at].parse::<u64>().ok()?.checked_mul(each)
}

/// What stands before a public key of P-256 in a `SubjectPublicKeyInfo` (RFC 5480 section 2).
const P256_HEAD: &[u8] = &[
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a,
    0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
];
/// What stands before a public key of Ed25519 there (RFC 8410 section 4).
const ED25519_HEAD: &[u8] =
    &[0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

/// Bytes as PEM (RFC 7468 section 3).
fn pem(label: &str, bytes: &[u8]) -> String {
    let text = STANDARD.encode(bytes);
    let mut pem = format!("-----BEGIN {label}-----\n");
    let mut rest = &*text;
    while !rest.is_empty() {
        let (line, more) = rest.split_at(rest.len().min(64));
        pem.push_str(line);
        pem.push('\n');
        rest = more;
    }
    let _ = writeln!(pem, "-----END {label}-----");
    pem
}

fn write_new(path: &Path, mode: u32, text: &str) -> Result<(), String> {
    let mut options = OpenOptions::new();
    let file = options.write(true).create_new(true).mode(mode).open(path);
    file.and_then(|mut file| file.write_all(text.as_bytes()))
        .map_err(|error| format!("{}: cannot be written: {error}", path.display()))
}
