//! What a token must be, and what each kind of route makes of one.

use auth_core::keys::{Algorithm, generate};
use jsonwebtoken::{EncodingKey, Header};
use serde_json::{Value, json};

use crate::harness::gateway::KEY;
use crate::harness::tokens::{claims, now, signed, signed_with};
use crate::harness::{Config, Connection, Gateway, MERCHANT, Recorder, SHOP, gateway};

#[tokio::test]
async fn each_kind_of_route_treats_tokens_in_its_own_way() {
    let (gateway, recorder) = Gateway::before_recorder().await;
    let good = gateway.log_in(&SHOP, "alice").await;
    let expired = signed(json!({ "iat": now() - 7200, "exp": now() - 60 }));
    // Path, token, status, reason, whether the service learns an openid.
    for (path, token, status, reason, identity) in [
        ("/api/x", None, 401, "token_missing", false),
        ("/api/x", Some(&good), 200, "", true),
        ("/api/x", Some(&expired), 401, "token_expired", false),
        ("/opt/x", None, 200, "", false),
        ("/opt/x", Some(&good), 200, "", true),
        ("/opt/x", Some(&expired), 401, "token_expired", false),
        ("/lenient/x", None, 200, "", false),
        ("/lenient/x", Some(&good), 200, "", true),
        ("/lenient/x", Some(&expired), 200, "", false),
        ("/public/x", None, 200, "", false),
        ("/public/x", Some(&good), 200, "", false),
        ("/public/x", Some(&expired), 200, "", false),
        ("/internal/x", None, 403, "access_denied", false),
        ("/internal/x", Some(&good), 403, "access_denied", false),
        ("/merchant/x", Some(&good), 403, "app_not_allowed", false),
    ] {
        let before = recorder.seen().len();
        let request = gateway.get(path);
        let request = token.map_or(request.try_clone().unwrap(), |token| request.bearer_auth(token));
        let answer = request.send().await.unwrap();
        let which = format!(
            "{path} with {}",
            token.map_or("none", |t| if *t == good { "a good one" } else { "an expired one" })
        );
        assert_eq!(answer.status(), status, "{which}");
        if status == 200 {
            assert!(!answer.headers().contains_key("x-wxgate-error"), "{which}");
            let openids = recorder.last().all("x-wx-openid").len();
            assert_eq!(openids, usize::from(identity), "{which}");
            assert!(recorder.last().all("authorization").is_empty(), "{which}");
        } else {
            assert_eq!(answer.headers()["x-wxgate-error"], reason, "{which}");
            assert_eq!(answer.headers()["cache-control"], "no-store", "{which}");
            let body: Value = answer.json().await.unwrap();
            assert_eq!(body["error"], reason, "{which}");
            assert_eq!(recorder.seen().len(), before, "{which}: the service saw it");
        }
    }
    let merchant = gateway.log_in(&MERCHANT, "alice").await;
    assert_eq!(gateway.get_as(&merchant, "/merchant/x").await.status(), 200);
}

#[tokio::test]
async fn only_a_token_of_ours_passes_with_the_cache_and_without() {
    for cache in ["cache_entries = 1000\n", "cache_entries = 0\n"] {
        let recorder = Recorder::start().await;
        let config = Config::new(recorder.port, gateway::ROUTES).with(&format!("[token]\n{cache}"));
        let gateway = Gateway::start(config).await;
        let hs = EncodingKey::from_secret(KEY.as_bytes());
        let header = |kid: &str| Header { kid: Some(kid.into()), ..Header::default() };
        let good = signed(json!({}));
        let (head, tail) = good.split_at(good.len() - 1);
        let last = if tail == "A" { "B" } else { "A" };
        let cases = [
            (good.clone(), 200, ""),
            (signed(json!({ "unionid": "uA" })), 200, ""),
            (format!("{head}{last}"), 401, "token_invalid"),
            (format!("{good}="), 401, "token_invalid"),
            ("garbage".into(), 401, "token_malformed"),
            ("a.b.c".into(), 401, "token_malformed"),
            ("..".into(), 401, "token_malformed"),
            ("a".repeat(5000), 401, "token_malformed"),
            (signed_with(header("other"), &hs, &claims(json!({}))), 401, "token_key_unknown"),
            (signed_with(Header::default(), &hs, &claims(json!({}))), 401, "token_malformed"),
            (
                signed_with(
                    Header { alg: jsonwebtoken::Algorithm::HS512, ..header("test") },
                    &hs,
                    &claims(json!({})),
                ),
                401,
                "token_invalid",
            ),
            (
                signed_with(header("test"), &EncodingKey::from_secret(&[1; 32]), &claims(json!({}))),
                401,
                "token_invalid",
            ),
            (signed(json!({ "typ": "assertion" })), 401, "token_wrong_type"),
            (signed(json!({ "iss": "other" })), 401, "token_wrong_issuer"),
            (signed(json!({ "aud": "wx3333333333333333" })), 401, "token_wrong_app"),
            (signed(json!({ "aud": MERCHANT.appid })), 200, ""),
            (signed(json!({ "exp": now() - 60 , "iat": now() - 120 })), 401, "token_expired"),
            (signed(json!({ "iat": now() + 3600, "exp": now() + 7200 })), 401, "token_not_yet_valid"),
            (signed(json!({ "exp": null })), 401, "token_malformed"),
            (signed(json!({ "sid": null })), 401, "token_malformed"),
            (signed(json!({ "exp": "abc" })), 401, "token_malformed"),
            (signed(json!({ "exp": 1e30 })), 401, "token_malformed"),
            (signed(json!({ "sub": "o\r\nX-Admin: 1" })), 401, "token_malformed"),
        ];
        // Twice, so that the second round meets a warm cache.
        for (token, status, reason) in cases.iter().chain(&cases) {
            let answer = gateway.get_as(token, "/api/x").await;
            let found = answer.headers().get("x-wxgate-error").map_or("", |code| code.to_str().unwrap());
            assert_eq!(
                (answer.status().as_u16(), found),
                (*status, *reason),
                "{cache}{}",
                &token[..token.len().min(400)]
            );
        }
    }
}

#[tokio::test]
async fn tokens_are_found_where_the_config_says_and_two_different_ones_are_refused() {
    let recorder = Recorder::start().await;
    let routes = format!(
        "{}\n[[route]]\npath = \"/q/*\"\nupstream = \"service\"\ntoken_in_query = true\n[[route]]\npath = \"/keep/*\"\nupstream = \"service\"\nforward_token = true\n",
        gateway::ROUTES
    );
    let config =
        Config::new(recorder.port, &routes).with("[token]\nheaders = [\"Authorization\", \"X-Token\"]\n");
    let gateway = Gateway::start(config).await;
    let (alice, bob) = (gateway.log_in(&SHOP, "alice").await, gateway.log_in(&SHOP, "bob").await);

    let x_token = gateway.get("/api/x").header("X-Token", &alice).send().await.unwrap();
    assert_eq!(x_token.status(), 200);
    assert!(recorder.last().all("x-token").is_empty());
    let query = gateway.get(&format!("/q/x?a=1&token={alice}&b=2")).send().await.unwrap();
    assert_eq!(query.status(), 200);
    assert_eq!(recorder.last().target(), "/q/x?a=1&b=2");
    assert_eq!(gateway.get(&format!("/api/x?token={alice}")).send().await.unwrap().status(), 401);
    let lower =
        gateway.get("/api/x").header("authorization", format!("bearer {alice}")).send().await.unwrap();
    assert_eq!(lower.status(), 200);
    assert_eq!(gateway.get_as(&alice, "/keep/x").await.status(), 200);
    assert_eq!(recorder.last().one("authorization"), format!("Bearer {alice}"));

    for request in [
        gateway.get("/api/x").bearer_auth(&alice).bearer_auth(&bob),
        gateway.get("/api/x").bearer_auth(&alice).header("X-Token", &bob),
        gateway.get(&format!("/q/x?token={alice}")).bearer_auth(&bob),
        gateway.get("/opt/x").bearer_auth(&alice).header("X-Token", "x"),
    ] {
        let answer = request.send().await.unwrap();
        assert_eq!(
            (answer.status().as_u16(), &answer.headers()["x-wxgate-error"]),
            (401, &"ambiguous_credentials".parse().unwrap())
        );
    }
    let same = gateway.get("/api/x").bearer_auth(&alice).header("X-Token", &alice).send().await.unwrap();
    assert_eq!(same.status(), 200);
    for wrong in [
        "Bearer",
        "Bearer ",
        &format!("Bearer  {alice}"),
        &format!("Bearer {alice} x"),
        &format!("Bearer {alice}, Bearer x"),
        "Basic YTpi",
    ] {
        let answer = gateway.get("/api/x").header("Authorization", wrong).send().await.unwrap();
        assert_eq!(answer.status(), 401, "{wrong}");
    }
}

#[tokio::test]
async fn what_a_connection_remembers_of_its_last_caller_gives_nobody_anothers_name() {
    let (gateway, recorder) = Gateway::before_recorder().await;
    let (alice, bob) = (gateway.log_in(&SHOP, "alice").await, gateway.log_in(&SHOP, "bob").await);
    let mut connection = Connection::open(gateway.port).await;
    let line = |token: &str| format!("Authorization: Bearer {token}\r\n");
    let ask = |path: &str, lines: String| format!("GET {path} HTTP/1.1\r\nHost: gw.test\r\n{lines}\r\n");
    let mut openids = Vec::new();
    for token in [&alice, &alice, &bob, &bob, &alice] {
        assert!(connection.ask(ask("/api/x", line(token))).await.starts_with("HTTP/1.1 200"));
        openids.push(recorder.last().one("x-wx-openid").to_owned());
    }
    let (a, b) = (&openids[0], &openids[2]);
    assert_ne!(a, b);
    assert_eq!(openids.iter().collect::<Vec<_>>(), [a, a, b, b, a]);

    // Right after alice: nobody, on every kind of route, is not alice; two tokens are two; and hers ends with her session.
    assert!(connection.ask(ask("/opt/x", String::new())).await.starts_with("HTTP/1.1 200"));
    assert!(recorder.last().all("x-wx-openid").is_empty());
    assert!(connection.ask(ask("/public/x", line(&alice))).await.starts_with("HTTP/1.1 200"));
    assert!(recorder.last().all("x-wx-openid").is_empty());
    let seen = recorder.seen().len();
    for (lines, reason) in [
        (String::new(), "token_missing"),
        (line(&alice) + &line(&bob), "ambiguous_credentials"),
        (line(&format!("{alice}x")), "token_invalid"),
        (line(""), "token_malformed"),
    ] {
        let answer = connection.ask(ask("/api/x", lines)).await;
        assert!(answer.starts_with("HTTP/1.1 401") && answer.contains(reason), "{reason}: {answer}");
    }
    assert_eq!(gateway.post("/logout").bearer_auth(&alice).send().await.unwrap().status(), 204);
    let answer = connection.ask(ask("/api/x", line(&alice))).await;
    assert!(answer.contains("session_ended"), "{answer}");
    assert_eq!(recorder.seen().len(), seen);
    assert!(connection.ask(ask("/api/x", line(&bob))).await.starts_with("HTTP/1.1 200"));
    assert_eq!(recorder.last().one("x-wx-openid"), b);
}

#[tokio::test]
async fn every_algorithm_signs_and_public_keys_can_be_fetched() {
    for (algorithm, name, keys) in
        [(Algorithm::Es256, "ES256", 1), (Algorithm::EdDsa, "EdDSA", 1), (Algorithm::Hs256, "HS256", 0)]
    {
        let recorder = Recorder::start().await;
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("signing-key");
        std::fs::write(&file, secrecy::ExposeSecret::expose_secret(&generate(algorithm))).unwrap();
        // The new key signs; tokens of the old one still pass.
        let section = format!(
            "[token]\nkeys = [{{ kid = \"new\", file = {file:?} }}, {{ kid = \"test\", file = \"key\" }}]\n"
        );
        let gateway = Gateway::start(Config::new(recorder.port, gateway::ROUTES).with(&section)).await;
        let token = gateway.log_in(&SHOP, "alice").await;
        let header = jsonwebtoken::decode_header(&token).unwrap();
        assert_eq!((format!("{:?}", header.alg).as_str(), header.kid.as_deref()), (name, Some("new")));
        assert_eq!(gateway.get_as(&token, "/api/x").await.status(), 200, "{name}");
        assert_eq!(gateway.get_as(&signed(json!({})), "/api/x").await.status(), 200, "{name}, old key");

        let answer = gateway.get("/.well-known/jwks.json").send().await.unwrap();
        assert_eq!(answer.headers()["cache-control"], "public, max-age=300");
        let set: jsonwebtoken::jwk::JwkSet = answer.json().await.unwrap();
        assert_eq!(set.keys.len(), keys, "{name}");
        if let Some(key) = set.find("new") {
            let mut validation = jsonwebtoken::Validation::new(header.alg);
            validation.set_audience(&[SHOP.appid]);
            let key = jsonwebtoken::DecodingKey::from_jwk(key).unwrap();
            jsonwebtoken::decode::<Value>(&token, &key, &validation)
                .expect("a service can verify the token itself");
        }
    }
}
