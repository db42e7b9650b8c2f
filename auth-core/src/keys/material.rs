//! What the material of a key is. Whatever is no private key of a kind that signs here must not pass as an HMAC secret: a
//! public key, as such, is a secret that everybody knows.

use aws_lc_rs::signature::Ed25519KeyPair;
use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use jsonwebtoken::EncodingKey;
use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk};

use super::{Algorithm, HMAC_SECRET_BYTES_MIN, KeyError};

/// Fewest digits of an HMAC secret in hex, which is taken as it stands: each is a byte of four unknown bits.
const HEX_DIGITS_MIN: usize = 2 * HMAC_SECRET_BYTES_MIN;

/// Material of another kind than the keys that sign login tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ForeignKey {
    /// A JWK or a JWKS.
    #[error("a JWK is not accepted")]
    Jwk,
    /// A key of SSH, public or private, with its name or without.
    #[error("an SSH key is not accepted")]
    Ssh,
    /// A key or certificate in DER, or in the base64 of it.
    #[error("a public key, or any other in DER without its PEM lines, is not an HMAC secret")]
    Der,
    /// `EC PRIVATE KEY`.
    #[error("an EC key in SEC 1 form (`EC PRIVATE KEY`) is not accepted")]
    Sec1,
    /// `ENCRYPTED PRIVATE KEY`.
    #[error("an encrypted key is not accepted: nobody is there to type its password")]
    Encrypted,
    /// An RSA private key, in either form of PEM.
    #[error("an RSA key is not accepted")]
    Rsa,
    /// `PUBLIC KEY`.
    #[error("a public key cannot sign")]
    Public,
    /// `CERTIFICATE`.
    #[error("a certificate is not a key")]
    Certificate,
    /// More than one PEM block.
    #[error("several PEM blocks are not one key")]
    Several,
    /// PEM under any other label.
    #[error("this kind of PEM is not accepted")]
    OtherPem,
    /// A private key on P-384 or another curve.
    #[error("an EC key must be on the curve P-256")]
    OtherCurve,
    /// PEM with the label of a private key and no such key in it.
    #[error("not a private key that can be read")]
    Unreadable,
}

/// What signs tokens.
pub(super) enum Material {
    Hmac,
    Private(Algorithm, EncodingKey, Box<Jwk>),
}

pub(super) fn read(material: &[u8]) -> Result<Material, KeyError> {
    let foreign = |kind| Err(KeyError::Foreign(kind));
    if is_der(material) {
        return foreign(ForeignKey::Der);
    }
    // Bytes that are no text are none of the following.
    let Ok(text) = std::str::from_utf8(material).map(str::trim) else { return hmac(material, "") };
    if text.starts_with(['{', '[']) {
        return foreign(ForeignKey::Jwk);
    }
    if let Some(kind) = encoded(text) {
        return foreign(kind);
    }
    if text.contains("-----BEGIN") { private(text).map_err(KeyError::Foreign) } else { hmac(material, text) }
}

fn hmac(material: &[u8], text: &str) -> Result<Material, KeyError> {
    if material.len() < HMAC_SECRET_BYTES_MIN {
        return Err(KeyError::TooShort { bytes: material.len() });
    }
    let is_hex = !text.is_empty() && text.bytes().all(|b| b.is_ascii_hexdigit());
    if is_hex && text.len() < HEX_DIGITS_MIN {
        return Err(KeyError::HexTooShort { digits: text.len() });
    }
    Ok(Material::Hmac)
}

fn private(text: &str) -> Result<Material, ForeignKey> {
    let label = text
        .split_once("-----BEGIN ")
        .and_then(|(_, rest)| rest.split_once("-----"))
        .map_or("", |(label, _)| label);
    let blocks = text.matches("-----BEGIN ").count();
    Err(match label {
        "PRIVATE KEY" if blocks == 1 => return pkcs8(text.as_bytes()),
        "PRIVATE KEY" => ForeignKey::Several,
        "EC PRIVATE KEY" | "EC PARAMETERS" => ForeignKey::Sec1,
        "ENCRYPTED PRIVATE KEY" => ForeignKey::Encrypted,
        "RSA PRIVATE KEY" => ForeignKey::Rsa,
        "PUBLIC KEY" | "RSA PUBLIC KEY" => ForeignKey::Public,
        "CERTIFICATE" => ForeignKey::Certificate,
        _ => ForeignKey::OtherPem,
    })
}

/// Tries the two kinds of private key that sign tokens. The curve is checked: P-384 reads as an EC key too.
fn pkcs8(pem: &[u8]) -> Result<Material, ForeignKey> {
    let (ec, ed) = (EncodingKey::from_ec_pem(pem), EncodingKey::from_ed_pem(pem).map(without_public_half));
    let other = match (&ec, &ed) {
        (Ok(_), _) => ForeignKey::OtherCurve,
        _ if EncodingKey::from_rsa_pem(pem).is_ok() => ForeignKey::Rsa,
        _ => ForeignKey::Unreadable,
    };
    let tries = [(Algorithm::Es256, ec, EllipticCurve::P256), (Algorithm::EdDsa, ed, EllipticCurve::Ed25519)];
    for (algorithm, key, wanted) in tries {
        let Ok(key) = key else { continue };
        let Ok(jwk) = Jwk::from_encoding_key(&key, algorithm.as_jwt()) else { continue };
        let curve = match &jwk.algorithm {
            AlgorithmParameters::EllipticCurve(ec) => Some(&ec.curve),
            AlgorithmParameters::OctetKeyPair(okp) => Some(&okp.curve),
            _ => None,
        };
        // One signature for nothing: a key that is only almost right fails here and not at the first login.
        let signs = jsonwebtoken::crypto::sign(b"", &key, algorithm.as_jwt()).is_ok();
        if curve == Some(&wanted) && signs {
            return Ok(Material::Private(algorithm, key, Box::new(jwk)));
        }
    }
    Err(other)
}

/// Version 2 of PKCS#8 carries the public half too. jsonwebtoken signs with such a key but cannot tell its public half.
fn without_public_half(key: EncodingKey) -> EncodingKey {
    let version_1 = Ed25519KeyPair::from_pkcs8(key.as_bytes()).and_then(|pair| Ok(pair.to_pkcs8v1()?));
    version_1.map_or(key, |der| EncodingKey::from_ed_der(der.as_ref()))
}

/// What `text` is, if it is a key of another kind without PEM lines.
fn encoded(text: &str) -> Option<ForeignKey> {
    let ssh = ["ssh-", "ecdsa-", "sk-ssh-", "sk-ecdsa-", "---- BEGIN SSH2"];
    if ssh.iter().any(|word| text.starts_with(word)) {
        return Some(ForeignKey::Ssh);
    }
    let bytes = base64(text)?;
    // The second column of an SSH key: a length of four bytes, and a name of the kind.
    if bytes.get(4..).is_some_and(|name| name.starts_with(b"ssh-") || name.starts_with(b"ecdsa-")) {
        return Some(ForeignKey::Ssh);
    }
    is_der(&bytes).then_some(ForeignKey::Der)
}

/// What `text` says in base64 of either alphabet, over one line or several.
fn base64(text: &str) -> Option<Vec<u8>> {
    let letters = text.chars().filter(|c| !c.is_ascii_whitespace());
    let plain: String = letters
        .map(|c| match c {
            '-' => '+',
            '_' => '/',
            c => c,
        })
        .collect();
    STANDARD_NO_PAD.decode(plain.trim_end_matches('=')).ok()
}

/// Whether `bytes` are what every key and certificate in DER is: one SEQUENCE without a byte too many, whose first member is
/// an INTEGER or a SEQUENCE. Not one random secret in a million looks so.
fn is_der(bytes: &[u8]) -> bool {
    let Some((0x30, inner, [])) = value(bytes) else { return false };
    matches!(value(inner), Some((0x02 | 0x30, ..)))
}

/// The tag and the content of the first value in `bytes`, and what follows it.
fn value(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&[tag, first], rest) = bytes.split_first_chunk()?;
    let (length, rest) = match first {
        0..=0x7f => (usize::from(first), rest),
        0x81..=0x83 => {
            let (length, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
            (length.iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte)), rest)
        }
        _ => return None,
    };
    let (content, rest) = rest.split_at_checked(length)?;
    Some((tag, content, rest))
}
