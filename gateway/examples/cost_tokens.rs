//! Login tokens for `benches/cost.sh`, as the gateway signs them, without a login each.
//!
//! `cost_tokens KEY_FILE KID APPID COUNT` prints one token a line, each of another user and session.

use std::io::Write;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::Context;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey, crypto};
use serde_json::json;

const LIFE: Duration = Duration::from_secs(7200);

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, key_file, kid, appid, count] = &arguments[..] else {
        anyhow::bail!("cost_tokens KEY_FILE KID APPID COUNT");
    };
    let (algorithm, key) = signing_key(&std::fs::read(key_file)?)?;
    let now = now()?;
    let header = json!({ "alg": algorithm, "kid": kid, "typ": "JWT" });
    let header = URL_SAFE_NO_PAD.encode(header.to_string());
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    for n in 0..count.parse::<u128>().context("COUNT is a number")? {
        let claims = json!({
            "iss": "wxgate",
            "sub": format!("oGZUI0egBJY1zhBYw2Kh{n:08}"),
            "aud": appid,
            "iat": now.as_secs(),
            "exp": (now + LIFE).as_secs(),
            "sid": URL_SAFE_NO_PAD.encode(n.to_be_bytes()),
            "typ": "login",
        });
        let message = format!("{header}.{}", URL_SAFE_NO_PAD.encode(claims.to_string()));
        let signature = crypto::sign(message.as_bytes(), &key, algorithm)?;
        writeln!(out, "{message}.{signature}")?;
    }
    Ok(out.flush()?)
}

/// The kinds of key that the gateway takes.
fn signing_key(material: &[u8]) -> anyhow::Result<(Algorithm, EncodingKey)> {
    if !material.starts_with(b"-----BEGIN") {
        // The line end of a file is no part of its secret.
        let secret = material.strip_suffix(b"\n").unwrap_or(material);
        return Ok((Algorithm::HS256, EncodingKey::from_secret(secret)));
    }
    if let Ok(key) = EncodingKey::from_ed_pem(material) {
        return Ok((Algorithm::EdDSA, key));
    }
    Ok((Algorithm::ES256, EncodingKey::from_ec_pem(material).context("no key that signs tokens")?))
}

#[expect(clippy::disallowed_methods, reason = "a tool of its own, with no clock of ours")]
fn now() -> anyhow::Result<Duration> {
    Ok(SystemTime::now().duration_since(UNIX_EPOCH)?)
}
