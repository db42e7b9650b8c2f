//! When a token may be renewed, and when its session is over whatever it says.

use super::*;

#[test]
fn a_token_is_due_from_its_half_life_on_remembered_or_not() {
    with_and_without_cache(|b| {
        let token = b.token();
        for (now, due) in [(NOW, false), (NOW + 3599, false), (NOW + 3600, true), (NOW + 7204, true)] {
            b.clock.set(now);
            assert_eq!(b.verifier.verify(&token).unwrap().is_due(), due, "at {}", now - NOW);
        }
    });
}

#[test]
fn a_caller_whom_the_owner_kept_becomes_due_like_any_other() {
    let b = bench(1000);
    let kept = b.verifier.verify(&b.token()).unwrap();
    assert!(b.verifier.passes_again(&kept) && !kept.is_due());
    b.clock.set(NOW + 3600);
    assert!(b.verifier.passes_again(&kept) && kept.is_due());
}

#[test]
fn a_token_without_the_time_of_its_login_is_good_until_its_end_and_never_due() {
    with_and_without_cache(|b| {
        let token = b.signed(&claims().to_string());
        b.clock.set(NOW + 104);
        let verified = b.verifier.verify(&token).unwrap();
        assert_eq!(verified.caller.logged_in_at, None);
        assert!(!verified.is_due());
        b.clock.set(NOW + 105);
        b.refuses(&token, TokenError::Expired);
    });
}

#[test]
fn no_token_outlives_its_session_whatever_it_says() {
    with_and_without_cache(|b| {
        let mut late = claims();
        late["auth_time"] = json!(NOW - LIFETIME + 50);
        let token = b.signed(&late.to_string());
        let caller = b.verifier.verify(&token).unwrap().caller.clone();
        assert_eq!((caller.expires_at, caller.signed_until), (NOW + 50, NOW + 100));
        b.clock.set(NOW + 54);
        b.verifier.verify(&token).unwrap();
        b.clock.set(NOW + 55);
        b.refuses(&token, TokenError::Expired);
    });
}

#[test]
fn a_session_ends_when_its_login_said_or_sooner_where_lives_were_shortened_since() {
    let ends_at = |b: &Bench, claim: Value| {
        let mut claims = claims();
        claims["auth_time"] = json!(NOW);
        claims["session_exp"] = claim;
        let caller = b.verifier.verify(&b.signed(&claims.to_string()))?.caller.clone();
        Ok((caller.session_ends_at.unwrap() - NOW, caller.expires_at - NOW))
    };
    with_and_without_cache(|b| {
        for (fixed, expected) in [(LIFETIME + 1, LIFETIME), (LIFETIME - 1, LIFETIME - 1), (200, 200)] {
            assert_eq!(ends_at(b, json!(NOW + fixed)), Ok((expected, 100)));
        }
        assert_eq!(ends_at(b, json!(NOW + 50)), Ok((50, 50)));
        assert_eq!(ends_at(b, json!(0)), Err(TokenError::Expired));
        for wrong in [json!(-1), json!(1.5), json!("1"), json!(null)] {
            assert_eq!(ends_at(b, wrong), Err(TokenError::Malformed));
        }
    });
}

#[test]
fn a_time_of_login_is_a_time_before_the_token() {
    with_and_without_cache(|b| {
        for wrong in [json!(NOW + 1), json!(u64::MAX), json!(-1), json!(1.5), json!("1"), json!(null)] {
            let mut claims = claims();
            claims["auth_time"] = wrong;
            b.refuses(&b.signed(&claims.to_string()), TokenError::Malformed);
        }
        for right in [0, NOW - 1, NOW] {
            let mut claims = claims();
            claims["auth_time"] = json!(right);
            let verdict = b.verifier.verify(&b.signed(&claims.to_string())).map(|_| ());
            // A login before all times is long over, and is not the same as none.
            assert_eq!(verdict, if right == 0 { Err(TokenError::Expired) } else { Ok(()) }, "{right}");
        }
    });
}
