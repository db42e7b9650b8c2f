//! The vectors of Project Wycheproof that apply to the algorithms here. Source, version and licence stand in
//! `wycheproof.json`, with what was left out of it.

use serde::Deserialize;

use super::super::*;
use crate::token::signed_claims;

#[derive(Deserialize)]
struct Vectors {
    tokens: Vec<TokenGroup>,
    signatures: Vec<SignatureGroup>,
}

#[derive(Deserialize)]
struct TokenGroup {
    file: String,
    comment: String,
    keys: Vec<PublicKey>,
    /// Number in the file, comment, token, whether it is valid.
    tests: Vec<(u32, String, String, bool)>,
}

#[derive(Deserialize)]
struct SignatureGroup {
    file: String,
    key: PublicKey,
    /// Number in the file, comment, message in hex, signature in base64url, whether it is valid.
    tests: Vec<(u32, String, String, String, bool)>,
}

/// The members of a JWK.
#[derive(Deserialize)]
struct PublicKey {
    #[serde(default)]
    kid: String,
    crv: Option<String>,
    #[serde(default)]
    x: String,
    #[serde(default)]
    y: String,
    k: Option<String>,
}

impl PublicKey {
    /// A key that verifies with this public half. What it signs with is another's: that is not the subject here.
    fn key(&self) -> Key {
        if let Some(secret) = &self.k {
            return Key::parse(&self.kid, &URL_SAFE_NO_PAD.decode(secret).unwrap()).unwrap();
        }
        let (algorithm, decoding) = match self.crv.as_deref() {
            Some("P-256") => (Algorithm::Es256, DecodingKey::from_ec_components(&self.x, &self.y)),
            _ => (Algorithm::EdDsa, DecodingKey::from_ed_components(&self.x)),
        };
        let signing = generate(algorithm);
        let key = Key::parse(&self.kid, secrecy::ExposeSecret::expose_secret(&signing).as_bytes()).unwrap();
        Key { decoding: decoding.unwrap(), ..key }
    }
}

fn vectors() -> Vectors {
    serde_json::from_str(include_str!("wycheproof.json")).unwrap()
}

/// Tokens that are judged otherwise here: file, number, our verdict, and why.
const OTHERWISE: [(&str, u32, bool, &str); 5] = [
    (
        "json_web_signature_test",
        367,
        true,
        "byte for byte the token of 357, which is valid: what it was to show got lost",
    ),
    ("json_web_signature_test", 370, true, "byte for byte the token of 357, as 367"),
    (
        "json_web_signature_test",
        372,
        false,
        "a `?` in the header: RFC 7515 §2 knows base64url without any other character",
    ),
    ("json_web_signature_test", 373, false, "a `?` in the payload, as 372"),
    (
        "json_web_crypto_test",
        47,
        true,
        "refused there because the ring holds an HMAC and a public key; ours may, as the algorithm belongs to the key",
    ),
];

#[test]
fn the_tokens_of_project_wycheproof_are_judged_as_flagged() {
    let (mut judged, mut otherwise) = (0, 0);
    for group in vectors().tokens {
        let ring = KeyRing::new(group.keys.iter().map(PublicKey::key).collect()).unwrap();
        for (number, comment, token, valid) in group.tests {
            let which = format!("{} {number}, {}: {comment}", group.file, group.comment);
            let ours = OTHERWISE.iter().find(|(file, id, ..)| *file == group.file && *id == number);
            if let Some((.., verdict, why)) = ours {
                assert_ne!(*verdict, valid, "{which} is no exception ({why})");
                otherwise += 1;
            }
            let wanted = ours.map_or(valid, |(_, _, verdict, _)| *verdict);
            assert_eq!(signed_claims(&ring, &token).is_ok(), wanted, "{which}");
            judged += 1;
        }
    }
    assert_eq!((judged, otherwise), (82, OTHERWISE.len()));
}

#[test]
fn the_signatures_of_project_wycheproof_are_judged_as_flagged() {
    let mut judged = 0;
    for group in vectors().signatures {
        let key = group.key.key();
        for (number, comment, message, signature, valid) in group.tests {
            let message = bytes(&message);
            assert_eq!(key.verifies(&signature, &message), valid, "{} {number}: {comment}", group.file);
            judged += 1;
        }
    }
    assert_eq!(judged, 497);
}

fn bytes(hex: &str) -> Vec<u8> {
    hex.as_bytes()
        .chunks(2)
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect()
}
