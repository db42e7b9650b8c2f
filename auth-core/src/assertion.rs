//! What tells a service who calls in a way that it can check by itself: a signed statement about one request's caller,
//! for this service alone and for a minute.

use std::ops::RangeInclusive;

use aws_lc_rs::rand::{SecureRandom, SystemRandom};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;

use crate::Caller;
use crate::keys::{Algorithm, KeyRing};
use crate::token::compact;

/// How long an assertion is good, in seconds.
pub const ASSERTION_LIFE_SECS: u64 = 60;

/// The claim `typ` of an assertion: whoever holds one cannot log in with it.
const TYP: &str = "assertion";

/// Makes assertions.
#[derive(Debug)]
pub struct Asserter {
    keys: KeyRing,
    issuer: String,
    random: Random,
}

#[derive(Debug)]
struct Random(Box<dyn SecureRandom + Send + Sync>);

/// A signed statement. It cannot be printed: a service that it was not made for could be told it.
#[derive(Debug)]
pub struct Assertion {
    jwt: SecretString,
    issued_at: u64,
}

/// No `sid`: a service needs none, and who ends sessions by it is the gateway.
#[derive(Serialize)]
struct Claims<'a> {
    iss: &'a str,
    /// The service.
    aud: &'a str,
    /// The openid.
    sub: &'a str,
    appid: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    unionid: Option<&'a str>,
    jti: &'a str,
    iat: u64,
    exp: u64,
    typ: &'a str,
}

impl Asserter {
    /// Signs with the first key of `keys`. None if that is an HMAC secret: a service could check nothing without being
    /// able to sign whatever it likes.
    pub fn new(issuer: &str, keys: KeyRing) -> Option<Self> {
        let checkable = keys.signing().algorithm() != Algorithm::Hs256;
        let random = Random(Box::new(SystemRandom::new()));
        checkable.then(|| Self { keys, issuer: issuer.to_owned(), random })
    }

    /// States to `audience` who calls, from `now` (Unix seconds) on.
    ///
    /// # Panics
    /// If the system's random generator fails.
    pub fn assert(&self, caller: &Caller, audience: &str, now: u64) -> Assertion {
        let mut id = [0; 16];
        self.random.0.fill(&mut id).expect("the system's random generator works");
        let claims = Claims {
            iss: &self.issuer,
            aud: audience,
            sub: caller.openid.as_str(),
            appid: caller.app.as_str(),
            unionid: caller.unionid.as_ref().map(crate::UnionId::as_str),
            jti: &URL_SAFE_NO_PAD.encode(id),
            iat: now,
            exp: now.saturating_add(ASSERTION_LIFE_SECS),
            typ: TYP,
        };
        Assertion { jwt: compact(self.keys.signing(), &claims).into(), issued_at: now }
    }
}

impl Assertion {
    /// Opens the assertion, to hand it to its service.
    pub fn expose(&self) -> &str {
        self.jwt.expose_secret()
    }

    /// When it may be handed out, in Unix seconds: at least half of its life is left, and it is not from the future.
    pub fn fresh(&self) -> RangeInclusive<u64> {
        self.issued_at..=self.issued_at.saturating_add(ASSERTION_LIFE_SECS / 2)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::{Key, generate};
    use crate::{AppId, OpenId, Sid, UnionId};
    use serde_json::{Value, json};

    const NOW: u64 = 1_800_000_000;

    fn ring(algorithm: Algorithm) -> KeyRing {
        let material = generate(algorithm);
        KeyRing::new(vec![Key::parse("k1", material.expose_secret().as_bytes()).unwrap()]).unwrap()
    }

    fn caller(unionid: Option<&str>) -> Caller {
        Caller {
            app: AppId::parse("wx1111111111111111").unwrap(),
            openid: OpenId::parse("oA").unwrap(),
            unionid: unionid.map(|id| UnionId::parse(id).unwrap()),
            sid: Sid::from_bytes([9; 16]),
            logged_in_at: Some(NOW),
            session_ends_at: Some(NOW + 86_400),
            issued_at: NOW,
            expires_at: NOW + 7200,
            signed_until: NOW + 7200,
        }
    }

    fn claims(assertion: &Assertion) -> Value {
        let segment = assertion.expose().split('.').nth(1).unwrap();
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(segment).unwrap()).unwrap()
    }

    #[test]
    fn an_assertion_states_who_calls_to_one_service_for_a_minute() {
        for algorithm in [Algorithm::Es256, Algorithm::EdDsa] {
            let asserter = Asserter::new("wxgate", ring(algorithm)).unwrap();
            let assertion = asserter.assert(&caller(Some("uA")), "order", NOW + 7);
            let (message, signature) = assertion.expose().rsplit_once('.').unwrap();
            assert!(asserter.keys.signing().verifies(signature, message.as_bytes()));
            let mut claims = claims(&assertion);
            let id = claims.as_object_mut().unwrap().remove("jti").unwrap();
            assert_eq!(id.as_str().unwrap().len(), 22);
            let expected = json!({ "iss": "wxgate", "aud": "order", "sub": "oA", "appid": "wx1111111111111111",
                                   "unionid": "uA", "iat": NOW + 7, "exp": NOW + 67, "typ": "assertion" });
            assert_eq!(claims, expected);
            assert!(!format!("{assertion:?} {asserter:?}").contains(signature));
        }
        let asserter = Asserter::new("wxgate", ring(Algorithm::EdDsa)).unwrap();
        let (one, other) =
            (asserter.assert(&caller(None), "a", NOW), asserter.assert(&caller(None), "a", NOW));
        assert!(claims(&one).get("unionid").is_none());
        assert_ne!(claims(&one)["jti"], claims(&other)["jti"]);
    }

    #[test]
    fn an_assertion_is_handed_out_for_half_its_life() {
        let asserter = Asserter::new("wxgate", ring(Algorithm::EdDsa)).unwrap();
        let assertion = asserter.assert(&caller(None), "order", NOW);
        for (now, fresh) in
            [(NOW - 1, false), (NOW, true), (NOW + 30, true), (NOW + 31, false), (u64::MAX, false)]
        {
            assert_eq!(assertion.fresh().contains(&now), fresh, "at {now}");
        }
    }

    #[test]
    fn a_secret_that_signs_makes_no_assertion() {
        assert!(Asserter::new("wxgate", ring(Algorithm::Hs256)).is_none());
    }
}
