//! The keys that sign and verify login tokens. The algorithm belongs to the key, never to the token.

mod generate;
mod jwks;
mod material;

use std::fmt;
use std::sync::Arc;

use aws_lc_rs::{digest, hmac};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{DecodingKey, EncodingKey};

use material::Material;

pub use generate::generate;
pub use material::ForeignKey;

/// Fewest bytes of an HMAC secret: as many as the digest has (RFC 7518 §3.2).
pub const HMAC_SECRET_BYTES_MIN: usize = 32;

/// A signature algorithm for login tokens (RFC 7518 §3.1, RFC 8037 §3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Algorithm {
    /// HMAC with SHA-256: fastest; who can verify can also sign.
    Hs256,
    /// ECDSA on P-256 with SHA-256: verifiers need the public key only.
    Es256,
    /// Ed25519: verifiers need the public key only.
    EdDsa,
}

impl Algorithm {
    /// The name in a token's `alg`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Hs256 => "HS256",
            Self::Es256 => "ES256",
            Self::EdDsa => "EdDSA",
        }
    }

    const fn as_jwt(self) -> jsonwebtoken::Algorithm {
        match self {
            Self::Hs256 => jsonwebtoken::Algorithm::HS256,
            Self::Es256 => jsonwebtoken::Algorithm::ES256,
            Self::EdDsa => jsonwebtoken::Algorithm::EdDSA,
        }
    }
}

/// Material that cannot be a key. Never repeats the material.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// An HMAC secret under 256 bits.
    #[error("an HMAC secret needs {HMAC_SECRET_BYTES_MIN} bytes or more, this one has {bytes}")]
    TooShort {
        /// How many it has.
        bytes: usize,
    },
    /// An HMAC secret in hex, under 256 bits.
    #[error("an HMAC secret in hex needs 64 digits (256 bits) or more, this one has {digits}")]
    HexTooShort {
        /// How many it has.
        digits: usize,
    },
    /// No key that signs tokens, whatever else it is.
    #[error(transparent)]
    Foreign(#[from] ForeignKey),
    /// No key at all.
    #[error("at least one key is needed")]
    NoKey,
    /// Two keys under one id.
    #[error("two keys have the kid `{kid}`")]
    SameKid {
        /// The id.
        kid: String,
    },
}

/// Tells a key from every other, also from one that has its id: a digest of id and material, which shows neither.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct KeyMark([u8; 16]);

impl KeyMark {
    fn of(kid: &str, material: &[u8]) -> Self {
        let mut digest = digest::Context::new(&digest::SHA256);
        for part in [kid.as_bytes(), material] {
            digest.update(&part.len().to_be_bytes());
            digest.update(part);
        }
        Self(digest.finish().as_ref()[..16].try_into().expect("SHA-256 has more"))
    }
}

impl fmt::Debug for KeyMark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyMark")
    }
}

/// One key of a [`KeyRing`].
pub struct Key {
    kid: String,
    mark: KeyMark,
    algorithm: Algorithm,
    encoding: EncodingKey,
    decoding: DecodingKey,
    /// Of an HMAC secret, with its key schedule: jsonwebtoken computes that anew for every token.
    hmac: Option<hmac::Key>,
    public: Option<Jwk>,
    /// The first segment of every token that this key signs.
    header: String,
}

impl Key {
    /// Reads a key: a PKCS#8 PEM private key on P-256 (ES256) or Ed25519 (EdDSA), else an HMAC secret (HS256), whose
    /// bytes are taken as they stand. A key of any other kind is refused by its name, never taken for a secret.
    pub fn parse(kid: &str, material: &[u8]) -> Result<Self, KeyError> {
        let (algorithm, encoding, public) = match material::read(material)? {
            Material::Hmac => (Algorithm::Hs256, EncodingKey::from_secret(material), None),
            Material::Private(algorithm, key, public) => (algorithm, key, Some(*public)),
        };
        let decoding = match &public {
            Some(jwk) => DecodingKey::from_jwk(jwk).map_err(|_| ForeignKey::Unreadable)?,
            None => DecodingKey::from_secret(material),
        };
        let header = serde_json::json!({ "alg": algorithm.name(), "kid": kid, "typ": "JWT" }).to_string();
        let header = URL_SAFE_NO_PAD.encode(header);
        let hmac = public.is_none().then(|| hmac::Key::new(hmac::HMAC_SHA256, material));
        let mark = KeyMark::of(kid, material);
        Ok(Self { kid: kid.to_owned(), mark, algorithm, encoding, decoding, hmac, public, header })
    }

    pub(crate) const fn mark(&self) -> KeyMark {
        self.mark
    }

    /// Its id, a token's `kid`.
    pub fn kid(&self) -> &str {
        &self.kid
    }

    /// Its algorithm.
    pub const fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    pub(crate) fn header(&self) -> &str {
        &self.header
    }

    /// The signature of `message`, as base64url.
    pub(crate) fn sign(&self, message: &[u8]) -> String {
        jsonwebtoken::crypto::sign(message, &self.encoding, self.algorithm.as_jwt())
            .expect("a key that was read signs with its own algorithm")
    }

    /// Whether `signature`, in its one base64url spelling, is this key's for `message`.
    pub(crate) fn verifies(&self, signature: &str, message: &[u8]) -> bool {
        if let Some(key) = &self.hmac {
            let tag = URL_SAFE_NO_PAD.decode(signature);
            return tag.is_ok_and(|tag| hmac::verify(key, message, &tag).is_ok());
        }
        jsonwebtoken::crypto::verify(signature, message, &self.decoding, self.algorithm.as_jwt())
            .unwrap_or(false)
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Key")
            .field("kid", &self.kid)
            .field("algorithm", &self.algorithm)
            .finish_non_exhaustive()
    }
}

/// The keys in force: the first signs, all verify.
#[derive(Debug, Clone)]
pub struct KeyRing(Arc<[Key]>);

impl KeyRing {
    /// A ring of at least one key, no two under the same id.
    pub fn new(keys: Vec<Key>) -> Result<Self, KeyError> {
        if keys.is_empty() {
            return Err(KeyError::NoKey);
        }
        for (n, key) in keys.iter().enumerate() {
            if keys[..n].iter().any(|earlier| earlier.kid == key.kid) {
                return Err(KeyError::SameKid { kid: key.kid.clone() });
            }
        }
        Ok(Self(keys.into()))
    }

    /// The key that signs.
    pub fn signing(&self) -> &Key {
        &self.0[0]
    }

    /// Every key, the signing one first.
    pub fn iter(&self) -> impl Iterator<Item = &Key> {
        self.0.iter()
    }

    /// Whether this very key is in the ring.
    pub(crate) fn has(&self, mark: KeyMark) -> bool {
        self.0.iter().any(|key| key.mark == mark)
    }

    pub(crate) fn find(&self, kid: &str) -> Option<&Key> {
        self.0.iter().find(|key| key.kid == kid)
    }

    /// The key whose tokens start with `header`, as this crate writes it.
    pub(crate) fn find_by_header(&self, header: &str) -> Option<&Key> {
        self.0.iter().find(|key| key.header == header)
    }
}

#[cfg(test)]
mod tests;
