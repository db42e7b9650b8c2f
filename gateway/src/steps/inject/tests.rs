use std::sync::{Mutex, OnceLock};

use proptest::prelude::*;

use super::*;

fn identity() -> Identity {
    Identity {
        openid: HeaderName::from_static("x-wx-openid"),
        appid: HeaderName::from_static("x-wx-appid"),
        unionid: HeaderName::from_static("x-user-union"),
        source: HeaderName::from_static("x-wx-source"),
        env: HeaderName::from_static("x-wx-env"),
        assertion: HeaderName::from_static("x-user-proof"),
        env_value: Some("prod".into()),
        also_protected: vec![HeaderName::from_static("x-user-name")],
    }
}

fn caller() -> Prepared {
    Prepared {
        app: 0,
        appid: HeaderValue::from_static("wx1111111111111111"),
        openid: HeaderValue::from_static("oA"),
        unionid: None,
        successor: OnceLock::new(),
        assertions: Mutex::default(),
    }
}

fn injected(lines: &[(&'static str, &'static str)], caller: Option<&Prepared>) -> RequestHeader {
    let mut request = RequestHeader::build("GET", b"/", None).unwrap();
    for (name, value) in lines {
        request.append_header(*name, *value).unwrap();
    }
    let from = Provenance {
        request_id: HeaderValue::from_static("id-1"),
        client: "192.0.2.1".parse().unwrap(),
        peer: "10.0.0.1".parse().unwrap(),
        proto: "http",
        host: Some(HeaderValue::from_static("gw.test")),
    };
    Injector::new(&identity()).unwrap().request(&mut request, caller, None, from);
    request
}

fn names(request: &RequestHeader) -> Vec<&str> {
    request.headers.keys().map(HeaderName::as_str).collect()
}

#[test]
fn a_caller_is_told_once_and_an_anonymous_request_tells_nothing() {
    let request = injected(&[("X-WX-OPENID", "evil"), ("x-wx-openid", "evil2")], Some(&caller()));
    let all: Vec<_> = request.headers.get_all("x-wx-openid").iter().collect();
    assert_eq!(all, ["oA"]);
    assert_eq!(request.headers["x-wx-source"], "wx_client");
    assert_eq!(request.headers["x-wx-env"], "prod");
    let request = injected(&[("X-WX-OPENID", "evil")], None);
    assert!(!names(&request).iter().any(|name| name.starts_with("x-wx")), "{:?}", names(&request));
}

#[test]
fn what_is_not_known_is_not_left_as_the_client_sent_it() {
    let request = injected(&[("X-User-Union", "evil"), ("X_USER_UNION", "evil")], Some(&caller()));
    assert!(!names(&request).iter().any(|name| name.contains("union")), "{:?}", names(&request));
}

#[test]
fn every_spelling_of_a_protected_name_goes() {
    for name in [
        "X_WX_OPENID",
        "X-WX_OPENID",
        "x_wx-openid",
        "X.WX.OPENID",
        "X~WX~OPENID",
        "X'WX'OPENID",
        "X!WX-OPENID",
        "XWXOPENID",
        "_X-WX-OPENID",
        "X--WX--OPENID",
        "X-WX-FROM-OPENID",
        "X-Wx-Anything",
        "X_User.Name",
        "X-Wxgate-Error",
        "X-Session_Token",
        "X-Session-Expires-In",
        "X-User-Proof",
        "x_user.PROOF",
        "X-Forwarded-For",
        "X_Forwarded_Host",
        "X.Forwarded.Proto",
        "X-Forwarded-Uri",
        "X-Original-URL",
        "X-Rewrite-URL",
        "Forwarded",
        "X-Real-IP",
        "True-Client-IP",
        "CF-Connecting-IP",
        "X-HTTP-Method-Override",
        "X-HTTP-Method",
        "X-Method-Override",
        "Front-End-Https",
    ] {
        let request = injected(&[(name, "evil")], Some(&caller()));
        let evil: Vec<_> = request.headers.iter().filter(|(_, value)| *value == "evil").collect();
        assert!(evil.is_empty(), "{name} stayed: {evil:?}");
    }
    let kept =
        injected(&[("X-WXX", "mine"), ("Accept", "mine"), ("X-Custom", "mine"), ("Forward", "mine")], None);
    assert_eq!(kept.headers.values().filter(|value| *value == "mine").count(), 3, "{:?}", names(&kept));
}

#[test]
fn provenance_is_the_gateways_own() {
    let request = injected(&[("X-Forwarded-For", "1.1.1.1"), ("X-Request-Id", "evil")], None);
    assert_eq!(request.headers["x-forwarded-for"], "192.0.2.1, 10.0.0.1");
    assert_eq!(request.headers["x-real-ip"], "192.0.2.1");
    assert_eq!(request.headers["x-forwarded-proto"], "http");
    assert_eq!(request.headers["x-forwarded-host"], "gw.test");
    assert_eq!(request.headers["x-request-id"], "id-1");
}

#[test]
fn a_service_cannot_speak_for_the_gateway() {
    let mut response = ResponseHeader::build(200, None).unwrap();
    for name in [
        "X-WX-OPENID",
        "x_wx_unionid",
        "X-Wxgate-Error",
        "X-User-Name",
        "X-Session-Token",
        "x_session.token",
        "X_User_Proof",
        "X-Session-Expires-In",
    ] {
        response.insert_header(name, "evil").unwrap();
    }
    response.insert_header("X-Request-Id", "theirs").unwrap();
    Injector::new(&identity()).unwrap().response(&mut response);
    let left: Vec<_> = response.headers.keys().map(HeaderName::as_str).collect();
    assert_eq!(left, ["x-request-id"]);
}

#[test]
fn the_token_goes_and_another_scheme_stays() {
    let sources = TokenSources {
        headers: vec![AUTHORIZATION, HeaderName::from_static("x-token")],
        query: "token".into(),
    };
    let mut request = RequestHeader::build("GET", b"/", None).unwrap();
    request.append_header("Authorization", "Basic abc").unwrap();
    request.append_header("X-Token", "a.b.c").unwrap();
    remove_token(&mut request, &sources);
    assert_eq!(names(&request), ["authorization"]);
    request.append_header("Authorization", "bearer a.b.c").unwrap();
    remove_token(&mut request, &sources);
    assert!(names(&request).is_empty());
}

proptest! {
    /// Whatever a client calls its headers: folded as PHP folds, none is an identity name unless the gateway set it.
    #[test]
    fn no_name_folds_to_an_identity_name(name in "[xX_.~-]{1,3}[wWuU_.-]{0,3}[xXsS-]{0,2}[-_.]{0,2}(openid|OPENID|OpenId|appid|er-name|ser_union|abc)[-_.]{0,2}") {
        let Ok(header) = HeaderName::from_bytes(name.as_bytes()) else { return Ok(()) };
        let mut request = RequestHeader::build("GET", b"/", None).unwrap();
        request.append_header(name.clone(), "evil").unwrap();
        Protected::new(&identity()).strip_request(&mut request);
        let folded: String = name.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect();
        let identity = folded.starts_with("xwx") || ["xuserunion", "xusername"].contains(&folded.as_str());
        prop_assert_eq!(request.headers.contains_key(&header), !identity, "{}", name);
    }
}
