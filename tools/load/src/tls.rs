//! TLS from the client's side: whom to trust, and one connection's session. Who speaks plaintext has
//! none of this.

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    ClientConfig, ClientConnection, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
};
use serde::{Deserialize, Serialize};
use std::io::{self, ErrorKind, Read, Write};
use std::path::PathBuf;
use std::sync::Arc;

/// Most plaintext that a session takes before its socket has taken what it became.
const PLAINTEXT_BYTES_MAX: usize = 256 << 10;

/// Which servers are believed.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Trust {
    /// Those whose certificates this machine's authorities have signed.
    System,
    /// Those whose certificates, or whose certificates' signers, are in this PEM file.
    File(PathBuf),
    /// All.
    Anybody,
}

/// What the sessions with one server have in common.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    config: Arc<ClientConfig>,
    name: ServerName<'static>,
}

impl Client {
    /// For a server of this host, which may have a port behind it.
    pub(crate) fn new(trust: &Trust, host: &str) -> Result<Self, String> {
        let provider = Arc::new(ring::default_provider());
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(|error| format!("TLS: {error}"))?;
        let config = match trust {
            Trust::Anybody => builder
                .dangerous()
                .with_custom_certificate_verifier(Arc::new(Believing(provider)))
                .with_no_client_auth(),
            Trust::System => builder.with_root_certificates(system()?).with_no_client_auth(),
            Trust::File(path) => {
                builder.with_root_certificates(of_file(path)?).with_no_client_auth()
            }
        };
        let bare = match host.rsplit_once(':') {
            Some((bare, port)) if port.parse::<u16>().is_ok() => bare,
            _ => host,
        };
        let bare = bare.trim_start_matches('[').trim_end_matches(']');
        let name = ServerName::try_from(bare.to_owned())
            .map_err(|error| format!("{host}: no name that a certificate could have: {error}"))?;
        Ok(Self { config: Arc::new(config), name })
    }

    /// A session for a new connection.
    pub(crate) fn session(&self) -> Result<Box<Session>, String> {
        let mut session = ClientConnection::new(Arc::clone(&self.config), self.name.clone())
            .map_err(|error| format!("TLS: {error}"))?;
        session.set_buffer_limit(Some(PLAINTEXT_BYTES_MAX));
        Ok(Box::new(Session(session)))
    }
}

fn system() -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    let found = rustls_native_certs::load_native_certs();
    roots.add_parsable_certificates(found.certs);
    if roots.is_empty() {
        return Err("this machine has no certificate authorities; name some by --tls-ca".to_owned());
    }
    Ok(roots)
}

fn of_file(path: &PathBuf) -> Result<RootCertStore, String> {
    let wrong = |error: String| format!("--tls-ca {}: {error}", path.display());
    let mut roots = RootCertStore::empty();
    let all = CertificateDer::pem_file_iter(path).map_err(|error| wrong(error.to_string()))?;
    for certificate in all {
        let certificate = certificate.map_err(|error| wrong(error.to_string()))?;
        roots.add(certificate).map_err(|error| wrong(error.to_string()))?;
    }
    if roots.is_empty() { Err(wrong("no certificate in PEM".to_owned())) } else { Ok(roots) }
}

/// One connection's session.
#[derive(Debug)]
pub(crate) struct Session(ClientConnection);

impl Session {
    /// Whether something waits for the socket.
    pub(crate) fn is_blocked(&self) -> bool {
        self.0.wants_write()
    }

    /// Encrypts and writes; returns how many bytes the socket took, and how many of `bytes` the
    /// session took.
    pub(crate) fn send(
        &mut self,
        bytes: &[u8],
        socket: &mut impl Write,
    ) -> io::Result<(usize, usize)> {
        let (mut written, mut taken) = (0, 0);
        loop {
            taken += self.0.writer().write(&bytes[taken..])?;
            written += self.flush(socket)?;
            if taken == bytes.len() || self.is_blocked() || self.0.is_handshaking() {
                return Ok((written, taken));
            }
        }
    }

    /// Writes what waits; returns how many bytes the socket took.
    pub(crate) fn flush(&mut self, socket: &mut impl Write) -> io::Result<usize> {
        let mut written = 0;
        while self.0.wants_write() {
            match self.0.write_tls(socket) {
                Ok(0) => break,
                Ok(bytes) => written += bytes,
                Err(error) => match error.kind() {
                    ErrorKind::Interrupted => {}
                    ErrorKind::WouldBlock => break,
                    _ => return Err(error),
                },
            }
        }
        Ok(written)
    }

    /// Reads and decrypts into a buffer. Nothing at the peer's end; an error of kind `WouldBlock` when
    /// nothing more is there.
    pub(crate) fn receive<S: Read + Write>(
        &mut self,
        socket: &mut S,
        buffer: &mut [u8],
    ) -> io::Result<usize> {
        loop {
            match self.0.reader().read(buffer) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                // Whoever hangs up without a word has hung up.
                Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Ok(0),
                read => return read,
            }
            match self.0.read_tls(socket) {
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            }
            let state = self.0.process_new_packets();
            // The handshake goes on, or an alert says why not.
            self.flush(socket)?;
            state.map_err(|error| io::Error::new(ErrorKind::InvalidData, error))?;
        }
    }
}

/// Believes every certificate, but not that a signature is what it is not.
#[derive(Debug)]
struct Believing(Arc<CryptoProvider>);

impl ServerCertVerifier for Believing {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
