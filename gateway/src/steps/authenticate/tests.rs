use auth_core::ManualClock;
use auth_core::keys::{Key, KeyRing};
use auth_core::verify::Policy;

use super::*;

fn sources() -> TokenSources {
    TokenSources { headers: vec![AUTHORIZATION, HeaderName::from_static("x-token")], query: "token".into() }
}

fn found(
    lines: &[(&'static str, &'static str)],
    query: Option<&'static str>,
) -> Result<Option<String>, &'static str> {
    let mut headers = HeaderMap::new();
    for (name, value) in lines {
        headers.append(*name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
    }
    sources().find(&headers, query).map(|token| token.map(Cow::into_owned)).map_err(|denied| denied.code())
}

fn some(token: &str) -> Result<Option<String>, &'static str> {
    Ok(Some(token.to_owned()))
}

#[test]
fn a_token_is_found_where_the_config_says() {
    assert_eq!(found(&[("authorization", "Bearer a.b.c")], None), some("a.b.c"));
    assert_eq!(found(&[("authorization", "bearer a.b.c")], None), some("a.b.c"));
    assert_eq!(found(&[("x-token", "a.b.c")], None), some("a.b.c"));
    assert_eq!(found(&[], Some("x=1&token=a.b.c&y=2")), some("a.b.c"));
    assert_eq!(found(&[], Some("token=a%2eb.c")), some("a.b.c"));
    assert_eq!(found(&[("x-other", "a.b.c")], None), Ok(None));
    assert_eq!(found(&[("authorization", "Basic dXNlcjpwYXNz")], None), Ok(None));
    assert_eq!(found(&[], Some("mytoken=a.b.c&tokens=1")), Ok(None));
}

#[test]
fn two_different_tokens_are_ambiguous_and_one_twice_is_not() {
    assert_eq!(found(&[("authorization", "Bearer a"), ("x-token", "a")], Some("token=a")), some("a"));
    assert_eq!(
        found(&[("authorization", "Bearer a"), ("authorization", "Bearer b")], None),
        Err("ambiguous_credentials")
    );
    assert_eq!(found(&[("authorization", "Bearer a"), ("x-token", "b")], None), Err("ambiguous_credentials"));
    assert_eq!(found(&[("authorization", "Bearer a")], Some("token=b")), Err("ambiguous_credentials"));
    assert_eq!(found(&[], Some("token=a&token=b")), Err("ambiguous_credentials"));
}

#[test]
fn an_empty_or_unreadable_token_is_not_an_absent_one() {
    for value in ["Bearer", "Bearer ", "bearer"] {
        assert_eq!(found(&[("authorization", value)], None), Err("token_malformed"), "{value:?}");
    }
    assert_eq!(found(&[("x-token", "")], None), Err("token_malformed"));
    assert_eq!(found(&[("authorization", "Bearer t\u{f6}ken")], None), Err("token_malformed"));
}

#[test]
fn the_token_leaves_the_query_and_nothing_else_does() {
    assert_eq!(sources().strip_query("a=1&token=x&b=%20"), "a=1&b=%20");
    assert_eq!(sources().strip_query("token=x"), "");
    assert_eq!(sources().strip_query("tokens=x&mytoken=y&token"), "tokens=x&mytoken=y&token");
}

const NOW: u64 = 1_800_000_000;
const APP: &str = "wx1111111111111111";

fn verifier(kid: &str, cache_entries: u64) -> Verifier<Prepared> {
    let app = AppId::parse(APP).unwrap();
    let policy = Policy {
        issuer: "wxgate".into(),
        apps: [app.clone()].into(),
        leeway_secs: 5,
        session_lifetime_secs: 86_400,
        cache_entries,
    };
    let keys = KeyRing::new(vec![Key::parse(kid, &[7; 32]).unwrap()]).unwrap();
    let clock = Arc::new(ManualClock::at(NOW));
    Verifier::new(keys, policy, Arc::default(), clock, move |caller| {
        Prepared::new(caller, std::slice::from_ref(&app))
    })
}

/// A request with a good token of the key `old`.
fn request() -> HeaderMap {
    let header = jsonwebtoken::Header { kid: Some("old".into()), ..jsonwebtoken::Header::default() };
    let claims = serde_json::json!({ "iss": "wxgate", "sub": "oA", "aud": APP, "iat": NOW, "exp": NOW + 100,
                                     "sid": "AAAAAAAAAAAAAAAAAAAAAA", "typ": "login" });
    let key = jsonwebtoken::EncodingKey::from_secret(&[7; 32]);
    let token = jsonwebtoken::encode(&header, &claims, &key).unwrap();
    HeaderMap::from_iter([(AUTHORIZATION, format!("Bearer {token}").parse().unwrap())])
}

#[test]
fn what_a_connection_remembers_ends_with_the_verifier_that_said_so() {
    let sources = TokenSources { headers: vec![AUTHORIZATION], query: "token".into() };
    let (old, new) = (verifier("old", 100), verifier("new", 100));
    let (last, headers) = (LastCaller::default(), request());
    let ask = |verifier: &Verifier<Prepared>| {
        authenticate_again(&last, verifier, &sources, Auth::Required, &headers, None).map(drop)
    };
    assert!(last.recall(&old, &sources, &headers).is_none());
    assert_eq!(ask(&old), Ok(()));
    assert!(last.recall(&old, &sources, &headers).is_some());
    // The key is gone: neither what the connection remembers nor the old cache speaks for the token.
    assert!(last.recall(&new, &sources, &headers).is_none());
    for _ in 0..2 {
        assert_eq!(ask(&new), Err(Denied::Token(auth_core::TokenError::UnknownKey)));
    }
    // The same keys again, in a verifier that is not the same: asked anew.
    assert!(last.recall(&verifier("old", 100), &sources, &headers).is_none());
}

#[test]
fn a_connection_remembers_nothing_where_the_cache_is_off_and_shows_no_token() {
    let sources = TokenSources { headers: vec![AUTHORIZATION], query: "token".into() };
    let (last, headers) = (LastCaller::default(), request());
    for (entries, remembers) in [(0, false), (100, true)] {
        let verifier = verifier("old", entries);
        let verdict = authenticate_again(&last, &verifier, &sources, Auth::Required, &headers, None);
        assert!(verdict.unwrap().is_some());
        assert_eq!(last.recall(&verifier, &sources, &headers).is_some(), remembers);
    }
    assert_eq!(format!("{last:?}"), "LastCaller");
}
