//! Secrets and signing keys: read, and refused while the operator is still looking.

use std::env::VarError;

use auth_core::keys::{Algorithm, ForeignKey, Key, KeyError};
use auth_core::session::SealKey;
use secrecy::{ExposeSecret as _, SecretString};

use super::Context;
use super::weak::weakness;
use crate::config::Mode;
use crate::config::hidden::looks_secret;
use crate::config::secrets::SECRET_BYTES_MAX;
use crate::config::values::Secret;

/// What is wrong with a secret, and what to do. Neither may hold any of it.
pub(super) type Wrong = (String, &'static str);

/// Reads the secret that `path` names. What cannot be read is noted.
pub(super) fn read(path: &str, secret: &Secret, cx: &mut Context<'_>) -> Option<SecretString> {
    let text = match secret {
        Secret::Env(name) => env(name, cx),
        Secret::File(file) => self::file(path, file, cx),
        Secret::Plain(text) if cx.mode == Mode::Dev => Ok(text.clone()),
        Secret::Plain(_) => Err((
            "a secret in the file itself is accepted under `wxgate dev` only".into(),
            "move it out: { env = \"NAME\" } or { file = \"/run/secrets/name\" }",
        )),
        Secret::Unclear => {
            let help = "write { env = \"NAME\" } or { file = \"/run/secrets/name\" }";
            cx.missing(path, "name exactly one place of the secret", help);
            return None;
        }
    };
    match text.and_then(without_line_break) {
        Ok(text) => Some(text),
        Err((message, help)) => {
            cx.wrong(path, message, help);
            None
        }
    }
}

fn env(name: &str, cx: &Context<'_>) -> Result<SecretString, Wrong> {
    if looks_secret(name) {
        let help = "put the secret into a variable and write the variable's name here";
        return Err(("`env` takes the name of a variable, not the secret itself".into(), help));
    }
    match cx.secrets.env(name) {
        Ok(text) => Ok(text.into()),
        Err(VarError::NotPresent) => Err((
            format!("the environment variable `{name}` is not set"),
            "set it where wxgate is started, or name another place",
        )),
        Err(VarError::NotUnicode(_)) => {
            Err((format!("the environment variable `{name}` is not text"), "write it as UTF-8"))
        }
    }
}

fn file(path: &str, file: &str, cx: &mut Context<'_>) -> Result<SecretString, Wrong> {
    if looks_secret(file) {
        let help = "put the secret into a file and write the file's path here";
        return Err(("`file` takes the path of a file, not the secret itself".into(), help));
    }
    let full = cx.resolve_file(file);
    let read = cx.secrets.file(&full).map_err(|error| {
        (
            format!("cannot read {}: {error}", full.display()),
            "the file must exist and be readable by the user that runs wxgate",
        )
    })?;
    if read.bytes.len() as u64 > SECRET_BYTES_MAX {
        let most = SECRET_BYTES_MAX >> 10;
        return Err((
            format!("{} is larger than {most} KiB", full.display()),
            "name the file that holds the secret alone",
        ));
    }
    if read.mode & 0o077 != 0 {
        let mode = read.mode;
        cx.warn(
            path,
            format!("{} can be read by other users (mode {mode:04o}); run chmod 600", full.display()),
        );
    }
    let text = String::from_utf8(read.bytes);
    text.map(Into::into).map_err(|_| {
        (format!("{} is not text", full.display()), "write the secret as text: hex, base64 or PEM")
    })
}

/// Editors and `echo` end a file with a line break that nobody means.
fn without_line_break(text: SecretString) -> Result<SecretString, Wrong> {
    let whole = text.expose_secret();
    let kept = whole.strip_suffix('\n').map_or(whole, |kept| kept.strip_suffix('\r').unwrap_or(kept));
    if kept.trim().is_empty() {
        return Err(("the secret is empty".into(), "fill the variable or the file that is named here"));
    }
    Ok(if kept.len() == whole.len() { text } else { kept.into() })
}

/// Why `text` cannot be an AppSecret.
pub(super) fn app_secret_wrong(text: &str, mode: Mode) -> Option<Wrong> {
    const HELP: &str = "copy the AppSecret from the console at mp.weixin.qq.com, under Development";
    if !text.bytes().all(|b| b.is_ascii_graphic()) {
        return Some(("the AppSecret holds spaces or other characters that none has".into(), HELP));
    }
    if mode == Mode::Dev {
        return None;
    }
    // A key, a JWK or a line of JSON in its place would go to WeChat with the first login, in a URL.
    let not_one = || {
        (!text.bytes().all(|b| b.is_ascii_alphanumeric()))
            .then_some("something else: it has letters and digits only")
    };
    weakness(text).or_else(not_one).map(|wrong| (format!("the AppSecret is {wrong}"), HELP))
}

/// Why `text` cannot sign tokens.
pub(super) fn key_wrong(text: &str, mode: Mode) -> Option<Wrong> {
    let read = Key::parse("", text.as_bytes());
    let is_hmac = match &read {
        Ok(key) => key.algorithm() == Algorithm::Hs256,
        Err(error) => matches!(error, KeyError::HexTooShort { .. }),
    };
    if is_hmac && let Some(weak) = weakness(text).filter(|_| mode == Mode::Normal) {
        return Some((format!("the key is {weak}"), HELP_HMAC));
    }
    let error = read.err()?;
    Some((error.to_string(), help(&error)))
}

/// Whether others can check what this key signs, without being able to sign.
pub(super) fn is_private(material: &[u8]) -> bool {
    Key::parse("", material).is_ok_and(|key| key.algorithm() != Algorithm::Hs256)
}

/// Why `text` cannot seal a `session_key`.
pub(super) fn seal_key_wrong(text: &str, mode: Mode) -> Option<Wrong> {
    const HELP: &str = "make one: wxgate keygen --alg aes256";
    if let Some(weak) = weakness(text).filter(|_| mode == Mode::Normal) {
        return Some((format!("the key is {weak}"), HELP));
    }
    SealKey::parse("kid", text.as_bytes()).err().map(|error| (error.to_string(), HELP))
}

/// Why `text` cannot be a credential of the private listener.
pub(super) fn credential_wrong(text: &str, mode: Mode) -> Option<Wrong> {
    let stands_in_header = |b: u8| b.is_ascii_alphanumeric() || b"-._~+/=".contains(&b);
    if let Some(weak) = weakness(text).filter(|_| mode == Mode::Normal) {
        return Some((format!("the token is {weak}"), HELP_CREDENTIAL));
    }
    if !text.bytes().all(stands_in_header) {
        let message = "the token holds characters that no bearer token has (RFC 6750 §2.1)";
        return Some((message.into(), HELP_CREDENTIAL));
    }
    let length = text.len();
    (length < CREDENTIAL_CHARS_MIN).then(|| {
        (
            format!("a token needs {CREDENTIAL_CHARS_MIN} characters or more, this one has {length}"),
            HELP_CREDENTIAL,
        )
    })
}

/// Of hex digits alone these are 128 bits.
const CREDENTIAL_CHARS_MIN: usize = 32;

pub(super) const HELP_CREDENTIAL: &str = "make one: wxgate keygen --alg token";

const HELP_HMAC: &str = "make one: openssl rand -base64 48";

const fn help(error: &KeyError) -> &'static str {
    match error {
        KeyError::TooShort { .. } => HELP_HMAC,
        KeyError::HexTooShort { .. } => "make one: openssl rand -hex 32",
        KeyError::Foreign(ForeignKey::Sec1) => {
            "convert it: openssl pkcs8 -topk8 -nocrypt -in old.pem -out key.pem"
        }
        KeyError::Foreign(ForeignKey::Encrypted) => {
            "decrypt it: openssl pkcs8 -in old.pem -out key.pem, and protect the file instead"
        }
        _ => "make one: openssl genpkey -algorithm ed25519 -out key.pem",
    }
}
