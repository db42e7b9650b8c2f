//! Open data: what `wx.getUserInfo`, `wx.getWeRunData` and others hand to the client sealed with the `session_key`.
//!
//! AES-128-CBC with PKCS#7 padding over JSON, which names the app and the moment in a `watermark`.
//!
//! **Nothing in it says who the user is**, nor anything else that the user would gain by changing. The seal has no
//! authentication code and the client chooses the iv. So a client can cut off blocks of 16 bytes in front, and the `openId`
//! with them, choose the 16 bytes that then come first, and change a later block if the one before may become garbage. Where
//! text of the user's own, such as a nickname, stands in the data, that is enough to write members of any kind. Who the user
//! is says [`CodeExchange`](super::CodeExchange) alone; an `openId` in here is to be compared with that one, never believed.
//!
//! An endpoint that opens data for clients gives one and the same answer to [`NotDecryptable`](OpenDataError::NotDecryptable),
//! [`NotJson`](OpenDataError::NotJson) and [`WrongApp`](OpenDataError::WrongApp): told apart, they let somebody who asks
//! often enough read data sealed for another.

use std::fmt;

use aws_lc_rs::cipher::{
    AES_128, DecryptionContext, EncryptionContext, PaddedBlockDecryptingKey, PaddedBlockEncryptingKey,
    UnboundCipherKey,
};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use zeroize::Zeroizing;

use crate::{AppId, SessionKey};

/// Length of a cipher block, of the key and of the iv, in bytes.
const BLOCK: usize = 16;

/// Data as the client sends it, both in base64.
#[derive(Clone, Copy)]
pub struct Sealed<'a> {
    /// `encryptedData`.
    pub encrypted_data: &'a str,
    /// `iv`.
    pub iv: &'a str,
}

/// What was in sealed data of the right app. Personal: `Debug` does not show it.
#[derive(Clone)]
pub struct OpenData {
    /// When WeChat sealed it, in Unix seconds by WeChat's clock. The client can send old data again: a use that must be
    /// fresh compares this with the time.
    pub sealed_at: u64,
    /// All of it. WeChat adds members when it likes.
    pub json: Value,
}

/// Why data was not opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OpenDataError {
    /// Not the base64 of 16 bytes: the session's key is damaged, not the client's data.
    #[error("the session_key is not the base64 of 16 bytes")]
    BadSessionKey,
    /// The `iv` is base64, but not of 16 bytes.
    #[error("iv is not the base64 of 16 bytes")]
    BadIv,
    /// A member is not base64.
    #[error("{member} is not base64{}", if *.spaces { ": it has spaces, most likely plus signs that were sent in a form \
        or a query without being encoded" } else { "" })]
    BadBase64 {
        /// `encryptedData` or `iv`.
        member: &'static str,
        /// Whether there are spaces in it.
        spaces: bool,
    },
    /// Nothing, or not whole blocks: cut off on its way.
    #[error("encryptedData is not whole blocks of 16 bytes: it was cut off on its way")]
    NotWholeBlocks,
    /// Nothing that this key sealed. Most often the key is no longer the client's: it called
    /// `wx.login` since the login that this session comes from. After another login the client gets new data and tries
    /// again.
    #[error("the data was not sealed with this session_key; log in, get the data anew, and try again")]
    NotDecryptable,
    /// Came out as something else than the JSON of open data; the causes are those of `NotDecryptable`, and a wrong iv.
    #[error("the data opened to something else than open data; log in, get the data anew, and try again")]
    NotJson,
    /// Sealed for another app, or for none.
    #[error("the data is not this app's")]
    WrongApp,
}

/// Opens `sealed` with the key of the session, for `app`.
pub fn decrypt(app: &AppId, session_key: &SessionKey, sealed: Sealed<'_>) -> Result<OpenData, OpenDataError> {
    let key = key(session_key)?;
    let iv = decode("iv", sealed.iv)?;
    let iv = <[u8; BLOCK]>::try_from(iv).map_err(|_| OpenDataError::BadIv)?;
    let mut data = Zeroizing::new(decode("encryptedData", sealed.encrypted_data)?);
    if data.is_empty() || !data.len().is_multiple_of(BLOCK) {
        return Err(OpenDataError::NotWholeBlocks);
    }
    let plain = PaddedBlockDecryptingKey::cbc_pkcs7(key)
        .and_then(|key| key.decrypt(&mut data, DecryptionContext::Iv128(iv.into())))
        .map_err(|_| OpenDataError::NotDecryptable)?;
    read(app, plain)
}

/// Seals `plain` as WeChat does: for simulators and tests. Returns `encryptedData`; the client is also given the base64
/// of `iv`, which should be random.
pub fn encrypt(session_key: &SessionKey, iv: [u8; BLOCK], plain: &[u8]) -> Result<String, OpenDataError> {
    let mut data = plain.to_vec();
    PaddedBlockEncryptingKey::cbc_pkcs7(key(session_key)?)
        .and_then(|key| key.less_safe_encrypt(&mut data, EncryptionContext::Iv128(iv.into())))
        .map_err(|_| OpenDataError::BadSessionKey)?;
    Ok(STANDARD.encode(data))
}

/// A padding that fits proves nothing: one wrong key in 256 has one, and every wrong iv. JSON with the watermark of the app
/// is the proof.
fn read(app: &AppId, plain: &[u8]) -> Result<OpenData, OpenDataError> {
    let json: Value = serde_json::from_slice(plain).map_err(|_| OpenDataError::NotJson)?;
    if !json.is_object() {
        return Err(OpenDataError::NotJson);
    }
    let watermark = &json["watermark"];
    if watermark["appid"].as_str() != Some(app.as_str()) {
        return Err(OpenDataError::WrongApp);
    }
    let sealed_at = watermark["timestamp"].as_u64().ok_or(OpenDataError::NotJson)?;
    Ok(OpenData { sealed_at, json })
}

fn key(session_key: &SessionKey) -> Result<UnboundCipherKey, OpenDataError> {
    let bytes =
        Zeroizing::new(STANDARD.decode(session_key.expose()).map_err(|_| OpenDataError::BadSessionKey)?);
    // Checks the length.
    UnboundCipherKey::new(&AES_128, &bytes).map_err(|_| OpenDataError::BadSessionKey)
}

fn decode(member: &'static str, text: &str) -> Result<Vec<u8>, OpenDataError> {
    let spaces = text.contains(' ');
    STANDARD.decode(text).map_err(|_| OpenDataError::BadBase64 { member, spaces })
}

impl fmt::Debug for OpenData {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpenData").field("sealed_at", &self.sealed_at).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
