//! Certificates and their keys: from files, chosen by the name that a client asks for.

use parking_lot::RwLock;
use rustls::client::verify_server_name;
use rustls::crypto::ring::sign::any_supported_type;
use rustls::pki_types::pem::{self, PemObject as _};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::{ClientHello, ParsedCertificate, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

/// Largest certificate or key file: a chain has a few KiB.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// Where a certificate and its key are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateFiles {
    /// The certificate in PEM, with those of its issuers behind it.
    pub certificate: PathBuf,
    /// Its private key in PEM.
    pub key: PathBuf,
}

/// Why a certificate cannot be used; says which file it is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateProblem(String);

impl CertificateProblem {
    pub(super) fn system(error: &rustls::Error) -> Self {
        Self(format!("TLS cannot be set up: {error}"))
    }

    fn of(path: &Path, what: impl fmt::Display) -> Self {
        Self(format!("{}: {what}", path.display()))
    }
}

impl fmt::Display for CertificateProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for CertificateProblem {}

/// When files were written, and their sizes; none of a file that is not there.
pub(super) type Looks = Vec<Option<(SystemTime, u64)>>;

/// What the files look like now.
pub(super) fn looks(files: &[CertificateFiles]) -> Looks {
    let look = |path: &PathBuf| {
        let metadata = fs::metadata(path).ok()?;
        Some((metadata.modified().ok()?, metadata.len()))
    };
    files.iter().flat_map(|files| [look(&files.certificate), look(&files.key)]).collect()
}

/// The certificates that are in use.
#[derive(Debug)]
pub(super) struct Certificates {
    files: Vec<CertificateFiles>,
    current: RwLock<Arc<[Arc<CertifiedKey>]>>,
}

impl Certificates {
    /// At least one.
    pub(super) fn load(files: Vec<CertificateFiles>) -> Result<Self, CertificateProblem> {
        let current = RwLock::new(read_all(&files)?);
        Ok(Self { files, current })
    }

    pub(super) fn reload(&self) -> Result<(), CertificateProblem> {
        let new = read_all(&self.files)?;
        *self.current.write() = new;
        Ok(())
    }

    pub(super) fn files(&self) -> &[CertificateFiles] {
        &self.files
    }

    pub(super) fn len(&self) -> usize {
        self.files.len()
    }

    /// The certificate for a name, else the first.
    fn of_name(&self, name: Option<&str>) -> Option<Arc<CertifiedKey>> {
        let current = Arc::clone(&self.current.read());
        let name = name.and_then(|name| ServerName::try_from(name).ok());
        let named = name.and_then(|name| current.iter().find(|one| is_for(one, &name)));
        named.or(current.first()).cloned()
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.of_name(hello.server_name())
    }
}

fn is_for(certified: &CertifiedKey, name: &ServerName<'_>) -> bool {
    let Ok(certificate) = certified.end_entity_cert() else { return false };
    ParsedCertificate::try_from(certificate)
        .is_ok_and(|certificate| verify_server_name(&certificate, name).is_ok())
}

fn read_all(files: &[CertificateFiles]) -> Result<Arc<[Arc<CertifiedKey>]>, CertificateProblem> {
    let read = |files: &CertificateFiles| read(files).map(Arc::new);
    files.iter().map(read).collect::<Result<Vec<_>, _>>().map(Arc::from)
}

fn read(files: &CertificateFiles) -> Result<CertifiedKey, CertificateProblem> {
    let CertificateFiles { certificate: certificate_path, key: key_path } = files;
    let text = contents(certificate_path)?;
    let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(&text)
        .collect::<Result<_, _>>()
        .map_err(|error| CertificateProblem::of(certificate_path, not_pem(&error)))?;
    if chain.is_empty() {
        let what = "holds no certificate; a PEM file has -----BEGIN CERTIFICATE----- in it";
        return Err(CertificateProblem::of(certificate_path, what));
    }
    let text = contents(key_path)?;
    let key = PrivateKeyDer::from_pem_slice(&text).map_err(|error| {
        let what = match error {
            pem::Error::NoItemsFound => {
                "holds no private key; a PEM file has -----BEGIN PRIVATE KEY----- in it, and no \
                 passphrase protects it"
                    .to_owned()
            }
            other => not_pem(&other),
        };
        CertificateProblem::of(key_path, what)
    })?;
    let key = any_supported_type(&key).map_err(|_| {
        let what = "is no key that can be used; RSA of 2048 bits and more, ECDSA on P-256 or P-384, \
                    and Ed25519 can";
        CertificateProblem::of(key_path, what)
    })?;
    let certified = CertifiedKey::new(chain, key);
    match certified.keys_match() {
        // Whether they match is unknown for some kinds of keys.
        Ok(()) | Err(rustls::Error::InconsistentKeys(rustls::InconsistentKeys::Unknown)) => {
            Ok(certified)
        }
        Err(rustls::Error::InconsistentKeys(_)) => {
            let what = format!("is not the key of {}", certificate_path.display());
            Err(CertificateProblem::of(key_path, what))
        }
        Err(error) => {
            let what = format!("its first certificate is malformed: {error}");
            Err(CertificateProblem::of(certificate_path, what))
        }
    }
}

fn contents(path: &Path) -> Result<Vec<u8>, CertificateProblem> {
    let problem = |what: String| CertificateProblem::of(path, what);
    let metadata =
        fs::metadata(path).map_err(|error| problem(format!("cannot be read: {error}")))?;
    if !metadata.is_file() || metadata.len() > FILE_BYTES_MAX {
        return Err(problem(format!("is no file of at most {FILE_BYTES_MAX} bytes")));
    }
    fs::read(path).map_err(|error| problem(format!("cannot be read: {error}")))
}

fn not_pem(error: &pem::Error) -> String {
    // The library's own words quote what it found, which in a key's file is not for logs.
    let what = match error {
        pem::Error::MissingSectionEnd { .. } => "a section has no end",
        pem::Error::IllegalSectionStart { .. } => "a section begins in a wrong way",
        pem::Error::Base64Decode(_) => "a section is not base64",
        _ => "it cannot be read",
    };
    format!("is not valid PEM: {what}")
}
