//! The signatures of tokens, by `ring`, which the process has for TLS anyway: what `jsonwebtoken` asks of
//! a provider, for the four algorithms that are accepted and no other.

use jsonwebtoken::crypto::{CryptoProvider, JwtSigner, JwtVerifier, KeyUtils};
use jsonwebtoken::errors::{Error, ErrorKind};
use jsonwebtoken::signature::{Error as Refused, Signer, Verifier};
use jsonwebtoken::{Algorithm, AlgorithmFamily, DecodingKey, DecodingKeyKind, EncodingKey};
use ring::hmac;
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, ED25519, EcdsaKeyPair,
    Ed25519KeyPair, RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_SHA256, RsaKeyPair,
    RsaPublicKeyComponents, UnparsedPublicKey,
};

/// Makes this the provider of the process. Cheap to repeat.
pub(super) fn install() {
    // A second time is refused, and changes nothing.
    let _ = PROVIDER.install_default();
}

static PROVIDER: CryptoProvider = CryptoProvider {
    signer_factory: signer,
    verifier_factory: verifier,
    key_utils: KeyUtils::new_unimplemented(),
};

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the provider's type asks for it")]
fn signer(algorithm: &Algorithm, key: &EncodingKey) -> Result<Box<dyn JwtSigner>, Error> {
    check(*algorithm, key.family())?;
    Ok(Box::new(With { algorithm: *algorithm, key: key.clone() }))
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the provider's type asks for it")]
fn verifier(algorithm: &Algorithm, key: &DecodingKey) -> Result<Box<dyn JwtVerifier>, Error> {
    check(*algorithm, key.family())?;
    Ok(Box::new(With { algorithm: *algorithm, key: key.clone() }))
}

/// A key of one family signs with one algorithm.
fn check(algorithm: Algorithm, family: AlgorithmFamily) -> Result<(), Error> {
    let fits = match algorithm {
        Algorithm::HS256 => family == AlgorithmFamily::Hmac,
        Algorithm::RS256 => family == AlgorithmFamily::Rsa,
        Algorithm::ES256 => family == AlgorithmFamily::Ec,
        Algorithm::EdDSA => family == AlgorithmFamily::Ed,
        _ => return Err(ErrorKind::UnsupportedAlgorithm.into()),
    };
    if fits { Ok(()) } else { Err(ErrorKind::InvalidKeyFormat.into()) }
}

/// A key and the algorithm that it is used with.
struct With<K> {
    algorithm: Algorithm,
    key: K,
}

impl Verifier<Vec<u8>> for With<DecodingKey> {
    fn verify(&self, message: &[u8], signature: &Vec<u8>) -> Result<(), Refused> {
        let bytes = || self.key.try_get_as_bytes().map_err(Refused::from_source);
        let result = match (self.algorithm, self.key.kind()) {
            (Algorithm::HS256, _) => {
                hmac::verify(&hmac::Key::new(hmac::HMAC_SHA256, bytes()?), message, signature)
            }
            (Algorithm::RS256, DecodingKeyKind::RsaModulusExponent { n, e }) => {
                RsaPublicKeyComponents { n, e }.verify(
                    &RSA_PKCS1_2048_8192_SHA256,
                    message,
                    signature,
                )
            }
            (Algorithm::RS256, _) => UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, bytes()?)
                .verify(message, signature),
            (Algorithm::ES256, _) => UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, bytes()?)
                .verify(message, signature),
            (Algorithm::EdDSA, _) => {
                UnparsedPublicKey::new(&ED25519, bytes()?).verify(message, signature)
            }
            _ => return Err(Refused::new()),
        };
        result.map_err(|_| Refused::new())
    }
}

impl JwtVerifier for With<DecodingKey> {
    fn algorithm(&self) -> Algorithm {
        self.algorithm
    }
}

impl Signer<Vec<u8>> for With<EncodingKey> {
    fn try_sign(&self, message: &[u8]) -> Result<Vec<u8>, Refused> {
        let (bytes, random) = (self.key.as_bytes(), SystemRandom::new());
        let refused = |_| Refused::new();
        match self.algorithm {
            Algorithm::HS256 => {
                let key = hmac::Key::new(hmac::HMAC_SHA256, bytes);
                Ok(hmac::sign(&key, message).as_ref().to_vec())
            }
            Algorithm::RS256 => {
                let pair = RsaKeyPair::from_der(bytes).map_err(|_| Refused::new())?;
                let mut signature = vec![0; pair.public().modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &random, message, &mut signature).map_err(refused)?;
                Ok(signature)
            }
            Algorithm::ES256 => {
                let algorithm = &ECDSA_P256_SHA256_FIXED_SIGNING;
                let pair = EcdsaKeyPair::from_pkcs8(algorithm, bytes, &random)
                    .map_err(|_| Refused::new())?;
                Ok(pair.sign(&random, message).map_err(refused)?.as_ref().to_vec())
            }
            Algorithm::EdDSA => {
                let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(bytes)
                    .map_err(|_| Refused::new())?;
                Ok(pair.sign(message).as_ref().to_vec())
            }
            _ => Err(Refused::new()),
        }
    }
}

impl JwtSigner for With<EncodingKey> {
    fn algorithm(&self) -> Algorithm {
        self.algorithm
    }
}
