//! Group B: the signed assertion, by which a service can tell the gateway from anybody else.

use auth_core::keys::Algorithm;
use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{DecodingKey, Validation};
use serde_json::Value;

use super::case;
use crate::harness::h2::Client;
use crate::harness::tokens::now;
use crate::harness::{Config, Connection, Gateway, KeyFile, Recorder, SHOP, gateway};

/// Two services that want assertions, and one that does not. The header is `X-WX-Assertion` unless another is named.
async fn gateway_with(key: &KeyFile, more: &str) -> (Gateway, Recorder) {
    let recorder = Recorder::start().await;
    let mut routes = gateway::ROUTES.to_owned();
    for name in ["order", "goods"] {
        routes.push_str(&format!(
            "[[route]]\npath = \"/{name}/*\"\nupstream = \"{name}\"\nauth = \"optional\"\n"
        ));
        routes.push_str(&format!(
            "[[route]]\npath = \"/{name}-open/*\"\nupstream = \"{name}\"\nauth = \"none\"\n"
        ));
    }
    let keys =
        format!("[token]\nkeys = [{}, {{ kid = \"test\", file = \"key\" }}]\n{more}", key.entry("new"));
    let mut config = Config::new(recorder.port, &routes).with(&keys).with_tls();
    for name in ["order", "goods"] {
        config.upstreams.push_str(&format!(
            "[upstream.{name}]\nservers = [\"127.0.0.1:{}\"]\nassertion = true\n",
            recorder.port
        ));
    }
    (Gateway::start(config).await, recorder)
}

/// As a service checks it.
async fn checked(gateway: &Gateway, assertion: &str, audience: &str) -> jsonwebtoken::errors::Result<Value> {
    let set: JwkSet = gateway.get("/.well-known/jwks.json").send().await.unwrap().json().await.unwrap();
    let header = jsonwebtoken::decode_header(assertion)?;
    assert_eq!((header.typ.as_deref(), header.kid.as_deref()), (Some("JWT"), Some("new")));
    let key = set.find(header.kid.as_deref().unwrap()).expect("the key is in the set");
    let mut validation = Validation::new(header.alg);
    validation.set_audience(&[audience]);
    validation.set_issuer(&["wxgate"]);
    validation.set_required_spec_claims(&["iss", "aud", "sub", "exp"]);
    Ok(jsonwebtoken::decode::<Value>(assertion, &DecodingKey::from_jwk(key)?, &validation)?.claims)
}

#[tokio::test]
async fn a_service_can_check_who_calls_without_trusting_the_way() {
    let _case = case(
        "B31",
        "the signed assertion verifies against the JWKS, is for one service and a minute, says the caller whom the headers \
         say, and is no login token; whatever a client or a service sends by its name is gone",
    );
    for (algorithm, cache) in [(Algorithm::Es256, 1000), (Algorithm::EdDsa, 1000), (Algorithm::EdDsa, 0)] {
        let key = KeyFile::new(algorithm);
        let (gateway, recorder) = gateway_with(&key, &format!("cache_entries = {cache}\n")).await;
        let (alice, bob) = (gateway.log_in(&SHOP, "alice").await, gateway.log_in(&SHOP, "bob").await);
        let mut ids = std::collections::BTreeSet::new();
        for (token, service, other) in
            [(&alice, "order", "goods"), (&alice, "goods", "order"), (&bob, "order", "goods")]
        {
            assert_eq!(gateway.get_as(token, &format!("/{service}/x")).await.status(), 200);
            let seen = recorder.last();
            let assertion = seen.one("x-wx-assertion");
            let claims = checked(&gateway, assertion, service).await.unwrap();
            let said =
                [&claims["sub"], &claims["appid"], &claims["unionid"]].map(|text| text.as_str().unwrap());
            assert_eq!(said, ["x-wx-openid", "x-wx-appid", "x-wx-unionid"].map(|name| seen.one(name)));
            let (from, until) = (claims["iat"].as_u64().unwrap(), claims["exp"].as_u64().unwrap());
            assert!(until - from == 60 && now().abs_diff(from) <= 30, "{claims}");
            assert_eq!(claims["typ"], "assertion");
            assert!(claims.get("sid").is_none(), "{claims}");
            ids.insert(claims["jti"].as_str().unwrap().to_owned());
            // Not for the other service, and for nobody to log in with.
            assert!(checked(&gateway, assertion, other).await.is_err());
            let refused = gateway.get_as(assertion, "/api/x").await;
            assert_eq!(
                (refused.status().as_u16(), refused.headers()["x-wxgate-error"].to_str().unwrap()),
                (401, "token_wrong_type")
            );
            // The same one again, for half of its life at most, unless nothing is remembered.
            let first = assertion.to_owned();
            gateway.get_as(token, &format!("/{service}/x")).await;
            let again = recorder.last().one("x-wx-assertion").to_owned();
            assert_eq!(again == first, cache > 0, "{algorithm:?}, {cache} remembered");
        }
        assert_eq!(ids.len(), 3);
    }
}

#[tokio::test]
async fn only_the_gateway_says_what_it_asserts() {
    let key = KeyFile::new(Algorithm::EdDsa);
    let names = ["X-WX-Assertion", "x_wx_assertion", "X.WX-ASSERTION", "X-Proof", "x_proof", "X.PROOF"];
    let sections = "[identity]\nassertion = \"X-Proof\"\n";
    let (gateway, recorder) = gateway_with(&key, sections).await;
    let token = gateway.log_in(&SHOP, "alice").await;
    let mut client = Connection::open(gateway.port).await;
    for name in names {
        recorder.answer_with(format!("HTTP/1.1 200 OK\r\n{name}: evil\r\nContent-Length: 0\r\n\r\n"));
        for (path, token, told) in [
            ("/order/x", Some(&token), true),
            ("/order/x", None, false),
            ("/order-open/x", Some(&token), false),
            ("/api/x", Some(&token), false),
            ("/public/x", None, false),
        ] {
            let line = token.map_or(String::new(), |token| format!("Authorization: Bearer {token}\r\n"));
            let answer = client
                .ask(format!("GET {path} HTTP/1.1\r\nHost: gw.test\r\n{line}{name}: evil\r\n\r\n"))
                .await;
            assert!(
                answer.starts_with("HTTP/1.1 200") && !answer.contains("evil"),
                "{path}, {name}: {answer}"
            );
            let seen = recorder.last();
            assert!(!seen.head.contains("evil"), "{}", seen.head);
            assert_eq!(seen.all("x-proof").len(), usize::from(told), "{path}: {}", seen.head);
            assert!(seen.all("x-wx-assertion").is_empty(), "{}", seen.head);
        }
    }
    let client = Client::connect(&gateway).await;
    let bearer = format!("Bearer {token}");
    let answer = client.get("/goods/x", &[("authorization", &bearer), ("x-proof", "evil")]).await.unwrap();
    assert_eq!(answer.status, 200);
    let seen = recorder.last();
    checked(&gateway, seen.one("x-proof"), "goods").await.unwrap();
}
