//! What is remembered of a token, of which tokens, and until when.

use super::*;

#[test]
fn a_clock_that_is_set_moves_every_verdict_with_it() {
    const HOUR: u64 = 3600;
    with_and_without_cache(|b| {
        let token = b.token();
        b.verifier.verify(&token).unwrap();
        b.clock.set(NOW - HOUR);
        b.refuses(&token, TokenError::NotYetValid);
        b.clock.set(NOW + HOUR);
        b.verifier.verify(&token).unwrap();
        b.clock.set(NOW + 3 * HOUR);
        b.refuses(&token, TokenError::Expired);
        b.clock.set(NOW + HOUR);
        let known = b.verifier.verify(&token).unwrap();
        // No time is too early or too late to be compared.
        for (now, because) in [(0, TokenError::NotYetValid), (u64::MAX / 1000, TokenError::Expired)] {
            b.clock.set(now);
            b.refuses(&token, because);
            assert!(!b.verifier.passes_again(&known), "at {now}");
        }
        b.clock.set(NOW);
        b.verifier.verify(&token).unwrap();
        assert_eq!(b.verifier.passes_again(&known), b.verifier.remembers());
    });
}

#[test]
fn a_refusal_ends_with_its_cause() {
    with_and_without_cache(|b| {
        let mut later = claims();
        later["nbf"] = json!(NOW + 50);
        let token = b.signed(&later.to_string());
        b.refuses(&token, TokenError::NotYetValid);
        b.clock.set(NOW + 50);
        b.verifier.verify(&token).unwrap();
        b.clock.set(NOW + 40);
        b.refuses(&token, TokenError::NotYetValid);
        b.clock.set(NOW + 50);
        b.verifier.verify(&token).unwrap();
    });
}

#[test]
fn only_tokens_that_pass_are_remembered_and_never_more_than_allowed() {
    let b = bench(100);
    let good = b.token();
    b.verifier.verify(&good).unwrap();
    let (header, rest) = good.split_once('.').unwrap();
    let signature = rest.split_once('.').unwrap().1;
    for n in 0..100_000 {
        let payload = URL_SAFE_NO_PAD.encode(format!("{{\"sub\":\"o{n}\"}}"));
        assert!(b.verifier.verify(&format!("{header}.{payload}.{signature}")).is_err());
    }
    assert_eq!((b.verifier.cache_entries(), b.verifier.cache_counts().hits), (1, 0));
    b.verifier.verify(&good).unwrap();
    assert_eq!(b.verifier.cache_counts().hits, 1);

    for n in 0..2_000 {
        let mut claims = claims();
        claims["sub"] = json!(format!("o{n}"));
        let token = b.signed(&claims.to_string());
        assert_eq!(b.verifier.verify(&token).unwrap().caller.openid.as_str(), format!("o{n}"));
    }
    assert!(b.verifier.cache_entries() <= 100, "{} tokens are remembered", b.verifier.cache_entries());
    assert_eq!(b.verifier.verify(&good).unwrap().caller, caller());
}

#[test]
fn what_is_remembered_is_no_token() {
    let b = bench(100);
    let token = b.token();
    b.verifier.verify(&token).unwrap();
    let shown = |what: &dyn std::fmt::Debug| {
        let shown = format!("{what:?}");
        token.split('.').all(|segment| !shown.contains(segment))
    };
    assert!(shown(&b.verifier));
    for (fingerprint, verified) in b.verifier.cache.as_ref().unwrap() {
        // 16 bytes, from which nobody can tell the token.
        let fingerprint: u128 = *fingerprint;
        assert!(shown(&fingerprint) && shown(&verified));
    }
    // Another process has other fingerprints of the same token: they are no use outside.
    assert_ne!(b.verifier.fingerprint(&token), bench(100).verifier.fingerprint(&token));
}
