//! A certificate that nobody has signed, for trying TLS on one machine.

use super::CertificateFiles;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use rcgen::{
    CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, KeyPair,
    KeyUsagePurpose, PublicKeyData as _,
};
use ring::digest::{SHA256, digest};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use std::fmt::Write as _;
use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

/// Names of the machine itself.
const NAMES: [&str; 3] = ["localhost", "127.0.0.1", "::1"];

/// A self-signed certificate on the disk, and how others can recognise it.
#[derive(Clone, Debug)]
pub struct SelfSigned {
    /// Where it is.
    pub files: CertificateFiles,
    /// SHA-256 of the certificate, as browsers show it: `AB:CD:...`.
    pub fingerprint: String,
    /// SHA-256 of its public key in base64, as Chromium takes it.
    pub spki: String,
}

/// Takes the certificate that is in `directory`, or makes one for this machine's own names.
///
/// # Errors
///
/// When files cannot be read or written, or are not a certificate and its key.
pub fn self_signed(directory: &Path) -> io::Result<SelfSigned> {
    let files = CertificateFiles {
        certificate: directory.join("certificate.pem"),
        key: directory.join("key.pem"),
    };
    if !files.certificate.exists() || !files.key.exists() {
        make(directory, &files)?;
    }
    let key = KeyPair::from_pem(&fs::read_to_string(&files.key)?).map_err(io::Error::other)?;
    let certificate =
        CertificateDer::from_pem_slice(&fs::read(&files.certificate)?).map_err(io::Error::other)?;
    let mut fingerprint = String::new();
    for byte in digest(&SHA256, &certificate).as_ref() {
        // Writing to a string does not fail.
        let _ = write!(fingerprint, "{byte:02X}:");
    }
    fingerprint.pop();
    let spki = BASE64.encode(digest(&SHA256, &key.subject_public_key_info()));
    Ok(SelfSigned { files, fingerprint, spki })
}

fn make(directory: &Path, files: &CertificateFiles) -> io::Result<()> {
    let names: Vec<String> = NAMES.map(str::to_owned).into();
    let mut params = CertificateParams::new(names).map_err(io::Error::other)?;
    let mut name = DistinguishedName::new();
    name.push(DnType::CommonName, "madang, self-signed");
    params.distinguished_name = name;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let key = KeyPair::generate().map_err(io::Error::other)?;
    let certificate = params.self_signed(&key).map_err(io::Error::other)?;
    fs::create_dir_all(directory)?;
    // The key first: a certificate without one would be taken for complete.
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&files.key)?;
    file.write_all(key.serialize_pem().as_bytes())?;
    fs::write(&files.certificate, certificate.pem())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::Tls;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn a_certificate_is_made_once_and_its_key_is_for_nobody_else() {
        let directory = std::env::temp_dir().join(format!("madang-signed-{}", std::process::id()));
        let made = self_signed(&directory).unwrap();
        let found = self_signed(&directory).unwrap();
        assert_eq!((&made.fingerprint, &made.spki), (&found.fingerprint, &found.spki));
        assert_eq!((made.fingerprint.len(), made.spki.len()), (95, 44));
        let mode = fs::metadata(&made.files.key).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(Tls::load(vec![made.files]).unwrap().certificates(), 1);
        fs::write(&found.files.key, "nothing").unwrap();
        assert!(self_signed(&directory).is_err());
        fs::remove_dir_all(&directory).unwrap();
    }
}
