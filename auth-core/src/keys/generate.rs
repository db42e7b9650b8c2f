//! New keys, for `wxgate keygen` and for tests.

use aws_lc_rs::rand::{SecureRandom, SystemRandom};
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use secrecy::SecretString;

use super::Algorithm;

/// A new key as text that [`Key::parse`](super::Key::parse) reads: 43 random characters for HS256, else PKCS#8 PEM.
///
/// # Panics
/// If the system's random generator fails, which no caller could make good.
pub fn generate(algorithm: Algorithm) -> SecretString {
    let random = SystemRandom::new();
    match algorithm {
        Algorithm::Hs256 => {
            let mut bytes = [0; 32];
            random.fill(&mut bytes).expect("the system's random generator works");
            URL_SAFE_NO_PAD.encode(bytes).into()
        }
        Algorithm::Es256 => {
            let key = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random);
            pem(key.expect("the system's random generator works").as_ref())
        }
        Algorithm::EdDsa => {
            // Version 1 of PKCS#8, without the public half: the one form that all JWT libraries read.
            let key = Ed25519KeyPair::generate_pkcs8v1(&random);
            pem(key.expect("the system's random generator works").as_ref())
        }
    }
}

/// RFC 7468: base64 in lines of 64 between the two markers.
fn pem(der: &[u8]) -> SecretString {
    let base64 = STANDARD.encode(der);
    let mut text = String::from("-----BEGIN PRIVATE KEY-----\n");
    let mut rest = base64.as_str();
    while !rest.is_empty() {
        let (line, after) = rest.split_at(rest.len().min(64));
        text.push_str(line);
        text.push('\n');
        rest = after;
    }
    text.push_str("-----END PRIVATE KEY-----\n");
    text.into()
}
