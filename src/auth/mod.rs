//! Who a credential stands for: keys, tokens, and who is kept out.
//!
//! One [`Auth`] is shared by all threads. A token whose check is quick is checked where it comes; one whose
//! check takes long goes to a thread of its own through a bounded queue (`checking.rs`), which also reads
//! keys again when their files change. Everything here is on the way in: the data path knows an
//! [`Identity`] and asks nothing.
//!
//! The parts: `keys.rs`, `claims.rs`, `carriers.rs` (where a request has its token), `crypto.rs`
//! (signatures), `tool.rs` (`madang token`).

mod carriers;
mod checking;
mod claims;
mod crypto;
mod keys;
pub mod tool;

pub use carriers::{BEARER_SUBPROTOCOL, Ways, find};
pub use checking::{Checker, start};

use crate::config::{Anonymous, Auth as Settings};
use crate::metrics::{Block, Counter};
use crate::net::http::Response;
use claims::Claims;
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Header, decode, decode_header};
use keys::{Key, Source, Stamp};
use madang_engine::access::{Identity, UserKey};
use madang_protocol::CloseCode;
use madang_protocol::value::Token;
use parking_lot::RwLock;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

/// Why somebody is not let in. No variant says anything of the token itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// There is none, and one is needed.
    Missing,
    /// It is no token.
    Malformed,
    /// It is larger than tokens may be.
    TooLong,
    /// No key here signed it, or not with what that key is for.
    UnknownKey,
    /// Its signature is none of its key's.
    Signature,
    /// It has expired.
    Expired,
    /// It is not valid yet.
    NotYet,
    /// It is from somebody else than it should be.
    Issuer,
    /// It is for somebody else.
    Audience,
    /// A claim is missing, or not what it should be: which and how.
    Claims(&'static str),
    /// The user is kept out.
    Banned,
    /// Too many wait to be checked.
    Busy,
}

const REFUSALS: [Counter; 12] = [
    Counter::TokensMissing,
    Counter::TokensMalformed,
    Counter::TokensTooLong,
    Counter::TokensUnknownKey,
    Counter::TokensSignature,
    Counter::TokensExpired,
    Counter::TokensNotYet,
    Counter::TokensIssuer,
    Counter::TokensAudience,
    Counter::TokensClaims,
    Counter::TokensBanned,
    Counter::TokensBusy,
];

impl Refusal {
    /// What a connection is closed with.
    pub fn close_code(self) -> CloseCode {
        match self {
            Self::Banned => CloseCode::KICKED,
            Self::Busy => CloseCode::BUSY,
            _ => CloseCode::UNAUTHORIZED,
        }
    }

    fn counter(self) -> Counter {
        let place = match self {
            Self::Missing => 0,
            Self::Malformed => 1,
            Self::TooLong => 2,
            Self::UnknownKey => 3,
            Self::Signature => 4,
            Self::Expired => 5,
            Self::NotYet => 6,
            Self::Issuer => 7,
            Self::Audience => 8,
            Self::Claims(_) => 9,
            Self::Banned => 10,
            Self::Busy => 11,
        };
        REFUSALS[place]
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Missing => "a token is needed here, and there was none",
            Self::Malformed => {
                "the token is not one: three parts in base64url with dots between them"
            }
            Self::TooLong => "the token is longer than tokens may be (auth.token_bytes_max)",
            Self::UnknownKey => "the token is signed with no key and algorithm that are known here",
            Self::Signature => "the token's signature is wrong",
            Self::Expired => "the token has expired",
            Self::NotYet => "the token is not valid yet",
            Self::Issuer => "the token is from another issuer than it may be",
            Self::Audience => "the token is for another audience",
            Self::Claims(what) => return write!(f, "the token's claims are wrong: {what}"),
            Self::Banned => "the user is kept out for a while",
            Self::Busy => "too many tokens wait to be checked; try again",
        })
    }
}

/// Everything that is known about who may come in.
pub struct Auth {
    settings: Settings,
    /// Who those are that bring nothing, if they may come.
    anonymous: Option<Arc<Identity>>,
    sources: Vec<(Source, RwLock<Known>)>,
    /// Users that are kept out of the server, and until when in milliseconds since 1970.
    bans: RwLock<BTreeMap<UserKey, u64>>,
    block: Arc<Block>,
}

/// What one source of keys gave.
struct Known {
    keys: Arc<Vec<Key>>,
    stamp: Stamp,
    is_failing: bool,
}

impl Auth {
    /// Reads all keys; what cannot be read is logged, counted and tried again when it changes.
    pub fn new(settings: &Settings, block: Arc<Block>) -> Self {
        crypto::install();
        let anonymous = (settings.anonymous != Anonymous::Off).then(|| {
            Arc::new(Identity { grants: settings.anonymous_may.clone(), ..Identity::default() })
        });
        let sources = keys::sources(settings).into_iter().map(|source| {
            let stamp = source.stamp();
            (source, RwLock::new(Known { keys: Arc::default(), stamp, is_failing: false }))
        });
        let auth = Self {
            anonymous,
            sources: sources.collect(),
            settings: settings.clone(),
            bans: RwLock::default(),
            block,
        };
        auth.reload();
        auth
    }

    /// Whether nobody can come in: no one without a token, and no key for any.
    pub fn is_closed(&self) -> bool {
        self.anonymous.is_none() && self.keys().all(|keys| keys.is_empty())
    }

    /// Whether tokens are anything that is known here.
    pub fn takes_tokens(&self) -> bool {
        !self.sources.is_empty()
    }

    /// The name of the cookie that a token may come in.
    pub fn cookie(&self) -> Option<&str> {
        self.settings.cookie.0.as_deref()
    }

    /// Who those are that bring nothing.
    ///
    /// # Errors
    ///
    /// When they have to bring something.
    pub fn anonymous(&self) -> Result<Arc<Identity>, Refusal> {
        self.anonymous.clone().ok_or_else(|| self.counted(Refusal::Missing))
    }

    /// Who a token stands for, however long that takes.
    ///
    /// # Errors
    ///
    /// Why nobody.
    pub fn check(&self, token: &Token) -> Result<Arc<Identity>, Refusal> {
        let header = self.header(token).map_err(|refusal| self.counted(refusal))?;
        let checked = self.check_with(token, &header);
        match checked {
            Ok(identity) => {
                self.block.add(Counter::TokensAccepted, 1);
                Ok(Arc::new(identity))
            }
            Err(refusal) => Err(self.counted(refusal)),
        }
    }

    /// Whether checking a token takes so long that no turn should wait for it.
    ///
    /// # Errors
    ///
    /// Why there is nothing to be checked.
    pub fn is_slow(&self, token: &Token) -> Result<bool, Refusal> {
        let header = self.header(token).map_err(|refusal| self.counted(refusal))?;
        let keys: Vec<_> = self.keys().collect();
        let named = keys.iter().flat_map(|keys| keys.iter()).find(|key| key.is_named_by(&header));
        Ok(named.is_some_and(Key::is_slow))
    }

    /// An identity that was checked a while ago, if its user is still let in.
    ///
    /// # Errors
    ///
    /// When it is kept out.
    pub fn admit(&self, identity: Arc<Identity>) -> Result<Arc<Identity>, Refusal> {
        let bans = self.bans.read();
        let banned = match identity.user_key() {
            Some(user) if !bans.is_empty() => {
                bans.get(&user).is_some_and(|until| *until > wall_ms())
            }
            _ => false,
        };
        drop(bans);
        if banned { Err(self.counted(Refusal::Banned)) } else { Ok(identity) }
    }

    /// Keeps a user out of the server for so many milliseconds. False when there is no place for more.
    pub fn ban(&self, user: UserKey, for_ms: u64) -> bool {
        let now = wall_ms();
        let mut bans = self.bans.write();
        let most = self.settings.bans_max as usize;
        if bans.len() >= most && !bans.contains_key(&user) {
            bans.retain(|_, until| *until > now);
            if bans.len() >= most {
                return false;
            }
        }
        bans.insert(user, now.saturating_add(for_ms));
        true
    }

    /// Lets a user in again.
    pub fn unban(&self, user: &UserKey) {
        self.bans.write().remove(user);
    }

    /// Counts a refusal that is answered by somebody else.
    pub(crate) fn counted(&self, refusal: Refusal) -> Refusal {
        self.block.add(refusal.counter(), 1);
        refusal
    }

    /// Reads every key again. A source that cannot be read keeps what it had.
    pub fn reload(&self) {
        for (source, known) in &self.sources {
            let stamp = source.stamp();
            read_into(source, stamp, known, &self.settings, &self.block);
        }
        self.count_keys();
    }

    /// Reads the keys again whose files have changed.
    fn reload_changed(&self) {
        let mut has_changed = false;
        for (source, known) in &self.sources {
            let stamp = source.stamp();
            if stamp != known.read().stamp {
                has_changed = true;
                read_into(source, stamp, known, &self.settings, &self.block);
            }
        }
        if has_changed {
            self.count_keys();
        }
    }

    fn count_keys(&self) {
        let keys = self.keys().map(|keys| keys.len()).sum::<usize>();
        let failing = self.sources.iter().filter(|(_, known)| known.read().is_failing).count();
        self.block.set(Counter::TokenKeys, keys as u64);
        self.block.set(Counter::TokenSourcesFailing, failing as u64);
    }

    fn keys(&self) -> impl Iterator<Item = Arc<Vec<Key>>> {
        self.sources.iter().map(|(_, known)| Arc::clone(&known.read().keys))
    }

    fn header(&self, token: &Token) -> Result<Header, Refusal> {
        let text = token.expose();
        if text.len() > self.settings.token_bytes_max as usize {
            return Err(Refusal::TooLong);
        }
        decode_header(text).map_err(|_| Refusal::Malformed)
    }

    fn check_with(&self, token: &Token, header: &Header) -> Result<Identity, Refusal> {
        let keys: Vec<_> = self.keys().collect();
        let mut all = keys.iter().flat_map(|keys| keys.iter());
        let key = all.find(|key| key.is_named_by(header)).ok_or(Refusal::UnknownKey)?;
        if key.algorithm() != header.alg {
            return Err(Refusal::UnknownKey);
        }
        let decoded = decode::<Claims>(token.expose(), &key.decoding, &key.validation);
        let claims = decoded.map_err(|error| refusal(error.kind()))?.claims;
        let identity = claims.identity(&self.settings.user_may).map_err(Refusal::Claims)?;
        let user = identity.user_key();
        let bans = self.bans.read();
        let is_banned = |user: &UserKey| bans.get(user).is_some_and(|until| *until > wall_ms());
        if user.as_ref().is_some_and(is_banned) { Err(Refusal::Banned) } else { Ok(identity) }
    }
}

impl fmt::Debug for Auth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Auth").field("sources", &self.sources.len()).finish_non_exhaustive()
    }
}

/// The answer to a request whose token is not one that lets it in.
pub fn unauthorized(refusal: Refusal) -> Response {
    let status = match refusal {
        Refusal::Banned => 403,
        Refusal::Busy => 503,
        _ => 401,
    };
    let response = Response::text(status, &refusal.to_string());
    if status != 401 {
        return response;
    }
    let challenge = match refusal {
        Refusal::Missing => "Bearer realm=\"madang\"",
        _ => "Bearer realm=\"madang\", error=\"invalid_token\"",
    };
    response.header("WWW-Authenticate", challenge)
}

fn read_into(
    source: &Source,
    stamp: Stamp,
    known: &RwLock<Known>,
    settings: &Settings,
    block: &Block,
) {
    let read = source.read(settings);
    let mut known = known.write();
    known.stamp = stamp;
    known.is_failing = read.is_err();
    match read {
        Ok(keys) => {
            block.add(Counter::TokenReloads, 1);
            tracing::info!(%source, keys = keys.len(), "keys for tokens were read");
            known.keys = Arc::new(keys);
        }
        Err(problem) => {
            block.add(Counter::TokenReloadFailures, 1);
            let kept = known.keys.len();
            tracing::error!(%problem, kept, "keys for tokens were not read; what was known before stays in use");
        }
    }
}

fn refusal(error: &ErrorKind) -> Refusal {
    match error {
        ErrorKind::InvalidSignature => Refusal::Signature,
        ErrorKind::InvalidAlgorithm | ErrorKind::InvalidAlgorithmName => Refusal::UnknownKey,
        ErrorKind::ExpiredSignature => Refusal::Expired,
        ErrorKind::ImmatureSignature => Refusal::NotYet,
        ErrorKind::InvalidIssuer => Refusal::Issuer,
        ErrorKind::InvalidAudience => Refusal::Audience,
        ErrorKind::MissingRequiredClaim(_) => Refusal::Claims(
            "exp and sub are needed, and iss and aud where the server asks for them",
        ),
        ErrorKind::InvalidClaimFormat(_) => {
            Refusal::Claims("exp, nbf, iss or aud is not what it should be")
        }
        // Signed with a known key, so it is one of ours, and somebody made it wrong.
        ErrorKind::Json(_) => {
            Refusal::Claims("they do not have the form that SPEC.md, section 19, says")
        }
        _ => Refusal::Malformed,
    }
}

/// Milliseconds since 1970 UTC.
fn wall_ms() -> u64 {
    // A wall clock before 1970 is no reason to stop.
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis() as u64
}

#[cfg(test)]
mod tests;
