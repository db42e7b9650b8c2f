//! The login token: a JWT (RFC 7519) that carries a session id and who logged in.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use secrecy::{ExposeSecret, SecretString};
use serde::de::IgnoredAny;
use serde::{Deserialize, Deserializer, Serialize};

use crate::keys::{Key, KeyRing};
use crate::{Caller, TokenError};

/// Longest token that is looked at, in bytes. Ours have 360 to 520.
pub const TOKEN_BYTES_MAX: usize = 4096;

/// Longest life of a token, in seconds: 30 days. One that claims more was not made here.
pub const TOKEN_LIFE_SECS_MAX: u64 = 30 * 24 * 3600;

/// The claim `typ` of a login token: an assertion or another JWT under the same key is not one.
pub(crate) const LOGIN: &str = "login";

/// A signed token. It cannot be printed: who holds it is the user.
#[derive(Clone)]
pub struct LoginToken(SecretString);

impl LoginToken {
    /// Opens the token, to hand it to the client that logged in.
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }
}

impl fmt::Debug for LoginToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LoginToken([REDACTED])")
    }
}

/// The claims as they stand in the token. All but `auth_time`, `session_exp`, `nbf` and `unionid` are
/// required, each of its exact type;
/// a duplicate is an error, an unknown one is ignored.
#[derive(Serialize, Deserialize)]
pub(crate) struct Claims<'a> {
    pub(crate) iss: &'a str,
    /// The openid.
    pub(crate) sub: &'a str,
    /// The appid.
    pub(crate) aud: &'a str,
    pub(crate) iat: u64,
    pub(crate) exp: u64,
    /// When the user logged in (OpenID Connect Core §2). Tokens had none before they could be renewed.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "present")]
    pub(crate) auth_time: Option<u64>,
    /// When the session ends: no token of it lives longer. Fixed at login, as in the store, so that no token goes on after the
    /// store has forgotten its session, where nobody would find it to end it.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "present")]
    pub(crate) session_exp: Option<u64>,
    pub(crate) sid: &'a str,
    pub(crate) typ: &'a str,
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "present")]
    pub(crate) nbf: Option<u64>,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none", deserialize_with = "present")]
    pub(crate) unionid: Option<&'a str>,
}

/// A member that is there has its type: `null` is not the same as absent.
fn present<'de, T: Deserialize<'de>, D: Deserializer<'de>>(value: D) -> Result<Option<T>, D::Error> {
    T::deserialize(value).map(Some)
}

/// Signs a token for `caller`.
pub(crate) fn mint(key: &Key, issuer: &str, caller: &Caller) -> LoginToken {
    let claims = Claims {
        iss: issuer,
        sub: caller.openid.as_str(),
        aud: caller.app.as_str(),
        iat: caller.issued_at,
        exp: caller.signed_until,
        auth_time: caller.logged_in_at,
        session_exp: caller.session_ends_at,
        sid: &caller.sid.to_string(),
        typ: LOGIN,
        nbf: None,
        unionid: caller.unionid.as_ref().map(crate::UnionId::as_str),
    };
    LoginToken(compact(key, &claims).into())
}

/// The claims under the key's header and signature (RFC 7515 §3.1).
pub(crate) fn compact(key: &Key, claims: &impl Serialize) -> String {
    let claims = serde_json::to_vec(claims).expect("claims are plain JSON");
    let mut token = format!("{}.{}", key.header(), URL_SAFE_NO_PAD.encode(claims));
    let signature = key.sign(token.as_bytes());
    token.push('.');
    token.push_str(&signature);
    token
}

/// The claims bytes of `token` once its signature has been checked with the key that its header names, and that key.
pub(crate) fn signed_claims<'r>(ring: &'r KeyRing, token: &str) -> Result<(Vec<u8>, &'r Key), TokenError> {
    if token.len() > TOKEN_BYTES_MAX {
        return Err(TokenError::TooLong);
    }
    let (message, signature) = token.rsplit_once('.').ok_or(TokenError::Malformed)?;
    let (header, claims) = message.split_once('.').ok_or(TokenError::Malformed)?;
    if claims.contains('.') {
        return Err(TokenError::Malformed);
    }
    // Tokens made here carry a header we know to the byte; a foreign writer's is parsed.
    let key = match ring.find_by_header(header) {
        Some(key) => key,
        None => key_of_foreign_header(ring, header)?,
    };
    if !key.verifies(signature, message.as_bytes()) {
        return Err(TokenError::BadSignature);
    }
    let claims = URL_SAFE_NO_PAD.decode(claims).map_err(|_| TokenError::Malformed)?;
    Ok((claims, key))
}

/// What a header may say. `jku`, `jwk`, `x5u` and the like are ignored: keys come from the config alone.
#[derive(Deserialize)]
struct Header<'a> {
    alg: &'a str,
    kid: &'a str,
    /// RFC 7515 §4.1.11: extensions that must be understood. We understand none.
    #[serde(default, deserialize_with = "present")]
    crit: Option<IgnoredAny>,
    /// RFC 7797: an unencoded payload.
    #[serde(default, deserialize_with = "present")]
    b64: Option<IgnoredAny>,
    /// RFC 7516: a compressed payload.
    #[serde(default, deserialize_with = "present")]
    zip: Option<IgnoredAny>,
}

/// Reads a JSON object, in UTF-8 throughout (RFC 7519 §7.2). Serde alone would take an array of the members' values for one,
/// and any bytes for the value of a member that is ignored.
pub(crate) fn parse_object<'a, T: Deserialize<'a>>(json: &'a [u8]) -> Result<T, TokenError> {
    let json = std::str::from_utf8(json).map_err(|_| TokenError::Malformed)?;
    if !json.trim_ascii_start().starts_with('{') {
        return Err(TokenError::Malformed);
    }
    serde_json::from_str(json).map_err(|_| TokenError::Malformed)
}

fn key_of_foreign_header<'r>(ring: &'r KeyRing, header: &str) -> Result<&'r Key, TokenError> {
    let json = URL_SAFE_NO_PAD.decode(header).map_err(|_| TokenError::Malformed)?;
    let header: Header<'_> = parse_object(&json)?;
    if header.crit.is_some() || header.b64.is_some() || header.zip.is_some() {
        return Err(TokenError::Malformed);
    }
    let key = ring.find(header.kid).ok_or(TokenError::UnknownKey)?;
    if key.algorithm().name() == header.alg { Ok(key) } else { Err(TokenError::WrongAlgorithm) }
}
