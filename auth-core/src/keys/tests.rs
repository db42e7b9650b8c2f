mod material;
mod wycheproof;

use secrecy::ExposeSecret;

use super::*;

fn ring(algorithm: Algorithm) -> KeyRing {
    let key = Key::parse("k1", generate(algorithm).expose_secret().as_bytes()).unwrap();
    assert_eq!(key.algorithm(), algorithm);
    KeyRing::new(vec![key]).unwrap()
}

#[test]
fn a_generated_key_reads_back_and_verifies_what_it_signs() {
    for algorithm in [Algorithm::Hs256, Algorithm::Es256, Algorithm::EdDsa] {
        let ring = ring(algorithm);
        let signature = ring.signing().sign(b"message");
        assert!(ring.signing().verifies(&signature, b"message"), "{algorithm:?}");
        assert!(!ring.signing().verifies(&signature, b"massage"), "{algorithm:?}");
        assert!(!ring.signing().verifies("", b"message"), "{algorithm:?}");
        assert!(!ring.signing().verifies(&format!("{signature}="), b"message"), "{algorithm:?}");
    }
}

#[test]
fn an_ecdsa_signature_of_zeros_is_refused() {
    let zeros = URL_SAFE_NO_PAD.encode([0; 64]);
    assert!(!ring(Algorithm::Es256).signing().verifies(&zeros, b"message"));
}

#[test]
fn the_key_set_shows_public_halves_only() {
    assert!(ring(Algorithm::Hs256).jwks().keys.is_empty());
    for (algorithm, kty) in [(Algorithm::Es256, "EC"), (Algorithm::EdDsa, "OKP")] {
        let set = serde_json::to_value(ring(algorithm).jwks()).unwrap();
        let key = &set["keys"][0];
        assert_eq!(key["kty"], kty);
        assert_eq!(key["kid"], "k1");
        assert_eq!(key["alg"], algorithm.name());
        assert!(key.get("d").is_none(), "the private half is in {key}");
    }
}

#[test]
fn the_header_that_a_key_writes_never_changes() {
    let key = Key::parse("2026-11", &[7; 32]).unwrap();
    let header = URL_SAFE_NO_PAD.decode(key.header()).unwrap();
    assert_eq!(header, br#"{"alg":"HS256","kid":"2026-11","typ":"JWT"}"#);
}

#[test]
fn a_ring_has_a_key_and_no_two_under_one_id() {
    assert_eq!(KeyRing::new(vec![]).unwrap_err(), KeyError::NoKey);
    let twice = vec![Key::parse("a", &[7; 32]).unwrap(), Key::parse("a", &[8; 32]).unwrap()];
    assert_eq!(KeyRing::new(twice).unwrap_err(), KeyError::SameKid { kid: "a".into() });
}
