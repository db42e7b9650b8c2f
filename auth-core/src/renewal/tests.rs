use std::time::Duration;

use super::*;
use crate::keys::{Algorithm, Key, generate};
use crate::{AppId, OpenId, Sid, UnionId};
use secrecy::ExposeSecret;

const NOW: u64 = 1_800_000_000;
const TTL: u64 = 7200;
const LIFETIME: u64 = 30 * 86_400;

fn ring(algorithm: Algorithm) -> KeyRing {
    KeyRing::new(vec![Key::parse("k1", generate(algorithm).expose_secret().as_bytes()).unwrap()]).unwrap()
}

fn renewal_under(ttl: u64, keys: KeyRing) -> Renewal {
    let settings = LoginSettings {
        issuer: "wxgate".into(),
        token_ttl: Duration::from_secs(ttl),
        session_lifetime: Duration::from_secs(LIFETIME),
        replay: Duration::ZERO,
        exchange_timeout: Duration::from_secs(8),
    };
    Renewal::new(&settings, keys)
}

fn renewal(ttl: u64) -> Renewal {
    renewal_under(ttl, ring(Algorithm::Hs256))
}

/// Whose token was made so long after the login, and lives for so long.
fn caller(after: u64, life: u64) -> Caller {
    Caller {
        app: AppId::parse("wx1111111111111111").unwrap(),
        openid: OpenId::parse("oA").unwrap(),
        unionid: Some(UnionId::parse("uA").unwrap()),
        sid: Sid::from_bytes([9; 16]),
        logged_in_at: Some(NOW),
        session_ends_at: Some(NOW + LIFETIME),
        issued_at: NOW + after,
        expires_at: NOW + after + life,
        signed_until: NOW + after + life,
    }
}

/// The same, of a session that lives for so long.
fn caller_within(lifetime: u64, after: u64, life: u64) -> Caller {
    Caller { session_ends_at: Some(NOW + lifetime), ..caller(after, life) }
}

/// When the successor is made and ends, in seconds after the login.
fn times(renewal: &Renewal, caller: &Caller) -> Option<(u64, u64)> {
    let successor = renewal.successor(caller)?;
    Some((successor.issued_at - NOW, successor.expires_at - NOW))
}

#[test]
fn a_successor_is_the_same_session_from_the_half_life_on() {
    let successor = renewal(TTL).successor(&caller(0, TTL)).unwrap();
    let ends_at = NOW + 3600 + TTL;
    let expected =
        Caller { issued_at: NOW + 3600, expires_at: ends_at, signed_until: ends_at, ..caller(0, TTL) };
    assert_eq!(successor, expected);
}

#[test]
fn each_successor_has_one_until_the_session_ends_and_none_outlives_it() {
    let renewal = renewal(TTL);
    let mut token = caller_within(5 * 3600, 0, TTL);
    let mut ends = Vec::new();
    while let Some(successor) = renewal.successor(&token) {
        assert_eq!((successor.sid, successor.logged_in_at), (token.sid, token.logged_in_at));
        assert_eq!(successor.session_ends_at, token.session_ends_at);
        assert_eq!(successor.issued_at, token.half_life());
        token = successor;
        ends.push((token.expires_at - NOW) / 3600);
        assert!(ends.len() < 10, "no end: {ends:?}");
    }
    assert_eq!(ends, [3, 4, 5]);
}

#[test]
fn the_bounds_of_a_session_bound_its_tokens() {
    for (ttl, lifetime, after, life, expected) in [
        // The session ends with the token, a second after it, and with the successor.
        (100, 100, 0, 100, None),
        (100, 101, 0, 100, Some((50, 101))),
        (100, 150, 0, 100, Some((50, 150))),
        (100, 151, 0, 100, Some((50, 150))),
        // A shorter lifetime than when the token was made.
        (100, 50, 0, 100, None),
        // Odd lives, down to a token that has no half.
        (7, 1000, 0, 7, Some((4, 11))),
        (3, 1000, 0, 3, Some((2, 5))),
        (2, 1000, 0, 2, Some((1, 3))),
        (1, 1000, 0, 1, Some((1, 2))),
        // Another `ttl` than when the token was made: a shorter life begins with the next login at the latest.
        (200, 1000, 0, 100, Some((50, 250))),
        (60, 1000, 0, 100, Some((50, 110))),
        (50, 1000, 0, 100, None),
        (10, 1000, 0, 100, None),
    ] {
        let found = times(&renewal(ttl), &caller_within(lifetime, after, life));
        assert_eq!(found, expected, "ttl {ttl}, lifetime {lifetime}, made after {after}, life {life}");
    }
    // Times at the end of all times are bounded, not wrapped.
    let ended = Caller { issued_at: u64::MAX - 2, expires_at: u64::MAX, ..caller(0, 1) };
    let last = Caller { session_ends_at: Some(u64::MAX), ..ended.clone() };
    assert!(renewal(TTL).successor(&ended).is_none());
    assert!(renewal(u64::MAX).successor(&last).is_none());
}

#[test]
fn a_token_whose_session_has_no_known_end_has_no_successor() {
    let old = Caller { logged_in_at: None, session_ends_at: None, ..caller(0, TTL) };
    assert!(renewal(TTL).renew(&old).is_none());
}

#[test]
fn every_node_makes_the_same_successor() {
    for algorithm in [Algorithm::Hs256, Algorithm::EdDsa, Algorithm::Es256] {
        let keys = ring(algorithm);
        let tokens = [0, 1].map(|_| {
            renewal_under(TTL, keys.clone()).renew(&caller(0, TTL)).unwrap().token.expose().to_owned()
        });
        let claims = tokens.each_ref().map(|token| token.rsplit_once('.').unwrap().0);
        assert_eq!(claims[0], claims[1], "{algorithm:?}");
        // A signature of ECDSA has chance in it.
        assert_eq!(tokens[0] == tokens[1], algorithm != Algorithm::Es256, "{algorithm:?}");
    }
}

#[test]
fn the_key_that_signs_now_signs_the_successor() {
    let (old, new) = (Key::parse("old", &[7; 32]).unwrap(), Key::parse("new", &[8; 32]).unwrap());
    let header = new.header().to_owned();
    let keys = KeyRing::new(vec![new, old]).unwrap();
    let renewed = renewal_under(TTL, keys).renew(&caller(0, TTL)).unwrap();
    assert_eq!(renewed.token.expose().split('.').next(), Some(header.as_str()));
    assert_eq!(renewed.expires_at, NOW + 3600 + TTL);
    assert!(!format!("{renewed:?}").contains(&header));
}
