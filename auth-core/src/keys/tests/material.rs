//! Every kind of key that an operator may bring. They are made here: no private key belongs in a repository.

use aws_lc_rs::encoding::{AsDer as _, Pkcs8V1Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, EcdsaSigningAlgorithm,
    Ed25519KeyPair, KeyPair as _,
};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::super::*;

fn pem(label: &str, der: &[u8]) -> String {
    let lines: Vec<_> =
        STANDARD.encode(der).as_bytes().chunks(64).map(|c| String::from_utf8_lossy(c).into_owned()).collect();
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n"))
}

fn ec(curve: &'static EcdsaSigningAlgorithm) -> Vec<u8> {
    EcdsaKeyPair::generate_pkcs8(curve, &SystemRandom::new()).unwrap().as_ref().to_vec()
}

fn wrong(text: &str) -> String {
    Key::parse("k", text.as_bytes()).map_or_else(|error| error.to_string(), |_| String::new())
}

#[test]
fn p256_and_ed25519_keys_in_pkcs8_are_taken() {
    let random = SystemRandom::new();
    assert_eq!(wrong(&pem("PRIVATE KEY", &ec(&ECDSA_P256_SHA256_FIXED_SIGNING))), "");
    assert_eq!(wrong(&pem("PRIVATE KEY", Ed25519KeyPair::generate_pkcs8(&random).unwrap().as_ref())), "");
    // The form without the public key, which is what openssl writes.
    assert_eq!(wrong(&pem("PRIVATE KEY", Ed25519KeyPair::generate_pkcs8v1(&random).unwrap().as_ref())), "");
    // What openssl writes above the block of a key that it takes out of PKCS#12.
    let under_attributes = format!(
        "Bag Attributes\n    friendlyName: k\n{}",
        pem("PRIVATE KEY", &ec(&ECDSA_P256_SHA256_FIXED_SIGNING))
    );
    let key = Key::parse("k", under_attributes.as_bytes()).unwrap();
    assert_eq!(key.algorithm(), Algorithm::Es256, "the text of a key was taken for an HMAC secret");
    // Windows line ends, and space around the block.
    assert_eq!(
        wrong(&format!(
            "\n {} ",
            pem("PRIVATE KEY", &ec(&ECDSA_P256_SHA256_FIXED_SIGNING)).replace('\n', "\r\n")
        )),
        ""
    );
}

#[test]
fn every_other_key_is_refused_by_its_name() {
    let rsa: Pkcs8V1Der<'_> = KeyPair::generate(KeySize::Rsa2048).unwrap().as_der().unwrap();
    let good = pem("PRIVATE KEY", &ec(&ECDSA_P256_SHA256_FIXED_SIGNING));
    for (text, why) in [
        (pem("PRIVATE KEY", &ec(&ECDSA_P384_SHA384_FIXED_SIGNING)), "an EC key must be on the curve P-256"),
        (pem("PRIVATE KEY", rsa.as_ref()), "an RSA key is not accepted"),
        (pem("RSA PRIVATE KEY", b"x"), "an RSA key is not accepted"),
        (pem("EC PRIVATE KEY", b"x"), "SEC 1"),
        (format!("{}{}", pem("EC PARAMETERS", b"x"), pem("EC PRIVATE KEY", b"x")), "SEC 1"),
        (pem("ENCRYPTED PRIVATE KEY", b"x"), "an encrypted key"),
        (pem("PUBLIC KEY", b"x"), "a public key cannot sign"),
        (pem("CERTIFICATE", b"x"), "a certificate is not a key"),
        (pem("OPENSSH PRIVATE KEY", b"x"), "this kind of PEM"),
        (format!("{good}{good}"), "several PEM blocks"),
        (pem("PRIVATE KEY", b"not a key"), "not a private key that can be read"),
        (good.replace("-----END", "----END"), "not a private key that can be read"),
        (r#"{"kty":"oct","k":"AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow"}"#.into(), "a JWK"),
    ] {
        let said = wrong(&text);
        assert!(said.contains(why), "{why:?} for {said:?}");
    }
}

/// Each is long and random enough to pass as an HMAC secret, and everybody may know it.
#[test]
fn a_key_without_pem_lines_is_refused_by_its_name() {
    let ed = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).unwrap();
    let public = Ed25519KeyPair::from_pkcs8(ed.as_ref()).unwrap().public_key().as_ref().to_vec();
    // RFC 8410: the header of a public key, and the key.
    let spki = [b"\x30\x2a\x30\x05\x06\x03\x2b\x65\x70\x03\x21\x00".as_slice(), &public].concat();
    let rsa: Pkcs8V1Der<'_> = KeyPair::generate(KeySize::Rsa2048).unwrap().as_der().unwrap();
    let blob = [b"\0\0\0\x0bssh-ed25519\0\0\0\x20".as_slice(), &public].concat();
    let wrapped =
        pem("X", rsa.as_ref()).lines().filter(|l| !l.starts_with('-')).collect::<Vec<_>>().join("\n");
    for (text, why) in [
        (format!("ssh-ed25519 {} me@here", STANDARD.encode(&blob)), "an SSH key"),
        (format!("ecdsa-sha2-nistp256 {}", STANDARD.encode(&blob)), "an SSH key"),
        (STANDARD.encode(&blob), "an SSH key"),
        (STANDARD.encode(&spki), "a public key"),
        (format!(" {}\n", STANDARD.encode(&spki).trim_end_matches('=')), "a public key"),
        (STANDARD.encode(ec(&ECDSA_P256_SHA256_FIXED_SIGNING)), "in DER"),
        (wrapped, "in DER"),
    ] {
        let said = wrong(&text);
        assert!(said.contains(why), "{why:?} for {said:?}");
    }
    for der in [&spki[..], rsa.as_ref(), &ec(&ECDSA_P256_SHA256_FIXED_SIGNING)] {
        assert_eq!(Key::parse("k", der).unwrap_err(), KeyError::Foreign(ForeignKey::Der));
    }
}

#[test]
fn a_secret_that_only_starts_like_another_key_is_taken() {
    let mut secret = *b"0.8\xc9j\x11\xe7\x90Qz\x04\xd2\x1f\x86\xbe\x33a\xf8o\x7c\x15\xaa\xd9\x42\xe0\x9bU\x68\x01\xcd\x27\xf3\x8e\x50\xb6\x1a\x97\x64\xee\x0c\x81\xdf\x3b\xa4\x72\x19\xc5\x58";
    assert_eq!(wrong(&STANDARD.encode(secret)), "");
    secret[1] = 0x7f;
    assert_eq!(wrong(&STANDARD.encode(secret)), "");
}

#[test]
fn an_hmac_secret_has_256_bits_in_hex_too() {
    let hex = "f3c1a97be0d2456889ab10c7d35e6f42f3c1a97be0d2456889ab10c7d35e6f4";
    assert_eq!(hex.len(), 63);
    for digits in [32, 62, 63] {
        for text in [hex[..digits].to_owned(), format!(" {}\n", &hex[..digits]), hex[..digits].to_uppercase()]
        {
            let error = Key::parse("k", text.as_bytes()).unwrap_err();
            assert_eq!(error, KeyError::HexTooShort { digits }, "{text:?}");
        }
    }
    assert_eq!(wrong(&format!("{hex}0")), "");
    // One character that is no digit: taken at its word, as bytes.
    assert_eq!(wrong(&format!("{}x", &hex[..40])), "");
    assert_eq!(Key::parse("k", &[0xf3; 31]).unwrap_err(), KeyError::TooShort { bytes: 31 });
    assert!(Key::parse("k", &[0xf3; 32]).is_ok());
}
