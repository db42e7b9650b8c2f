//! What it costs to know who sends a token: remembered, verified anew with each algorithm, and refused.
//!
//! `cargo bench -p auth-core`

use std::collections::HashSet;
use std::hint::black_box;
use std::sync::Arc;

use auth_core::keys::{Algorithm, Key, KeyRing, generate};
use auth_core::revocation::Revocations;
use auth_core::verify::Policy;
use auth_core::{AppId, ManualClock, Verifier};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use criterion::{Criterion, criterion_group, criterion_main};
use jsonwebtoken::{EncodingKey, crypto};
use secrecy::ExposeSecret;
use serde_json::json;

const APPID: &str = "wx4f4bc4dec97d474b";
const NOW: u64 = 1_793_000_000;

const ALGORITHMS: [Algorithm; 3] = [Algorithm::Hs256, Algorithm::Es256, Algorithm::EdDsa];

/// A verifier, and a token that it takes.
fn issued(algorithm: Algorithm, cache_entries: u64) -> (Verifier<()>, String) {
    let material = generate(algorithm);
    let keys = KeyRing::new(vec![key(material.expose_secret().as_ref())]).expect("one key");
    let policy = Policy {
        issuer: "wxgate".to_owned(),
        apps: HashSet::from([AppId::parse(APPID).expect("an appid")]),
        leeway_secs: 5,
        session_lifetime_secs: 30 * 86_400,
        cache_entries,
    };
    let clock = Arc::new(ManualClock::at(NOW));
    let verifier = Verifier::new(keys, policy, Arc::new(Revocations::default()), clock, |_| ());
    (verifier, token(algorithm, material.expose_secret().as_ref()))
}

fn key(material: &[u8]) -> Key {
    Key::parse("bench", material).expect("a key")
}

/// As the gateway signs it; the library itself mints at logins only.
fn token(algorithm: Algorithm, material: &[u8]) -> String {
    let (as_jwt, key) = match algorithm {
        Algorithm::Hs256 => (jsonwebtoken::Algorithm::HS256, Ok(EncodingKey::from_secret(material))),
        Algorithm::Es256 => (jsonwebtoken::Algorithm::ES256, EncodingKey::from_ec_pem(material)),
        Algorithm::EdDsa => (jsonwebtoken::Algorithm::EdDSA, EncodingKey::from_ed_pem(material)),
    };
    let header = json!({ "alg": algorithm.name(), "kid": "bench", "typ": "JWT" });
    let claims = json!({
        "iss": "wxgate",
        "sub": "oGZUI0egBJY1zhBYw2KhdUfwVJJE",
        "aud": APPID,
        "iat": NOW,
        "exp": NOW + 7200,
        "sid": URL_SAFE_NO_PAD.encode([7; 16]),
        "typ": "login",
    });
    let encode = |json: serde_json::Value| URL_SAFE_NO_PAD.encode(json.to_string());
    let message = format!("{}.{}", encode(header), encode(claims));
    let signature = crypto::sign(message.as_bytes(), &key.expect("a key that signs"), as_jwt);
    format!("{message}.{}", signature.expect("a signature"))
}

fn accepted(criterion: &mut Criterion) {
    let (verifier, token) = issued(Algorithm::EdDsa, 100_000);
    verifier.verify(&token).expect("the token passes");
    criterion.bench_function("remembered", |bench| bench.iter(|| verifier.verify(black_box(&token))));
    for algorithm in ALGORITHMS {
        let (verifier, token) = issued(algorithm, 0);
        verifier.verify(&token).expect("the token passes");
        let name = format!("verified anew, {}", algorithm.name());
        criterion.bench_function(&name, |bench| bench.iter(|| verifier.verify(black_box(&token))));
    }
}

fn refused(criterion: &mut Criterion) {
    let (verifier, token) = issued(Algorithm::Hs256, 100_000);
    let garbage = "x".repeat(token.len());
    let (message, _) = token.rsplit_once('.').expect("three segments");
    let unsigned = format!("{message}.{}", "A".repeat(43));
    for (name, wrong) in [("refused, garbage", garbage), ("refused, wrong signature", unsigned)] {
        verifier.verify(&wrong).expect_err("the token does not pass");
        criterion.bench_function(name, |bench| bench.iter(|| verifier.verify(black_box(&wrong))));
    }
}

criterion_group!(benches, accepted, refused);
criterion_main!(benches);
