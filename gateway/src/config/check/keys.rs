//! Secrets and signing keys: read, and refused while the operator is still looking.

mod encoded;

use std::env::VarError;

use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair};
use jsonwebtoken::EncodingKey;
use secrecy::{ExposeSecret as _, SecretString};

use super::Context;
use super::weak::weakness;
use crate::config::Mode;
use crate::config::hidden::looks_secret;
use crate::config::secrets::SECRET_BYTES_MAX;
use crate::config::values::Secret;

/// What is wrong with a secret, and what to do. Neither may hold any of it.
type Wrong = (String, &'static str);

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
    let weak = weakness(text).filter(|_| mode == Mode::Normal)?;
    Some((format!("the AppSecret is {weak}"), HELP))
}

/// Why `text` cannot sign tokens.
pub(super) fn key_wrong(text: &str, mode: Mode) -> Option<Wrong> {
    let trimmed = text.trim();
    if trimmed.starts_with('{') || trimmed.starts_with('[') {
        return Some(("a JWK is not accepted".into(), HELP_PEM));
    }
    if let Some(kind) = encoded::kind(trimmed) {
        return Some((kind.into(), HELP_PEM));
    }
    if trimmed.contains("-----BEGIN") { pem_wrong(trimmed) } else { hmac_wrong(text, mode) }
}

const HELP_PEM: &str = "make one: openssl genpkey -algorithm ed25519 -out key.pem";
const HELP_HMAC: &str = "make one: openssl rand -base64 48";

fn hmac_wrong(text: &str, mode: Mode) -> Option<Wrong> {
    if text.len() < 32 {
        return Some((
            format!("an HMAC secret needs 32 bytes or more, this one has {}", text.len()),
            HELP_HMAC,
        ));
    }
    if let Some(weak) = weakness(text).filter(|_| mode == Mode::Normal) {
        return Some((format!("the key is {weak}"), HELP_HMAC));
    }
    // Hex is taken as it stands, not decoded: each digit is a byte of four unknown bits.
    let digits = text.trim();
    let short = digits.len() < 64 && digits.bytes().all(|b| b.is_ascii_hexdigit());
    short.then(|| {
        (
            format!(
                "an HMAC secret in hex needs 64 digits (256 bits) or more, this one has {}",
                digits.len()
            ),
            "make one: openssl rand -hex 32",
        )
    })
}

fn pem_wrong(text: &str) -> Option<Wrong> {
    let label = text
        .split_once("-----BEGIN ")
        .and_then(|(_, rest)| rest.split_once("-----"))
        .map_or("", |(label, _)| label);
    let blocks = text.matches("-----BEGIN ").count();
    let refused = match label {
        "PRIVATE KEY" if blocks == 1 => return pkcs8_wrong(text),
        "PRIVATE KEY" => "several PEM blocks are not one key",
        "EC PRIVATE KEY" | "EC PARAMETERS" => {
            let help = "convert it: openssl pkcs8 -topk8 -nocrypt -in old.pem -out key.pem";
            return Some(("an EC key in SEC 1 form (`EC PRIVATE KEY`) is not accepted".into(), help));
        }
        "ENCRYPTED PRIVATE KEY" => {
            let help = "decrypt it: openssl pkcs8 -in old.pem -out key.pem, and protect the file instead";
            return Some((
                "an encrypted key is not accepted: nobody is there to type its password".into(),
                help,
            ));
        }
        "RSA PRIVATE KEY" => "an RSA key is not accepted",
        "PUBLIC KEY" | "RSA PUBLIC KEY" => "a public key cannot sign",
        "CERTIFICATE" => "a certificate is not a key",
        _ => "this kind of PEM is not accepted",
    };
    Some((refused.into(), HELP_PEM))
}

/// Parses the key with the calls that will sign, so that a key which starts also signs.
fn pkcs8_wrong(text: &str) -> Option<Wrong> {
    let pem = text.as_bytes();
    if let Ok(key) = EncodingKey::from_ec_pem(pem) {
        let parsed = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, key.as_bytes());
        return parsed.is_err().then(|| ("an EC key must be on the curve P-256".into(), HELP_PEM));
    }
    if let Ok(key) = EncodingKey::from_ed_pem(pem) {
        return Ed25519KeyPair::from_pkcs8(key.as_bytes())
            .is_err()
            .then(|| ("not a usable Ed25519 key".into(), HELP_PEM));
    }
    let rsa = EncodingKey::from_rsa_pem(pem).is_ok();
    let why = if rsa { "an RSA key is not accepted" } else { "not a private key that can be read" };
    Some((why.into(), HELP_PEM))
}

#[cfg(test)]
mod tests;
