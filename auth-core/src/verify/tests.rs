mod remembered;
mod renewed;

use std::sync::atomic::AtomicUsize;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::*;
use crate::ManualClock;
use crate::keys::Key;
use crate::session::Ended;
use crate::token::mint;

const NOW: u64 = 1_800_000_000;
const LIFETIME: u64 = 30 * 86_400;
const APP: &str = "wx1111111111111111";

/// A verifier on a clock that the test owns, and the key to make tokens with.
struct Bench {
    clock: Arc<ManualClock>,
    revocations: Arc<Revocations>,
    keys: KeyRing,
    verifier: Verifier<usize>,
    derived: Arc<AtomicUsize>,
}

fn bench(cache_entries: u64) -> Bench {
    let clock = Arc::new(ManualClock::at(NOW));
    let revocations = Arc::new(Revocations::default());
    let keys =
        KeyRing::new(vec![Key::parse("k1", &[7; 32]).unwrap(), Key::parse("k2", &[8; 32]).unwrap()]).unwrap();
    let policy = policy(cache_entries);
    let derived = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&derived);
    let verifier =
        Verifier::new(keys.clone(), policy, Arc::clone(&revocations), Arc::clone(&clock) as _, move |_| {
            count.fetch_add(1, Ordering::SeqCst)
        });
    Bench { clock, revocations, keys, verifier, derived }
}

fn policy(cache_entries: u64) -> Policy {
    Policy {
        issuer: "wxgate".into(),
        apps: [AppId::parse(APP).unwrap()].into(),
        leeway_secs: 5,
        session_lifetime_secs: LIFETIME,
        cache_entries,
    }
}

fn caller() -> Caller {
    Caller {
        app: AppId::parse(APP).unwrap(),
        openid: OpenId::parse("oGZUI0egBJY1zhBYw2KhdUfwVJJE").unwrap(),
        unionid: None,
        sid: Sid::from_bytes([9; 16]),
        logged_in_at: Some(NOW),
        session_ends_at: Some(NOW + LIFETIME),
        issued_at: NOW,
        expires_at: NOW + 7200,
        signed_until: NOW + 7200,
    }
}

fn claims() -> Value {
    json!({"iss": "wxgate", "sub": "oA", "aud": APP, "iat": NOW, "exp": NOW + 100,
           "sid": Sid::from_bytes([9; 16]), "typ": "login"})
}

impl Bench {
    fn token(&self) -> String {
        mint(self.keys.signing(), "wxgate", &caller()).expose().to_owned()
    }

    /// Signs any claims text under the header of `k1`.
    fn signed(&self, claims: &str) -> String {
        self.signed_bytes(claims.as_bytes())
    }

    fn signed_bytes(&self, claims: &[u8]) -> String {
        let key = self.keys.signing();
        let message = format!("{}.{}", key.header(), URL_SAFE_NO_PAD.encode(claims));
        format!("{message}.{}", key.sign(message.as_bytes()))
    }

    /// Signs good claims under any header.
    fn headed(&self, header: Value) -> String {
        let message = format!(
            "{}.{}",
            URL_SAFE_NO_PAD.encode(header.to_string()),
            URL_SAFE_NO_PAD.encode(claims().to_string())
        );
        format!("{message}.{}", self.keys.signing().sign(message.as_bytes()))
    }

    #[track_caller]
    fn refuses(&self, token: &str, because: TokenError) {
        // Twice: what failed must not be remembered as good.
        assert_eq!(self.verifier.verify(token).map(|_| ()), Err(because), "{token}");
        assert_eq!(self.verifier.verify(token).map(|_| ()), Err(because), "{token}, again");
    }
}

/// Every test of a verdict runs with the cache and without: the verdicts are the same.
fn with_and_without_cache(test: impl Fn(&Bench)) {
    test(&bench(1000));
    test(&bench(0));
}

#[test]
fn a_token_says_who_logged_in() {
    with_and_without_cache(|b| {
        for _ in 0..2 {
            assert_eq!(b.verifier.verify(&b.token()).unwrap().caller, caller());
        }
    });
}

#[test]
fn what_passed_under_another_config_goes_on_while_its_key_and_app_are_taken() {
    let (b, other) = (bench(1000), |keys: KeyRing, app: &str| {
        let policy = Policy { apps: [AppId::parse(app).unwrap()].into(), ..policy(0) };
        let clock = Arc::new(ManualClock::at(NOW)) as _;
        Verifier::<usize>::new(keys, policy, Arc::default(), clock, |_| 0)
    });
    let passed = b.verifier.verify(&b.token()).unwrap();
    let key = |kid, byte| Key::parse(kid, &[byte; 32]).unwrap();
    for (keys, app, goes_on) in [
        (vec![key("k1", 7)], APP, true),
        (vec![key("k3", 9), key("k1", 7)], APP, true),
        (vec![key("k2", 8)], APP, false),
        // Another key under its name, and its secret under another name.
        (vec![key("k1", 9)], APP, false),
        (vec![key("k2", 7)], APP, false),
        (vec![key("k1", 7)], "wx2222222222222222", false),
    ] {
        let names: Vec<_> = keys.iter().map(|key| key.kid().to_owned()).collect();
        let verifier = other(KeyRing::new(keys).unwrap(), app);
        assert_eq!(verifier.may_still_go_on(&passed), goes_on, "{names:?} {app}");
    }
    // Sessions are given a shorter life.
    for (lives, goes_on) in [(1, true), (0, false)] {
        let policy = Policy { session_lifetime_secs: lives, leeway_secs: 0, ..policy(0) };
        let clock = Arc::new(ManualClock::at(NOW)) as _;
        let verifier = Verifier::<usize>::new(b.keys.clone(), policy, Arc::default(), clock, |_| 0);
        assert_eq!(verifier.may_still_go_on(&passed), goes_on, "{lives} s");
    }
    let stranger = Verified::new(caller(), 0);
    assert!(!b.verifier.may_still_go_on(&stranger));
}

#[test]
fn a_known_token_is_not_worked_out_again() {
    let b = bench(1000);
    for _ in 0..5 {
        b.verifier.verify(&b.token()).unwrap();
    }
    assert_eq!(b.derived.load(Ordering::SeqCst), 1);
    assert_eq!(b.verifier.cache_counts(), CacheCounts { hits: 4, misses: 1 });
}

#[test]
fn a_token_ends_with_its_time_remembered_or_not() {
    with_and_without_cache(|b| {
        let token = b.token();
        b.verifier.verify(&token).unwrap();
        b.clock.set(NOW + 7204);
        b.verifier.verify(&token).unwrap();
        b.clock.set(NOW + 7205);
        b.refuses(&token, TokenError::Expired);
        b.clock.set(NOW);
        b.verifier.verify(&token).unwrap();
        b.clock.set(NOW - 6);
        b.refuses(&token, TokenError::NotYetValid);
    });
}

#[test]
fn a_revoked_session_ends_its_token_remembered_or_not() {
    with_and_without_cache(|b| {
        let token = b.token();
        b.verifier.verify(&token).unwrap();
        b.revocations.insert(Ended { sid: caller().sid, until: NOW + 7200 });
        b.refuses(&token, TokenError::SessionEnded);
    });
}

#[test]
fn what_is_not_three_segments_is_malformed() {
    with_and_without_cache(|b| {
        let token = b.token();
        for wrong in
            ["", "a", "a.b", "a.b.c.d", "..", ".", "a..", &format!("{token}."), &format!("{token}.{token}")]
        {
            assert!(b.verifier.verify(wrong).is_err(), "{wrong:?} passed");
        }
        b.refuses(&"a".repeat(crate::TOKEN_BYTES_MAX + 1), TokenError::TooLong);
        b.refuses(&".".repeat(1_000_000), TokenError::TooLong);
    });
}

#[test]
fn one_changed_character_anywhere_refuses_the_token() {
    let b = bench(1000);
    let token = b.token();
    b.verifier.verify(&token).unwrap();
    for at in 0..token.len() {
        for other in [b'A', b'.', b'=', b'-', b'\n', b'@'] {
            let mut changed = token.clone().into_bytes();
            if changed[at] == other {
                continue;
            }
            changed[at] = other;
            let changed = String::from_utf8(changed).unwrap();
            assert!(b.verifier.verify(&changed).is_err(), "changed at {at}: {changed}");
        }
    }
    for longer in [format!("{token}="), format!("{token}\n"), format!(" {token}"), format!("{token}A")] {
        assert!(b.verifier.verify(&longer).is_err(), "{longer:?}");
    }
}

#[test]
fn the_header_chooses_neither_algorithm_nor_key_material() {
    with_and_without_cache(|b| {
        // Foreign order and extra members: fine. The same with anything that changes the meaning: refused.
        b.verifier
            .verify(&b.headed(json!({"typ": "JWT", "kid": "k1", "alg": "HS256", "jku": "http://evil/"})))
            .unwrap();
        b.refuses(&b.headed(json!({"alg": "HS256", "kid": "k2"})), TokenError::BadSignature);
        b.refuses(&b.headed(json!({"alg": "HS256", "kid": "../../dev/null"})), TokenError::UnknownKey);
        for alg in ["none", "None", "NONE", "HS512", "RS256", "ES256", "EdDSA", ""] {
            b.refuses(&b.headed(json!({"alg": alg, "kid": "k1"})), TokenError::WrongAlgorithm);
        }
        for header in [
            json!({"alg": 5, "kid": "k1"}),
            json!({"alg": ["HS256"], "kid": "k1"}),
            json!({"kid": "k1"}),
            json!({"alg": "HS256"}),
            json!({"alg": "HS256", "kid": null}),
            json!({"alg": "HS256", "kid": "k1", "crit": []}),
            json!({"alg": "HS256", "kid": "k1", "crit": ["exp"]}),
            json!({"alg": "HS256", "kid": "k1", "b64": false}),
            json!({"alg": "HS256", "kid": "k1", "zip": "DEF"}),
            json!({"alg": "HS256", "kid": "k1", "crit": null}),
            json!({"alg": "HS256", "kid": "k1", "b64": null}),
            json!({"alg": "HS256", "kid": "k1", "zip": null}),
            json!(["HS256"]),
            json!(null),
        ] {
            b.refuses(&b.headed(header), TokenError::Malformed);
        }
    });
}

#[test]
fn a_claim_that_is_there_has_its_type() {
    with_and_without_cache(|b| {
        b.verifier.verify(&b.signed(&claims().to_string())).unwrap();
        let wrong = [
            Value::Null,
            json!("abc"),
            json!("1e99"),
            json!({}),
            json!([]),
            json!(true),
            json!(-1),
            json!(1.5),
            json!(1e308),
        ];
        for claim in ["exp", "iat", "nbf"] {
            for value in &wrong {
                let mut claims = claims();
                claims[claim] = value.clone();
                b.refuses(&b.signed(&claims.to_string()), TokenError::Malformed);
            }
        }
        for claim in ["iss", "sub", "aud", "sid", "typ", "unionid"] {
            for value in wrong.iter().filter(|value| !value.is_string()) {
                let mut claims = claims();
                claims[claim] = value.clone();
                b.refuses(&b.signed(&claims.to_string()), TokenError::Malformed);
            }
        }
        for claim in ["iss", "sub", "aud", "sid", "typ", "exp", "iat"] {
            let mut claims = claims();
            claims.as_object_mut().unwrap().remove(claim);
            b.refuses(&b.signed(&claims.to_string()), TokenError::Malformed);
        }
    });
}

#[test]
fn a_claim_has_its_value() {
    with_and_without_cache(|b| {
        let cases = [
            ("typ", json!("assertion"), TokenError::WrongType),
            ("typ", json!(""), TokenError::WrongType),
            ("iss", json!("other"), TokenError::WrongIssuer),
            ("iss", json!(""), TokenError::WrongIssuer),
            ("aud", json!("wx2222222222222222"), TokenError::WrongAudience),
            ("aud", json!(""), TokenError::WrongAudience),
            ("sub", json!(""), TokenError::Malformed),
            ("sub", json!("o\r\nX-Admin: 1"), TokenError::Malformed),
            ("sub", json!("o".repeat(2000)), TokenError::Malformed),
            ("sid", json!("short"), TokenError::Malformed),
            ("sid", json!("A".repeat(23)), TokenError::Malformed),
            ("sid", json!("A".repeat(400)), TokenError::Malformed),
            ("unionid", json!("ö"), TokenError::Malformed),
            ("exp", json!(NOW), TokenError::Malformed),
            ("exp", json!(0), TokenError::Malformed),
            ("exp", json!(u64::MAX), TokenError::Malformed),
            ("exp", json!(NOW + TOKEN_LIFE_SECS_MAX + 1), TokenError::Malformed),
            ("iat", json!(0), TokenError::Malformed),
            ("nbf", json!(NOW + 6), TokenError::NotYetValid),
        ];
        for (claim, value, because) in cases {
            let mut claims = claims();
            claims[claim] = value;
            b.refuses(&b.signed(&claims.to_string()), because);
        }
        let mut later = claims();
        later["iat"] = json!(NOW + 6);
        b.refuses(&b.signed(&later.to_string()), TokenError::NotYetValid);
    });
}

#[test]
fn claims_that_are_no_plain_object_are_malformed() {
    with_and_without_cache(|b| {
        let nested = |claim: &str| {
            let deep = format!("{}1{}", "[".repeat(1200), "]".repeat(1200));
            claims().to_string().replacen('{', &format!("{{\"{claim}\":{deep},"), 1)
        };
        // What nobody reads may be anything: it is skipped without recursion.
        b.verifier.verify(&b.signed(&nested("x"))).unwrap();
        let deep = nested("unionid");
        let twice = claims().to_string().replacen('{', "{\"sub\":\"oB\",", 1);
        let array = json!(["wxgate", "oA", APP, NOW, NOW + 100, Sid::from_bytes([9; 16]), "login", 0, "u"])
            .to_string();
        for wrong in [&array, "[]", "\"x\"", "1", "null", "", "{", &deep, &twice] {
            b.refuses(&b.signed(wrong), TokenError::Malformed);
        }
    });
}

/// Serde alone takes any bytes for the value of a member that it ignores (RFC 7519 §7.2: UTF-8).
#[test]
fn claims_are_utf_8_in_members_that_are_ignored_too() {
    with_and_without_cache(|b| {
        let mut claims = claims();
        claims["more"] = "~".into();
        b.verifier.verify(&b.signed(&claims.to_string())).unwrap();
        let claims = claims.to_string().into_bytes();
        let broken: Vec<_> = claims.iter().map(|byte| if *byte == b'~' { 0xaf } else { *byte }).collect();
        assert_eq!(broken.iter().filter(|byte| **byte == 0xaf).count(), 1);
        b.refuses(&b.signed_bytes(&broken), TokenError::Malformed);
    });
}

#[test]
fn a_key_that_left_the_ring_verifies_nothing() {
    let b = bench(1000);
    let stranger = Key::parse("k9", &[9; 32]).unwrap();
    b.refuses(mint(&stranger, "wxgate", &caller()).expose(), TokenError::UnknownKey);
    let namesake = Key::parse("k1", &[9; 32]).unwrap();
    b.refuses(mint(&namesake, "wxgate", &caller()).expose(), TokenError::BadSignature);
}

proptest::proptest! {
    #[test]
    fn no_text_panics_the_verifier(token in "\\PC{0,300}", parts in proptest::collection::vec("[A-Za-z0-9_-]{0,40}", 3)) {
        let b = bench(10);
        proptest::prop_assert!(b.verifier.verify(&token).is_err());
        proptest::prop_assert!(b.verifier.verify(&parts.join(".")).is_err());
        proptest::prop_assert!(b.verifier.verify(&b.signed(&token)).is_err());
    }
}
