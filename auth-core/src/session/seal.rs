//! The seal over a `session_key` wherever a session is kept outside this process: who reads the file or the server of the
//! sessions, or a backup of it, learns no `session_key`, and who writes there cannot give one session the key of another.
//!
//! # The sealed form
//!
//! | bytes | what |
//! |---|---|
//! | 1 | the version of this layout, 1 |
//! | 1 | the length of the kid |
//! | 1 to 255 | the kid: which key sealed it |
//! | 12 | the nonce, random |
//! | as long as the `session_key` | AES-256-GCM's ciphertext |
//! | 16 | its tag |
//!
//! The associated data is a fixed label, and then the sid, the appid and the openid, each after its length in one byte.
//! One key may seal 2³² times before two nonces are likelier to meet than one in four billion (NIST SP 800-38D §8.3): at a
//! hundred logins a second that is more than a year.

use std::fmt;
use std::sync::Arc;

use aws_lc_rs::aead::{AES_256_GCM, Aad, Nonce, RandomizedNonceKey};
use aws_lc_rs::rand::{SecureRandom, SystemRandom};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use secrecy::SecretString;
use zeroize::Zeroizing;

use crate::{AppId, OpenId, SessionKey, Sid};

/// Length of a key in bytes.
const KEY_BYTES: usize = 32;
/// Length of a nonce in bytes.
const NONCE_BYTES: usize = 12;
/// Length of a tag in bytes.
const TAG_BYTES: usize = 16;
const VERSION: u8 = 1;
/// Where the associated data starts: what else a key may ever seal is told apart.
const LABEL: &[u8] = b"wxgate session_key v1";
/// A random key has some thirty different bytes among its 32, and fewer than this once in 2⁸⁰ keys.
const DIFFERENT_BYTES_MIN: usize = 12;

/// Seals each `session_key` for storage and opens it again. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Seal(Arc<[SealKey]>);

/// Why no `session_key` came out of what was stored. The login it belongs to stands.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// Sealed with a key that is not, or no longer, here.
    #[error("sealed with the key `{kid}`, which is not here")]
    UnknownKey {
        /// Its id.
        kid: String,
    },
    /// Changed, cut, of another session, or sealed with another key of that name.
    #[error("not what was sealed for this session")]
    NotSealed,
}

impl Seal {
    /// A seal over at least one key, no two under the same id: the first seals, all open. To change keys, put a new one in
    /// front, and remove the old one when the last session that it sealed has expired.
    ///
    /// # Errors
    /// [`SealKeyError::NoKey`] and [`SealKeyError::SameKid`].
    pub fn new(keys: Vec<SealKey>) -> Result<Self, SealKeyError> {
        if keys.is_empty() {
            return Err(SealKeyError::NoKey);
        }
        for (n, key) in keys.iter().enumerate() {
            if keys[..n].iter().any(|earlier| earlier.kid == key.kid) {
                return Err(SealKeyError::SameKid { kid: key.kid.clone() });
            }
        }
        Ok(Self(keys.into()))
    }

    /// A seal under a new key that nobody else has: what it sealed cannot be read once it is gone.
    ///
    /// # Panics
    /// If the system's random generator fails.
    pub fn ephemeral() -> Self {
        Self([SealKey::of("ephemeral", &new_key())].into())
    }

    /// Seals `key` for the session with these names, and for no other.
    pub fn seal(&self, key: &SessionKey, sid: Sid, app: &AppId, openid: &OpenId) -> Vec<u8> {
        let SealKey { kid, key: sealing } = &self.0[0];
        let plain = key.expose().as_bytes();
        // Room for the tag from the start: growing would leave the plain text behind in the old place.
        let mut text = Zeroizing::new(Vec::with_capacity(plain.len() + TAG_BYTES));
        text.extend_from_slice(plain);
        let nonce = sealing
            .seal_in_place_append_tag(Aad::from(associated(sid, app, openid)), &mut *text)
            .expect("a text this short can be sealed");
        let kid_bytes = u8::try_from(kid.len()).expect("the length was checked when the key was read");
        let mut sealed = Vec::with_capacity(2 + kid.len() + NONCE_BYTES + text.len());
        sealed.extend_from_slice(&[VERSION, kid_bytes]);
        sealed.extend_from_slice(kid.as_bytes());
        sealed.extend_from_slice(nonce.as_ref());
        sealed.extend_from_slice(&text);
        sealed
    }

    /// Opens what [`seal`](Self::seal) made for the session with these names.
    ///
    /// # Errors
    /// [`Unreadable`]; nothing in it is a secret.
    pub fn open(
        &self,
        sealed: &[u8],
        sid: Sid,
        app: &AppId,
        openid: &OpenId,
    ) -> Result<SessionKey, Unreadable> {
        let Some((kid, nonce, text)) = parts(sealed) else { return Err(Unreadable::NotSealed) };
        let Some(key) = self.0.iter().find(|key| key.kid.as_bytes() == kid) else {
            return Err(Unreadable::UnknownKey { kid: String::from_utf8_lossy(kid).into_owned() });
        };
        let mut text = Zeroizing::new(text.to_vec());
        let aad = Aad::from(associated(sid, app, openid));
        let plain = key.key.open_in_place(Nonce::assume_unique_for_key(nonce), aad, &mut text);
        let plain = plain.ok().and_then(|plain| std::str::from_utf8(plain).ok());
        plain.and_then(|plain| SessionKey::new(plain.to_owned())).ok_or(Unreadable::NotSealed)
    }
}

/// The kid, the nonce and the text of a sealed form.
fn parts(sealed: &[u8]) -> Option<(&[u8], [u8; NONCE_BYTES], &[u8])> {
    let (&[VERSION, kid_bytes], rest) = sealed.split_first_chunk()? else { return None };
    let (kid, rest) = rest.split_at_checked(usize::from(kid_bytes))?;
    let (nonce, text) = rest.split_first_chunk()?;
    Some((kid, *nonce, text))
}

/// What a sealed key is bound to.
fn associated(sid: Sid, app: &AppId, openid: &OpenId) -> Vec<u8> {
    let mut data = LABEL.to_vec();
    for part in [sid.as_bytes().as_slice(), app.as_str().as_bytes(), openid.as_str().as_bytes()] {
        data.push(u8::try_from(part.len()).expect("no id is longer than 128 bytes"));
        data.extend_from_slice(part);
    }
    data
}

/// One key of a [`Seal`].
pub struct SealKey {
    kid: String,
    /// Holds the key schedule, and wipes it when it is dropped.
    key: RandomizedNonceKey,
}

/// Material that cannot be a key of a [`Seal`]. Never repeats the material.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SealKeyError {
    /// Neither 32 bytes, nor 64 hex digits, nor 32 bytes in base64.
    #[error("a key that seals is {KEY_BYTES} random bytes: as they are, in hex or in base64")]
    NotAKey,
    /// 32 hex digits: as bytes they would do, but each holds four unknown bits.
    #[error("a key in hex needs 64 digits (256 bits), this one has 32")]
    HexTooShort,
    /// A pattern or a sequence.
    #[error("the key is a pattern, not random bytes")]
    Weak,
    /// An id that does not fit the sealed form.
    #[error("the name of a key has 1 to 255 bytes")]
    Kid,
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

impl SealKey {
    /// Reads a key: 32 bytes as they are, as 64 hex digits, or in base64 of either alphabet. Give no two keys the same
    /// `kid`, ever.
    ///
    /// # Errors
    /// [`SealKeyError`], where the material is no key or none that is random.
    pub fn parse(kid: &str, material: &[u8]) -> Result<Self, SealKeyError> {
        if !(1..=255).contains(&kid.len()) {
            return Err(SealKeyError::Kid);
        }
        let key = key_bytes(material)?;
        if is_pattern(&key) { Err(SealKeyError::Weak) } else { Ok(Self::of(kid, &key)) }
    }

    fn of(kid: &str, key: &[u8; KEY_BYTES]) -> Self {
        let key =
            RandomizedNonceKey::new(&AES_256_GCM, key).expect("the key has the length of the algorithm");
        Self { kid: kid.to_owned(), key }
    }

    /// Its id.
    pub fn kid(&self) -> &str {
        &self.kid
    }
}

impl fmt::Debug for SealKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SealKey").field("kid", &self.kid).finish_non_exhaustive()
    }
}

/// A new key as text that [`SealKey::parse`] reads: 32 random bytes in base64.
///
/// # Panics
/// If the system's random generator fails, which no caller could make good.
pub fn generate_seal_key() -> SecretString {
    STANDARD.encode(*new_key()).into()
}

fn new_key() -> Zeroizing<[u8; KEY_BYTES]> {
    let mut key = Zeroizing::new([0; KEY_BYTES]);
    SystemRandom::new().fill(&mut *key).expect("the system's random generator works");
    key
}

/// The key that `material` is, or says.
fn key_bytes(material: &[u8]) -> Result<Zeroizing<[u8; KEY_BYTES]>, SealKeyError> {
    let text = material.trim_ascii();
    let is_hex = !text.is_empty() && text.iter().all(u8::is_ascii_hexdigit);
    if is_hex && text.len() == 2 * KEY_BYTES {
        return hex(text).ok_or(SealKeyError::NotAKey);
    }
    if is_hex && text.len() == KEY_BYTES {
        return Err(SealKeyError::HexTooShort);
    }
    // Before the text is looked at: random bytes may end in what would be a space.
    if let Ok(key) = <[u8; KEY_BYTES]>::try_from(material) {
        return Ok(Zeroizing::new(key));
    }
    base64(text).ok_or(SealKeyError::NotAKey)
}

fn hex(digits: &[u8]) -> Option<Zeroizing<[u8; KEY_BYTES]>> {
    let mut key = Zeroizing::new([0; KEY_BYTES]);
    for (byte, pair) in key.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(key)
}

/// 32 bytes in base64, of either alphabet, padded or not.
fn base64(text: &[u8]) -> Option<Zeroizing<[u8; KEY_BYTES]>> {
    let mut plain = Zeroizing::new(text.strip_suffix(b"=").unwrap_or(text).to_vec());
    for byte in plain.iter_mut() {
        *byte = match *byte {
            b'-' => b'+',
            b'_' => b'/',
            other => other,
        };
    }
    let decoded = Zeroizing::new(STANDARD_NO_PAD.decode(&*plain).ok()?);
    <[u8; KEY_BYTES]>::try_from(decoded.as_slice()).ok().map(Zeroizing::new)
}

/// Whether the bytes repeat, or the steps between them do: what somebody typed, and no generator gave.
fn is_pattern(key: &[u8; KEY_BYTES]) -> bool {
    let different =
        |bytes: &mut dyn Iterator<Item = u8>| bytes.collect::<std::collections::HashSet<_>>().len();
    let mut steps = key.windows(2).map(|two| two[1].wrapping_sub(two[0]));
    different(&mut key.iter().copied()) < DIFFERENT_BYTES_MIN || different(&mut steps) < DIFFERENT_BYTES_MIN
}

#[cfg(test)]
mod tests;
