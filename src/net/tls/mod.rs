//! TLS for a listener: certificates, the handshake's rules, and sessions over sockets.
//!
//! [`Tls`] is one for the process and shared by all reactors. Certificates can be loaded anew at any
//! time: handshakes that begin from then on use the new ones, and nobody who is connected notices.
//! The only lock is taken once in a handshake.
//!
//! Deliberately absent: certificates of clients, and anything about what is said inside.

mod certificates;
mod self_signed;
mod session;

pub use certificates::{CertificateFiles, CertificateProblem};
pub use self_signed::{SelfSigned, self_signed};
pub(super) use session::TlsSession;

use certificates::Certificates;
use parking_lot::Mutex;
use rustls::crypto::ring;
use rustls::{ServerConfig, version};
use std::fmt;
use std::sync::Arc;

/// What browsers and we speak inside.
const ALPN: &[u8] = b"http/1.1";

/// What a peer that there is no place for is told: a fatal alert, `internal_error` (RFC 8446 section
/// 6). An answer in HTTP would need the handshake that there is no place for.
pub(super) const NO_PLACE: [u8; 7] = [21, 3, 3, 0, 2, 2, 80];

/// What a client that speaks HTTP to a TLS port is told.
pub(super) const SPEAKS_PLAIN: &str =
    "This port speaks TLS: use https:// or wss:// in place of http:// or ws://.";

/// The certificates of the process and the rules of handshakes.
#[derive(Clone)]
pub struct Tls {
    config: Arc<ServerConfig>,
    certificates: Arc<Certificates>,
    /// What the files looked like when they were last read.
    seen: Arc<Mutex<certificates::Looks>>,
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Tls({} certificates)", self.certificates.len())
    }
}

impl Tls {
    /// Reads certificates and keys; the first is for those who ask for a name that none is for, or
    /// for no name.
    ///
    /// # Errors
    ///
    /// Which file cannot be used, and why.
    pub fn load(files: Vec<CertificateFiles>) -> Result<Self, CertificateProblem> {
        let seen = certificates::looks(&files);
        let certificates = Arc::new(Certificates::load(files)?);
        let no_crypto = |error: rustls::Error| CertificateProblem::system(&error);
        let provider = Arc::new(ring::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&version::TLS13, &version::TLS12])
            .map_err(no_crypto)?
            .with_no_client_auth()
            .with_cert_resolver(Arc::clone(&certificates) as Arc<_>);
        config.alpn_protocols = vec![ALPN.to_vec()];
        // Sessions are taken up by tickets alone: nothing is kept for those who are gone.
        config.ticketer = ring::Ticketer::new().map_err(no_crypto)?;
        config.session_storage = Arc::new(rustls::server::NoServerSessionStorage {});
        Ok(Self { config: Arc::new(config), certificates, seen: Arc::new(Mutex::new(seen)) })
    }

    /// Reads the files again. When one of them is wrong everything stays as it was.
    ///
    /// # Errors
    ///
    /// Which file cannot be used, and why.
    pub fn reload(&self) -> Result<(), CertificateProblem> {
        *self.seen.lock() = certificates::looks(self.certificates.files());
        self.certificates.reload()
    }

    /// Whether a file is another than when it was last read.
    pub fn has_changed(&self) -> bool {
        certificates::looks(self.certificates.files()) != *self.seen.lock()
    }

    /// How many certificates there are.
    pub fn certificates(&self) -> usize {
        self.certificates.len()
    }

    /// A session for a socket that was just accepted. None if the system has no random numbers.
    pub(super) fn session(&self, buffer_bytes_max: usize) -> Option<TlsSession> {
        TlsSession::new(&self.config, buffer_bytes_max).ok()
    }
}
